"""Which world is drawn: one of the package by its name, or one of your own by its import path."""

from __future__ import annotations

import json

from pydantic import Field

from bumpscope.config.choice import Choice

BUILT_IN = {
    "bumps": "bumpscope.worlds.position:Bumps",
    "sized": "bumpscope.worlds.sized:Sized",
    "sized_xy": "bumpscope.worlds.sized:SizedXY",
}
# Keys of a dataset on which only some worlds depend, and those that the worlds of this package do.
OF_SOME_WORLDS = ("sigma", "margin", "dx", "dy", "boundary", "polarity", "stripes", "shown")
_SIZED = ("sigma", "margin", "dx", "boundary", "polarity")
USED = {"bumps": OF_SOME_WORLDS, "sized": _SIZED, "sized_xy": (*_SIZED, "dy")}


class WorldChoice(Choice):
    """What is drawn and asked for. Keys beside `kind` are its own."""

    built_in = BUILT_IN
    example = "my_package.shapes:Squares"

    kind: str = Field(
        "bumps",
        description="bumps: bumps at x and y; sized: bumps at x, of different widths; sized_xy: the same at x and y; or"
        f" the import path of your own, such as {example}, with its keys beside it",
    )

    @property
    def used(self) -> tuple[str, ...]:
        """The keys of :data:`OF_SOME_WORLDS` on which it depends; one from elsewhere has keys of its own instead."""
        return USED.get(self.kind, ())

    @property
    def has_centres(self) -> bool:
        """Whether its factors are the x and the y of a centre alone, of which designs show some combinations."""
        return "shown" in self.used

    @property
    def text(self) -> str:
        """The kind, or all keys as JSON where there are more; :func:`parsed` is the inverse."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True) if self.keys else self.kind


def parsed(text: str) -> WorldChoice:
    """The choice that :attr:`WorldChoice.text` is of."""
    return WorldChoice(**json.loads(text)) if text.startswith("{") else WorldChoice(kind=text)
