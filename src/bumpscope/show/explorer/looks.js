// Colours and marks: those of the report's figures, on the paper of the reader's colour scheme.

// Shapes tell outcomes apart where colour is lost. Plotly writes them as letters; these are the ones that every font has.
export const SYMBOLS = { none: "circle-open", multiple: "square", misplaced: "diamond", correct: "circle" };
export const SIGNS = { none: "○", multiple: "■", misplaced: "◆", correct: "●" };
export const SENTENCES = {
  none: "no bump",
  multiple: "several bumps",
  misplaced: "one bump, wrong place",
  correct: "one bump, right place",
};
export const DASHES = { x: "solid", y: "dash", xy: "dot" };

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

// Which scale a colouring has and what its ends stand for, px; null for outcomes, which have none.
export function scaleOf(index, run, colour) {
  if (colour === "outcome") return null;
  if (colour === "distance") {
    // Most bumps end up near, and there the differences matter.
    const root = { power: 0.5, note: "square-root scale", missing: "no bump" };
    return { colours: index.scales.distance, low: 0, high: run.farthest() || 1, ...root };
  }
  const values = colour === "x" ? run.mu_x : run.mu_y;
  const round = run.boundary === "torus";
  const [low, high] = round ? [0, run.image_size] : [Math.min(...values), Math.max(...values)];
  return { colours: index.scales[round ? "periodic" : "place"], low, high, power: 1, note: "", missing: null };
}

// Colour and symbol of every point at checkpoint number k.
export function marks(index, run, colour, k, missing) {
  const found = run.findings(k);
  const names = Object.keys(index.outcomes);
  if (colour === "outcome") {
    const known = Array.from(found.outcome, (code) => names[code]);
    return {
      colours: known.map((name) => index.outcomes[name] ?? missing),
      symbols: known.map((name) => SYMBOLS[name] ?? "square-open"),
    };
  }
  const scale = scaleOf(index, run, colour);
  const values = { x: run.mu_x, y: run.mu_y, distance: found.error }[colour];
  const width = scale.high - scale.low || 1;
  const colours = Array.from(values, (value) =>
    Number.isFinite(value) ? onScale(scale.colours, ((value - scale.low) / width) ** scale.power) : missing,
  );
  return { colours, symbols: "circle" };
}
