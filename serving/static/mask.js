// A mask of a photo's size: what is opaque is hidden.

const HELD = 256e6; // bytes of pixels that can be brought back

export class Mask {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.before = document.createElement("canvas");
    this.resize(1, 1);
  }

  /** Begin anew, for a photo of this size. */
  resize(width, height) {
    for (const canvas of [this.canvas, this.before]) {
      canvas.width = width;
      canvas.height = height;
    }
    this.done = [];
    this.undone = [];
    this.stroke = null;
    this.changed(this);
  }

  get colour() {
    return getComputedStyle(this.canvas).getPropertyValue("--hole");
  }

  begin(x, y, size, erases) {
    if (this.stroke) this.end();
    this.keep();
    this.stroke = { size, erases, x, y, left: x, top: y, right: x, bottom: y };
    this.move(x, y);
  }

  move(x, y) {
    const { stroke, context } = this;
    context.save();
    context.globalCompositeOperation = stroke.erases ? "destination-out" : "source-over";
    context.strokeStyle = context.fillStyle = this.colour;
    context.lineWidth = stroke.size;
    context.lineCap = "round";
    context.beginPath();
    if (stroke.x === x && stroke.y === y) {
      context.arc(x, y, stroke.size / 2, 0, 2 * Math.PI);
      context.fill();
    } else {
      context.moveTo(stroke.x, stroke.y);
      context.lineTo(x, y);
      context.stroke();
    }
    context.restore();
    Object.assign(stroke, {
      x, y, left: Math.min(stroke.left, x), top: Math.min(stroke.top, y),
      right: Math.max(stroke.right, x), bottom: Math.max(stroke.bottom, y),
    });
  }

  end() {
    const { stroke } = this;
    this.stroke = null;
    if (!stroke) return;
    const reach = stroke.size / 2 + 2;
    this.remember(stroke.left - reach, stroke.top - reach, stroke.right + reach, stroke.bottom + reach);
  }

  /** Leave a stroke that has been begun as if it had not been. */
  cancel() {
    if (!this.stroke) return;
    this.stroke = null;
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.context.drawImage(this.before, 0, 0);
  }

  clear() {
    this.keep();
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.remember(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Hide what is white in a picture, also; or instead. */
  add(picture, instead = false) {
    const { width, height } = this.canvas;
    const sheet = document.createElement("canvas");
    sheet.width = width;
    sheet.height = height;
    const context = sheet.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    const pixels = context.getImageData(0, 0, width, height);
    const { data } = pixels;
    for (let at = 0; at < data.length; at += 4) {
      // as the service cuts it: clear is not hidden
      const gray = ((data[at] * 299 + data[at + 1] * 587 + data[at + 2] * 114) / 1000) * (data[at + 3] / 255);
      data[at + 3] = gray >= 127.5 ? 255 : 0;
    }
    context.putImageData(pixels, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = this.colour;
    context.fillRect(0, 0, width, height);
    this.keep();
    if (instead) this.context.clearRect(0, 0, width, height);
    this.context.drawImage(sheet, 0, 0);
    this.remember(0, 0, width, height);
  }

  undo() {
    this.swap(this.done, this.undone);
  }

  redo() {
    this.swap(this.undone, this.done);
  }

  /** The mask as the service takes it: a PNG, white on black. */
  async file() {
    const sheet = document.createElement("canvas");
    sheet.width = this.canvas.width;
    sheet.height = this.canvas.height;
    const context = sheet.getContext("2d");
    context.drawImage(this.canvas, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = "#fff";
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "#000";
    context.fillRect(0, 0, sheet.width, sheet.height);
    return new Promise((resolve) => sheet.toBlob(resolve, "image/png"));
  }

  get isEmpty() {
    const { data } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    for (let at = 3; at < data.length; at += 4) if (data[at] >= 128) return false;
    return true;
  }

  keep() {
    const context = this.before.getContext("2d", { willReadFrequently: true });
    context.clearRect(0, 0, this.before.width, this.before.height);
    context.drawImage(this.canvas, 0, 0);
  }

  remember(left, top, right, bottom) {
    const x = Math.max(0, Math.floor(left));
    const y = Math.max(0, Math.floor(top));
    const width = Math.min(this.canvas.width, Math.ceil(right)) - x;
    const height = Math.min(this.canvas.height, Math.ceil(bottom)) - y;
    if (width <= 0 || height <= 0) return;
    const pixels = this.before.getContext("2d").getImageData(x, y, width, height);
    this.done.push({ x, y, pixels });
    this.undone = [];
    let held = this.done.reduce((sum, each) => sum + each.pixels.data.length, 0);
    while (held > HELD && this.done.length > 1) held -= this.done.shift().pixels.data.length;
    this.changed(this);
  }

  swap(from, to) {
    const step = from.pop();
    if (!step) return;
    const { x, y, pixels } = step;
    to.push({ x, y, pixels: this.context.getImageData(x, y, pixels.width, pixels.height) });
    this.context.putImageData(pixels, x, y);
    this.changed(this);
  }
}
