"""The names of a world's factors, and the columns of tables that are named after them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations


@dataclass(frozen=True)
class Names:
    """Factors of a world by name, in groups: a request is met where each group is within its tolerance.

    Attributes:
        groups: factors of a group are judged by their common, Euclidean distance.
    """

    groups: tuple[tuple[str, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Names:
        """The inverse of ``str``."""
        return _parse(text)

    def __str__(self) -> str:
        return " ".join("+".join(group) for group in self.groups)

    def __iter__(self) -> Iterator[str]:
        return iter(self.factors)

    @property
    def factors(self) -> tuple[str, ...]:
        return tuple(name for group in self.groups for name in group)

    @property
    def listed(self) -> str:
        """The factors in a sentence: x, y and size."""
        *first, last = self.factors
        return f"{', '.join(first)} and {last}" if first else last

    @property
    def pairs(self) -> list[str]:
        """Two factors at once: xy, or x_size."""
        return [pair_name(a, b) for a, b in combinations(self.factors, 2)]

    @property
    def asked(self) -> list[str]:
        """Columns of requests."""
        return [f"mu_{name}" for name in self.factors]


def pair_name(a: str, b: str) -> str:
    """The name of two factors at once."""
    return a + b if len(a) == len(b) == 1 else f"{a}_{b}"


def two_of(pair: str) -> tuple[str, str]:
    """The inverse of :func:`pair_name`."""
    a, b = pair.split("_") if "_" in pair else list(pair)
    return a, b


@cache
def _parse(text: str) -> Names:
    return Names(tuple(tuple(group.split("+")) for group in text.split()))


# Of bumps at a place, and of tables that do not say.
XY = Names((("x", "y"),))
