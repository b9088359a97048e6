"""The claims table: what the paper says, what these runs say, and a verdict by a rule fixed here.

Every claim is a function from tables to a row; its docstring, in :mod:`bumpscope.judge.claims.phases` or
:mod:`bumpscope.judge.claims.data`, is its rule. Rules that hold for all:

- The unit is the seed. Runs of one seed on several datasets are averaged first (or must all agree, for a share),
  so that they do not pass for independent evidence. Intervals over seeds are Student t, on ln steps for times;
  shares have Clopper-Pearson intervals.
- Below five seeds a verdict is undetermined and the estimate descriptive.
- A run that was stopped before it could show what is asked neither supports nor contradicts.
- Reference models, whose learning is known by construction, say nothing of any claim.
- C1, C2, C3, C4 and C6 are judged on balanced datasets on a plane (dx = dy, no skew); all but C4, which compares
  datasets, on those of them with the most seeds, and of these on those probed at the most checkpoints. A dataset shown
  with one seed or few checkpoints would else blur the onsets of one that was made to time them. C6, for which only the
  last checkpoint counts, takes those with withheld combinations and the most seeds beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

import pandas as pd

from bumpscope.judge.claims.data import axes_are_coupled, density_hastens, new_centres_are_right
from bumpscope.judge.claims.phases import order_is_necessary, passes_in_order, phases_coincide
from bumpscope.judge.controls import balanced_planes
from bumpscope.judge.histories import histories
from bumpscope.judge.verdicts import Claim, Judged
from bumpscope.store.schemas import TABLES

# The quantities of table ``metrics`` that claims are judged by.
QUANTITIES = ("share_correct", "r2", "latent_phase")


def judge(metrics: pd.DataFrame, runs: pd.DataFrame, phases: pd.DataFrame, coupling: pd.DataFrame) -> list[Judged]:
    """C1 to C6 judged, whatever data there are.

    Args:
        metrics: table ``metrics`` of all runs.
        runs: table ``runs``.
        phases: columns run, dataset, seed and those of the table ``phases``.
        coupling: table ``coupling``.
    """
    planes = balanced_planes(runs)
    judged = _best_timed(planes, runs, phases)
    passed = histories(phases, judged.index)
    return [
        passes_in_order(passed, metrics),
        phases_coincide(passed),
        order_is_necessary(metrics, passed),
        density_hastens(metrics, planes, histories(phases, planes.index)),
        axes_are_coupled(coupling),
        new_centres_are_right(metrics, pd.concat([judged, _withheld(planes, runs)])),
    ]


def claims(metrics: pd.DataFrame, runs: pd.DataFrame, phases: pd.DataFrame, coupling: pd.DataFrame) -> pd.DataFrame:
    """The table ``claims``, a row for each of C1 to C6; arguments as of :func:`judge`."""
    return claims_table(judge(metrics, runs, phases, coupling))


def claims_table(judged: Sequence[Judged]) -> pd.DataFrame:
    """The table ``claims`` of claims that have been judged."""
    return pd.DataFrame([asdict(one.claim) for one in judged], columns=[field.name for field in fields(Claim)])


def evidence_table(judged: Sequence[Judged]) -> pd.DataFrame:
    """The table ``evidence`` of claims that have been judged."""
    rows = [{"claim": one.claim.claim} | asdict(number) for one in judged for number in one.evidence]
    return pd.DataFrame(rows, columns=TABLES["evidence"].names)


def _best_timed(planes: pd.DataFrame, runs: pd.DataFrame, phases: pd.DataFrame) -> pd.DataFrame:
    """The rows of those datasets with the most seeds, and of these with the most probed checkpoints."""
    return _with_most(_with_most(planes, runs, "seed"), phases, "step")


def _withheld(planes: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of those datasets that withhold combinations and have the most seeds."""
    best = _with_most(planes, runs, "seed")
    return best[best["withheld"]] if len(best) else best


def _with_most(planes: pd.DataFrame, table: pd.DataFrame, counted: str) -> pd.DataFrame:
    """The rows of those datasets for which ``table`` has the most different values of ``counted``."""
    if planes.empty or table.empty:
        return planes
    counts = table.groupby("dataset")[counted].nunique().reindex(planes.index, fill_value=0)
    return planes[counts.to_numpy() == counts.max()]
