"""The latent phase as the paper reads it: from UMAPs of a cloud, and how well they tell the requests linearly.

Which UMAPs the paper shows is not known: here they have two and three dimensions, its authors' number of neighbours,
and three seeds each. UMAP draws a surface whatever it is given, so a picture alone does not tell a sheet from noise.
Two controls do. The first is Gaussian noise with the cloud's own variances: of a sheet, place in the UMAP tells much
more than of that noise. The second is the cloud with a sheet in disorder planted in it: would it be seen?
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bumpscope.measure.phases import BLIND, FACTORS, FULL, NONE, PARTIAL, PLACE, factors_of, number

# The UMAP that the rule reads.
SPACE = "umap3"
UMAP_VERDICTS = ["latent_phase_umap", "order_umap", "latent_phase_umap_shared"]


@dataclass(frozen=True)
class Thresholds:
    """Where the phases begin and end, set on the kinds of ``validation/synthetic_clouds.py``.

    Rest is the variance that the UMAP does not tell of the cloud, over that which a UMAP does not tell of noise.

    Attributes:
        ordered_r2: least linear R2 of x and of y, each, in an ordered sheet. Ordered sheets have 0.89 and more, ordered
            tori, which no three coordinates of a UMAP unroll, 0.43 to 0.6.
        above_control: by how much the weaker must exceed that of shuffled labels, which is less than 0.05.
        disordered_r2: a cloud whose mean linear R2 of x and y is at least this is not in disorder. An order in one
            coordinate alone gives 0.5.
        disordered_knn_r2: nor is one whose kNN R2 is at least this: there the colours run smoothly, if along bent
            lines. Ordered tori have 0.85 and more, sheets cut into tiles 0.5 to 0.8, others in disorder less than 0.
        sheet: most rest of a sheet. Sheets and tori have 0.12 to 0.52.
        nothing: least rest of a cloud without structure. Random clouds have 0.91 and more, but those of two components
            0.73 to 0.96: a UMAP does not tell these from a sheet.
    """

    ordered_r2: float = 0.6
    above_control: float = 0.1
    disordered_r2: float = 0.4
    disordered_knn_r2: float = 0.75
    sheet: float = 0.6
    nothing: float = 0.9


THRESHOLDS = Thresholds()


def as_read(geometry: pd.DataFrame) -> tuple[str, str | None, str]:
    """The phase of one cloud as the paper reads it.

    C: the weaker of x and y reaches the linear R2 of an ordered sheet in the median UMAP to three dimensions, and more
    than shuffled labels do. Otherwise, if it is in disorder: B where the UMAP tells much more of the cloud than of
    noise, A where it tells no more. Between the two it is ``?``, A or B. What is not C or B is ``blind`` where the
    cloud with a sheet in disorder planted in it would tell no more either.

    Args:
        geometry: the cloud's numbers, columns space, label, metric, value, those of
            :func:`.umaps.umap_numbers` among them.

    Returns:
        (A, B, C, ? or blind; one of ``ORDERS``, or None where order is not defined; reason).
    """
    names = factors_of(geometry, SPACE, "_median")
    if len(names) != FACTORS:
        return "?", None, f"{len(names)} factors: thresholds are set on clouds of two"
    x, y = (number(geometry, "requested", f"r2_{name}_median", SPACE) for name in names)
    control = max(number(geometry, "shuffled", f"r2_{name}_median", SPACE) for name in names)
    knn_r2 = number(geometry, "requested", "knn_r2_median", SPACE)
    rest, planted = rest_of(geometry), rest_of(geometry, "_planted")
    numbers = f"UMAP: R2 {x:.2f} of {names[0]} and {y:.2f} of {names[1]}"
    numbers += f", kNN R2 {knn_r2:.2f}, rest {rest:.2f}, planted {planted:.2f}"
    if not np.isfinite([x, y, control, rest]).all():
        return "?", None, f"too few images, or none that are finite: {numbers}"
    if min(x, y) >= max(THRESHOLDS.ordered_r2, control + THRESHOLDS.above_control):
        return "C", FULL, f"ordered: {numbers}"
    if (x + y) / 2 >= THRESHOLDS.disordered_r2 or knn_r2 >= THRESHOLDS.disordered_knn_r2:
        return "?", PARTIAL, f"partly ordered: {numbers}"
    if rest <= THRESHOLDS.sheet:
        return "B", NONE, f"a sheet in disorder: {numbers}"
    if not planted < THRESHOLDS.nothing:
        return BLIND, NONE, f"a planted sheet would not be seen: {numbers}"
    if rest >= THRESHOLDS.nothing:
        return "A", NONE, f"no more structure than noise: {numbers}"
    return "?", NONE, f"A or B: {numbers}"


def rest_of(geometry: pd.DataFrame, suffix: str = "") -> float:
    """Variance that the UMAP does not tell of the cloud, over that which a UMAP does not tell of noise like it."""
    told, of_noise = (number(geometry, None, f"told_variance{suffix}{kind}", SPACE) for kind in ("", "_noise"))
    return (1 - told) / (1 - of_noise)


def phases_as_read(geometry: pd.DataFrame) -> pd.DataFrame:
    """The verdict at every checkpoint and place (weights, layer, timestep) at which UMAPs were read.

    Args:
        geometry: a run's table of this name.

    Returns:
        Columns step, weights, layer, t, latent_phase_umap, order_umap, and latent_phase_umap_shared, of images that
        share their noise, empty where they were not read.
    """
    where = ["step", *PLACE]
    rows = []
    for place, found in geometry[geometry["space"].isin(["umap2", "umap3"])].groupby(where, sort=False):
        clouds = {noise: as_read(cloud) for noise, cloud in found.groupby("noise") if _was_read(cloud)}
        if "own" in clouds:
            shared = clouds.get("shared")
            rows.append((*place, *clouds["own"][:2], shared and shared[0]))
    table = pd.DataFrame(rows, columns=[*where, *UMAP_VERDICTS])
    return table.astype(dict.fromkeys(UMAP_VERDICTS, "str"))


def _was_read(cloud: pd.DataFrame) -> bool:
    return bool((cloud["metric"] == "told_variance").any())
