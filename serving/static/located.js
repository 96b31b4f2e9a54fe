// Points and depth of a frame, by the network and by MediaPipe, beside each other.

import { canvasOf, closeUp, depths, dots } from "./drawing.js";

const at = (id) => document.getElementById(id);

/** The colours of points, by who finds them. */
const SOURCES = { network: "#46ff8c", mediapipe: "#ffb13b" };
const CANVASES = [["frame", "remade"], ["frame-other", "remade-other"]];

const nameOf = (source, head) => (source === "network" ? head.model : "MediaPipe");
const found = (head, source) => head.faces.filter((face) => face[source]);

/** Draw a frame with its points and its depth, by the sources that are chosen; ``before`` is the view of the frame before.
 * The view that was drawn, undefined for the whole frame. */
export function paintLocated({ head, pictures }, before) {
  const view = at("close").checked ? closeUp(head, before) : undefined;
  const by = document.querySelector("input[name=by]:checked").value;
  const sources = by === "both" ? Object.keys(SOURCES) : [by];
  sources.forEach((source, index) => {
    const [frame, map] = CANVASES[index];
    const name = nameOf(source, head);
    const faces = found(head, source);
    const points = faces.length ? `${68 * faces.length} points` : head.faces.length ? "no points" : "no face";
    const over = (context) => {
      if (!at("points").checked) return;
      for (const face of faces) dots(context, face[source].points, SOURCES[source], face[source].confidence ?? []);
    };
    const deep = (context) => depths(context, faces.map((face) => face[source].depth), head);
    canvasOf(frame, pictures[0], `${name}: ${points}`, over, head, view);
    canvasOf(map, pictures[0], `${name}: ${faces.length ? "depth" : "no depth"}`, deep, head, view);
    at(frame).setAttribute("aria-label", `Frame of the clip, ${points} by ${name}`);
    at(map).setAttribute("aria-label", `${faces.length ? "Depth" : "No depth"} by ${name}`);
  });
  rows(sources.length);
  at("depth-least").textContent = `−${head.reach} px`;
  at("depth-most").textContent = `+${head.reach} px`;
  return view;
}

/** Show so many of the two rows of canvases. */
export function rows(count) {
  for (const id of CANVASES[1]) at(id).parentElement.hidden = count < 2;
}

/** What was found in a frame, in words. */
export function told(head) {
  if (!head.faces.length) return "no face";
  const on = head.faces.length === 1 ? "one face" : `${head.faces.length} faces`;
  const counts = Object.keys(SOURCES).map((source) => `${68 * found(head, source).length} by ${nameOf(source, head)}`);
  return `points on ${on}: ${counts.join(", ")}`;
}
