"""Finds the controls of each imbalanced dataset (:mod:`bumpscope.config.controls`) among the runs.

Two datasets are compared only if they differ in nothing but spacing and skew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bumpscope.config.controls import COUNT_TOLERANCE, NULLS, Nulls, Pattern, matched, nulls
from bumpscope.config.lattice import Lattice, is_balanced_plane
from bumpscope.config.world import parsed
from bumpscope.worlds.named import world_of

# Kinds of imbalance of two axes that can be swapped.
IMBALANCES = ("lattice", "frequency", "both")
# Columns in which compared datasets agree: their lattices but for spacing and skew, and all settings of the training.
SHARED = ["world", "image_size", "sigma", "margin", "boundary", "polarity", "holdout", "shown", "stripes", "trained"]
DRAWN = ("sigma", "margin", "dx", "dy", "boundary", "polarity")
# Columns of table ``runs`` on the machine and the versions that trained a run, named as in the metadata of checkpoints
# (:func:`bumpscope.store.machine.described`). Runs of different machines are compared.
MACHINE = ["device", "processor", "instructions", "gpu", "cuda", "threads", "system", "python", "numpy", "torch"]
MACHINE += ["version", "code"]


def datasets(runs: pd.DataFrame) -> pd.DataFrame:
    """The table ``runs`` with one row per dataset, indexed by its name.

    Further columns: lattice ``points``, withheld ones included, and the set of ``seeds``.
    """
    table = runs.drop_duplicates("dataset").set_index("dataset")
    length = table["image_size"] - 2 * table["margin"]
    points = (length / table["dx"]).round() * (length / table["dy"]).round()
    for name in table.index[~has_centres(table)]:
        points[name] = len(world_of(lattice_of(table.loc[name])).points.labels)
    seeds = runs.groupby("dataset")["seed"].agg(frozenset).reindex(table.index)
    return table.assign(points=points, seeds=seeds)


def has_centres(runs: pd.DataFrame) -> pd.Series:
    """Which rows of table ``runs`` are of bumps at x and y, on a lattice of spacings dx and dy."""
    return runs["world"].map(lambda text: parsed(str(text)).has_centres).astype(bool)


def has_spacings(runs: pd.DataFrame) -> pd.Series:
    """Which rows of table ``runs`` are of worlds with spacings dx and dy, whatever their factors."""
    return runs["world"].map(lambda text: "dy" in parsed(str(text)).used).astype(bool)


def balanced_planes(runs: pd.DataFrame) -> pd.DataFrame:
    """The :func:`datasets` on balanced planes, without reference models, permuted labels and stripes.

    In worlds whose factors have no common spacing those without skew. Of several worlds only the first counts.
    """
    if runs.empty:
        return pd.DataFrame()
    table = datasets(runs)
    rows = table[["boundary", "dx", "dy", "skew_axis"]].itertuples(index=False)
    balanced = pd.Series([is_balanced_plane(*row) for row in rows], index=table.index, dtype=bool)
    plain = (table["boundary"] != "torus") & (table["skew_axis"] == "none")
    kinds = table["world"].map(lambda text: parsed(str(text)).kind)
    balanced = balanced.where(has_spacings(table), plain)
    balanced &= (table["reference"] == "none") & (table["labels"] == "own") & (table["stripes"] == 0)
    return table[balanced & kinds.isin(kinds[balanced].head(1))]


def permuted_controls(runs: pd.DataFrame) -> dict[str, str]:
    """Dataset -> that with permuted labels on the same lattice, with the same network, where there is one."""
    table = datasets(runs)
    alike = [name for name in SHARED if name != "trained"]
    alike += ["dx", "dy", "skew_axis", "skew_alpha", "reference", "network", "prediction"]
    permuted = table[table["labels"] == "permuted"]
    found = {tuple(row): str(name) for name, row in zip(permuted.index, permuted[alike].to_numpy(), strict=True)}
    own = table[table["labels"] == "own"]
    keys = {str(name): tuple(row) for name, row in zip(own.index, own[alike].to_numpy(), strict=True)}
    return {name: found[key] for name, key in keys.items() if key in found}


def lattice_of(run: Mapping[Any, Any]) -> Lattice:
    """The lattice of a run, a row of table ``runs``, without skew and what is withheld."""
    world = parsed(str(run["world"]))
    values = {name: run[name] for name in ("image_size", *DRAWN) if name == "image_size" or name in world.used}
    # Rows of a frame have numbers of numpy.
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
    return Lattice(world=world, **plain)


@dataclass(frozen=True)
class Comparison:
    """An imbalanced dataset and its controls, each ``None`` if the experiment has no such dataset.

    Attributes:
        dataset: its name.
        kind: lattice (unequal spacing), frequency (one axis skewed) or both; of factors that cannot be swapped
            (:mod:`.unlike`) their names, as one.
        swapped: the dataset with the axes swapped.
        nulls: kind of the nulls, from :data:`bumpscope.config.controls.NULLS`; ``None`` without any.
        null_x, null_y: as in :func:`bumpscope.config.controls.nulls`.
        swapped_null_x, swapped_null_y: the nulls of the swapped dataset.
        unlike: two factors that cannot be swapped, separated by a space, where such are compared; ``None`` for x and y.
        matched: balanced, with the same skew and as many points to within 2 %; for a skewed axis the same lattice
            without skew.
    """

    dataset: str
    kind: str
    swapped: str | None
    nulls: str | None = None
    null_x: str | None = None
    null_y: str | None = None
    swapped_null_x: str | None = None
    swapped_null_y: str | None = None
    matched: str | None = None
    unlike: str | None = None

    @property
    def factors(self) -> tuple[str, str]:
        """Those that are compared; the first stands for x and the second for y."""
        first, second = (self.unlike or "x y").split()
        return first, second

    @property
    def names(self) -> tuple[str | None, ...]:
        """The dataset and its controls, the most important first."""
        own = (self.dataset, self.swapped, self.null_x, self.null_y)
        return (*own, self.swapped_null_x, self.swapped_null_y, self.matched)


def comparisons(runs: pd.DataFrame) -> list[Comparison]:
    """Every imbalanced dataset with labels of its own among the runs, with its controls: once for each kind of nulls.

    One-dimensional nulls come first. Of several possible controls the one with the most of the dataset's own seeds is
    taken.
    """
    # In other worlds axes cannot be swapped, and there are no nulls.
    own = runs if runs.empty else runs[has_centres(runs)]
    if own.empty:
        return []
    table = datasets(own)
    found = []
    for name, row in table.iterrows():
        length = row["image_size"] - 2 * row["margin"]
        pattern = Pattern(row["dx"], row["dy"], row["skew_axis"], row["skew_alpha"], length)
        if pattern.kind is None or row["labels"] != "own":
            continue
        same = matched(pattern)
        there = {
            "swapped": _find(table, row, pattern.swapped),
            "matched": _matched(table, row) if same is None else _find(table, row, same),
        }
        of_swapped = nulls(pattern.swapped)
        each = {kind: _nulls(table, row, own, of_swapped[kind]) for kind, own in nulls(pattern).items()}
        kinds = [kind for kind in NULLS if any(each.get(kind, {}).values())]
        found += [Comparison(str(name), pattern.kind, nulls=kind, **each[kind], **there) for kind in kinds]
        if not kinds:
            found.append(Comparison(str(name), pattern.kind, **there))
    return found


def _nulls(table: pd.DataFrame, like: pd.Series, own: Nulls, of_swapped: Nulls) -> dict[str, str | None]:
    wanted = {"null_x": own.x, "null_y": own.y, "swapped_null_x": of_swapped.x, "swapped_null_y": of_swapped.y}
    return {role: _find(table, like, pattern) for role, pattern in wanted.items()}


def judged(coupling: pd.DataFrame) -> pd.DataFrame:
    """Rows of table ``coupling``, of each dataset and measure only that with the nulls that come first."""
    return coupling.drop_duplicates(["dataset", "kind", "measure"], ignore_index=True)


def first_of_pairs(coupling: pd.DataFrame) -> pd.DataFrame:
    """Rows of table ``coupling``, of each pair of datasets with swapped axes only the first."""
    first: list[str] = []
    for row in coupling.drop_duplicates("dataset").to_dict("records"):
        if row["swapped"] not in first:
            first.append(str(row["dataset"]))
    return coupling[coupling["dataset"].isin(first)].reset_index(drop=True)


def in_words(run: Mapping[Any, Any]) -> str:
    """The spacing and the skew of a run, a row of table ``runs``."""
    world = parsed(str(run["world"]))
    spacing = f"x {run['dx']:.3g} px, y {run['dy']:.3g} px" if world.has_centres else str(world)
    if run["skew_axis"] == "none":
        return spacing
    axes = {"both": "x and y"}.get(run["skew_axis"], run["skew_axis"])
    return f"{axes} skewed, α {run['skew_alpha']:.3g}" + ("" if run["dx"] == run["dy"] else f"; {spacing}")


def _find(table: pd.DataFrame, like: pd.Series, wanted: Pattern) -> str | None:
    """The dataset with this pattern that is otherwise like ``like``."""
    fits = np.isclose(table["dx"], wanted.dx) & np.isclose(table["dy"], wanted.dy)
    fits &= (table["skew_axis"] == wanted.skew_axis) & np.isclose(table["skew_alpha"], wanted.skew_alpha)
    return _best(table[fits], like)


def _matched(table: pd.DataFrame, like: pd.Series) -> str | None:
    """The balanced dataset with the same skew and the nearest number of points."""
    off = (table["points"] / like["points"] - 1).abs()
    fits = np.isclose(table["dx"], table["dy"]) & (off <= COUNT_TOLERANCE + 1e-9)
    fits &= (table["skew_axis"] == like["skew_axis"]) & np.isclose(table["skew_alpha"], like["skew_alpha"])
    return _best(table[fits].loc[off[fits].sort_values(kind="stable").index], like)


def _best(table: pd.DataFrame, like: pd.Series) -> str | None:
    """Of the datasets that share the properties of ``like``, the first with the most of its seeds."""
    fits = np.logical_and.reduce([table[column] == like[column] for column in SHARED])
    shared = table.loc[fits, "seeds"].map(lambda seeds: len(seeds & like["seeds"]))
    return str(shared.idxmax()) if len(shared) else None
