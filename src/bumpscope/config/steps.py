"""The settings of each step of a run: just the keys it depends on, which are its Snakemake ``params``.

A step reruns exactly when one of its own keys changes, or something upstream of it does. Steps import this module and
not how a whole experiment is put together, so that a change there makes no training stale.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from bumpscope.config.analysis import Analysis
from bumpscope.config.denoiser import UNET, DenoiserChoice
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice, Skew
from bumpscope.config.model import Model
from bumpscope.config.probe import EffectKeys, GenerationKeys, InterventionKeys, SamplerName, Timesteps
from bumpscope.config.run import Run, Seed
from bumpscope.config.section import Section, canonical_json
from bumpscope.config.training import Training


class Step(Section):
    """Settings of a step; keys of a whole section that are left out take their defaults.

    So does ``denoiser``, which checkpoints of earlier versions do not name.
    """

    @classmethod
    def of(cls, run: Run) -> Self:
        """The settings of this step of ``run``."""
        values = {name: run.id if name == "run" else getattr(run, name) for name in cls.model_fields}
        return cls(**{name: _keys_of(cls.model_fields[name].annotation, value) for name, value in values.items()})

    @property
    def plain(self) -> dict[str, Any]:
        """The settings as plain data."""
        return self.model_dump(mode="json")


def _keys_of(kind: Any, value: Any) -> Any:
    """``value``; of a section only the keys that ``kind`` has."""
    if not isinstance(value, Section) or type(value) is kind:
        return value
    return kind(**{name: getattr(value, name) for name in kind.model_fields})


class CheckpointKeys(Section):
    """Of the training only the steps at which weights are kept."""

    checkpoints: list[int]


class SampledInterventionKeys(InterventionKeys):
    """Interventions, and how the images are drawn meanwhile; phases are judged at the first of ``timesteps``."""

    sampler: SamplerName
    sampling_steps: int
    timesteps: Timesteps


class FaintKeys(Section):
    """Of the analysis only what counts as a bump."""

    faint: float


class Dataset(Step):
    lattice: Lattice


class Train(Step):
    run: str
    seed: Seed
    lattice: Lattice
    denoiser: DenoiserChoice = UNET
    model: Model
    diffusion: Diffusion
    training: Training


class Generate(Step):
    run: str
    seed: Seed
    lattice: Lattice
    denoiser: DenoiserChoice = UNET
    model: Model
    diffusion: Diffusion
    probe: GenerationKeys


class Effects(Step):
    run: str
    seed: Seed
    lattice: Lattice
    denoiser: DenoiserChoice = UNET
    model: Model
    diffusion: Diffusion
    training: CheckpointKeys
    probe: EffectKeys


class Interventions(Step):
    run: str
    seed: Seed
    lattice: Lattice
    denoiser: DenoiserChoice = UNET
    model: Model
    diffusion: Diffusion
    probe: SampledInterventionKeys
    analysis: Analysis


class Behaviour(Step):
    run: str
    lattice: Lattice
    analysis: Analysis


class Geometry(Step):
    run: str
    seed: Seed
    lattice: Lattice


class Topology(Step):
    run: str
    seed: Seed


class Phases(Step):
    run: str
    lattice: Lattice


class Vary(Step):
    """Generation with another probe, and the bumps in its images. Outcomes are judged later, so that another tolerance
    generates nothing."""

    run: str
    seed: Seed
    lattice: Lattice
    denoiser: DenoiserChoice = UNET
    model: Model
    diffusion: Diffusion
    probe: GenerationKeys
    analysis: FaintKeys


class Arm(Step):
    """Datasets whose denoisers are told and compute the same."""

    datasets: list[str]
    lattice: Lattice
    denoiser: DenoiserChoice
    model: Model
    diffusion: Diffusion


class Arms(Step):
    """The arms of the factorisation benchmark: what is trained on designs with as many combinations in each row."""

    arms: list[Arm]

    @classmethod
    def of_runs(cls, runs: Iterable[Run]) -> Self:
        found: dict[str, Arm] = {}
        for run in runs:
            if run.lattice.shown is None or run.lattice.shown.each is None:
                continue
            lattice = run.lattice.model_copy(update={"shown": None, "stripes": 0.0, "skew": Skew()})
            arm = Arm(datasets=[], lattice=lattice, denoiser=run.denoiser, model=run.model, diffusion=run.diffusion)
            known = found.setdefault(canonical_json(arm.plain), arm)
            if run.dataset not in known.datasets:
                known.datasets.append(run.dataset)
        return cls(arms=list(found.values()))


STEPS: dict[str, type[Step]] = {
    "dataset": Dataset,
    "train": Train,
    "generate": Generate,
    "effects": Effects,
    "interventions": Interventions,
    "behaviour": Behaviour,
    "geometry": Geometry,
    "topology": Topology,
    "phases": Phases,
    "vary": Vary,
}


def step_settings(run: Run, step: str) -> dict[str, Any]:
    """The settings of ``step`` of ``run`` as plain data."""
    return STEPS[step].of(run).plain
