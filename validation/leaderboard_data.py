"""What the page of the factorisation benchmark tells, put together from the results of several experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from bumpscope.config.lattice import Lattice
from bumpscope.judge.controls import lattice_of
from bumpscope.judge.leaderboard import BASELINE, EVEN, RANDOM, RIGHT, SHARES
from bumpscope.measure.lattice_scale import on_lattice_scale
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES

ORDER = "random order"
# px around a request in which shown combinations are counted: at N = 8 the eight next to it.
NEAR = 2.3


@dataclass(frozen=True)
class Measured:
    """What was measured; tables are empty where there are none.

    Attributes:
        board, cells: tables ``leaderboard`` and ``combinations``.
        runs, metrics: tables of these names, of the latter what :data:`SHARES` names.
        claims: table ``claims``, with ``place``, what tells the experiment from that of the preset; of further
            experiments what could be judged.
        evidence: table ``evidence``.
        asked: rows of :func:`of_plain`.
    """

    board: pd.DataFrame
    cells: pd.DataFrame
    runs: pd.DataFrame
    metrics: pd.DataFrame
    claims: pd.DataFrame
    evidence: pd.DataFrame
    asked: pd.DataFrame


def joined(name: str, several: list[Results], **where: Any) -> pd.DataFrame:
    """The rows of a table of all that have it."""
    parts = [results.table(name, **where) for results in several if results.has(name)]
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=TABLES[name].names)


def gathered(several: list[Results], usual: int) -> Measured:
    """The tables of several experiments put together.

    Datasets have the same name in several, and so have their runs; those after the first get its number in front.

    Args:
        usual: steps of a training of the first.
    """
    tables = {name: joined(name, several) for name in ("leaderboard", "combinations", "evidence")}
    told, runs, metrics, asked = [], [], [], [of_plain(results, usual) for results in several if results.has("runs")]
    for number_of, results in enumerate(several):
        if results.has("claims"):
            judged = joined("claims", [results]).assign(place=_told_apart(joined("combinations", [results]), usual))
            told.append(judged[judged["estimate"].notna()] if number_of else judged)
        if results.has("runs") and results.has("metrics"):
            parts = [joined("runs", [results]), joined("metrics", [results], **SHARES)]
            if number_of:
                for part in parts:
                    part[["run", "dataset"]] = f"{number_of}/" + part[["run", "dataset"]]
            runs.append(parts[0])
            metrics.append(parts[1])
    claims = pd.concat(told, ignore_index=True) if told else pd.DataFrame(columns=[*TABLES["claims"].names, "place"])
    both = [
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=TABLES[name].names)
        for name, parts in (("runs", runs), ("metrics", metrics))
    ]
    together = pd.concat(asked, ignore_index=True) if asked else pd.DataFrame()
    return Measured(tables["leaderboard"], tables["combinations"], *both, claims, tables["evidence"], together)


def of_plain(results: Results, steps: int) -> pd.DataFrame:
    """What the plain UNet drew after the last step for each withheld combination of the designs.

    Args:
        steps: of the trainings that count.

    Returns:
        A row a request: design, image_size, positions, each (k), and the columns of :func:`with_surroundings`.
    """
    rows = []
    for run in results:
        shown, stripes = str(run.info["shown"]), run.info["stripes"]
        usual = run.info["training_steps"] == steps and run.info["denoiser"] == BASELINE
        if not (usual and shown.startswith("each=") and not stripes and run.has("behaviour")):
            continue
        drawn = run.table("behaviour", split="heldout")
        drawn = drawn[drawn["step"] == drawn["step"].max()]
        points, lattice = results.table("dataset", dataset=run.dataset, split="seen"), lattice_of(run.info)
        own = with_surroundings(drawn, points, lattice)
        n = lattice.counts[0]
        design = RANDOM if "seed=" in shown else EVEN
        rows.append(own.assign(design=design, image_size=lattice.image_size, positions=n, each=len(points) // n))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def with_surroundings(drawn: pd.DataFrame, points: pd.DataFrame, lattice: Lattice) -> pd.DataFrame:
    """Of each image how many of the shown ``points`` lie around what was asked, and what was drawn.

    Args:
        drawn: rows of table ``behaviour``.

    Returns:
        ``around``, the number within :data:`NEAR`; ``right``; and ``copied``, whether it would have been right for a
        point that was shown.
    """
    centres = points[["mu_x", "mu_y"]].to_numpy()
    away = np.abs(drawn[["x", "y"]].to_numpy()[:, None] - centres).max(axis=2)
    at = centres[np.where(np.isnan(away), np.inf, away).argmin(axis=1)]
    instead = drawn.assign(mu_x=at[:, 0], mu_y=at[:, 1])
    columns = {"right": on_lattice_scale(drawn, lattice)[RIGHT], "copied": on_lattice_scale(instead, lattice)[RIGHT]}
    return pd.DataFrame(columns).assign(around=(cdist(drawn[["mu_x", "mu_y"]], centres) <= NEAR).sum(axis=1))


def _told_apart(cells: pd.DataFrame, usual: int) -> str:
    """What tells the designs of an experiment from evenly spaced ones of the usual training."""
    told = [ORDER] if len(cells) and (cells["design"] == RANDOM).all() else []
    return ", ".join([*told, *(f"{step} steps" for step in cells["training_steps"].unique() if step != usual)])
