"""The numbers of a run in one table: a row for each number of a checkpoint, with its qualifiers in columns.

Quantities, by the columns that qualify them:

- weights, split (seen, heldout, between or all): ``share_none``, ``share_multiple``, ``share_misplaced``,
  ``share_correct``: share of the generated images with this outcome; ``accuracy_0.5px``, ``accuracy_1px``,
  ``accuracy_2px``: share with exactly one bump, within this distance of the request; ``error``, ``amplitude``,
  ``width``: medians over the images with one bump, px, intensity, px; with the suffix ``_q10``, ``_q25``, ``_q75`` or
  ``_q90`` other quantiles.
- weights, split: ``requests``, ``right_0.25``, ``right_0.45``, ``offset``: numbers of
  :mod:`bumpscope.measure.lattice_scale`: how many images, the shares that are right, and how much of a request's offset
  from the nearest lattice point the bump has. With a label and no weights those of stand-ins for the network (exact,
  copier, kernel), at the last checkpoint.
- weights or label, factor (x, y), split: ``right_axis_0.45``: as ``right_0.45``, on this axis alone.
- weights, factor (x, y), split: ``error`` and its quantiles, on this axis. ``accuracy``: among the images with one
  bump, share within the tolerance on this axis. Divided by the images with one bump and not by all: a factor common to
  both axes would make them rise together whatever the network learns.
- t, weights, and factor where there is one: the columns of table ``effects``; ``effect_x_low`` is quantity
  ``effect_low`` of factor x. ``heldout``: ``effect`` for withheld combinations.
- t, weights (raw), bin, and factor where there is one: the columns of table ``frequency``. A bin such as
  ``x=rare,y=all`` names common, middle, rare or all for each axis. ``accuracy`` and ``share_correct`` of the seen
  centres are given by bin as well where this table is.
- weights, layer, t, space, label, noise: the metrics of table ``geometry``; ``r2_x`` is quantity ``r2`` of factor x,
  ``r2`` without a factor is the mean of both.
- weights, layer, t: ``betti_0``, ``betti_1``, ``betti_2``: number of significant bars. ``latent_phase``: 0, 1, 2 for
  A, B, C, -1 for blind, empty for ?, at every place that was read and for the images.
- weights: ``latent_phase``, ``behaviour_phase``: the run's verdicts.
- none: ``loss``: at the last logged step up to the checkpoint.

Factors are those of the run's world, such as x and size, and pairs of them, such as x_size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import product
from typing import TypeGuard

import numpy as np
import pandas as pd
from pandas.api.typing import DataFrameGroupBy

from bumpscope.config.lattice import Lattice
from bumpscope.measure.betti import betti_table
from bumpscope.measure.lattice_scale import QUANTITIES as SHARES_RIGHT
from bumpscope.measure.lattice_scale import on_lattice_scale
from bumpscope.probe.frequency import ALL
from bumpscope.store.names import Names
from bumpscope.store.schemas import TABLES
from bumpscope.worlds.bumps import frequency_bins
from bumpscope.worlds.named import world_of
from bumpscope.worlds.world import NOTHING, World

# Share right on one axis, within the wider share of the spacing of :mod:`bumpscope.measure.lattice_scale`.
ON_AXIS = "right_axis_0.45"
OUTCOMES = ("none", "multiple", "misplaced", "correct")
DISTANCES = (0.5, 1.0, 2.0)
# Suffix of a quantity -> quantile.
QUANTILES = {"_q10": 0.1, "_q25": 0.25, "": 0.5, "_q75": 0.75, "_q90": 0.9}
# With fewer images of a single bump their share on an axis is chance: of 16, guessing reaches one half in 1 of 400.
FEWEST_SINGLE_BUMPS = 16
PHASES = {"blind": -1.0, "A": 0.0, "B": 1.0, "C": 2.0}
PLACE = ["weights", "layer", "t"]
DTYPES = {"text": "str", "int": "int64", "float": "float64"}
# t is empty for many numbers.
COLUMNS = {column.name: DTYPES[column.kind] for column in TABLES["metrics"].columns} | {"t": "Int64"}


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
    yardsticks: pd.DataFrame | None = None,
    lattice: Lattice,
    tolerance: float = 1.0,
    tolerances: Mapping[str, float] = NOTHING,
) -> pd.DataFrame:
    """Rows of the table ``metrics`` for one run.

    Args:
        losses, behaviour, geometry, topology, effects, phases, frequency: the run's tables of these names, or None
            where one was not made; its numbers are then left out.
        yardsticks: from :func:`bumpscope.measure.lattice_scale.yardsticks` for the requests of the last checkpoint.
        lattice: of the run's dataset. On a torus the distance on an axis is the shorter way round.
        tolerance: largest distance from the request on one axis, px, for ``accuracy``; of factors that have no own.
        tolerances: instead of those that factors have of their own, by name.

    Returns:
        The columns of table ``metrics``, sorted by step, quantity and qualifiers. Undefined numbers are NaN.
    """
    parts: list[pd.DataFrame] = []
    world = world_of(lattice)
    each = pd.Series(world.tolerance_of(tolerance, tolerances))
    if _given(behaviour):
        parts.extend(_behaviour(behaviour, world, each))
        parts.extend(_new_centres(behaviour, world, "weights"))
        if _given(yardsticks):
            drawn = yardsticks.rename(columns={"yardstick": "label"}).assign(step=behaviour["step"].max())
            parts.extend(_new_centres(drawn, world, "label"))
        if _given(frequency):
            parts.extend(_behaviour_by_bin(behaviour, world, each))
    if _given(geometry):
        parts.append(_geometry(geometry, world.names))
    if _given(topology):
        parts.append(_betti_numbers(topology))
    if _given(effects):
        parts.append(_effects(effects, world.names))
    if _given(frequency):
        parts.append(_frequency(frequency, world.names))
    if _given(phases):
        parts.extend(_phases(phases))
    if _given(losses) and parts:
        parts.append(_loss(losses, np.unique(np.concatenate([part["step"].to_numpy() for part in parts]))))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    table = table.assign(run=run, dataset=dataset, seed=seed).reindex(columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values([name for name in COLUMNS if name != "value"], kind="stable", ignore_index=True)


def _given(table: pd.DataFrame | None) -> TypeGuard[pd.DataFrame]:
    return table is not None and len(table) > 0


def _rows(step: object, quantity: str, value: object) -> pd.DataFrame:
    return pd.DataFrame({"step": step, "quantity": quantity, "value": value})


def _behaviour(behaviour: pd.DataFrame, world: World, tolerance: pd.Series) -> Iterator[pd.DataFrame]:
    single = behaviour["bumps"] == 1
    shares = {f"share_{outcome}": behaviour["outcome"] == outcome for outcome in OUTCOMES}
    if len(world.names.groups) == 1:  # else no one distance says whether a request is met
        shares |= {f"accuracy_{d:g}px": single & (behaviour["error"] <= d) for d in DISTANCES}
    off = _off_on_axis(behaviour, world)
    shape = {name: behaviour[name] for name in ("error", "amplitude", "width")}

    def by_split(columns: dict[str, pd.Series] | pd.DataFrame, rows: pd.Series | None = None) -> DataFrameGroupBy:
        values = pd.DataFrame(columns).astype("float64")
        values = values if rows is None else values.where(rows)
        drawn = values.assign(step=behaviour["step"], weights=behaviour["weights"])
        placed = [drawn.assign(split=split) for split in (behaviour["split"], "all")]
        return pd.concat(placed, ignore_index=True).groupby(["step", "weights", "split"])

    yield _melt(by_split(shares).mean(), "quantity")
    on_axis = by_split(off <= tolerance, single)
    yield _melt(on_axis.mean().where(on_axis.count() >= FEWEST_SINGLE_BUMPS), "factor").assign(quantity="accuracy")
    shapes, offs = by_split(shape, single), by_split(off, single)
    for suffix, quantile in QUANTILES.items():
        yield _melt(shapes.quantile(quantile).add_suffix(suffix), "quantity")
        yield _melt(offs.quantile(quantile), "factor").assign(quantity=f"error{suffix}")


def _new_centres(images: pd.DataFrame, world: World, *by: str) -> Iterator[pd.DataFrame]:
    """Whether requests are met on the scale of the lattice, by step, split and the columns ``by``."""
    found = on_lattice_scale(images, world.lattice)
    found = found.assign(**{name: images[name].to_numpy() for name in ("step", *by)})
    grouped = found.groupby(["step", "split", *by])
    shares, sums = grouped[list(SHARES_RIGHT)].mean(), grouped[["along", "square"]].sum()
    # At lattice points, and without bumps near the requests, no offset is defined.
    offset = (sums["along"] / sums["square"]).where(sums["square"] > 0)
    on_axis = grouped[[f"right_{name}" for name in world.names]].mean()
    on_axis.columns = list(world.names)
    yield _melt(on_axis, "factor").assign(quantity=ON_AXIS)
    yield _melt(shares.assign(requests=grouped.size().astype("float64"), offset=offset), "quantity")


def _off_on_axis(behaviour: pd.DataFrame, world: World) -> pd.DataFrame:
    """Distance of what each image shows from the request in each factor."""
    off = {
        axis.name: axis.difference(behaviour[axis.name].to_numpy(), behaviour[f"mu_{axis.name}"].to_numpy())
        for axis in world.factors
    }
    return pd.DataFrame(off, behaviour.index).abs()


def _behaviour_by_bin(behaviour: pd.DataFrame, world: World, tolerance: pd.Series) -> Iterator[pd.DataFrame]:
    """Accuracy on each axis and share of correct images of the seen centres, in every combination of frequency bins."""
    seen = behaviour[behaviour["split"] == "seen"]
    if seen.empty:
        return
    values = (_off_on_axis(seen, world) <= tolerance).astype("float64").where(seen["bumps"] == 1)
    values["share_correct"] = (seen["outcome"] == "correct").astype("float64")
    bins = [frequency_bins(seen[f"mu_{factor.name}"].to_numpy(), factor) for factor in world.factors]
    for chosen in product(*((own, ALL) for own in bins)):
        named = _bins(seen.index, dict(zip(world.names, chosen, strict=True)))
        table = values.assign(step=seen["step"], weights=seen["weights"], split="seen", bin=named)
        grouped = table.groupby(["step", "weights", "split", "bin"])
        shares = grouped.mean().where(grouped.count() >= FEWEST_SINGLE_BUMPS)
        yield _melt(shares[list(world.names)], "factor").assign(quantity="accuracy")
        yield _melt(shares[["share_correct"]], "quantity")


def _bins(index: pd.Index, bins: Mapping[str, object]) -> pd.Series:
    """The names of combinations of bins, such as ``x=rare,y=all``."""
    named = [f"{name}=" + pd.Series(own, index, dtype="str") for name, own in bins.items()]
    return reduce(lambda before, own: before + "," + own, named)


def _melt(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A row for each number of a table that is indexed by step and qualifiers; its column names go to ``name``."""
    return table.reset_index().melt(list(table.index.names), var_name=name)


def _apart(names: pd.Series, factors: Names) -> pd.DataFrame:
    """Columns quantity and factor of names such as ``effect_x_low``: effect_low of factor x."""
    found = {}
    for name in names.unique():
        padded = f"_{name}_"
        factor = next((one for one in (*factors.pairs, *factors) if f"_{one}_" in padded), None)
        found[name] = padded.replace(f"_{factor}_", "_", 1).strip("_"), factor
    return pd.DataFrame(
        {"quantity": names.map(lambda name: found[name][0]), "factor": names.map(lambda name: found[name][1])}
    )


def _geometry(geometry: pd.DataFrame, names: Names) -> pd.DataFrame:
    qualifiers = geometry[["step", *PLACE, "space", "label", "noise", "value"]]
    label = qualifiers["label"].where(qualifiers["label"] != "")
    return qualifiers.assign(label=label).join(_apart(geometry["metric"], names))


def _phases(phases: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The latent verdict of every place, and both verdicts of the run, which have no place."""
    judged = phases[phases["judged"]]
    for rows, quantity, where in (
        (phases, "latent_phase", PLACE),
        (judged, "latent_phase", ["weights"]),
        (judged, "behaviour_phase", ["weights"]),
    ):
        yield rows[["step", *where]].assign(quantity=quantity, value=rows[quantity].map(PHASES))


def _betti_numbers(topology: pd.DataFrame) -> pd.DataFrame:
    counts = betti_table(topology, ["step", *PLACE])
    return _melt(counts.rename(columns="betti_{}".format), "quantity")


def _effects(effects: pd.DataFrame, names: Names) -> pd.DataFrame:
    long = effects.melt(["step", "t", "weights"], var_name="name")
    return long.drop(columns="name").join(_apart(long["name"], names))


def _frequency(frequency: pd.DataFrame, names: Names) -> pd.DataFrame:
    bins = [f"bin_{name}" for name in names]
    long = frequency.drop(columns="probes").melt(["step", "t", *bins], var_name="name")
    named = _bins(long.index, {name: long[column] for name, column in zip(names, bins, strict=True)})
    return long[["step", "t", "value"]].assign(weights="raw", bin=named).join(_apart(long["name"], names))


def _loss(losses: pd.DataFrame, steps: np.ndarray) -> pd.DataFrame:
    logged = losses.sort_values("step")
    place = np.searchsorted(logged["step"].to_numpy(), steps, side="right") - 1
    # The untrained network comes before the first logged step and has no loss.
    known = place >= 0
    return _rows(steps[known], "loss", logged["loss"].to_numpy()[place[known]])
