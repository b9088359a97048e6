"""Clouds whose dimension, topology and phase are known by construction; the thresholds of phases and topology were set
on these.

They stand for activations of images requested at centres of a lattice, two or three a centre with noise of their own,
and at some centres between. Every cloud draws its own lattice, width, warp and bend.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clouds import Cloud, anywhere, expected_participation_ratio, mixed, permuted, radius, variances

NOISES = [(0.0, "whole"), (0.05, "whole"), (0.1, "whole"), (0.05, "coordinate"), (0.1, "coordinate")]
IMAGE_SIZE = 20


def _requests(rng: np.random.Generator, boundary: str) -> tuple[np.ndarray, np.ndarray]:
    """Requested centres as shares of the support, shape (n, 2), and which lie on the lattice."""
    columns, rows = rng.integers(10, 14, size=2)
    offset = 0.0 if boundary == "torus" else 0.5
    x, y = (np.arange(columns) + offset) / columns, (np.arange(rows) + offset) / rows
    lattice = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    on = np.tile(lattice, (3, 1))[: int(len(lattice) * rng.uniform(2.2, 3))]
    between = rng.uniform(size=(rng.integers(60, 130), 2))
    return np.concatenate([on, between]), np.arange(len(on) + len(between)) < len(on)


def _sheet(u: np.ndarray, rng: np.random.Generator, curved: bool) -> np.ndarray:
    """Positions in the unit square on a stretched, unevenly spaced sheet; if curved, bent along random waves."""
    warp = rng.uniform(-0.5, 0.5, size=2)
    v = (2 * u - 1) * [1.0, rng.uniform(0.7, 1.0)]
    v = v + warp * (v**2 - 1) / 3
    if not curved:
        return v
    # Half a wave over the sheet at most, and less bend than breadth, so that it nowhere comes near itself.
    waves = rng.normal(size=(2, 5))
    waves *= rng.uniform(1.0, 2.0, size=5) / np.linalg.norm(waves, axis=0)
    bend = 0.5 * np.sin(v @ waves + rng.uniform(0, 2 * np.pi, size=5))
    return np.concatenate([v, bend], axis=1)


def _torus(u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions on a torus with one circle smaller than the other, each run through at uneven speed."""
    angle = 2 * np.pi * u
    angle = angle + rng.uniform(0, 0.3) * np.sin(angle + rng.uniform(0, 2 * np.pi, size=2))
    radii = np.array([1.0, rng.uniform(0.8, 1.0)])
    return np.concatenate([radii * np.cos(angle), radii * np.sin(angle)], axis=1)


def _population(u: np.ndarray, rng: np.random.Generator, periodic: bool) -> np.ndarray:
    """Positions as 120 units with bell-shaped fields and gains of their own see them, whose centres lie anywhere; far
    positions are all about equally far apart. Periodic fields (von Mises) make a torus of them, others a sheet."""
    centres = rng.uniform(size=(120, 2)) if periodic else rng.uniform(-0.2, 1.2, size=(120, 2))
    apart = u[:, None] - centres
    if periodic:
        fields = np.exp(rng.uniform(0.8, 2.0) * (np.cos(2 * np.pi * apart) - 1).sum(axis=2))
    else:
        fields = np.exp(-(apart**2).sum(axis=2) / (2 * rng.uniform(0.15, 0.3) ** 2))
    return fields * rng.uniform(0.5, 1.5, size=len(centres))


def _tiles(u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The unit square cut into squares that change places and are turned by right angles."""
    count = int(rng.integers(3, 6))
    tile = np.minimum((u * count).astype(int), count - 1)
    inside = u * count - tile - 0.5
    number = tile[:, 0] * count + tile[:, 1]
    place = rng.permutation(count**2)[number]
    turn = rng.integers(4, size=count**2)[number] * np.pi / 2
    cosine, sine = np.cos(turn), np.sin(turn)
    turned = np.stack(
        [cosine * inside[:, 0] - sine * inside[:, 1], sine * inside[:, 0] + cosine * inside[:, 1]], axis=1
    )
    return (np.stack([place // count, place % count], axis=1) + 0.5 + turned) / count


def _random(n: int, rng: np.random.Generator) -> np.ndarray:
    """Ten dimensions of unequal breadth without structure."""
    return rng.normal(size=(n, 10)) * rng.uniform(0.6, 1.0, size=10)


def _circle(n: int, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi, size=n)
    return np.stack([np.cos(angle), rng.uniform(0.8, 1) * np.sin(angle), 0.2 * np.cos(2 * angle)], axis=1)


def _ball(n: int, rng: np.random.Generator) -> np.ndarray:
    """Three dimensions filled evenly, one of them shorter."""
    points = rng.normal(size=(n, 3))
    points *= rng.uniform(size=(n, 1)) ** (1 / 3) / np.linalg.norm(points, axis=1, keepdims=True)
    return points * [1.0, 1.0, rng.uniform(0.7, 1.0)]


# Kind -> (boundary, phase, dimension, Betti numbers). A curve is none of the three phases.
KINDS = {
    "full-dimensional random": ("plane", "A", None, None),
    "ten-dimensional random": ("plane", "A", 10.0, None),
    "ordered flat sheet": ("plane", "C", 2.0, (1, 0, 0)),
    "ordered curved sheet": ("plane", "C", 2.0, (1, 0, 0)),
    "permuted flat sheet": ("plane", "B", 2.0, (1, 0, 0)),
    "permuted curved sheet": ("plane", "B", 2.0, (1, 0, 0)),
    "unrelated curved sheet": ("plane", "B", 2.0, (1, 0, 0)),
    "scrambled tiles": ("plane", "B", 2.0, (1, 0, 0)),
    "ordered torus": ("torus", "C", 2.0, (1, 2, 1)),
    "permuted torus": ("torus", "B", 2.0, (1, 2, 1)),
    "unrelated torus": ("torus", "B", 2.0, (1, 2, 1)),
    "circle": ("plane", "?", 1.0, (1, 1, 0)),
}
# Harder ones, on which the topology rule and the test for Gaussian clouds were set as well: codes in which far
# positions are equally far apart, and two components of noise, which no number can tell from a sheet of that density.
HARDER = {
    "ordered population sheet": ("plane", "C", 2.0, (1, 0, 0)),
    "unrelated population sheet": ("plane", "B", 2.0, (1, 0, 0)),
    "ordered population torus": ("torus", "C", 2.0, (1, 2, 1)),
    "permuted population torus": ("torus", "B", 2.0, (1, 2, 1)),
    "unrelated population torus": ("torus", "B", 2.0, (1, 2, 1)),
    "two-dimensional random": ("plane", "?", 2.0, (1, 0, 0)),
    "solid ball": ("plane", "?", 3.0, (1, 0, 0)),
    "random, steep spectrum": ("plane", "A", None, None),
}


def cloud(kind: str, noise: float, spread: str, seed: int, mixture: str = "") -> Cloud:
    """A cloud of one of the ``KINDS``, or of the harder ones.

    Args:
        noise: as a share of the cloud's radius, of the whole noise vector (``spread="whole"``) or of each of its
            coordinates (``"coordinate"``).
        mixture: none, or one of ``clouds.MIXTURES``.
    """
    boundary, phase, dimension, betti = (KINDS | HARDER)[kind]
    rng = np.random.default_rng([list(KINDS | HARDER).index(kind), round(1000 * noise), len(spread), seed])
    u, seen = _requests(rng, boundary)
    d = int(rng.integers(400, 1500))
    moved = u
    for word, move in (("permuted", permuted), ("unrelated", anywhere), ("scrambled", _tiles)):
        moved = move(u, rng) if kind.startswith(word) else moved
    if kind == "full-dimensional random":
        points = rng.normal(size=(len(u), d))
    elif kind in ("ten-dimensional random", "two-dimensional random"):
        points = _random(len(u), rng)[:, : round(dimension)]
    elif kind == "circle":
        points = _circle(len(u), rng)
    elif kind == "solid ball":
        points = _ball(len(u), rng)
    elif kind == "random, steep spectrum":
        points = rng.normal(size=(len(u), 60)) * np.arange(1, 61) ** (-rng.uniform(1.0, 1.6) / 2)
    elif "population" in kind:
        points = _population(moved, rng, periodic=boundary == "torus")
    else:
        points = _torus(moved, rng) if boundary == "torus" else _sheet(moved, rng, curved="flat" not in kind)
    if mixture:
        points = mixed(points, mixture, rng, lambda n, rng: rng.normal(size=(n, 10)))
    axes = np.linalg.qr(rng.normal(size=(d, points.shape[1])))[0]
    scale = noise * radius(points) / (np.sqrt(d) if spread == "whole" else 1.0)
    vectors = rng.uniform(0.1, 10) * (points @ axes.T + scale * rng.normal(size=(len(u), d)) + rng.normal(size=d))
    mu, realised = ((v * 16 + 2 if boundary == "plane" else v * IMAGE_SIZE).T for v in (u, moved))
    # A mixture is neither of known rank nor of known topology.
    structured = dimension is not None and not kind.endswith("random") and not mixture
    return Cloud(
        vectors.astype(np.float32),
        *mu,
        *realised,
        seen,
        boundary,
        IMAGE_SIZE,
        phase,
        next((word for word in ("ordered", "permuted", "scrambled") if kind.startswith(word)), "unrelated"),
        dimension,
        None if mixture else betti,
        participation_ratio=(
            expected_participation_ratio(variances(points), scale**2, len(u), d) if structured else None
        ),
        points=points if structured else None,
        noise=scale**2,
        mixture=mixture,
    )


def untrained(like: Cloud, seed: int = 0) -> Cloud:
    """A cloud at the same requests whose many directions are unequal and know nothing of them."""
    rng = np.random.default_rng([99, seed])
    n = len(like.vectors)
    vectors = (rng.normal(size=(n, 300)) * np.exp(-np.arange(300) / 40)).astype(np.float32)
    return replace(
        like,
        vectors=vectors,
        phase="A",
        order="unrelated",
        dimension=None,
        betti=None,
        participation_ratio=None,
        points=None,
    )
