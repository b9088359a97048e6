// The latent manifold in three dimensions.

import { marks } from "./looks.js";
import { readCamera } from "./state.js";

const DISTANCE = 1.5; // of the camera at first
const SIDE = 1.45; // of the box at this distance, in plotly's units
const TURN = Math.PI / 24; // of a press on an arrow key
const SLIP = 4; // px that a pointer may move in a click
const ROOM = 1.08; // of the box over the points
// A look from a little above and beside the first view, in which the sheet would be seen flat.
const ASIDE = [-0.35, 0.4];

const add = (...vectors) => vectors.reduce((a, b) => a.map((value, k) => value + b[k]));
const times = (vector, by) => vector.map((value) => value * by);
const cross = ([a, b, c], [x, y, z]) => [b * z - c * y, c * x - a * z, a * y - b * x];
const unit = (vector) => times(vector, 1 / Math.hypot(...vector));
const point = ([x, y, z]) => ({ x, y, z });
const vector = ({ x, y, z }) => [x, y, z];

export class Manifold {
  // on: {hover(i, pointer), leave(), pick(i), look(text)}: i is the number of a point, text a camera.
  constructor(element, index, on) {
    Object.assign(this, { element, index, on, drawn: null });
    element.addEventListener("keydown", (event) => this.press(event));
  }

  // view: {run, state, k, theme}. Draws anew what has no points drawn yet, else changes only what differs.
  async show(view) {
    const { run, state, k, theme } = view;
    const place = run.place([state.layer, state.t]);
    const points = run.points([state.layer, state.t], state.embedding, k);
    const empty = [[], [], []];
    const [x, y, z] = points ?? empty;
    const { colours, symbols } = marks(this.index, run, state.colour, k, theme.missing);
    const i = state.sample === null ? -1 : run.samples.indexOf(state.sample);
    const chosen = points && i >= 0 ? points.map((values) => [values[i]]) : empty;
    const reach = this.reach(place?.[state.embedding], state.axes, points);
    this.view = { place: place?.[state.embedding] ?? null, state };
    const data = {
      x: [x, chosen[0]],
      y: [y, chosen[1]],
      z: [z, chosen[2]],
      "marker.color": [colours, theme.accent],
      "marker.symbol": [symbols, "circle-open"],
    };
    const frame = [run.run, state.layer, state.t, state.embedding, theme.paper].join(" ");
    if (this.drawn?.frame !== frame) {
      this.drawn = { frame, reach, camera: state.camera };
      await this.draw(data, theme, reach, state);
    } else if (this.drawn.reach !== reach || this.drawn.camera !== state.camera) {
      const layout = { ...ranges(reach), ...(this.drawn.camera !== state.camera && this.camera(state)) };
      Object.assign(this.drawn, { reach, camera: state.camera });
      const { x: ends } = corners(reach);
      const all = Object.entries(data).map(([key, values]) => [key, [...values, key.length === 1 ? ends : null]]);
      await Plotly.update(this.element, Object.fromEntries(all), layout, [0, 1, 2]);
    } else {
      await Plotly.restyle(this.element, data, [0, 1]);
    }
  }

  reach(embedding, axes, points) {
    if (!embedding) return 1;
    if (axes === "fixed" || !points) return embedding.reach * ROOM;
    const largest = Math.max(...points.map((values) => values.reduce((a, b) => Math.max(a, Math.abs(b) || 0), 0)));
    return (largest || 1) * ROOM;
  }

  // The camera of the address, or the first view: the first requested factor to the right and the second down at the last
  // checkpoint.
  camera(state) {
    const given = state.camera && readCamera(state.camera);
    if (given) return view(given.eye, given.up);
    const { right, up } = this.view.place ?? { right: [1, 0, 0], up: [0, 1, 0] };
    const front = cross(right, up);
    const eye = times(unit(add(front, times(right, ASIDE[0]), times(up, ASIDE[1]))), DISTANCE);
    return view(eye, up);
  }

  async draw(data, theme, reach, state) {
    // Smaller where there is less room, so that a sheet does not become a heap.
    const dot = Math.min(Math.max(this.element.clientWidth / 170, 2.4), 4.5);
    const traces = [0, 1].map((k) => ({
      type: "scatter3d",
      mode: "markers",
      x: data.x[k],
      y: data.y[k],
      z: data.z[k],
      hoverinfo: k ? "skip" : "none",
      marker: {
        size: k ? dot + 8 : dot,
        color: data["marker.color"][k],
        symbol: data["marker.symbol"][k],
        line: { width: k ? 3 : 1, color: k ? theme.accent : theme.faint },
      },
    }));
    traces.push(corners(reach));
    const name = state.embedding === "pca" ? "PC" : "UMAP";
    const axis = (number) => ({
      title: { text: `${name} ${number}`, font: { size: 11 } },
      range: [-reach, reach],
      color: theme.faint,
      gridcolor: theme.line,
      zerolinecolor: theme.line,
      showspikes: false,
      nticks: 5,
      tickfont: { size: 10 },
    });
    const { "scene.camera": camera, "scene.aspectratio": aspectratio } = this.camera(state);
    const layout = {
      margin: { l: 0, r: 0, t: 0, b: 0 },
      paper_bgcolor: "rgba(0,0,0,0)",
      showlegend: false,
      hovermode: "closest",
      scene: {
        xaxis: axis(1),
        yaxis: axis(2),
        zaxis: axis(3),
        aspectmode: "manual",
        aspectratio,
        camera,
        dragmode: "orbit",
      },
    };
    const first = !this.element.layout;
    const config = { displayModeBar: false, responsive: true, plotGlPixelRatio: Math.min(devicePixelRatio, 2) };
    await Plotly.react(this.element, traces, layout, config);
    if (first) this.listen();
  }

  listen() {
    // In three dimensions plotly does not say where the pointer is, and misses quick clicks.
    let pointer = null;
    let pressed = null;
    let under = -1;
    const follow = (event) => (pointer = { clientX: event.clientX, clientY: event.clientY });
    const moved = () => Math.hypot(pointer.clientX - pressed.clientX, pointer.clientY - pressed.clientY);
    this.element.addEventListener("pointermove", follow, true);
    this.element.addEventListener("pointerdown", (event) => (pressed = follow(event)), true);
    this.element.addEventListener("pointerup", (event) => {
      follow(event);
      if (pressed && under >= 0 && moved() < SLIP) this.on.pick(under);
      pressed = null;
    }, true); // prettier-ignore
    this.element.on("plotly_hover", ({ points: [at] }) => {
      under = at.pointNumber;
      this.on.hover(under, pointer);
    });
    this.element.on("plotly_unhover", () => {
      under = -1;
      this.on.leave();
    });
    this.element.on("plotly_relayout", (changes) => {
      if (this.turning || !("scene.camera" in changes || "scene.aspectratio" in changes)) return;
      // The wheel makes the box larger; the address has that as a shorter distance.
      const { camera, aspectratio } = this.element.layout.scene;
      this.look(times(unit(vector(camera.eye)), (DISTANCE * SIDE) / aspectratio.x), vector(camera.up));
    });
  }

  look(eye, up) {
    const text = [...eye, ...up].map((value) => value.toFixed(2)).join(",");
    this.drawn.camera = text;
    this.on.look(text);
  }

  // Arrow keys turn the cloud, + and - come nearer and go away, 0 goes back to the first view.
  async press(event) {
    const turns = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const zooms = { "+": 1 / 1.15, "=": 1 / 1.15, "-": 1.15 };
    if (event.key === "0") this.on.look(null);
    if (!(event.key in turns) && !(event.key in zooms)) return;
    event.preventDefault();
    const { eye: at, up: top } = this.element.layout.scene.camera;
    let [eye, up] = [vector(at), vector(top)];
    const right = unit(cross(up, eye));
    const upright = unit(cross(eye, right));
    const [across, over] = turns[event.key] ?? [0, 0];
    const length = Math.hypot(...eye);
    eye = add(eye, times(right, across * TURN * length), times(upright, over * TURN * length));
    eye = times(unit(eye), length * (zooms[event.key] ?? 1));
    // Up stays perpendicular to the look, so that the cloud can be turned over the top.
    up = unit(cross(eye, over ? right : unit(cross(up, eye))));
    this.turning = true;
    await Plotly.relayout(this.element, view(eye, up));
    this.turning = false;
    this.look(eye, up);
  }
}

// Two unseen points at the ends of the box. Plotly scales by the points it has; were those other ones at each step, it
// would build the axes anew, which takes longer than all else.
function corners(reach) {
  const ends = [-reach, null, reach];
  return { type: "scatter3d", mode: "lines", x: ends, y: ends, z: ends, hoverinfo: "skip" };
}

// Without perspective, so that what is near does not look large. Coming nearer then makes no difference by itself, so the
// box grows instead.
function view(eye, up) {
  const side = (SIDE * DISTANCE) / Math.hypot(...eye);
  const camera = { eye: point(eye), up: point(up), center: point([0, 0, 0]), projection: { type: "orthographic" } };
  return { "scene.camera": camera, "scene.aspectratio": point([side, side, side]) };
}

function ranges(reach) {
  return Object.fromEntries(["x", "y", "z"].map((axis) => [`scene.${axis}axis.range`, [-reach, reach]]));
}
