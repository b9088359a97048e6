// Generated images: the grid of requests, and one sample looked at closely.

const RING = "#E69F00"; // the figures' orange, told apart on black, grey and white

function sharp(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// A ring where the bump was requested and, if asked for, a cross where it was found; neither without a centre.
function mark(context, run, sample, left, top, width, found) {
  if (!run.centre) return;
  const at = (place) => ((place + 0.5) / run.image_size) * width; // pixel 0 reaches from -0.5 to 0.5
  const centre = (values) => run.centre.map((factor) => at(values[factor]));
  context.lineWidth = Math.max(1.2, width / 60);
  context.strokeStyle = RING;
  context.beginPath();
  const [column, row] = centre(sample.request);
  context.arc(left + column, top + row, Math.max(5, width / 6), 0, 2 * Math.PI);
  context.stroke();
  if (!found || !sample.found) return;
  const [across, down] = centre(sample.found);
  const [x, y] = [left + across, top + down];
  const arm = Math.max(3, width / 20);
  context.strokeStyle = "#56B4E9";
  context.beginPath();
  for (const [dx, dy] of [[arm, arm], [arm, -arm]]) {
    context.moveTo(x - dx, y - dy);
    context.lineTo(x + dx, y + dy);
  }
  context.stroke();
}

export function drawSample(canvas, run, k, i, sample) {
  const width = canvas.clientWidth;
  const context = sharp(canvas, width, width);
  run.draw(context, k, i, 0, 0, width);
  mark(context, run, sample, 0, 0, width, true);
}

// ["x", "y", "size"] -> x, y and size
export const listed = (names, word) => names.join(", ").replace(/, ([^,]+)$/, ` ${word} $1`);

// A centre needs no names of its coordinates.
export const isPlace = (group) => group.join() === "x,y";

// Values of all factors as text, one for each group: (3.0, 5.0) px, or size 1.42 px.
function told(run, values) {
  return run.groups.map((group) => {
    const own = group.map((name) => run.names.indexOf(name));
    if (isPlace(group)) return `(${own.map((at) => run.written(at, values[at])).join(", ")}) ${run.factors[own[0]].unit}`;
    return own.map((at) => `${run.names[at]} ${run.written(at, values[at])} ${run.factors[at].unit}`).join(", ");
  });
}

export function describe(run, sample) {
  const away = (group) => `${sample.distances[group].toFixed(2)} ${run.unitOfDistance(group)} away`;
  const found = sample.found && told(run, sample.found).map((text, group) => `${text}, ${away(group)}`).join("; ");
  const misses = sample.misses.length ? ` in ${sample.misses.join(" and ")}` : "";
  const outcome = sample.outcome ? sample.outcome + misses : "unknown";
  return { request: told(run, sample.request).join(", "), found: found ?? "no bump", outcome };
}

export class Grid {
  // on: {hover(i), leave(), pick(i)}
  constructor(element, index, on) {
    Object.assign(this, { element, index, on, run: null, buttons: [] });
    this.canvas = element.querySelector("canvas");
    this.cells = element.querySelector("[role=group]");
    this.cells.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(() => this.view && this.show(this.view)).observe(element);
  }

  // view: {run, state, k}
  show(view) {
    this.view = view;
    const { run, state, k } = view;
    if (this.run !== run) this.lay(run);
    const columns = run.grid[0].length;
    const gap = 2;
    const side = Math.floor((this.element.clientWidth + gap) / columns) - gap;
    if (side <= 0) return;
    this.cells.style.gridTemplateColumns = `repeat(${columns}, ${side}px)`;
    this.cells.style.gridAutoRows = `${side}px`;
    const height = run.grid.length * (side + gap) - gap;
    const context = sharp(this.canvas, columns * (side + gap) - gap, height);
    this.canvas.style.width = `${columns * (side + gap) - gap}px`;
    this.canvas.style.height = `${height}px`;
    const outcomes = Object.keys(this.index.outcomes);
    run.grid.flat().forEach((i, cell) => {
      const sample = run.sample(k, i, outcomes);
      const [left, top] = [(cell % columns) * (side + gap), Math.floor(cell / columns) * (side + gap)];
      run.draw(context, k, i, left, top, side);
      mark(context, run, sample, left, top, side, false);
      const words = describe(run, sample);
      const button = this.buttons[cell];
      button.setAttribute("aria-label", `requested ${words.request}: ${words.outcome}, found ${words.found}`);
      button.setAttribute("aria-pressed", String(sample.sample === state.sample));
      button.style.setProperty("--outcome", this.index.outcomes[sample.outcome] ?? "transparent");
    });
  }

  lay(run) {
    this.run = run;
    const [across, down, ...others] = run.names;
    const rows = down ? `rows by requested ${down}, ` : "";
    this.cells.setAttribute("aria-label", `Generated images, ${rows}columns by requested ${across}; arrow keys move`);
    const parts = [`${across} (across)`, ...(down ? [`${down} (down)`] : []), ...others.map((name) => `middle ${name}`)];
    document.getElementById("grid-title").textContent = `Images for requested ${listed(parts, "and")}`;
    document.querySelector("#drawn .ring").hidden = !run.centre;
    this.buttons = run.grid.flat().map((i, cell) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", tabIndex: cell ? -1 : 0 });
      button.addEventListener("pointerenter", () => this.on.hover(i));
      button.addEventListener("pointerleave", () => this.on.leave());
      button.addEventListener("focus", () => this.on.hover(i));
      button.addEventListener("blur", () => this.on.leave());
      button.addEventListener("click", () => this.on.pick(i));
      return button;
    });
    this.cells.replaceChildren(...this.buttons);
  }

  // One stop for Tab; within the grid the arrows move.
  press(event) {
    const columns = this.run.grid[0].length;
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    const from = this.buttons.indexOf(document.activeElement);
    if (!(event.key in moves) || from < 0) return;
    event.preventDefault();
    const to = from + moves[event.key];
    const wraps = Math.abs(moves[event.key]) === 1 && Math.floor(to / columns) !== Math.floor(from / columns);
    if (!this.buttons[to] || wraps) return;
    this.buttons[from].tabIndex = -1;
    this.buttons[to].tabIndex = 0;
    this.buttons[to].focus();
  }
}
