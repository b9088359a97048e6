"""The factorisation benchmark: what runs on designs drew, and which arm must be shown the fewest combinations.

Runs are compared only where their lattices and their trainings agree in all but the spacing, the number of combinations
and the arm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bumpscope.judge.combinations import beyond_product, compared, guardrails, label_onsets
from bumpscope.judge.intervals import clustered_share_interval
from bumpscope.judge.learning_curves import middle
from bumpscope.measure.lattice_scale import QUANTITIES as SHARES_RIGHT
from bumpscope.measure.metrics import ON_AXIS
from bumpscope.store.schemas import TABLES

BASELINE = "unet"
# Copies of training images would often be right within 1 px, the spacing of a fine lattice, and never are within this.
RIGHT = SHARES_RIGHT[-1]
QUANTITIES = [RIGHT, "requests", ON_AXIS, "heldout"]
# The rows of table ``metrics`` that :func:`at_last_step` needs for what claims read.
SHARES: dict[str, Any] = {"quantity": [RIGHT, "requests"], "split": ["seen", "heldout"], "label": None}
# Columns of table ``runs`` in which arms that are compared agree.
SETTINGS = ["image_size", "sigma", "margin", "boundary", "polarity", "skew_axis", "skew_alpha", "prediction"]
SETTINGS += ["timesteps", "noise_schedule", "batch_size", "training_steps", "learning_rate", "schedule"]
SETTINGS += ["warmup_steps", "weight_decay", "gradient_clip", "ema_decay", "precision", "weights"]
ARM = ["setting", "arm", "design", "positions", "image_size", "training_steps"]
# Kinds of designs, as column ``design``.
EVEN, RANDOM = "even", "random"
# The end of its interval that K* is at most or at least.
ENDS = {"at most": "high", "at least": "low"}


def of_designs(runs: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """What each run on a design with k combinations in each row drew after its last step.

    Args:
        runs: table ``runs``.
        metrics: rows of table ``metrics`` with :data:`QUANTITIES`, judged weights, no label.

    Returns:
        A row a run: dataset, seed, ``setting`` (a number for what :data:`SETTINGS` say), ``arm`` as by :func:`arms`,
        ``design`` (even or random), ``positions`` (N), image_size, training_steps, ``shown`` (K), ``requests`` and
        ``right`` (numbers of images of withheld combinations), ``heldout`` and ``seen`` (shares right), ``right_x`` and
        ``right_y`` (withheld, on one axis), use_x, use_y, onset_x, onset_y. Runs without images are left out.
    """
    return drawn_on_designs(runs, metrics).join(_use(metrics), on="run")


def drawn_on_designs(runs: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """As :func:`of_designs`, without use and onsets; ``right_x`` and ``right_y`` are empty without their metrics."""
    last = at_last_step(metrics)
    found = runs[runs["shown"].str.startswith("each=") & (runs["labels"] == "own") & runs["run"].isin(last.index)]
    columns: dict[str, Any] = {
        "setting": found.groupby(SETTINGS, dropna=False, sort=False).ngroup(),
        "arm": arms(found),
        "design": np.where(found["shown"].str.contains("seed="), RANDOM, EVEN),
        "positions": ((found["image_size"] - 2 * found["margin"]) / found["dx"]).round().astype(int),
        "shown": found["n_images"],
    }
    of_runs = found[["run", "dataset", "seed", "image_size", "training_steps"]].assign(**columns)
    of_runs = of_runs.join(last, on="run")
    return of_runs.assign(right=of_runs["heldout"] * of_runs["requests"]).reset_index(drop=True)


def arms(runs: pd.DataFrame) -> pd.Series:
    """The arm of each run: its denoiser, and stripes where its dataset has them; sizes and shares where they differ."""
    names = runs["denoiser"].where(runs["stripes"] == 0, runs["denoiser"].astype(str) + " + stripes")
    for differs, told, word in (("stripes", "stripes", ""), ("network", "n_parameters", " parameters")):
        several = runs.groupby([names, "image_size"])[differs].transform("nunique") > 1
        longer = [f"{name} ({value:g}{word})" for name, value in zip(names, runs[told], strict=True)]
        names = names.where(~several, pd.Series(longer, runs.index, dtype="str"))
    return names


def at_last_step(metrics: pd.DataFrame) -> pd.DataFrame:
    """By run: requests, heldout, seen, right_x and right_y after the last step, as by :func:`of_designs`."""
    names = {
        ("requests", "heldout", ""): "requests",
        (RIGHT, "heldout", ""): "heldout",
        (RIGHT, "seen", ""): "seen",
        (ON_AXIS, "heldout", "x"): "right_x",
        (ON_AXIS, "heldout", "y"): "right_y",
    }
    keys = zip(metrics["quantity"], metrics["split"].fillna(""), metrics["factor"].fillna(""), strict=True)
    rows = metrics.assign(name=[names.get(key, "") for key in keys])
    rows = rows[rows["name"] != ""]
    rows = rows[rows["step"] == rows.groupby("run")["step"].transform("max")]
    return rows.pivot(index="run", columns="name", values="value").reindex(columns=list(names.values()))


def _use(metrics: pd.DataFrame) -> pd.DataFrame:
    """By run: use of each label for withheld combinations after the last step, and when it reaches one half."""
    use = metrics[(metrics["quantity"] == "heldout") & metrics["factor"].isin(["x", "y"])].dropna(subset="value")
    use = use[use["t"] == use.groupby("run")["t"].transform(middle)]
    last = use.sort_values("step").groupby(["run", "factor"])["value"].last().unstack("factor")
    onsets = label_onsets(use).pivot(index="run", columns="factor", values="time")
    both = [table.reindex(columns=["x", "y"]) for table in (last, onsets)]
    return both[0].add_prefix("use_").join(both[1].add_prefix("onset_"), how="outer")


def cells(runs: pd.DataFrame) -> pd.DataFrame:
    """Table ``combinations``, from rows of :func:`of_designs`."""
    names = TABLES["combinations"].names
    rows = []
    for keys, own in runs.groupby([*ARM, "shown"], sort=False):
        of_seeds = own.groupby("seed")["heldout"].mean()
        heldout = clustered_share_interval(of_seeds.to_numpy(), own["requests"].sum())
        ends = heldout[1:] if len(of_seeds) > 1 else (np.nan, np.nan)
        with np.errstate(divide="ignore"):
            onsets = {name: float(np.exp(np.log(own[name]).mean())) for name in ("onset_x", "onset_y")}
        row = dict(zip([*ARM, "shown"], keys, strict=True)) | onsets
        row |= {"heldout": heldout[0], "heldout_low": ends[0], "heldout_high": ends[1]}
        row |= {name: own[name].mean() for name in ("seen", "use_x", "use_y")}
        row["beyond_product"] = beyond_product(*(own[name].to_numpy() for name in ("heldout", "right_x", "right_y")))[0]
        rows.append(row | {"requests": int(own["requests"].sum()), "runs": len(own)})
    return pd.DataFrame(rows, columns=names)


def leaderboard(runs: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """Table ``leaderboard``: on each size of lattice the arm that needs the fewest combinations first.

    Args:
        runs: rows of :func:`of_designs`.
        told: table ``arms``.
    """
    names = TABLES["leaderboard"].names
    alike = runs.groupby(["setting", "design"], sort=False)
    parts = [_of_setting(own.merge(told, on="dataset")) for _, own in alike]
    return pd.concat(parts, ignore_index=True)[names] if parts else pd.DataFrame(columns=names)


def _of_setting(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of arms that agree in their settings and in the kind of their designs."""
    sizes = ["n_parameters", "operations", "training_operations"]
    grouped = runs.groupby(["arm", "positions"], sort=False)
    facts = grouped[["design", "image_size", "training_steps", "told", *sizes]].first()
    facts["seen_accuracy"], facts["runs"] = grouped["seen"].mean(), grouped.size()
    facts["told"] = [
        _with_stripes(str(text), str(arm)) for text, (arm, _) in zip(facts["told"], facts.index, strict=True)
    ]
    plain = facts.loc[BASELINE].iloc[0] if BASELINE in facts.index else None
    facts["guardrails"] = [_guardrails(row, plain, sizes) for row in facts.to_dict("records")]
    table = compared(runs, BASELINE).join(facts, on=["arm", "positions"])
    return table.sort_values(["positions", "k_star"], kind="stable", ignore_index=True)


def in_words(row: Mapping[Any, Any]) -> str:
    """The lattice and the training of a row of table ``leaderboard``."""
    return f"N = {row['positions']}, {setting_in_words(row)}"


def setting_in_words(row: Mapping[Any, Any]) -> str:
    """What a row of table ``leaderboard`` shares with those of other N."""
    told = f"{row['image_size']} px, {row['training_steps']} steps"
    return f"{told}, random order" if row["design"] == RANDOM else told


def known_k_star(row: Mapping[Any, Any]) -> float:
    """K* of a row of table ``leaderboard``, or the end of its interval, if any, that it is at most or at least."""
    end = row[ENDS.get(row["bound"], "k_star")]
    return float(row["k_star"] if math.isnan(end) else end)


def _with_stripes(told: str, arm: str) -> str:
    return "; ".join(filter(None, [told, "stripes" if " + stripes" in arm else ""]))


def _guardrails(row: Mapping[Any, Any], plain: pd.Series | None, sizes: list[str]) -> str:
    if plain is None:
        return "; ".join([*guardrails(row["seen_accuracy"], {}), f"no {BASELINE} to compare sizes with"])
    words = {name: name.removeprefix("n_").replace("_", " ") for name in sizes}
    return "; ".join(guardrails(row["seen_accuracy"], {words[name]: (row[name], plain[name]) for name in sizes}))
