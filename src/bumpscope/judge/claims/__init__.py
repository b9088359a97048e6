"""The claims: what the paper says, and what these runs say of it, by rules fixed here.

Each module of this package is a claim:

- ``ID``, ``STATEMENT``: its name and what is claimed;
- ``QUESTION``: the same as a plain question, to which support is a yes;
- ``STATISTIC``: the number that it is judged by;
- ``READS``: pairs of a table and which of its rows, as in :meth:`bumpscope.store.results.Results.table`;
- ``FIGURES``: names of the figures that show it, the most telling first;
- ``CAVEAT``: a sentence on what limits the verdict, whatever it is;
- ``MORE``: quantity of a check -> what to run where it stands in the way of a verdict;
- ``judge(data)``: the rule, a list of checks on :class:`bumpscope.judge.data.Data`.

Rules that hold for all:

- The unit is the seed. Runs of one seed on several datasets are averaged first (or must all agree, for a share), so
  that they do not pass for independent evidence. Intervals over seeds are Student t, on ln steps for times; those of
  shares are Clopper-Pearson.
- Below five seeds a verdict is undetermined, and the estimate descriptive.
- A run that was stopped before it could show what is asked neither supports nor contradicts.
- Reference models, whose learning is known by construction, do not count.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from bumpscope.judge.data import Data
from bumpscope.judge.verdicts import SHOWN, Check, Judged, sentences
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from bumpscope.store.selection import matching

_FOUND = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]


def modules() -> dict[str, ModuleType]:
    """ID -> module of each claim in this folder, in the order of the IDs."""
    return {module.ID: module for module in sorted(_FOUND, key=lambda module: module.ID)}


def read(results: Results) -> Data:
    """The rows that the claims read."""
    parts: dict[str, list[pd.DataFrame]] = {"runs": [results.table("runs")]}
    with warnings.catch_warnings():
        # Some runs are not probed in all ways; the rules say what is missing.
        warnings.simplefilter("ignore")
        for name, where in _reads():
            if results.has(name):
                parts.setdefault(name, []).append(results.table(name, **where))
    return Data({name: pd.concat(each).drop_duplicates(ignore_index=True) for name, each in parts.items()})


def read_of_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table ``metrics`` that the claims read."""
    fitting = [matching(metrics, **where).index for name, where in _reads() if name == "metrics"]
    return metrics[metrics.index.isin(np.concatenate(fitting))]


def _reads() -> list[tuple[str, dict[str, Any]]]:
    """What the claims read, each selection once."""
    found: list[tuple[str, dict[str, Any]]] = []
    for module in modules().values():
        found += [selection for selection in module.READS if selection not in found]
    return found


def judge(data: Data) -> dict[str, Judged]:
    """Every claim judged, by its ID; without data it is undetermined."""
    return {name: module.judge(data) for name, module in modules().items()}


def claims(
    metrics: pd.DataFrame,
    runs: pd.DataFrame,
    phases: pd.DataFrame,
    coupling: pd.DataFrame,
    **others: pd.DataFrame | None,
) -> pd.DataFrame:
    """The table ``claims``, from tables of these names; those of single runs have the columns run, dataset and seed."""
    tables = {"metrics": metrics, "runs": runs, "phases": phases, "coupling": coupling}
    return claims_table(judge(Data(tables | {name: table for name, table in others.items() if table is not None})))


def claims_table(judged: Mapping[str, Judged]) -> pd.DataFrame:
    """The table ``claims``, of claims that have been judged."""
    table = []
    for name, found in judged.items():
        module, reason = modules()[name], sentences(check for check in found.checks if check.role != SHOWN)
        row = (name, module.STATEMENT, module.STATISTIC, *found.estimate, found.runs, found.verdict, reason)
        table.append(row)
    return pd.DataFrame(table, columns=TABLES["claims"].names)


def evidence_table(judged: Mapping[str, Judged]) -> pd.DataFrame:
    """The table ``evidence``, of claims that have been judged."""
    table = [{"claim": name} | asdict(check) for name, found in judged.items() for check in found.checks]
    return pd.DataFrame(table, columns=TABLES["evidence"].names)


def checks_of(claim: str, evidence: pd.DataFrame | None) -> list[Check]:
    """The checks of a claim, from the table ``evidence``."""
    if evidence is None:
        return []
    own = evidence[evidence["claim"] == claim]
    return [
        Check(**{str(name): value for name, value in row.items() if name != "claim"}) for row in own.to_dict("records")
    ]


def paragraph(claim: Mapping[str, Any], evidence: pd.DataFrame | None) -> str:
    """The checks of a claim in words.

    Args:
        claim: a row of the table ``claims``.
        evidence: the table ``evidence``; without rows of the claim the reason stands for them.
    """
    return sentences(checks_of(claim["claim"], evidence)) or str(claim["reason"])
