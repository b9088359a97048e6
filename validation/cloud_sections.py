"""The page's sections on geometry, topology and the phase rule, made of the tables of clouds alone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from judgements import LEAST_WITHIN, Judgement, capitalised, percent, word
from known_values import ACCEPTED, LARGEST_ERROR_RATE, LEAST_RIGHT_BETTI
from truth_tables import markdown, significant

# Clouds with another verdict than their phase that are listed, of each kind and verdict; all are in the table.
LISTED = 5
METRICS = {
    "dimension_mada": "intrinsic dimension, manifold-adaptive, denoised (what the phase rule reads)",
    "dimension_mle": "intrinsic dimension, maximum likelihood, denoised",
    "dimension_twonn": "intrinsic dimension, TwoNN, denoised",
    "participation_ratio": "participation ratio",
    "rank": "rank above noise",
    "trustworthiness": "trustworthiness against requested centres, denoised",
    "knn_overlap": "kNN overlap with requested centres, denoised",
    "knn_r2": "kNN R² of requested centres, denoised",
    "r2": "linear R² of requested centres",
}


# What the known value of a number is, where that is not plain, and how far its estimator is known to be off.
NOTES = {
    "dimension_mada": (
        "The columns at the right are its bias, which is told and not corrected, since no correction is known to us "
        "that holds for all of these kinds. It compares the distances to the 20th and the 40th of 256 to 512 images, "
        "over which a place code bends into other dimensions, and noise of a tenth of the radius in each coordinate "
        "makes a curve locally a surface."
    ),
    "dimension_mle": (
        "The same holds of its bias. It looks at the 20 nearest: images of one centre, which nearly coincide where "
        "noise is slight, pull it down, and each image's own noise, where it reaches as far as the next centre, pushes "
        "it up. No verdict rests on it."
    ),
    "dimension_twonn": (
        "The same holds of its bias. It looks at the two nearest and is misled by images of one centre and by noise "
        "the more. No verdict rests on it."
    ),
    "knn_overlap": (
        "The known value of an ordered cloud follows from its construction: the 8 nearest of the points, as the spiked "
        "covariance model (Paul 2007; Benaych-Georges and Nadakuditi 2012) says that principal components show them in "
        "noise of this strength, against the 8 nearest by centre. It is below 1, since sheets are stretched and noise "
        "reaches the next centre."
    ),
    "r2": (
        "The known value of an ordered cloud follows from its construction likewise, by least squares. That of an "
        "unrelated one is -p / (m - p - 2), what p regressors without a meaning, fitted to m labels, have on others; "
        "images of one centre that move together count as one label."
    ),
}


def verdicts(frame: pd.DataFrame, family: str) -> tuple[str, list[Judgement]]:
    """Verdicts and Betti numbers, a row a kind."""
    wrong, known = _wrong(frame), frame[frame.betti != ""]
    right = known.betti == known.betti_found
    rows = []
    for kind, part in frame.groupby("kind", sort=False):
        errors, holes = wrong[part.index], right[right.index.intersection(part.index)]
        rows.append(
            {
                "kind": kind,
                "clouds": len(part),
                "phase": part.phase.iloc[0],
                **{f"judged {verdict}": int((part.verdict == verdict).sum()) for verdict in "ABC?"},
                "wrong": f"{errors.mean():.1%}",
                f"at most {LARGEST_ERROR_RATE:.0%} wrong": word(errors.mean() <= LARGEST_ERROR_RATE),
                "Betti numbers": _numbers(part.betti.iloc[0]),
                "right": f"{holes.mean():.1%}" if len(holes) else "–",
                f"at least {LEAST_RIGHT_BETTI:.0%} right": (
                    word(holes.mean() >= LEAST_RIGHT_BETTI) if len(holes) else "–"
                ),
            }
        )
    of_a_phase = frame.phase != "?"
    judgements = [
        *_judged(wrong[of_a_phase], frame, f"phase verdicts, {family} clouds, wrong", LARGEST_ERROR_RATE, most=True),
        *_judged(right, frame, f"Betti numbers, {family} clouds, right", LEAST_RIGHT_BETTI, most=False),
    ]
    circles = wrong[~of_a_phase]
    if len(circles):
        judgements.append(
            Judgement(
                f"{family} circles judged to be of a phase",
                f"at most {LARGEST_ERROR_RATE:.0%}",
                f"{percent(int(circles.sum()), len(circles))} of {len(circles):,}",
                bool(circles.mean() <= LARGEST_ERROR_RATE),
            )
        )
    return markdown(pd.DataFrame(rows)), judgements


def _judged(hits: pd.Series, frame: pd.DataFrame, what: str, target: float, most: bool) -> list[Judgement]:
    """A share in all clouds and in the worst kind, which must be at most (or at least) the target."""
    by_kind = hits.groupby(frame.kind, sort=False).mean()
    worst = by_kind.idxmax() if most else by_kind.idxmin()
    wanted = f"at {'most' if most else 'least'} {target:.0%}"

    def met(share: float) -> bool:
        return bool(share <= target if most else share >= target)

    return [
        Judgement(
            f"{what} in all", wanted, f"{percent(int(hits.sum()), len(hits))} of {len(hits):,}", met(hits.mean())
        ),
        Judgement(f"{what} in the worst kind", wanted, f"{by_kind[worst]:.1%} ({worst})", met(by_kind[worst])),
    ]


def _wrong(frame: pd.DataFrame) -> pd.Series:
    """Whether a cloud got the verdict of another phase; undecided is not wrong, but a phase for a circle is."""
    return (frame.verdict != frame.phase) & (frame.verdict != "?")


def by_condition(frame: pd.DataFrame) -> str:
    """Wrong and undecided verdicts and wrong Betti numbers, by noise, number of images and shape."""
    known = frame.betti != ""
    rows = []
    wrong, betti_wrong = _wrong(frame), known & (frame.betti != frame.betti_found)
    noise = [_noise(row) for row in frame.itertuples()]
    shapes = frame["shape"].replace("", np.nan)
    groups = {"noise": pd.Series(noise, index=frame.index), "images": _sizes(frame.images), "shape": shapes}
    for name, values in groups.items():
        for value, part in frame.groupby(values):
            rows.append(
                {
                    "by": name,
                    "": value,
                    "clouds": len(part),
                    "wrong verdicts, circles included": f"{wrong[part.index].mean():.1%}",
                    "undecided, of those of a phase": _share((part.verdict == "?")[part.phase != "?"]),
                    "wrong Betti numbers": _share(betti_wrong[part.index][known[part.index]]),
                }
            )
    return markdown(pd.DataFrame(rows))


def _share(hits: pd.Series) -> str:
    return f"{hits.mean():.1%}" if len(hits) else "–"


def _noise(row) -> str:
    return f"{row.noise:.2f} {row.spread}, {row.distribution}" if row.noise else "none"


def _sizes(images: pd.Series) -> pd.Series:
    """Numbers of images as they are where they are few, and else in three bins."""
    if images.nunique() <= 3:
        return images.astype(str)
    return pd.cut(images, 3).map(lambda part: f"{part.left:.0f} to {part.right:.0f}").astype(str)


def of_other_sizes(frame: pd.DataFrame) -> str:
    """Clouds of numbers of images that no dataset has, a row a kind."""
    wrong, right = _wrong(frame), frame.betti == frame.betti_found
    rows = [
        (kind, images, len(part), f"{wrong[part.index].mean():.1%}", f"{right[part.index].mean():.1%}")
        for (kind, images), part in frame.groupby(["kind", "images"], sort=False)
    ]
    return markdown(pd.DataFrame(rows, columns=["kind", "images", "clouds", "wrong verdicts", "right Betti numbers"]))


def metrics(frame: pd.DataFrame, family: str) -> tuple[str, list[Judgement]]:
    """Every number with a known value, a table a metric and in it a row a kind."""
    parts, judgements = [], []
    for metric, name in METRICS.items():
        accepted = ACCEPTED[metric]
        rows = []
        for kind, part in frame.groupby("kind", sort=False):
            part = part[part[f"known_{metric}"].notna()]
            if part.empty:
                continue
            found, known = part[metric], part[f"known_{metric}"]
            off, allowed = (found - known).abs(), known.map(accepted.of)
            # A number that is missing is not within; float32 tables round the last digit.
            within = off <= allowed + 1e-5
            met = within.mean() >= LEAST_WITHIN
            in_the_median = (found - known).abs().median() <= allowed.median() + 1e-5
            low, median, high = found.quantile([0.05, 0.5, 0.95])
            least_off, most_off = (found - known).quantile([0.05, 0.95])
            rows.append(
                {
                    "kind": kind,
                    "known": significant(known.median() + 0.0),
                    "accepted": f"± {significant(allowed.median(), 2)}",
                    "median": f"{median:.2f}",
                    "5% to 95%": f"{low:.2f} to {high:.2f}",
                    "less the known, 5% to 95%": f"{least_off:+.2f} to {most_off:+.2f}",
                    "within": f"{within.mean():.0%}",
                    "": word(met) if met or not in_the_median else "not met; in the median",
                    "met": met,
                }
            )
        if not rows:
            continue
        table = pd.DataFrame(rows)
        count = int(table.met.sum())
        missing = ", ".join(table.kind[~table.met])
        judgements.append(
            Judgement(
                f"{name}, {family} clouds: kinds of which {LEAST_WITHIN:.0%} are within the accepted error",
                "all",
                f"{count} of {len(table)}" + (f"; not {missing}" if missing else ""),
                count == len(table),
            )
        )
        share = f"{accepted.error:.0%} of the known value" if accepted.relative else f"{accepted.error:g}"
        wide = f" ({accepted.wide:.0%} in ten dimensions)" if accepted.wide else ""
        parts += [
            f"**{capitalised(name)}**; accepted error {share}{wide}. {NOTES.get(metric, '')}".rstrip(),
            markdown(table.drop(columns="met")),
        ]
    return "\n\n".join(parts), judgements


def misses(frame: pd.DataFrame) -> str:
    """Clouds with another verdict than their phase, and with other Betti numbers than theirs."""
    off = frame[frame.verdict != frame.phase]
    parts = [_listed(off, ["kind", "verdict"], "verdict", ["verdict", "reason"], "another verdict than their phase")]
    holes = frame[(frame.betti != "") & (frame.betti != frame.betti_found)]
    parts.append(
        _listed(holes, ["kind", "betti_found"], "Betti numbers", ["betti", "betti_found"], "other Betti numbers")
    )
    return "\n\n".join(parts)


def _listed(off: pd.DataFrame, by: list[str], name: str, columns: list[str], what: str) -> str:
    if off.empty:
        return f"No cloud has {what}."
    shown = off.groupby(by, sort=False).head(LISTED)
    table = pd.DataFrame(
        {
            "kind": shown.kind,
            "shape": shown["shape"].replace("", "–"),
            "noise": [_noise(row) for row in shown.itertuples()],
            "images": shown.images,
            "seed": shown.seed,
            **{_heading(column): shown[column].map(_numbers) for column in columns},
        }
    )
    return f"{len(off)} of the clouds have {what}; {len(shown)} of them, at most {LISTED} of a kind and {name}:\n\n" + (
        markdown(table)
    )


def _heading(column: str) -> str:
    return {"betti": "Betti numbers", "betti_found": "found"}.get(column, column)


def _numbers(value: str) -> str:
    """Betti numbers without brackets, a dash for none; any other text as it is."""
    return value.strip("()") or "–"
