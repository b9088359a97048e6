"""What UMAPs of a cloud tell of it, beside controls, for :mod:`bumpscope.measure.as_read`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import euclidean_distances, r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor

from bumpscope.config.model import PAPER_LAYERS
from bumpscope.measure.components import Components, decompose, embed
from bumpscope.measure.geometry import Centres
from bumpscope.measure.order import FOLDS, NEIGHBOURS, Folds, Label, linear_fit, make_folds, neighbour_order, regressors

DIMENSIONS = (2, 3)
# UMAPs of different seeds; the median counts.
REPEATS = 3
# Of UMAPs from which only told variance is taken: it is the same to 0.03 with the 200 epochs of the others.
FEW_EPOCHS = 50
# A planted sheet: positions as this many units with Gaussian fields see them, this wide in sides of the sheet.
UNITS, FIELD = 64, 0.2


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
    labels = {name: Label(values, centres.factors) for name, values in positions.items()}
    metrics = [*(f"r2_{factor.name}" for factor in centres.factors), "knn_r2"]
    rows: list[tuple[str, str | None, str, float]] = []
    pictures = {}
    for dimensions in DIMENSIONS:
        umaps = [embed(components, seed + k, dimensions) for k in range(REPEATS)]
        pictures[dimensions] = umaps[0]
        for name, label in labels.items():
            fits = pd.DataFrame([dict(_fits(umap, folds, label)) for umap in umaps])
            summary = {"median": fits.median(skipna=False), "low": fits.min(), "high": fits.max()}
            for suffix, values in summary.items():
                rows += [(f"umap{dimensions}", name, f"{metric}_{suffix}", values[metric]) for metric in metrics]
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
