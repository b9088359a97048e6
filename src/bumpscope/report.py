"""The report: one page with the claims, the figures and how they were made, that opens from disk with no network."""

from __future__ import annotations

import base64
import importlib
import io
import math
import pkgutil
import platform
import re
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, StrictUndefined
from PIL import Image

from bumpscope import figures
from bumpscope.files import CURE, FileError, first_line
from bumpscope.results import Results
from bumpscope.version import __version__

TEMPLATE = "templates/report.html.jinja"
# In the order in which a reader needs them; figures that are not named here follow by name.
READING_ORDER = (
    "behaviour_mix",
    "manifold",
    "decodability",
    "phases",
    "event_order",
    "label_effects",
    "imbalance_curves",
    "coupling_index",
    "onset_map",
    "rare_common",
    "learning_and_geometry",
    "prediction",
    "persistence",
    "loss",
)
VERDICTS = {"supported": "✓", "contradicted": "✗", "undetermined": "?"}
# Columns of the tables of figures that hold names, whatever they look like.
NAMES = (
    "run",
    "dataset",
    "boundary",
    "layer",
    "outcome",
    "line",
    "quantity",
    "event",
    "kind",
    "phase",
    "pair",
    "prediction",
    "reference",
    "source",
    "role",
    "axis",
    "measure",
    "metric",
    "verdict",
    "simultaneous",
    "reason",
    "bin_x",
    "bin_y",
)


def build(results: Results, figures_dir: Path, config: dict[str, Any], facts: Mapping[str, str] | None = None) -> str:
    """Write the page.

    Args:
        results: tables of the experiment; claims, coupling and metrics may be missing, and the page says so.
        figures_dir: holds NAME.png and NAME.csv of each figure; the page says which are missing.
        config: the configuration that the experiment ran with, as plain data.
        facts: further lines for the methods, such as the hardware and the time it took.

    Returns:
        HTML that refers to nothing outside itself; the same inputs give the same text.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    template = environment.from_string(resources.files("bumpscope").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    claims = _records(results.claims)
    return template.render(
        claims=claims,
        tally=_tally(claims),
        symbols=VERDICTS,
        coupling=_coupling(results.coupling),
        figures=[_figure(module, figures_dir) for module in figure_modules()],
        datasets=_datasets(results.runs),
        runs=len(results.runs),
        configuration=yaml.safe_dump(config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100),
        facts=dict(facts or {}),
        versions=_versions(),
    )


def figure_modules() -> list[ModuleType]:
    """The modules of all figures, in reading order."""
    names = {module.name for module in pkgutil.iter_modules(figures.__path__)} - {"style"}
    ordered = [name for name in READING_ORDER if name in names] + sorted(names - set(READING_ORDER))
    return [importlib.import_module(f"bumpscope.figures.{name}") for name in ordered]


def number(value: Any) -> str:
    """A number to three significant digits, whole ones whole; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def _records(table: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    """Rows of a table, or None where there is no table."""
    return (
        None if table is None else [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    )


def _coupling(table: pd.DataFrame | None) -> dict[str, Any] | None:
    """Rows of table ``coupling`` of the model under study and of the references, a dataset's measures together."""
    if table is None:
        return None
    place = {name: place for place, name in enumerate(table["dataset"].unique())}
    ordered = table.sort_values("dataset", key=lambda names: names.map(place), kind="stable")
    own = ordered["reference"] == "none"
    return {"own": _records(ordered[own]), "references": _records(ordered[~own])}


def _tally(claims: list[dict[str, Any]] | None) -> str:
    """How many claims have each verdict, as a sentence."""
    if not claims:
        return "No claim has been judged."
    counts = {verdict: sum(claim["verdict"] == verdict for claim in claims) for verdict in VERDICTS}
    return f"Of {len(claims)} claims, " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + "."


def _figure(module: ModuleType, folder: Path) -> dict[str, str]:
    """What the page shows of a figure; ``image`` is empty where it has not been drawn."""
    name = module.__name__.rpartition(".")[2]
    picture, table = folder / f"{name}.png", folder / f"{name}.csv"
    drawn = picture.exists() and table.exists()
    finding = _finding(module, table) if drawn else ""
    title = (module.__doc__ or name).strip().splitlines()[0].rstrip(".")
    image = f"data:image/png;base64,{base64.b64encode(_whole(picture)).decode()}" if drawn else ""
    return {"name": name, "title": title, "caption": module.CAPTION, "finding": finding, "image": image}


def _finding(module: ModuleType, path: Path) -> str:
    """The sentence of a figure, from the data behind it."""
    try:
        return str(module.finding(_read(path)))
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise FileError(f"{path}: is not the data behind its figure ({first_line(error)}); {CURE}") from error


def _whole(picture: Path) -> bytes:
    """The bytes of a picture, once they are known to be whole; a PNG carries a checksum of each of its parts."""
    content = picture.read_bytes()
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise FileError(f"{picture}: is not a readable picture ({first_line(error)}); {CURE}") from None
    return content


def _read(path: Path) -> pd.DataFrame:
    """The data behind a picture. A dataset may well be called NA, so only what is empty is missing."""
    return pd.read_csv(path, dtype=dict.fromkeys(NAMES, "str"), keep_default_na=False, na_values=[""])


def _datasets(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a dataset: its first run's columns, and all its seeds."""
    rows = []
    for _, own in runs.groupby("dataset", sort=False):
        seeds = ", ".join(str(seed) for seed in own["seed"])
        rows.append({str(key): value for key, value in own.iloc[0].to_dict().items()} | {"seeds": seeds})
    return rows


def _versions() -> dict[str, str]:
    """Versions of Python, of this package and of what it stands on."""
    required = [re.split(r"[^\w-]", line)[0] for line in metadata.requires("bumpscope") or [] if "extra ==" not in line]
    versions = {"bumpscope": __version__, "Python": platform.python_version()}
    return versions | {name: metadata.version(name) for name in sorted(required)}
