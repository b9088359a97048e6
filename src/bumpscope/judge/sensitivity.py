"""The claims judged again with one choice changed, and where in the network a disordered manifold shows.

A reading (:mod:`bumpscope.config.readings`) replaces what the balanced planes' runs show; all else, label effects and
coupling among it, stays as the experiment has it. Only other weights have label effects, and so a coupling, of their
own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd

from bumpscope.config.model import LAYERS
from bumpscope.config.readings import Reading
from bumpscope.judge.claims import claims, read_of_metrics
from bumpscope.judge.controls import lattice_of
from bumpscope.judge.histories import FOLLOWS_LEAST, FOLLOWS_MARGIN, follows_the_drawn, histories
from bumpscope.measure.as_read import UMAP_VERDICTS
from bumpscope.measure.metrics import run_metrics
from bumpscope.measure.phases import no_verdict
from bumpscope.measure.phases import phases as judge
from bumpscope.store.schemas import TABLES
from bumpscope.worlds.named import world_of
from bumpscope.worlds.reading import judged
from bumpscope.worlds.world import NOTHING, World

# Columns of table ``metrics`` that say which number of a checkpoint a row is.
QUALIFIERS = [name for name in TABLES["metrics"].names if name not in ("run", "dataset", "seed", "step", "value")]
VERDICT_WIDTH = 14
LINE_WIDTH = 120


@dataclass(frozen=True)
class Probing:
    """What a variant of the probe found in one run.

    Attributes:
        run: the run's row of table ``runs``.
        behaviour: table ``varied_behaviour``.
        geometry: table ``varied_geometry``; the first (layer, t) is where the experiment judges the run's phases.
        topology: the run's own table ``topology``, where the images are the experiment's own. Variants measure none, so
            that a thick circle may count as a sheet in them.
    """

    run: Mapping[Any, Any]
    behaviour: pd.DataFrame
    geometry: pd.DataFrame
    topology: pd.DataFrame | None = None

    @property
    def places(self) -> list[tuple[str, int]]:
        """Every (layer, t), the experiment's own first."""
        kept = self.geometry[["layer", "t"]].drop_duplicates()
        return [(str(layer), int(t)) for layer, t in kept.itertuples(index=False)]

    def place(self, reading: Reading) -> tuple[str, int]:
        """The place of a reading in this run: its layer, at the nearest t that the sampler visited."""
        if reading.layer is None or reading.t is None:
            return self.places[0]
        wanted = reading.t
        # Of two that are equally near the larger, as in generation.
        visited = sorted((t for layer, t in self.places if layer == reading.layer), reverse=True)
        return reading.layer, min(visited, key=lambda t: abs(t - wanted))

    def geometry_at(self, layer: str, t: int) -> pd.DataFrame:
        return self.geometry[(self.geometry.layer == layer) & (self.geometry.t == t)]

    def judged_by(self, tolerance: float, own: Mapping[str, float] = NOTHING) -> pd.DataFrame:
        """The images with the outcomes that a tolerance (px), and those of some factors, give: table ``behaviour``."""
        labels = self.behaviour[self.world.names.asked].to_numpy()
        outcome = judged(self.world, self.behaviour, labels, self.world.tolerances(tolerance, own))["outcome"]
        return self.behaviour.assign(outcome=outcome)

    @property
    def world(self) -> World:
        return world_of(lattice_of(self.run))

    def read(self, reading: Reading) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Rows of table ``metrics``, and phases with the columns run, dataset and seed."""
        behaviour = self.judged_by(reading.tolerance, reading.tolerances)
        geometry = self.geometry_at(*self.place(reading))
        who = {name: self.run[name] for name in ("run", "dataset", "seed")}
        verdicts = judge(geometry, behaviour, self.topology, no_verdict(self.world.factors))
        metrics = run_metrics(
            **who,
            behaviour=behaviour,
            geometry=geometry,
            phases=verdicts,
            lattice=lattice_of(self.run),
            tolerance=reading.tolerance,
            tolerances=reading.tolerances,
        )
        # Claims read the judged weights: those that this probing was drawn with stand in their place.
        weights = metrics["weights"].mask(metrics["weights"].notna(), self.run["weights"])
        return metrics.assign(weights=weights), verdicts.assign(**who, weights=self.run["weights"])


@dataclass(frozen=True)
class Experiment:
    """Tables of the whole experiment, and ``phases`` and ``interventions`` of all runs.

    Of ``metrics`` what claims rest on is enough; those of all runs have the columns run, dataset and seed besides.
    ``coupling_otherwise`` is table ``coupling`` of the label effects of the other weights.
    """

    metrics: pd.DataFrame
    runs: pd.DataFrame
    phases: pd.DataFrame
    coupling: pd.DataFrame
    coupling_otherwise: pd.DataFrame
    claims: pd.DataFrame
    interventions: pd.DataFrame | None = None
    leaderboard: pd.DataFrame | None = None

    def judge(self, reading: Reading, probings: Iterable[Probing]) -> pd.DataFrame:
        """Rows of table ``sensitivity`` for one reading of these runs, which are looked at one after another."""
        read = []
        for probing in probings:
            metrics, phases = probing.read(reading)
            # Claims need few of a run's thousands of numbers.
            read.append((read_of_metrics(metrics), phases))
        metrics = pd.concat([metrics for metrics, _ in read], ignore_index=True)
        phases = pd.concat([phases for _, phases in read], ignore_index=True)
        again = set(phases["run"])
        # Readings make no UMAPs, so what was read from those stays.
        seen = self.phases.loc[self.phases["judged"].astype(bool), ["run", "step", *UMAP_VERDICTS]]
        phases = phases.merge(seen, how="left", on=["run", "step"])
        # Numbers that the reading does not measure stay.
        measured = self.metrics.merge(metrics[QUALIFIERS].drop_duplicates(), how="left", indicator=True)["_merge"]
        kept = ~(self.metrics["run"].isin(again).to_numpy() & (measured == "both").to_numpy())
        verdicts = claims(
            pd.concat([self.metrics[kept], metrics], ignore_index=True),
            self.runs,
            pd.concat([self.phases[~self.phases["run"].isin(again)], phases], ignore_index=True),
            self.coupling_otherwise if reading.factor == "weights" else self.coupling,
            interventions=self.interventions,
            leaderboard=self.leaderboard,
        )
        own = verdicts["claim"].map(self.claims.set_index("claim")["verdict"])
        table = verdicts.assign(factor=reading.factor, level=reading.level, changed=verdicts["verdict"] != own)
        return table[TABLES["sensitivity"].names]


def places(probing: Probing, tolerance: float, own: Mapping[str, float] = NOTHING) -> pd.DataFrame:
    """Rows of table ``places`` for one run: what its latents show at every layer and t that was kept."""
    behaviour, parts = probing.judged_by(tolerance, own), []
    for layer, t in probing.places:
        geometry = probing.geometry_at(layer, t)
        raw = geometry[geometry["space"] == "raw"]
        raw = raw.assign(name=raw["metric"] + "_" + raw["label"].fillna("").astype(str))
        numbers = raw.pivot(index="step", columns="name", values="value")
        verdicts = judge(geometry, behaviour, probing.topology, no_verdict(probing.world.factors))
        at = numbers.reindex(verdicts["step"])
        columns = {"dimension": "dimension_mada_denoised_"}
        for label in ("requested", "realised"):
            columns |= {f"r2_{label}": f"r2_{label}"}
            columns |= {f"{name}_{label}": f"{name}_denoised_{label}" for name in ("knn_r2", "trustworthiness")}
        parts.append(verdicts.assign(**{name: at[source].to_numpy() for name, source in columns.items()}))
    who = {name: probing.run[name] for name in ("run", "dataset", "seed")}
    return pd.concat(parts, ignore_index=True).assign(**who)[TABLES["places"].names]


def where_disorder_lives(places: pd.DataFrame) -> pd.DataFrame:
    """A row a (layer, t), layers as in the network and t falling.

    Returns:
        Columns layer, t, runs; ``in_order``: runs whose latents pass A, B and C in order; ``with_b``: runs with a
        verdict B at any checkpoint; ``follows_drawn``: checkpoints, of ``checkpoints``, whose cloud follows the drawn
        centre rather than the requested one.
    """
    rows = []
    for place, here in places.groupby(["layer", "t"]):
        layer, t = cast("tuple[str, int]", place)
        passed = histories(here, set(here["dataset"]))
        row: dict[str, Any] = {"layer": layer, "t": t, "runs": len(passed)}
        row["in_order"] = sum(history.in_order for history in passed.values())
        row["with_b"] = here.loc[here["latent_phase"] == "B", "run"].nunique()
        row["follows_drawn"], row["checkpoints"] = (
            int(follows_the_drawn(here["knn_r2_realised"], here["knn_r2_requested"]).sum()),
            len(here),
        )
        rows.append(row)
    rows.sort(key=lambda row: (LAYERS.index(row["layer"]), -row["t"]))
    return pd.DataFrame(rows)


def _read_again(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The verdicts that rest on other numbers than as configured, and those that rest on none there.

    The rest are repeated: what they rest on is not measured again.
    """
    told = ["estimate", "low", "high", "runs"]
    configured = table[table["factor"] == "configured"].set_index("claim")
    others = table[table["factor"] != "configured"]
    own = configured.loc[others["claim"], told].set_index(others.index)
    alike = ((others[told] == own) | (others[told].isna() & own.isna())).all(axis=1)
    gone = (others["runs"] == 0) & (own["runs"] > 0)
    return others[(~alike | others["changed"]) & ~gone], others[gone]


def verdicts_text(table: pd.DataFrame) -> str:
    """Table ``sensitivity`` for the terminal: levels down, claims across, what changes marked; then in a sentence."""
    names = list(dict.fromkeys(table["claim"]))
    width = max(len(level) for level in table["level"])
    lines = [
        "Verdicts with one choice changed at a time (* another verdict than the experiment's own).",
        "The claims of C5 rest on resolution, which is not measured again.",
        "",
    ]
    lines.append(" " * (12 + width) + "".join(f"  {name:<{VERDICT_WIDTH}}" for name in names).rstrip())
    factor = None
    for (of, level), rows in table.groupby(["factor", "level"], sort=False):
        told = rows.set_index("claim")
        cells = [told["verdict"][name] + (" *" if told["changed"][name] else "") for name in names]
        label = "" if of in (factor, "configured") else str(of)
        lines.append(f"{label:<12}{level:<{width}}" + "".join(f"  {cell:<{VERDICT_WIDTH}}" for cell in cells).rstrip())
        factor = of
    configured = table[table["factor"] == "configured"]
    read, gone = _read_again(table)
    changed = read[read["changed"]]
    each = [
        f"{claim} at {', '.join(f'{row.level} ({row.verdict})' for row in rows.itertuples())}"
        for claim, rows in changed.groupby("claim", sort=False)
    ]
    sentence = f"{len(changed)} of the {len(read)} verdicts whose numbers a choice changes are others"
    lines += ["", *textwrap.wrap(f"{sentence}: {'; '.join(each)}." if each else f"{sentence}.", LINE_WIDTH)]
    lines += [f"{len(gone)} cannot be judged there: no run has what they rest on."] if len(gone) else []
    if configured["changed"].any():
        claim = ", ".join(configured.loc[configured["changed"], "claim"])
        warning = (
            f"As configured, {claim} comes out otherwise than in the experiment itself: its images must have been made"
            " on another device or with other versions, so changes of a verdict mean little here."
        )
        lines += textwrap.wrap(warning, LINE_WIDTH)
    return "\n".join(lines)


def places_text(places: pd.DataFrame) -> str:
    """What :func:`where_disorder_lives` finds, for the terminal."""
    found = where_disorder_lives(places)
    lines = [
        "Where a disordered manifold shows: runs that pass A, B, C in order; runs with a verdict B anywhere;",
        f"checkpoints whose cloud follows the drawn centre (its kNN R² {FOLLOWS_LEAST:g} or more, and more than"
        f" {FOLLOWS_MARGIN:g} above the requested one's)",
        "",
        f"{'layer':<12}{'t':>4}{'in order':>12}{'with B':>12}{'follows drawn':>16}",
    ]
    for row in found.itertuples():
        cells = (f"{row.in_order} of {row.runs}", f"{row.with_b} of {row.runs}")
        drawn = f"{row.follows_drawn} of {row.checkpoints}"
        lines.append(f"{row.layer:<12}{row.t:>4}{cells[0]:>12}{cells[1]:>12}{drawn:>16}")
    with_b = _most(found, "with_b", "runs", "Most runs with B at", "No run shows B.")
    texts = "Most clouds follow the drawn centre at", "No cloud follows the drawn centre."
    return "\n".join([*lines, "", with_b, _most(found, "follows_drawn", "checkpoints", *texts)])


def _most(found: pd.DataFrame, column: str, of: str, most: str, none: str) -> str:
    """The places with the most of something in a sentence, or another where there is none."""
    if not found[column].any():
        return none
    best = found[found[column] == found[column].max()]
    where = ", ".join(f"{row.layer} t={row.t}" for row in best.itertuples())
    return f"{most} {where}: {best[column].iloc[0]} of {best[of].iloc[0]} {of}."
