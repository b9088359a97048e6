"""All numbers of a cloud of activation vectors: how many dimensions it has, and whether it is ordered by a label.

A cloud has one vector for each generated image of one checkpoint, layer and timestep. Labels are the images' centres:
requested, realised, or shuffled (requested centres permuted among the groups of images that share one; the control).
What is not defined for a cloud is NaN, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import euclidean_distances

from bumpscope.measure.components import Components
from bumpscope.measure.dimension import intrinsic_dimensions, spectrum
from bumpscope.measure.factorisation import factorisation
from bumpscope.measure.order import Folds, Label, linear_fit, make_folds, neighbour_order, regressors
from bumpscope.measure.sheet import averaged, local_shape, sheet_numbers
from bumpscope.worlds.factor import Factor


@dataclass(frozen=True)
class Centres:
    """The labels of the images of a cloud, such as their centres.

    Attributes:
        requested: shape (F, n).
        realised: shape (F, n); NaN where nothing was found.
        seen: whether a request is a lattice point that training draws, shape (n,).
        factors: what the labels are of.
    """

    requested: np.ndarray
    realised: np.ndarray
    seen: np.ndarray
    factors: tuple[Factor, ...]

    @classmethod
    def from_table(cls, rows: pd.DataFrame, factors: tuple[Factor, ...]) -> Centres:
        """From rows of table ``behaviour``."""
        names = [factor.name for factor in factors]
        return cls(
            rows[[f"mu_{name}" for name in names]].to_numpy().T,
            rows[names].to_numpy().T,
            (rows.split == "seen").to_numpy(),
            factors,
        )

    def dealt(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Different requests, shape (m, F); the number of each image's; and that of the one dealt to it and
        to all that share its own, the shuffled control."""
        unique, group = np.unique(self.requested.T, axis=0, return_inverse=True)
        group = group.ravel()
        return unique, group, np.random.default_rng(seed).permutation(len(unique))[group]


def measure(
    components: Components, centres: Centres, seed: int, umap: np.ndarray | None = None, noiseless: bool = False
) -> pd.DataFrame:
    """All numbers of one cloud.

    Args:
        seed: of the folds, of the shuffled control and of planted sheets.
        umap: from :func:`bumpscope.measure.components.embed`; None leaves space umap3 out.
        noiseless: as in :func:`bumpscope.measure.factorisation.factorisation`; of a cloud with shared noise.

    Returns:
        Columns space (raw, pca3, umap3), label (requested, realised, shuffled, or None), metric, value. The metrics:

        - explained_variance_1 to _10: shares of the variance; rank: components above noise; participation_ratio:
          (sum of variances)^2 / sum of their squares.
        - breadth, thickness: second over first and third over second local variance, of the components above noise
          (:func:`bumpscope.measure.sheet.local_shape`); a sheet has thickness near 0. With the suffix _averaged, of the
          mean over the images of each seen centre: a control, since it erases what does not depend on the request.
        - gaussian_p: p-value of the two broadest components under the hypothesis of a Gaussian cloud (Henze and Zirkler
          1990); small for a surface with an edge.
        - least_visible_sheet: smallest radius, relative to the cloud's, of a planted sheet that would be seen: 0.5, 1,
          2 or none.
        - dimension_mle (Levina and Bickel 2004, k = 20), dimension_twonn (Facco et al. 2017), dimension_mada
          (Farahmand, Szepesvari and Audibert 2007, k = 40), of the raw cloud;
          with the suffix _denoised, of the components above noise.
        - trustworthiness (Venna and Kaski 2001, k = 8): whether neighbours in the cloud are neighbours by label;
          0.5 by chance, 1 at best. knn_overlap: share of the 8 nearest in the cloud that are among the 8 nearest
          by label, ties included.
        - r2_x, r2_y, r2 (their mean): linear regression of each factor, cross-validated by request.
          knn_r2: the same from the mean label of the 8 nearest. At most 1, about 0 by chance.
        - those of :func:`bumpscope.measure.factorisation.factorisation`, from seen centres only, since they need a
          lattice.
    """
    unique, group, dealt = centres.dealt(seed)
    is_seen = np.zeros(len(unique), dtype=bool)
    is_seen[group] = centres.seen
    positions = {"requested": centres.requested, "realised": centres.realised, "shuffled": unique[dealt].T}
    labels = {name: Label(values, centres.factors) for name, values in positions.items()}
    folds = make_folds(group, seed)

    numbers = [*spectrum(components), *sheet_numbers(components, seed, len(centres.factors))]
    means = averaged(components.denoised[centres.seen], group[centres.seen])
    shape = local_shape(means, len(centres.factors))
    numbers += zip(("breadth_averaged", "thickness_averaged"), shape, strict=True)
    rows: list[tuple[str, str | None, str, float]] = [("raw", None, *number) for number in numbers]
    spaces = {"raw": components.scores, "pca3": components.leading}
    if umap is not None:
        spaces["umap3"] = umap
    for space, points in spaces.items():
        finite = bool(np.isfinite(points).all()) and bool((points != points[0]).any())
        distances = {"": euclidean_distances(points) if finite else None}
        features = [regressors(points, train) for train, _ in folds] if finite else []
        if space == "raw":
            distances["_denoised"] = euclidean_distances(components.denoised) if components.rank else None
            for suffix, distance in distances.items():
                rows += [("raw", None, metric + suffix, value) for metric, value in intrinsic_dimensions(distance)]
        for name, label in labels.items():
            rows += [(space, name, *number) for number in _order(features, distances, folds, label)]
    for name, on_lattice in (("requested", centres.seen), ("shuffled", is_seen[dealt])):
        keep = np.asarray(on_lattice, dtype=bool)
        shares = factorisation(components.scores[keep], labels[name][keep], noiseless)
        rows += [("raw", name, *share) for share in shares]
    table = pd.DataFrame(rows, columns=["space", "label", "metric", "value"])
    return table.astype({"value": np.float64})


def _order(
    features: list[np.ndarray], distances: dict[str, np.ndarray | None], folds: Folds, label: Label
) -> Iterator[tuple[str, float]]:
    yield from linear_fit(features, folds, label)
    for suffix, distance in distances.items():
        for metric, value in neighbour_order(distance, folds, label):
            yield metric + suffix, value
