"""A cloud of vectors as its principal components, without noise, and as a UMAP.

Geometry and topology rest on Euclidean distances, which the components keep.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

# Neighbours of UMAP, its authors' default; epochs, their default above 10,000 points. The 500 that they take below it
# make no better picture of clouds of this kind (docs/findings.md).
UMAP_NEIGHBOURS = 15
UMAP_EPOCHS = 200
# Activations are float32: spread below this share of their size is rounding.
PRECISION = 1e-6


@dataclass(frozen=True)
class Components:
    """The principal components of a cloud.

    Attributes:
        scores: coordinates of all m = min(n - 1, d) components, shape (n, m), largest variance first. They have the
            vectors' Euclidean distances. All NaN if a vector is not finite; no columns if the vectors do not differ.
        rank: number of leading components above noise.
    """

    scores: np.ndarray
    rank: int

    @property
    def denoised(self) -> np.ndarray:
        """Scores of the components above noise, shape (n, rank)."""
        return self.scores[:, : self.rank]

    @property
    def leading(self) -> np.ndarray:
        """The first three components, shape (n, 3); those that the cloud lacks are 0."""
        points = np.zeros((len(self.scores), 3))
        points[:, : self.scores.shape[1]] = self.scores[:, :3]
        return points


def decompose(vectors: np.ndarray) -> Components:
    """Principal components of vectors of shape (n, d), and how many of them exceed noise.

    The rank counts singular values above the optimal hard threshold for white noise of unknown strength, omega(beta)
    times the median singular value (Gavish and Donoho 2014, arXiv 1305.5870, section III-E, with their polynomial for
    omega).
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    n, d = vectors.shape
    if not np.isfinite(vectors).all():
        return Components(np.full((n, 3), np.nan), 0)
    nothing = Components(np.zeros((n, 0)), 0)
    if n < 3 or d == 0:
        return nothing
    size = np.abs(vectors).max()
    # Scaled to unit size, so that squares of very large or small activations neither overflow nor vanish.
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


def embed(components: Components, seed: int, dimensions: int = 3, epochs: int = UMAP_EPOCHS) -> np.ndarray:
    """A UMAP of a cloud (McInnes et al. 2018, arXiv 1802.03426), shape (n, dimensions); NaN for too few or equal
    vectors.

    It repeats for a seed on one machine, but not across machines.
    """
    n, width = components.scores.shape
    if width == 0 or n <= UMAP_NEIGHBOURS or not np.isfinite(components.leading).all():
        return np.full((n, dimensions), np.nan)
    # Here, since UMAP takes a second to import.
    from umap import UMAP, layouts, umap_

    # UMAP does not cache the functions that take longest to compile: six seconds in every process.
    for function in (
        umap_.smooth_knn_dist,
        umap_.compute_membership_strengths,
        layouts._get_optimize_layout_euclidean_single_epoch_fn(parallel=False),
    ):
        function.enable_caching()
    points = components.scores.astype(np.float32)
    # Neighbours are precomputed, since compiling UMAP's own search takes longer than all of its work here.
    distances, neighbours = NearestNeighbors(n_neighbors=UMAP_NEIGHBOURS).fit(points).kneighbors(points)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        umap = UMAP(
            n_components=dimensions,
            n_neighbors=UMAP_NEIGHBOURS,
            n_epochs=epochs,
            precomputed_knn=(neighbours, distances),
            random_state=seed % 2**32,
            n_jobs=1,
        )
        return umap.fit_transform(points).astype(np.float64)
