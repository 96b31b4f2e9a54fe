// A reconstruction beside its original, with what is to be said about it.

import { bytes, save } from "./service.js";

const at = (id) => document.getElementById(id);
const STOPS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // viridis, as on the sheet

export class Result {
  constructor() {
    this.made = null;
    this.address = null;
    at("split").addEventListener("input", split);
    at("layer").addEventListener("input", () => (at("confidence").style.opacity = at("layer").value / 100));
    const compare = at("compare");
    const drag = (event) => {
      if (event.buttons !== 1) return;
      const box = compare.getBoundingClientRect();
      at("split").value = (100 * (event.clientX - box.left)) / box.width;
      split();
    };
    compare.addEventListener("pointerdown", drag);
    compare.addEventListener("pointermove", drag);
    compare.addEventListener("dragstart", (event) => event.preventDefault());
    for (const button of at("saves").querySelectorAll("button")) {
      button.addEventListener("click", () => this.save(button.dataset.save));
    }
  }

  forget() {
    this.made = null;
    at("view-result").disabled = true;
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
    at("made").removeAttribute("src");
  }

  /** Show what was made of a photo, which ``original`` shows; ``done`` says what was done to it. */
  async show(made, original, done) {
    this.forget();
    this.made = made;
    const { pictures } = made;
    this.address = URL.createObjectURL(new Blob([bytes(pictures.picture)], { type: "image/png" }));
    at("made").src = this.address;
    at("made").alt = `${done}: the result`;
    at("made-name").textContent = done;
    const copy = at("original");
    copy.width = original.width;
    copy.height = original.height;
    copy.getContext("2d").drawImage(original, 0, 0);
    await layer(at("confidence"), pictures.confidence);
    at("split").value = 50;
    split();
    at("layer").value = 0;
    at("confidence").style.opacity = 0;
    at("statement").textContent = made.statement;
    const [frame] = made.record.frames;
    const said = [...made.record.warnings, ...frame.remarks];
    at("warnings").replaceChildren(...said.map((text) => element("li", text)));
    const filled = frame.faces.filter((face) => face.filled);
    const network = made.record.stages.find((stage) => "model" in stage.digests).details;
    const enlarge = made.record.stages.find((stage) => stage.name === "enlarge");
    const facts = {
      Model: made.model.version ? `${made.model.name}/${made.model.version}` : made.model.name,
      ...(frame.hidden ? { Hidden: `${(100 * frame.hidden).toFixed(1)} % of the photo` } : {}),
      ...(enlarge ? { Photo: `${enlarge.parameters.factor} times as large: bicubically, but for the faces` } : {}),
      "Made from": `faces of ${network.size} px, enlarged ${filled.map((face) => `${face.enlarged.toFixed(2)} times`).join(", ")}`,
      "Mean confidence": filled.map((face) => face.confidence_mean.toFixed(2)).join(", "),
      Record: made.id,
    };
    at("facts").replaceChildren(
      ...Object.entries(facts).flatMap(([name, value]) => [element("dt", name), element("dd", value)]),
    );
    await at("made").decode();
  }

  save(what) {
    const { names, pictures, record_file: record } = this.made;
    // the record is signed as it is, letter by letter
    if (what === "record") save(record, names.record, "application/json");
    else save(bytes(pictures[what]), names[what], "image/png");
  }
}

function split() {
  const share = Number(at("split").value);
  at("original").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  at("divider").style.left = `${share}%`;
}

function element(kind, text) {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}

/** Draw a confidence picture in colours; what is sure stays clear. */
async function layer(canvas, picture) {
  const gray = await createImageBitmap(new Blob([bytes(picture)], { type: "image/png" }));
  canvas.width = gray.width;
  canvas.height = gray.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(gray, 0, 0);
  const pixels = context.getImageData(0, 0, gray.width, gray.height);
  const { data } = pixels;
  for (let index = 0; index < data.length; index += 4) {
    const along = (data[index] / 255) * (STOPS.length - 1);
    const low = Math.min(Math.floor(along), STOPS.length - 2);
    data[index + 3] = data[index] === 255 ? 0 : 255;
    for (let part = 0; part < 3; part += 1) {
      data[index + part] = STOPS[low][part] + (along - low) * (STOPS[low + 1][part] - STOPS[low][part]);
    }
  }
  context.putImageData(pixels, 0, 0);
}
