"""Phases of learning: A, no structure; B, a manifold in disorder, of a dimension for each factor; C, it in order.

There are two independent verdicts. The latent phase depends only on geometry, with requested and shuffled labels. It
never uses outcomes or realised positions, or its agreement with behaviour would be true by construction. The behaviour
phase depends only on outcomes. Between the phases the verdict is ``?``. A latent verdict that rules phase B out counts
only where a manifold in disorder would have been seen; elsewhere it is ``blind``.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bumpscope.measure.betti import betti_table
from bumpscope.worlds.factor import Factor

PLACE = ["weights", "layer", "t"]
COLUMNS = ["step", *PLACE, "judged", "latent_phase", "behaviour_phase", "order", "reason"]
# How far a cloud is ordered by the requests: not at all, in part, or as phase C requires; empty where unknown.
ORDERS = NONE, PARTIAL, FULL = "none", "partial", "full"
BLIND = "blind"
# The fewest factors of a cloud.
FACTORS = 2


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
        sheet_breadth: least breadth (:mod:`bumpscope.measure.sheet`) of a sheet. Sheets and tori have 0.33 and more;
            circles up to 0.18, with noise of a tenth of their radius in ten directions or in all.
        sheet_thickness: greatest thickness of a sheet. Sheets and tori have up to 0.31 with that noise, with a fifth of
            stray points or with both, place codes on a torus up to 0.6, balls 0.45 to 0.57.
        unstructured_thickness: from here on there is no two-dimensional structure. Random clouds of ten dimensions have
            0.78 and more.
        unstructured_breadth: least breadth of a cloud without structure; 0 does not ask for it.
        visible_sheet: a sheet in disorder with a radius of this many times the cloud's own, planted in the cloud, must
            be seen, or its absence means nothing. At 1 it has half of the variance.
        gaussian: level of the test that the two broadest components are Gaussian. It must reject noise of two
            components, which is no thicker than a sheet. It does for flat and bent sheets and tori.
        majority: share of the images that must behave alike for a behaviour phase.
    """

    ordered_trustworthiness: float = 0.88
    ordered_knn_r2: float = 0.6
    ordered_r2: float = 0.6
    above_control: float = 0.1
    disordered_r2: float = 0.4
    sheet_breadth: float = 0.25
    sheet_thickness: float = 0.4
    unstructured_thickness: float = 0.65
    unstructured_breadth: float = 0.0
    visible_sheet: float = 1.0
    gaussian: float = 0.01
    majority: float = 0.5


THRESHOLDS = Thresholds()
# Of three factors, set on validation/solid_clouds.py; the others serve unchanged. Solids have a breadth of 0.36 and
# more, surfaces up to 0.27 with noise in ten directions, which may make them as thick as a cloud without structure.
# An order in one factor alone gives a mean R2 of 0.25 to 0.3, with a fifth of stray points 0.16 and more.
SOLIDS = replace(THRESHOLDS, sheet_breadth=0.3, unstructured_breadth=0.3, disordered_r2=0.15)
THRESHOLDS_OF = {2: THRESHOLDS, 3: SOLIDS}
NAMES = {2: "two-dimensional", 3: "three-dimensional"}
NOT_SET = "{} factors: thresholds are set on clouds of two and three"
# Betti numbers of a closed curve. Thick with noise it is locally a surface, but neither a sheet nor a torus.
CIRCLE = (1, 1, 0)


def latent_phase(
    geometry: pd.DataFrame, untrained: pd.DataFrame | None, betti: tuple[int, int, int] | None = None
) -> tuple[str, str | None, str]:
    """The phase of one cloud of latents, how far it is ordered, and the reason.

    With more than three factors it is ``?``. C: ordered by the request (trustworthiness, kNN probe, linear regression
    of each factor), and more so than by shuffled labels and than the untrained network's cloud. Otherwise B: of as many
    dimensions as there are factors and in disorder, not explained by Gaussian noise of as many components, and without
    the topology of a circle. These numbers depend on no label, so the cloud with its labels permuted would be B too.
    All other verdicts say that there is no manifold in disorder. They are replaced by blind where a sheet as large as
    the cloud, planted in it, would not be seen. A: nothing above noise, or no structure of so few dimensions, and in
    disorder.

    A cloud that is ordered in part is not in disorder. If it is no sheet it is blind all the same where a planted one
    would not be seen: a sheet in noise with its labels partly in order, and noise with a weak trace of the label, look
    alike.

    Args:
        geometry: the cloud's numbers, columns space, label, metric, value, as from
            :func:`bumpscope.measure.geometry.measure`.
        untrained: the same of the cloud at step 0; without it the verdict is never C.
        betti: the cloud's Betti numbers. Without them a thick circle may be taken for a disordered sheet.

    Returns:
        (A, B, C, ? or blind; one of ``ORDERS``, or None where order is not defined; reason).
    """
    count = max(FACTORS, len(factors_of(geometry)))
    if count not in THRESHOLDS_OF:
        return "?", None, NOT_SET.format(count)
    thresholds, dimensional = THRESHOLDS_OF[count], NAMES[count]
    rank, breadth, thickness, gaussian, visible = (
        number(geometry, None, metric)
        for metric in ("rank", "breadth", "thickness", "gaussian_p", "least_visible_sheet")
    )
    order = _order(geometry, "requested")
    controls = {"shuffled labels": _order(geometry, "shuffled")}
    if untrained is not None:
        controls["the untrained network"] = _order(untrained, "requested")
    least = np.array([thresholds.ordered_trustworthiness, thresholds.ordered_knn_r2, thresholds.ordered_r2])
    # An undefined control has no order.
    beaten = [name for name, control in controls.items() if _exceeds(order, control)]
    mean_r2 = number(geometry, "requested", "r2")
    numbers = (
        f"trustworthiness {order[0]:.2f}, kNN R2 {order[1]:.2f}, linear R2 {order[2]:.2f} (weaker axis) and "
        f"{mean_r2:.2f} (mean), breadth {breadth:.2f}, thickness {thickness:.2f}, rank {rank:.0f}"
    )
    if (order >= least).all():
        if untrained is None:
            return "?", FULL, f"ordered, but there is no untrained control: {numbers}"
        if len(beaten) < len(controls):
            unbeaten = " and ".join(name for name in controls if name not in beaten)
            return "?", FULL, f"ordered, but hardly more than {unbeaten}: {numbers}"
        return "C", FULL, f"ordered: {numbers}"
    if rank != 0 and not np.isfinite([thickness, mean_r2]).all():
        return "?", None, f"too few images, or none that are finite: {numbers}"
    partial = mean_r2 >= thresholds.disordered_r2
    extent = PARTIAL if partial else NONE
    if is_sheet(breadth, thickness, gaussian, count) and betti != CIRCLE:
        if partial:
            return "?", extent, f"{dimensional}, partly ordered: {numbers}"
        return "B", extent, f"{dimensional}, in disorder: {numbers}"
    if not visible <= thresholds.visible_sheet:
        return BLIND, extent, f"a sheet in disorder as large as this cloud would not be seen in it: {numbers}"
    if partial:
        return "?", extent, f"partly ordered, not {dimensional}: {numbers}"
    if rank == 0:
        return "A", extent, f"nothing above noise: {numbers}"
    if thickness >= thresholds.unstructured_thickness and breadth >= thresholds.unstructured_breadth:
        return "A", extent, f"no {dimensional} structure: {numbers}"
    return "?", extent, f"neither {dimensional} nor without structure: {numbers}"


def is_sheet(breadth: float, thickness: float, gaussian_p: float, dimension: int = 2) -> bool:
    """Whether a cloud with these numbers has this dimension, and is more than noise of as many components."""
    thresholds = THRESHOLDS_OF.get(dimension, THRESHOLDS)
    flat = breadth >= thresholds.sheet_breadth and thickness <= thresholds.sheet_thickness
    return flat and gaussian_p < thresholds.gaussian


def number(geometry: pd.DataFrame, label: str | None, metric: str, space: str = "raw") -> float:
    """A number of a cloud in one space; NaN where the table has none."""
    of_label = geometry.label.isna() if label is None else geometry.label == label
    found = geometry.value[(geometry.space == space) & of_label & (geometry.metric == metric)]
    return float(found.iloc[0]) if len(found) else np.nan


def _order(geometry: pd.DataFrame, label: str) -> np.ndarray:
    """Trustworthiness, kNN-probe R2, and the linear R2 of the weaker coordinate."""
    trustworthiness, knn_r2 = (
        number(geometry, label, metric) for metric in ("trustworthiness_denoised", "knn_r2_denoised")
    )
    each = [number(geometry, label, f"r2_{name}") for name in factors_of(geometry)]
    return np.array([trustworthiness, knn_r2, np.min(each) if len(each) >= FACTORS else np.nan])


def factors_of(geometry: pd.DataFrame, space: str = "raw", suffix: str = "") -> list[str]:
    """The factors that a cloud's numbers tell a linear R2 of, be it of requested or of shuffled labels."""
    metrics = geometry.metric[(geometry.space == space) & geometry.label.isin(["requested", "shuffled"])]
    named = metrics[metrics.str.fullmatch(rf"r2_[a-z0-9]+{suffix}")]
    return [str(metric).removeprefix("r2_").removesuffix(suffix) for metric in dict.fromkeys(named)]


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


def no_verdict(factors: Sequence[Factor]) -> str:
    """Why clouds of these factors have no latent phase; empty where they have one."""
    if len(factors) not in THRESHOLDS_OF:
        return NOT_SET.format(len(factors))
    periodic = sum(factor.period is not None for factor in factors)
    if periodic and len(factors) > FACTORS:
        return "of three factors thresholds are set on clouds without a period"
    if periodic == 1:
        return "one of two factors is periodic: a cylinder in disorder would pass for a thick circle"
    return ""


def phases(
    geometry: pd.DataFrame, behaviour: pd.DataFrame, topology: pd.DataFrame | None = None, refused: str = ""
) -> pd.DataFrame:
    """Both verdicts at every checkpoint and place of a run: the table ``phases``.

    Judged is the first (layer, t) of the geometry table, with either weights.

    Args:
        geometry, behaviour, topology: the run's tables of these names; the last is optional.
        refused: why latent verdicts are all ``?``, as from :func:`no_verdict`.

    Raises:
        ValueError: when the geometry table has no rows.
    """
    if len(geometry) == 0:
        raise ValueError("the geometry table has no rows, so there is no layer to read a phase at")
    table = latent_phases(geometry, topology)
    if refused:
        table = table.assign(latent_phase="?", order=None, reason=refused).astype({"order": "str"})
    judged = (table["layer"] == geometry["layer"].iloc[0]) & (table["t"] == geometry["t"].iloc[0])
    drawn = {key: behaviour_phase(outcomes) for key, outcomes in behaviour.groupby(["step", "weights"])["outcome"]}
    behaves = [drawn.get(key, "?") for key in zip(table["step"], table["weights"], strict=True)]
    return table.assign(judged=judged, behaviour_phase=behaves)[COLUMNS]
