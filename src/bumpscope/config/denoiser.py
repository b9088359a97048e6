"""Which denoiser is trained: one of the package by its name, or one of your own by its import path."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ConfigDict, Field, field_validator

from bumpscope.config.model import REFERENCES, Model
from bumpscope.config.section import Section

# Name -> what builds it, as an import path like those of denoisers from elsewhere.
BUILT_IN = {
    "unet": "bumpscope.denoise.unet:unet",
    "factorised": "bumpscope.denoise.references:factorised",
    "gated": "bumpscope.denoise.references:gated",
    "equal_resolution": "bumpscope.denoise.references:equal_resolution",
    "own_resolution": "bumpscope.denoise.references:own_resolution",
    "rendering": "bumpscope.denoise.arms.rendering:Rendering",
    "relative": "bumpscope.denoise.arms.relative:Relative",
    "coordconv": "bumpscope.denoise.arms.relative:CoordConv",
    "one_hot": "bumpscope.denoise.arms.one_hot:OneHot",
    "split_film": "bumpscope.denoise.arms.split_film:SplitFiLM",
    "dropout": "bumpscope.denoise.arms.dropout:Dropout",
    "coind": "bumpscope.denoise.arms.dropout:CoInD",
    "local": "bumpscope.denoise.arms.local:Local",
}
# Have no keys of their own, and what they compute is known without building them (:mod:`bumpscope.config.plan`).
KNOWN = ("unet", *REFERENCES)
IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class DenoiserChoice(Section):
    """The denoiser that is trained. Keys beside `kind` are its own; those of built-in denoisers are under `model`."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(
        "unet",
        description=f"{', '.join(BUILT_IN)}; or the import path of your own, such as my_package.net:MyNet, with its"
        " keys beside it",
    )

    @field_validator("kind")
    @classmethod
    def _names_something(cls, kind: str) -> str:
        if kind not in BUILT_IN and not IMPORT_PATH.fullmatch(kind):
            raise ValueError(f"one of {', '.join(BUILT_IN)}, or an import path such as my_package.net:MyNet")
        return kind

    def __str__(self) -> str:
        """The kind, with its keys in brackets."""
        told = ", ".join(f"{key}={value}" for key, value in self.keys.items())
        return f"{self.kind}({told})" if told else self.kind

    @property
    def path(self) -> str:
        """The import path of what builds it."""
        return BUILT_IN.get(self.kind, self.kind)

    @property
    def keys(self) -> dict[str, Any]:
        """The keys of its own."""
        return dict(self.model_extra or {})


UNET = DenoiserChoice()


def in_force(model: Model, denoiser: DenoiserChoice) -> DenoiserChoice:
    """The denoiser that is trained; ``model.reference`` is an older way to name some."""
    return denoiser if model.reference == "none" else DenoiserChoice(kind=model.reference)
