// Runs, read from the page when they are first looked at.

import { UNKNOWN, bytes, columns, numbers } from "./codec.js";
import { grouped } from "./state.js";

const KEPT = 3; // runs whose images stay decoded
const opened = new Map();

// The run of an index entry. Its images come later: see `pictures`.
export function openRun(entry) {
  const known = opened.get(entry.id);
  opened.delete(entry.id);
  const run = known ?? new Run(JSON.parse(document.getElementById(entry.id).textContent), grouped(entry.factors));
  opened.set(entry.id, run);
  while (opened.size > KEPT) {
    const [oldest, gone] = opened.entries().next().value;
    gone.forget();
    opened.delete(oldest);
  }
  return run;
}

class Run {
  // groups: names of the factors, in the groups that are judged together.
  constructor(data, groups) {
    Object.assign(this, data, { groups, names: groups.flat() });
    // Which factors are the column and the row of a centre; null where the labels do not tell both.
    const centre = ["x", "y"].map((name) => this.factors.findIndex((one) => one.name === name && one.unit === "px"));
    this.centre = centre.includes(-1) ? null : centre;
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
      const { values, distances, bumps, outcome, misses } = this.found[k];
      this.decoded.set(k, {
        values: values.map(numbers),
        distances: distances.map(numbers),
        bumps: bytes(bumps),
        outcome: bytes(outcome),
        misses: misses ? bytes(misses) : null,
      });
    }
    return this.decoded.get(k);
  }

  // One sample at one checkpoint, in words and numbers; what no table has is null. A value for each factor; a distance for
  // each group of them.
  sample(k, i, outcomes) {
    const { values, distances, bumps, outcome, misses } = this.findings(k);
    return {
      sample: this.samples[i],
      split: this.split[i],
      request: this.requests.map((one) => one[i]),
      found: values.some((one) => Number.isNaN(one[i])) ? null : values.map((one) => one[i]),
      distances: distances.map((one) => one[i]),
      bumps: bumps[i] === UNKNOWN ? null : bumps[i],
      outcome: outcomes[outcome[i]] ?? null,
      misses: misses ? this.groups.filter((_, group) => (misses[i] >> group) & 1).flat() : [],
    };
  }

  // Largest distance of a found bump from its request in a group of factors, over all steps.
  farthest(group) {
    const all = this.steps.map((_, k) => this.findings(k).distances[group].reduce((a, b) => (b > a ? b : a), 0));
    return Math.max(...all);
  }

  unitOfDistance(group) {
    return this.factors[this.names.indexOf(this.groups[group][0])].unit_of_distance;
  }

  // A value of factor number `at`, as text.
  written(at, value) {
    const { logarithmic, decimals } = this.factors[at];
    return logarithmic ? String(Number(value.toPrecision(3))) : value.toFixed(decimals);
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
