"""The optimisation, and the steps at which weights are kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bumpscope.config.section import Section


class Training(Section):
    """The optimisation, and the steps at which weights are kept."""

    steps: int = Field(1600, ge=1, le=10_000_000, description="optimiser steps")
    batch_size: int = Field(64, ge=1, le=65_536, description="images per step")
    labels: Literal["own", "permuted"] = Field(
        "own",
        description="label of each training image: its own centre, or, as a control, that of another image, always the"
        " same one",
    )
    learning_rate: float = Field(2.0e-3, gt=0.0, le=1.0, description="peak learning rate of AdamW")
    learning_rate_schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="after the warm-up: constant, or a cosine to zero at the last step"
    )
    warmup_steps: int = Field(50, ge=0, description="steps of linear warm-up")
    weight_decay: float = Field(0.0, ge=0.0, le=1.0, description="decoupled weight decay of AdamW")
    gradient_clip: float = Field(1.0, gt=0.0, description="largest L2 norm of the gradient")
    ema_decay: float = Field(0.995, ge=0.0, lt=1.0, description="decay of the moving average of the weights")
    precision: Literal["float32", "tf32", "bfloat16"] = Field(
        "float32",
        description="arithmetic of matrix products in training; tf32 (factors rounded to ten bits) and bfloat16 are for"
        " GPUs",
    )
    compile: bool = Field(
        False, description="compile the training step (takes minutes; worth it for hours of training on a GPU)"
    )
    log_every: int = Field(10, ge=1, description="steps averaged in a row of losses.parquet")
    checkpoints: list[Annotated[int, Field(ge=0)]] = Field(
        [*range(0, 400, 100), *range(400, 1000, 50), *range(1000, 1601, 100)],
        min_length=1,
        description="steps at which weights are kept, increasing; 0 is the untrained control",
    )
