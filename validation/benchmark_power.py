"""How often claims F1 and F4 reach each verdict in made-up experiments with the runs of the factorisation benchmark.

    python validation/benchmark_power.py [--experiments 90]

Accuracy on withheld combinations is a logistic in ln K through 0.9 at K*. A seed moves ln K* by 0.15, a run the logit
by 0.7, and 64 requests are drawn. Prints the table of docs/claims.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "support"))

from bumpscope.config.loading import load  # noqa: E402
from bumpscope.judge.claims import memorises, stripes  # noqa: E402
from bumpscope.judge.combinations import COLUMNS, RIGHT  # noqa: E402
from bumpscope.judge.data import Data  # noqa: E402
from made_up_designs import benchmark_tables, tables  # noqa: E402

SEED_SPREAD, RUN_SPREAD, REQUESTS = 0.15, 0.7, 64
VERDICTS = ("supported", "contradicted")


class Arm(NamedTuple):
    """A made-up arm: K* at N = 8, its exponent over N, and the slope of the logit in ln K."""

    name: str
    k_star: float
    exponent: float
    slope: float


UNET, RENDERING = Arm("unet", 44, 2, 4.0), Arm("rendering", 4, 1, 6.0)
# As docs/factorise.md found it.
MEASURED = Arm("unet", 25, 2, 11.0)
CASES: tuple[tuple[str, ModuleType, tuple[Arm, Arm]], ...] = (
    ("F1: K* halved", stripes, (UNET, Arm("unet + stripes", 22, 2, 3.0))),
    ("F1: K* 0.8 times, flatter", stripes, (UNET, Arm("unet + stripes", 35, 2, 2.2))),
    ("F1: no effect", stripes, (UNET, Arm("unet + stripes", 44, 2, 4.0))),
    ("F1: K* 1.3 times", stripes, (UNET, Arm("unet + stripes", 58, 2, 4.0))),
    ("F4: exponents 2 and 1", memorises, (UNET, RENDERING)),
    ("F4: both 1", memorises, (UNET._replace(exponent=1), RENDERING)),
    ("F4: exponents 2 and 1, the plain UNet's K* as measured", memorises, (MEASURED, RENDERING)),
    ("F4: both 1, the plain UNet's K* as measured", memorises, (MEASURED._replace(exponent=1), RENDERING)),
)


def cells() -> dict[str, list[tuple[int, int, int]]]:
    """N, combinations shown and seed of each run of the preset, by arm."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for run in load(ROOT / "config.yaml", ROOT / "workflow/presets/factorise.yaml").runs():
        if (shown := run.lattice.shown) is not None:
            arm, n = run.denoiser.kind + " + stripes" * (run.lattice.stripes > 0), run.lattice.counts[0]
            found.setdefault(arm, []).append((n, shown.each * n, run.seed))
    return found


def curve(arm: Arm, runs: list[tuple[int, int, int]], draw: np.random.Generator) -> pd.DataFrame:
    """Made-up accuracies of the runs of one arm."""
    moved = draw.normal(0, SEED_SPREAD, 1 + max(seed for *_, seed in runs))
    rows = []
    for n, shown, seed in runs:
        distance = math.log(shown / (arm.k_star * (n / 8) ** arm.exponent)) - moved[seed]
        chance = expit(arm.slope * distance + logit(RIGHT) + draw.normal(0, RUN_SPREAD))
        rows.append((arm.name, n, shown, seed, draw.binomial(REQUESTS, chance), REQUESTS))
    return pd.DataFrame(rows, columns=COLUMNS)


def power(claim: ModuleType, arms: tuple[Arm, ...], experiments: int) -> Counter[str]:
    """Verdicts of a claim in this many made-up experiments."""
    runs, found = cells(), Counter[str]()
    for number in range(experiments):
        draw = np.random.default_rng([number, 11])
        curves = pd.concat([curve(arm, runs[arm.name], draw) for arm in arms])
        of_runs, metrics, _ = tables(curves)
        read = {"runs": of_runs, "metrics": metrics}
        if "leaderboard" in dict(claim.READS):
            read["leaderboard"] = benchmark_tables(curves)[1]
        found[claim.judge(Data(read)).verdict] += 1
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=90, help="of each case")
    experiments = parser.parse_args().experiments
    print(f"| truth | {' | '.join(VERDICTS)} |", "|---|---|---|", sep="\n")
    for name, claim, arms in CASES:
        found = power(claim, arms, experiments)
        shares = " | ".join(f"{found[verdict] / experiments:.0%}" for verdict in VERDICTS)
        print(f"| {name} | {shares} |", flush=True)
