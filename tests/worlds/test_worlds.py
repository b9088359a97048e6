"""Worlds: bumps at x and y through the interface, bumps of different sizes, three factors, and one from outside."""

import json

import numpy as np
import pandas as pd
import pytest

from bumpscope.commands.dataset import dataset
from bumpscope.config.lattice import Holdout, Lattice, Skew
from bumpscope.config.loading import ConfigError, validate
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import step_settings
from bumpscope.judge.controls import balanced_planes
from bumpscope.measure.betti import expected_betti
from bumpscope.measure.factorisation import factorisation
from bumpscope.measure.metrics import run_metrics
from bumpscope.measure.order import Label
from bumpscope.measure.phases import latent_phase
from bumpscope.probe.effects import decompose, direction_names, directions, make_probe
from bumpscope.probe.resolution import ResolutionFit
from bumpscope.store.names import XY, Names
from bumpscope.store.provenance import code_fingerprint, with_worlds
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import read_table
from bumpscope.worlds import behaviour, bumps
from bumpscope.worlds.exact import Exact, exact_of
from bumpscope.worlds.examine import examined
from bumpscope.worlds.named import WorldError, world_of
from bumpscope.worlds.reading import classify, read
from bumpscope.worlds.requests import requested_centres
from bumpscope.worlds.world import World
from made_up_runs import run_row

PLANES = {
    "plane": Lattice(image_size=8, margin=1.0),
    "uneven": Lattice(image_size=8, margin=1.0, dx=2.0),
    "torus": Lattice(image_size=8, boundary="torus"),
    "dark": Lattice(image_size=8, margin=1.0, polarity="dark"),
    "skewed": Lattice(image_size=8, margin=1.0, skew=Skew(axis="x", alpha=1.5)),
    "held out": Lattice(image_size=8, margin=1.0, holdout=Holdout(x=[2.0, 3.0], y=[2.0, 3.0])),
}


def sized(sizes=4, ratio=3.0, kind="sized", **keys):
    world = {"kind": kind, "sizes": sizes, "ratio": ratio}
    return Lattice.model_validate({"image_size": 16, "margin": 3.0, "dx": 2.0, "world": world} | keys)


def sized_xy(**keys):
    return sized(3, kind="sized_xy", dy=2.0, **keys)


@pytest.fixture
def solid():
    return world_of(sized_xy())


# Bumps at x and y


@pytest.mark.parametrize("name", PLANES)
def test_the_first_world_is_what_its_parts_are(name):
    lattice = PLANES[name]
    world, points = world_of(lattice), bumps.lattice_points(lattice)
    assert (world.names, world.names.pairs, world.names.asked) == (XY, ["xy"], ["mu_x", "mu_y"])
    general = World.points.func(world)
    for found in (world.points, general):
        np.testing.assert_array_equal(found.labels, np.stack([points.mu_x, points.mu_y], axis=1))
        np.testing.assert_array_equal(found.probability, points.probability)
        np.testing.assert_array_equal(found.heldout, points.heldout)
    images = world.render(world.points.labels)
    away = np.add(world.points.labels, [0.9, 0.0])
    expected = behaviour.classify(images, *away.T, lattice, 1.0, 0.25)
    assert classify(world, images, away, world.tolerances(1.0), 0.25).equals(expected)


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("alpha_bar", [0.02, 0.4, 0.97])
def test_enumeration_gives_the_estimates_of_separable_bumps(name, alpha_bar, monkeypatch):
    lattice = PLANES[name]
    world, random = world_of(lattice), np.random.default_rng(0)
    labels = world.points.labels[random.choice(len(world.points.labels), 20, p=world.points.probability)]
    clean = bumps.to_network(world.render(labels))
    x_t = np.sqrt(alpha_bar) * clean + np.sqrt(1 - alpha_bar) * random.standard_normal(clean.shape)
    known = [(), (0,), (1,)]
    exact = exact_of(world).estimates(x_t, labels, alpha_bar, known)
    # In pieces of seven probes and of five images.
    monkeypatch.setattr("bumpscope.worlds.exact.CHUNK_WEIGHTS", 7 * len(world.points.labels))
    monkeypatch.setattr("bumpscope.worlds.exact.CHUNK_PIXELS", 5 * 64)
    for one, other in zip(Exact(world).estimates(x_t, labels, alpha_bar, known), exact, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)
    soft = [make(world).noisy_labels(x_t, labels, alpha_bar) for make in (Exact, exact_of)]
    for resolution in ({}, {"x": 1.5}, {"x": 0.7, "y": 3.0}):
        one, other = (each.estimates(resolution) for each in soft)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)


# Bumps of different sizes


def test_sizes_lie_evenly_on_a_logarithmic_scale_and_fill_their_range():
    for sizes in (2, 5):
        x, size = world_of(sized(sizes)).factors
        steps = np.diff(np.log(size.grid))
        np.testing.assert_allclose(steps, np.log(3.0) / sizes)
        assert size.spacing == pytest.approx(np.log(3.0) / sizes)
        assert np.log(size.grid[0]) == pytest.approx(steps[0] / 2)  # sigma is 1
        np.testing.assert_allclose(size.spread(np.array([0.0, 1.0])), [1.0, 3.0])
        assert (size.unit, size.unit_of_distance, x.unit_of_distance) == ("px", "ln", "px")
        assert size.distance(2.0, 1.0) == pytest.approx(np.log(2))
        np.testing.assert_allclose(size.targets(np.array([1.0, np.e])), [[0.0], [1.0]])


@pytest.mark.parametrize("make", [sized, sized_xy])
@pytest.mark.parametrize("keys", [{}, {"polarity": "dark"}, {"boundary": "torus", "margin": 0.0}], ids=str)
def test_all_factors_are_read_from_one_fit(keys, make):
    lattice = make(**keys)
    world = world_of(lattice)
    asked = requested_centres(lattice, 64)
    labels = asked[world.names.asked].to_numpy()
    found = classify(world, world.render(labels), labels, world.tolerances(1.0), 0.25)
    assert (found["outcome"] == "correct").all()
    np.testing.assert_allclose(found["error"], 0, atol=1e-6)
    np.testing.assert_allclose(found["size"], labels[:, -1], rtol=1e-6)
    assert (found["size"] == found["width"]).all()
    noisy = world.render(labels) + 0.05 * np.random.default_rng(0).standard_normal((64, 16, 16))
    assert (classify(world, noisy, labels, world.tolerances(1.0), 0.25)["outcome"] == "correct").mean() > 0.95


def test_an_image_is_wrong_in_the_factors_that_miss_their_tolerance():
    world = world_of(sized())
    drawn = np.array([[8.0, 1.5]] * 6)
    asked = np.array([[8.0, 1.5], [6.9, 1.5], [8.0, 1.9], [8.0, 1.8], [6.9, 1.1], [8.9, 1.3]])
    found = classify(world, world.render(drawn), asked, world.tolerances(1.0), 0.25)
    # ln(1.9 / 1.5) is 0.24, ln(1.8 / 1.5) 0.18.
    assert found["misses"].tolist() == ["", "x", "size", "", "x,size", ""]
    assert found["outcome"].tolist() == ["correct", "misplaced", "misplaced", "correct", "misplaced", "correct"]
    np.testing.assert_allclose(found["error"], [0, 1.1, 0, 0, 1.1, 0.9], atol=1e-6)


def test_a_factor_may_have_another_tolerance():
    world = world_of(sized_xy())
    assert world.tolerances(0.5) == [0.5, 0.2] and world.tolerances(0.5, {"size": 0.4}) == [0.5, 0.4]
    # ln(1.9 / 1.5) is 0.24.
    drawn, asked = np.array([[8.0, 7.0, 1.5]] * 16), np.array([[8.0, 7.0, 1.9]] * 16)
    for own, outcome in (({}, "misplaced"), ({"size": 0.3}, "correct")):
        found = classify(world, world.render(drawn), asked, world.tolerances(1.0, own), 0.25)
        assert (found["outcome"] == outcome).all()
        table = pd.DataFrame(asked, columns=world.names.asked).join(found)
        table = table.assign(step=6, sample=range(16), split="seen", weights="raw")
        metrics = run_metrics("a", "b", 0, behaviour=table, lattice=world.lattice, tolerances=own)
        of = metrics.set_index(["quantity", "factor", "split"])["value"]
        assert of["accuracy", "size", "seen"] == (outcome == "correct")


TOLERANCES = {
    "no factor": ({"y": 1.0}, "analysis.tolerances.y: holds 1.0 (number); allowed: another factor (size)"),
    "range": (
        {"size": 2.0},
        "analysis.tolerances.size: holds 2.0 (number); allowed: at most 1.1 ln, the range of size",
    ),
}


@pytest.mark.parametrize("fault", TOLERANCES)
def test_a_tolerance_that_nothing_has_is_one_line(fault):
    keys, told = TOLERANCES[fault]
    own = {"image_size": 16, "margin": 3.0, "world": {"kind": "sized_xy", "sizes": 3}}
    with pytest.raises(ConfigError) as error:
        examined(validate({"datasets": {"mine": own}, "analysis": {"tolerances": keys}}))
    assert error.value.faults == [told]
    config = validate({"datasets": {"plain": {}}, "analysis": {"tolerances": keys}})
    assert config.other_worlds()
    with pytest.raises(ConfigError, match="left out, since all factors are in px"):
        examined(config)


def test_several_bumps_of_unlike_sizes_and_none_are_told():
    world = world_of(sized())
    one = world.render(np.array([[3.0, 1.2], [12.0, 2.6]]))
    far = np.stack([one.sum(axis=0), np.zeros((16, 16)), 0.2 * one[0], np.full((16, 16), 1e9)])
    found = read(world, far, 0.25)
    assert found["bumps"].tolist() == [2, 0, 0, 0]
    assert found["size"].iloc[0] in (pytest.approx(1.2, rel=0.02), pytest.approx(2.6, rel=0.02))
    assert found["amplitude"].iloc[2] == pytest.approx(0.2, abs=0.01)
    with pytest.raises(ValueError, match="2 images for 1 requests"):
        classify(world, far[:2], np.array([[3.0, 1.2]]), [1.0, 0.2], 0.25)


def test_label_effects_of_position_and_size_are_those_of_exact_denoisers():
    lattice = sized()
    probe = make_probe(lattice, 0.13, 450, 128, seed=0)
    x0 = probe.x0.reshape(128, -1)
    assert direction_names(probe) == ["x", "size", "x_size"]
    for (a, b, c), D in {
        (0, 0, 0): probe.D0,
        (1, 0, 0): probe.known(0),
        (0, 1, 0): probe.known(1),
        (1, 1, 1): x0,
    }.items():
        found = decompose(D, probe)
        effects = [found[f"effect_{name}"] for name in ("x", "size", "x_size")]
        np.testing.assert_allclose(effects, [a, b, c], atol=1e-6)
        assert set(found) == {*TABLES["effects"].of(world_of(lattice).names).names} & set(found)
    fit = ResolutionFit(probe, 0.13, lattice)
    blurred = fit.estimates({"x": 1.5, "size": 0.3})
    assert fit.fit(blurred) == pytest.approx({"resolution_x": 1.5, "resolution_size": 0.3}, rel=0.05)


def test_tables_are_named_after_the_factors_and_keep_their_order():
    names = Names.parse("x size")
    assert (names.factors, str(names), names.groups) == (("x", "size"), "x size", (("x",), ("size",)))
    of = TABLES["behaviour"].of(names)
    assert of.names[3:6] == ["mu_x", "mu_size", "split"]
    assert of.names[-6:] == ["size", "amplitude", "width", "error", "misses", "outcome"]
    assert TABLES["effects"].of(names).names[3:6] == ["effect_x", "effect_size", "effect_x_size"]
    assert TABLES["frequency"].of(names).names[2:4] == ["bin_x", "bin_size"]
    assert TABLES["behaviour"].of(XY) is TABLES["behaviour"]
    assert TABLES["metrics"].of(names) is TABLES["metrics"]


# Three factors


@pytest.mark.parametrize("keys", [{}, {"boundary": "torus", "margin": 0.0, "dx": 4.0, "dy": 4.0}], ids=str)
def test_bumps_of_one_size_at_x_and_y_are_those_of_the_first_world(keys):
    world = world_of(sized(3, kind="sized_xy", **({"dy": 2.0} | keys)))
    labels = world.points.labels[world.points.labels[:, 2] == world.factors[2].grid[1]]
    sigma = world.factors[2].grid[1]
    lattice = Lattice(**{"image_size": 16, "margin": 3.0, "sigma": sigma} | keys)
    np.testing.assert_allclose(world.render(labels), bumps.render(*labels.T[:2], lattice), atol=1e-15)
    assert len(labels) == len(world.factors[0].grid) * len(world.factors[1].grid)


def test_x_and_y_are_judged_together_and_size_by_itself(solid):
    assert solid.names.groups == (("x", "y"), ("size",)) and solid.names.pairs == ["xy", "x_size", "y_size"]
    drawn = np.array([[8.0, 7.0, 1.5]] * 4)
    asked = np.array([[8.7, 6.3, 1.5], [8.8, 6.2, 1.5], [8.0, 7.0, 1.9], [6.0, 7.0, 1.1]])
    found = classify(solid, solid.render(drawn), asked, solid.tolerances(1.0), 0.25)
    # The second is off by 0.8 px along each axis, so by 1.13 px.
    assert found["misses"].tolist() == ["", "x,y", "size", "x,y,size"]
    np.testing.assert_allclose(found["error"], np.hypot(*(drawn - asked).T[:2]), atol=1e-6)


def test_every_part_of_a_dataset_follows_from_three_factors():
    held = {"x": [5.0, 8.0], "y": [5.0, 8.0], "size": [1.0, 1.5]}
    lattice = sized_xy(holdout=held, skew={"axis": "size", "alpha": 1.0})
    world = world_of(lattice)
    points = world.points
    assert len(points.labels) == 5 * 5 * 3 and points.heldout.sum() == 2 * 2 * 1
    assert np.ptp(world.factors[2].probability) > 0 == np.ptp(world.factors[0].probability)
    asked = requested_centres(lattice, 128)
    assert set(asked["split"]) == {"seen", "heldout", "between"}
    assert world.in_holdout(asked.loc[asked["split"] == "heldout", world.names.asked].to_numpy()).all()


def test_three_factors_have_three_effects_and_three_interactions(solid):
    probe = make_probe(solid.lattice, 0.13, 450, 96, seed=0)
    assert direction_names(probe) == ["x", "y", "size", "xy", "x_size", "y_size"]
    along, parts = directions(probe), np.array([0.7, 0.2, 0.5, 0.3, 0.1, 0.6])
    found = decompose(probe.D0 + np.tensordot(parts, along, 1), probe)
    np.testing.assert_allclose([found[f"effect_{name}"] for name in direction_names(probe)], parts, atol=1e-6)
    assert found["residual"] == pytest.approx(0, abs=1e-9)
    # The interaction of x and y is what knowing both adds to what each adds alone.
    both = probe.exact[0, 1] - probe.exact[0,] - probe.exact[1,] + probe.D0
    np.testing.assert_allclose(along[3], both)


def test_additive_codes_of_three_factors_are_told_from_others(solid):
    labels = np.repeat(solid.points.labels, 3, axis=0).T
    rng = np.random.default_rng(0)
    x, y, size = labels[0], labels[1], np.log(labels[2])
    mixing = rng.normal(size=(3, 12))
    additive = np.stack([x / 4, y / 4, size * 2], axis=1) @ mixing + 0.01 * rng.normal(size=(len(x), 12))
    found = dict(factorisation(additive, Label(labels, solid.factors)))
    assert set(found) == {f"parallelism_{name}" for name in solid.names} | {
        *("additive_share", "orthogonality", "tangent_cosine")
    }
    assert found["additive_share"] == pytest.approx(1, abs=0.01)
    assert min(found[f"parallelism_{name}"] for name in solid.names) > 0.98
    product = (x * y * size)[:, None] * mixing[:1] + 0.01 * rng.normal(size=(len(x), 12))
    assert dict(factorisation(product, Label(labels, solid.factors)))["additive_share"] < 0.9


def test_four_factors_have_no_phase_and_say_why():
    rows = [("raw", "requested", f"r2_{name}", 0.9) for name in ("x", "y", "size", "hue")]
    cloud = pd.DataFrame(rows, columns=["space", "label", "metric", "value"])
    assert latent_phase(cloud, None) == ("?", None, "4 factors: thresholds are set on clouds of two and three")


def test_betti_numbers_follow_from_the_periods():
    x, size = world_of(sized()).factors
    ring, _ = world_of(sized(boundary="torus", margin=0.0)).factors
    assert expected_betti((x, size)) == (1, 0, 0)
    assert expected_betti((ring, size)) == (1, 1, 0)
    assert expected_betti((ring, ring)) == (1, 2, 1)


# Faults


WRONG = {
    "dy": ({"dy": 2.0}, "dy: holds 2.0 (number); allowed: left out, since world.kind is sized"),
    "sizes": ({"world": {"kind": "sized", "sizes": 0}}, "world.sizes: holds 0; allowed: a whole number from 1 to 1000"),
    "ratio": ({"world": {"kind": "sized", "ratio": 9.0}}, "world.ratio: holds 9.0; allowed: at most image_size / 4"),
    "key": ({"world": {"kind": "sized", "size": 3}}, "world.size: unknown key of sized; allowed: kind, sizes, ratio"),
    "kind": (
        {"world": {"kind": "cubes"}},
        'world.kind: holds "cubes" (text); allowed: one of bumps, sized, sized_xy, or',
    ),
    "module": ({"world": {"kind": "no_such.thing:It"}}, "world.kind: no_such.thing cannot be imported"),
    "no world": (
        {"world": {"kind": "collections:Counter"}},
        "world.kind: collections:Counter makes a Counter; allowed",
    ),
    "holdout": ({"holdout": {"x": [5.0, 8.0], "y": [5.0, 8.0]}}, "allowed: [low, high] for each of x and size"),
    "empty": (
        {"holdout": {"x": [5.0, 8.0], "size": [5.0, 8.0]}},
        "holdout.size: holds [5.0, 8.0] (list); allowed: [low",
    ),
    "spacing": (
        {"world": {"kind": "sized_xy"}, "dy": 3.0},
        "dy: holds 3.0 (number); allowed: a spacing that divides image_size - 2 margin = 10",
    ),
    "arm of centres": (
        {"world": {"kind": "sized_xy"}, "denoiser": {"kind": "relative"}},
        'denoiser.kind: holds "relative" (text); allowed: another, since relative needs labels x and y, and world.kind',
    ),
    "arm of two": (
        {"world": {"kind": "sized_xy"}, "denoiser": {"kind": "split_film"}},
        "allowed: another, since split_film needs two labels, and sized_xy has x, y and size",
    ),
    "design": (
        {"world": {"kind": "sized_xy"}, "shown": {"each": 2}},
        "allowed: left out, since world.kind is sized_xy",
    ),
    "skew": (
        {"skew": {"axis": "y", "alpha": 1.0}},
        'skew.axis: holds "y" (text); allowed: one of none, x, size or both',
    ),
    "stripes": ({"stripes": 0.2}, "stripes: holds 0.2 (number); allowed: left out"),
    "arm": ({"denoiser": {"kind": "relative"}}, 'denoiser.kind: holds "relative" (text); allowed: another, since'),
    "changed": (
        {
            "training": {"checkpoints": [0, 6], "steps": 6, "warmup_steps": 1},
            "probe": {"checkpoints": [6], "interventions": [6]},
        },
        "probe.interventions: holds [6] (list); allowed: an empty list, since x and size have no common distance",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_a_world_cannot_have_is_one_line(fault):
    keys, told = WRONG[fault]
    own = {"image_size": 16, "margin": 3.0, "world": {"kind": "sized"}} | keys
    own = {key: value for key, value in own.items() if not (key == "margin" and ":" in own["world"]["kind"])}
    with pytest.raises(ConfigError) as error:
        examined(validate({"datasets": {"mine": own}}))
    (line,) = error.value.faults
    assert told in line and line.startswith("datasets.mine.") and "\n" not in line


def test_a_configuration_in_force_can_be_read_again():
    config = validate({"datasets": {"mine": {"world": {"kind": "sized"}, "margin": 3.0}}})
    assert validate(json.loads(config.in_force())).datasets == config.datasets


def test_a_configuration_without_a_world_draws_bumps_and_says_so():
    (run, *_) = validate({"datasets": {"plain": {}}}).runs()
    assert run.lattice.world.text == "bumps"
    assert run.lattice == Lattice(**{"margin": 2.0})
    assert Lattice.model_validate_json(run.lattice.model_dump_json()) == run.lattice
    held = sized(holdout={"x": [5.0, 8.0], "size": [1.0, 1.5]}, skew={"axis": "size", "alpha": 1.0})
    assert Lattice.model_validate_json(held.model_dump_json()) == held
    assert world_of(held).points.heldout.sum() == 2


# A world from outside


@pytest.fixture
def outside(folder_outside):
    """With the world of docs/extending.md."""
    return folder_outside("my_package/shapes.py")


SQUARES = {"image_size": 16, "world": {"kind": "my_package.shapes:Squares", "sides": 5}}


def test_a_world_from_outside_is_drawn_read_and_denoised(outside):
    config = validate({"seeds": [0], "datasets": {"mine": SQUARES}})
    examined(config)
    (run,) = config.runs()
    world = world_of(run.lattice)
    labels = world.points.labels
    found = classify(world, world.render(labels), labels, world.tolerances(1.0), 0.25)
    assert len(labels) == 25 and (found["outcome"] == "correct").all()
    probe = make_probe(run.lattice, 0.13, 450, 64, seed=0)
    assert decompose(probe.known(1), probe)["effect_side"] == pytest.approx(1)
    dataset(canonical_json(step_settings(run, "dataset")), outside / "data.parquet")
    table = read_table("dataset", outside / "data.parquet")
    assert list(table.columns) == ["mu_x", "mu_side", "probability", "split"]
    np.testing.assert_array_equal(table[["mu_x", "mu_side"]].to_numpy(), labels)


def test_the_code_of_a_world_counts_for_what_draws_and_reads_in_it(outside):
    path = SQUARES["world"]["kind"]
    assert with_worlds(["commands.train"], [path]) == ("commands.train", path)
    assert with_worlds(["commands.topology"], [path]) == ("commands.topology",)
    before = code_fingerprint(path)
    file = outside / "my_package/shapes.py"
    file.write_text(file.read_text().replace("np.linspace(2.0, 4.0", "np.linspace(2.0, 5.0"))
    code_fingerprint.cache_clear()
    assert code_fingerprint(path) != before


OUTSIDE_FAULTS = {
    "names": (('Factor("side"', 'Factor("the side"'), "has factors named the side"),
    "range": (("return covered(pixels.mean())", "return 2 * covered(pixels.mean())"), "draws intensities from 0 to 2"),
    "shape": (("[:, None, :]\n", "[:, None, :5]\n"), "draws images of shape"),
    "reads": (('"side": np.sqrt(area)', '"side": 2 * np.sqrt(area)'), "of its own images as another label"),
    "missing": (('"width": np.nan,\n', ""), "does not read width from its images"),
    "raises": (("self.lattice.image_size)\n\n", "self.size)\n\n"), "cannot draw and read its labels (AttributeError"),
    "syntax": (("class Squares", "clas Squares"), "cannot be built (SyntaxError"),
    "grid": (("np.linspace(2.0, 4.0, sides)", "np.linspace(4.0, 2.0, sides)"), "the grid of side must be increasing"),
}


@pytest.mark.parametrize("fault", OUTSIDE_FAULTS)
def test_a_world_that_cannot_work_is_one_line(outside, fault):
    change, told = OUTSIDE_FAULTS[fault]
    file = outside / "my_package/shapes.py"
    assert change[0] in file.read_text()
    file.write_text(file.read_text().replace(*change))
    world_of.__globals__["_world"].cache_clear()
    with pytest.raises(ConfigError) as error:
        examined(validate({"datasets": {"mine": SQUARES}}))
    (line,) = error.value.faults
    assert line.startswith("datasets.mine.world.kind: my_package.shapes:Squares")
    assert told in line and "\n" not in line


def test_a_world_of_no_name_is_refused():
    with pytest.raises(WorldError, match=r"world.kind: my_package.none cannot be imported"):
        world_of(Lattice.model_validate({"world": {"kind": "my_package.none:It"}}))


def test_numbers_of_a_run_have_the_factors_of_its_world():
    lattice = sized()
    world, asked = world_of(lattice), requested_centres(lattice, 64)
    labels = asked[world.names.asked].to_numpy()
    found = classify(world, world.render(labels * [1.0, 1.3]), labels, world.tolerances(1.0), 0.25)
    behaviour_table = asked.join(found).assign(step=6, weights="raw")
    effects = pd.DataFrame([{"step": 6, "t": 450, "weights": "raw", "effect_x_size": 0.5, "effect_size_low": 0.1}])
    table = run_metrics("a", "b", 0, behaviour=behaviour_table, effects=effects, lattice=lattice)
    of = table.set_index(["quantity", "factor", "split"])["value"]
    assert of["accuracy", "x", "all"] == 1 and of["accuracy", "size", "all"] == 0
    assert of["error", "size", "all"] == pytest.approx(np.log(1.3), rel=1e-3)
    assert not table["quantity"].str.startswith("accuracy_").any()  # no one distance says what is right
    effect = table.set_index("quantity")["factor"]
    assert (effect["effect"], effect["effect_low"]) == ("x_size", "size")
    assert set(table["factor"].dropna()) == {"size", "x", "x_size"}


def test_verdicts_are_on_the_first_world_with_a_balanced_plane():
    rows = [run_row("ring", 0, boundary="torus"), run_row("sizes", 0, world="sized", factors="x size")]
    rows += [run_row("plane", 0)]
    assert list(balanced_planes(pd.DataFrame(rows)).index) == ["sizes"]
    assert list(balanced_planes(pd.DataFrame(rows[::-1])).index) == ["plane"]
