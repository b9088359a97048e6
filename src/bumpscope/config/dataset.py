"""A dataset as a configuration holds it: a lattice of bumps, with the seeds and settings that are its own."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from bumpscope.config.settings import (
    DiffusionOverride,
    Lattice,
    ModelOverride,
    ProbeOverride,
    Section,
    TrainingOverride,
)

NAME_PATTERN = r"[A-Za-z][A-Za-z0-9_-]*"
DatasetName = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Dataset(Lattice):
    """A lattice, with the seeds and settings that are its own."""

    seeds: list[Seed] | None = Field(None, min_length=1, description="replaces the global seeds")
    model: ModelOverride | None = Field(None, description="overrides keys of `model`")  # type: ignore[valid-type]
    diffusion: DiffusionOverride | None = Field(None, description="overrides keys of `diffusion`")  # type: ignore[valid-type]
    training: TrainingOverride | None = Field(None, description="overrides keys of `training`")  # type: ignore[valid-type]
    probe: ProbeOverride | None = Field(None, description="overrides keys of `probe`")  # type: ignore[valid-type]

    @property
    def lattice(self) -> Lattice:
        """Only what the images depend on, with the margin written out."""
        values = {name: getattr(self, name) for name in Lattice.model_fields}
        return Lattice(**values | {"margin": self.free_margin})


def overridden(section: Section, override: Section | None) -> Any:
    """A section as it holds for a dataset: the global keys under the dataset's own."""
    if override is None:
        return section
    return type(section)(**section.model_dump() | override.model_dump(exclude_none=True))
