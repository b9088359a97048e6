"""Phases of learning: A, no structure; B, a two-dimensional manifold in disorder; C, the manifold in order.

There are two independent verdicts. The latent phase depends only on geometry, with requested and shuffled labels. It
never uses outcomes or realised positions, or its agreement with behaviour would be true by construction. The behaviour
phase depends only on outcomes. Between the phases the verdict is ``?``.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bumpscope.measure.betti import betti_table

PLACE = ["weights", "layer", "t"]
COLUMNS = ["step", *PLACE, "judged", "latent_phase", "behaviour_phase", "order", "reason"]
# How far a cloud is ordered by the requests: not at all, in part, or as phase C requires; empty where unknown.
ORDERS = NONE, PARTIAL, FULL = "none", "partial", "full"


@dataclass(frozen=True)
class Thresholds:
    """Where the phases begin and end, set on synthetic clouds of known phase.

    Attributes:
        ordered_trustworthiness: least trustworthiness of an ordered cloud. Ordered sheets and tori have 0.98 and more,
            shuffled ones 0.50 to 0.64; sheets cut into tiles, whose parts are in order, 0.76 to 0.95.
        ordered_knn_r2: least kNN-probe R2 of an ordered cloud. Ordered ones have 0.94 and more, shuffled ones less
            than 0, tiles 0.4 to 0.9.
        ordered_r2: least linear R2 of x and of y, each, in an ordered cloud. Ordered sheets, flat, curved or closed to
            a torus, have 0.9 and more. This excludes tiles, whose neighbourhoods are intact but in the wrong places.
        above_control: by how much each of the three must exceed its value for the untrained network and for shuffled
            labels, which for 400 images scatter around chance by 0.02, 0.08 and 0.03.
        disordered_r2: a cloud whose mean linear R2 of x and y is at least this is not in disorder. An order in one
            coordinate alone gives 0.5.
        sheet_dimension_low, sheet_dimension_high: intrinsic dimension (MADA, denoised) of a disordered sheet. Sheets
            and tori have 1.73 to 2.74; a curve has 1.0 without noise and up to 1.72 with a tenth of its radius in each
            coordinate, which makes it locally a surface.
        unstructured_dimension: above this there is no low-dimensional manifold. Random clouds of ten dimensions have
            6.5 to 8.1.
        gaussian: level of the test for a Gaussian cloud. If a cloud has no more components than a sheet may have
            dimensions, its low dimension is no evidence of a manifold, so the test must reject Gaussian noise. It does
            for flat and bent sheets of two and three components.
        majority: share of the images that must behave alike for a behaviour phase.
    """

    ordered_trustworthiness: float = 0.88
    ordered_knn_r2: float = 0.6
    ordered_r2: float = 0.6
    above_control: float = 0.1
    disordered_r2: float = 0.4
    sheet_dimension_low: float = 1.72
    sheet_dimension_high: float = 3.5
    unstructured_dimension: float = 4.0
    gaussian: float = 0.01
    majority: float = 0.5


THRESHOLDS = Thresholds()
# Betti numbers of a closed curve. Thick with noise it is locally a surface, but neither a sheet nor a torus.
CIRCLE = (1, 1, 0)


def latent_phase(
    geometry: pd.DataFrame, untrained: pd.DataFrame | None, betti: tuple[int, int, int] | None = None
) -> tuple[str, str | None, str]:
    """The phase of one cloud of latents, how far it is ordered, and the reason.

    C: ordered by the requested centre (trustworthiness, kNN probe, linear regression of x and of y), and more so than
    by shuffled labels and than the untrained network's cloud. Otherwise B: about two-dimensional and in disorder, not
    explained by Gaussian noise of few components, and without the topology of a circle. A: nothing above noise, or
    too many dimensions, and in disorder. Order is tested first, since each image's own noise adds dimensions to an
    ordered manifold.

    Args:
        geometry: the cloud's numbers, columns space, label, metric, value, as from
            :func:`bumpscope.measure.geometry.measure`.
        untrained: the same of the cloud at step 0; without it the verdict is never C.
        betti: the cloud's Betti numbers. Without them a thick circle may be taken for a disordered sheet.

    Returns:
        (A, B, C or ?; one of ``ORDERS``, or None where order is not defined; reason).
    """
    rank, dimension = (_value(geometry, None, metric) for metric in ("rank", "dimension_mada_denoised"))
    order = _order(geometry, "requested")
    controls = {"shuffled labels": _order(geometry, "shuffled")}
    if untrained is not None:
        controls["the untrained network"] = _order(untrained, "requested")
    least = np.array([THRESHOLDS.ordered_trustworthiness, THRESHOLDS.ordered_knn_r2, THRESHOLDS.ordered_r2])
    # An undefined control has no order.
    beaten = [name for name, control in controls.items() if _exceeds(order, control)]
    mean_r2 = _value(geometry, "requested", "r2")
    numbers = (
        f"trustworthiness {order[0]:.2f}, kNN R2 {order[1]:.2f}, linear R2 {order[2]:.2f} (weaker axis) and "
        f"{mean_r2:.2f} (mean), dimension {dimension:.1f}, rank {rank:.0f}"
    )
    if (order >= least).all():
        if untrained is None:
            return "?", FULL, f"ordered, but there is no untrained control: {numbers}"
        if len(beaten) < len(controls):
            unbeaten = " and ".join(name for name in controls if name not in beaten)
            return "?", FULL, f"ordered, but hardly more than {unbeaten}: {numbers}"
        return "C", FULL, f"ordered: {numbers}"
    if mean_r2 >= THRESHOLDS.disordered_r2:
        return "?", PARTIAL, f"partly ordered: {numbers}"
    if rank == 0:
        return "A", NONE, f"nothing above noise: {numbers}"
    if not np.isfinite([dimension, mean_r2]).all():
        return "?", None, f"too few images, or none that are finite: {numbers}"
    if THRESHOLDS.sheet_dimension_low <= dimension <= THRESHOLDS.sheet_dimension_high:
        gaussian = _value(geometry, None, "gaussian_p")
        if rank <= THRESHOLDS.sheet_dimension_high and gaussian >= THRESHOLDS.gaussian:
            return "?", NONE, f"no more than {rank:.0f} components of Gaussian noise (p = {gaussian:.2f}): {numbers}"
        if betti == CIRCLE:
            return "?", NONE, f"two-dimensional, but round one loop as a thick circle is: {numbers}"
        return "B", NONE, f"two-dimensional, in disorder: {numbers}"
    if dimension > THRESHOLDS.unstructured_dimension:
        return "A", NONE, f"no low-dimensional structure: {numbers}"
    return "?", NONE, f"neither two-dimensional nor without structure: {numbers}"


def _value(geometry: pd.DataFrame, label: str | None, metric: str) -> float:
    """A number of the raw cloud; NaN where the table has none."""
    of_label = geometry.label.isna() if label is None else geometry.label == label
    found = geometry.value[(geometry.space == "raw") & of_label & (geometry.metric == metric)]
    return float(found.iloc[0]) if len(found) else np.nan


def _order(geometry: pd.DataFrame, label: str) -> np.ndarray:
    """Trustworthiness, kNN-probe R2, and the linear R2 of the weaker coordinate."""
    trustworthiness, knn_r2, r2_x, r2_y = (
        _value(geometry, label, metric) for metric in ("trustworthiness_denoised", "knn_r2_denoised", "r2_x", "r2_y")
    )
    return np.array([trustworthiness, knn_r2, np.minimum(r2_x, r2_y)])


def _exceeds(order: np.ndarray, control: np.ndarray) -> bool:
    return bool((order >= np.nan_to_num(control) + THRESHOLDS.above_control).all())


def behaviour_phase(outcomes: pd.Series) -> str:
    """The phase of the generated images, by what at least half of them show.

    C: correct. B: one bump, misplaced. A: several bumps or none, since images without a bump come before single
    bumps. Else ``?``.
    """
    if len(outcomes) == 0:
        return "?"
    share = outcomes.value_counts(normalize=True)
    phases = {"C": ("correct",), "B": ("misplaced",), "A": ("multiple", "none")}
    for phase, kinds in phases.items():
        if sum(share.get(kind, 0.0) for kind in kinds) >= THRESHOLDS.majority:
            return phase
    return "?"


def latent_phases(geometry: pd.DataFrame, topology: pd.DataFrame | None = None) -> pd.DataFrame:
    """The latent verdict at every checkpoint and place (weights, layer, timestep) of a run, against its own step 0.

    Step 0 has no control, so it is never C. Clouds of shared noise are controls themselves and have no verdict.

    Args:
        geometry, topology: the run's tables of these names; the latter is optional.

    Returns:
        Columns step, weights, layer, t, latent_phase, order, reason; places in the order of the table.
    """
    own = geometry[geometry["noise"] == "own"]
    holes: dict[Hashable, tuple[int, int, int]] = {}
    if topology is not None:
        counts = betti_table(topology, ["step", *PLACE])
        holes = dict(zip(counts.index, counts.itertuples(index=False, name=None), strict=True))
    rows = []
    for where, place in own.groupby(PLACE, sort=False):
        clouds = dict(iter(place.groupby("step")))
        untrained = clouds.get(0)
        rows += [
            (
                step,
                *where,
                *latent_phase(cloud, None if cloud is untrained else untrained, holes.get((step, *where))),
            )
            for step, cloud in clouds.items()
        ]
    table = pd.DataFrame(rows, columns=["step", *PLACE, "latent_phase", "order", "reason"])
    # Text even where it is unknown throughout, like a table that is read back.
    return table.astype({"order": "str"})


def phases(geometry: pd.DataFrame, behaviour: pd.DataFrame, topology: pd.DataFrame | None = None) -> pd.DataFrame:
    """Both verdicts at every checkpoint and place of a run: the table ``phases``.

    Judged is the first (layer, t) of the geometry table, with either weights.

    Args:
        geometry, behaviour, topology: the run's tables of these names; the last is optional.

    Raises:
        ValueError: when the geometry table has no rows.
    """
    if len(geometry) == 0:
        raise ValueError("the geometry table has no rows, so there is no layer to read a phase at")
    table = latent_phases(geometry, topology)
    judged = (table["layer"] == geometry["layer"].iloc[0]) & (table["t"] == geometry["t"].iloc[0])
    drawn = {key: behaviour_phase(outcomes) for key, outcomes in behaviour.groupby(["step", "weights"])["outcome"]}
    behaves = [drawn.get(key, "?") for key in zip(table["step"], table["weights"], strict=True)]
    return table.assign(judged=judged, behaviour_phase=behaves)[COLUMNS]
