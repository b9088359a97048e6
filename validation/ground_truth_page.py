"""Write docs/ground-truth.md from the tables in validation/results, and from nothing else.

python validation/ground_truth_page.py
"""

from __future__ import annotations

from pathlib import Path

import cloud_sections
import instrument_sections
from bumpscope.store.files import atomic_path
from judgements import NOT_MEASURED, Judgement, reasons, summary
from truth_tables import RESULTS, ROOT, load

PAGE = ROOT / "docs" / "ground-truth.md"
TABLES = ("effects", "effects-large", "behaviour-counts", "behaviour-positions", "clouds-fresh", "clouds-tuned")
INTRODUCTION = (
    "Every instrument on data whose answer is known by construction, before it is believed on data whose answer is "
    "not. Written by `make ground-truth` from the tables in `validation/results`. Targets and accepted errors stand in "
    "`validation/judgements.py` and `validation/known_values.py`; what misses them is told as it is. Thresholds "
    "were set on the tuned-on clouds alone."
)
EFFECTS = (
    "Models that are each Bayes denoiser, made by brute force over the lattice's images: blind, knowing x, y or both. "
    "Their effects (a, b, c) are (0, 0, 0), (1, 0, 0), (0, 1, 0) and (1, 1, 1), their residual 0. Exact: double "
    "precision; float32: put as a network's predictions of the noise and of v. Posterior means are compared with brute "
    "force in double precision. Again: `python validation/measure_effects.py`."
)
COUNTS = (
    "Images of 0 to 3 bumps, 0.8 to 1.3 sigma wide, at least 4 sigma apart, a part of them on the edge of where "
    "centres may lie, with noise of 0, 0.01, 0.02 and 0.05 a pixel, on three lattices; bumps count from the default "
    "fitted amplitude. Again: `python validation/measure_behaviour.py`."
)
POSITIONS = (
    "The root mean square distance of one found bump from the one drawn, over the least that any unbiased method can "
    "have (Cramér-Rao, with place, amplitude and width unknown), for widths of 0.8, 1 and 1.3 sigma. Images in which "
    "nothing was found are left out, and their share is told. Edges and corners are those of where centres may lie; on "
    "the lattice whose centres reach the image's edge no bump is looked for beyond it, so that the method is not "
    "unbiased there and may do better than the bound."
)
OTHERS = (
    "The one dataset on a torus has 512 images. Of 256 at random places the holes between images are nearly as wide as "
    "the torus' own loops; no target stands on them, and what was found is told."
)
CLOUDS = {
    "fresh": (
        "fresh",
        "Geometry, topology and phases on clouds that no threshold was set on",
        "Generators of `validation/fresh_clouds.py`, asked for the centres of a default probe (plane and torus), 512 "
        "and 256 images in turn, as the planes of the default experiment have them, and on a torus 512, as its torus "
        "has, with noise of 0, 0.05 and 0.1 of the radius, in all or a coordinate, Gaussian, uniform or Student t; the "
        "untrained control is a random network. Wrong: judged to be of another phase. Undecided (?) is not wrong, and "
        "told apart; of a circle, which is none of the phases, it is right. Again: "
        "`python validation/measure_clouds.py --family fresh`.",
    ),
    "tuned": (
        "tuned-on",
        "The same on the clouds that the thresholds were set on",
        "Generators of `validation/synthetic_clouds.py`, with other seeds than were used to set the thresholds. What "
        "is right here and not above says that the rule fits its examples. Again: "
        "`python validation/measure_clouds.py --family tuned`.",
    ),
}


def page(folder: Path = RESULTS) -> str:
    """The whole page."""
    tables = {name: load(name, folder) for name in TABLES}
    frames = {name: found[0] for name, found in tables.items() if found is not None}
    judgements: list[Judgement] = []

    def told(text: str, judged: list[Judgement]) -> list[str]:
        judgements.extend(judged)
        return [" ".join(one.sentence() for one in judged), text]

    parts = ["## Label effects", EFFECTS]
    parts += told(*instrument_sections.effects(frames["effects"])) if "effects" in frames else [f"{NOT_MEASURED}."]
    parts += ["### A large lattice"]
    if "effects-large" in frames:
        parts += [
            *told(*instrument_sections.large_lattice(frames["effects-large"])),
            _machine(tables["effects-large"][1]),
        ]
    else:
        parts.append(f"{NOT_MEASURED}.")
    parts += ["## Behaviour: how many bumps", COUNTS]
    counted, located = frames.get("behaviour-counts"), frames.get("behaviour-positions")
    parts += told(*instrument_sections.counts(counted)) if counted is not None else [f"{NOT_MEASURED}."]
    parts += ["## Behaviour: where a bump lies", POSITIONS]
    if counted is not None and located is not None:
        parts += told(*instrument_sections.positions(located, counted))
    else:
        parts.append(f"{NOT_MEASURED}.")
    for family, (name, heading, how) in CLOUDS.items():
        parts += [f"## {heading}", how]
        frame = frames.get(f"clouds-{family}")
        if frame is None:
            parts.append(f"{NOT_MEASURED}.")
            continue
        in_use = frame.in_use.astype(bool)
        frame, others = frame[in_use].reset_index(drop=True), frame[~in_use].reset_index(drop=True)
        parts += [f"### Verdicts and Betti numbers, {name} clouds", *told(*cloud_sections.verdicts(frame, name))]
        parts += [f"### By noise and number of images, {name} clouds", cloud_sections.by_condition(frame)]
        if len(others):
            parts += [
                f"### Tori of fewer images than are in use, {name} clouds",
                OTHERS,
                cloud_sections.of_other_sizes(others),
            ]
        parts += [f"### Misses, {name} clouds", cloud_sections.misses(frame)]
        parts += [f"### Numbers against known values, {name} clouds", *told(*cloud_sections.metrics(frame, name))]
    count = sum(one.met for one in judgements)
    short = f"Of {len(judgements)} targets {count} are met and {len(judgements) - count} are not met."
    if missing := [name for name, found in tables.items() if found is None]:
        short += f" In neither number, since it has yet to be measured: {', '.join(missing)}."
    head = ["# Ground truth", INTRODUCTION, "## In short", *([short, summary(judgements)] if judgements else [])]
    if why := reasons(judgements):
        head += ["### What is not met, and why", why]
    return "\n\n".join([*head, *parts]) + "\n"


def _machine(facts: dict[str, str]) -> str:
    return f"Measured on {facts['processor']}, {facts['date']}."


if __name__ == "__main__":
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    print(f"written: docs/{PAGE.name}")
