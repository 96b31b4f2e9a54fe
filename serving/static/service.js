// What the page says to the service, and to whoever looks at it.

const line = document.getElementById("line");
const status = document.getElementById("status");

/** Show an error until it is dismissed or something else is begun; whatever was there stays. */
export function fail(error) {
  status.textContent = "";
  const text = document.createElement("span");
  text.textContent = error.message || String(error);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Dismiss";
  button.addEventListener("click", () => line.replaceChildren());
  line.replaceChildren(text, button);
}

/** Say what goes on. */
export function tell(text) {
  line.replaceChildren();
  status.textContent = text;
}

/** Post a form; the answer's JSON. Throws an error with the service's line. */
export function post(path, fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== null && value !== "") form.append(name, value);
  }
  return ask(path, { method: "POST", body: form });
}

/** Ask for something; its JSON, null if it has none. Throws an error with the service's line. */
export async function ask(path, about = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...about, headers: { accept: "application/json" } });
  } catch {
    throw new Error("The service does not answer, or has closed the connection: is it running, and is the file too large?");
  }
  if (answer.status === 204) return null;
  const text = await answer.text();
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error(`The service answered ${answer.status} with something unreadable.`);
  }
  if (!answer.ok) throw new Error(content.detail);
  return content;
}

/** The bytes of base64. */
export function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Have the browser save something. */
export function save(content, name, type) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Take files that are chosen by an input, or dropped onto a place. */
export function takeFiles(inputs, places, take) {
  for (const input of inputs) {
    const taken = () => {
      const [file] = input.files;
      input.value = "";
      if (file) take(file);
    };
    input.addEventListener("change", taken);
    taken(); // it may have been chosen before this was loaded
  }
  for (const place of places) {
    place.addEventListener("dragover", (event) => {
      event.preventDefault();
      place.classList.add("over");
    });
    place.addEventListener("dragleave", () => place.classList.remove("over"));
    place.addEventListener("drop", (event) => {
      event.preventDefault();
      place.classList.remove("over");
      const [file] = event.dataTransfer.files;
      if (file) take(file);
      else fail(new Error("That is no file. An address is never fetched: save what is there, then drop the file."));
    });
  }
}
