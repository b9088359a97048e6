"""The targets of every instrument, and how the kept tables compare with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from known_values import ACCEPTED, LARGEST_ERROR_RATE, LEAST_RIGHT_BETTI

# Label effects: of estimates in double precision, and of float32 predictions, whose rounding is 6e-8.
LARGEST_DEVIATION = {"float64": 1e-9, "epsilon": 1e-5, "v": 1e-5}
FORMS = {"float64": "exact estimates", "epsilon": "float32 predictions of the noise", "v": "float32 predictions of v"}
LARGEST_POSTERIOR_DEVIATION = 1e-10
LARGEST_PEAK = 300e6  # bytes, whatever the lattice
# Behaviour: root mean square error over the Cramér-Rao bound, and px without noise.
LARGEST_RATIO = 1.2
LARGEST_WITHOUT_NOISE = 0.01
STRONG, FAINT = "0.6 to 1.2", "0.3 to 0.6"  # amplitudes
# Clouds: share of a kind's clouds whose number must lie within the accepted error.
LEAST_WITHIN = 0.9
METRICS = {
    "dimension_mada": "dimension, manifold-adaptive",
    "dimension_mle": "dimension, maximum likelihood",
    "dimension_twonn": "dimension, TwoNN",
    "participation_ratio": "participation ratio",
    "rank": "rank above noise",
    "trustworthiness": "trustworthiness",
    "knn_overlap": "kNN overlap",
    "knn_r2": "kNN R²",
    "r2": "linear R²",
}


@dataclass(frozen=True)
class Judgement:
    """One thing asked of an instrument: what, the target, what was found, and whether that meets it."""

    asked: str
    target: str
    found: str
    met: bool

    @property
    def result(self) -> str:
        return self.found if self.met else f"{self.found}, **not met**"


def of_instruments(frames: dict[str, pd.DataFrame]) -> list[Judgement]:
    """Label effects and behaviour."""
    effects, large = frames["effects"], frames["effects-large"].iloc[0]
    counted, located = frames["behaviour-counts"], frames["behaviour-positions"]
    found = []
    for form, worst in effects.groupby("form", sort=False).deviation.max().items():
        most = LARGEST_DEVIATION[form]
        found.append(Judgement(f"error of effects, {FORMS[form]}", f"≤ {most:.0e}", tiny(worst), bool(worst <= most)))
    worst = effects.posterior_deviation.max()
    met = bool(worst <= LARGEST_POSTERIOR_DEVIATION)
    found.append(Judgement("error of posterior means", f"≤ {LARGEST_POSTERIOR_DEVIATION:.0e}", tiny(worst), met))
    memory, most = f"{large.peak / 1e6:.0f} MB", f"≤ {LARGEST_PEAK / 1e6:.0f} MB"
    met = bool(large.peak <= LARGEST_PEAK)
    found.append(Judgement(f"peak memory, lattice of {large.points:,.0f} points", most, memory, met))

    strong = counted[counted.band == STRONG]
    wrong = int((strong.found != strong.truth).sum())
    miscounted = f"{wrong} of {len(strong):,} images {percent(wrong, len(strong))}"
    found.append(Judgement(f"miscounted bumps, amplitude {STRONG}", "none", miscounted, wrong == 0))
    noisy, clean = located[located.noise > 0], located[located.noise == 0]
    met = bool((noisy.ratio <= LARGEST_RATIO).all())
    found.append(
        Judgement("position error over the Cramér-Rao bound", f"≤ {LARGEST_RATIO}", f"{noisy.ratio.max():.2f}", met)
    )
    several = counted[(counted.noise == 0) & (counted.truth > 0)]
    rms = max(clean.rms.max(), float(np.sqrt((several.error**2).mean())))
    met = bool(rms <= LARGEST_WITHOUT_NOISE and several.error.notna().all())
    text = f"{tiny(rms)} px, largest {tiny(several.error.max())} px"
    found.append(Judgement("RMS position error without noise", f"≤ {LARGEST_WITHOUT_NOISE} px", text, met))
    return found


def of_verdicts(frame: pd.DataFrame) -> Iterator[Judgement]:
    """Verdicts of the clouds of sizes that are in use."""
    frame = frame[frame.in_use.astype(bool)]
    wrong, of_a_phase, alone = is_wrong(frame), frame.phase != "?", frame.mixture == ""
    yield from _shares(wrong[of_a_phase & alone], frame.kind, "wrong phase verdicts", LARGEST_ERROR_RATE, most=True)
    yield from _shares(
        wrong[of_a_phase & ~alone], frame.kind, "wrong phase verdicts, mixtures", LARGEST_ERROR_RATE, most=True
    )
    others = wrong[~of_a_phase]
    if len(others):
        share = f"{others.mean():.1%} {percent(int(others.sum()), len(others))}"
        met = bool(others.mean() <= LARGEST_ERROR_RATE)
        yield Judgement("of no phase, judged to be of one", f"≤ {LARGEST_ERROR_RATE:.0%}", share, met)
    share = f"{wrong.mean():.1%} {percent(int(wrong.sum()), len(wrong))}"
    met = bool(wrong.mean() <= LARGEST_ERROR_RATE)
    yield Judgement("wrong verdicts of all clouds", f"≤ {LARGEST_ERROR_RATE:.0%}", share, met)


def of_clouds(frame: pd.DataFrame) -> Iterator[Judgement]:
    """Verdicts, Betti numbers and every number with a known value, of the clouds of sizes that are in use."""
    frame = frame[frame.in_use.astype(bool)]
    yield from of_verdicts(frame)
    known = frame[frame.betti != ""]
    yield from _shares(
        known.betti == known.betti_found, frame.kind, "right Betti numbers", LEAST_RIGHT_BETTI, most=False
    )
    table = numbers(frame)
    for metric, name in METRICS.items():
        met = table[table.metric == metric].within >= LEAST_WITHIN
        if len(met):
            yield Judgement(f"{name}: kinds within", "all", f"{met.sum()} of {len(met)}", bool(met.all()))


def _shares(hits: pd.Series, kind: pd.Series, what: str, target: float, most: bool) -> Iterator[Judgement]:
    """A share of all clouds and of the worst kind, at most or at least the target."""
    by_kind = hits.groupby(kind, sort=False).mean()
    worst = by_kind.idxmax() if most else by_kind.idxmin()
    wanted = f"{'≤' if most else '≥'} {target:.0%}"
    for text, share, found in (
        (what, hits.mean(), f"{hits.mean():.1%} {percent(int(hits.sum()), len(hits))}"),
        (f"{what}, worst kind", by_kind[worst], f"{by_kind[worst]:.1%} ({worst})"),
    ):
        yield Judgement(text, wanted, found, bool(share <= target if most else share >= target))


def is_wrong(frame: pd.DataFrame) -> pd.Series:
    """Whether a cloud got the verdict of another phase. Undecided or blind is not wrong; a phase for a circle is."""
    return (frame.verdict != frame.phase) & frame.verdict.isin(["A", "B", "C"])


def verdicts(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each kind, mixture and, where some are not in use, number of images: verdicts and Betti numbers."""
    wrong, known = is_wrong(frame), frame[frame.betti != ""]
    right = known.betti == known.betti_found
    rows = []
    for (kind, mixture, in_use), part in frame.groupby(["kind", "mixture", "in_use"], sort=False):
        row = {"kind": kind, "mixture": mixture, "in_use": bool(in_use), "phase": part.phase.iloc[0]}
        row |= {"clouds": len(part)}
        row |= {f"judged {verdict}": int((part.verdict == verdict).sum()) for verdict in ("A", "B", "C", "?", "blind")}
        row |= {"wrong": wrong[part.index].mean(), "undecided": (part.verdict == "?").mean()}
        row |= {"blind": (part.verdict == "blind").mean()}
        betti = right[right.index.intersection(part.index)]
        rows.append(row | {"betti": part.betti.iloc[0], "betti_right": betti.mean() if len(betti) else np.nan})
    return pd.DataFrame(rows)


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each number with a known value and each kind: medians, 5% and 95% quantiles, share within the error."""
    rows = []
    for metric in METRICS:
        for kind, part in frame.groupby("kind", sort=False):
            part = part[part[f"known_{metric}"].notna()]
            if part.empty:
                continue
            found, known = part[metric], part[f"known_{metric}"]
            allowed = known.map(ACCEPTED[metric].of)
            # A number that is missing is not within; float32 tables round the last digit.
            within = ((found - known).abs() <= allowed + 1e-5).mean()
            row = {
                "metric": metric,
                "kind": kind,
                "clouds": len(part),
                "known": known.median(),
                "accepted": allowed.median(),
            }
            row |= dict(zip(("low", "median", "high"), found.quantile([0.05, 0.5, 0.95]), strict=True))
            rows.append(row | {"within": within})
    return pd.DataFrame(rows)


def percent(count: int, of: int) -> str:
    """The 95% interval of a share (Clopper and Pearson)."""
    interval = binomtest(count, of).proportion_ci(method="exact")
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]%"


def tiny(value: float) -> str:
    """A number that may be as small as rounding."""
    return "0" if value == 0 else f"{value:.1e}"
