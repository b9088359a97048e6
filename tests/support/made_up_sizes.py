"""Runs of bumps of different sizes, made up so that the onsets of x and size are known."""

import json
import math

import numpy as np
import pandas as pd

from bumpscope.config.lattice import Lattice
from bumpscope.judge.controls import lattice_of
from bumpscope.judge.unlike import levels
from bumpscope.worlds.named import world_of
from made_up_runs import run_row
from synthetic_results import metrics_table

STEPS = np.array([0, 50, *range(100, 1001, 25)])
FAST, SLOW = 250.0, 500.0
MIDDLE = math.sqrt(FAST * SLOW)
BOTH, ONE_SIZE, ONE_X = {"sizes": 12}, {"sizes": 1}, {"sizes": 12, "dx": 12.0}


def row_of(name, seed=0, sizes=12, **other):
    world = json.dumps({"kind": "sized", "sizes": sizes, "ratio": 3.0}, sort_keys=True)
    return run_row(name, seed, **{"world": world, "factors": "x size"} | other) | {"dy": np.nan}


PLANE = world_of(lattice_of(row_of("sized")))
SOLID = world_of(
    Lattice.model_validate({"margin": 3.0, "dx": 2.0, "dy": 2.0, "world": {"kind": "sized_xy", "sizes": 3}})
)
LEVELS = levels(PLANE)


def tables(datasets, seeds=5, noise=0.02):
    """Runs whose resolution crosses the levels of both factors at the onsets given: name -> (onsets, properties)."""
    runs, metrics = [], []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        common = math.exp(0.2 * random.standard_normal())
        for name, (times, kind) in datasets.items():
            runs.append(row_of(name, seed, **kind))
            for factor, tau in zip(("x", "size"), times, strict=True):
                if tau is None:
                    continue
                late = tau * common * math.exp(noise * random.standard_normal())
                known = LEVELS[factor] * np.clip((late / np.maximum(STEPS, 1)) ** 2, 0.2, 8.0)
                row = {"run": f"{name}-seed{seed}", "dataset": name, "seed": seed, "factor": factor, "t": 450}
                row |= {"quantity": "resolution", "weights": "raw"}
                metrics += [row | {"step": s, "value": v} for s, v in zip(STEPS, known, strict=True)]
    return metrics_table(metrics), pd.DataFrame(runs)


def experiment(x, size, nulls=(FAST, SLOW)):
    alone = {"x alone": ((nulls[0], None), ONE_SIZE), "size alone": ((None, nulls[1]), ONE_X)}
    return {"sized": ((x, size), BOTH)} | alone
