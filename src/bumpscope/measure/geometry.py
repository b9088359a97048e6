"""Geometry of a cloud of activation vectors: how many dimensions it has, and whether it is ordered by a label.

A cloud is one vector a generated image, at one checkpoint, layer and timestep. Labels are the image's centres:
requested, realised, or requested centres dealt anew to the groups of images that share one (shuffled, the control).
Everything rests on Euclidean distances, so a cloud is first turned into its principal components
(:func:`decompose`), which keep them all. What is not defined for a cloud is NaN, never an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import euclidean_distances
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import NearestNeighbors

from bumpscope.measure.factorisation import factorisation

# Neighbours that order is judged by: on a lattice the nearest ring of centres.
NEIGHBOURS = 8
# Neighbours of the maximum-likelihood dimension (Levina and Bickel 2004 use 10 to 20).
DIMENSION_NEIGHBOURS = 20
# Neighbours of the manifold-adaptive dimension, which compares the distances to the 20th and the 40th: further than
# noise and images of one centre reach, which mislead estimators that look at the nearest (docs/ground-truth.md).
ADAPTIVE_NEIGHBOURS = 40
# Neighbours of UMAP, its authors' default; epochs, their default above 10,000 points. The 500 that they take below it
# make no better picture of clouds of this kind (docs/findings.md).
UMAP_NEIGHBOURS = 15
UMAP_EPOCHS = 200
# Cross-validation of the regressions, and how many components a linear regression of a wide cloud sees.
FOLDS = 5
REGRESSORS = 20
# Components whose share of the variance is written down.
SPECTRUM = 10
# Activations are float32: spread below this share of their size is rounding.
PRECISION = 1e-6


@dataclass(frozen=True)
class Components:
    """The principal components of a cloud.

    Attributes:
        scores: coordinates of all m = min(n - 1, d) components, shape (n, m), largest variance first; their
            Euclidean distances are the vectors'. NaN where a vector is not finite, of no columns where none differ.
        rank: number of leading components that stand out from noise.
    """

    scores: np.ndarray
    rank: int

    @property
    def denoised(self) -> np.ndarray:
        """Scores of the components above noise, shape (n, rank)."""
        return self.scores[:, : self.rank]


def decompose(vectors: np.ndarray) -> Components:
    """Principal components of vectors of shape (n, d), and how many of them exceed noise.

    The rank is cut at the optimal hard threshold for singular values under white noise of unknown strength,
    omega(beta) times the median singular value (Gavish and Donoho 2014, arXiv 1305.5870, section III-E, with
    their polynomial for omega).
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    n, d = vectors.shape
    if not np.isfinite(vectors).all():
        return Components(np.full((n, 3), np.nan), 0)
    nothing = Components(np.zeros((n, 0)), 0)
    if n < 3 or d == 0:
        return nothing
    size = np.abs(vectors).max()
    # Brought to unit size first, so that squares of very large or small activations neither overflow nor vanish.
    centred = (vectors - vectors.mean(axis=0)) / (size or 1.0)
    if np.abs(centred).max() <= PRECISION:
        return nothing
    # The smaller of the two Gram matrices has the same spectrum, at a fraction of the cost of a full SVD.
    if n <= d:
        eigenvalues, left = np.linalg.eigh(centred @ centred.T)
        scores = left * np.sqrt(eigenvalues.clip(0))
    else:
        eigenvalues, axes = np.linalg.eigh(centred.T @ centred)
        scores = centred @ axes
    kept = min(n - 1, d)
    singular = np.sqrt(eigenvalues.clip(0))[::-1][:kept]
    beta = min(n - 1, d) / max(n - 1, d)
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    threshold = max(omega * np.median(singular), PRECISION * singular[0])
    return Components(scores[:, ::-1][:, :kept] * size, int((singular > threshold).sum()))


def denoise(vectors: np.ndarray) -> tuple[np.ndarray, int]:
    """Scores of the components above noise, shape (n, rank), and the rank; see :func:`decompose`."""
    components = decompose(vectors)
    return components.denoised, components.rank


def embed(components: Components, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The first three principal components and a UMAP of the cloud, each of shape (n, 3).

    Components that the cloud lacks are 0; of too few or equal vectors there is no UMAP, so that is NaN.
    UMAP (McInnes et al. 2018, arXiv 1802.03426) repeats for a seed on one machine, but not across machines.
    """
    n, width = components.scores.shape
    pca = np.zeros((n, 3))
    pca[:, :width] = components.scores[:, :3]
    if width == 0 or n <= UMAP_NEIGHBOURS or not np.isfinite(pca).all():
        return pca, np.full((n, 3), np.nan)
    # UMAP takes a second to import; who only wants the rest should not wait for it.
    from umap import UMAP, layouts, umap_

    # What takes longest to compile is what UMAP does not keep on disk by itself: six seconds in every process.
    for function in (
        umap_.smooth_knn_dist,
        umap_.compute_membership_strengths,
        layouts._get_optimize_layout_euclidean_single_epoch_fn(parallel=False),
    ):
        function.enable_caching()
    points = components.scores.astype(np.float32)
    # The neighbours are handed to UMAP, since compiling its own search takes longer than all of its work here.
    distances, neighbours = NearestNeighbors(n_neighbors=UMAP_NEIGHBOURS).fit(points).kneighbors(points)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        umap = UMAP(
            n_components=3,
            n_neighbors=UMAP_NEIGHBOURS,
            n_epochs=UMAP_EPOCHS,
            precomputed_knn=(neighbours, distances),
            random_state=seed % 2**32,
            n_jobs=1,
        )
        return pca, umap.fit_transform(points).astype(np.float64)


@dataclass(frozen=True)
class Label:
    """Centres to compare a cloud with: ``x``, ``y`` in px, shape (n,), NaN where there is none."""

    x: np.ndarray
    y: np.ndarray
    period: float | None

    @property
    def known(self) -> np.ndarray:
        return np.isfinite(self.x) & np.isfinite(self.y)

    def targets(self) -> tuple[np.ndarray, np.ndarray]:
        """What a regression predicts for x and for y: the coordinate, or cosine and sine of its angle on a torus."""
        if self.period is None:
            return self.x[:, None], self.y[:, None]
        angles = (2 * np.pi * self.x / self.period, 2 * np.pi * self.y / self.period)
        return tuple(np.stack([np.cos(angle), np.sin(angle)], axis=1) for angle in angles)  # type: ignore[return-value]

    def distances(self) -> np.ndarray:
        """Distances between the centres, px, shape (n, n); the shorter way round on a torus."""
        differences = [np.abs(axis[:, None] - axis) for axis in (self.x, self.y)]
        if self.period is not None:
            differences = [np.minimum(d % self.period, -d % self.period) for d in differences]
        return np.hypot(*differences)


def measure(
    components: Components,
    pca: np.ndarray,
    umap: np.ndarray,
    mu_x: np.ndarray,
    mu_y: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    seen: np.ndarray,
    boundary: str,
    image_size: int,
    seed: int,
) -> pd.DataFrame:
    """All numbers of one cloud.

    Args:
        components: from :func:`decompose`; ``pca`` and ``umap`` are from :func:`embed`.
        mu_x, mu_y: requested centres, px, shape (n,).
        x, y: realised centres, px, shape (n,); NaN where no bump was found.
        seen: whether a requested centre is one of the lattice that training drew, shape (n,); only those enter
            the factorisation, which needs a lattice.
        boundary: plane or torus; the period of a torus is ``image_size``.
        seed: of the folds and of the shuffled control.

    Returns:
        Columns space (raw, pca3, umap3), label (requested, realised, shuffled, or None), metric, value. The metrics:

        - explained_variance_1 to _10: shares of the variance; rank: components above noise; participation_ratio:
          (sum of variances)^2 / sum of their squares.
        - gaussian_p: p-value of the components above noise under the hypothesis of a Gaussian cloud (Henze and Zirkler
          1990); small for a surface with an edge.
        - dimension_mle (Levina and Bickel 2004, k = 20), dimension_twonn (Facco et al. 2017), dimension_mada
          (Farahmand, Szepesvari and Audibert 2007, k = 40), of the raw cloud;
          with the suffix _denoised, of the components above noise.
        - trustworthiness (Venna and Kaski 2001, k = 8): whether neighbours in the cloud are neighbours by label;
          0.5 by chance, 1 at best. knn_overlap: share of the 8 nearest in the cloud that are among the 8 nearest
          by label, ties included.
        - r2_x, r2_y, r2 (their mean): linear regression of the label, cross-validated by requested centre.
          knn_r2: the same from the mean label of the 8 nearest. At most 1, about 0 by chance.
        - those of :func:`bumpscope.measure.factorisation.factorisation`.
    """
    period = float(image_size) if boundary == "torus" else None
    centres, group = np.unique(np.stack([mu_x, mu_y], axis=1), axis=0, return_inverse=True)
    generator = np.random.default_rng(seed)
    dealt = generator.permutation(len(centres))[group.ravel()]
    is_seen = np.zeros(len(centres), dtype=bool)
    is_seen[group.ravel()] = seen
    labels = {
        "requested": Label(mu_x, mu_y, period),
        "realised": Label(x, y, period),
        "shuffled": Label(centres[dealt, 0], centres[dealt, 1], period),
    }
    folds = _folds(group.ravel(), seed)

    rows: list[tuple[str, str | None, str, float]] = [
        ("raw", None, metric, value) for metric, value in _shape(components)
    ]
    spaces = {"raw": components.scores, "pca3": pca, "umap3": umap}
    for space, points in spaces.items():
        finite = bool(np.isfinite(points).all()) and bool((points != points[0]).any())
        distance = euclidean_distances(points) if finite else None
        features = [_regressors(points, train) for train, _ in folds] if finite else []
        variants = {"": distance}
        if space == "raw":
            variants["_denoised"] = euclidean_distances(components.denoised) if components.rank else None
            rows += [("raw", None, f"{m}{s}", v) for s, d in variants.items() for m, v in _dimensions(d)]
        for name, label in labels.items():
            for metric, value in _linear(features, folds, label):
                rows.append((space, name, metric, value))
            for suffix, distances in variants.items():
                for metric, value in _order(distances, folds, label):
                    rows.append((space, name, metric + suffix, value))
    for name, lattice_rows in (("requested", seen), ("shuffled", is_seen[dealt])):
        keep = np.asarray(lattice_rows, dtype=bool)
        label = labels[name]
        for metric, value in factorisation(components.scores[keep], label.x[keep], label.y[keep], period):
            rows.append(("raw", name, metric, value))
    table = pd.DataFrame(rows, columns=["space", "label", "metric", "value"])
    return table.astype({"value": np.float64})


def _shape(components: Components) -> Iterator[tuple[str, float]]:
    variance = np.zeros(SPECTRUM)
    found = (components.scores**2).sum(axis=0)
    total = found.sum()
    count = min(SPECTRUM, len(found))
    variance[:count] = found[:count]
    for k in range(SPECTRUM):
        yield f"explained_variance_{k + 1}", variance[k] / total if total > 0 else np.nan
    yield "rank", components.rank if np.isfinite(total) else np.nan
    yield "participation_ratio", total**2 / (found**2).sum() if total > 0 else np.nan
    yield "gaussian_p", _gaussian_p(components.denoised)


def _gaussian_p(scores: np.ndarray) -> float:
    """p-value of the test of Henze and Zirkler (1990, Communications in Statistics 19, 3595) that centred and
    uncorrelated scores, shape (n, p), are of a Gaussian cloud, by its log-normal approximation; NaN without scores."""
    n, p = scores.shape
    if p == 0 or n <= 2 * p:
        return np.nan
    unit = scores / np.sqrt((scores**2).mean(axis=0))
    b = ((2 * p + 1) * n / 4) ** (2 / (p + 4)) / 2
    pairs = np.exp(-b / 2 * euclidean_distances(unit, squared=True)).sum() / n
    single = np.exp(-b / (2 * (1 + b)) * (unit**2).sum(axis=1)).sum()
    statistic = pairs - 2 * (1 + b) ** (-p / 2) * single + n * (1 + 2 * b) ** (-p / 2)
    a, w, q = 1 + 2 * b, (1 + b) * (1 + 3 * b), p * (p + 2)
    mean = 1 - a ** (-p / 2) * (1 + p * b / a + q * b**2 / (2 * a**2))
    variance = (
        2 * (1 + 4 * b) ** (-p / 2)
        + 2 * a**-p * (1 + 2 * p * b**2 / a**2 + 3 * q * b**4 / (4 * a**4))
        - 4 * w ** (-p / 2) * (1 + 3 * p * b**2 / (2 * w) + q * b**4 / (2 * w**2))
    )
    width = np.log1p(variance / mean**2)
    if not (statistic > 0 and width > 0):
        return np.nan
    return float(norm.sf((np.log(statistic / mean) + width / 2) / np.sqrt(width)))


def _dimensions(distance: np.ndarray | None) -> Iterator[tuple[str, float]]:
    """Intrinsic dimensions from a distance matrix; NaN for fewer distinct points than the estimator's neighbours."""
    mle = twonn = mada = np.nan
    if distance is not None:
        # Coinciding points have no ratio of distances; the first of each stands for all.
        coincide = np.tril(distance <= PRECISION * distance.max(), k=-1).any(axis=1)
        distinct = distance[np.ix_(~coincide, ~coincide)]
        if len(distinct) > DIMENSION_NEIGHBOURS:
            from skdim.id import MADA, MLE, TwoNN

            nearest = np.sort(distinct, axis=1)[:, 1 : DIMENSION_NEIGHBOURS + 1]
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                # The distances also stand in for the points, of which the estimator only counts the rows.
                mle = MLE().fit(nearest, precomputed_knn_arrays=(nearest, None)).dimension_
                twonn = TwoNN(dist=True).fit(nearest[:, :2]).dimension_
                if len(distinct) > ADAPTIVE_NEIGHBOURS:
                    # The estimator writes into the matrix that it is given.
                    mada = MADA(DM=True).fit(distinct.copy(), n_neighbors=ADAPTIVE_NEIGHBOURS).dimension_
    yield "dimension_mle", mle
    yield "dimension_twonn", twonn
    yield "dimension_mada", mada


def _folds(group: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(training rows, test rows) in which no requested centre is on both sides; none for fewer than five centres."""
    if group.max(initial=0) + 1 < FOLDS:
        return []
    splitter = GroupKFold(FOLDS, shuffle=True, random_state=seed % 2**32)
    return list(splitter.split(group, groups=group))


def _regressors(points: np.ndarray, train: np.ndarray) -> np.ndarray:
    """What a linear regression sees of all rows: the points, or of a wide cloud 20 components of the training rows."""
    features = points
    width = min(REGRESSORS, len(train) - 1)
    if points.shape[1] > width:
        # Rows of a wide cloud are rich enough to fit anything, so it is cut down without a look at the test rows.
        features = PCA(width, svd_solver="randomized", random_state=0).fit(points[train]).transform(points)
    features = features - features[train].mean(axis=0)
    scale = features[train].std(axis=0)
    return features / np.where(scale > PRECISION * scale.max(), scale, np.inf)


def _linear(
    features: list[np.ndarray], folds: list[tuple[np.ndarray, np.ndarray]], label: Label
) -> Iterator[tuple[str, float]]:
    target_x, target_y = label.targets()
    targets = np.concatenate([target_x, target_y], axis=1)
    predicted = np.full_like(targets, np.nan)
    for regressors, (train, test) in zip(features, folds if features else [], strict=True):
        train = train[label.known[train]]
        # Three rows a regressor and its intercept is the least that says anything.
        if len(train) > 3 * (regressors.shape[1] + 1):
            # The ridge, a percent or less of the regressors' own sum of squares, only keeps the fit solvable.
            predicted[test] = Ridge(alpha=1.0).fit(regressors[train], targets[train]).predict(regressors[test])
    width = target_x.shape[1]
    r2_x = _r2(target_x, predicted[:, :width], label.known)
    r2_y = _r2(target_y, predicted[:, width:], label.known)
    yield from (("r2_x", r2_x), ("r2_y", r2_y), ("r2", (r2_x + r2_y) / 2))


def _r2(target: np.ndarray, predicted: np.ndarray, known: np.ndarray) -> float:
    """Share of the target's variance that is predicted; NaN where it has none or a prediction is missing."""
    target, predicted = target[known], predicted[known]
    if len(target) == 0:
        return np.nan
    spread = ((target - target.mean(axis=0)) ** 2).sum()
    return float(1 - ((target - predicted) ** 2).sum() / spread) if spread > 0 else np.nan


def _order(
    distance: np.ndarray | None, folds: list[tuple[np.ndarray, np.ndarray]], label: Label
) -> Iterator[tuple[str, float]]:
    """Agreement of neighbours in the cloud with neighbours by label, among rows that have a label."""
    k = NEIGHBOURS
    trustworthiness = overlap = knn_r2 = np.nan
    rows = np.flatnonzero(label.known)
    n = len(rows)
    if distance is not None and n > 3 * k:
        apart = Label(label.x[rows], label.y[rows], label.period).distances()
        near = distance[np.ix_(rows, rows)].copy()
        np.fill_diagonal(near, np.inf)
        np.fill_diagonal(apart, np.inf)
        neighbours = np.argpartition(near, k, axis=1)[:, :k]
        # Places of the neighbours in the order by label; many images share a centre, and tied ones share a place.
        of_neighbours = np.take_along_axis(apart, neighbours, axis=1)
        nearer = np.stack([(apart < column[:, None]).sum(axis=1) for column in of_neighbours.T], axis=1)
        trustworthiness = 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * (nearer + 1 - k).clip(0).sum()
        overlap = (nearer < k).mean()

        targets = label.targets()
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
