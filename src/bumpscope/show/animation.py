"""The manifold forming: latents and images of one run as a looping GIF."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from scipy.spatial import KDTree

from bumpscope.show import marks, rows, style
from bumpscope.show.manifold_view import (
    VIEW,
    ManifoldView,
    NothingToSee,
    chosen_samples,
    manifold_view,
    mosaic,
    outcome_shares,
    requests_in_mosaic,
    spaced_by_change,
)
from bumpscope.store.results import Results

CAPTION = (
    "Latents (left, middle) and images (right; black 0, white 1) of one run, from the same requests and noise at each "
    "checkpoint; colours: requested x and y; rings: requests; bar: scale. Below: share of correct images and phases. "
    "Between checkpoints pale points move straight. Shown: the seed and place of the first dataset that show the "
    "weaker coordinate best at the end."
)
TOPIC = "Representation"
READS = ("embedding", "samples", "phases", "metrics", "runs")
SIZE = (8.0, 4.5)  # inches
DOTS = 100  # an inch
REST, MOVE, END = 900, 110, 2600  # milliseconds at a checkpoint, at a frame between two, at the first and the last
BETWEEN = 4  # frames between two checkpoints
MOST_FRAMES, MOST_CHECKPOINTS, MOST_POINTS = 80, 24, 600
PALE = 0.35  # opacity of points between checkpoints
PHASES = {"latent_phase": "latent", "behaviour_phase": "behaviour"}


class Moment(NamedTuple):
    """A frame: ``fraction`` of the way from checkpoint ``number`` to the next, shown for ``duration`` ms."""

    number: int
    fraction: float
    duration: int


@dataclass(frozen=True)
class _Scene:
    """All that the frames show, in order of the checkpoints.

    Attributes:
        places: of the points, shape (checkpoints, points, 2).
        requests: their requested x and y, px, shape (points, 2).
        mosaics: images, shape (checkpoints, height, width).
        correct: share of images in the right place, NaN where not measured.
        phases: columns step, latent_phase, behaviour_phase; no rows where there are none.
    """

    view: ManifoldView
    steps: list[int]
    places: np.ndarray
    requests: np.ndarray
    mosaics: np.ndarray
    rings: np.ndarray
    correct: pd.Series
    phases: pd.DataFrame


def moments(checkpoints: int) -> list[Moment]:
    """The frames of an animation over this many checkpoints: rests at them, longest at both ends, and moves between."""
    between = 0
    if checkpoints > 1:
        between = max(0, min(BETWEEN, (MOST_FRAMES - checkpoints) // (checkpoints - 1)))
    frames = []
    for number in range(checkpoints):
        last = number == checkpoints - 1
        frames.append(Moment(number, 0.0, END if number == 0 or last else REST))
        if not last:
            frames += [Moment(number, (k + 1) / (between + 1), MOVE) for k in range(between)]
    return frames


@style.apply()
def animate(results: Results) -> bytes:
    """The animation as a GIF; the same tables give the same bytes.

    It shows what :func:`bumpscope.show.manifold_view.manifold_view` chooses; where there is nothing to see, one frame
    says why.
    """
    try:
        scene = _scene(results)
    except NothingToSee as error:
        figure = Figure(figsize=(SIZE[0], 1.2), dpi=DOTS)
        figure.text(0.5, 0.5, str(error), ha="center", va="center", fontsize=11)
        return _gif([_pixels(figure)], [END], _palette(torus=False))
    stage = _Stage(scene)
    frames = moments(len(scene.steps))
    pictures = [stage.picture(moment) for moment in frames]
    return _gif(pictures, [moment.duration for moment in frames], _palette(scene.view.period is not None))


def _scene(results: Results) -> _Scene:
    view = manifold_view(results)
    run = view.run
    steps = view.steps.tolist()
    if len(steps) > MOST_CHECKPOINTS:
        steps = spaced_by_change(view.steps, outcome_shares(results, run.name, view.steps), MOST_CHECKPOINTS)
    points = view.points[view.points["step"].isin(steps)]
    counts = points.groupby("sample")["step"].nunique()
    samples = counts.index[counts == len(steps)].to_numpy()
    if len(samples) == 0:
        raise NothingToSee(f"No image of {run.name} has latents at every checkpoint.")
    shown = chosen_samples(points)
    pictures = [view.images(step, {sample for line in shown for sample in line}) for step in steps]
    mosaics = [mosaic(images, shown) for images in pictures]
    kept = samples[np.unique(np.linspace(0, len(samples) - 1, min(MOST_POINTS, len(samples))).round().astype(int))]
    points = points[points["sample"].isin(kept)].sort_values(["step", "sample"])
    phases = pd.DataFrame(columns=["step", *PHASES])
    if run.has("phases"):
        at = {"layer": view.layer, "t": view.t}
        phases = run.table("phases", ["step", *PHASES], **at).sort_values("step").fillna("?")
    correct = rows.correct_images(results)
    return _Scene(
        view=view,
        steps=steps,
        places=points[VIEW].to_numpy(dtype=float).reshape(len(steps), -1, 2),
        requests=points.loc[points["step"] == steps[-1], run.names.asked[:2]].to_numpy(dtype=float),
        mosaics=np.array([picture for picture, _ in mosaics]),
        rings=requests_in_mosaic(view.points, shown, mosaics[0][1]),
        correct=correct[correct["run"] == run.name].set_index("step")["value"].reindex(steps),
        phases=phases,
    )


class _Stage:
    """The figure of which each frame is a picture; only what moves is changed from frame to frame."""

    def __init__(self, scene: _Scene):
        self.scene = scene
        self.figure = Figure(figsize=SIZE, dpi=DOTS)
        FigureCanvasAgg(self.figure)
        run = scene.view.run
        where = f"{run.dataset}, seed {run.seed}: {scene.view.layer}, t = {scene.view.t}"
        self.figure.text(0.015, 0.965, where, fontsize=9, va="center", color=style.GREY)
        self.title = self.figure.text(0.015, 0.905, "", fontsize=13, va="center")
        self.note = self.figure.text(0.985, 0.965, "", fontsize=9, va="center", ha="right", color=style.GREY)
        self.clouds = [
            self._cloud(0.015 + 0.33 * k, f"{factor.name}, {factor.unit}", scene.requests[:, k])
            for k, factor in enumerate(scene.view.factors[:2])
        ]
        axes = self.figure.add_axes((0.68, 0.30, 0.305, 0.52))
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        self.images_title = axes.set_title("", fontsize=9)
        self.images = axes.imshow(scene.mosaics[0], cmap="gray", vmin=0, vmax=1)
        axes.plot(*scene.rings.T, linestyle="", **{**style.REQUEST, "markersize": 8})
        self.cursor = self._history(self.figure.add_axes((0.135, 0.115, 0.85, 0.13)))

    def _cloud(self, left: float, axis: str, requested: np.ndarray) -> dict[str, Any]:
        axes = self.figure.add_axes((left, 0.27, 0.27, 0.55))
        axes.set_title(f"latents by requested {axis}", fontsize=9)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        colours = style.request_colours(self.scene.view.period is not None)
        x, y = self.scene.places[0].T
        points = axes.scatter(x, y, c=requested, cmap=colours, s=9, linewidths=0)
        bar = self.figure.colorbar(points, cax=self.figure.add_axes((left + 0.275, 0.36, 0.01, 0.36)))
        bar.outline.set_linewidth(0.4)
        bar.ax.tick_params(labelsize=8, length=2)
        (scale,) = axes.plot([], [], color=style.BLACK, linewidth=1.5, solid_capstyle="butt")
        length = axes.text(0, 0, "", fontsize=8, va="center")
        return {"axes": axes, "points": points, "scale": scale, "length": length}

    def _history(self, axes: Axes) -> Any:
        """The share of correct images over the whole training with the phases above it; returns the moving mark."""
        scene = self.scene
        style.step_axis(axes, np.array(scene.steps))
        alone = len(scene.steps) == 1  # an axis needs a width
        axes.set_xlim(scene.steps[0] - alone, scene.steps[-1] + alone)
        measured = scene.correct.dropna()
        axes.plot(measured.index, measured, color=style.BLACK, marker="o", markersize=3, linewidth=1.2)
        top = 1.15
        for kind, name in reversed(PHASES.items()):
            if len(scene.phases):
                strip = marks.phase_strip(axes, top + 0.2, 0.4, scene.phases["step"], scene.phases[kind])
                marks.name_stretches(axes, [(start, end, top + 0.2, phase) for start, end, phase in strip])
                beside: Any = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center"}
                axes.text(-0.008, top + 0.2, f"{name} phase", **beside)
                top += 0.5
        axes.set(ylim=(0, top), yticks=[0, 1])
        axes.set_ylabel("correct", rotation=0, ha="right", va="center", y=0.5 / top)
        return axes.axvline(scene.steps[0], color=style.VERMILLION, linewidth=2, clip_on=False, zorder=9)

    def picture(self, moment: Moment) -> np.ndarray:
        """The frame of a moment, pixels of shape (height, width, 3)."""
        here, share = moment.number, moment.fraction
        beyond = min(here + 1, len(self.scene.steps) - 1)
        place = (1 - share) * self.scene.places[here] + share * self.scene.places[beyond]
        half = _reach(self.scene.places[here]) ** (1 - share) * _reach(self.scene.places[beyond]) ** share
        for cloud in self.clouds:
            _show(cloud, place, half, alpha=1.0 if share == 0 else PALE)
        self.images.set_data(self.scene.mosaics[here])
        step, following = self.scene.steps[here], self.scene.steps[beyond]
        self.images_title.set_text(f"images at step {step}" + (", ring: request" if len(self.scene.rings) else ""))
        self.cursor.set_xdata([(1 - share) * step + share * following] * 2)
        _write(self.title, self._caption(here) if share == 0 else f"step {step} → {following}", share)
        self.note.set_text("" if share == 0 else "between checkpoints: points moved in straight lines, not measured")
        return _pixels(self.figure)

    def _caption(self, number: int) -> str:
        """What was measured at a checkpoint."""
        step = self.scene.steps[number]
        parts = [f"step {step}"]
        verdicts = self.scene.phases[self.scene.phases["step"] == step]
        if len(verdicts):
            parts += [f"{name} phase {verdicts[kind].iloc[0]}" for kind, name in PHASES.items()]
        correct = self.scene.correct.iloc[number]
        parts.append(f"{correct:.0%} of images correct" if np.isfinite(correct) else "images not judged")
        return "   ·   ".join(parts)


def _reach(places: np.ndarray) -> float:
    """Half the side of the square in which a cloud is seen."""
    return float(0.5 * np.ptp(places, axis=0).max() * 1.12) or 1.0


def _show(cloud: dict[str, Any], places: np.ndarray, half: float, alpha: float) -> None:
    axes = cloud["axes"]
    x, y = (places.min(axis=0) + places.max(axis=0)) / 2
    cloud["points"].set_offsets(places)
    cloud["points"].set_alpha(alpha)
    wide = half * 1.06 * axes.bbox.width / axes.bbox.height
    axes.set(xlim=(x - wide, x + wide), ylim=(y - 1.14 * half, y + 1.0 * half))
    length = marks.round_number(0.5 * half)
    left, bottom = x - 0.97 * wide, y - 1.1 * half
    cloud["scale"].set_data([left, left + length], [bottom, bottom])
    cloud["length"].set(x=left + length + 0.05 * half, y=bottom, text=f"{length:g}")


def _write(title: Text, text: str, share: float) -> None:
    title.set_text(text)
    title.set_color(style.BLACK if share == 0 else style.GREY)


def _pixels(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _gif(pictures: list[np.ndarray], durations: list[int], palette: np.ndarray) -> bytes:
    """Frames in one palette (colours, 3), so that no colour flickers and only what changes is stored.

    What stays is transparent (``optimize``), which takes a quarter off the file.
    """
    nearest = KDTree(palette)
    frames = []
    for picture in pictures:
        packed = picture.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
        codes, places = np.unique(packed, return_inverse=True)
        colours = np.stack([codes >> 16, (codes >> 8) & 255, codes & 255], axis=1)
        frame = Image.fromarray(nearest.query(colours)[1].astype(np.uint8)[places].reshape(packed.shape))
        frame.putpalette(palette.astype(np.uint8).tobytes())
        frames.append(frame)
    file = BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True)
    return file.getvalue()


def _palette(torus: bool) -> np.ndarray:
    """All colours that a frame may have, 0 to 255, shape (at most 255, 3): one more is transparent."""
    scale = colormaps[style.request_colours(torus)](np.linspace(0, 1, 32))[:, :3]
    pale = [1 - share * (1 - scale[::2]) for share in (PALE, 0.5 + PALE / 2)]  # the latter at the rims of points
    named = [to_rgb(colour) for colour in (*style.PHASES.values(), style.VERMILLION, style.ORANGE, style.GREY)]
    grey = np.linspace(0, 1, 32)[:, None].repeat(3, axis=1)
    return np.round(255 * np.concatenate([grey, scale, *pale, named])).astype(int)
