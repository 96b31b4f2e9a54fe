// Pictures of a frame as they are drawn into canvases.

import { bytes } from "./service.js";

const at = (id) => document.getElementById(id);
const tile = document.createElement("canvas");
const LEAST = 560; // a canvas has so many pixels across at least: points and label on a small clip would be too coarse
const UNSURE = 0.5; // points of a lower confidence are hollow
const PLASMA = [[13, 8, 135], [126, 3, 168], [204, 71, 120], [248, 149, 64], [240, 249, 33]]; // as in the legend
const COLOURS = Array.from({ length: 256 }, (_, level) => {
  const place = (Math.max(level - 1, 0) / 254) * (PLASMA.length - 1);
  const low = Math.min(Math.floor(place), PLASMA.length - 2);
  return [...PLASMA[low].map((from, part) => from + (place - low) * (PLASMA[low + 1][part] - from)), 255];
});
const CLOSE = 1.7; // a close-up is so many times as wide as the face

/** Draw a picture over a strip with its label. ``over`` draws onto it in pixels of the clip, of which ``head`` says how
 * many there are; ``view`` is what is shown of it: left, top and width. */
export function canvasOf(id, picture, label, over, head, view = { left: 0, top: 0, width: head.width }) {
  const canvas = at(id);
  const width = Math.max(LEAST, picture.width);
  const height = Math.round((width * head.height) / head.width);
  const strip = Math.round(width / 20);
  if (canvas.width !== width || canvas.height !== height + strip) {
    canvas.width = width;
    canvas.height = height + strip;
  }
  const context = canvas.getContext("2d");
  const scale = width / view.width;
  const own = picture.width / head.width;
  const part = [view.left, view.top, view.width, (view.width * head.height) / head.width].map((each) => each * own);
  context.drawImage(picture, ...part, 0, 0, width, height);
  if (over) {
    context.save();
    context.setTransform(scale, 0, 0, scale, -view.left * scale, -view.top * scale);
    over(context);
    context.restore();
  }
  // on the picture itself: whoever copies it copies this, too
  context.fillStyle = "#1d1d1b";
  context.fillRect(0, height, width, strip);
  context.fillStyle = "#fff";
  context.font = `600 ${Math.round(strip * 0.62)}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.fillText(label, strip * 0.4, height + strip * 0.53, width - strip * 0.8);
}

/** Draw points [x, y, ...] of a face; those that ``confidence`` says are unsure are hollow. */
export function dots(context, points, colour = "#46ff8c", confidence = []) {
  const across = Math.max(...points.map(([x]) => x)) - Math.min(...points.map(([x]) => x));
  const radius = across / 60;
  context.fillStyle = colour;
  context.lineWidth = radius / 2;
  points.forEach(([x, y], index) => {
    const isUnsure = confidence[index] < UNSURE;
    context.strokeStyle = isUnsure ? colour : "rgb(0 0 0 / 60%)";
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
    if (!isUnsure) context.fill();
  });
}

/** Make a frame gray and dim, and draw the depth of its faces onto it; the first ones lie over the others. */
export function depths(context, faces, { width, height }) {
  for (const [operation, style] of [["saturation", "#808080"], ["source-over", "rgb(0 0 0 / 60%)"]]) {
    context.globalCompositeOperation = operation;
    context.fillStyle = style;
    context.fillRect(0, 0, width, height);
  }
  for (const { side, levels, corner, edge } of [...faces].reverse()) {
    const pixels = new ImageData(side, side);
    bytes(levels).forEach((level, index) => level && pixels.data.set(COLOURS[level], 4 * index));
    tile.width = tile.height = side;
    tile.getContext("2d").putImageData(pixels, 0, 0);
    const [x, y] = edge.map((each) => each / side);
    context.save();
    context.transform(x, y, -y, x, ...corner);
    context.drawImage(tile, 0, 0);
    context.restore();
  }
}

/** A view of a frame about its largest face; ``before`` as long as that serves, so that it does not tremble. */
export function closeUp({ width, height, faces }, before) {
  if (!faces.length) return before;
  const [left, top, right, bottom] = faces[0].box;
  const size = Math.max(right - left, ((bottom - top) * width) / height);
  if (before && size < before.width * 0.75 && size > before.width * 0.4) {
    const margin = 0.05 * before.width;
    const tall = (before.width * height) / width;
    const isWithin = left > before.left + margin && right < before.left + before.width - margin;
    if (isWithin && top > before.top + margin && bottom < before.top + tall - margin) return before;
  }
  const wide = Math.min(width, CLOSE * size);
  const within = (middle, side, most) => Math.min(Math.max(middle - side / 2, 0), most - side);
  const tall = (wide * height) / width;
  return { left: within((left + right) / 2, wide, width), top: within((top + bottom) / 2, tall, height), width: wide };
}
