"""The report: one page with the claims, the figures and how they were made, that opens from disk with no network."""

from __future__ import annotations

import base64
import importlib
import io
import platform
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from bumpscope import __version__
from bumpscope.judge.narrative import paragraph
from bumpscope.judge.wording import number
from bumpscope.show import gallery
from bumpscope.store.files import CURE, FileError, first_line
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES

TEMPLATE, STYLE = "templates/report.html.jinja", "templates/report.css"
# The figures of each claim, in the order in which a reader needs them. One that is named for several is shown with the
# first claim that begins with it, or else with the first that names it, and the others link to it.
FIGURES_OF_CLAIMS = {
    "C1": ("phases", "places", "manifold", "persistence"),
    "C2": ("behaviour_mix", "phases"),
    "C3": ("decodability", "event_order"),
    "C4": ("event_order",),
    "C5": ("coupling_index", "imbalance_curves", "onset_map", "rare_common", "learning_and_geometry"),
    "C6": ("behaviour_mix",),
}
# Figures of no claim; one that is not named here either follows by name.
OTHER_FIGURES = ("label_effects", "prediction", "loss")
VERDICTS = {"supported": "✓", "contradicted": "✗", "undetermined": "?"}
EXPLORER = "explorer.html"
# Pixels of a figure to one of the page: two columns of print fill the width, and all letters are of one size.
SHARPNESS = 1.5
# The tables of all runs that the page links to; those of a run are found through its folder.
TABLES_OF_ALL_RUNS = ("claims", "evidence", "coupling", "onsets", "factorisation", "metrics", "runs")
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
        results: tables of the experiment; claims, evidence and coupling may be missing, and the page says so.
        figures_dir: holds NAME.png and NAME.csv of each figure; the page says which are missing.
        config: the configuration that the experiment ran with, as plain data.
        facts: further lines for the methods, such as the hardware and the time it took.

    Returns:
        HTML that needs nothing outside itself, and links to the files beside it; the same inputs give the same text.
    """
    environment = Environment(
        loader=PackageLoader("bumpscope.show", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "href": quote}
    drawn = {name: _figure(name, figures_dir) for name in figure_names()}
    claims = _records(results.claims)
    places = _places([claim["claim"] for claim in claims or []])
    return environment.get_template(TEMPLATE).render(
        style=STYLE,
        claims=None if claims is None else [_claim(claim, results, drawn, places) for claim in claims],
        tally=_tally(claims),
        symbols=VERDICTS,
        coupling=_coupling(results.coupling),
        others=[figure for name, figure in drawn.items() if name not in places],
        datasets=_datasets(results.runs),
        runs=len(results.runs),
        configuration=yaml.safe_dump(config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100),
        facts=dict(facts or {}),
        versions=_versions(),
        explorer=EXPLORER,
        tables={TABLES[name].path: TABLES[name].row for name in TABLES_OF_ALL_RUNS},
        tables_of_a_run=[Path(table.path).name for table in TABLES.values() if table.path.startswith("{path}/")],
    )


def figure_names() -> list[str]:
    """The names of all figures: those of claims, then the others."""
    names = set(gallery.names())
    ordered = dict.fromkeys([*(name for own in FIGURES_OF_CLAIMS.values() for name in own), *OTHER_FIGURES])
    return [name for name in ordered if name in names] + sorted(names - set(ordered))


def _places(claims: Sequence[str]) -> dict[str, str]:
    """Figure -> the claim that it is shown with, of these claims."""
    named = [(name, claim) for claim in claims for name in FIGURES_OF_CLAIMS.get(claim, ())]
    first = [(own[0], claim) for claim in claims if (own := FIGURES_OF_CLAIMS.get(claim))]
    # Of several values of a key the last counts, and that is to be the first claim.
    return dict(reversed(named)) | dict(reversed(first))


def _claim(
    claim: dict[str, Any], results: Results, drawn: Mapping[str, dict[str, Any]], places: Mapping[str, str]
) -> dict[str, Any]:
    """What the page shows of a claim: its row, a paragraph, the numbers behind it and its figures."""
    name = claim["claim"]
    own = [drawn[figure] for figure in FIGURES_OF_CLAIMS.get(name, ()) if figure in drawn]
    evidence = results.evidence
    return claim | {
        "paragraph": paragraph(claim, evidence, results.coupling),
        "numbers": [] if evidence is None else _records(evidence[evidence["claim"] == name]),
        "shown": [figure for figure in own if places[figure["name"]] == name],
        "linked": [figure for figure in own if places[figure["name"]] != name],
    }


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


def _figure(name: str, folder: Path) -> dict[str, Any]:
    """What the page shows of a figure; ``image`` is empty where it has not been drawn."""
    module = importlib.import_module(f"bumpscope.show.figures.{name}")
    picture, table = folder / f"{name}.png", folder / f"{name}.csv"
    title = (module.__doc__ or name).strip().splitlines()[0].rstrip(".")
    shown = {"name": name, "title": title, "caption": module.CAPTION, "finding": "", "image": ""}
    if not (picture.exists() and table.exists()):
        return shown
    content, (width, height) = _whole(picture)
    image = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    shown |= {"width": round(width / SHARPNESS), "height": round(height / SHARPNESS)}
    return shown | {"finding": _finding(module, table), "image": image}


def _finding(module: ModuleType, path: Path) -> str:
    """The sentence of a figure, from the data behind it."""
    try:
        return str(module.finding(_read(path)))
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise FileError(f"{path}: is not the data behind its figure ({first_line(error)}); {CURE}") from error


def _whole(picture: Path) -> tuple[bytes, tuple[int, int]]:
    """The bytes of a picture, once they are known to be whole, and its size; each part of a PNG has a checksum."""
    content = picture.read_bytes()
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
            size = image.size
    except (OSError, SyntaxError, ValueError) as error:
        raise FileError(f"{picture}: is not a readable picture ({first_line(error)}); {CURE}") from None
    return content, size


def _read(path: Path) -> pd.DataFrame:
    """The data behind a picture. A dataset may well be called NA, so only what is empty is missing."""
    return pd.read_csv(path, dtype=dict.fromkeys(NAMES, "str"), keep_default_na=False, na_values=[""])


def _datasets(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a dataset: its first run's columns, and its seeds with their folders."""
    rows = []
    for _, own in runs.groupby("dataset", sort=False):
        folders = list(zip(own["seed"], own["path"], strict=True))
        rows.append({str(key): value for key, value in own.iloc[0].to_dict().items()} | {"folders": folders})
    return rows


def _versions() -> dict[str, str]:
    """Versions of Python, of this package and of what it stands on."""
    required = [re.split(r"[^\w-]", line)[0] for line in metadata.requires("bumpscope") or [] if "extra ==" not in line]
    versions = {"bumpscope": __version__, "Python": platform.python_version()}
    return versions | {name: metadata.version(name) for name in sorted(required)}
