"""Claims C1 to C3 in words; each word that gives a direction or a judgement is chosen by a number."""

from __future__ import annotations

import math

from bumpscope.judge.claims.phases import ACCURATE, R2_MARGIN, SIGNIFICANCE, TOGETHER, share_p
from bumpscope.judge.verdicts import CONTRADICTED, SUPPORTED, UNDETERMINED, Number
from bumpscope.judge.wording import (
    Numbers,
    bracket,
    count,
    ending,
    estimate,
    has_interval,
    listed,
    number,
    planes,
    too_few,
)

NO_RUN = "No balanced run on a plane has phases, so nothing speaks for or against it."


def passes_in_order(verdict: str, share: Number, found: Numbers) -> str:
    """C1 as a paragraph; ``share`` is that of seeds in order."""
    runs, reached, hidden = map(found.count, ("runs", "runs that reached C", "runs in which a B may hide"))
    if not runs:
        return NO_RUN
    text = [f"Of {planes(runs)}, {number(reached)} reached phase C in latents or behaviour."]
    if reached < runs:
        text.append(f"{count(runs - reached, 'run')} ended before any order could show: no such run counts.")
    if hidden:
        text.append(
            f"In {count(hidden, 'run')} a B may hide between checkpoints or in open verdicts, which do not count."
        )
    seeds, place = found.count("seeds"), listed([*map(_at, found.subjects("seeds in order"))])
    good = found.count("seeds in order", *found.subjects("seeds in order"))
    if seeds:
        text.append(
            f"Read {place}, the latents pass A, B and C in order in {good} of {count(seeds, 'seed')} "
            f"(share {number(share.value)}, {bracket(share)})."
        )
        text += [*_ways(found), *_elsewhere(found)]
    return " ".join([*text, ending(verdict, _why_in_order(verdict, good, seeds))])


def _why_in_order(verdict: str, good: int, seeds: int) -> list[str]:
    """What the share of seeds was held against, and which way it fell."""
    if few := too_few(seeds, " that tell the order"):
        return few
    more, fewer = (share_p(good, seeds, side) for side in ("greater", "less"))
    test = f"by a one-sided binomial test at {number(SIGNIFICANCE)}"
    if min(more, fewer) > SIGNIFICANCE:
        ps = f"p = {number(more)} for more, {number(fewer)} for fewer"
        return [f"{good} of {seeds} is neither shown to be more nor to be fewer than half {test} ({ps})"]
    return [
        f"{good} of {seeds} is {'more' if more < fewer else 'fewer'} than half {test} (p = {number(min(more, fewer))})"
    ]


def _at(place: str) -> str:
    """Where latents were read: in the images, or at a layer and t."""
    return f"in {place}" if place.startswith("the ") else f"at {place.replace(' at ', ', ')}"


def _ways(found: Numbers) -> list[str]:
    """How the latents got to order, and when."""
    text, skipped = [], found.count("runs without disorder")
    if skipped:
        way = "from no structure (A) to order (C) without a disordered manifold (B) on the way"
        text.append(f"In {count(skipped, 'run')} they went {way}.")
    for name, phases in {"B or C": "Structure of either kind (B or C)", "C": "Order (C)"}.items():
        runs, begin = found.count("runs with an onset", name), found.of("onset", name)
        begins = f"begins at step {estimate(begin)}, geometric mean over {count(runs, 'run')}."
        text.append(f"{phases} {begins if runs else 'was read in no latents.'}")
    return text


def _elsewhere(found: Numbers) -> list[str]:
    """In how many runs the other places pass A, B, C in order."""
    read = {place: found.count("runs in order", place) for place in found.subjects("runs read")}
    some = [
        f"{good} of {count(found.count('runs read', place), 'run')} {_at(place)}"
        for place, good in read.items()
        if good
    ]
    none = [_at(place) for place, good in read.items() if not good]
    parts = [f"in {listed(some)}"] if some else []
    parts += [f"in no run {listed(none, 'or')}"] if none else []
    return [f"Read elsewhere, which does not count, they pass them in order {listed(parts)}."] if parts else []


def phases_coincide(verdict: str, _: Number, found: Numbers) -> str:
    """C2 as a paragraph."""
    runs = found.count("runs")
    if not runs:
        return NO_RUN
    reached = found.subjects("difference")
    if not reached:
        told = f"Of {planes(runs)}, none shows when a phase begins both in the latents and in behaviour."
        return f"{told} {ending(verdict, ['there is nothing to compare'])}"
    text = [_difference(found, phase) for phase in reached]
    if math.isfinite(found.of("kappa").value):
        text.append(f"Over all checkpoints the two verdicts agree with a kappa of {estimate(found.of('kappa'))}.")
    return " ".join([*text, ending(verdict, _why_together(verdict, found))])


def _difference(found: Numbers, phase: str) -> str:
    """When a phase begins in the latents, beside behaviour."""
    gap, runs = found.of("difference", phase), found.count("runs compared", phase)
    clear = not has_interval(gap) or gap.low > 0 or gap.high < 0 or gap.low == gap.high
    way = "earlier" if gap.value < 0 else "later" if gap.value > 0 else "no earlier and no later"
    text = f"Phase {phase} begins {way} in the latents than in behaviour"
    if not clear:
        text = f"Whether phase {phase} begins earlier in the latents or in behaviour is open"
    text += (
        f": ln ratio of the steps {estimate(gap)}, a factor of {number(math.exp(gap.value))}, in {count(runs, 'run')}"
    )
    if bounds := found.count("differences that are bounds", phase):
        text += f", where in {number(bounds)} one of the two never came and the last step stands for it"
    distance = number(found.of("distance of checkpoints", phase).value)
    return f"{text}; the checkpoints around the onsets are {distance} ln steps apart."


def _why_together(verdict: str, found: Numbers) -> list[str]:
    """Where the differences lie, beside the ratio that counts as together."""
    limit = f"±{number(TOGETHER)} (a factor of {number(math.exp(TOGETHER))})"
    reasons = []
    for phase in "BC":
        gap, seeds = found.of("difference", phase), found.count("seeds", phase)
        distance = found.of("distance of checkpoints", phase).value
        if not seeds:
            reasons.append(f"no run shows when phase {phase} begins in both")
            continue
        if few := too_few(seeds, f" at phase {phase}"):
            reasons += few
            continue
        inside = gap.low >= -TOGETHER and gap.high <= TOGETHER
        outside = gap.low > TOGETHER or gap.high < -TOGETHER
        far = gap.low - distance > TOGETHER or gap.high + distance < -TOGETHER
        where = "within" if inside else "outside" if outside else "partly outside"
        if verdict == CONTRADICTED and not far:
            continue
        text = f"at {phase} the interval lies {where} {limit}"
        if outside:
            text += f"{' by more' if far else ', but by no more'} than the checkpoints are apart"
        elif verdict == UNDETERMINED and inside and distance > TOGETHER + 1e-9:
            text += ", but the checkpoints are further apart than that"
        elif verdict == UNDETERMINED and inside and found.count("differences that are bounds", phase):
            text += ", but some differences are only bounds"
        elif verdict == UNDETERMINED and inside:
            continue
        reasons.append(text)
    return reasons


def order_is_necessary(verdict: str, _: Number, found: Numbers) -> str:
    """C3 as a paragraph."""
    runs, reached, compared = map(found.count, ("runs", "runs that got accurate", "runs compared"))
    if not runs:
        return NO_RUN
    text = [f"Of {planes(runs)}, {number(reached)} came to draw at least {number(ACCURATE)} of the seen centres right."]
    if compared:
        excess, r2, control = map(found.of, ("excess", "R²", "higher control"))
        text.append(
            f"At the first checkpoint at which they did, R² of the requested centre from three principal components is "
            f"{estimate(r2)}. The higher of its two controls, shuffled labels and the untrained network, is "
            f"{estimate(control)}: R² lies {'above' if excess.value > 0 else 'below'} it, with an excess of "
            f"{estimate(excess)}. In {found.count('runs above the margin')} of {count(compared, 'run')} it is above "
            f"{number(R2_MARGIN)}; the least is {number(found.of('least excess').value)}."
        )
    elif reached:
        text.append("In none of these was R² measured at the first checkpoint at which they did.")
    return " ".join([*text, ending(verdict, _why_necessary(verdict, found))])


def _why_necessary(verdict: str, found: Numbers) -> list[str]:
    """Where the excess of R² lies, beside the margin."""
    if few := too_few(found.count("seeds"), " that got accurate"):
        return few
    excess, compared, above = found.of("excess"), found.count("runs compared"), found.count("runs above the margin")
    all_above = (
        f"R² is more than {number(R2_MARGIN)} above its controls in {'every' if above == compared else 'not every'} run"
    )
    if verdict == SUPPORTED:
        return [all_above, f"the interval of the excess lies {'above' if excess.low > 0 else 'not above'} 0"]
    below = "lies below" if excess.high < R2_MARGIN else "does not lie below"
    low = f"the interval of the excess {below} {number(R2_MARGIN)}"
    if verdict == CONTRADICTED:
        return [low]
    zero = [] if excess.low > 0 else ["the interval of the excess includes 0"]
    return [*([all_above] if above < compared else []), *zero, low]
