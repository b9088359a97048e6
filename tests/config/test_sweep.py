"""Sweeps: each cell with the controls it is judged by, nothing twice, every fault told once."""

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bumpscope.config.controls import trained
from bumpscope.config.dataset import NAME_PATTERN
from bumpscope.config.experiment import Config
from bumpscope.config.loading import ConfigError, from_command_line, load, merge, validate
from bumpscope.config.section import canonical_json
from bumpscope.judge.controls import comparisons
from bumpscope.worlds.bumps import lattice_points
from made_up_runs import run_row

ROOT = Path(__file__).parents[2]
COMMON = {"image_size": 16, "sigma": 1.0, "margin": 2.0, "seeds": [0]}


def swept(datasets=None, common=None, **sweep):
    return validate({"datasets": datasets or {}, "sweep": {"common": COMMON | (common or {})} | sweep})


def names(*arguments, **sweep):
    return list(swept(*arguments, **sweep).expansion().datasets)


def spacings(dx, dy):
    return {"dx": dx, "dy": dy}


MATRIX = spacings([0.5], [2.0])
CONTROLS = ["dx2_dy0p5", "dx0p5_dy0p5", "dx2_dy2", "dx1_dy1"]
LINES = ["dx0p5_dy12", "dx12_dy2", "dx2_dy12", "dx12_dy0p5"]


def test_a_cell_comes_with_its_axes_swapped_and_each_axis_of_both_with_one_position_on_the_other():
    config = swept(spacings=MATRIX)
    assert list(config.all_datasets()) == ["dx0p5_dy2", "dx2_dy0p5", *LINES]
    counts = {run.dataset: len(lattice_points(run.lattice).mu_x) for run in config.runs()}
    assert [counts[name] for name in LINES] == [24, 6, 6, 24]
    assert list(swept(spacings=MATRIX, controls="both").all_datasets()) == [
        "dx0p5_dy2", "dx2_dy0p5", *LINES, *CONTROLS[1:]
    ]  # fmt: skip


def test_a_lattice_with_one_position_on_an_axis_is_no_imbalanced_cell():
    assert names(spacings=spacings([0.5, 12.0], [12.0])) == ["dx0p5_dy12", "dx12_dy12"]


def test_a_skewed_axis_has_its_skew_in_its_own_null_alone():
    found = swept(skews={"spacing": 1.0, "x": [1.5]}).expansion().datasets
    own = ["dx1_dy12_skewx1p5", "dx12_dy1", "dx1_dy12", "dx12_dy1_skewy1p5"]
    assert list(found) == ["dx1_dy1_skewx1p5", "dx1_dy1_skewy1p5", *own]


def test_balanced_controls_are_both_balanced_lattices_and_the_one_with_as_many_images():
    config = swept(spacings=MATRIX, controls="balanced")
    assert list(config.all_datasets()) == ["dx0p5_dy2", *CONTROLS]
    counts = {run.dataset: len(lattice_points(run.lattice).mu_x) for run in config.runs()}
    assert counts == {"dx0p5_dy2": 144, "dx2_dy0p5": 144, "dx0p5_dy0p5": 576, "dx2_dy2": 36, "dx1_dy1": 144}


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_skewed_axis_comes_with_the_other_both_and_neither(axis):
    found = names(skews={"spacing": 1.0, axis: [1.5]}, controls="balanced")
    other = {"x": "y", "y": "x"}[axis]
    assert found[:2] == [f"dx1_dy1_skew{axis}1p5", f"dx1_dy1_skew{other}1p5"]
    assert set(found[2:]) == {"dx1_dy1_skewboth1p5", "dx1_dy1"}


def test_without_controls_there_are_the_cells_alone():
    assert names(spacings=spacings([0.5, 1.0], [2.0]), controls=False) == ["dx0p5_dy2", "dx1_dy2"]


def test_a_pair_of_equal_spacings_is_a_balanced_cell_without_controls():
    assert names(spacings=spacings([2.0], [2.0])) == ["dx2_dy2"]


def test_cells_of_a_torus_have_no_margin_and_say_so_in_their_names():
    config = swept(spacings=MATRIX, boundaries=["plane", "torus"], controls="balanced")
    found = config.expansion().datasets
    ring = found["torus_dx0p5_dy2"]
    assert (ring.boundary, ring.free_margin, len(lattice_points(ring).mu_x)) == ("torus", 0.0, 256)
    assert [name for name in found if name.startswith("torus")] == [
        f"torus_{name}" for name in ["dx0p5_dy2", *CONTROLS]
    ]
    assert found["dx0p5_dy2"].free_margin == 2.0


@pytest.mark.parametrize(("ratio", "counts"), [(4.0, (24, 6)), (16.0, (48, 3)), (0.25, (6, 24)), (9.0, (36, 4))])
def test_a_ratio_is_made_at_a_fixed_number_of_images(ratio, counts):
    config = swept(ratios={"images": 144, "values": [ratio]}, controls=False)
    (dataset,) = config.all_datasets().values()
    assert (dataset.dx, dataset.dy) == (12 / counts[0], 12 / counts[1])  # exact, whatever the name says


def test_names_round_to_four_decimals_and_lattices_do_not():
    config = swept(ratios={"images": 84, "values": [7 / 12]}, controls=False)
    ((name, dataset),) = config.all_datasets().items()
    assert (name, dataset.dx, dataset.dy) == ("dx1p7143_dy1", 12 / 7, 1.0)


def test_names_that_four_decimals_do_not_tell_apart_have_more():
    fine = [12 / 6000, 12 / 6001]
    assert names(spacings=spacings(fine, [4.0]), controls=False) == ["dx0p002_dy4", "dx0p0019997_dy4"]
    assert names(skews={"x": [1.5, 1.500029]}, controls=False) == ["dx1_dy1_skewx1p5", "dx1_dy1_skewx1p500029"]


def test_reference_models_are_trained_on_every_cell_and_control():
    config = swept(spacings=MATRIX, references=["none", "factorised", "gated"], controls="balanced")
    plain = ["dx0p5_dy2", *CONTROLS]
    assert list(config.all_datasets()) == [
        *plain, *(f"{name}_factorised" for name in plain), *(f"{name}_gated" for name in plain)
    ]  # fmt: skip
    assert {run.dataset: run.denoiser.kind for run in config.runs()}["dx2_dy0p5_gated"] == "gated"


def test_a_model_override_of_common_is_kept_beside_the_reference():
    config = swept(None, {"model": {"base_width": 16}}, spacings=MATRIX, references=["gated"])
    assert {(run.model.base_width, run.denoiser.kind) for run in config.runs()} == {(16, "gated")}


PLANE = {"image_size": 16, "sigma": 1.0, "margin": 2.0}
EVEN = PLANE | {"dx": 1.0, "dy": 1.0}


@pytest.mark.parametrize(
    ("named", "added"),
    [
        (EVEN, False),
        (EVEN | {"seeds": [0, 5]}, False),
        (EVEN | {"probe": {"samples": 64}}, False),
        (EVEN | {"training": {"checkpoints": [0, 300, 1600]}, "probe": {"checkpoints": [0, 300]}}, False),
        ({"sigma": 1.0, "dx": 1.0, "dy": 1.0}, False),  # the margin of two sigma, unsaid
        (EVEN | {"seeds": [5]}, True),
        (EVEN | {"training": {"steps": 1700}}, True),
        (EVEN | {"diffusion": {"prediction": "v"}}, True),
        (EVEN | {"model": {"base_width": 16}}, True),
        (EVEN | {"model": {"reference": "gated"}}, True),
        (EVEN | {"polarity": "dark"}, True),
        (EVEN | {"sigma": 1.5}, True),
        (EVEN | {"holdout": {"x": [5.0, 8.0], "y": [5.0, 8.0]}}, True),
    ],
)
def test_a_control_that_is_there_under_another_name_is_not_trained_again(named, added):
    found = names({"mine": named}, spacings=MATRIX, controls="balanced")
    assert ("dx1_dy1" in found) is added
    assert found[:1] == ["dx0p5_dy2"]


def test_a_cell_that_is_there_under_another_name_still_gets_its_controls():
    assert names({"wide": PLANE | {"dx": 0.5, "dy": 2.0}}, spacings=MATRIX, controls="balanced") == CONTROLS


def test_a_lattice_spelt_out_in_two_ways_is_one():
    ratios = {"images": 144, "values": [4.0, 0.25]}
    assert names(spacings=MATRIX, ratios=ratios, controls="balanced") == ["dx0p5_dy2", *CONTROLS]
    # Seven centres, rounded by hand and exact.
    by_hand = spacings([1.7142857], [1.0])
    assert len(names(spacings=by_hand, ratios={"images": 84, "values": [7 / 12]}, controls=False)) == 1


def test_adding_a_cell_adds_exactly_its_runs_and_changes_no_other():
    before = swept(spacings=MATRIX, skews={"x": [1.5]}, controls="balanced")
    after = swept(spacings=spacings([0.5], [2.0, 4.0]), skews={"x": [1.5]}, controls="balanced")
    old, new = ({run.id: run for run in config.runs()} for config in (before, after))
    assert {name: new[name] for name in old} == old
    # 72 images: 81 and 64 are further off than 2 %, so that there is no control with as many.
    assert sorted(new.keys() - old.keys()) == ["dx0p5_dy4-seed0", "dx4_dy0p5-seed0", "dx4_dy4-seed0"]


def test_a_seed_in_common_adds_a_run_a_dataset():
    one, two = swept(spacings=MATRIX), swept(None, {"seeds": [0, 1]}, spacings=MATRIX)
    assert len(list(two.runs())) == 2 * len(list(one.runs()))
    assert {run.id for run in one.runs()} < {run.id for run in two.runs()}


def test_controls_with_another_number_of_images_are_told_in_a_line_and_those_beyond_two_per_cent_in_one():
    expansion = swept(spacings=spacings([0.5, 1.0], [2.0, 3.0]), controls="balanced").expansion()
    assert expansion.notes() == [
        "No control with as many images, to within 2 %, for dx0p5_dy3 (96 images; nearest 100),"
        " dx1_dy2 (72 images; nearest 64), dx1_dy3 (48 images; nearest 49)."
    ]
    assert not {"dx1p2_dy1p2", "dx1p7143_dy1p7143"} & set(expansion.datasets)
    near = swept(spacings=spacings([12 / 11], [12 / 13]), controls="both").expansion()
    assert near.notes() == [
        "Controls with nearly as many images as their cell: dx1p0909_dy0p9231 (143 images; control 144)."
    ]
    assert "dx1_dy1" in near.datasets
    assert swept(spacings=MATRIX, controls="balanced").expansion().notes() == []
    assert swept(spacings=spacings([0.5], [3.0])).expansion().notes() == []


def test_a_long_list_of_cells_without_such_a_control_is_cut():
    lines = swept(spacings=spacings([12 / n for n in range(3, 15)], [6.0]), controls="both").expansion().notes()
    assert lines[0].endswith(" more cells.")


# What the command line, presets and files say which datasets there are.
BASE = {"datasets": {"a": {}}, "sweep": {"spacings": MATRIX}, "seeds": [0], "training": {"steps": 10}}


@pytest.mark.parametrize(
    ("preset", "grid"),
    [
        ({"datasets": {"b": {}}}, {"datasets": {"b": {}}}),
        ({"sweep": {"controls": False}}, {"sweep": {"controls": False}}),
        ({"datasets": {}, "sweep": {"skews": {}}}, {"datasets": {}, "sweep": {"skews": {}}}),
        ({"training": {"batch_size": 8}}, {"datasets": {"a": {}}, "sweep": {"spacings": MATRIX}}),
    ],
)
def test_a_preset_that_says_which_datasets_there_are_replaces_datasets_and_sweep(preset, grid):
    merged = merge(BASE, preset)
    assert {key: merged[key] for key in ("datasets", "sweep") if key in merged} == grid
    assert merged["seeds"] == [0]
    assert merged["training"]["steps"] == 10


GIVEN = {key: BASE[key] for key in ("datasets", "sweep", "seeds")}
ADDED = {"more_datasets": {"c": {"dx": 2.0}, "a": {"dy": 0.5}}}


def test_datasets_are_added_to_those_of_the_files_before_or_change_their_keys(tmp_path):
    base = GIVEN | {"datasets": {"a": {"dx": 0.5, "seeds": [3]}}}
    config = validate(merge(base, ADDED))
    assert config.sweep == validate(base).sweep and list(config.datasets) == ["a", "c"]
    assert (config.datasets["a"].dx, config.datasets["a"].dy, config.datasets["a"].seeds) == (0.5, 0.5, [3])
    assert config.datasets["c"].dx == 2.0
    # Written out they are the same configuration.
    written = validate(base | {"datasets": {"a": {"dx": 0.5, "dy": 0.5, "seeds": [3]}, "c": {"dx": 2.0}}})
    assert config == written and config.in_force() == written.in_force()


@pytest.mark.parametrize(
    "files", [[ROOT / "config.yaml"], [], [ROOT / "config.yaml", ROOT / "workflow/presets/quick.yaml"]]
)
def test_a_dataset_is_added_to_the_default_experiment_and_to_a_preset(tmp_path, files):
    (tmp_path / "mine.yaml").write_text("more_datasets: {mine: {dx: 2.0, dy: 2.0}}\n")
    before, after = load(*files) if files else validate({}), load(*files, tmp_path / "mine.yaml")
    assert after.datasets.pop("mine").dx == 2.0
    assert after == before


def test_a_preset_that_says_which_datasets_there_are_drops_those_added_before():
    assert list(validate(merge(merge(GIVEN, ADDED), {"datasets": {"b": {}}})).all_datasets()) == ["b"]
    both = merge(merge(GIVEN, ADDED), {"more_datasets": {"d": {}}})
    assert list(validate(both).datasets) == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ({"c": {"dz": 1.0}}, "datasets.c.dz: unknown key"),
        ({"c": {"dx": 0.7}, "d": 3}, "datasets.d: holds 3"),
        ([], "more_datasets: holds []"),
        ({"A": {}}, "datasets: holds"),
    ],
)
def test_what_is_wrong_with_an_added_dataset_is_told(added, told):
    with pytest.raises(ConfigError) as caught:
        validate(GIVEN | {"more_datasets": added})
    assert [line for line in caught.value.faults if line.startswith(told)], caught.value.faults


def test_one_of_datasets_and_sweep_alone_has_nothing_of_the_default_of_the_other():
    assert list(validate({"datasets": {"only": {}}}).all_datasets()) == ["only"]
    alone = validate({"sweep": {"spacings": MATRIX, "controls": False}})
    assert list(alone.all_datasets()) == ["dx0p5_dy2"]
    assert alone.datasets == {}
    over_default = load(ROOT / "config.yaml", {"sweep": {"spacings": MATRIX, "controls": False}})
    assert list(over_default.all_datasets()) == ["dx0p5_dy2"]


def test_numbers_and_truth_on_the_command_line_are_what_they_mean():
    given_ = {"sweep": {"spacings": {"dx": ["0.5"], "dy": ["2.0"]}, "controls": "false"}, "output": "7", "seeds": ["1"]}
    read = {"sweep": {"spacings": {"dx": [0.5], "dy": [2.0]}, "controls": False}, "output": "7", "seeds": [1]}
    assert from_command_line(given_) == read
    assert from_command_line({"check_disk": "false", "output": "on"}) == {"check_disk": False, "output": "on"}


def test_the_default_experiment_has_a_pair_with_one_dimensional_nulls():
    config = Config()
    added = ["dx0p1667_dy6", "dx6_dy0p1667", "dx0p1667_dy12", "dx12_dy6", "dx6_dy12", "dx12_dy0p1667"]
    assert list(config.expansion().datasets) == added
    found = {one.dataset: one for one in comparisons(runs_table(config))}
    assert list(found) == added[:2]
    assert (found["dx0p1667_dy6"].null_x, found["dx0p1667_dy6"].null_y) == ("dx0p1667_dy12", "dx12_dy6")
    assert found["dx0p1667_dy6"].nulls == "one_dimensional"


# (what is laid into the sweep, path that is told, what is told to be allowed)
WRONG = [
    ({"spacing": {}}, "sweep.spacing", "common, boundaries, spacings, ratios, skews, controls, references"),
    ({"common": {"sigmas": 1.0}}, "sweep.common.sigmas", "image_size, sigma, margin, polarity, seeds"),
    *(
        ({"common": {key: value}}, f"sweep.common.{key}", "image_size, sigma, margin, polarity, seeds, denoiser, model")
        for key, value in {"dx": 1.0, "dy": 1.0, "skew": {"axis": "x"}, "boundary": "torus", "holdout": "none"}.items()
    ),
    ({"common": {"training": {"step": 5}}}, "sweep.common.training.step", "steps, batch_size"),
    ({"spacings": {"x": [1.0]}}, "sweep.spacings.x", "dx, dy"),
    ({"ratios": {"ratio": [4.0]}}, "sweep.ratios.ratio", "images, values"),
    ({"skews": {"both": [1.5]}}, "sweep.skews.both", "spacing, x, y"),
    ({"spacings": None}, "sweep.spacings", "a mapping of keys to values"),
    ({"spacings": spacings(0.5, [2.0])}, "sweep.spacings.dx", "a list"),
    ({"spacings": spacings(["0.5"], [2.0])}, "sweep.spacings.dx.0", "a number"),
    ({"spacings": spacings([0.0], [2.0])}, "sweep.spacings.dx.0", "a number > 0"),
    ({"spacings": spacings([0.5], [])}, "sweep.spacings", "spacings along both axes"),
    ({"spacings": spacings([], [0.5])}, "sweep.spacings", "spacings along both axes"),
    ({"spacings": spacings([0.5, 0.5], [2.0])}, "sweep.spacings.dx", "each once"),
    ({"spacings": spacings([0.5], [2.0, 1.0, 2.0])}, "sweep.spacings.dy", "each once"),
    ({"spacings": spacings([0.7], [2.0])}, "sweep.spacings.dx", "divides image_size - 2 margin = 12 (plane)"),
    ({"spacings": spacings([0.5], [24.0])}, "sweep.spacings.dy", "divides image_size - 2 margin = 12 (plane)"),
    ({"spacings": spacings([5e-324], [2.0])}, "sweep.spacings.dx", "divides image_size - 2 margin = 12 (plane)"),
    ({"spacings": spacings([0.5], [1.5]), "boundaries": ["plane", "torus"]}, "sweep.spacings.dy", "= 16 (torus)"),
    (
        {"spacings": spacings([0.02], [2.0]), "controls": "balanced"},
        "sweep.spacings.dx",
        "at most 250000 lattice points in its balanced",
    ),
    ({"spacings": spacings([0.02], [0.01]), "controls": False}, "sweep.spacings.dx, dy", "at most 250000 lattice"),
    ({"ratios": {"values": [0.0]}}, "sweep.ratios.values.0", "a number > 0"),
    ({"ratios": {"values": [-4.0]}}, "sweep.ratios.values.0", "a number > 0"),
    ({"ratios": {"values": [1.0]}}, "sweep.ratios.values", "other than 1, which is balanced"),
    ({"ratios": {"values": [1.01]}}, "sweep.ratios.values", "of 144 images 12 x 12: balanced"),
    ({"ratios": {"values": [5.0]}}, "sweep.ratios.values", "within 2 % of 144 images (this makes 27 x 5 = 135)"),
    ({"ratios": {"values": [4.0, 4.01]}}, "sweep.ratios.values", "another lattice than 4.0 does"),
    ({"ratios": {"images": 4, "values": [16.0]}}, "sweep.ratios.images", "two centres along each axis"),
    ({"ratios": {"images": 0, "values": [4.0]}}, "sweep.ratios.images", "a number >= 1"),
    (
        {"ratios": {"images": 240_000, "values": [15_000.0]}, "controls": "both"},
        "sweep.ratios.values",
        "balanced control has at most",
    ),
    ({"skews": {"x": [0.0]}}, "sweep.skews.x.0", "a number >= 0.01"),
    ({"skews": {"y": [11.0]}}, "sweep.skews.y.0", "a number <= 10"),
    ({"skews": {"x": [1.5, 1.5]}}, "sweep.skews.x", "each once"),
    ({"skews": {"x": [1.5], "spacing": 0.7}}, "sweep.skews.spacing", "divides image_size - 2 margin = 12 (plane)"),
    ({"skews": {"x": [1.5], "spacing": 0.01}}, "sweep.skews.spacing", "at most 250000 lattice points"),
    ({"boundaries": []}, "sweep.boundaries", "length 1 or more"),
    ({"boundaries": ["sphere"]}, "sweep.boundaries.0", "one of plane or torus"),
    ({"boundaries": ["plane", "plane"]}, "sweep.boundaries", "each once"),
    ({"references": []}, "sweep.references", "length 1 or more"),
    (
        {"references": ["none", "joint"]},
        "sweep.references.1",
        "one of none, factorised, gated, equal_resolution or own_resolution",
    ),
    ({"references": ["gated", "gated"]}, "sweep.references", "each once"),
    ({"references": ["factorised"], "common": {"polarity": "dark"}}, "sweep.references", "with polarity dark"),
    ({"controls": "yes"}, "sweep.controls", "balanced"),
    ({"common": {"sigma": 5.0}}, "sweep.common.sigma", "at most image_size / 4 = 4.0"),
    ({"common": {"margin": 8.0}}, "sweep.common.margin", "less than image_size / 2 = 8.0"),
    ({"common": {"seeds": [1, 1]}}, "sweep.common.seeds", "each seed once"),
    ({"common": {"seeds": [-1]}}, "sweep.common.seeds.0", "a number >= 0"),
    ({"common": {"model": {"reference": "gated"}}}, "sweep.common.model.reference", "sweep.references says it"),
    ({"common": {"probe": {"checkpoints": [7]}}}, "sweep.common.probe.checkpoints", "in training.checkpoints"),
    (
        {"spacings": spacings([12 / n for n in range(1, 102)], [12 / n for n in range(1, 102)])},
        "sweep",
        "at most 10000",
    ),
]


@pytest.mark.parametrize(("wrong", "told", "allowed"), WRONG, ids=lambda part: str(part)[:50])
def test_a_wrong_sweep_is_told_once_with_its_path_and_what_is_allowed(wrong, told, allowed):
    sound = {"common": COMMON, "spacings": MATRIX, "boundaries": ["plane", "torus"], "references": ["none", "gated"]}
    if "boundaries" not in wrong:
        sound["boundaries"] = ["plane"]
    with pytest.raises(ConfigError) as caught:
        validate({"datasets": {"one": {}}, "sweep": merge(sound, wrong)})
    assert len(caught.value.faults) == 1
    (fault,) = caught.value.faults
    assert "\n" not in fault
    assert re.match(rf"{re.escape(told)}: (unknown key \()?holds? ", fault) and "; allowed: " in fault
    assert allowed in fault.partition("; ")[2]


def test_a_margin_in_common_is_no_fault_on_a_torus():
    assert swept(None, {"margin": 3.5}, boundaries=["torus"], spacings=MATRIX)


def faults_of(plain):
    with pytest.raises(ConfigError) as caught:
        validate(plain)
    return caught.value.faults


def test_faults_of_a_sweep_and_of_everything_else_are_told_together():
    told = faults_of(
        {
            "seeds": [0, 0],
            "datasets": {"a": {"dx": 0.7}},
            "probe": {"timesteps": [2000]},
            "sweep": {"spacings": spacings([0.7, 0.5], [2.0]), "ratios": {"values": [1.0, 5.0]}},
        }
    )
    assert [fault.partition(":")[0] for fault in told] == [
        *("seeds", "datasets.a.dx", "probe.timesteps"),
        *("sweep.ratios.values", "sweep.ratios.values", "sweep.spacings.dx"),
    ]


def test_a_fault_of_a_type_does_not_hide_those_of_the_sweep():
    told = faults_of({"datasets": {"a": {"dx": "x"}}, "device": 3, "sweep": {"spacings": spacings([0.7], [2.0])}})
    assert sorted(fault.partition(":")[0] for fault in told) == ["datasets.a.dx", "device", "sweep.spacings.dx"]


@pytest.mark.parametrize("plain", [{"datasets": {}}, {"sweep": {}}, {"datasets": {}, "sweep": {"common": COMMON}}])
def test_a_grid_with_nothing_in_it_is_one_fault(plain):
    assert [fault.partition(":")[0] for fault in faults_of(plain)] == ["datasets"]


def test_a_grid_that_is_empty_for_a_fault_of_its_own_is_told_that_fault_alone():
    for plain, told in (
        ({"datasets": []}, "datasets"),
        ({"sweep": 3}, "sweep"),
        ({"datasets": {"a": 3}}, "datasets.a"),
    ):
        assert [fault.partition(":")[0] for fault in faults_of(plain)] == [told]


@pytest.mark.parametrize("name", ["dx0p5_dy2", "DX0p5_dy2"])
@pytest.mark.parametrize("other", [{"dx": 4.0, "dy": 2.0}, {"dx": 0.5, "dy": 2.0, "seeds": [7]}])
def test_a_named_dataset_may_not_have_the_name_of_another_cell(name, other):
    told = faults_of({"datasets": {name: PLANE | other}, "sweep": {"common": COMMON, "spacings": MATRIX}})
    assert [fault.partition(":")[0] for fault in told] == [f"datasets.{name}"]


def test_a_named_dataset_may_have_the_name_of_the_cell_that_it_is():
    assert names({"dx0p5_dy2": PLANE | {"dx": 0.5, "dy": 2.0}}, spacings=MATRIX) == ["dx2_dy0p5", *LINES]


def runs_table(config):
    """The table ``runs`` of a configuration."""
    rows = []
    for run in config.runs():
        lattice = run.lattice
        row = run_row(run.dataset, run.seed, lattice.dx, lattice.dy, n_images=math.prod(lattice.counts))
        row |= {"world": lattice.world.text}
        row |= {key: getattr(lattice, key) for key in ("image_size", "sigma", "margin", "boundary", "polarity")}
        row |= {"skew_axis": lattice.skew.axis, "skew_alpha": lattice.skew.alpha}
        row["trained"] = trained(run.model, run.diffusion, run.training, run.denoiser)
        rows.append(row)
    return pd.DataFrame(rows)


# A spacing by the number of its centres on the plane or, where they differ, told to be wrong on the torus.
lengths = st.sampled_from([8, 12, 16]).flatmap(lambda length: st.integers(1, 24).map(lambda count: length / count))
numbers = st.lists(lengths, max_size=3) | st.lists(st.sampled_from([0.5, 1.0, 2.0, 4.0]), max_size=3)
exponents = st.lists(st.sampled_from([0.5, 1.5]) | st.floats(0.01, 10.0), max_size=2)
sweeps = st.fixed_dictionaries(
    {},
    optional={
        "common": st.fixed_dictionaries(
            {},
            optional={
                "image_size": st.sampled_from([16, 24]),
                "sigma": st.sampled_from([0.5, 1.0]) | st.floats(0.5, 4.0),
                "margin": st.sampled_from([0.0, 2.0, None]) | st.floats(0.0, 9.0),
                "polarity": st.sampled_from(["bright", "dark"]),
                "seeds": st.none() | st.lists(st.integers(0, 5), min_size=1, max_size=2),
                "model": st.none() | st.fixed_dictionaries({"base_width": st.sampled_from([8, 16])}),
                "training": st.fixed_dictionaries({"steps": st.integers(1600, 1700)}),
            },
        ),
        "boundaries": st.lists(st.sampled_from(["plane", "torus"]), min_size=1, max_size=2, unique=True),
        "spacings": st.fixed_dictionaries({"dx": numbers, "dy": numbers}),
        "ratios": st.fixed_dictionaries(
            {
                "images": st.sampled_from([36, 144, 576]) | st.integers(1, 2000),
                "values": st.lists(st.sampled_from([0.25, 2.25, 4.0, 16.0]) | st.floats(1e-3, 1e3), max_size=2),
            }
        ),
        "skews": st.fixed_dictionaries({"spacing": lengths | st.just(1.0), "x": exponents, "y": exponents}),
        "controls": st.sampled_from([True, False, "balanced", "both"]),
        "references": st.lists(st.sampled_from(["none", "factorised", "gated"]), min_size=1, max_size=3, unique=True),
    },
)
named = st.dictionaries(
    st.sampled_from(["mine", "dx1_dy1", "other"]),
    st.fixed_dictionaries(
        {"margin": st.just(2.0), "dx": st.sampled_from([0.5, 1.0, 2.0])},
        optional={"dy": st.sampled_from([0.5, 2.0]), "seeds": st.just([0])},
    ),
    max_size=2,
)


def expanded(sweep, datasets):
    """Whether a sweep is sound; what it is expanded to is checked."""
    try:
        config = validate({"datasets": datasets, "sweep": sweep, "seeds": [0, 1]})
    except ConfigError as error:
        assert error.faults
        assert all("\n" not in fault and ": " in fault for fault in error.faults)
        assert len(set(error.faults)) == len(error.faults)
        return False
    expansion, everything = config.expansion(), config.all_datasets()
    assert len(everything) == len(config.datasets) + len(expansion.datasets)
    assert len({name.lower() for name in everything}) == len(everything)
    assert all(re.fullmatch(NAME_PATTERN, name) and len(name) < 100 for name in everything)
    contents = [canonical_json([d.model_dump(mode="json")]) for d in expansion.datasets.values()]
    assert len(set(contents)) == len(contents)
    for one in comparisons(runs_table(config)):
        if one.dataset in expansion.datasets and config.sweep.controls:
            assert one.swapped is not None
            if one.nulls in config.sweep.nulls:
                assert None not in (one.null_x, one.null_y, one.swapped_null_x, one.swapped_null_y), one
            assert one.nulls is not None or one.kind == "both"
    return True


def test_any_sweep_is_expanded_with_its_controls_or_told_to_be_wrong():
    found = []

    @settings(max_examples=75)
    @given(sweeps, named)
    def look(sweep, datasets):
        found.append(expanded(sweep, datasets) and bool(sweep))

    look()
    assert sum(found) > len(found) / 6  # a strategy that makes hardly anything but faults would prove nothing


def test_names_of_hundreds_of_cells_differ():
    counts = [12 / n for n in range(1, 20)]
    found = names(spacings=spacings(counts, counts), controls=False)
    assert len(set(found)) == len(found) == len(counts) ** 2
    assert max(map(len, found)) < 30
