"""The latent phase as the paper reads it: from UMAPs of a cloud, and how well they tell the requests linearly.

Which UMAPs the paper shows is not known: here they have two and three dimensions, its authors' number of neighbours,
and three seeds each. UMAP draws a surface whatever it is given, so a picture alone does not tell a sheet from noise.
Two controls do. The first is Gaussian noise with the cloud's own variances: of a sheet, place in the UMAP tells much
more than of that noise. The second is the cloud with a sheet in disorder planted in it: would it be seen?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import euclidean_distances, r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor

from bumpscope.config.model import PAPER_LAYERS
from bumpscope.measure.components import Components, decompose, embed
from bumpscope.measure.geometry import Centres
from bumpscope.measure.order import FOLDS, NEIGHBOURS, Folds, Label, linear_fit, make_folds, neighbour_order, regressors
from bumpscope.measure.phases import FULL, NONE, PARTIAL

# Verdict where a sheet in disorder would not have been seen.
BLIND = "blind"
PLACE = ["weights", "layer", "t"]
UMAP_VERDICTS = ["latent_phase_umap", "order_umap", "latent_phase_umap_shared"]
DIMENSIONS = (2, 3)
# UMAPs of different seeds; the median counts.
REPEATS = 3
FITS = ("r2_x", "r2_y", "knn_r2")
# Of UMAPs from which only told variance is taken: it is the same to 0.03 with the 200 epochs of the others.
FEW_EPOCHS = 50
# A planted sheet: positions as this many units with Gaussian fields see them, this wide in sides of the sheet.
UNITS, FIELD = 64, 0.2


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


def is_read(place: tuple[str, str, int], noise: str, places: Sequence[tuple[str, str, int]]) -> bool:
    """Whether UMAPs of a cloud are read, which cost as much as all else that is measured of it.

    Read are the layers that may be the paper's, or the first where none of them is probed, at every t. Other weights
    and shared noise are read at the first place alone.

    Args:
        place: weights, layer and t.
        places: all that were probed, the judged weights, the first layer and the first t first.
    """
    weights, layer, t = place
    judged, first, first_t = places[0]
    layers = [name for _, name, _ in places if name in PAPER_LAYERS] or [first]
    if noise == "own" and weights == judged:
        return layer in layers
    return (layer, t) == (first, first_t)


def umap_numbers(components: Components, centres: Centres, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """What UMAPs of a cloud tell, and one of them.

    Args:
        seed: of the folds, of the shuffled control and of the first UMAP; the others follow.

    Returns:
        - Columns space (umap2, umap3), label (requested, shuffled, or None), metric, value, as of
          :func:`bumpscope.measure.geometry.measure`. The metrics:

          - r2_x_median, r2_x_low, r2_x_high, the same for y and for knn_r2 (mean of both): cross-validated R2 of the
            label from the UMAP, by linear regression and by the 8 nearest; median, least and largest over three seeds.
          - told_variance: share of the variance of the components above noise that the mean of the 8 nearest in the
            UMAP predicts, cross-validated. With the suffix _noise, the same of Gaussian noise with the cloud's
            variances. told_variance_planted and told_variance_planted_noise: both of the cloud with a sheet as large
            as itself planted in it, whose positions have nothing to do with the requests.
        - The first UMAP to two dimensions, shape (n, 2).
    """
    unique, group, dealt = centres.dealt(seed)
    folds = make_folds(group, seed)
    positions = {"requested": centres.requested, "shuffled": unique[dealt].T}
    labels = {name: Label(x, y, centres.factors) for name, (x, y) in positions.items()}
    rows: list[tuple[str, str | None, str, float]] = []
    pictures = {}
    for dimensions in DIMENSIONS:
        umaps = [embed(components, seed + k, dimensions) for k in range(REPEATS)]
        pictures[dimensions] = umaps[0]
        for name, label in labels.items():
            fits = pd.DataFrame([dict(_fits(umap, folds, label)) for umap in umaps])
            summary = {"median": fits.median(skipna=False), "low": fits.min(), "high": fits.max()}
            for suffix, values in summary.items():
                rows += [(f"umap{dimensions}", name, f"{metric}_{suffix}", values[metric]) for metric in FITS]
    rows += [("umap3", None, *number) for number in _told_variances(components, seed)]
    table = pd.DataFrame(rows, columns=["space", "label", "metric", "value"]).astype({"value": np.float64})
    return table, pictures[2]


def _fits(umap: np.ndarray, folds: Folds, label: Label) -> Iterator[tuple[str, float]]:
    finite = bool(np.isfinite(umap).all())
    yield from linear_fit([regressors(umap, train) for train, _ in folds] if finite else [], folds, label)
    yield from neighbour_order(euclidean_distances(umap) if finite else None, folds, label)


def _told_variances(components: Components, seed: int) -> Iterator[tuple[str, float]]:
    rng = np.random.default_rng(seed)
    planted = with_sheet(components, rng)
    clouds = {"": components, "_noise": noise_like(components, rng)}
    clouds |= {"_planted": planted, "_planted_noise": noise_like(planted, rng)}
    for suffix, cloud in clouds.items():
        yield f"told_variance{suffix}", told_variance(cloud, embed(cloud, seed, epochs=FEW_EPOCHS))


def told_variance(components: Components, umap: np.ndarray) -> float:
    """Share of the variance of a cloud that place in its UMAP tells; NaN without a UMAP.

    It is the cross-validated R2 of the mean of the 8 nearest, of the components above noise, or of all where none is.
    """
    if not np.isfinite(umap).all() or len(umap) < FOLDS * NEIGHBOURS:
        return np.nan
    target = components.denoised if components.rank else components.scores
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    predicted = cross_val_predict(KNeighborsRegressor(NEIGHBOURS), umap, target, cv=folds)
    return float(r2_score(target, predicted, multioutput="variance_weighted"))


def noise_like(components: Components, rng: np.random.Generator) -> Components:
    """Gaussian noise with the number, the variances and the rank of a cloud."""
    scores = components.scores
    return Components(rng.normal(size=scores.shape) * scores.std(axis=0), components.rank)


def with_sheet(components: Components, rng: np.random.Generator) -> Components:
    """The cloud with a sheet in disorder planted in it, of as much variance as its own, in random directions.

    Positions are even over a square and have nothing to do with the requests. The sheet is bent as a code of units with
    overlapping fields is; a flat one could not be told from noise of two components.
    """
    scores = components.scores
    n, m = scores.shape
    if m == 0 or not np.isfinite(scores).all():
        return components
    place, fields = rng.uniform(size=(n, 2)), rng.uniform(-FIELD, 1 + FIELD, size=(UNITS, 2))
    distance = ((place[:, None] - fields) ** 2).sum(axis=2)
    sheet = np.exp(-distance / (2 * FIELD**2)) @ rng.normal(size=(UNITS, m))
    sheet -= sheet.mean(axis=0)
    return decompose(scores + sheet * np.sqrt((scores**2).sum() / (sheet**2).sum()))


def as_read(geometry: pd.DataFrame) -> tuple[str, str | None, str]:
    """The phase of one cloud as the paper reads it.

    C: the weaker of x and y reaches the linear R2 of an ordered sheet in the median UMAP to three dimensions, and more
    than shuffled labels do. Otherwise, if it is in disorder: B where the UMAP tells much more of the cloud than of
    noise, A where it tells no more. Between the two it is ``?``, A or B. What is not C or B is ``blind`` where the
    cloud with a sheet in disorder planted in it would tell no more either.

    Args:
        geometry: the cloud's numbers, columns space, label, metric, value, those of :func:`umap_numbers` among them.

    Returns:
        (A, B, C, ? or blind; one of ``ORDERS``, or None where order is not defined; reason).
    """
    x, y = (_value(geometry, "requested", f"r2_{axis}_median") for axis in "xy")
    control = min(_value(geometry, "shuffled", f"r2_{axis}_median") for axis in "xy")
    knn_r2 = _value(geometry, "requested", "knn_r2_median")
    rest, planted = rest_of(geometry), rest_of(geometry, "_planted")
    numbers = f"UMAP: R2 {x:.2f} of x and {y:.2f} of y, kNN R2 {knn_r2:.2f}, rest {rest:.2f}, planted {planted:.2f}"
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
    told, of_noise = (_value(geometry, None, f"told_variance{suffix}{kind}") for kind in ("", "_noise"))
    return (1 - told) / (1 - of_noise)


def _value(geometry: pd.DataFrame, label: str | None, metric: str) -> float:
    """A number of the UMAP to three dimensions; NaN where the table has none."""
    of_label = geometry.label.isna() if label is None else geometry.label == label
    found = geometry.value[(geometry.space == "umap3") & of_label & (geometry.metric == metric)]
    return float(found.iloc[0]) if len(found) else np.nan


def phases_as_read(geometry: pd.DataFrame) -> pd.DataFrame:
    """The verdict at every checkpoint and place (weights, layer, timestep) that was read by :func:`umap_numbers`.

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
