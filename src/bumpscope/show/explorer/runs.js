// Runs, read from the page when they are first looked at.

import { UNKNOWN, bytes, columns, numbers } from "./codec.js";

const KEPT = 3; // runs whose images stay decoded
const opened = new Map();

// The run of an index entry. Its images come later: see `pictures`.
export function openRun(entry) {
  const known = opened.get(entry.id);
  opened.delete(entry.id);
  const run = known ?? new Run(JSON.parse(document.getElementById(entry.id).textContent));
  opened.set(entry.id, run);
  while (opened.size > KEPT) {
    const [oldest, gone] = opened.entries().next().value;
    gone.forget();
    opened.delete(oldest);
  }
  return run;
}

class Run {
  constructor(data) {
    Object.assign(this, data);
    this.bitmaps = null; // a picture a checkpoint, once decoded
    this.embedded = new Map();
    this.decoded = new Map();
  }

  // Coordinates of a place's points at checkpoint number k: three arrays, or null where there are none.
  points(place, embedding, k) {
    const packed = this.place(place)?.[embedding]?.points[k];
    if (!packed) return null;
    const key = `${place} ${embedding} ${k}`;
    if (!this.embedded.has(key)) this.embedded.set(key, columns(numbers(packed)));
    return this.embedded.get(key);
  }

  // A place by its layer and t.
  place([layer, t]) {
    return this.places.find((one) => one.layer === layer && one.t === t) ?? null;
  }

  // What was found in the images of checkpoint number k.
  findings(k) {
    if (!this.decoded.has(k)) {
      const { x, y, error, bumps, outcome } = this.found[k];
      this.decoded.set(k, {
        x: numbers(x),
        y: numbers(y),
        error: numbers(error),
        bumps: bytes(bumps),
        outcome: bytes(outcome),
      });
    }
    return this.decoded.get(k);
  }

  // One sample at one checkpoint, in words and numbers; what no table has is null.
  sample(k, i, outcomes) {
    const found = this.findings(k);
    const known = (value) => (Number.isNaN(value) ? null : value);
    return {
      sample: this.samples[i],
      split: this.split[i],
      request: [this.mu_x[i], this.mu_y[i]],
      found: Number.isNaN(found.x[i]) ? null : [found.x[i], found.y[i]],
      distance: known(found.error[i]),
      bumps: found.bumps[i] === UNKNOWN ? null : found.bumps[i],
      outcome: outcomes[found.outcome[i]] ?? null,
    };
  }

  // Largest distance of a found bump from its request, px, over all steps.
  farthest() {
    const all = this.steps.map((_, k) => this.findings(k).error.reduce((a, b) => (b > a ? b : a), 0));
    return Math.max(...all);
  }

  // Decode all checkpoints' images, so that none has to be waited for while the slider moves.
  async pictures() {
    if (this.sheets && !this.bitmaps) {
      const blobs = this.sheets.map((text) => new Blob([bytes(text)], { type: "image/png" }));
      this.bitmaps = await Promise.all(blobs.map((blob) => createImageBitmap(blob)));
    }
    return this.bitmaps;
  }

  // Draw sample i at checkpoint number k into a square of a canvas.
  draw(context, k, i, left, top, width) {
    if (!this.bitmaps) return;
    const [column, row] = [i % this.columns, Math.floor(i / this.columns)];
    context.imageSmoothingEnabled = false;
    const { side } = this;
    context.drawImage(this.bitmaps[k], column * side, row * side, side, side, left, top, width, width);
  }

  forget() {
    for (const bitmap of this.bitmaps ?? []) bitmap.close();
    this.bitmaps = null;
  }
}
