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
from bumpscope.judge.claims import modules, paragraph
from bumpscope.judge.verdicts import CONTRADICTED, SUPPORTED, UNDETERMINED
from bumpscope.judge.wording import number
from bumpscope.show.report.pictures import Picture, figure_names, picture, placed
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES

SYMBOLS = {SUPPORTED: "✓", CONTRADICTED: "✗", UNDETERMINED: "?"}
# The tables of all runs that the page links to; those of a run are found through its folder.
TABLES_OF_ALL_RUNS = ("claims", "evidence", "coupling", "onsets", "factorisation", "metrics", "runs")


def build(results: Results, figures: Path, config: dict[str, Any], facts: Mapping[str, str] | None = None) -> str:
    """Write the page.

    Args:
        results: tables of the experiment; claims, evidence and coupling may be missing, and the page says so.
        figures: folder with NAME.png and NAME.csv of each figure; the page says which are missing.
        config: the configuration that the experiment ran with, as plain data.
        facts: further lines for the methods, such as the hardware and the time it took.

    Returns:
        HTML that needs nothing outside itself, and links to the files beside it; the same inputs give the same text.
    """
    environment = Environment(
        loader=PackageLoader("bumpscope.show.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "href": quote}
    pictures = {name: picture(name, figures) for name in figure_names()}
    rows = _table(results, "claims")
    judged = [] if rows is None else rows.to_dict("records")
    places = placed(row["claim"] for row in judged)
    evidence = _table(results, "evidence")
    # The coupling of each dataset stands with the first claim that rests on it.
    coupled = [row["claim"] for row in judged if _reads(row["claim"], "coupling")]
    return environment.get_template("report.html.jinja").render(
        claims=None if rows is None else [_claim(row, evidence, pictures, places) for row in judged],
        tally=_tally(judged),
        symbols=SYMBOLS,
        coupling=_coupling(_table(results, "coupling")),
        claim_with_coupling=coupled[0] if coupled else "",
        others=[pictures[name] for name in pictures if name not in places],
        datasets=_datasets(results.runs),
        runs=len(results),
        configuration=yaml.safe_dump(config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100),
        facts=dict(facts or {}),
        versions=_versions(),
        tables={TABLES[name].path: TABLES[name].row for name in TABLES_OF_ALL_RUNS},
        tables_of_a_run=[Path(table.path).name for table in TABLES.values() if table.path.startswith("{path}/")],
    )


def _table(results: Results, name: str) -> pd.DataFrame | None:
    return results.table(name) if results.has(name) else None


def _reads(claim: str, table: str) -> bool:
    return claim in modules() and any(name == table for name, _ in modules()[claim].READS)


def _claim(
    row: dict[Any, Any], evidence: pd.DataFrame | None, pictures: Mapping[str, Picture], places: Mapping[str, str]
) -> dict[str, Any]:
    """What the page shows of a claim: its row, a paragraph, the checks behind it and its figures."""
    name = row["claim"]
    own = [pictures[figure] for figure in modules()[name].FIGURES if figure in pictures] if name in modules() else []
    return row | {
        "paragraph": paragraph(row, evidence),
        "checks": [] if evidence is None else evidence[evidence["claim"] == name].to_dict("records"),
        "shown": [figure for figure in own if places[figure.name] == name],
        "linked": [figure for figure in own if places[figure.name] != name],
    }


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
    return {"own": ordered[own].to_dict("records"), "references": ordered[~own].to_dict("records")}


def _datasets(runs: pd.DataFrame) -> list[dict[Any, Any]]:
    """A row a dataset: its first run's columns, and its seeds with their folders."""
    return [
        own.iloc[0].to_dict() | {"folders": list(zip(own["seed"], own["path"], strict=True))}
        for _, own in runs.groupby("dataset", sort=False)
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
