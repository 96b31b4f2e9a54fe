// A clip, live: each frame with its points beside its reconstruction, its restoration or its depth.

import { canvasOf, dots } from "./drawing.js";
import { paintLocated, rows, told } from "./located.js";
import { fail, save, takeFiles, tell } from "./service.js";
import { make } from "./whole.js";

const at = (id) => document.getElementById(id);
const PIECE = 1 << 18; // bytes of the upload at once
const AHEAD = 3; // frames that are asked for, or wait to be drawn; the service makes no more than that
/** The tasks that show something, by what is asked for. */
const TASKS = { hide: "inpainting", restore: "restoration", locate: "landmarks" };

let live = null;
let clip = null;
let asks = 0;

/** One socket: a clip that plays. */
class Live {
  constructor(file, show) {
    this.file = file;
    this.show = show; // what is asked for: the message "hide", "restore" or "locate"
    this.waiting = new Map(); // frames that have come, by number
    this.asked = 0; // frames that have not come yet
    this.next = 0; // the number of the frame to be drawn
    this.shown = null;
    this.repeated = new Set(); // numbers of frames that are being made anew
    this.paused = false;
    this.steps = 0;
    this.over = null; // the message after the last frame
    this.times = [];
    this.timer = null;
    this.view = undefined; // the part of the frame that a close-up shows
    this.due = null; // when frame time 0 is, on the clock of this page
    this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("open", () => this.upload());
    this.socket.addEventListener("message", (event) => this.come(event.data));
    this.socket.addEventListener("close", (event) => this.closed(event));
  }

  say(type, more = {}) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type, ...more }));
  }

  async upload() {
    const { file, socket, show } = this;
    this.say("begin", { bytes: file.size, task: TASKS[show.type], [show.type]: show });
    try {
      for (let begin = 0; begin < file.size; begin += PIECE) {
        const piece = await file.slice(begin, begin + PIECE).arrayBuffer();
        while (socket.bufferedAmount > 4 * PIECE) await new Promise((resolve) => setTimeout(resolve, 20));
        if (socket.readyState !== WebSocket.OPEN) return;
        socket.send(piece);
        tell(`Sending ${file.name}: ${Math.round((100 * Math.min(begin + PIECE, file.size)) / file.size)} %`);
      }
    } catch (error) {
      fail(new Error(`${file.name} cannot be read: ${error.message}`));
      this.stop();
      return;
    }
    tell("Looking for faces…");
    this.ask();
  }

  /** Ask for as many frames as may be underway. */
  ask() {
    if (this.over || (this.paused && !this.steps)) return;
    const most = this.paused ? 1 : AHEAD;
    const more = most - this.asked - this.waiting.size;
    if (more > 0) {
      this.asked += more;
      this.say("want", { frames: more });
    }
  }

  async come(data) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.type === "end") {
        this.over = message;
        this.asked = 0;
        this.draw();
      } else {
        this.refused = message.type === "refused";
        fail(new Error(message.detail));
      }
      return;
    }
    const length = new DataView(data).getUint32(0);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const rest = 4 + length;
    if (head.type === "saved") {
      save(data.slice(rest), head.name, "image/png");
      tell(`Saved as ${head.name}.`);
      return;
    }
    const isAgain = head.number < this.next;
    if (!isAgain && !this.waiting.has(head.number)) {
      this.asked -= 1;
      this.waiting.set(head.number, null); // its place, until it is decoded
    }
    this.repeated.delete(head.number);
    let begin = rest;
    const pictures = await Promise.all(
      head.pictures.map((length) => {
        const jpeg = data.slice(begin, (begin += length));
        return createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
      }),
    );
    if (live !== this) return;
    if (idOf(head) !== this.show.id) this.again(head.number);
    else if (isAgain) {
      if (this.shown?.head.number === head.number) this.paint({ head, pictures });
    } else {
      this.waiting.set(head.number, { head, pictures });
      this.draw();
    }
  }

  /** Draw the next frame when its time has come. */
  draw() {
    clearTimeout(this.timer);
    const one = this.waiting.get(this.next);
    if (!one) {
      if (this.over && !this.waiting.size) this.finished();
      return;
    }
    if (this.paused && !this.steps) return;
    const now = performance.now();
    if (!this.paused) {
      this.due ??= now - 1000 * one.head.time;
      const wait = this.due + 1000 * one.head.time - now;
      if (wait > 1) {
        this.timer = setTimeout(() => this.draw(), wait);
        return;
      }
      if (wait < -20) this.due = now - 1000 * one.head.time; // made too slowly: play more slowly, leave nothing out
      this.times.push(now);
      if (this.times.length > 25) this.times.shift();
    } else this.steps -= 1;
    this.waiting.delete(this.next);
    this.next += 1;
    this.paint(one);
    this.ask();
    this.draw();
  }

  paint(one) {
    if (!this.shown) tell("");
    this.shown = one;
    const { head } = one;
    if (head.type === "located") this.view = paintLocated(one, this.view);
    else paintMade(one);
    at("legend").hidden = !head.reach; // nothing is deep yet
    at("remarks").textContent = head.remarks.join("; ");
    at("frame").dataset.number = head.number;
    at("frame").dataset.asked = idOf(head);
    this.about();
  }

  about() {
    const { head } = this.shown;
    const parts = [`Frame ${head.number + 1}, ${head.time.toFixed(2)} s`];
    parts.push(head.type === "located" ? told(head) : seen(head));
    if (this.over && !this.waiting.size) parts.push(`the clip has ended, ${this.over.frames} frames`);
    else if (this.paused) parts.push("paused");
    else if (this.times.length > 4) {
      const rate = (1000 * (this.times.length - 1)) / (this.times.at(-1) - this.times[0]);
      const own = head.time > 0 ? head.number / head.time : 0;
      parts.push(`${rate.toFixed(1)} frames/s; the clip has ${own.toFixed(1)}`, "none left out");
    }
    at("speed").textContent = parts.join(" · ");
  }

  pause() {
    this.paused = true;
    clearTimeout(this.timer);
    this.due = null;
    this.times = [];
    at("play").textContent = "Play";
    if (this.shown) this.about();
  }

  resume() {
    this.paused = false;
    this.steps = 0;
    at("play").textContent = "Pause";
    this.ask();
    this.draw();
  }

  step() {
    if (!this.paused) this.pause();
    if (this.over && !this.waiting.size) return;
    this.steps += 1;
    this.ask();
    this.draw();
  }

  change(show) {
    this.show = show;
    this.say(show.type, show);
    const made = [...this.waiting.entries()].filter(([, one]) => one).map(([number]) => number);
    for (const number of made) {
      this.waiting.set(number, null);
      this.again(number);
    }
    // what is shown while it plays is over soon
    if (this.shown && (this.paused || this.over)) this.again(this.shown.head.number);
  }

  /** Have a frame made anew; once only, however often what is asked for changes meanwhile. */
  again(number) {
    if (this.repeated.has(number)) return;
    this.repeated.add(number);
    this.say("again", { number });
  }

  keep() {
    if (!this.shown) return;
    if (!this.paused && !this.over) this.pause();
    this.say("save", { number: this.shown.head.number });
  }

  finished() {
    this.pause();
    at("play").textContent = "Play again";
    const { broken, passed_over: passed } = this.over;
    const lost = [broken && `${broken} frames could not be decoded`, passed && `${passed} have wrong time stamps and were passed over`];
    tell(["The clip has ended.", ...lost.filter(Boolean).map((text) => `${text}.`)].join(" "));
  }

  stop() {
    clearTimeout(this.timer);
    this.isStopped = true;
    this.socket.close();
  }

  closed(event) {
    clearTimeout(this.timer);
    if (live !== this) return;
    live = null;
    buttons();
    if (!this.shown) {
      at("video-drop").hidden = false;
      at("video-work").hidden = true;
    }
    if (this.isStopped || this.refused) return;
    const why = event.reason || "is it running, and is this browser still let in?";
    fail(new Error(`The service has closed the connection: ${why}`));
  }
}

/** Which asking a frame answers. */
const idOf = (head) => head.hide ?? head.restore ?? head.locate;

/** Draw a frame with its landmarks beside its reconstruction or restoration. */
function paintMade({ head, pictures: [frame, remade] }) {
  const over = (context) => {
    if (!at("points").checked) return;
    for (const face of head.faces) if (face.landmarks68) dots(context, face.landmarks68);
  };
  canvasOf("frame", frame, "Original", over, head);
  const isRestored = head.type === "restored";
  canvasOf("remade", remade, `${isRestored ? "RESTORED" : "RECONSTRUCTED"}: a guess`, null, head);
  at("frame").setAttribute("aria-label", "Frame of the clip with 68 landmarks");
  at("remade").setAttribute("aria-label", `The frame's ${isRestored ? "restoration" : "reconstruction"}`);
  rows(1);
}

/** How many landmarks a frame has, in words. */
function seen(head) {
  const points = head.faces.reduce((sum, face) => sum + (face.landmarks68?.length ?? 0), 0);
  return head.faces.length ? `${points} points on ${head.faces.length === 1 ? "one face" : `${head.faces.length} faces`}` : "no face";
}

// the panel

const regions = [...at("video-regions").querySelectorAll("button")];
for (const button of regions) {
  button.setAttribute("aria-pressed", String(button.dataset.region === "lower-face"));
  button.addEventListener("click", () => {
    const isPressed = button.getAttribute("aria-pressed") === "true";
    if (isPressed && regions.filter((each) => each.getAttribute("aria-pressed") === "true").length === 1) {
      tell("At least one region is hidden: press another one first.");
      return;
    }
    button.setAttribute("aria-pressed", String(!isPressed));
    live?.change(asked());
  });
}
for (const radio of document.querySelectorAll("input[name=video-faces]")) {
  radio.addEventListener("change", () => live?.change(asked()));
}
for (const radio of document.querySelectorAll("input[name=show]")) {
  radio.addEventListener("change", () => {
    panel();
    live?.change(asked());
  });
}
for (const each of [...document.querySelectorAll("input[name=by]"), at("points"), at("close")]) {
  each.addEventListener("change", () => live?.shown && live.paint(live.shown));
}
panel();

/** Show what belongs to the kind of pictures that is chosen. */
function panel() {
  const { value } = document.querySelector("input[name=show]:checked");
  for (const each of document.querySelectorAll("[data-of]")) each.hidden = !each.dataset.of.split(" ").includes(value);
}

/** The message that asks for what is chosen. */
function asked() {
  asks += 1;
  const type = document.querySelector("input[name=show]:checked").value;
  const faces = document.querySelector("input[name=video-faces]:checked").value;
  return { type, id: asks, faces, ...(type === "hide" && { regions: hidden() }) };
}

/** The regions that are hidden. */
function hidden() {
  return regions.filter((each) => each.getAttribute("aria-pressed") === "true").map((each) => each.dataset.region);
}

function buttons() {
  for (const id of ["step", "stop", "frame-save"]) at(id).disabled = !live;
  at("play").disabled = !live && !clip;
  if (!live) at("play").textContent = "Play again";
}

function load(file) {
  const most = Number(at("video").dataset.mb);
  if (file.size > most * 1e6) {
    fail(new Error(`${file.name}: ${(file.size / 1e6).toFixed(1)} MB; at most ${most} MB are taken`));
    return;
  }
  if (!file.size) {
    fail(new Error(`${file.name}: the file is empty`));
    return;
  }
  leave();
  clip = file;
  at("video-drop").hidden = true;
  at("video-work").hidden = false;
  at("speed").textContent = at("remarks").textContent = "";
  for (const id of ["frame", "remade", "frame-other", "remade-other"]) at(id).getContext("2d").clearRect(0, 0, at(id).width, at(id).height);
  tell(`Sending ${file.name}…`);
  live = new Live(file, asked());
  buttons();
  at("play").textContent = "Pause";
}

/** End what plays. */
export function leave() {
  const one = live;
  live = null;
  one?.stop();
  buttons();
}

at("play").addEventListener("click", () => {
  if (!live || (live.over && !live.waiting.size)) load(clip);
  else if (live.paused) live.resume();
  else live.pause();
});
at("step").addEventListener("click", () => live?.step());
at("stop").addEventListener("click", () => {
  leave();
  tell("Stopped; the clip is gone from the service.");
});
at("whole").addEventListener("click", () => clip && make(clip, asked()));
at("frame-save").addEventListener("click", () => live?.keep());
takeFiles([at("video-file"), at("video-other")], [at("video-drop"), at("video-work")], load);
