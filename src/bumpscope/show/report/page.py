"""The report's page, put together from the tables, the figures and the configuration."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from bumpscope import __version__
from bumpscope.judge.answers import answer
from bumpscope.judge.claims import checks_of, modules, paragraph
from bumpscope.judge.controls import IMBALANCES, in_words
from bumpscope.judge.leaderboard import known_k_star
from bumpscope.judge.verdicts import CONTRADICTED, SUPPORTED, UNDETERMINED
from bumpscope.judge.wording import number
from bumpscope.show import gallery
from bumpscope.show.report.pictures import Picture, figure_names, picture, placed
from bumpscope.store.names import XY, Names
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES

SYMBOLS = {SUPPORTED: "✓", CONTRADICTED: "✗", UNDETERMINED: "?"}
# The tables of all runs that the page links to; those of a run are found through its folder.
TABLES_OF_ALL_RUNS = (
    "claims", "evidence", "leaderboard", "combinations", "coupling", "onsets", "factorisation", "metrics", "runs",
)  # fmt: skip
# Columns of table ``runs`` in which datasets may differ, by their names on the page.
OF_A_DATASET = {
    "image_size": "image (px)", "sigma": "σ (px)", "margin": "margin (px)", "dx": "spacing in x (px)",
    "dy": "spacing in y (px)", "boundary": "boundary", "polarity": "polarity", "skew_axis": "skewed axis",
    "skew_alpha": "exponent of the skew", "holdout": "withheld", "denoiser": "network", "prediction": "predicts",
    "training_steps": "steps", "labels": "labels",
}  # fmt: skip


def build(
    results: Results,
    figures: Path,
    config: dict[str, Any],
    facts: Mapping[str, str] | None = None,
    costs: Mapping[str, str] | None = None,
) -> str:
    """Write the page.

    Args:
        results: tables of the experiment; claims, evidence and coupling may be missing, and the page says so.
        figures: folder with NAME.png and NAME.csv of each figure; the page says which are missing.
        config: the configuration that the experiment ran with, as plain data.
        facts: further lines for the methods, such as the hardware and the time it took.
        costs: what is planned to take how long, in words, by its name in :mod:`bumpscope.judge.remedies`.

    Returns:
        HTML that needs nothing outside itself, and links to the files beside it; the same inputs give the same text.
    """
    environment = Environment(
        loader=PackageLoader("bumpscope.show.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "href": quote, "code": _code}
    pictures = {name: picture(name, figures) for name in figure_names()}
    rows = _table(results, "claims")
    judged = [] if rows is None else rows.to_dict("records")
    places = placed(row["claim"] for row in judged)
    evidence = _table(results, "evidence")
    # The coupling of each dataset stands with the first claim that rests on it.
    coupled = [row["claim"] for row in judged if _reads(row["claim"], "coupling")]
    return environment.get_template("report.html.jinja").render(
        requested=_requested(results.runs),
        opening=pictures[gallery.OPENING],
        claims=None if rows is None else [_claim(row, evidence, pictures, places) for row in judged],
        costs=dict(costs or {}),
        tally=_tally(judged),
        symbols=SYMBOLS,
        coupling=_coupling(_table(results, "coupling")),
        leaderboard=[row | {"known": known_k_star(row)} for row in _rows(_table(results, "leaderboard"))],
        claim_with_coupling=coupled[0] if coupled else "",
        others=[pictures[name] for name in gallery.MAIN[1:] if name not in places],
        appendix=[pictures[name] for name in pictures if name not in gallery.MAIN],
        datasets=_datasets(results.runs),
        differences=_differences(results.runs),
        networks=_networks(results.runs),
        runs=len(results),
        configuration=yaml.safe_dump(config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100),
        facts=dict(facts or {}),
        versions=_versions(),
        tables={TABLES[name].path: TABLES[name].row for name in TABLES_OF_ALL_RUNS},
        tables_of_a_run=[Path(table.path).name for table in TABLES.values() if table.path.startswith("{path}/")],
    )


def _table(results: Results, name: str) -> pd.DataFrame | None:
    return results.table(name) if results.has(name) else None


def _rows(table: pd.DataFrame | None) -> list[dict[Any, Any]]:
    return [] if table is None else table.to_dict("records")


def _reads(claim: str, table: str) -> bool:
    return claim in modules() and any(name == table for name, _ in modules()[claim].READS)


def _claim(
    row: dict[Any, Any], evidence: pd.DataFrame | None, pictures: Mapping[str, Picture], places: Mapping[str, str]
) -> dict[str, Any]:
    """What the page shows of a claim: its row, a paragraph, the checks behind it and its figures."""
    name = row["claim"]
    own = [pictures[figure] for figure in modules()[name].FIGURES if figure in pictures] if name in modules() else []
    return row | {
        "answer": answer(row, checks_of(name, evidence)),
        "paragraph": paragraph(row, evidence),
        "checks": [] if evidence is None else evidence[evidence["claim"] == name].to_dict("records"),
        "shown": [figure for figure in own if _stands_with(figure, name, places)],
        "linked": [figure for figure in own if not _stands_with(figure, name, places)],
    }


def _stands_with(figure: Picture, claim: str, places: Mapping[str, str]) -> bool:
    return places[figure.name] == claim and figure.name in gallery.MAIN


def _code(text: str) -> str:
    """Escaped text with what stands in backticks set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", str(text))


def _tally(claims: list[dict[Any, Any]]) -> str:
    """How many claims have each verdict, as a sentence."""
    if not claims:
        return "No claim has been judged."
    counts = {verdict: sum(claim["verdict"] == verdict for claim in claims) for verdict in SYMBOLS}
    return f"Of {len(claims)} claims, " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + "."


def _coupling(table: pd.DataFrame | None) -> dict[str, list[dict[Any, Any]]] | None:
    """Rows of table ``coupling`` of the model under study and of the references, a dataset's measures together."""
    if table is None:
        return None
    place = {name: place for place, name in enumerate(table["dataset"].unique())}
    ordered = table.sort_values("dataset", key=lambda names: names.map(place), kind="stable")
    own = ordered["reference"] == "none"
    found: dict[str, list[dict[Any, Any]]] = {"own": ordered[own].to_dict("records")}
    unlike = ordered[~ordered["kind"].isin(IMBALANCES)].to_dict("records")
    return found | {"references": ordered[~own].to_dict("records"), "unlike": unlike}


def _requested(runs: pd.DataFrame) -> str:
    """What the networks were trained to draw."""
    worlds = [Names.parse(str(text)) for text in runs["factors"].unique()]
    if set(worlds) == {XY}:
        return "one Gaussian bump at a requested place (x, y)"
    return f"images of requested {', or '.join(names.listed for names in worlds)}"


def _datasets(runs: pd.DataFrame) -> list[dict[Any, Any]]:
    """A row a dataset: its first run's columns, and its seeds with their folders."""
    return [
        own.iloc[0].to_dict()
        | {"folders": list(zip(own["seed"], own["path"], strict=True)), "in_words": in_words(own.iloc[0].to_dict())}
        for _, own in runs.groupby("dataset", sort=False)
    ]


def _differences(runs: pd.DataFrame) -> dict[str, str]:
    """In what the datasets differ, with the values that there are."""
    values = {
        name: list(dict.fromkeys(runs[column].dropna())) for column, name in OF_A_DATASET.items() if column in runs
    }
    texts = {name: [v if isinstance(v, str) else number(v) for v in found] for name, found in values.items()}
    return {name: ", ".join(found) for name, found in texts.items() if len(found) > 1}


def _networks(runs: pd.DataFrame) -> list[dict[Any, Any]]:
    """The networks, with their sizes and the datasets that they were trained on."""
    columns = ["denoiser", "n_parameters", "timesteps"]
    return [
        dict(zip(columns, key, strict=True)) | {"datasets": own["dataset"].unique().tolist()}
        for key, own in runs.groupby(columns, sort=False)
    ]


def _versions() -> dict[str, str]:
    """Versions of Python, of this package and of what it stands on."""
    versions = {"bumpscope": __version__, "Python": platform.python_version()}
    try:
        lines = metadata.requires("bumpscope") or []
    except metadata.PackageNotFoundError:  # a source tree that is not installed
        return versions | {"torch": metadata.version("torch")}
    required = [re.split(r"[^\w-]", line)[0] for line in lines if "extra ==" not in line]
    return versions | {name: metadata.version(name) for name in sorted(required)}
