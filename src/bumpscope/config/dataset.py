"""A dataset: a lattice of bumps, with the seeds and settings that are its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import Field

from bumpscope.config.denoiser import DenoiserChoice
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Drawing, Lattice
from bumpscope.config.model import Model
from bumpscope.config.probe import Probe
from bumpscope.config.run import Seed
from bumpscope.config.section import Section, partial
from bumpscope.config.training import Training

NAME_PATTERN = r"[A-Za-z][A-Za-z0-9_-]*"
DatasetName = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]

if TYPE_CHECKING:  # mypy takes no classes made at run time; these have the same keys
    from bumpscope.config.diffusion import Diffusion as DiffusionOverride
    from bumpscope.config.model import Model as ModelOverride
    from bumpscope.config.probe import Probe as ProbeOverride
    from bumpscope.config.training import Training as TrainingOverride
else:
    ModelOverride = partial(Model)
    DiffusionOverride = partial(Diffusion)
    TrainingOverride = partial(Training)
    ProbeOverride = partial(Probe)
S = TypeVar("S", bound=Section)
OVERRIDABLE = ("model", "diffusion", "training", "probe")


class Overrides(Section):
    """What a dataset may have of its own instead of the global settings."""

    seeds: list[Seed] | None = Field(None, min_length=1, description="replaces the global seeds")
    denoiser: DenoiserChoice | None = Field(None, description="replaces the global `denoiser`")
    model: ModelOverride | None = Field(None, description="overrides keys of `model`")
    diffusion: DiffusionOverride | None = Field(None, description="overrides keys of `diffusion`")
    training: TrainingOverride | None = Field(None, description="overrides keys of `training`")
    probe: ProbeOverride | None = Field(None, description="overrides keys of `probe`")


class Common(Overrides, Drawing):
    """What all cells of a sweep share."""


class Dataset(Overrides, Lattice):
    """A lattice, with the seeds and settings that are its own."""

    @property
    def lattice(self) -> Lattice:
        """Only what the images depend on, with the margin written out."""
        values = {name: getattr(self, name) for name in Lattice.model_fields}
        return Lattice(**values | {"margin": self.free_margin})


def overridden(section: S, override: Section | None) -> S:
    """``section`` with the keys that ``override`` sets."""
    if override is None:
        return section
    return type(section)(**section.model_dump() | override.model_dump(exclude_none=True))
