"""How a generated image is compared with its request."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bumpscope.config.section import Section


class Analysis(Section):
    """How a generated image is compared with its request."""

    tolerance: float = Field(1.0, gt=0.0, description="largest distance from the request of a correct bump, px")
    tolerances: dict[str, Annotated[float, Field(gt=0.0)]] = Field(
        {},
        description="the same of factors that the tolerance in px does not suit, each in its own unit of distance, such"
        " as {size: 0.2} in ln; those left out keep that of their world",
    )
    faint: float = Field(0.25, gt=0.0, le=1.0, description="least fitted amplitude of a bump; a true bump has 1")
