// Brings the parts together: one state, told to every part, kept in the address.

import { about } from "./about.js";
import { Controls } from "./controls.js";
import { Curves } from "./curves.js";
import { Grid } from "./images.js";
import { onScheme, theme } from "./looks.js";
import { Manifold } from "./manifold.js";
import { openRun } from "./runs.js";
import { fromHash, settle, toHash } from "./state.js";
import { card, legend, readout, say, spoken } from "./words.js";

const at = (id) => document.getElementById(id);
const index = JSON.parse(at("index").textContent);
const outcomes = Object.keys(index.outcomes);
let state = null;
let entry = null;
let run = null;
let hovered = -1;
let pointer = null; // where it is, while it is on a dot
let scheduled = false;
let drawing = false;
let colours = theme();

const hover = (i, where) => {
  hovered = i;
  pointer = where ?? null;
  showCards();
};
const leave = () => hover(-1);
const pick = (i) => choose({ sample: run.samples[i] === state.sample ? null : run.samples[i] });
const manifold = new Manifold(at("manifold"), index, {
  hover,
  leave,
  pick,
  look: (camera) => remember({ camera }, "replace"),
});
const grid = new Grid(at("images"), index, { hover: (i) => hover(i), leave, pick });
const curves = new Curves(at("curves"), at("cursor"), index, { step: (step) => choose({ step }, "replace") });
const controls = new Controls(at("controls"), index, {
  choose: (changes) => choose(changes),
  step: (step, settled) => choose({ step }, settled ? "push" : "replace"),
});

// Change some keys; what no longer fits them is settled again without a word, since the reader did not ask for it.
function choose(changes, how = "push") {
  const wanted = { ...state, ...changes };
  if ("dataset" in changes || "seed" in changes) wanted.sample = null;
  // Another place or embedding has another shape, hence its own first view.
  if (["dataset", "seed", "layer", "t", "embedding"].some((key) => key in changes)) wanted.camera = null;
  for (const key of Object.keys(wanted)) if (wanted[key] === null) delete wanted[key];
  note([]);
  become(settle(index, wanted, openRun), how);
}

// Keep a change that needs no drawing but may be drawn.
function remember(changes, how) {
  become({ state: { ...state, ...changes }, entry }, how);
}

function become(settled, how) {
  ({ state, entry } = settled);
  run = openRun(entry);
  const hash = toHash(state);
  if (how === "push" && hash !== lastPushed) history.pushState(null, "", hash);
  else if (hash !== location.hash) history.replaceState(null, "", hash);
  if (how === "push" || how === "start") lastPushed = hash;
  schedule();
}
let lastPushed = "";

function fromAddress() {
  const { wanted, faults } = fromHash(location.hash);
  controls.stop();
  const settled = settle(index, wanted, openRun);
  note([...faults, ...settled.faults]);
  become(settled, "start");
}

function note(faults) {
  const box = at("note");
  box.hidden = faults.length === 0;
  box.textContent = faults.length ? `The address asks for what this page has not: ${faults.join("; ")}.` : "";
}

// Once a frame at most, and never two at a time: while the slider is dragged, only the last place counts.
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(async () => {
    scheduled = false;
    if (drawing) return;
    drawing = true;
    const shown = state;
    try {
      await show();
    } finally {
      drawing = false;
      if (shown !== state) schedule();
    }
  });
}

async function show() {
  const view = { run, state, k: entry.steps.indexOf(state.step), theme: colours };
  controls.show(entry, state);
  about(at("subset"), index, entry);
  legend(at("legend"), index, view);
  readout(at("readout"), index, view);
  grid.show(view);
  showCards();
  missing(view);
  say(at("spoken"), spoken(run, state));
  await manifold.show(view);
  await curves.show(view);
  // For programs that drive this page: what is drawn, and whether its images are.
  Object.assign(document.documentElement.dataset, { shown: toHash(view.state), images: view.run.bitmaps ? view.run.run : "" });
  if (!run.bitmaps && run.sheets) {
    const awaited = run;
    await run.pictures();
    if (awaited === run) schedule();
  }
}

function missing({ k }) {
  const box = at("missing");
  const points = run.points([state.layer, state.t], state.embedding, k);
  box.hidden = points !== null;
  if (entry.places.length === 0) box.textContent = "No latents of this run were embedded.";
  else box.textContent = `There is no ${state.embedding === "umap" ? "UMAP" : "PCA"} of these latents at this step.`;
}

function showCards() {
  const k = entry.steps.indexOf(state.step);
  const chosen = state.sample === null ? -1 : run.samples.indexOf(state.sample);
  card(at("sample"), run, k, hovered >= 0 ? hovered : chosen, outcomes);
  at("hint").hidden = hovered >= 0 || chosen >= 0;
  card(at("tip"), run, k, pointer ? hovered : -1, outcomes);
  if (pointer) beside(at("tip"), pointer);
}

// Next to the pointer, inside the window.
function beside(box, { clientX, clientY }) {
  const { width, height } = box.getBoundingClientRect();
  const left = clientX + 16 + width > innerWidth ? clientX - 16 - width : clientX + 16;
  const top = Math.min(Math.max(clientY - height / 2, 4), innerHeight - height - 4);
  Object.assign(box.style, { left: `${Math.max(left, 4)}px`, top: `${top}px` });
}

// The address is the state's, so this link may not change it.
at("to-about").addEventListener("click", (event) => {
  event.preventDefault();
  at("about").scrollIntoView();
  at("about").focus({ preventScroll: true });
});
at("reset").addEventListener("click", () => choose({ camera: null }));
addEventListener("popstate", fromAddress);
addEventListener("hashchange", () => location.hash !== toHash(state) && fromAddress());
onScheme(() => {
  colours = theme();
  schedule();
});
if (index.runs.length) fromAddress();
else {
  about(at("subset"), index, null);
  document.querySelector("main").textContent = "No run of this experiment has generated images yet.";
}
