"""Whether a cloud is ordered by a label: by linear regression, and by neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsRegressor

from bumpscope.measure.components import PRECISION
from bumpscope.worlds.factor import Factor

# Neighbours that order is judged by: on a lattice the nearest ring of centres.
NEIGHBOURS = 8
# Folds of the cross-validation, and components of a wide cloud that a linear regression uses.
FOLDS = 5
REGRESSORS = 20


@dataclass(frozen=True)
class Label:
    """Labels to compare a cloud with: ``values``, shape (F, n), NaN where there are none, and their factors."""

    values: np.ndarray
    factors: tuple[Factor, ...]

    @property
    def known(self) -> np.ndarray:
        return np.isfinite(self.values).all(axis=0)

    def __getitem__(self, rows: np.ndarray) -> Label:
        return Label(self.values[:, rows], self.factors)

    def targets(self) -> dict[str, np.ndarray]:
        """What a regression predicts for each factor, by its name; see :meth:`Factor.targets`."""
        return {factor.name: factor.targets(own) for factor, own in zip(self.factors, self.values, strict=True)}

    def distances(self) -> np.ndarray:
        """Distances between the labels, shape (n, n), in px.

        Of factors with different units each is measured by the length of its support, since there is no other scale.
        """
        shared = len({factor.unit_of_distance for factor in self.factors}) == 1
        scales = [1.0 if shared else factor.extent[1] or 1.0 for factor in self.factors]
        each = [
            factor.distance(own[:, None], own) / scale
            for factor, own, scale in zip(self.factors, self.values, scales, strict=True)
        ]
        return reduce(np.hypot, each)


Folds = list[tuple[np.ndarray, np.ndarray]]


def make_folds(group: np.ndarray, seed: int) -> Folds:
    """(training rows, test rows) that share no requested centre; none for fewer than five centres."""
    if group.max(initial=0) + 1 < FOLDS:
        return []
    splitter = GroupKFold(FOLDS, shuffle=True, random_state=seed % 2**32)
    return list(splitter.split(group, groups=group))


def regressors(points: np.ndarray, train: np.ndarray) -> np.ndarray:
    """The regressors of all rows: the points, or for a wide cloud 20 components fitted to the training rows."""
    features = points
    width = min(REGRESSORS, len(train) - 1)
    if points.shape[1] > width:
        # A wide cloud can fit anything, so it is reduced, without looking at the test rows.
        features = PCA(width, svd_solver="randomized", random_state=0).fit(points[train]).transform(points)
    features = features - features[train].mean(axis=0)
    scale = features[train].std(axis=0)
    return features / np.where(scale > PRECISION * scale.max(), scale, np.inf)


def linear_fit(features: list[np.ndarray], folds: Folds, label: Label) -> Iterator[tuple[str, float]]:
    """Cross-validated R2 of a linear regression of the label, as (metric, value)."""
    each = label.targets()
    targets = np.concatenate(list(each.values()), axis=1)
    predicted = np.full_like(targets, np.nan)
    for points, (train, test) in zip(features, folds if features else [], strict=True):
        train = train[label.known[train]]
        # At least three rows for each regressor and the intercept.
        if len(train) > 3 * (points.shape[1] + 1):
            # The ridge, a percent or less of the regressors' own sum of squares, only keeps the fit solvable.
            predicted[test] = Ridge(alpha=1.0).fit(points[train], targets[train]).predict(points[test])
    ends = np.cumsum([target.shape[1] for target in each.values()])
    parts = np.split(predicted, ends[:-1], axis=1)
    found = {
        f"r2_{name}": _r2(target, part, label.known) for (name, target), part in zip(each.items(), parts, strict=True)
    }
    yield from found.items()
    yield "r2", sum(found.values()) / len(found)


def decodability(points: np.ndarray, folds: Folds, label: Label) -> dict[str, float]:
    """How well each factor is read from a cloud: r2_x and r2_y, or so, as by :func:`linear_fit`, and knn_r2_x and
    knn_r2_y from the 8 nearest in the same regressors, which count alike whatever their variance; NaN without folds.
    """
    features = [regressors(points, train) for train, _ in folds]
    found = {name: value for name, value in linear_fit(features, folds, label) if name != "r2"}
    for name, target in label.targets().items():
        guess = np.full_like(target, np.nan)
        for regressed, (train, test) in zip(features, folds, strict=True):
            if len(train) >= NEIGHBOURS:
                nearest = KNeighborsRegressor(NEIGHBOURS).fit(regressed[train], target[train])
                guess[test] = nearest.predict(regressed[test])
        found[f"knn_r2_{name}"] = _r2(target, guess, label.known)
    return found


def _r2(target: np.ndarray, predicted: np.ndarray, known: np.ndarray) -> float:
    """Share of the target's variance that is predicted; NaN where it has none or a prediction is missing."""
    target, predicted = target[known], predicted[known]
    if len(target) == 0:
        return np.nan
    spread = ((target - target.mean(axis=0)) ** 2).sum()
    return float(1 - ((target - predicted) ** 2).sum() / spread) if spread > 0 else np.nan


def neighbour_order(distance: np.ndarray | None, folds: Folds, label: Label) -> Iterator[tuple[str, float]]:
    """Agreement of neighbours in the cloud with neighbours by label, among rows that have a label."""
    k = NEIGHBOURS
    trustworthiness = overlap = knn_r2 = np.nan
    rows = np.flatnonzero(label.known)
    n = len(rows)
    if distance is not None and n > 3 * k:
        apart = label[rows].distances()
        near = distance[np.ix_(rows, rows)].copy()
        np.fill_diagonal(near, np.inf)
        np.fill_diagonal(apart, np.inf)
        neighbours = np.argpartition(near, k, axis=1)[:, :k]
        # Ranks of the neighbours by label. Many images share a centre; ties share a rank.
        of_neighbours = np.take_along_axis(apart, neighbours, axis=1)
        nearer = np.stack([(apart < column[:, None]).sum(axis=1) for column in of_neighbours.T], axis=1)
        trustworthiness = 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * (nearer + 1 - k).clip(0).sum()
        overlap = (nearer < k).mean()

        targets = list(label.targets().values())
        predicted = [np.full_like(target, np.nan) for target in targets]
        for train, test in folds:
            train = train[label.known[train]]
            if len(train) > k:
                nearest = train[np.argpartition(distance[np.ix_(test, train)], k, axis=1)[:, :k]]
                for guess, target in zip(predicted, targets, strict=True):
                    guess[test] = target[nearest].mean(axis=1)
        pairs = zip(targets, predicted, strict=True)
        knn_r2 = float(np.mean([_r2(target, guess, label.known) for target, guess in pairs]))
    yield from (("trustworthiness", trustworthiness), ("knn_overlap", overlap), ("knn_r2", knn_r2))
