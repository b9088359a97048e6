"""The configuration of an experiment, and the grid of runs that it describes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from bumpscope.config.analysis import Analysis
from bumpscope.config.dataset import OVERRIDABLE, Dataset, DatasetName, Overrides, overridden
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.model import Model
from bumpscope.config.probe import Probe
from bumpscope.config.run import Run, Seed
from bumpscope.config.section import Section
from bumpscope.config.sensitivity import Sensitivity
from bumpscope.config.sweep import Expansion, Sweep, expand
from bumpscope.config.training import Training

# These keys give the datasets; a preset that has one of them replaces both.
GRID = ("datasets", "sweep")

# To take no more than fifty core-minutes, all datasets but the balanced plane have a light probe, and some have one
# seed. Verdicts need five (docs/science.md).
_SPARING = {"samples": 256, "layers": ["down3"], "timesteps": [239]}
_LADDER = {"checkpoints": [0, 200, 300, 400, 500, 600, 700, 800, 1600]} | _SPARING
_LIGHT = {"checkpoints": [0, 600, 1600]} | _SPARING
_COURSE = {"checkpoints": [0, 200, 400, 600, 800, 1000, 1200, 1600]} | _SPARING


def _default_datasets() -> dict[str, Dataset]:
    plane = {"image_size": 16, "sigma": 1.0, "margin": 2.0}
    ladder, course = {"probe": _LADDER}, {"seeds": [0], "probe": _COURSE}
    # The latents of a torus look like one at up1, not at down3 (docs/findings.md).
    closed = {"seeds": [0], "probe": _LIGHT | {"samples": 512, "layers": ["down3", "up1"]}}
    permuted = {"seeds": [0], "training": {"labels": "permuted", "checkpoints": [1600]}}
    permuted["probe"] = _SPARING | {"checkpoints": [1600], "layers": ["down3", "up2"], "timesteps": [239, 39]}
    lattices = {
        # Interventions in the transition and at the end.
        "balanced": plane | {"dx": 1.0, "dy": 1.0, "probe": {"weights": "both", "interventions": [800, 1600]}},
        "dense": plane | {"dx": 0.5, "dy": 0.5} | ladder,
        "sparse": plane | {"dx": 2.0, "dy": 2.0} | ladder,
        "withheld25": _withheld(plane, [5.0, 7.0], seeds=[0]),
        "withheld50": _withheld(plane, [4.0, 9.0]),
        "withheld67": _withheld(plane, [4.0, 11.0], seeds=[0]),
        "permuted": plane | {"dx": 1.0, "dy": 1.0} | permuted,
        # Wider bumps: images of narrow ones are all equally far apart, which hides the torus.
        "torus": {"image_size": 16, "sigma": 2.0, "margin": 0.0, "dx": 1.0, "dy": 1.0, "boundary": "torus"} | closed,
        "balanced_v": plane | {"dx": 1.0, "dy": 1.0, "diffusion": {"prediction": "v"}} | course,
    }
    return {name: Dataset.model_validate(lattice) for name, lattice in lattices.items()}


def _withheld(plane: dict[str, float], block: list[float], **keys: Any) -> dict[str, Any]:
    """A block of combinations withheld, named after its share of each axis. Only the last checkpoint counts.

    With `v` half the steps are enough for accurate images.
    """
    lattice = plane | {"dx": 1.0, "dy": 1.0, "holdout": {"x": block, "y": block}} | keys
    last = {"training": {"steps": 800, "checkpoints": [800]}, "probe": {"checkpoints": [800]} | _SPARING}
    return lattice | {"diffusion": {"prediction": "v"}} | last


def _default_sweep() -> Sweep:
    """A pair whose nulls are learnt at different paces. Its onsets, in raw weights, are all that is asked."""
    # At a constant rate an onset does not depend on the length of the training.
    dense = [0, *range(50, 401, 25)]
    brief = {"steps": 400, "learning_rate_schedule": "constant", "checkpoints": dense}
    curves = {"checkpoints": [400], "samples": 64, "layers": ["down3"], "timesteps": [239]}
    curves |= {"effect_timesteps": [450], "effect_samples": 128}
    plain = {
        "common": {"image_size": 16, "sigma": 1.0, "margin": 2.0, "training": brief, "probe": curves},
        # 72 by 2 positions. Of the lattices tried, only one so sparse is learnt at another pace.
        "ratios": {"images": 144, "values": [36.0]},
    }
    return Sweep.model_validate(plain)


class Config(Section):
    """The whole configuration of an experiment."""

    output: str = Field("results", min_length=1, description="folder for all results")
    seeds: list[Seed] = Field([0, 1, 2, 3, 4], min_length=1, description="each dataset is trained once with each seed")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto uses a GPU if there is one; changing it reruns nothing"
    )
    datasets: dict[DatasetName, Dataset] = Field(
        default_factory=_default_datasets,
        description="name -> lattice of bumps, trained with every seed",
        json_schema_extra={"additionalProperties": False},  # no names that do not fit the pattern
    )
    sweep: Sweep = Field(default_factory=_default_sweep, description="imbalanced cells, with their controls")
    model: Model = Field(default_factory=Model, description="the denoiser")
    diffusion: Diffusion = Field(default_factory=Diffusion, description="the forward process")
    training: Training = Field(default_factory=Training, description="the optimisation")
    probe: Probe = Field(default_factory=Probe, description="what is asked of a checkpoint")
    analysis: Analysis = Field(default_factory=Analysis, description="how images are compared with their requests")
    sensitivity: Sensitivity = Field(
        default_factory=Sensitivity, description="what `snakemake sensitivity` changes; an empty list changes nothing"
    )

    @model_validator(mode="before")
    @classmethod
    def _grid_is_given_whole(cls, raw: Any) -> Any:
        """With datasets or a sweep of its own a configuration has no default of the other."""
        if isinstance(raw, Mapping) and any(key in raw for key in GRID):
            return {key: {} for key in GRID} | dict(raw)
        return raw

    def expansion(self) -> Expansion:
        """What the sweep adds to the named datasets."""
        return expand(self.sweep, self.datasets, self.seeds, self.section)

    def all_datasets(self) -> dict[str, Dataset]:
        """The named datasets, then those that the sweep adds."""
        return self.datasets | self.expansion().datasets

    def runs(self) -> Iterator[Run]:
        """Every training of the grid, in the order of the configuration."""
        for name, dataset in self.all_datasets().items():
            sections = {section: self.section(section, dataset) for section in OVERRIDABLE}
            for seed in self.seeds if dataset.seeds is None else dataset.seeds:
                yield Run(name, seed, dataset.lattice, analysis=self.analysis, **sections)

    def balanced_plane_runs(self) -> list[Run]:
        """The runs on balanced planes, without reference models and permuted labels, on which all claims but that on
        coupling rest."""
        counts = [run for run in self.runs() if run.model.reference == "none" and run.training.labels == "own"]
        return [run for run in counts if run.lattice.is_balanced_plane]

    def section(self, name: str, dataset: Overrides) -> Any:
        """A section as it holds for ``dataset``: the global keys, with the dataset's own instead where it has any."""
        return overridden(getattr(self, name), getattr(dataset, name))
