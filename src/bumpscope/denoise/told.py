"""What each arm of the factorisation benchmark is told (docs/factorise.md)."""

from __future__ import annotations

from bumpscope.config.denoiser import DenoiserChoice

# What the denoisers of this package are told beyond the labels, by kind, or by kind and keys where these matter.
TOLD = {
    "unet": "labels come in two parts",
    "factorised": "the generative form (ceiling)",
    "rendering": "the image's axes",
    "relative": "the metric (upper bound)",
    "coordconv": "where pixels are",
    "one_hot": "two parts, as names",
    "split_film": "two parts",
    "dropout(composed=True)": "independence",
    "coind": "independence, of unseen pairs too",
    "local": "locality, the image's axes",
}


def told(choice: DenoiserChoice, denoiser: object) -> str:
    """What a denoiser is told: by :data:`TOLD`, or else its attribute ``told``; "" if it does not say.

    Args:
        denoiser: what ``choice`` builds.
    """
    return str(TOLD.get(str(choice), TOLD.get(choice.kind, getattr(denoiser, "told", ""))))
