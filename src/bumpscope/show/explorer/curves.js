// What happened over all steps: mix of outcomes, label effects, phase verdicts; and a cursor at the step shown.

const FAINTEST = "rgba(0,0,0,0)";

// Steps along the axis: even, or logarithmic beyond the first where most checkpoints would crowd near the left end.
export function stepScale(steps) {
  const positive = steps.filter((step) => step > 0).sort((a, b) => a - b);
  const last = positive[positive.length - 1];
  const middle = positive[Math.floor(positive.length / 2)];
  const first = positive[0];
  const crowded = positive.length > 2 && last > 5 * middle;
  const to = crowded ? (step) => (step <= first ? (0.4 * step) / first : 0.4 + Math.log10(step / first)) : (step) => step;
  const ticks = crowded
    ? [0, ...Array.from({ length: 12 }, (_, k) => 10 ** k).filter((tick) => tick >= first && tick <= last)]
    : null;
  return { to, ticks, title: crowded ? "optimiser step (log scale)" : "optimiser step" };
}

// Stretches {start, end, phase, steps} of equal verdicts; borders lie halfway between checkpoints.
export function stretches(steps, phases) {
  const merged = [];
  steps.forEach((step, k) => {
    const start = k ? (steps[k - 1] + step) / 2 : steps.length > 1 ? step : step - 0.5;
    const end = k < steps.length - 1 ? (step + steps[k + 1]) / 2 : steps.length > 1 ? step : step + 0.5;
    const before = merged[merged.length - 1];
    if (before?.phase === phases[k]) Object.assign(before, { end, to: step });
    else merged.push({ start, end, phase: phases[k], from: step, to: step });
  });
  return merged;
}

export class Curves {
  // on: {step(number)}: the reader points at a step.
  constructor(element, cursor, index, on) {
    Object.assign(this, { element, cursor, index, on, drawn: null });
    const move = (event) => this.point(event);
    const drop = () => removeEventListener("pointermove", move);
    element.addEventListener(
      "pointerdown",
      (event) => {
        this.point(event);
        addEventListener("pointermove", move);
        addEventListener("pointerup", drop, { once: true });
        addEventListener("pointercancel", drop, { once: true });
      },
      true,
    );
  }

  // view: {run, state, theme}
  async show(view) {
    const { run, state, theme } = view;
    this.view = view;
    const key = [run.run, state.layer, state.t, theme.paper].join(" ");
    if (this.drawn !== key) {
      this.drawn = key;
      await this.draw(view);
    }
    this.move();
  }

  // Only the cursor changes with the step.
  move() {
    const axis = this.element._fullLayout?.xaxis;
    if (!axis || !this.scale) return;
    const x = axis._offset + axis.l2p(this.scale.to(this.view.state.step));
    this.cursor.style.transform = `translateX(${x.toFixed(1)}px)`;
  }

  point(event) {
    const axis = this.element._fullLayout?.xaxis;
    if (!axis) return;
    const at = event.clientX - this.element.getBoundingClientRect().left - axis._offset;
    const { steps } = this.view.run;
    const away = (step) => Math.abs(axis.l2p(this.scale.to(step)) - at);
    this.on.step(steps.reduce((best, step) => (away(step) < away(best) ? step : best)));
  }

  async draw({ run, state, theme }) {
    const all = [...run.mix.steps, ...(run.effects?.steps ?? []), ...(run.phases?.steps ?? [])];
    this.scale = stepScale(all);
    const traces = [...this.mix(run, theme), ...this.effects(run, theme), ...this.verdicts(run, state, theme)];
    const axis = { color: theme.faint, gridcolor: theme.line, zeroline: false, fixedrange: true, tickfont: { size: 10 } };
    const { ticks, to, title } = this.scale;
    const ends = [Math.min(...all), Math.max(...all)].map(to);
    const room = ends[1] > ends[0] ? 0 : 1;
    const text = (words, y, yshift = 0) => ({
      text: words, x: 0, yshift, xref: "paper", xanchor: "left", y, yref: "paper", yanchor: "bottom",
      showarrow: false, font: { size: 11, color: theme.ink },
    }); // prettier-ignore
    const layout = {
      margin: { l: 62, r: 10, t: 22, b: 34 },
      paper_bgcolor: FAINTEST,
      plot_bgcolor: FAINTEST,
      showlegend: false,
      dragmode: false,
      hovermode: "x",
      barmode: "overlay",
      uniformtext: { mode: "hide", minsize: 9 }, // what a stretch has no room for is not written
      hoverlabel: { bgcolor: theme.paper, bordercolor: theme.line, font: { color: theme.ink, size: 11 } },
      xaxis: {
        ...axis,
        range: [ends[0] - room, ends[1] + room],
        title: { text: title, font: { size: 11 }, standoff: 4 },
        anchor: "free", // at the bottom, also where the lowest panel is empty
        position: 0,
        ...(ticks && { tickvals: ticks.map(to), ticktext: ticks.map(String) }),
      },
      yaxis: { ...axis, domain: [0.69, 1], range: [0, 1], nticks: 3, tickformat: ".0%" },
      yaxis2: { ...axis, domain: [0.34, 0.6], range: [-0.3, 1.3], tickvals: [0, 0.5, 1] },
      yaxis3: { ...axis, domain: [0, 0.25], autorange: "reversed", showgrid: false, type: "category" },
      annotations: [
        text(`Outcomes, share of ${run.mix.images} images for ${run.mix.of === "seen" ? "seen" : "all"} requests`, 1, 3),
        text(run.effects ? `Label effects at t = ${run.effects.t} (0: none, 1: optimal)` : "No label effects were measured", 0.6),
        text(run.phases ? "Phase verdicts" : "No phases were judged", 0.25),
      ],
    };
    await Plotly.react(this.element, traces, layout, { displayModeBar: false, responsive: true });
    if (this.listening) return;
    this.listening = true;
    this.element.on("plotly_afterplot", () => this.move());
  }

  mix(run, theme) {
    const { steps, shares } = run.mix;
    const x = steps.map(this.scale.to);
    // Only at these steps is anything known of the mix.
    const probed = {
      x,
      y: steps.map(() => 1),
      mode: "markers",
      marker: { symbol: "line-ns", size: 7, line: { width: 1.5, color: theme.ink } },
      cliponaxis: false,
      hoverinfo: "skip",
    };
    // From the best at the bottom, as in the report.
    const areas = Object.keys(shares)
      .reverse()
      .map((outcome) => ({
        x,
        y: shares[outcome],
        name: outcome,
        stackgroup: "mix",
        mode: "lines",
        line: { width: 0.5, color: theme.faint },
        fillcolor: this.index.outcomes[outcome],
        customdata: steps,
        hovertemplate: "%{y:.0%} at step %{customdata}",
      }));
    return [...areas, probed];
  }

  effects(run, theme) {
    if (!run.effects) return [];
    const { effects } = run;
    return Object.entries(effects.looks).map(([label, { colour, dark, dash }]) => {
      const low = effects[`effect_${label}_low`];
      return {
        x: effects.steps.map(this.scale.to),
        y: effects[`effect_${label}`],
        yaxis: "y2",
        name: label.replace("_", " and "),
        mode: "lines+markers",
        line: { width: 2, dash, color: theme.dark ? dark : colour },
        marker: { size: 4 },
        customdata: effects.steps.map((step, k) => [step, low ? `[${fixed(low[k])}, ${fixed(effects[`effect_${label}_high`][k])}]` : ""]),
        hovertemplate: "%{y:.2f} %{customdata[1]} at step %{customdata[0]}",
      };
    });
  }

  verdicts(run, state, theme) {
    return rows(run, state).flatMap(({ name, steps, phases }) =>
      stretches(steps, phases).map(({ start, end, phase, from, to }) => ({
        type: "bar",
        orientation: "h",
        base: [this.scale.to(start)],
        x: [this.scale.to(end) - this.scale.to(start)],
        y: [name],
        yaxis: "y3",
        width: 0.9,
        name: phase,
        text: [phase],
        textposition: "inside",
        insidetextanchor: "middle",
        textangle: 0,
        textfont: { size: 11, color: phase === "B" || phase === "C" ? "#ffffff" : "#000000" },
        marker: {
          color: this.index.phases[phase],
          line: { width: 0.7, color: theme.faint },
          pattern: { shape: phase === "?" ? "/" : "", size: 5, fgcolor: "#767676", bgcolor: this.index.phases[phase] },
        },
        hovertemplate: `${name}: ${phase}, step${from === to ? "" : "s"} ${from === to ? from : `${from} to ${to}`}<extra></extra>`,
        hoverlabel: { namelength: 0 },
      })),
    );
  }
}

const fixed = (value) => (value === null ? "?" : value.toFixed(2));

// Rows of verdicts: latent where it was judged, latent at the place shown where that is another, behaviour.
export function rows(run, state) {
  if (!run.phases) return [];
  const { layer, t, steps, latent, behaviour } = run.phases;
  const here = run.place([state.layer, state.t])?.verdicts;
  const elsewhere = here && (state.layer !== layer || state.t !== t);
  return [
    { name: "latent", steps, phases: [...latent] },
    ...(elsewhere ? [{ name: "latent here", steps: here.steps, phases: [...here.phases] }] : []),
    { name: "behaviour", steps, phases: [...behaviour] },
  ];
}
