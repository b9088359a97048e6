"""The files of an experiment: which job makes each, from what, and what each must say of where it comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bumpscope.config.experiment import Config
from bumpscope.config.run import Run
from bumpscope.config.steps import Arms, step_settings
from bumpscope.config.variants import readings, variants
from bumpscope.store.origin import Origin
from bumpscope.store.provenance import declared, module_path, with_worlds
from bumpscope.store.schemas import OF_ACTIVATIONS, OF_IMAGES, TABLES

OF_A_RUN = ("train", "generate", "effects", "interventions", "behaviour", "geometry", "topology", "phases")
OF_SENSITIVITY = ("vary", "sensitivity")
# These also run the code of the denoiser that a run names.
WITH_NETWORK = ("train", "generate", "effects", "interventions", "vary")
CHECKPOINT = "{path}/checkpoints/step={step}.safetensors"


@dataclass(frozen=True)
class Job:
    """A job: what it makes from what.

    Attributes:
        step: its rule.
        subject: the run, dataset or figure that it is of; empty for the whole experiment.
        settings: gives those that it depends on itself.
        modules: whose code it runs.
        inputs, outputs: files, relative to the output folder.
    """

    step: str
    subject: str
    settings: Callable[[], Mapping[str, Any]]
    modules: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def figures() -> list[str]:
    """Names of all figures, sorted."""
    files = module_path("show.figures").parent.glob("*.py")
    return sorted(path.stem for path in files if path.stem != "__init__")


def is_made(table: str, run: Run) -> bool:
    """Whether the experiment has a table of a run."""
    if table == "interventions":
        return bool(run.probe.interventions)
    if table in OF_ACTIVATIONS and not run.probe.geometry:
        return False
    return table not in OF_IMAGES or bool(run.probe.checkpoints)


def grid(config: Config) -> dict[str, dict[str, Any]]:
    """The runs, short enough for a command line also where there are thousands.

    Returns:
        dataset -> its ``seeds``, the ``last`` checkpoint, the ``weights`` that verdicts are read from, and the tables
        that its runs are ``without``, if any.
    """
    found: dict[str, dict[str, Any]] = {}
    for run in config.runs():
        if run.dataset in found:
            found[run.dataset]["seeds"].append(run.seed)
            continue
        about: dict[str, Any] = {"seeds": [run.seed], "last": run.training.checkpoints[-1], "weights": run.probe.judged}
        if without := [table for table in TABLES if not is_made(table, run)]:
            about["without"] = without
        found[run.dataset] = about
    return found


def configuration_digest(config: Config) -> str:
    """SHA-256 of the configuration in force."""
    return hashlib.sha256(config.in_force().encode()).hexdigest()


class Lineage:
    """The jobs of an experiment and the files that they make."""

    def __init__(self, config: Config):
        self.config = config
        self.runs = {run.path: run for run in config.runs()}
        self.worlds = {run.lattice.world.path for run in self.runs.values()}
        # Other ways to probe runs: variant -> path -> the run with its probe changed.
        self.variants = {name: {run.path: run for run in runs} for name, runs in variants(config).items()}

    def files(self, *tables: str) -> list[str]:
        """All files of tables: one each, or one for each run, dataset or variant of the probe."""
        found = []
        for table in tables:
            pattern = TABLES[table].path
            probes = self.variants if "{variant}" in pattern else {"": self.runs}
            found += [
                pattern.format(variant=variant, path=path, dataset=run.dataset)
                for variant, runs in probes.items()
                for path, run in runs.items()
                if is_made(table, run)
            ]
        return list(dict.fromkeys(found))

    def jobs(self) -> Iterator[Job]:
        """All jobs, each after those that make its inputs; `snakemake sensitivity` comes last."""
        config = self.config
        yield from self._of_datasets()
        yield from self._of_runs()
        last = tuple(CHECKPOINT.format(path=path, step=run.training.checkpoints[-1]) for path, run in self.runs.items())
        # A list, since the order of datasets counts.
        yield self._job("runs", lambda: {"runs": list(grid(config).items())}, inputs=last)
        yield self._job("metrics", lambda: config.analysis.model_dump(mode="json"))
        yield self._job("coupling")
        # These also run the code of denoisers.
        arms = Arms.of_runs(self.runs.values())
        networks = sorted({arm.denoiser.path for arm in arms.arms})
        own = {arm.lattice.world.path for arm in arms.arms}
        yield self._job("arms", lambda: arms.plain, modules=("commands.arms", *networks), worlds=own)
        yield self._job("leaderboard")
        yield self._job("claims")
        yield self._job(
            "claims_as_csv", modules=("commands.export",), inputs=("claims.parquet",), files=("claims.csv",)
        )
        pictures = []
        for name in figures():
            reads = dict.fromkeys(["runs", *declared(f"show.figures.{name}", "READS")])
            made = tuple(f"figures/{name}.{kind}" for kind in ("png", "pdf", "csv"))
            pictures += [made[0], made[2]]
            modules: tuple[str, ...] = ("commands.figure", f"show.figures.{name}")
            code = with_worlds(modules, self.worlds)
            yield Job("figure", name, partial(dict, figure=name), code, tuple(self.files(*reads)), made)
        yield self._job("animation", files=("figures/manifold.gif",))
        yield self._job("explorer", files=("explorer.html",))

        def digest() -> dict[str, str]:
            return {"configuration": configuration_digest(config)}

        yield self._job("configuration", digest, files=("config.json",))
        modules = ("commands.report", *(f"show.figures.{name}" for name in figures()))
        yield self._job("report", digest, modules, (*pictures, "config.json"), ("report.html",))
        yield from self._of_sensitivity()

    def _job(
        self,
        step: str,
        settings: Callable[[], Mapping[str, Any]] = dict,
        modules: tuple[str, ...] = (),
        inputs: Sequence[str] = (),
        files: Sequence[str] = (),
        worlds: Iterable[str] | None = None,
    ) -> Job:
        """A job for all runs, which also reads and writes the tables that its command declares."""
        modules = modules or (f"commands.{step}",)
        read, written = (self.files(*declared(modules[0], constant)) for constant in ("READS", "WRITES"))
        modules = with_worlds(modules, self.worlds if worlds is None else worlds)
        return Job(step, "", settings, modules, (*read, *inputs), (*written, *files))

    def _of_datasets(self) -> Iterator[Job]:
        for run in {run.dataset: run for run in self.runs.values()}.values():
            made = TABLES["dataset"].path.format(dataset=run.dataset)
            settings = partial(step_settings, run, "dataset")
            yield Job("dataset", run.dataset, settings, _modules("dataset", run), (), (made,))

    def _of_runs(self) -> Iterator[Job]:
        tables = {
            step: [declared(f"commands.{step}", constant) for constant in ("READS", "WRITES")] for step in OF_A_RUN
        }
        for path, run in self.runs.items():
            asked = {
                "generate": run.probe.checkpoints,
                "effects": run.training.checkpoints,
                "interventions": run.probe.interventions,
            }
            for step, both in tables.items():
                read, written = (
                    [TABLES[table].path.format(path=path, dataset=run.dataset) for table in one if is_made(table, run)]
                    for one in both
                )
                if not written:
                    continue
                read += [CHECKPOINT.format(path=path, step=number) for number in asked.get(step, ())]
                if step == "train":
                    written += [CHECKPOINT.format(path=path, step=number) for number in run.training.checkpoints]
                settings = partial(step_settings, run, step)
                yield Job(step, run.id, settings, _modules(step, run), tuple(read), tuple(written))

    def _of_sensitivity(self) -> Iterator[Job]:
        for variant, runs in self.variants.items():
            for path, run in runs.items():
                read = tuple(CHECKPOINT.format(path=path, step=number) for number in run.probe.checkpoints)
                made = tuple(
                    TABLES[table].path.format(variant=variant, path=path)
                    for table in declared("commands.vary", "WRITES")
                )
                settings = partial(step_settings, run, "vary")
                yield Job("vary", f"{variant}, {run.id}", settings, _modules("vary", run), read, made)
        if self.variants:
            settings = partial(readings(self.config).model_dump, mode="json")
            yield self._job("sensitivity", settings, files=("sensitivity.txt",))


def _modules(step: str, run: Run) -> tuple[str, ...]:
    """Whose code a job of a run runs."""
    modules = (f"commands.{step}", run.denoiser.path) if step in WITH_NETWORK else (f"commands.{step}",)
    return with_worlds(modules, [run.lattice.world.path])


def is_kept(job: Job, path: str) -> bool:
    """Whether a result is wanted for itself.

    Activations and checkpoints take most of the room: they may be deleted, and come again where something needs them.
    Results of ``snakemake sensitivity`` are made by that alone.
    """
    return job.step not in OF_SENSITIVITY and not path.endswith((".safetensors", "/latents.parquet"))


def all_targets(jobs: Iterable[Job]) -> set[str]:
    """What an experiment is run for."""
    return {path for job in jobs for path in job.outputs if is_kept(job, path)}


def origins(jobs: Iterable[Job]) -> dict[str, Origin]:
    """What each file must say of where it comes from."""
    found: dict[str, Origin] = {}
    for job in jobs:
        origin = Origin.of(job.settings(), job.modules, (found[path] for path in job.inputs))
        found |= dict.fromkeys(job.outputs, origin)
    return found
