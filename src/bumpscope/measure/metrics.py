"""The numbers of a run in one tidy table: a row a number of a checkpoint, its qualifiers in its name.

Names, with ``split`` one of seen, heldout, between, all:

- ``outcome/{outcome}/{split}``: share of the generated images that are none, multiple, misplaced, correct;
- ``accuracy/{0.5px, 1px, 2px}/{split}``: share with exactly one bump, within this distance of the request;
- ``accuracy_x/{split}``, ``accuracy_y/{split}``: among the images with one bump, share within the tolerance on
  this axis. Divided by the images with one bump and not by all: a factor common to both axes would make them
  rise together whatever the network learns;
- ``error``, ``amplitude``, ``width`` ``/{split}``: medians over the images with one bump, px, intensity, px;
- ``{column}/t={t}/{weights}`` for every column of the table ``effects``;
- ``{column}/t={t}/ema/x={bin},y={bin}`` for every column of the table ``frequency``, where that was measured, and
  ``accuracy_x``, ``accuracy_y``, ``outcome/correct`` ``/seen/x={bin},y={bin}`` beside them; a bin is common, middle,
  rare or all;
- ``{metric}/{layer}/t={t}/{space}/{label}`` for every geometry number, without the label where none is used; of the
  control with shared noise ``.../shared noise`` at the end;
- ``betti_{dimension}/{layer}/t={t}``: number of significant bars;
- ``latent_phase``, ``behaviour_phase``: 0, 1, 2 for A, B, C, empty for ?; ``latent_phase/{layer}/t={t}`` for every
  place that was read, the generated images among them;
- ``loss``: at the last logged step up to the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeGuard

import numpy as np
import pandas as pd
from pandas.api.typing import DataFrameGroupBy

from bumpscope.config.lattice import Lattice
from bumpscope.measure.phases import latent_phases
from bumpscope.probe.frequency import ALL
from bumpscope.worlds.bumps import frequency_bins

OUTCOMES = ("none", "multiple", "misplaced", "correct")
DISTANCES = (0.5, 1.0, 2.0)
# With fewer images of a single bump their share on an axis is chance: of 16, guessing reaches one half in 1 of 400.
FEWEST_SINGLE_BUMPS = 16
PHASES = {"A": 0.0, "B": 1.0, "C": 2.0}
COLUMNS = ["run", "dataset", "seed", "step", "metric", "value"]


def run_metrics(
    run: str,
    dataset: str,
    seed: int,
    *,
    losses: pd.DataFrame | None = None,
    behaviour: pd.DataFrame | None = None,
    geometry: pd.DataFrame | None = None,
    topology: pd.DataFrame | None = None,
    effects: pd.DataFrame | None = None,
    phases: pd.DataFrame | None = None,
    frequency: pd.DataFrame | None = None,
    lattice: Lattice,
    tolerance: float = 1.0,
) -> pd.DataFrame:
    """Rows of the table ``metrics`` for one run.

    Args:
        losses, behaviour, geometry, topology, effects, phases, frequency: the run's tables of these names, or None
            where one was not made; its numbers are then left out.
        lattice: of the run's dataset. On a torus the distance on an axis is the shorter way round.
        tolerance: largest distance from the request on one axis, px, for ``accuracy_x`` and ``accuracy_y``.

    Returns:
        Columns run, dataset, seed, step, metric, value; ordered by step and name. Undefined numbers are NaN.
    """
    parts: list[pd.DataFrame] = []
    if _given(behaviour):
        period = float(lattice.image_size) if lattice.boundary == "torus" else None
        parts.extend(_behaviour(behaviour, period, tolerance))
        if _given(frequency):
            parts.extend(_behaviour_by_bin(behaviour, period, tolerance, lattice))
    if _given(geometry):
        parts.append(_geometry(geometry))
        parts.append(_latent_phases(geometry, topology))
    if _given(topology):
        parts.append(_betti_numbers(topology))
    if _given(effects):
        parts.append(_effects(effects))
    if _given(frequency):
        parts.append(_frequency(frequency))
    if _given(phases):
        verdicts = ("latent_phase", "behaviour_phase")
        parts.extend(_rows(phases["step"], column, phases[column].map(PHASES)) for column in verdicts)
    if _given(losses) and parts:
        parts.append(_loss(losses, np.unique(np.concatenate([part["step"].to_numpy() for part in parts]))))
    if not parts:
        empty = {"run": "str", "dataset": "str", "seed": "int64", "step": "int64", "metric": "str", "value": "float64"}
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in empty.items()})
    table = pd.concat(parts, ignore_index=True).astype({"step": "int64", "value": "float64"})
    table = table.assign(run=run, dataset=dataset, seed=seed)[COLUMNS]
    return table.sort_values(["step", "metric"], kind="stable", ignore_index=True)


def _given(table: pd.DataFrame | None) -> TypeGuard[pd.DataFrame]:
    return table is not None and len(table) > 0


def _rows(step: object, metric: object, value: object) -> pd.DataFrame:
    return pd.DataFrame({"step": step, "metric": metric, "value": value})


def _behaviour(behaviour: pd.DataFrame, period: float | None, tolerance: float) -> Iterator[pd.DataFrame]:
    single = behaviour["bumps"] == 1
    shares = {f"outcome/{outcome}": behaviour["outcome"] == outcome for outcome in OUTCOMES}
    shares |= {f"accuracy/{d:g}px": single & (behaviour["error"] <= d) for d in DISTANCES}
    shares_of_single = _near_on_axis(behaviour, period, tolerance)
    shape = {name: behaviour[name] for name in ("error", "amplitude", "width")}

    def by_split(columns: dict[str, pd.Series], rows: pd.Series | None = None) -> DataFrameGroupBy:
        values = pd.DataFrame(columns).astype("float64")
        values = values if rows is None else values.where(rows)
        placed = [values.assign(step=behaviour["step"], split=split) for split in (behaviour["split"], "all")]
        return pd.concat(placed, ignore_index=True).groupby(["step", "split"])

    yield _melt(by_split(shares).mean())
    on_axis = by_split(shares_of_single, single)
    yield _melt(on_axis.mean().where(on_axis.count() >= FEWEST_SINGLE_BUMPS))
    yield _melt(by_split(shape, single).median())


def _near_on_axis(behaviour: pd.DataFrame, period: float | None, tolerance: float) -> dict[str, pd.Series]:
    """Whether each image's bump lies within the tolerance of the request on an axis."""
    return {
        f"accuracy_{axis}": _axis_distance(behaviour[axis] - behaviour[f"mu_{axis}"], period) <= tolerance
        for axis in ("x", "y")
    }


def _behaviour_by_bin(
    behaviour: pd.DataFrame, period: float | None, tolerance: float, lattice: Lattice
) -> Iterator[pd.DataFrame]:
    """Accuracy on each axis and outcomes of the seen centres, in every frequency bin of x, of y and every pair."""
    seen = behaviour[behaviour["split"] == "seen"]
    if seen.empty:
        return
    values = pd.DataFrame(_near_on_axis(seen, period, tolerance)).astype("float64").where(seen["bumps"] == 1)
    values["outcome/correct"] = (seen["outcome"] == "correct").astype("float64")
    bins = {axis: frequency_bins(seen[f"mu_{axis}"].to_numpy(), lattice, axis) for axis in ("x", "y")}
    for x in (bins["x"], ALL):
        for y in (bins["y"], ALL):
            table = values.assign(step=seen["step"], split="seen/" + _pair(seen.index, x, y))
            grouped = table.groupby(["step", "split"])
            yield _melt(grouped.mean().where(grouped.count() >= FEWEST_SINGLE_BUMPS))


def _pair(index: pd.Index, x: object, y: object) -> pd.Series:
    return "x=" + pd.Series(x, index, dtype="str") + ",y=" + pd.Series(y, index, dtype="str")


def _axis_distance(difference: pd.Series, period: float | None) -> pd.Series:
    if period is not None:
        difference = (difference + period / 2) % period - period / 2
    return difference.abs()


def _melt(table: pd.DataFrame) -> pd.DataFrame:
    """A table indexed by (step, split) with a column a metric, as rows named metric/split."""
    long = table.reset_index().melt(["step", "split"], var_name="metric")
    return _rows(long["step"], long["metric"].astype(str) + "/" + long["split"], long["value"])


def _geometry(geometry: pd.DataFrame) -> pd.DataFrame:
    name = geometry["metric"] + "/" + geometry["layer"] + "/t=" + geometry["t"].astype(str)
    for column in ("space", "label"):
        qualifier = geometry[column].fillna("").astype(str)
        name = name + ("/" + qualifier).where(qualifier != "", "")
    name = name + pd.Series("/shared noise", index=name.index).where(geometry["noise"] == "shared", "")
    return _rows(geometry["step"], name, geometry["value"])


def _latent_phases(geometry: pd.DataFrame, topology: pd.DataFrame | None) -> pd.DataFrame:
    verdicts = latent_phases(geometry, topology)
    name = "latent_phase/" + verdicts["layer"] + "/t=" + verdicts["t"].astype(str)
    return _rows(verdicts["step"], name, verdicts["latent_phase"].map(PHASES))


def _betti_numbers(topology: pd.DataFrame) -> pd.DataFrame:
    counts = topology.groupby(["step", "layer", "t", "dimension"])["significant"].sum()
    # A dimension without a bar has Betti number 0, which is a finding and not a gap.
    table = counts.unstack("dimension").reindex(columns=[0, 1, 2]).fillna(0).reset_index()
    long = table.melt(["step", "layer", "t"], var_name="dimension")
    name = "betti_" + long["dimension"].astype(str) + "/" + long["layer"] + "/t=" + long["t"].astype(str)
    return _rows(long["step"], name, long["value"])


def _effects(effects: pd.DataFrame) -> pd.DataFrame:
    long = effects.melt(["step", "t", "weights"], var_name="column")
    name = long["column"].astype(str) + "/t=" + long["t"].astype(str) + "/" + long["weights"]
    return _rows(long["step"], name, long["value"])


def _frequency(frequency: pd.DataFrame) -> pd.DataFrame:
    long = frequency.drop(columns="probes").melt(["step", "t", "bin_x", "bin_y"], var_name="column")
    name = (
        long["column"].astype(str)
        + "/t="
        + long["t"].astype(str)
        + "/ema/"
        + _pair(long.index, long["bin_x"], long["bin_y"])
    )
    return _rows(long["step"], name, long["value"])


def _loss(losses: pd.DataFrame, steps: np.ndarray) -> pd.DataFrame:
    logged = losses.sort_values("step")
    place = np.searchsorted(logged["step"].to_numpy(), steps, side="right") - 1
    # The untrained network comes before the first logged step and has no loss.
    known = place >= 0
    return _rows(steps[known], "loss", logged["loss"].to_numpy()[place[known]])
