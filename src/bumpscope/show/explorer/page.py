"""The explorer's page: one file that opens from disk with no network, and is never larger than a limit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any, TextIO

import matplotlib
import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.colors import to_hex
from plotly.offline import get_plotlyjs

from bumpscope.measure.metrics import OUTCOMES
from bumpscope.show import style
from bumpscope.show.explorer import payload, selection
from bumpscope.show.explorer.selection import Extent
from bumpscope.show.explorer.sprites import LEVELS, SIDE
from bumpscope.store.results import Results

# A page beyond 15 MB is slow to send and to open; the rest is left for a plotly that grows.
LIMIT = 14_500_000
TEMPLATE, STYLE = "explorer.html.jinja", "explorer.css"
# In the order in which they need each other. Each is an ES module; in the page they are one.
SCRIPTS = (
    "codec.js", "state.js", "looks.js", "runs.js", "manifold.js", "images.js", "curves.js", "words.js", "about.js",
    "controls.js", "main.js",
)  # fmt: skip
STOPS = 33  # colours of a scale; between them the page interpolates
SCALES = {"place": "viridis", "periodic": "twilight_shifted", "distance": "cividis_r"}


def write(results: Results, file: TextIO, limit: int = LIMIT) -> dict[str, Any]:
    """Write the page, a run at a time.

    Args:
        results: tables of the experiment. Runs without generated images' behaviour are not shown, and the page says so;
            of the others any table may be missing.
        limit: largest size of the page, bytes. It holds unless a single run with the fewest samples is beyond it.

    Returns:
        What the page says of itself: ``runs`` (what is shown of each), ``left_out`` (runs), ``without`` (runs).
    """
    shown = [run for run in results if run.has("behaviour")]
    without = sorted(set(results.names) - {run.name for run in shown})
    plotly, script, css = get_plotlyjs(), javascript(), _text(STYLE)
    fixed = sum(len(text.encode()) for text in (plotly, script, css, _text(TEMPLATE))) + _index_size(len(results))
    turns = selection.in_turn(shown)
    budget = limit - fixed
    kept = selection.affordable(map(selection.extent, turns), budget)
    kept_names = {one.run.name for one in kept}
    left_out = [run.name for run in shown if run.name not in kept_names]
    index: dict[str, Any] = {"runs": [], "left_out": left_out, "without": without}
    index |= _looks() | {"opening": selection.opening(results)}

    def blocks() -> Iterator[Markup]:
        for entry, text in packed(results, kept, budget):
            index["runs"].append(entry)
            yield Markup(f'<script type="application/json" id="{entry["id"]}">{text}</script>\n')

    def finished() -> Markup:
        order = {run: place for place, run in enumerate(results.names)}
        index["runs"].sort(key=lambda entry: order[entry["run"]])
        return Markup(as_json(index))

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    template = environment.from_string(_text(TEMPLATE))
    for chunk in template.generate(
        blocks=blocks(),
        index=finished,
        plotly=Markup(plotly),
        script=Markup(script),
        css=Markup(css),
        levels=LEVELS,
        side=SIDE,
    ):
        file.write(chunk)
    return {name: index[name] for name in ("runs", "left_out", "without")}


def packed(results: Results, extents: Sequence[Extent], budget: float) -> Iterator[tuple[dict[str, Any], str]]:
    """Runs as text, in ``budget`` bytes together.

    Each has room for the fewest samples, and for an equal share of what the smaller ones before it left over.

    Yields:
        What the page says of a run, and its data as JSON.
    """
    verdicts = payload.latent_verdicts(results)
    surplus = budget - sum(map(selection.least, extents))
    for number, one in enumerate(selection.smallest_first(extents)):
        own = selection.least(one)
        text, data = fitted(one, own + surplus / (len(extents) - number), verdicts)
        surplus -= len(text) - own
        yield _entry(f"run-{number}", one, data), text


def fitted(one: Extent, share: float, verdicts: Any = None) -> tuple[str, dict[str, Any]]:
    """A run as JSON with as many samples as ``share`` bytes hold, at least ``FEWEST``, and what it was made from."""
    count = min(one.samples, selection.SAMPLES)
    while True:
        data = payload.run_payload(one, count, verdicts)
        text = as_json(data)
        fewest = min(selection.FEWEST, one.samples, count)
        if len(text) <= share or count == fewest:
            return text, data
        # How well images compress is known only now; a little less than in proportion, so that one more try will do.
        count = max(fewest, min(count - 1, int(0.98 * count * share / len(text))))


def as_json(data: Any) -> str:
    """JSON in plain letters that can stand inside a script element, whatever the names in it are."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def javascript() -> str:
    """All scripts as one module: what they import from each other is there already, and by the same name."""
    lines: list[str] = []
    for name in SCRIPTS:
        lines += [f"// {name}"]
        lines += [line.removeprefix("export ") for line in _text(name).splitlines() if not line.startswith("import ")]
    return "\n".join(lines)


def _text(name: str) -> str:
    return resources.files("bumpscope.show.explorer").joinpath(name).read_text(encoding="utf-8")


def _index_size(runs: int) -> int:
    """Room for the index: colours, and what is said of each run."""
    return 20_000 + 400 * runs


def _entry(name: str, one: Extent, data: dict[str, Any]) -> dict[str, Any]:
    """What the page knows of a run before its data are read."""
    places = [[place["layer"], place["t"]] for place in data["places"]]
    judged = [data["phases"]["layer"], data["phases"]["t"]] if data["phases"] else None
    return {
        "id": name,
        "run": one.run.name,
        "dataset": one.run.dataset,
        "seed": one.run.seed,
        "factors": str(one.run.names),
        "places": places,
        "judged": judged if judged in places else None,
        "steps": data["steps"],
        "all_steps": len(one.steps),
        "samples": len(data["samples"]),
        "all_samples": one.samples,
    }


def _looks() -> dict[str, Any]:
    """Colours and marks as in the figures, and what else of the package's choices the page tells."""
    scales = {
        name: [to_hex(colour) for colour in matplotlib.colormaps[scale](np.linspace(0, 1, STOPS))]
        for name, scale in SCALES.items()
    }
    return {
        "outcomes": {outcome: style.OUTCOMES[outcome] for outcome in OUTCOMES},
        "phases": style.PHASES,
        "scales": scales,
        "limits": {"steps": selection.STEPS, "samples": selection.SAMPLES, "fewest": selection.FEWEST},
    }
