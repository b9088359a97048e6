"""What each number of a cloud should be, and by how much it may be off: written down before anything was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import euclidean_distances

from bumpscope.geometry import NEIGHBOURS
from clouds import Cloud

# The largest share of clouds with the wrong verdict, and the smallest with the right Betti numbers.
LARGEST_ERROR_RATE = 0.03
LEAST_RIGHT_BETTI = 0.97


@dataclass(frozen=True)
class Accepted:
    """By how much a number may be off: ``relative`` to what is known, or in its own unit.

    ``wide`` holds in ten dimensions, where a few hundred points leave every one of them near the edge of the cloud and
    its neighbours half a radius away, so that estimators of dimension fall short.
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
    """What is known of a cloud, by metric; a metric that has no known value is left out.

    - dimension_mada, _mle, _twonn (of the denoised cloud): the manifold's dimension.
    - participation_ratio, rank: as the construction gives them.
    - trustworthiness, knn_overlap, knn_r2 (of the denoised cloud; raw where the dimension is not defined) and r2,
      against requested centres: of an ordered cloud 1. Of an unrelated one trustworthiness 0.5; the overlap that
      neighbours drawn at random have; the R2 of the mean of 8 labels drawn at random, -1/8; no linear R2. Of a permuted
      one the same, but that images of one centre stay together: they are right neighbours, and the 8 labels of other
      centres come in groups, so that their mean varies more. Of a scrambled one, none.
    """
    known = {}
    if cloud.dimension is not None:
        known |= dict.fromkeys(("dimension_mada", "dimension_mle", "dimension_twonn"), cloud.dimension)
    if cloud.participation_ratio is not None:
        known["participation_ratio"] = cloud.participation_ratio
    if cloud.rank is not None:
        known["rank"] = float(cloud.rank)
    if cloud.order == "ordered":
        known |= {"trustworthiness": 1.0, "knn_overlap": 1.0, "knn_r2": 1.0, "r2": 1.0}
    elif cloud.order in ("unrelated", "permuted"):
        together, group = _companions(cloud) if cloud.order == "permuted" else (0.0, 1.0)
        chance = _chance_overlap(cloud)
        known |= {
            "trustworthiness": 0.5 + 0.5 * together,
            "knn_overlap": together + (1 - together) * chance,
            "knn_r2": -group / NEIGHBOURS,
            "r2": 0.0,
        }
    return known


def _companions(cloud: Cloud) -> tuple[float, float]:
    """Of images that share a centre: their mean share of 8 neighbours, and the mean number of an image's group."""
    centres = np.stack([cloud.mu_x, cloud.mu_y], axis=1)
    _, group, count = np.unique(centres, axis=0, return_inverse=True, return_counts=True)
    size = count[group.ravel()]
    return float(np.minimum(size - 1, NEIGHBOURS).mean() / NEIGHBOURS), float(size.mean())


def _chance_overlap(cloud: Cloud) -> float:
    """Share of all other images that are among the 8 nearest by requested centre, ties included."""
    centres = np.stack([cloud.mu_x, cloud.mu_y], axis=1)
    if cloud.boundary == "torus":
        # The shorter way round, from the nine copies of every centre.
        period = cloud.image_size
        copies = [centres + np.array([a, b]) for a in (-period, 0, period) for b in (-period, 0, period)]
        distance = np.min([euclidean_distances(centres, copy) for copy in copies], axis=0)
    else:
        distance = euclidean_distances(centres)
    np.fill_diagonal(distance, np.inf)
    eighth = np.sort(distance, axis=1)[:, NEIGHBOURS - 1]
    return float((distance <= eighth[:, None] + 1e-9).sum(axis=1).mean() / (len(centres) - 1))
