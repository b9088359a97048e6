// Colours and marks: those of the report's figures, on the paper of the reader's colour scheme.

import { distances } from "./state.js";

// Shapes tell outcomes apart where colour is lost. Plotly writes them as letters; these are the ones that every font has.
export const SYMBOLS = { none: "circle-open", multiple: "square", misplaced: "diamond", correct: "circle" };
export const SIGNS = { none: "○", multiple: "■", misplaced: "◆", correct: "●" };
// Lengths of the strokes and gaps of plotly's lines, for the same lines elsewhere.
export const STROKES = { solid: "", dash: "6 3", dot: "2 2", dashdot: "7 2 2 2" };

const dark = matchMedia("(prefers-color-scheme: dark)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
export const reducedMotion = () => calm.matches;
export const onScheme = (call) => dark.addEventListener("change", call);

export function theme() {
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "ink", "faint", "line", "tint", "accent", "missing"];
  const colours = names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]);
  return { ...Object.fromEntries(colours), dark: dark.matches };
}

function mixed(one, other, share) {
  const parts = [1, 3, 5].map((at) => {
    const [a, b] = [one, other].map((text) => parseInt(text.slice(at, at + 2), 16));
    return Math.round(a + (b - a) * share);
  });
  return `rgb(${parts.join(",")})`;
}

// A scale's colour at a fraction from 0 to 1.
export function onScale(scale, fraction) {
  const place = Math.min(Math.max(fraction, 0), 1) * (scale.length - 1);
  const below = Math.min(Math.floor(place), scale.length - 2);
  return mixed(scale[below], scale[below + 1], place - below);
}

// Which scale a colouring has: its colours, the share of it that a value is at, its ends as text, and the values of all
// points at checkpoint number k; null for outcomes, which have none.
export function scaleOf(index, run, colour) {
  if (colour === "outcome") return null;
  const at = run.names.indexOf(colour);
  return at < 0 ? ofDistance(index, run, distances(run.groups).indexOf(colour)) : ofRequest(index, run, at);
}

function ofDistance(index, run, group) {
  const high = run.farthest(group) || 1;
  const unit = run.unitOfDistance(group);
  return {
    colours: index.scales.distance,
    share: (value) => Math.sqrt(value / high), // most bumps end up near, and there the differences matter
    ends: [`0 ${unit}`, `${high < 1 ? Number(high.toPrecision(2)) : Number(high.toFixed(1))} ${unit}`],
    values: (k) => run.findings(k).distances[group],
    note: "square-root scale",
    missing: "no bump",
  };
}

function ofRequest(index, run, at) {
  const { unit, logarithmic, period } = run.factors[at];
  const values = run.requests[at];
  const [low, high] = period === null ? [Math.min(...values), Math.max(...values)] : [0, period];
  const to = logarithmic ? Math.log : (value) => value;
  const width = to(high) - to(low) || 1;
  const turn = (value) => (((value % period) + period) % period) / period;
  return {
    colours: index.scales[period === null ? "place" : "periodic"],
    share: period === null ? (value) => (to(value) - to(low)) / width : turn,
    ends: [low, high].map((value) => `${Number(run.written(at, value))} ${unit}`),
    values: () => values,
    note: logarithmic ? "logarithmic scale" : "",
    missing: null,
  };
}

// Colour and symbol of every point at checkpoint number k.
export function marks(index, run, colour, k, missing) {
  const names = Object.keys(index.outcomes);
  if (colour === "outcome") {
    const known = Array.from(run.findings(k).outcome, (code) => names[code]);
    return {
      colours: known.map((name) => index.outcomes[name] ?? missing),
      symbols: known.map((name) => SYMBOLS[name] ?? "square-open"),
    };
  }
  const scale = scaleOf(index, run, colour);
  const colours = Array.from(scale.values(k), (value) =>
    Number.isFinite(value) ? onScale(scale.colours, scale.share(value)) : missing,
  );
  return { colours, symbols: "circle" };
}
