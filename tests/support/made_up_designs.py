"""Accuracies on designs made up so that K* and its exponent are known, and the tables that a workflow would have."""

import math

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from bumpscope.judge import leaderboard as benchmark
from bumpscope.judge.combinations import COLUMNS, RIGHT
from bumpscope.judge.data import Data
from made_up_runs import run_row
from synthetic_results import metrics_table

EACH = [1, 2, 4, 8]


def made_up(arm, positions, k_star, each=EACH, seeds=5, slope=3.0, requests=96, draw=0, spread=0.0):
    """Accuracies that rise as a logistic in ln K through 0.9 at ``k_star``; ``spread``: of ln K* over seeds."""
    generator = np.random.default_rng([draw, positions, round(1000 * k_star)])
    moved = generator.normal(0, spread, seeds)
    rows = []
    for k in (k for k in each if k < positions):
        chances = expit(slope * (math.log(k * positions / k_star) - moved) + logit(RIGHT))
        right = generator.binomial(requests, chances)
        rows += [(arm, positions, k * positions, seed, number, requests) for seed, number in enumerate(right)]
    return pd.DataFrame(rows, columns=COLUMNS)


# A plain network that memorises, one that factorises, and some between.
ARMS = pd.concat(
    [
        made_up(arm, n, k_star * (n / 8) ** power, each=[1, 2, 4, 6], seeds=3, requests=64)
        for n in (8, 12)
        for arm, k_star, power in (
            ("unet", 42, 2),
            ("coind", 90, 2),
            ("unet + stripes", 30, 1.5),
            ("relative", 18, 1),
            ("rendering", 6, 1),
        )
    ]
)


def tables(curves, seen=0.98, order="even", **keys):
    """Tables runs, metrics and arms of runs with these accuracies.

    Args:
        curves: rows of :func:`made_up`; an arm ends in " + stripes" where training has them.
        order: of the designs, even or random: each seed then has a design and so a dataset of its own.
        keys: columns of table ``runs``.
    """
    runs, metrics, arms = [], [], {}
    for row in curves.to_dict("records"):
        denoiser, _, stripes = row["arm"].partition(" + ")
        k, n = row["shown"] // row["positions"], row["positions"]
        dataset = f"{row['arm'].replace(' ', '')}-{keys.get('image_size', 16)}-n{n}-k{k}"
        shown = f"each={k}"
        if order == "random":
            dataset, shown = f"{dataset}-order{row['seed']}", f"{shown}, seed={row['seed']}"
        design = {"shown": shown, "n_images": row["shown"], "dx": 12 / n, "dy": 12 / n}
        own = design | {"denoiser": denoiser, "network": denoiser, "stripes": 0.4 if stripes else 0.0}
        runs.append(run_row(dataset, row["seed"], **(own | keys)))
        arms[dataset] = {"dataset": dataset, "told": "" if denoiser == "unet" else "a bias", "n_parameters": 1000}
        arms[dataset] |= {"operations": 10_000, "training_operations": 30_000}
        share = row["right"] / row["requests"]
        who = {name: runs[-1][name] for name in ("run", "dataset", "seed")} | {"step": 800, "weights": "raw"}
        numbers = [("right_0.45", "heldout", share), ("requests", "heldout", row["requests"])]
        numbers += [("right_0.45", "seen", seen), ("requests", "seen", 128.0)]
        metrics += [who | {"quantity": name, "split": split, "value": value} for name, split, value in numbers]
        for factor in "xy":
            axis = {"factor": factor, "value": math.sqrt(share)}
            metrics.append(who | {"quantity": "right_axis_0.45", "split": "heldout"} | axis)
            use = {"quantity": "heldout", "factor": factor, "t": 450}
            metrics += [who | use | {"step": step, "value": value} for step, value in ((200, 0.0), (400, 1.0))]
    return pd.DataFrame(runs), metrics_table(metrics), pd.DataFrame(arms.values())


def together(*several):
    """Tables runs, metrics and arms of several :func:`tables`, as of one experiment."""
    return [pd.concat(one, ignore_index=True) for one in zip(*several, strict=True)]


def benchmark_tables(curves, **keys):
    """Tables combinations and leaderboard of runs with these accuracies."""
    return of_tables(*tables(curves, **keys))


def of_tables(runs, metrics, arms):
    """Tables combinations and leaderboard of tables of runs."""
    read = benchmark.of_designs(runs, metrics)
    return benchmark.cells(read), benchmark.leaderboard(read, arms)


def drawn(dataset, seed, heldout, seen=0.98, requests=64, **keys):
    """A row of table ``runs`` and the rows of ``metrics`` of a run with these shares right after its last step."""
    run = run_row(dataset, seed, **keys)
    who = {name: run[name] for name in ("run", "dataset", "seed")} | {"step": 800, "weights": "raw"}
    numbers = [("right_0.45", "heldout", heldout), ("requests", "heldout", requests)]
    numbers += [("right_0.45", "seen", seen), ("requests", "seen", 2 * requests)]
    return run, [who | {"quantity": name, "split": split, "value": value} for name, split, value in numbers]


def data_of(runs):
    """What claims read of runs of :func:`drawn`."""
    rows = [row for row, _ in runs]
    metrics = metrics_table([number for _, numbers in runs for number in numbers])
    return Data({"runs": pd.DataFrame(rows), "metrics": metrics})
