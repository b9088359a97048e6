"""What an experiment will fill on disk, before it runs: counted numbers, and measured bytes for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bumpscope.config.model import PAPER_LAYERS, Model
from bumpscope.config.run import Run

# Bytes in the files of the default experiment, over the rows in them. Random numbers do not compress.
BYTES_A_NUMBER = {"activations": 5.3, "images": 5.1}
BYTES_A_ROW = {"behaviour": 57, "embedding": 75, "umaps": 20, "effects": 3700}
BYTES_A_CLOUD = 10_000  # its numbers and bars
BYTES_OF_FILES = 30_000  # of a run: what has few rows
BYTES_OF_ALL_RUNS = 25e6  # figures and pages
WEIGHTS = 2 * 4  # bytes of a parameter in a checkpoint: raw and averaged, float32
STATE = 4 * 4  # and in what a training resumes from, until the workflow has ended well
HEADER = 12_000  # of a checkpoint


def parameters(image_size: int, model: Model) -> int:
    """Trainable numbers of the UNet, as in :class:`bumpscope.denoise.unet.UNet`."""
    widths = [model.base_width * multiplier for multiplier in model.channel_multipliers]
    embedding = 4 * model.embedding_width

    def dense(into: int, out: int, size: int = 1) -> int:
        return size * into * out + out

    def stage(channels: int, out: int, level: int, blocks: int) -> int:
        total = 0
        for block in range(blocks):
            into = channels if block == 0 else out
            total += 2 * into + dense(into, out, 9) + dense(embedding, 2 * out) + 2 * out + dense(out, out, 9)
            total += dense(into, out) if into != out else 0
            if image_size // 2**level in model.attention_resolutions:
                total += 2 * out + dense(out, 3 * out) + dense(out, out)
        return total

    blocks, channels = model.blocks_per_level, widths[0]
    total = dense(3 * model.embedding_width, embedding) + dense(embedding, embedding) + dense(1, channels, 9)
    for level, width in enumerate(widths):
        total += stage(channels, width, level, blocks) + dense(width, width, 9)
        channels = width
    total += stage(channels, channels, 3, blocks + 1)
    for level, width in reversed(list(enumerate(widths))):
        total += dense(channels, width, 9) + stage(2 * width, width, level, blocks)
        channels = width
    return total + 2 * channels + dense(channels, 1, 9)


def numbers_at(layer: str, image_size: int, model: Model) -> int:
    """Length of an activation vector of a layer: channels x rows x columns."""
    level = {"halved3": 3, "bottleneck": 3, "down1": 0, "down2": 1, "down3": 2, "up1": 2, "up2": 1, "up3": 0}[layer]
    width = model.base_width * model.channel_multipliers[min(level, 2)]
    return width * (image_size // 2**level) ** 2


def run_bytes(run: Run) -> dict[str, float]:
    """Bytes of a run by kind of file: checkpoints, activations, images, the rest."""
    lattice, model, probe = run.lattice, run.model, run.probe
    size = parameters(lattice.image_size, model) * (2 if run.denoiser.kind == "factorised" else 1)
    probed, shown = len(probe.checkpoints), probe.samples
    drawn = probed * len(probe.drawing) * shown
    # The control with shared noise shows each seen centre once more.
    vectors = shown + min(lattice.most_points, 0.375 * shown)
    each = [numbers_at(layer, lattice.image_size, model) for layer in probe.layers]
    # Weights beside the judged ones are asked at the first place alone.
    numbers = len(probe.timesteps) * sum(each) + (len(probe.drawing) - 1) * each[0]
    measured = probed if probe.geometry else 0
    clouds = measured * (len(probe.layers) * len(probe.timesteps) + len(probe.drawing) - 1)
    read = measured * len(probe.timesteps) * (sum(layer in PAPER_LAYERS for layer in probe.layers) or 1)
    rows = {
        "behaviour": drawn,
        "embedding": clouds * shown,
        "umaps": read * vectors,
        "effects": 2 * len(run.training.checkpoints),
    }
    rest = sum(rows[name] * BYTES_A_ROW[name] for name in rows) + clouds * BYTES_A_CLOUD + BYTES_OF_FILES
    return {
        "checkpoints": len(run.training.checkpoints) * (WEIGHTS * size + HEADER) + STATE * size,
        "activations": probed * vectors * numbers * BYTES_A_NUMBER["activations"],
        "images": drawn * lattice.image_size**2 * BYTES_A_NUMBER["images"],
        "the rest": rest,
    }


def planned_bytes(runs: Iterable[Run]) -> Counter[str]:
    """Bytes that an experiment fills, by kind of file."""
    total = Counter[str]({"the rest": int(BYTES_OF_ALL_RUNS)})
    for run in runs:
        total.update({kind: round(size) for kind, size in run_bytes(run).items()})
    return total


def gigabytes(size: float) -> str:
    """A number of bytes as text, with two digits."""
    return f"{size / 1e9:.2g} GB" if size < 1e11 else f"{size / 1e9:.0f} GB"


def shortage(planned: float, there: float, free: float) -> str:
    """One line where what is still to be written does not fit the disk; else empty.

    Args:
        planned, there, free: bytes of the whole experiment, of its files that exist, and free on the disk.
    """
    missing = planned - there
    if missing <= free:
        return ""
    return (
        f"the experiment fills about {gigabytes(planned)}, of which {gigabytes(there)} are there, and the disk has "
        f"{gigabytes(free)} left: name an output folder on a larger disk, keep fewer activations (probe.layers, "
        "probe.timesteps, probe.samples) or checkpoints, or start it all the same with --config check_disk=false"
    )
