"""The configuration of an experiment, and the grid of runs that it describes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from bumpscope.config.analysis import Analysis
from bumpscope.config.dataset import OVERRIDABLE, Dataset, DatasetName, Overrides, overridden
from bumpscope.config.denoiser import KNOWN, DenoiserChoice, in_force
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.model import REFERENCES, Model
from bumpscope.config.probe import Probe
from bumpscope.config.run import Run, Seed
from bumpscope.config.section import Section
from bumpscope.config.sensitivity import Sensitivity
from bumpscope.config.sweep import Expansion, Sweep, expand
from bumpscope.config.training import Training

MOST_RUNS_PER_JOB = 64
# These keys give the datasets; a preset that has one of them replaces both, and forgets what was added to them.
GRID = ("datasets", "sweep")
ADDED = "more_datasets"

# To take no more than fifty core-minutes, all datasets but the balanced plane have a light probe, and some have one
# seed. Verdicts need five (docs/science.md). The paper reads generated images after the third halving, so near the end
# of sampling.
_SPARING = {"samples": 256, "layers": ["halved3"], "timesteps": [39], "effect_timesteps": [450]}
# Raw weights are through the transition by step 800.
_TRANSITION = [100, 150, 200, 250, 300, 350, 400, 450, 500, 550, 600, 700, 800, 900, 1000]
# From before the first misplaced bumps to after the last, no further apart than onsets can be timed by.
_PROBED = [0, 150, 200, 300, 350, 400, 500, 600, 800, 1200]
_COURSE: dict[str, Any] = {"steps": 1200, "checkpoints": [0, *_TRANSITION, 1200]}


def _default_datasets() -> dict[str, Dataset]:
    plane = {"image_size": 16, "sigma": 1.0, "margin": 2.0}
    # A quarter of the spacing is as long a ladder as two rungs give.
    ladder = {"checkpoints": _PROBED, "effect_samples": 64}
    ladder = {"training": _COURSE, "probe": _SPARING | ladder}
    full: dict[str, Any] = {"samples": 384, "weights": "both", "effect_timesteps": [450, 600], "interventions": [1200]}
    full |= {"checkpoints": _PROBED, "layers": ["halved3", "up2"], "timesteps": [39, 239]}
    full |= {"intervention_layers": ["halved3", "bottleneck", "up1"]}
    # The latents of a torus look like one at up1.
    closed = {"checkpoints": [0, 600, 1200], "layers": ["halved3", "up1"]}
    closed = {"seeds": [0], "training": _COURSE, "probe": _SPARING | {"samples": 512} | closed}
    permuted: dict[str, Any] = {"seeds": [0]}
    permuted["training"] = {"labels": "permuted", "steps": 1200, "checkpoints": [1200]}
    permuted["probe"] = _SPARING | {"checkpoints": [1200], "layers": ["halved3", "up2"], "timesteps": [39, 239]}
    lattices = {
        "balanced": plane | {"dx": 1.0, "dy": 1.0, "training": _COURSE, "probe": full},
        "dense": plane | {"dx": 0.25, "dy": 0.25} | ladder,
        "withheld25": _withheld(plane, [5.0, 7.0], seeds=[0]),
        "withheld50": _withheld(plane, [4.0, 9.0]),
        "withheld67": _withheld(plane, [4.0, 11.0], seeds=[0]),
        "permuted": plane | {"dx": 1.0, "dy": 1.0} | permuted,
        # Wider bumps: images of narrow ones are all equally far apart, which hides the torus.
        "torus": {"image_size": 16, "sigma": 2.0, "margin": 0.0, "dx": 1.0, "dy": 1.0, "boundary": "torus"} | closed,
    }
    return {name: Dataset.model_validate(lattice) for name, lattice in lattices.items()}


def _withheld(plane: dict[str, float], block: list[float], **keys: Any) -> dict[str, Any]:
    """A block of combinations withheld, named after its share of each axis. Only the last checkpoint counts.

    With `v` fewer steps are enough for accurate images.
    """
    lattice = plane | {"dx": 1.0, "dy": 1.0, "holdout": {"x": block, "y": block}} | keys
    last = {"training": {"steps": 800, "checkpoints": [800]}, "probe": {"checkpoints": [800]} | _SPARING}
    return lattice | {"diffusion": {"prediction": "v"}} | last


def _default_sweep() -> Sweep:
    """A pair whose nulls are learnt at different paces. Its onsets, in raw weights, are all that is asked."""
    # At a constant rate an onset does not depend on the length of the training.
    dense = [0, *range(50, 401, 25)]
    brief = {"steps": 400, "learning_rate_schedule": "constant", "checkpoints": dense}
    curves = {"checkpoints": [], "effect_timesteps": [450], "effect_samples": 128}
    plain = {
        "common": {"image_size": 16, "sigma": 1.0, "margin": 2.0, "training": brief, "probe": curves},
        # 72 by 2 positions. Of the lattices tried, only one so sparse is learnt at another pace.
        "ratios": {"images": 144, "values": [36.0]},
    }
    return Sweep.model_validate(plain)


def _runs_per_job(value: Any) -> Any:
    """Checked here, so that a wrong value gives one error and not one for each alternative."""
    if value != "auto" and (type(value) is not int or not 1 <= value <= MOST_RUNS_PER_JOB):
        raise ValueError(f"auto or a whole number from 1 to {MOST_RUNS_PER_JOB}")
    return value


RunsPerJob = Annotated[
    int | Literal["auto"],
    BeforeValidator(
        _runs_per_job, json_schema_input_type=Annotated[int, Field(ge=1, le=MOST_RUNS_PER_JOB)] | Literal["auto"]
    ),
]


class Config(Section):
    """The whole configuration of an experiment."""

    output: str = Field("results", min_length=1, description="folder for all results")
    seeds: list[Seed] = Field([0, 1, 2, 3, 4], min_length=1, description="each dataset is trained once with each seed")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto uses a GPU if there is one; changing it reruns nothing"
    )
    runs_per_job: RunsPerJob = Field(
        "auto",
        description="runs that share a job: trained side by side where they have one shape, probed one after another;"
        " auto is as many as fit, at most 8, on a GPU (an equal share of the planned ones, on several) and 1 on a CPU;"
        " changing it reruns nothing",
    )
    check_disk: bool = Field(
        True, description="refuse, before any job, an experiment that the disk has no room for by the plan"
    )
    datasets: dict[DatasetName, Dataset] = Field(
        default_factory=_default_datasets,
        description="name -> lattice of bumps, trained with every seed",
        json_schema_extra={"additionalProperties": False},  # no names that do not fit the pattern
    )
    more_datasets: dict[DatasetName, Dataset] = Field(
        default_factory=dict,
        description="datasets added to those of the files before, or keys of these changed; `datasets` replaces them",
        json_schema_extra={"additionalProperties": False},
    )
    sweep: Sweep = Field(default_factory=_default_sweep, description="imbalanced cells, with their controls")
    denoiser: DenoiserChoice = Field(default_factory=DenoiserChoice, description="which denoiser is trained")
    model: Model = Field(default_factory=Model, description="sizes of the denoisers of this package")
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

    def in_force(self) -> str:
        """The configuration as JSON, without where and how it runs and `sensitivity`, which the report leaves out."""
        left_out = {"output", "device", "runs_per_job", "check_disk", ADDED, "sensitivity"}
        return self.model_dump_json(indent=2, exclude=left_out, exclude_none=True)

    def expansion(self) -> Expansion:
        """What the sweep adds to the named datasets."""
        return expand(self.sweep, self.datasets, self.seeds, self.section)

    def all_datasets(self) -> dict[str, Dataset]:
        """The named datasets, then those that the sweep adds."""
        return self.datasets | self.expansion().datasets

    def runs(self) -> Iterator[Run]:
        """Every training of the grid, in the order of the configuration."""
        for name, dataset in self.all_datasets().items():
            sections = {section: self.section(section, dataset) for section in ("denoiser", *OVERRIDABLE)}
            # Named once, so that either way to name a denoiser gives the same run.
            sections["model"] = sections["model"].model_copy(update={"reference": "none"})
            for seed in self.seeds if dataset.seeds is None else dataset.seeds:
                yield Run(name, seed, dataset.lattice, analysis=self.analysis, **sections)

    def unknown_denoisers(self) -> dict[str, Run]:
        """Dataset -> a run of it, for those whose denoiser must be built to know what it computes."""
        return {run.dataset: run for run in self.runs() if run.denoiser.kind not in KNOWN}

    def other_worlds(self) -> bool:
        """Whether there are worlds that must be built to know whether they can be drawn, and as configured."""
        return bool(self.analysis.tolerances) or any(not own.world.has_centres for own in self.datasets.values())

    def balanced_plane_runs(self) -> list[Run]:
        """The measured runs on balanced planes, without reference models and permuted labels; all claims but those on
        coupling rest on them."""
        counts = [run for run in self.runs() if run.denoiser.kind not in REFERENCES and run.training.labels == "own"]
        counts = [run for run in counts if run.lattice.is_balanced_plane and not run.lattice.stripes]
        # Others are another task.
        counts = [run for run in counts if run.lattice.world.kind == counts[0].lattice.world.kind]
        return [run for run in counts if run.probe.checkpoints and run.probe.geometry]

    def section(self, name: str, dataset: Overrides) -> Any:
        """A section as it holds for ``dataset``: the global keys, with the dataset's own instead where it has any.

        Keys of a denoiser belong to its kind, so a dataset's `denoiser` replaces the global one whole.
        """
        if name == "denoiser":
            return in_force(self.section("model", dataset), dataset.denoiser or self.denoiser)
        return overridden(getattr(self, name), getattr(dataset, name))
