"""Known values of clouds and accepted errors, written down before anything was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import euclidean_distances

from bumpscope.measure.order import FOLDS, NEIGHBOURS, REGRESSORS
from clouds import Cloud

# The largest share of clouds with the wrong verdict, and the smallest with the right Betti numbers.
LARGEST_ERROR_RATE = 0.03
LEAST_RIGHT_BETTI = 0.97


@dataclass(frozen=True)
class Accepted:
    """An accepted error, ``relative`` to the known value or in its unit.

    ``wide`` holds in ten dimensions: of a few hundred points there, all lie near the edge of the cloud and neighbours
    half a radius apart, so that estimators of dimension fall short.
    """

    error: float
    relative: bool = False
    wide: float | None = None

    def of(self, known: float) -> float:
        """The accepted error in the number's own unit."""
        share = self.wide if self.wide is not None and known >= 10 else self.error
        return share * known if self.relative else share


# Order and neighbours are read from the denoised cloud; where nothing stands out from noise, from the raw one.
ACCEPTED = {
    "dimension_mada": Accepted(0.2, relative=True, wide=0.35),
    "dimension_mle": Accepted(0.2, relative=True, wide=0.35),
    "dimension_twonn": Accepted(0.2, relative=True, wide=0.35),
    "participation_ratio": Accepted(0.1, relative=True),
    "rank": Accepted(0.0),
    "trustworthiness": Accepted(0.05),
    "knn_overlap": Accepted(0.15),
    "knn_r2": Accepted(0.15),
    "r2": Accepted(0.1),
}
# Numbers that do not depend on a label.
WITHOUT_LABEL = ("dimension_mada", "dimension_mle", "dimension_twonn", "participation_ratio", "rank")


def known_values(cloud: Cloud) -> dict[str, float]:
    """Known values of a cloud by metric; metrics without one are left out.

    - Dimensions are the manifold's; participation ratio and rank follow from the construction.
    - Of an ordered cloud trustworthiness and kNN R2 are 1. kNN overlap and linear R2 are lower on stretched or bent
      sheets and in noise, and follow from :func:`expected_scores`.
    - Of an unrelated cloud trustworthiness is 0.5, kNN overlap that of random neighbours, kNN R2 that of the mean of 8
      random labels, -1/8, and linear R2 that of regressors without a meaning (:func:`_chance_r2`).
    - Of a permuted cloud likewise, but images of one centre stay together: they are right neighbours, and the labels
      of the others come in groups, so that their mean varies more.
    - Of a scrambled cloud no order is known, of a mixture only its phase.
    """
    known: dict[str, float] = {}
    if cloud.mixture:
        return known
    if cloud.dimension is not None:
        known |= dict.fromkeys(("dimension_mada", "dimension_mle", "dimension_twonn"), cloud.dimension)
    if cloud.participation_ratio is not None:
        known["participation_ratio"] = cloud.participation_ratio
    if cloud.rank is not None:
        known["rank"] = float(cloud.rank)
    if cloud.order == "ordered":
        overlap, r2 = _expected_order(cloud)
        known |= {"trustworthiness": 1.0, "knn_overlap": overlap, "knn_r2": 1.0, "r2": r2}
    elif cloud.order in ("unrelated", "permuted"):
        together, group = _companions(cloud) if cloud.order == "permuted" else (0.0, 1.0)
        chance = _chance_overlap(cloud)
        known |= {
            "trustworthiness": 0.5 + 0.5 * together,
            "knn_overlap": together + (1 - together) * chance,
            "knn_r2": -group / NEIGHBOURS,
            "r2": _chance_r2(cloud),
        }
    return known


def _companions(cloud: Cloud) -> tuple[float, float]:
    """Of images that share a centre: their mean share of 8 neighbours, and the mean number of an image's group."""
    centres = np.stack([cloud.mu_x, cloud.mu_y], axis=1)
    _, group, count = np.unique(centres, axis=0, return_inverse=True, return_counts=True)
    size = count[group.ravel()]
    return float(np.minimum(size - 1, NEIGHBOURS).mean() / NEIGHBOURS), float(size.mean())


def expected_scores(cloud: Cloud, rng: np.random.Generator) -> np.ndarray:
    """Expected components above noise of a manifold in white noise, shape (n, components).

    Of a component of the points with variance l, in noise of variance s in each of d coordinates and with g = d / n,
    the sample shows the variance (l + s) (1 + g s / l), of which the share c = 1 - (1 + l / (g s)) / (l / s + l^2 / (g
    s^2)) lies along the component and the rest is noise (spiked covariance, Paul 2007; Benaych-Georges and Nadakuditi
    2012). It is seen where its singular value exceeds the optimal threshold for known noise (Gavish and Donoho 2014).
    """
    assert cloud.points is not None
    n, d = cloud.vectors.shape
    centred = cloud.points - cloud.points.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    left, singular = left[:, singular > 1e-6 * singular[0]], singular[singular > 1e-6 * singular[0]]
    if cloud.noise == 0:
        return left * singular
    spike, ratio = singular**2 / n / cloud.noise, d / n
    beta = min(n, d) / max(n, d)
    least = np.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + np.sqrt(beta**2 + 14 * beta + 1)))
    shown = (spike + 1) * (1 + ratio / spike)
    seen = (spike > np.sqrt(ratio)) & (np.sqrt(n * shown) > least * np.sqrt(max(n, d)))
    left, spike, shown = left[:, seen], spike[seen], shown[seen]
    share = 1 - (1 + spike / ratio) / (spike + spike**2 / ratio)
    unit = np.sqrt(n) * (np.sqrt(share) * left + np.sqrt((1 - share) / n) * rng.normal(size=left.shape))
    return unit * np.sqrt(shown * cloud.noise)


def _expected_order(cloud: Cloud) -> tuple[float, float]:
    """kNN overlap and linear R2 of :func:`expected_scores` with requested centres, of an ordered cloud."""
    scores = expected_scores(cloud, np.random.default_rng(0))
    if scores.shape[1] == 0:
        return np.nan, np.nan
    apart, by_label = euclidean_distances(scores), _label_distances(cloud)
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, axis=1)[:, :NEIGHBOURS]
    eighth = np.sort(by_label, axis=1)[:, NEIGHBOURS - 1]
    overlap = (np.take_along_axis(by_label, nearest, axis=1) <= eighth[:, None] + 1e-9).mean()

    targets = np.stack([cloud.mu_x, cloud.mu_y], axis=1)
    if cloud.boundary == "torus":
        angle = 2 * np.pi * targets / cloud.image_size
        targets = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    targets = targets - targets.mean(axis=0)
    regressors = scores[:, :REGRESSORS] - scores[:, :REGRESSORS].mean(axis=0)
    rest = targets - regressors @ np.linalg.lstsq(regressors, targets, rcond=None)[0]
    share = float((rest**2).sum() / (targets**2).sum())
    n, p = regressors.shape
    # Fitted to some and asked of others: the rest grows by the parameters, once for the fit and once for the test.
    return float(overlap), 1 - share * (n + p) / (n - p)


def _chance_r2(cloud: Cloud) -> float:
    """Cross-validated R2 of p Gaussian regressors without a meaning, -p / (m - p - 2), of m training labels.

    Regressors: the manifold's or the cloud's own components, 20 at most; directions of noise alone are others in other
    images and predict next to nothing. Labels: one a training image, or, where images of a centre stay together, one
    a centre.
    """
    p = cloud.rank
    if cloud.points is not None:
        p = expected_scores(cloud, np.random.default_rng(0)).shape[1]
    elif cloud.dimension is not None:
        p = round(cloud.dimension)
    centres = np.stack([cloud.mu_x, cloud.mu_y], axis=1)
    labels = len(np.unique(centres, axis=0)) if cloud.order == "permuted" else len(centres)
    training = labels * (FOLDS - 1) / FOLDS
    # Of a random cloud that fills every direction, how many count is not known: none is taken.
    p = min(p or 0, REGRESSORS)
    return -p / (training - p - 2) if p else 0.0


def _chance_overlap(cloud: Cloud) -> float:
    """Share of all other images that are among the 8 nearest by requested centre, ties included."""
    distance = _label_distances(cloud)
    eighth = np.sort(distance, axis=1)[:, NEIGHBOURS - 1]
    return float((distance <= eighth[:, None] + 1e-9).sum(axis=1).mean() / (len(distance) - 1))


def _label_distances(cloud: Cloud) -> np.ndarray:
    """Distances between requested centres, px, shape (n, n); of an image from itself infinite."""
    centres = np.stack([cloud.mu_x, cloud.mu_y], axis=1)
    if cloud.boundary == "torus":
        # The shorter way round, from the nine copies of every centre.
        period = cloud.image_size
        copies = [centres + np.array([a, b]) for a in (-period, 0, period) for b in (-period, 0, period)]
        distance = np.min([euclidean_distances(centres, copy) for copy in copies], axis=0)
    else:
        distance = euclidean_distances(centres)
    np.fill_diagonal(distance, np.inf)
    return distance
