"""What a denoiser draws while it is interfered with: is a layer's code of the label needed, and is it enough?

A layer may tell the label only because the label enters every block. So images are drawn while the code is changed:

- ``none``: nothing is changed.
- ``labels``: the blocks up to a layer are given the request and those after it another centre. At the last layer all
  are given the request, which checks the machinery.
- ``removed``: of a layer's activation the part in the subspace that tells the label is replaced by its mean over
  centres.
- ``random``: its control. Each activation is changed by as much along as many random directions.
- ``patched``: this part is taken from an image of another centre.
- ``ablated``: the whole activation is replaced by its mean, so that the layer tells nothing.

All hold at every timestep. Subspaces are fitted to one half of the centres, images are drawn of the other half. What
is removed is fitted while it is removed, since images that are drawn otherwise have other activations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
import torch
from scipy.linalg import orth
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from torch import Tensor

from bumpscope.config.lattice import Lattice
from bumpscope.config.steps import SampledInterventionKeys
from bumpscope.denoise.denoiser import Denoiser, Intervention
from bumpscope.denoise.process import Process
from bumpscope.denoise.samplers import named_sampler, trailing_timesteps
from bumpscope.probe.generation import noise_of
from bumpscope.seeding import derived_seed
from bumpscope.worlds.bumps import from_network
from bumpscope.worlds.named import world_of
from bumpscope.worlds.reading import classify

NONE, LABELS, REMOVED, ABLATED = "none", "labels", "removed", "ablated"
RANDOM, PATCHED = "random", "patched"
OF_A_LAYER = (REMOVED, RANDOM, PATCHED, ABLATED)
# Centres at most, half of them to fit to, and images with different noise of each.
MOST_CENTRES, FITTED_IMAGES, DRAWN_IMAGES = 144, 4, 2
# Centres further apart than this cannot be mistaken for each other, px; three tolerances where that is more.
FAR = 4.0
# The label is removed as polynomials of x and y up to this degree, since a curved sheet tells it in many dimensions. Of
# 4, 6, 8 and all that the centres allow this one left least behind (one default run, all layers).
DEGREE = 8
# Timesteps that activations are kept at for measuring what they still tell.
READINGS = 5
# Singular values below this share of the largest are rounding.
RANK = 1e-6


@dataclass(frozen=True)
class Requests:
    """The images that are drawn.

    Attributes:
        fitted: centres of the images that subspaces are fitted to, px, shape (m, 2).
        own: requested centres of the images that are judged, none of them in ``fitted``, shape (n, 2).
        donor: for each of these the number of another, whose centre is far away; shape (n,).
        seeds: of the noise of the images that are fitted to and of those that are judged, shapes (m,) and (n,).
    """

    fitted: np.ndarray
    own: np.ndarray
    donor: np.ndarray
    seeds: tuple[np.ndarray, np.ndarray]

    @property
    def other(self) -> np.ndarray:
        """The donors' centres, px, shape (n, 2)."""
        return self.own[self.donor]


@dataclass(frozen=True)
class Subspace:
    """Where one layer tells the label at one timestep.

    Attributes:
        mean: of the activations over centres and noise, shape (d,).
        axes: orthonormal directions, shape (d, k).
        random: as many orthonormal directions, drawn at random; orthogonal to ``axes`` where there is room.
        variance: share of the variance of the activations along ``axes``.
    """

    mean: Tensor
    axes: Tensor
    random: Tensor
    variance: float


@dataclass(frozen=True)
class Drawn:
    """Images drawn under one intervention at one layer.

    Attributes:
        images: intensities, shape (n, N, N).
        dimension, variance: of the subspace, mean over timesteps; None where there is none.
        activations: those of the layer after the intervention at some timesteps, shape (n, d) each.
    """

    intervention: str
    layer: str
    images: np.ndarray
    dimension: int | None = None
    variance: float | None = None
    activations: list[np.ndarray] = field(default_factory=list)


def requests(lattice: Lattice, tolerance: float, seed: int) -> Requests:
    """Centres to fit to and to judge by, drawn from those that training draws; the same for the same seed.

    Donors are drawn among the centres further away than 4 px and three times the tolerance, or the farthest where
    there is none.
    """
    generator = np.random.default_rng(derived_seed(seed, "interventions"))
    points = world_of(lattice).points
    trained = np.flatnonzero(points.probability > 0)
    chosen = generator.permutation(trained)[:MOST_CENTRES]
    centres = points.labels[chosen]
    half = len(centres) // 2
    fitted, own = np.repeat(centres[:half], FITTED_IMAGES, 0), np.repeat(centres[half:], DRAWN_IMAGES, 0)
    apart = common_distance(lattice, own[:, None], own)
    far = apart > np.minimum(max(FAR, 3 * tolerance), apart.max(axis=1, keepdims=True) - 1e-9)
    donor = np.array([generator.choice(np.flatnonzero(row)) for row in far])
    noise = np.array([derived_seed(seed, "intervention noise", k) for k in range(len(fitted) + len(own))])
    return Requests(fitted, own, donor, (noise[: len(fitted)], noise[len(fitted) :]))


def common_distance(lattice: Lattice, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance between labels, shape (..., F) each, in a world all of whose factors are judged by one distance, px."""
    (distance,) = world_of(lattice).distances(a, b)
    return distance


def label_functions(centres: np.ndarray, lattice: Lattice) -> np.ndarray:
    """An orthonormal basis of the polynomials of the label up to degree 8 without the constant, (n, F) -> (n, m).

    On a torus they are polynomials of its cosines and sines.
    """
    targets = [axis.targets(values) for axis, values in zip(world_of(lattice).factors, centres.T, strict=True)]
    scaled = StandardScaler().fit_transform(np.concatenate(targets, axis=1))
    polynomials = PolynomialFeatures(DEGREE, include_bias=False).fit_transform(scaled)
    return orth(StandardScaler().fit_transform(polynomials), rcond=RANK)


def fit_subspace(
    activations: np.ndarray, functions: np.ndarray, seed: int, device: torch.device | str = "cpu"
) -> Subspace:
    """The directions along which activations covary with functions of the label.

    Without them no linear regression tells these functions any more (Shao, Ziser and Cohen 2022, arXiv 2203.07893).

    Args:
        activations: shape (n, d).
        functions: of the labels, with mean 0, shape (n, m).
        seed: of the random directions.
    """
    mean = activations.mean(axis=0)
    centred = np.asarray(activations - mean, dtype=np.float64)
    covariance = centred.T @ functions
    axes = orth(covariance, rcond=RANK) if np.isfinite(covariance).all() else np.zeros((len(mean), 0))
    random = np.random.default_rng(seed).standard_normal(axes.shape)
    if len(mean) >= 2 * axes.shape[1]:
        random -= axes @ (axes.T @ random)
    random = orth(random) if axes.shape[1] else axes
    total = (centred**2).sum()
    variance = float(((centred @ axes) ** 2).sum() / total) if total > 0 else 0.0
    parts = [torch.tensor(part, dtype=torch.float32, device=device) for part in (mean, axes, random)]
    return Subspace(parts[0], parts[1], parts[2], variance)


def edited(kind: str, activation: Tensor, space: Subspace, donor: Tensor | float = 0.0) -> Tensor:
    """An activation, shape (n, ...), under an intervention of ``OF_A_LAYER``.

    Args:
        donor: coordinates along ``space.axes`` of other images, shape (n, k), for ``patched``.
    """
    flat = activation.flatten(1)
    off = flat - space.mean
    along = off @ space.axes
    changes = {
        REMOVED: lambda: along @ space.axes.T,
        RANDOM: lambda: along @ space.random.T,
        PATCHED: lambda: (along - donor) @ space.axes.T,
        ABLATED: lambda: off,
    }
    return (flat - changes[kind]()).reshape(activation.shape)


class Interference:
    """Draws images of one checkpoint under every intervention.

    Args:
        network: one that intervenes, on the device to compute on, with the weights to probe.
        asked: as from :func:`requests`.
        seed: of the run.

    Raises:
        ValueError: for a layer that the network does not have.
    """

    def __init__(
        self,
        network: Denoiser,
        process: Process,
        keys: SampledInterventionKeys,
        lattice: Lattice,
        asked: Requests,
        seed: int,
    ):
        self.layers: list[str] = list(keys.intervention_layers)
        if unknown := [layer for layer in self.layers if layer not in network.layers]:
            raise ValueError(f"no layer {', '.join(unknown)} in this network; it has {', '.join(network.layers)}")
        self.network, self.process, self.asked, self.seed = network, process, asked, seed
        self.sampler = named_sampler(keys.sampler)
        self.steps = trailing_timesteps(process.timesteps, keys.sampling_steps)
        self.read_at = read_timesteps(self.steps, keys.timesteps[0])
        self.functions = label_functions(asked.fitted, lattice)
        # By layer and timestep; the donors' coordinates along the axes of the subspace.
        self.spaces: dict[tuple[str, int], Subspace] = {}
        self.donors: dict[tuple[str, int], Tensor] = {}

    @torch.inference_mode()
    def drawn(self) -> Iterator[Drawn]:
        """The images of every intervention, one after another."""
        fitted, judged = self.asked.seeds
        centres = np.concatenate([self.asked.fitted, self.asked.own])
        self._draw(self.asked.fitted, fitted, self._fit)
        kept: dict[str, list[np.ndarray]] = {layer: [] for layer in self.layers}
        images = self._draw(self.asked.own, judged, partial(self._watch, kept))
        for layer in self.layers:
            yield Drawn(NONE, layer, images, activations=kept[layer])
        names = self.network.layers
        for place, layer in enumerate(names, start=1):
            later = dict.fromkeys(names[place:], self.asked.other) or dict.fromkeys(names, self.asked.own)
            yield Drawn(LABELS, layer, self._draw(self.asked.own, judged, labels=later))
        for layer in self.layers:
            spaces = [self.spaces[layer, t] for t in self.steps]
            dimension = max(space.axes.shape[1] for space in spaces)
            variance = float(np.mean([space.variance for space in spaces]))
            for kind in OF_A_LAYER:
                kept = {layer: []}
                if kind == REMOVED:
                    both = self._draw(centres, np.concatenate([fitted, judged]), partial(self._remove, kept))
                    images = both[len(fitted) :]
                else:
                    images = self._draw(self.asked.own, judged, partial(self._change, layer, kind))
                if kind == ABLATED:
                    yield Drawn(kind, layer, images)
                else:
                    yield Drawn(kind, layer, images, dimension, variance, kept[layer])

    def _draw(
        self,
        centres: np.ndarray,
        seeds: np.ndarray,
        edit: Callable[[int, str, Tensor], Tensor] = lambda _t, _layer, activation: activation,
        labels: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Images, shape (n, N, N), drawn while layers are edited, or given labels of their own."""
        device = self.process.alpha_bar.device
        shown = torch.tensor(centres, dtype=torch.float32, device=device)
        own = {layer: torch.tensor(mu, dtype=torch.float32, device=device) for layer, mu in (labels or {}).items()}
        noise = noise_of(seeds, (1, self.network.image_size, self.network.image_size), device)

        def predict(x: Tensor, t: Tensor) -> Tensor:
            return self.network(x, t, shown, intervention=Intervention(partial(edit, int(t[0])), own))

        x = self.sampler(predict, noise(0), self.process, self.steps, noise)
        return from_network(x[:, 0].float().cpu().numpy())

    def _fit(self, t: int, layer: str, activation: Tensor) -> Tensor:
        if layer in self.layers:
            self.spaces[layer, t] = self._space(t, layer, activation)
        return activation

    def _space(self, t: int, layer: str, activation: Tensor) -> Subspace:
        number = self.network.layers.index(layer) * self.process.timesteps + t
        seed = derived_seed(self.seed, "random subspace", number)
        return fit_subspace(_flat(activation), self.functions, seed, activation.device)

    def _watch(self, kept: dict[str, list[np.ndarray]], t: int, layer: str, activation: Tensor) -> Tensor:
        if layer in kept:
            space = self.spaces[layer, t]
            along = (activation.flatten(1) - space.mean) @ space.axes
            self.donors[layer, t] = along[torch.from_numpy(self.asked.donor).to(along.device)]
            if t in self.read_at:
                kept[layer].append(_flat(activation))
        return activation

    def _remove(self, kept: dict[str, list[np.ndarray]], t: int, layer: str, activation: Tensor) -> Tensor:
        if layer in kept:
            fitted = len(self.asked.fitted)
            activation = edited(REMOVED, activation, self._space(t, layer, activation[:fitted]))
            if t in self.read_at:
                kept[layer].append(_flat(activation[fitted:]))
        return activation

    def _change(self, changed: str, kind: str, t: int, layer: str, activation: Tensor) -> Tensor:
        if layer != changed:
            return activation
        return edited(kind, activation, self.spaces[layer, t], self.donors[layer, t])


def _flat(activation: Tensor) -> np.ndarray:
    return activation.flatten(1).float().cpu().numpy()


def read_timesteps(steps: list[int], judged: int) -> list[int]:
    """Five of the sampler's timesteps, evenly from the first down to the one nearest to ``judged``."""
    last = min(range(len(steps)), key=lambda k: abs(steps[k] - judged))
    return [steps[k] for k in sorted(set(np.linspace(0, last, READINGS).round().astype(int).tolist()))]


def shares(images: np.ndarray, asked: Requests, lattice: Lattice, tolerance: float, faint: float) -> dict[str, float]:
    """Shares of images by where they have their bump, as in table ``interventions``; they add up to 1.

    Args:
        images: intensities, shape (n, N, N).
        tolerance: px.
        faint: amplitude from which a bump counts.
    """
    world = world_of(lattice)
    (tolerance,) = world.tolerances(tolerance)
    found = classify(world, images.astype(np.float64), asked.own, [tolerance], faint)
    to_other = common_distance(lattice, found[[*world.names]].to_numpy(), asked.other)
    apart = common_distance(lattice, asked.own, asked.other)
    detour = found["error"].to_numpy() + to_other - apart
    places = [found["outcome"] == "correct", to_other <= tolerance, detour <= tolerance]
    outcome = np.select(places, ["own", "other", "between"], "elsewhere")
    outcome = np.where(found["bumps"] == 1, outcome, np.where(found["bumps"] > 1, "multiple", "none"))
    counted = pd.Series(outcome).value_counts(normalize=True)
    names = ("own", "other", "between", "elsewhere", "multiple", "none")
    return {f"share_{name}": float(counted.get(name, 0.0)) for name in names}
