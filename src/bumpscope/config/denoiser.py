"""Which denoiser is trained: one of the package by its name, or one of your own by its import path."""

from __future__ import annotations

from pydantic import Field

from bumpscope.config.choice import Choice
from bumpscope.config.model import REFERENCES, Model

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
# Are built on the labels being the x and the y of a bump's centre.
OF_CENTRES = ("factorised", "equal_resolution", "own_resolution", "relative")
# Are built for two labels, whatever these are of.
OF_TWO = ("rendering", "one_hot", "split_film", "dropout", "coind", "local")


class DenoiserChoice(Choice):
    """The denoiser that is trained. Keys beside `kind` are its own; those of built-in denoisers are under `model`."""

    built_in = BUILT_IN
    example = "my_package.net:MyNet"

    kind: str = Field(
        "unet",
        description=f"{', '.join(BUILT_IN)}; or the import path of your own, such as {example}, with its"
        " keys beside it",
    )


UNET = DenoiserChoice()


def in_force(model: Model, denoiser: DenoiserChoice) -> DenoiserChoice:
    """The denoiser that is trained; ``model.reference`` is an older way to name some."""
    return denoiser if model.reference == "none" else DenoiserChoice(kind=model.reference)
