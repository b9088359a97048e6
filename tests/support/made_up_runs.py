"""Runs made up so that what they show is known: rows of the tables runs, metrics and phases."""

import numpy as np
import pandas as pd

from bumpscope.judge.claims import claims_table, judge, modules
from bumpscope.judge.data import Data
from bumpscope.store.schemas import TABLES
from synthetic_results import TRAINING, metrics_table, with_fingerprint

STEPS = np.array([0, *range(50, 1501, 50)])
EMPTY = {name: pd.DataFrame(columns=TABLES[name].names) for name in ("metrics", "runs", "coupling")}


def metric(quantity, **where):
    """A key for the values of a metric: its quantity, and the qualifying columns of table ``metrics`` that it has."""
    return (("quantity", quantity), *where.items())


CORRECT = {split: metric("share_correct", split=split) for split in ("seen", "heldout", "between")}


def r2(label, x, y=None):
    """Curves of the R² of both axes at the judged place; ``y`` is that of x unless it is given."""
    place = {"layer": "down3", "t": 239, "space": "raw", "noise": "own", "label": label}
    return {metric("r2", factor="x", **place): x, metric("r2", factor="y", **place): x if y is None else y}


def intervention(kind, layer="down3", step=900, own=0.0, other=0.0, told=0.0):
    """A row of table ``interventions``; ``told`` is the R² that is left."""
    row = dict.fromkeys(TABLES["interventions"].names, 0.0)
    row |= {"step": step, "weights": "raw", "intervention": kind, "layer": layer, "samples": 144}
    row |= {"share_own": own, "share_other": other, "share_elsewhere": 1 - own - other}
    return row | {"r2_x": told, "r2_y": -0.1, "knn_r2_x": -0.1, "knn_r2_y": -0.1, "dimension": 14, "t": 239}


def run_row(dataset, seed, dx=1.0, dy=1.0, **other):
    row = {"run": f"{dataset}-seed{seed}", "dataset": dataset, "seed": seed, "dx": dx, "dy": dy}
    row |= {
        "world": "bumps",
        "factors": "x+y",
        "image_size": 16,
        "sigma": 1.0,
        "margin": 2.0,
        "boundary": "plane",
        "polarity": "bright",
    }
    row |= {
        "weights": "raw",
        "skew_axis": "none",
        "skew_alpha": 0.0,
        "holdout": "none",
        "shown": "all",
        "stripes": 0.0,
        "n_images": round(12 / dx) * round(12 / dy),
    }
    return with_fingerprint(row | TRAINING | {"n_parameters": 1000, "path": ""} | other)


class Experiment:
    """Runs, their metrics and phases, put together run by run."""

    def __init__(self):
        self.runs, self.metrics, self.phases, self.interventions = [], [], [], []

    def add(self, dataset, seed, curves=None, latent=None, behaviour=None, umap=None, interventions=(), **other):
        """``curves``: :func:`metric` -> its values at STEPS; ``latent`` and ``behaviour`` are a letter a step.

        In ``latent`` a p stands for a verdict of ? on a cloud that is ordered in part, x for blind, X for both.
        ``umap`` has the same letters; without it no UMAPs were read.
        """
        run = {"run": f"{dataset}-seed{seed}", "dataset": dataset, "seed": seed}
        self.runs.append(run_row(dataset, seed, **other))
        for key, values in (curves or {}).items():
            pairs = zip(STEPS, np.broadcast_to(values, STEPS.shape), strict=True)
            self.metrics += [run | dict(key) | {"step": s, "value": v} for s, v in pairs]
        self.interventions += [run | row for row in interventions]
        latent = latent or "A" * len(STEPS)
        self._read(run, ("down3", 239), latent, behaviour or latent, umap, judged=True)
        return self

    def read_at(self, layer, t, latent):
        """The latents of all runs at another place, a letter a step."""
        for row in self.runs:
            run = {name: row[name] for name in ("run", "dataset", "seed")}
            self._read(run, (layer, t), latent, "A" * len(STEPS))

    def _read(self, run, place, latent, behaviour, umap=None, judged=False):
        layer, t = place
        for s, a, b, u in zip(STEPS, latent, behaviour, umap or [None] * len(STEPS), strict=True):
            (a, order), (u, order_umap) = _verdict(a), _verdict(u)
            where = {"step": s, "weights": "raw", "layer": layer, "t": t, "judged": judged}
            verdicts = {"latent_phase": a, "behaviour_phase": b, "order": order, "reason": ""}
            verdicts |= {"latent_phase_umap": u, "order_umap": order_umap, "latent_phase_umap_shared": None}
            self.phases.append(run | where | verdicts)

    def data(self):
        tables = {"runs": self.runs, "phases": self.phases, "interventions": self.interventions}
        frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
        return Data(frames | {"metrics": metrics_table(self.metrics), "coupling": EMPTY["coupling"]})

    def checks(self, claim):
        return modules()[claim].judge(self.data()).checks

    def judge(self, claim):
        return only(claims_table(judge(self.data())), claim)


def _verdict(letter):
    """A verdict and how far the cloud is ordered."""
    verdict = {"p": "?", "x": "blind", "X": "blind"}.get(letter, letter)
    return verdict, {"C": "full", "p": "partial", "X": "partial", "?": None, None: None}.get(letter, "none")


def number(checks, quantity, subject=""):
    """The value of a check."""
    (value,) = {check.value for check in checks if (check.quantity, check.subject) == (quantity, subject)}
    return value


def only(table, claim):
    rows = table[table.claim == claim]
    assert len(rows) == 1
    return rows.iloc[0]


def letters(b, c):
    """Phase A up to step b, then B up to step c, then C."""
    return "".join("A" if s < b else "B" if s < c else "C" for s in STEPS)


def rise(tau):
    """A curve linear in log step that crosses one half at tau."""
    with np.errstate(divide="ignore"):
        return np.clip(0.5 + np.log(STEPS / tau), 0, 1)


def every(seeds, **run):
    experiment = Experiment()
    for seed in range(seeds):
        experiment.add(
            "balanced", seed, **{key: value(seed) if callable(value) else value for key, value in run.items()}
        )
    return experiment
