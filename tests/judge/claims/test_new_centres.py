"""C6 on experiments made up so that the right verdict is known."""

import numpy as np
import pandas as pd
import pytest

from bumpscope.config.lattice import Lattice
from bumpscope.judge.claims import new_centres
from bumpscope.judge.data import Data
from bumpscope.measure.lattice_scale import yardsticks
from bumpscope.measure.metrics import run_metrics
from bumpscope.worlds.behaviour import classify
from bumpscope.worlds.bumps import lattice_points, render
from bumpscope.worlds.requests import requested_centres
from made_up_runs import STEPS, every, metric, number, run_row

RIGHT = {split: metric("right_0.25", split=split) for split in ("seen", "heldout", "between")}
HELD = {"holdout": "x=[5.0, 8.0], y=[5.0, 8.0]", "n_images": 128}


def c6(seen, heldout=None, between=None, seeds=5, copier=0.2, **other):
    jitter = np.linspace(-0.02, 0.02, seeds)
    splits = {"seen": seen, "heldout": heldout, "between": between}
    return every(seeds, curves=lambda seed: at_the_end(splits, jitter[seed], copier), **(HELD | other))


def at_the_end(splits, jitter, copier=0.2):
    """Shares right at the last checkpoint, the only one that counts; before it everything is wrong."""
    last, found = STEPS[-1] == STEPS, {}
    for split, value in splits.items():
        if value is not None:
            found[RIGHT[split]] = np.where(last, value + (split != "seen") * jitter, 0.0)
            found[metric("requests", split=split)] = 64.0
    for split in ("heldout", "between"):
        found[metric("right_0.25", split=split, label="copier")] = copier
        found[metric("right_0.25", split=split, label="kernel")] = 0.0
    return found


def test_c6_new_centres_as_good_as_seen_ones_support_it():
    row = c6(0.95, heldout=0.93, between=0.96).judge("C6")
    assert row.verdict == "supported" and row.runs == 5
    assert row.estimate == pytest.approx(-0.02)


def test_c6_withheld_combinations_that_fail_contradict_it():
    row = c6(0.95, heldout=0.30, between=0.96).judge("C6")
    assert row.verdict == "contradicted" and row.estimate == pytest.approx(-0.65)


def test_c6_what_a_copier_draws_right_as_well_is_no_support():
    assert c6(0.95, heldout=0.93, between=0.96, copier=0.8).judge("C6").verdict == "undetermined"


def test_c6_without_withheld_combinations_it_can_only_be_contradicted():
    whole = {"holdout": "none", "n_images": 144}
    assert c6(0.95, between=0.96, **whole).judge("C6").verdict == "undetermined"
    assert c6(0.95, between=0.40, **whole).judge("C6").verdict == "contradicted"


def test_c6_withheld_blocks_of_different_size_are_judged_apart():
    experiment = every(5, curves=lambda seed: at_the_end({"seen": 0.95, "between": 0.96}, 0.01 * seed))
    for seed in range(5):
        for name, share, images in (("small", 0.94, 135), ("large", 0.4, 80)):
            curves = at_the_end({"seen": 0.94, "heldout": share}, 0.01 * seed)
            experiment.add(name, seed, curves, holdout=name, n_images=images)
    experiment.phases = [row for row in experiment.phases if row["dataset"] == "balanced" or row["step"] in (0, 1500)]
    checks, row = experiment.checks("C6"), experiment.judge("C6")
    assert (row.verdict, row.runs) == ("contradicted", 15)
    assert number(checks, "share right", "6% of the combinations withheld") == pytest.approx(0.96)
    assert number(checks, "share right", "44% of the combinations withheld") == pytest.approx(0.42)


def test_c6_runs_that_have_not_learnt_say_nothing():
    row = c6(0.3, heldout=0.0, between=0.0).judge("C6")
    assert row.verdict == "undetermined" and row.runs == 0


def test_c6_below_five_seeds_it_is_descriptive():
    row = c6(0.95, heldout=0.3, between=0.96, seeds=4).judge("C6")
    assert row.verdict == "undetermined" and row.estimate == pytest.approx(-0.65)


def test_c6_shares_stay_within_one_with_their_intervals():
    shares = [check for check in c6(0.99, heldout=0.97, between=0.98).checks("C6") if check.quantity == "share right"]
    assert len(shares) == 3
    assert all(0 <= check.low < check.value <= check.high <= 1 for check in shares)


def drawn_by(name, lattice):
    """Table ``behaviour`` of a network that draws what a stand-in draws, with what all stand-ins draw."""
    points = lattice_points(lattice)
    images = {"mu_x": points.mu_x, "mu_y": points.mu_y, "probability": points.probability}
    requests = requested_centres(lattice, 256)
    stand_ins = yardsticks(requests, pd.DataFrame(images), lattice, 0.25)
    seen = requests[requests["split"] == "seen"].reset_index(drop=True)
    mu_x, mu_y = seen["mu_x"].to_numpy(), seen["mu_y"].to_numpy()
    known = seen.join(classify(render(mu_x, mu_y, lattice), mu_x, mu_y, lattice, tolerance=1.0, faint=0.25))
    drawn = pd.concat([known, stand_ins[stand_ins["yardstick"] == name]], ignore_index=True)
    # Which outcome they have by a tolerance in pixels, C6 does not read.
    return drawn.assign(step=1500, weights="raw", error=0.0, outcome="correct"), stand_ins


@pytest.mark.parametrize(
    ("stand_in", "verdict"), [("exact", "supported"), ("copier", "contradicted"), ("kernel", "contradicted")]
)
def test_c6_a_memoriser_fails_and_exact_images_pass(stand_in, verdict):
    plane = {"image_size": 16, "sigma": 1.0, "margin": 2.0, "dx": 1.0, "dy": 1.0}
    block = {"holdout": {"x": [4.0, 9.0], "y": [4.0, 9.0]}}
    parts, runs = [], []
    for dataset, keys, images in (("whole", {}, 144), ("held", block, 108)):
        lattice = Lattice.model_validate(plane | keys)
        behaviour, stand_ins = drawn_by(stand_in, lattice)
        for seed in range(5):
            tables = {"behaviour": behaviour, "yardsticks": stand_ins}
            parts.append(run_metrics(f"{dataset}-seed{seed}", dataset, seed, **tables, lattice=lattice))
            runs.append(run_row(dataset, seed, holdout=dataset, n_images=images))
    phases = pd.DataFrame(
        [{"dataset": row["dataset"], "seed": row["seed"], "step": 1500, "judged": True} for row in runs]
    )
    data = Data({"metrics": pd.concat(parts), "runs": pd.DataFrame(runs), "phases": phases})
    assert new_centres.judge(data).verdict == verdict
