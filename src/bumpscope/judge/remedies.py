"""What would let a claim be judged, or judged more narrowly."""

from __future__ import annotations

from dataclasses import dataclass

# Costs that the plan of an experiment knows.
A_SEED, EXPERIMENT, SENSITIVITY = "one more seed of every dataset", "the experiment", "`snakemake sensitivity`"


@dataclass(frozen=True)
class Remedy:
    """Something to run.

    Attributes:
        text: what to change, a sentence; names of keys and commands in backticks.
        costs: whose planned cost tells what it takes; empty where only a dry run does.
    """

    text: str
    costs: str = ""


SEEDS = Remedy("Train more seeds (`seeds`): they narrow the intervals.", A_SEED)
CHECKPOINTS = Remedy(
    "Save and probe checkpoints closer together around the onsets (`training.checkpoints`, `probe.checkpoints`).",
    EXPERIMENT,
)
LONGER = Remedy("Train longer (`training.steps`), until every run has got there.", EXPERIMENT)
CLOSER_PROBES = Remedy(
    "Probe more images (`probe.samples`) at closer checkpoints before the latents are ordered, in five seeds at least.",
    EXPERIMENT,
)
SPACINGS = Remedy(
    "Train balanced datasets of two spacings or more (`dx`, with `dy` equal to it if it is a key), in five seeds at "
    "least.",
    EXPERIMENT,
)
INTERVENTIONS = Remedy(
    "Intervene at a checkpoint at which half of the images are right (`probe.interventions`), in five seeds at least."
)
COMMON_DISTANCE = Remedy(
    "Train bumps of one size (`world: {kind: bumps}`): interventions put in another label at a distance, which factors "
    "without a common unit do not have."
)
EACH_ALONE = Remedy(
    "Train each factor alone as well, in datasets that have one value of every other (`world.sizes: 1`, or `dx` = "
    "image_size - 2 margin) and are otherwise the same, in five seeds at least."
)
NEW_CENTRES = Remedy(
    "Train datasets with withheld combinations (`holdout`) and with room between points, in five seeds at least."
)
IMBALANCE = Remedy(
    "Run the whole grid of imbalanced data: `snakemake --cores 2 --configfile workflow/presets/imbalance.yaml --config "
    "output=imbalance` (with `-n` it tells the cost)."
)
FACTORISE = Remedy(
    "Run the factorisation benchmark: `snakemake --cores 2 --configfile workflow/presets/factorise.yaml --config "
    "output=factorise` (with `-n` it tells the cost)."
)
SHARES = Remedy(
    "Train random shares of the combinations: `snakemake --cores 2 --configfile workflow/presets/percolation.yaml "
    "--config output=percolation` (with `-n` it tells the cost)."
)
OTHER_CHOICES = Remedy("See whether the verdict hangs on one choice of the analysis.", SENSITIVITY)
