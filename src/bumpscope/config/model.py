"""Sizes of the denoisers of this package, and the names of the layers whose activations can be kept."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from bumpscope.config.section import Section

LayerName = Literal["down1", "down2", "down3", "halved3", "bottleneck", "up1", "up2", "up3"]
LAYERS: tuple[str, ...] = get_args(LayerName)
# Those that may be the paper's "layer 4".
PAPER_LAYERS = ("down3", "halved3")
# Stands beside these in tables: the generated image itself, a control.
IMAGE_LAYER = "image"
# What the column weights calls an untrained network all of whose layers have PyTorch's default weights, a control.
DEFAULT_WEIGHTS = "default"
Reference = Literal["none", "factorised", "gated", "equal_resolution", "own_resolution"]
REFERENCES: tuple[str, ...] = get_args(Reference)[1:]


class Model(Section):
    """Sizes of the denoisers of this package: a UNet of three down and three up blocks, and what shares its blocks."""

    base_width: int = Field(8, ge=8, le=512, multiple_of=8, description="channels of the first block")
    channel_multipliers: Annotated[list[Annotated[int, Field(ge=1, le=8)]], Field(min_length=3, max_length=3)] = Field(
        [1, 2, 4], description="channels of the three levels as multiples of base_width"
    )
    blocks_per_level: int = Field(1, ge=1, le=4, description="residual blocks in each down and up block")
    attention_resolutions: list[int] = Field(
        [4, 2], description="feature-map sizes with self-attention, px; from image_size / (1, 2, 4, 8)"
    )
    embedding_width: int = Field(
        32, ge=8, le=1024, multiple_of=8, description="width of the sinusoidal encodings of t, mu_x and mu_y"
    )
    reference: Reference = Field(
        "none",
        description="an older way to write `denoiser.kind`, for controls of the coupling index: factorised multiplies"
        " the estimates of two denoisers that see one label each; gated scales the joint effect of both labels by one"
        " gate that training opens last; equal_resolution is an exact denoiser that knows both labels equally well in"
        " px, own_resolution one that knows each as well as it would alone; none: what `denoiser` names",
    )
