"""No configuration within the documented ranges makes planning crash: it is told to be wrong, or it can be planned.

Values are drawn from the typed models themselves, field by field, so that a new key is tried as soon as it is there.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bumpscope.config.dataset import Dataset
from bumpscope.config.experiment import Config
from bumpscope.config.loading import ConfigError, validate
from bumpscope.config.plan import describe, planned_cost, run_seconds
from bumpscope.config.section import canonical_json, fingerprint
from bumpscope.config.steps import STEPS, step_settings
from bumpscope.config.variants import readings, variants
from workflow import ROOT, snakemake

EXAMPLES, MANY_EXAMPLES = 120, 1000
# Sizes of lists without a largest length; planning is what is tried, not patience.
LONGEST = 3
NAMES = ["a", "B", "long_name", "with-dash", "x1"]


# What the models allow, as strategies.


def bounds(constraints: list[Any]) -> tuple[float | None, float | None, bool, bool, int | None]:
    """Lowest and highest value, whether they are left out themselves, and what it is a multiple of."""
    low = high = multiple = None
    above = below = False
    for one in constraints:
        low, above = (one.ge, False) if isinstance(one, annotated_types.Ge) else (low, above)
        low, above = (one.gt, True) if isinstance(one, annotated_types.Gt) else (low, above)
        high, below = (one.le, False) if isinstance(one, annotated_types.Le) else (high, below)
        high, below = (one.lt, True) if isinstance(one, annotated_types.Lt) else (high, below)
        multiple = one.multiple_of if isinstance(one, annotated_types.MultipleOf) else multiple
    return low, high, above, below, multiple


def whole_numbers(constraints: list[Any]) -> st.SearchStrategy[int]:
    low, high, above, below, multiple = bounds(constraints)
    first = None if low is None else int(low) + above
    last = None if high is None else int(high) - below
    step = int(multiple or 1)
    first, last = (None if end is None else f(end / step) for end, f in ((first, math.ceil), (last, math.floor)))
    ends = [end for end in (first, last) if end is not None]
    near = st.integers(first, last if last is not None and last < 2000 else (first or 0) + 2000 // step)
    found = near | st.integers(first, last)
    return (found | st.sampled_from(ends) if ends else found).map(lambda value: value * step)


def numbers(constraints: list[Any]) -> st.SearchStrategy[float]:
    low, high, above, below, _ = bounds(constraints)
    found = st.floats(low, high, exclude_min=above, exclude_max=below, allow_nan=False, allow_infinity=False)
    usual = [v for v in (0.25, 0.5, 1.0, 2.0, 4.0) if (low is None or v > low) and (high is None or v < high)]
    corners = [5e-324, 1e-9, 1e9, sys.float_info.max]
    corners = [v for v in corners if (low is None or v > low) and (high is None or v < high)]
    return st.sampled_from(usual) | found | st.sampled_from(corners or usual)


def values(annotation: Any, constraints: list[Any] | None = None) -> st.SearchStrategy[Any]:
    """Whatever a field of this type may hold by its own range."""
    constraints = constraints or []
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        flat = [each for one in arguments[1:] for each in (one.metadata if isinstance(one, FieldInfo) else [one])]
        return values(arguments[0], [*constraints, *flat])
    if origin in (Union, UnionType):
        return st.one_of([values(option, constraints) for option in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        least = max((one.min_length for one in constraints if isinstance(one, annotated_types.MinLen)), default=0)
        most = min((one.max_length for one in constraints if isinstance(one, annotated_types.MaxLen)), default=LONGEST)
        return st.lists(values(arguments[0]), min_size=least, max_size=max(least, most))
    if origin is dict:
        return st.dictionaries(st.sampled_from(NAMES), values(arguments[1]), max_size=2)
    if annotation is NoneType:
        return st.none()
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return whole_numbers(constraints)
    if annotation is float:
        return numbers(constraints)
    if annotation is str:
        return st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
    assert issubclass(annotation, BaseModel), annotation
    return section(annotation)


@cache
def fields_of(model: type[BaseModel]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: values(field.annotation, field.metadata) for name, field in model.model_fields.items()}


def section(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Some keys of a section, each within its range; those that must be given always."""
    fields = fields_of(model)
    needed = {name for name, field in model.model_fields.items() if field.is_required()}
    return st.fixed_dictionaries(
        {name: fields[name] for name in needed},
        optional={name: one for name, one in fields.items() if name not in needed},
    )


# Whole configurations: sound ones, into which some keys are laid from the ranges.


@st.composite
def lattices(draw: st.DrawFn) -> dict[str, Any]:
    """A lattice whose parts fit each other."""
    size = draw(st.sampled_from([8, 16, 32, 256]))
    torus = draw(st.booleans())
    margin = 0.0 if torus else draw(st.sampled_from([0.0, 1.0, 2.0]))
    length = size - 2 * margin
    dx, dy = (length / draw(st.integers(1, 24)) for _ in range(2))
    axis = draw(st.sampled_from(["none", "x", "y", "both"]))
    alpha = 0.0 if axis == "none" else draw(st.floats(0.0, 10.0))
    return {
        "image_size": size,
        "sigma": draw(st.floats(0.5, size / 4)),
        "margin": draw(st.sampled_from([None, margin])) if torus else margin,
        "dx": dx,
        "dy": dy,
        "boundary": "torus" if torus else "plane",
        "skew": {"axis": axis, "alpha": alpha},
        "seeds": draw(st.none() | st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=3, unique=True)),
    }


@st.composite
def sound(draw: st.DrawFn) -> dict[str, Any]:
    """A configuration that can be planned, with sections whose parts fit each other."""
    steps = draw(st.integers(1, 10_000_000))
    kept = sorted({0, steps, *(min(step, steps) for step in draw(st.lists(st.integers(0, 2000), max_size=4)))})
    noise = draw(st.integers(10, 10_000))
    times = st.lists(st.integers(0, noise - 1), min_size=1, max_size=3, unique=True)
    config: dict[str, Any] = {
        "seeds": draw(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=3, unique=True)),
        "datasets": draw(st.dictionaries(st.sampled_from(NAMES), lattices(), min_size=1, max_size=3)),
        "model": {"attention_resolutions": []},
        "diffusion": {"timesteps": noise},
        "training": {"steps": steps, "checkpoints": kept, "warmup_steps": draw(st.integers(0, min(steps, 50)))},
        "probe": {
            "checkpoints": kept[:: draw(st.integers(1, 2))],
            "sampling_steps": draw(st.integers(2, min(noise, 50))),
            "timesteps": draw(times),
            "effect_timesteps": draw(times),
        },
    }
    if draw(st.booleans()):
        cells = st.lists(st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0]), min_size=1, max_size=2, unique=True)
        skews = st.lists(st.sampled_from([0.5, 1.5, 3.0]), max_size=2, unique=True)
        config["sweep"] = {
            "common": {"margin": 2.0},
            "spacings": {"dx": draw(cells), "dy": draw(cells)},
            "skews": {"x": draw(skews), "y": draw(skews)},
            "references": draw(st.sampled_from([["none"], ["none", "factorised", "gated"]])),
        }
    return config


def places(plain: Any, model: Any) -> Iterator[tuple[dict[str, Any], str, st.SearchStrategy[Any]]]:
    """Every key of a configuration: the mapping that holds it, its name, and what it may hold."""
    for name, field in model.model_fields.items():
        yield plain, name, fields_of(model)[name]
        inner = plain.get(name)
        for option in (field.annotation, *get_args(field.annotation)):
            if isinstance(option, type) and issubclass(option, BaseModel) and isinstance(inner, dict):
                if name != "datasets":
                    yield from places(inner, option)
                else:
                    for one in inner.values():
                        if isinstance(one, dict):
                            yield from places(one, option)


odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["1e-3", "64", "none", "", "ключ", "\x00", "a\nb", math.nan, math.inf, -0.0, 10**400])
    | st.text(max_size=5)
    | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """Sound; or with one or two keys from anywhere in their ranges; or with what no key may hold."""
    plain = draw(sound())
    for _ in range(draw(st.sampled_from([0, 0, 1, 2, 3]))):
        where = list(places(plain, Config))
        holder, name, allowed = where[draw(st.integers(0, len(where) - 1))]
        kind = draw(st.sampled_from(["range", "range", "range", "odd", "key", "gone"]))
        if kind == "range":
            holder[name] = draw(allowed)
        elif kind == "odd":
            holder[name] = draw(odd)
        elif kind == "key":
            holder[draw(st.text(max_size=5) | st.sampled_from([*NAMES, "größe", "seeds ", "__class__"]))] = draw(odd)
        else:
            holder.pop(name, None)
    return plain


def planned(plain: dict[str, Any]) -> Config | None:
    """The configuration, with all that the workflow computes from it before it starts; None where it is told wrong."""
    try:
        config = validate(plain)
    except ConfigError as error:
        assert error.faults
        for fault in error.faults:
            assert len(fault.splitlines()) == 1 and fault.isprintable(), fault
            assert ": " in fault and ("allowed: " in fault or "must be given" in fault), fault
        return None
    runs = list(config.runs())
    assert runs and len({run.path for run in runs}) == len(runs)
    for run in runs[-2:]:
        for step, kind in STEPS.items():
            kind.model_validate_json(canonical_json(step_settings(run, step)))
    for run in runs:
        told = run_seconds(run)
        no_job = {"generate", "behaviour", "geometry", "topology"} if not run.probe.checkpoints else set()
        no_job |= set() if run.probe.interventions else {"interventions"}
        no_job |= set() if run.probe.geometry else {"geometry", "topology"}
        assert {step for step, seconds in told.items() if seconds == 0} == no_job
        assert all(math.isfinite(seconds) and seconds >= 0 for seconds in told.values())
    assert fingerprint([step_settings(run, "train") for run in runs])
    assert set(planned_cost(runs).index) == set(config.all_datasets())
    assert "In all" in describe(config) and "\n\n" not in describe(config)
    assert all(len(note.splitlines()) == 1 for note in config.expansion().notes())
    read = readings(config)
    assert {reading.variant for reading in read.readings} <= set(variants(config))
    assert type(read).model_validate_json(canonical_json(read.model_dump(mode="json"))) == read
    assert validate(config.model_dump(mode="json", exclude_none=True)) == config
    return config


def test_any_configuration_is_planned_or_told_to_be_wrong():
    found = []

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(configurations())
    def look(plain):
        found.append(planned(plain) is not None)

    look()
    # If hardly any were sound, or all, half of what is asserted would not be tried.
    assert 0.3 < sum(found) / len(found) < 0.9


@pytest.mark.slow
@settings(max_examples=MANY_EXAMPLES, derandomize=False, suppress_health_check=list(HealthCheck))
@given(configurations())
def test_any_of_many_configurations_is_planned_or_told_to_be_wrong(plain):
    planned(plain)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(section(Config))
def test_any_keys_from_anywhere_in_their_ranges_are_planned_or_told_to_be_wrong(plain):
    planned(plain)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(sound())
def test_what_is_said_to_be_sound_is_planned(plain):
    assert planned(plain) is not None


@pytest.mark.slow  # half a minute
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(plain=sound())
def test_snakemake_plans_what_is_sound(tmp_path_factory, plain):
    folder = tmp_path_factory.mktemp("planned")
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    done = snakemake(ROOT, "--dry-run", "--quiet", "all", "--config", f"output={folder}/results", preset=path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_key_of_the_configuration_is_tried():
    plain = {"datasets": {"a": {}}, "sweep": {"common": {}, "spacings": {}, "ratios": {}, "skews": {}}}
    plain |= {name: {} for name in ("model", "diffusion", "training", "probe", "analysis", "sensitivity")}
    tried = [name for _, name, _ in places(plain, Config)]
    models = [Config, Dataset, *(Config.model_fields[name].annotation for name in plain if name != "datasets")]
    assert {name for model in models for name in model.model_fields} <= set(tried)
