"""Topology of a cloud of activation vectors: its pieces, loops and voids, by persistent homology.

The true Betti numbers are known: (1, 0, 0) for bump positions on a plane, a contractible sheet, and (1, 2, 1) on a
torus.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from gudhi.sklearn import RipsPersistence
from gudhi.subsampling import choose_n_farthest_points
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import euclidean_distances

from bumpscope.measure.components import decompose

LANDMARKS = 256
# Each point is first projected onto the best-fitting plane of its 30 nearest, or of an eighth of all below 240 points.
# This removes noise across a surface and keeps positions along it (Park, Zhang, Zha and Kasturi 2004).
SMOOTHING_NEIGHBOURS = 30
SMOOTHING_SHARE = 1 / 8
# Edges longer than this many median distances are left out; they only fill holes far wider than any bar that counts.
LONGEST_EDGE = 1.9
# A loop or void counts if it is longer than this many median distances (noise makes loops of up to 0.26 and voids of
# up to 0.16, rarely 0.24) ...
LEAST_PERSISTENCE = {1: 0.27, 2: 0.2}
# ... and if it dies at more than this many times its birth, which noise between neighbours does not reach ...
LEAST_RATIO = {1: 2.0, 2: 1.3}
# ... and, for loops, if it comes before the widest gap in their lengths: holes that few images leave in a surface are
# loops too, but clearly shorter than its own. Lengths below this are noise, and gaps among them are ignored.
LEAST_LENGTH = 0.02
# A piece counts if it is this many median distances and this many median gaps between landmarks away from the rest (in
# many dimensions every point is half a median from the next), and holds this many landmarks (a few outliers are not a
# piece of the manifold).
LEAST_GAP = 0.5
LEAST_GAP_RATIO = 2.0
LEAST_PIECE = 5
# Shorter bars are not kept: noise has hundreds of them.
LEAST_KEPT = 0.02
COLUMNS = ["dimension", "birth", "death", "significant"]


def persistence(vectors: np.ndarray, seed: int) -> pd.DataFrame:
    """Bars of the Vietoris-Rips filtration of a cloud, up to voids.

    The components above noise of vectors of shape (n, d) are smoothed (:func:`smoothed`), and 256 landmarks are chosen,
    each the farthest from all before it (``seed`` draws the first). The filtration has edges up to the smaller of the
    enclosing radius, beyond which nothing is left open, and 1.9 median distances.

    Returns:
        Columns dimension (0 to 2), birth and death (in median distances between landmarks; inf where it never dies),
        significant. A loop (dimension 1) is significant if it is longer than 0.27, dies at over twice its birth and
        comes before the largest ratio of a loop's length to the next one's. A void (2) must be longer than 0.2 and die
        at over 1.3 times its birth. A piece (0) must hold five landmarks and join the rest at over 0.5 and over twice
        the median such length; the last one always counts. Insignificant bars of at most 0.02 are left out. A cloud
        without a component above noise is a point: one bar.
    """
    components = decompose(vectors)
    distance = _landmark_distances(smoothed(components.denoised), seed) if components.rank else np.zeros((1, 1))
    if len(distance) == 1:
        return pd.DataFrame([(0, 0.0, np.inf, True)], columns=COLUMNS)
    # Single linkage joins pieces at the same lengths as the filtration does, and knows how large they are.
    joins = linkage(squareform(distance, checks=False), "single")
    sizes = np.concatenate([np.ones(len(distance)), joins[:, 3]])
    smaller = sizes[joins[:, :2].astype(int)].min(axis=1)
    apart = joins[:, 2] > max(LEAST_GAP, LEAST_GAP_RATIO * np.median(joins[:, 2]))
    rows = [(0, 0.0, np.inf, True)]
    rows += [(0, 0.0, *piece) for piece in zip(joins[:, 2], apart & (smaller >= LEAST_PIECE), strict=True)]

    threshold = min(distance.max(axis=1).min(), LONGEST_EDGE)
    rips = RipsPersistence(homology_dimensions=(1, 2), threshold=threshold, input_type="full distance matrix")
    for dimension, diagram in zip((1, 2), rips.fit_transform([distance])[0], strict=True):
        birth, death = np.reshape(diagram, (-1, 2)).T
        # A bar still open at the threshold is judged as if it closed there.
        closed = np.minimum(death, threshold)
        length = closed - birth
        significant = (length > LEAST_PERSISTENCE[dimension]) & (closed > LEAST_RATIO[dimension] * birth)
        if dimension == 1:
            significant &= _before_the_gap(length, int(significant.sum()))
        rows += [(dimension, *bar) for bar in zip(birth, death, significant, strict=True)]
    bars = pd.DataFrame(rows, columns=COLUMNS)
    return bars[bars.significant | (bars.death - bars.birth > LEAST_KEPT)].reset_index(drop=True)


def smoothed(points: np.ndarray) -> np.ndarray:
    """Points, shape (n, k), each projected onto the plane of its 30 nearest, or of an eighth of all if that is fewer.

    The plane goes through the neighbours' mean along their two principal axes. A point on a flat sheet stays where it
    is, and none is drawn towards dense regions.
    """
    n, width = points.shape
    count = min(SMOOTHING_NEIGHBOURS, int(SMOOTHING_SHARE * n))
    if width <= 2 or count <= 2:
        return points
    distance = euclidean_distances(points)
    # Every point is its own first neighbour, even where others coincide with it.
    np.fill_diagonal(distance, -1.0)
    neighbours = points[np.argsort(distance, axis=1)[:, :count]]
    mean = neighbours.mean(axis=1)
    around = neighbours - mean[:, None]
    _, vectors = np.linalg.eigh(around @ around.transpose(0, 2, 1))
    plane = vectors[:, :, -2:]
    weights = np.einsum("nr,nkr->nk", plane[:, 0], plane)
    return mean + np.einsum("nk,nkd->nd", weights, around)


def _before_the_gap(length: np.ndarray, most: int) -> np.ndarray:
    """Which bars are at least as long as the last before the largest ratio of successive lengths.

    Only the ``most`` longest are considered; if that is 0, all bars pass.
    """
    if most == 0:
        return np.ones(len(length), dtype=bool)
    sorted_length = np.sort(np.append(length, 0.0).clip(LEAST_LENGTH))[::-1]
    last = int(np.argmax(sorted_length[:most] / sorted_length[1 : most + 1]))
    return length >= sorted_length[last]


def _landmark_distances(scores: np.ndarray, seed: int) -> np.ndarray:
    """Distances between landmarks in units of their median; a single 0 where the points coincide."""
    first = int(np.random.default_rng(seed).integers(len(scores)))
    chosen = choose_n_farthest_points(points=scores, nb_points=min(LANDMARKS, len(scores)), starting_point=first)
    distance = euclidean_distances(np.asarray(chosen))
    median = np.median(distance[np.triu_indices(len(distance), k=1)])
    return distance / median if median > 0 else np.zeros((1, 1))
