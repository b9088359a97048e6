// What the reader sets: selectors, the slider over steps, and playing.

import { AXES, EMBEDDINGS, colourings } from "./state.js";
import { reducedMotion } from "./looks.js";

const PAUSE = 450; // ms a step while playing; twice that where less motion is wished for
const JUMP = 5; // presses of PageUp from end to end

function fill(select, options, value) {
  const key = JSON.stringify(options);
  if (select.dataset.options !== key) {
    select.dataset.options = key;
    select.replaceChildren(...options.map(([name, text]) => new Option(text, name)));
  }
  select.disabled = options.length === 0;
  select.value = String(value);
}

const same = (values) => [...new Set(values)].map((value) => [String(value), String(value)]);

export class Controls {
  // on: {choose(changes), step(step, settled)}
  constructor(form, index, on) {
    Object.assign(this, { form, index, on, timer: null });
    for (const select of form.querySelectorAll("select")) {
      select.addEventListener("change", () => on.choose({ [select.name]: select.value }));
    }
    this.slider = document.getElementById("step");
    this.button = document.getElementById("play");
    this.slider.addEventListener("input", () => this.slide(false));
    this.slider.addEventListener("change", () => this.slide(true));
    this.slider.addEventListener("keydown", (event) => this.page(event));
    this.button.addEventListener("click", () => this.toggle());
    addEventListener("keydown", (event) => this.press(event));
  }

  show(entry, state) {
    this.entry = entry;
    const { runs } = this.index;
    const layers = entry.places.map((place) => place[0]);
    const times = entry.places.filter((place) => place[0] === state.layer).map((place) => place[1]);
    const options = {
      dataset: same(runs.map((one) => one.dataset)),
      seed: same(runs.filter((one) => one.dataset === state.dataset).map((one) => one.seed)),
      layer: same(layers).map(([name, text]) => [name, text === "image" ? "image (control)" : text]),
      t: same(times),
      embedding: Object.entries(EMBEDDINGS),
      colour: Object.entries(colourings(entry)),
      axes: Object.entries(AXES),
    };
    for (const [name, list] of Object.entries(options)) fill(this.form.elements[name], list, state[name]);
    const k = entry.steps.indexOf(state.step);
    this.slider.max = String(entry.steps.length - 1);
    this.slider.value = String(k);
    this.slider.disabled = this.button.disabled = entry.steps.length < 2;
    this.slider.setAttribute("aria-valuetext", `step ${state.step}`);
    document.getElementById("shown-step").textContent = `step ${state.step} of ${entry.steps[entry.steps.length - 1]}`;
  }

  slide(settled) {
    this.stop();
    this.on.step(this.entry.steps[Number(this.slider.value)], settled);
  }

  // Browsers disagree about how far PageUp goes.
  page(event) {
    const sign = { PageUp: 1, PageDown: -1 }[event.key];
    if (!sign) return;
    event.preventDefault();
    const last = this.entry.steps.length - 1;
    const to = Number(this.slider.value) + sign * Math.max(2, Math.round(last / JUMP));
    this.slider.value = String(Math.min(Math.max(to, 0), last));
    this.slide(true);
  }

  press(event) {
    const own = event.target.closest?.("button, select, summary, a, input:not([type=range])");
    if (event.key === " " && !own) {
      event.preventDefault();
      this.toggle();
    }
  }

  toggle() {
    if (this.timer) return this.stop();
    const { steps } = this.entry;
    if (Number(this.slider.value) === steps.length - 1) this.on.step(steps[0], false);
    this.timer = setInterval(() => this.next(), reducedMotion() ? 2 * PAUSE : PAUSE);
    this.say(true);
    return undefined;
  }

  next() {
    const { steps } = this.entry;
    const k = Number(this.slider.value) + 1;
    if (k >= steps.length) return this.stop();
    this.on.step(steps[k], k === steps.length - 1);
    if (k === steps.length - 1) this.stop();
    return undefined;
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.say(false);
  }

  say(playing) {
    this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.button.textContent = playing ? "❚❚" : "▶";
    this.button.setAttribute("aria-pressed", String(playing));
  }
}
