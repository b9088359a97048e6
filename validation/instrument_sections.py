"""The page's sections on the label effects and on behaviour, each made of its tables alone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from judgements import (
    LARGEST_DEVIATION,
    LARGEST_PEAK,
    LARGEST_POSTERIOR_DEVIATION,
    LARGEST_RATIO,
    LARGEST_WITHOUT_NOISE,
    Judgement,
    percent,
    tiny,
)
from truth_tables import markdown, significant

FORMS = {"float64": "exact estimates", "epsilon": "float32 predictions of the noise", "v": "float32 predictions of v"}
STRONG, FAINT = "0.6 to 1.2", "0.3 to 0.6"
# Images at fault that are listed, of each fault.
LISTED = 20


def effects(frame: pd.DataFrame) -> tuple[str, list[Judgement]]:
    """Deviations of the label effects from those of the Bayes denoisers."""
    judgements = [
        Judgement(
            f"label effects (a, b, c) of {FORMS[form]}, largest deviation",
            f"at most {tiny(LARGEST_DEVIATION[form])}",
            tiny(found),
            bool(found <= LARGEST_DEVIATION[form]),
        )
        for form, found in frame.groupby("form", sort=False).deviation.max().items()
    ]
    posterior = frame.posterior_deviation.max()
    judgements.append(
        Judgement(
            "posterior means, largest deviation from brute force",
            f"at most {tiny(LARGEST_POSTERIOR_DEVIATION)}",
            tiny(posterior),
            bool(posterior <= LARGEST_POSTERIOR_DEVIATION),
        )
    )
    rows = []
    for (lattice, t), part in frame.groupby(["lattice", "t"], sort=False):
        exact = part[part.form == "float64"].set_index("denoiser")
        rows.append(
            {
                "lattice": lattice,
                "t": t,
                "alpha_bar": significant(part.alpha_bar.iloc[0]),
                **{
                    f"deviation, {name}": tiny(part.deviation[part.form.isin(forms)].max())
                    for name, forms in (("exact", ["float64"]), ("float32", ["epsilon", "v"]))
                },
                "residual": tiny(exact.residual.max()),
                "excess: blind, x, y, both": ", ".join(significant(value, 2) for value in exact.excess),
                "condition": significant(part.condition.max()),
                "posterior means": tiny(part.posterior_deviation.max()),
            }
        )
    return markdown(pd.DataFrame(rows)), judgements


def large_lattice(frame: pd.DataFrame) -> tuple[str, list[Judgement]]:
    """Time and memory on the large lattice."""
    one = frame.iloc[0]
    text = (
        f"{one.probes:.0f} noised images on a lattice of {one.points:,.0f} points: {significant(one.seconds, 2)} s, "
        f"and {one.peak / 1e6:.0f} MB at the peak. One array of all weights would have {one.weights / 1e6:.0f} MB, the "
        f"lattice's images {one.images / 1e6:.0f} MB."
    )
    judgement = Judgement(
        f"peak memory on a lattice of {one.points:,.0f} points",
        f"at most {LARGEST_PEAK / 1e6:.0f} MB, whatever the lattice",
        f"{one.peak / 1e6:.0f} MB",
        bool(one.peak <= LARGEST_PEAK),
    )
    return text, [judgement]


def confusion(frame: pd.DataFrame) -> str:
    """Images by the number of bumps drawn and found."""
    table = pd.crosstab(frame.truth, frame.found)
    table = table.reindex(columns=range(max(4, int(frame.found.max()) + 1)), fill_value=0)
    table.columns = [f"found {count}" for count in table.columns]
    return markdown(table.reset_index().rename(columns={"truth": "drawn"}))


def counts(frame: pd.DataFrame) -> tuple[str, list[Judgement]]:
    """Confusion matrices, and how faint bumps are miscounted."""
    strong, faint = (frame[frame.band == band] for band in (STRONG, FAINT))
    wrong = strong[strong.found != strong.truth]
    judgement = Judgement(
        f"bumps miscounted, amplitude {STRONG}",
        "none",
        f"{len(wrong)} of {len(strong):,} images, {percent(len(wrong), len(strong))}",
        len(wrong) == 0,
    )
    parts = [f"Amplitude {STRONG}:", confusion(strong)]
    if len(wrong):
        columns = ["lattice", "noise", "truth", "found", "weakest", "nearest"]
        shown = wrong[columns].head(LISTED).rename(columns={"truth": "drawn", "nearest": "nearest two, sigma"})
        for name in ("noise", "weakest", "nearest two, sigma"):
            shown[name] = shown[name].map("{:.2g}".format)
        parts += [f"Miscounted, {min(LISTED, len(wrong))} of {len(wrong)}:", markdown(shown)]
    missed = int((faint.found < faint.truth).sum())
    more = int((faint.found > faint.truth).sum())
    parts += [
        f"Amplitude {FAINT}, where a miscount is no fault but is told: {missed + more} of {len(faint):,} images, "
        f"{percent(missed + more, len(faint))}; {missed} with too few bumps and {more} with too many.",
        confusion(faint),
    ]
    if missed + more:
        parts.append(_by_condition(faint))
    return "\n\n".join(parts), [judgement]


def _by_condition(faint: pd.DataFrame) -> str:
    """Miscounts of faint bumps, where they are found and among how many images."""
    rows = []
    weakest = pd.cut(faint.weakest, [0.3, 0.35, 0.4, 0.5, 0.6]).cat.rename_categories(
        ["0.3 to 0.35", "0.35 to 0.4", "0.4 to 0.5", "0.5 to 0.6"]
    )
    closest = pd.cut(faint.nearest, [0, 4.5, 6, 1e3]).cat.rename_categories(["4 to 4.5", "4.5 to 6", "over 6"])
    groups = {
        "lattice": faint.lattice,
        "noise a pixel": faint.noise.map("{:.2g}".format),
        "weakest bump's amplitude": weakest,
        "nearest two, sigma": closest,
    }
    for name, values in groups.items():
        for value, part in faint.groupby(values, sort=False, observed=True):
            few, many = (part.found < part.truth).sum(), (part.found > part.truth).sum()
            rows.append((name, value, f"{len(part):,}", few, many, f"{(few + many) / len(part):.1%}"))
    columns = ["by", "", "images", "too few", "too many", "miscounted"]
    order = pd.DataFrame(rows, columns=columns).sort_values(["by", ""], kind="stable")
    return markdown(order)


def positions(located: pd.DataFrame, counted: pd.DataFrame) -> tuple[str, list[Judgement]]:
    """Position errors against the Cramér-Rao bound, and without noise."""
    noisy, clean = located[located.noise > 0], located[located.noise == 0]
    worst = noisy.loc[noisy.ratio.idxmax()]
    several = counted[(counted.noise == 0) & (counted.truth > 0)]
    beyond = several[several.error > LARGEST_WITHOUT_NOISE]
    undefined = int(several.error.isna().sum())
    rms = max(clean.rms.max(), float(np.sqrt((several.error**2).mean())))
    judgements = [
        Judgement(
            "position error over the Cramér-Rao bound, largest of all cases",
            f"at most {LARGEST_RATIO}",
            f"{worst.ratio:.2f} ({worst.lattice}, {worst.place}, amplitude {worst.amplitude:.1f}, width "
            f"{worst.width:.1f} sigma, noise {worst.noise:.2g})",
            bool((noisy.ratio <= LARGEST_RATIO).all()),
        ),
        Judgement(
            "root mean square position error without noise: of one bump at each place, and of one to three anywhere",
            f"at most {LARGEST_WITHOUT_NOISE} px",
            f"{tiny(rms)} px; largest single error {tiny(several.error.max())} px, {len(beyond)} of {len(several):,} "
            f"images beyond {LARGEST_WITHOUT_NOISE} px, {undefined} not counted right",
            bool(rms <= LARGEST_WITHOUT_NOISE and undefined == 0),
        ),
    ]
    by_place = noisy.pivot_table(
        index="place", columns="lattice", values="ratio", aggfunc=["median", "max"], sort=False
    )
    rows = [
        {"place": place}
        | {
            f"{lattice}: median, largest": f"{row['median', lattice]:.2f}, {row['max', lattice]:.2f}"
            for lattice in noisy.lattice.unique()
        }
        | {"px without noise, largest": tiny(clean[clean.place == place].rms.max())}
        for place, row in by_place.iterrows()
    ]
    by_strength = [
        {
            "amplitude": f"{amplitude:.1f}",
            "noise": f"{noise:.2g}",
            "median ratio": f"{part.ratio.median():.2f}",
            "largest ratio": f"{part.ratio.max():.2f}",
            "median error, px": f"{part.rms.median():.2g}",
            "cases beyond the target": f"{(part.ratio > LARGEST_RATIO).sum()} of {len(part)}",
            "least share with any bump found": f"{part.found.min():.1%}",
        }
        for (amplitude, noise), part in noisy.groupby(["amplitude", "noise"])
    ]
    parts = [markdown(pd.DataFrame(rows)), markdown(pd.DataFrame(by_strength))]
    if len(beyond):
        shown = beyond[["lattice", "band", "truth", "weakest", "nearest", "error"]].head(LISTED)
        shown = shown.rename(columns={"band": "amplitudes", "truth": "bumps", "nearest": "nearest two, sigma"})
        for name in ("weakest", "nearest two, sigma", "error"):
            shown[name] = shown[name].map("{:.2g}".format)
        parts += [
            f"Images without noise in which a bump is found more than {LARGEST_WITHOUT_NOISE} px off, {len(shown)} of "
            f"{len(beyond)}:",
            markdown(shown),
        ]
    return "\n\n".join(parts), judgements
