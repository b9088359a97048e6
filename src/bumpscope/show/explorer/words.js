// The step shown, in words: for the eye at once, for a screen reader when the slider has come to rest.

import { describe, drawSample, isPlace, listed } from "./images.js";
import { SIGNS, STROKES, scaleOf } from "./looks.js";
import { rows } from "./curves.js";

const REST = 250; // ms
const SPLITS = { seen: "seen in training", between: "between those seen in training", heldout: "withheld from training" };
const percent = (share) => (share === null ? "?" : `${Math.round(100 * share)}%`);

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// A piece of a line as in the curves.
function line(colour, dash) {
  const [svg, stroke] = ["svg", "line"].map((name) => document.createElementNS("http://www.w3.org/2000/svg", name));
  svg.setAttribute("class", "line");
  const looks = { x2: "100%", y1: 2, y2: 2, stroke: colour, "stroke-width": 3, "stroke-dasharray": STROKES[dash] };
  for (const [key, value] of Object.entries(looks)) stroke.setAttribute(key, value);
  svg.append(stroke);
  return svg;
}

// What outcomes mean. Where labels are a place alone, a bump is wrong in nothing else.
function sentences({ groups, names }) {
  const place = groups.length === 1 && isPlace(groups[0]);
  const told = (word) => (place ? "place" : listed(names, word));
  return {
    none: "no bump",
    multiple: "several bumps",
    misplaced: `one bump, wrong ${told("or")}`,
    correct: `one bump, right ${told("and")}`,
  };
}

// Outcome -> share at a step, or null where the step was not probed.
export function sharesAt(run, step) {
  const at = run.mix.steps.indexOf(step);
  return at < 0 ? null : Object.fromEntries(Object.entries(run.mix.shares).map(([name, all]) => [name, all[at]]));
}

export function verdictsAt(run, state) {
  return rows(run, state).map(({ name, steps, phases }) => [name, phases[steps.indexOf(state.step)] ?? "–"]);
}

export function effectsAt(run, step) {
  const at = run.effects ? run.effects.steps.indexOf(step) : -1;
  return at < 0 ? [] : Object.keys(run.effects.looks).map((label) => [label, run.effects[`effect_${label}`][at]]);
}

// A table of what the curves have at the step shown; it is their legend too.
export function readout(table, index, { run, state, theme }) {
  const shares = sharesAt(run, state.step);
  const cell = (value) => element("td", value);
  const outcomes = Object.keys(index.outcomes).reverse();
  const meaning = sentences(run);
  const mix = outcomes.map((outcome) => {
    const name = element("th", ` ${outcome}`, { scope: "row", title: meaning[outcome] });
    name.prepend(element("span", "", { class: "swatch", style: `background:${index.outcomes[outcome]}` }));
    return [name, cell(shares ? percent(shares[outcome]) : "–")];
  });
  const effects = effectsAt(run, state.step).map(([label, value]) => {
    const name = element("th", ` effect of ${label.replace("_", " and ")}`, { scope: "row" });
    const { colour, dark, dash } = run.effects.looks[label];
    name.prepend(line(theme.dark ? dark : colour, dash));
    return [name, cell(value === null ? "?" : value.toFixed(2))];
  });
  const phases = verdictsAt(run, state).map(([name, phase]) => [element("th", name, { scope: "row" }), cell(phase)]);
  table.replaceChildren(
    ...[...mix, ...effects, ...phases].map((cells) => {
      const row = document.createElement("tr");
      row.append(...cells);
      return row;
    }),
  );
}

// What the colours of the points stand for.
export function legend(box, index, { run, state, theme }) {
  const scale = scaleOf(index, run, state.colour);
  if (!scale) {
    const meaning = sentences(run);
    const entries = Object.entries(index.outcomes).map(([outcome, colour]) => {
      const entry = element("span", ` ${meaning[outcome]}`);
      entry.prepend(element("span", SIGNS[outcome], { class: "sign", style: `color:${colour}`, "aria-hidden": "true" }));
      return entry;
    });
    box.replaceChildren(...entries);
    return;
  }
  const bar = element("span", "", { class: "bar", style: `background:linear-gradient(90deg,${scale.colours.join(",")})` });
  const [low, high] = scale.ends;
  box.replaceChildren(element("span", low), bar, element("span", high), element("span", scale.note));
  if (scale.missing) {
    const entry = element("span", ` ${scale.missing}`);
    entry.prepend(element("span", "●", { class: "sign", style: `color:${theme.missing}`, "aria-hidden": "true" }));
    box.append(entry);
  }
}

// One sample: its image with the request and what was found, in a card.
export function card(box, run, k, i, outcomes) {
  box.hidden = i < 0;
  if (i < 0) return;
  const sample = run.sample(k, i, outcomes);
  const words = describe(run, sample);
  const said = {
    requested: words.request,
    found: words.found,
    outcome: words.outcome,
    bumps: sample.bumps === null ? "?" : String(sample.bumps),
    sample: `${sample.sample}, ${SPLITS[sample.split] ?? sample.split}`,
  };
  const list = box.querySelector("dl");
  const keys = box.dataset.brief ? ["requested", "found", "outcome"] : Object.keys(said);
  list.replaceChildren(...keys.flatMap((key) => [element("dt", key), element("dd", said[key])]));
  drawSample(box.querySelector("canvas"), run, k, i, sample);
}

export function spoken(run, state) {
  const shares = sharesAt(run, state.step);
  const phases = verdictsAt(run, state).map(([name, phase]) => `${name} phase ${phase === "?" ? "open" : phase}`);
  const mix = shares ? Object.entries(shares).map(([name, share]) => `${name} ${percent(share)}`) : ["no images"];
  return `Step ${state.step}. ${[...phases, ...mix].join(", ")}.`;
}

let waiting = null;

export function say(region, text) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    region.textContent = text;
  }, REST);
}
