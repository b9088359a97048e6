// What the reader looks at, as the address has it: #dataset=...&seed=...

export const EMBEDDINGS = { pca: "PCA", umap: "UMAP" };
export const AXES = { fixed: "same at all steps", fitted: "fitted to each step" };
const KEYS = ["dataset", "seed", "layer", "t", "step", "embedding", "colour", "axes", "sample", "camera"];

export function toHash(state) {
  const parts = KEYS.filter((key) => state[key] !== null && state[key] !== undefined);
  return "#" + parts.map((key) => `${key}=${encodeURIComponent(state[key])}`).join("&");
}

// Names of a run's factors, in the groups that are judged together: "x+y size" -> [["x", "y"], ["size"]].
export const grouped = (factors) => factors.split(" ").map((group) => group.split("+"));

// How the address has the distance in each group. No factor is named so, since their names have no underscore.
export function distances(groups) {
  const plain = !groups.flat().includes("distance");
  return groups.map((group, k) => (plain && k === 0 ? "distance" : `distance_${group.join("_")}`));
}

// What the points of a run can be coloured by: as the address has it -> in words.
export function colourings({ factors }) {
  const groups = grouped(factors);
  const to = (group) => (groups.length > 1 ? `distance in ${group.join(" and ")}` : "distance to request");
  return Object.fromEntries([
    ...groups.flat().map((name) => [name, `requested ${name}`]),
    ["outcome", "outcome"],
    ...distances(groups).map((key, k) => [key, to(groups[k])]),
  ]);
}

// The text of an address -> {wanted, faults}: what it asks for, as text, and what cannot be read.
export function fromHash(hash) {
  const wanted = {};
  const faults = [];
  for (const part of hash.replace(/^#/, "").split("&").filter(Boolean)) {
    const [key, ...rest] = part.split("=");
    try {
      if (!KEYS.includes(key)) throw new Error(key);
      wanted[key] = decodeURIComponent(rest.join("="));
    } catch {
      faults.push(`“${part}” is not something to choose here`);
    }
  }
  return { wanted, faults };
}

// A camera as text: where it is and which way is up, in plotly's units; null where it is no such text.
export function readCamera(text) {
  const numbers = String(text).split(",").map(Number);
  if (numbers.length !== 6 || !numbers.every((k) => Number.isFinite(k) && Math.abs(k) < 100)) return null;
  const [eye, up] = [numbers.slice(0, 3), numbers.slice(3)];
  return Math.hypot(...eye) > 0.01 && Math.hypot(...up) > 0.01 ? { eye, up } : null;
}

// What there is nearest to what is wanted.
//
// index: what the page knows of all runs, and what it opens with. wanted: any of the keys, as text. open: gives the run
// of an index entry.
// Returns {state, entry, faults}; a fault for each wanted value that there is not.
export function settle(index, wanted, open) {
  const faults = [];
  const choose = (key, allowed, otherwise) => {
    const found = allowed.find((value) => String(value) === String(wanted[key]));
    if (found !== undefined) return found;
    if (wanted[key] !== undefined && wanted[key] !== null) {
      faults.push(`there is no ${key} ${wanted[key]} here, shown: ${otherwise ?? "none"}`);
    }
    return otherwise;
  };
  const distinct = (values) => [...new Set(values)];
  const { opening } = index;
  const firstRun = index.runs.find((one) => one.dataset === opening?.dataset && one.seed === opening.seed) ?? index.runs[0];
  const dataset = choose("dataset", distinct(index.runs.map((entry) => entry.dataset)), firstRun.dataset);
  const seeds = index.runs.filter((entry) => entry.dataset === dataset).map((entry) => entry.seed);
  const seed = choose("seed", seeds, dataset === firstRun.dataset ? firstRun.seed : seeds[0]);
  const entry = index.runs.find((one) => one.dataset === dataset && one.seed === seed);
  const opens = entry.dataset === opening?.dataset && entry.seed === opening.seed;
  const first = (opens ? [opening.layer, opening.t] : entry.judged) ?? entry.places[0] ?? [null, null];
  const layer = choose("layer", distinct(entry.places.map((place) => place[0])), first[0]);
  const times = entry.places.filter((place) => place[0] === layer).map((place) => place[1]);
  const t = choose("t", times, times.includes(first[1]) ? first[1] : (times[0] ?? null));
  const step = choose("step", entry.steps, nearest(entry.steps, wanted.step ?? (opens ? opening.step : undefined)));
  const embedding = choose("embedding", Object.keys(EMBEDDINGS), "pca");
  const colours = Object.keys(colourings(entry));
  const colour = choose("colour", colours, colours[0]);
  const axes = choose("axes", Object.keys(AXES), "fixed");
  const sample = wanted.sample === undefined ? null : choose("sample", open(entry).samples, null);
  let view = null;
  if (wanted.camera !== undefined && wanted.camera !== null) {
    view = readCamera(wanted.camera) ? wanted.camera : null;
    if (view === null) faults.push(`camera ${wanted.camera} is not six numbers, shown: the first view`);
  }
  return { state: { dataset, seed, layer, t, step, embedding, colour, axes, sample, camera: view }, entry, faults };
}

// The last step where none is asked for.
function nearest(steps, wanted) {
  const number = Number(wanted);
  if (wanted === undefined || !Number.isFinite(number)) return steps[steps.length - 1];
  return steps.reduce((best, step) => (Math.abs(step - number) < Math.abs(best - number) ? step : best));
}
