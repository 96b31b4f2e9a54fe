// A photo: its faces, the mask over it, and what is made of both.

import { Mask } from "./mask.js";
import { Result } from "./result.js";
import { bytes, fail, post, save, takeFiles, tell } from "./service.js";

const at = (id) => document.getElementById(id);
const [work, stage, shown, cursor, squares, size] = ["photo-work", "stage", "shown", "cursor", "squares", "size"].map(at);
const POINTS = ["the eye on the left", "the eye on the right", "the nose", "the mouth's left corner", "the mouth's right corner"];

const mask = new Mask(at("mask"), ({ done, undone }) => {
  at("undo").disabled = !done.length;
  at("redo").disabled = !undone.length;
});
const result = new Result();

let photo = null; // { file, name, picture, width, height, faces, chosen, points }
let pointing = null; // points so far, while a face is pointed out by hand
let place = { x: 0, y: 0 };
let pressed = false;

// a photo and its faces

async function load(file) {
  const most = Number(at("photo").dataset.mb);
  if (file.size > most * 1e6) {
    fail(new Error(`${file.name}: ${(file.size / 1e6).toFixed(1)} MB; at most ${most} MB are taken`));
    return;
  }
  tell("Looking for faces…");
  try {
    const [found, picture] = await Promise.all([post("/v1/regions", { photo: file, faces: "all" }), decoded(file)]);
    const fits = picture && picture.width === found.width && picture.height === found.height;
    photo = { file, picture: fits ? picture : null, chosen: found.faces.length ? 1 : null, points: null, ...found };
    begin();
    tell([count(found.faces.length), fits ? "" : "This browser cannot show this format; masks and results work."].join(" "));
  } catch (error) {
    fail(new Error(error.message.replace(/^photo:/, `${file.name}:`)));
  }
}

async function decoded(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    return null;
  }
}

function count(faces) {
  if (faces === 0) return "No face was found: point one out by hand.";
  return faces === 1 ? "One face was found." : `${faces} faces were found: choose one.`;
}

function begin() {
  const { width, height, picture, faces } = photo;
  at("photo-drop").hidden = true;
  work.hidden = false;
  for (const each of [stage, at("compare")]) each.style.setProperty("--ratio", width / height);
  shown.width = width;
  shown.height = height;
  const context = shown.getContext("2d");
  context.fillStyle = "#888";
  context.fillRect(0, 0, width, height);
  if (picture) context.drawImage(picture, 0, 0);
  mask.resize(width, height);
  result.forget();
  pointing = null;
  place = { x: width / 2, y: height / 2 };
  const short = Math.min(width, height);
  size.max = Math.max(20, Math.round(short / 3));
  size.value = Math.max(3, Math.round((faces.length ? edge(faces[0]) : short) / 8));
  resized();
  showFaces();
  view("mask");
  at("mask").focus({ preventScroll: true });
}

function edge(face) {
  return Math.hypot(...face.square[1]);
}

function showFaces() {
  const { faces, chosen, width, height } = photo;
  squares.replaceChildren();
  for (const face of faces) {
    const [[x, y], [dx, dy]] = face.square;
    const square = document.createElement("div");
    square.className = "square";
    square.style.left = `${(100 * x) / width}%`;
    square.style.top = `${(100 * y) / height}%`;
    square.style.width = `${(100 * edge(face)) / width}%`;
    square.style.height = `${(100 * edge(face)) / height}%`;
    square.style.transform = `rotate(${Math.atan2(dy, dx)}rad)`;
    square.classList.toggle("chosen", chosen === "all" || chosen === face.number);
    if (faces.length > 1) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = face.number;
      button.tabIndex = -1; // the keyboard has the list beside the photo
      button.setAttribute("aria-label", `Face ${face.number}`);
      button.addEventListener("click", () => choose(face.number));
      square.append(button);
    }
    squares.append(square);
  }
  const names = faces.map((face) => [face.number, photo.points ? "By hand" : `Face ${face.number}`]);
  if (faces.length > 1) names.push(["all", "All"]);
  at("face-list").replaceChildren(
    ...names.map(([value, name]) => {
      const label = document.createElement("label");
      label.className = "chip";
      const radio = document.createElement("input");
      Object.assign(radio, { type: "radio", name: "face", value, checked: value === chosen });
      radio.addEventListener("change", () => choose(value));
      label.append(radio, ` ${name}`);
      return label;
    }),
  );
}

function choose(chosen) {
  photo.chosen = chosen;
  [...squares.children].forEach((square, index) => {
    square.classList.toggle("chosen", chosen === "all" || chosen === photo.faces[index].number);
  });
  for (const radio of at("face-list").querySelectorAll("input")) radio.checked = radio.value === String(chosen);
}

/** Which faces, as the service takes them. */
function which() {
  return photo.points ? { points: photo.points } : { faces: photo.chosen ?? "largest" };
}

async function pointed(x, y) {
  pointing.push(`${x.toFixed(1)},${y.toFixed(1)}`);
  const dot = document.createElement("div");
  dot.className = "dot";
  dot.style.left = `${(100 * x) / photo.width}%`;
  dot.style.top = `${(100 * y) / photo.height}%`;
  squares.append(dot);
  if (pointing.length < POINTS.length) {
    tell(`Point at ${POINTS[pointing.length]} (${pointing.length + 1} of 5), as the picture shows it. Esc ends this.`);
    return;
  }
  const points = pointing.join(" ");
  pointing = null;
  try {
    const { faces } = await post("/v1/regions", { photo: photo.file, points });
    Object.assign(photo, { faces, points, chosen: 1 });
    tell("The face was taken. Regions need one that is found; paint or upload a mask.");
  } catch (error) {
    fail(error);
  }
  showFaces();
}

// painting, by pointer and by keys

const erases = () => document.querySelector("input[name=tool]:checked").value === "erase";

function resized() {
  at("size-shown").textContent = `${size.value} px`;
  moved();
}

function moved() {
  if (!photo) return;
  cursor.style.left = `${(100 * place.x) / photo.width}%`;
  cursor.style.top = `${(100 * place.y) / photo.height}%`;
  cursor.style.width = `${(100 * size.value) / photo.width}%`;
  cursor.style.height = `${(100 * size.value) / photo.height}%`;
  cursor.classList.toggle("erase", erases());
  cursor.classList.toggle("down", Boolean(mask.stroke));
}

function placed(event) {
  const box = mask.canvas.getBoundingClientRect();
  place = {
    x: ((event.clientX - box.left) / box.width) * photo.width,
    y: ((event.clientY - box.top) / box.height) * photo.height,
  };
  moved();
}

mask.canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return;
  placed(event);
  if (pointing) {
    pointed(place.x, place.y);
    return;
  }
  mask.canvas.setPointerCapture(event.pointerId);
  mask.begin(place.x, place.y, Number(size.value), erases());
  moved();
});
mask.canvas.addEventListener("pointermove", (event) => {
  if (!event.isPrimary) return;
  cursor.hidden = false;
  const steps = event.getCoalescedEvents?.() ?? [];
  for (const each of steps.length ? steps : [event]) {
    placed(each);
    if (mask.stroke && !pressed) mask.move(place.x, place.y);
  }
});
const ended = () => {
  if (pressed) return;
  mask.end();
  moved();
};
mask.canvas.addEventListener("pointerup", ended);
mask.canvas.addEventListener("pointercancel", () => {
  mask.cancel(); // a second finger: the page is zoomed, not painted on
  moved();
});
mask.canvas.addEventListener("pointerleave", () => {
  cursor.hidden = document.activeElement !== mask.canvas;
});
mask.canvas.addEventListener("focus", () => {
  cursor.hidden = false;
  moved();
});
mask.canvas.addEventListener("blur", () => {
  cursor.hidden = true;
  if (pressed) lifted();
});

function lifted() {
  pressed = false;
  mask.end();
  moved();
}

const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

mask.canvas.addEventListener("keydown", (event) => {
  if (event.key in WAYS) {
    const step = event.shiftKey ? 1 : Math.max(1, size.value / 3);
    const [x, y] = WAYS[event.key];
    place.x = Math.min(photo.width, Math.max(0, place.x + x * step));
    place.y = Math.min(photo.height, Math.max(0, place.y + y * step));
    if (pressed) mask.move(place.x, place.y);
    cursor.hidden = false;
    moved();
    cursor.scrollIntoView({ block: "nearest", inline: "nearest" });
  } else if (event.key === " ") {
    if (event.repeat) {
      // held down
    } else if (pointing) pointed(place.x, place.y);
    else if (!pressed) {
      pressed = true;
      mask.begin(place.x, place.y, Number(size.value), erases());
      moved();
    }
  } else if (event.key === "[" || event.key === "]") {
    size.value = Number(size.value) + (event.key === "]" ? 1 : -1) * Math.max(1, Math.round(size.value / 8));
    resized();
  } else if (event.key.toLowerCase() === "e" && !event.ctrlKey && !event.metaKey) {
    document.querySelector(`input[name=tool][value=${erases() ? "paint" : "erase"}]`).checked = true;
    moved();
  } else if (event.key === "Escape" && pointing) {
    pointing = null;
    showFaces();
    tell("No face was pointed out.");
  } else return;
  event.preventDefault();
});
mask.canvas.addEventListener("keyup", (event) => {
  if (event.key === " " && pressed) lifted();
});
document.addEventListener("keydown", (event) => {
  if (!photo || at("photo").hidden || !(event.ctrlKey || event.metaKey) || event.target.type === "text") return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) mask.redo();
  else mask.undo();
});

// the panel

function view(name) {
  at("mask-view").hidden = name !== "mask";
  at("result-view").hidden = name !== "result";
  for (const each of ["mask", "result"]) at(`view-${each}`).setAttribute("aria-pressed", String(each === name));
}

/** Do something that takes time: its button is busy meanwhile, and an error is shown. */
async function busy(button, said, doing) {
  if (!photo || button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  tell(said);
  const now = photo;
  try {
    await doing(() => now === photo);
  } catch (error) {
    if (now === photo) fail(error);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

for (const button of at("photo-regions").querySelectorAll("button")) {
  button.addEventListener("click", () =>
    busy(button, `Looking for: ${button.textContent}…`, async (current) => {
      const found = await post("/v1/regions", { photo: photo.file, regions: button.dataset.region, ...which() });
      const picture = await createImageBitmap(new Blob([bytes(found.mask)], { type: "image/png" }));
      if (!current()) return;
      mask.add(picture);
      view("mask");
      tell(`${button.textContent}: ${(100 * found.hidden).toFixed(1)} % of the photo is hidden by it.`);
    }),
  );
}

at("photo-panel").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!photo) return;
  if (mask.isEmpty) {
    fail(new Error("Nothing is hidden yet: paint over the photo, press a region, or upload a mask."));
    return;
  }
  make(at("make"), "Reconstruct", "/v1/reconstructions", async () => ({ mask: await mask.file() }));
});
// the button is not there if no model of restoration is served
at("restore")?.addEventListener("click", () =>
  make(at("restore"), "Restor", "/v1/restorations", async () => ({ upscale: at("upscale").value })),
);

/** Have something made of the photo, and show it beside the original; ``word`` is its verb without its ending. */
function make(button, word, path, more) {
  return busy(button, `${word}ing…`, async (current) => {
    const asked = { photo: photo.file, case: at("case").value, reason: at("reason").value, ...(await more()) };
    const made = await post(path, { ...asked, ...which() });
    if (!current()) return;
    await result.show(made, shown, `${word}ed`);
    at("view-result").disabled = false;
    view("result");
    tell(`${word}ed: a guess, shown beside the original.`);
    at("result-view").scrollIntoView({ block: "nearest" });
  });
}

takeFiles([at("mask-file")], [], (file) =>
  busy(at("mask-file").parentElement, "Reading the mask…", async () => {
    const picture = await decoded(file);
    if (!picture) throw new Error(`${file.name}: no picture that this browser can read; expected a PNG, white is hidden`);
    const { width, height } = photo;
    if (picture.width !== width || picture.height !== height) {
      throw new Error(
        `${file.name}: the mask has ${picture.width} x ${picture.height} pixels; expected those of the photo as it is shown, ${width} x ${height}`,
      );
    }
    mask.add(picture, true);
    view("mask");
    tell("The mask was taken; it can be changed.");
  }),
);
at("mask-save").addEventListener("click", async () => save(await mask.file(), "mask.png", "image/png"));
at("undo").addEventListener("click", () => mask.undo());
at("redo").addEventListener("click", () => mask.redo());
at("clear").addEventListener("click", () => mask.clear());
at("view-mask").addEventListener("click", () => view("mask"));
at("view-result").addEventListener("click", () => view("result"));
at("zoom").addEventListener("change", (event) => {
  for (const each of [stage, at("compare")]) each.style.setProperty("--zoom", event.target.value);
  cursor.scrollIntoView({ block: "nearest", inline: "center" });
});
at("point").addEventListener("click", () => {
  pointing = [];
  squares.replaceChildren();
  view("mask");
  tell(`Point at ${POINTS[0]} (1 of 5), as the picture shows it. Esc ends this.`);
  mask.canvas.focus();
});
size.addEventListener("input", resized);
for (const radio of document.querySelectorAll("input[name=tool]")) radio.addEventListener("change", moved);
takeFiles([at("photo-file"), at("photo-other")], [at("photo-drop"), work], load);
