"""Parquet tables: their columns, and how they are written whole or not at all.

The schema is checked on write and on read. Every file carries in its schema metadata the package
version, the run it belongs to and a fingerprint of just the settings that it depends on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bumpscope.config import fingerprint
from bumpscope.version import __version__

IMAGE = "image"
VECTOR = "vector"
_PLAIN: dict[str, pa.DataType] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "bool": pa.bool_(),
    VECTOR: pa.list_(pa.float32()),
}


class TableError(RuntimeError):
    """A table that is missing, broken or of another shape; one line that names the file and the cure."""


@dataclass(frozen=True)
class Column:
    """A column: its name, its kind (int, float, text, bool, vector, image), its unit and what it says."""

    name: str
    kind: str
    unit: str
    description: str


@dataclass(frozen=True)
class Table:
    """A table: where it lies under the output folder, what one row is, and its columns."""

    path: str
    row: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]


def _columns(text: str) -> tuple[Column, ...]:
    """Read ``name | kind | unit | description`` lines."""
    rows = [tuple(part.strip() for part in line.split("|")) for line in text.strip().splitlines()]
    return tuple(Column(*row) for row in rows)


_STEP = "step | int | optimiser steps | training checkpoint\n"
_WHERE = _STEP + (
    "layer | text | – | block of the denoiser whose output this is\n"
    "t | int | – | diffusion timestep that the sampler really visited\n"
)
_REQUEST = _STEP + (
    "sample | int | – | number of the generated image, the same request and noise at every checkpoint\n"
    "mu_x | float | px | requested centre, x (column)\n"
    "mu_y | float | px | requested centre, y (row)\n"
    "split | text | – | seen, heldout (withheld combination) or between (between lattice points)\n"
)

TABLES: dict[str, Table] = {
    "dataset": Table(
        "datasets/{dataset}.parquet",
        "a lattice point",
        _columns(
            "mu_x | float | px | centre, x (column)\n"
            "mu_y | float | px | centre, y (row)\n"
            "probability | float | – | probability that a training image is drawn here; 0 for a withheld point\n"
            "split | text | – | seen, or heldout where the combination is withheld\n"
            "image | image | intensity 0 to 1 | N x N pixels, row-major (row = y)"
        ),
    ),
    "runs": Table(
        "runs.parquet",
        "a run",
        _columns(
            "run | text | – | run id\n"
            "dataset | text | – | name of the dataset\n"
            "seed | int | – | random seed\n"
            "dx | float | px | lattice spacing, x\n"
            "dy | float | px | lattice spacing, y\n"
            "image_size | int | px | side of the image\n"
            "sigma | float | px | standard deviation of a bump\n"
            "margin | float | px | kept free of centres at each edge\n"
            "boundary | text | – | plane or torus\n"
            "polarity | text | – | bright or dark\n"
            "skew_axis | text | – | none, x, y or both\n"
            "skew_alpha | float | – | exponent of the sampling power law\n"
            "prediction | text | – | what the network predicts: epsilon or v\n"
            "n_images | int | – | lattice points with a probability above 0\n"
            "n_parameters | int | – | trainable parameters\n"
            "batch_size | int | images | images in an optimiser step\n"
            "training_steps | int | optimiser steps | length of the training\n"
            "path | text | – | folder of the run, relative to the output folder"
        ),
    ),
    "losses": Table(
        "{path}/losses.parquet",
        "a logged step",
        _columns(
            _STEP + "loss | float | – | mean squared error of the prediction, mean since the row before\n"
            "learning_rate | float | – | of this step\n"
            "images_seen | int | images | training images drawn so far"
        ),
    ),
    "samples": Table(
        "{path}/samples.parquet",
        "a generated image",
        _columns(
            _REQUEST + "noise_seed | int | – | seed of this image's own noise\n"
            "image | image | intensity | N x N pixels, row-major (row = y); training images lie in 0 to 1"
        ),
    ),
    "behaviour": Table(
        "{path}/behaviour.parquet",
        "a generated image",
        _columns(
            _REQUEST + "bumps | int | – | bumps of at least the faint amplitude\n"
            "x | float | px | fitted centre of the strongest bump, x; empty without a bump\n"
            "y | float | px | fitted centre of the strongest bump, y; empty without a bump\n"
            "amplitude | float | intensity | its fitted amplitude; a true bump has 1\n"
            "width | float | px | its fitted standard deviation\n"
            "error | float | px | distance from the request (periodic on a torus); empty without a bump\n"
            "outcome | text | – | none, multiple, misplaced or correct"
        ),
    ),
    "latents": Table(
        "{path}/latents.parquet",
        "an activation vector",
        _columns(
            _WHERE + "sample | int | – | generated image on whose way the activation was read\n"
            "vector | vector | activation | channels x rows x columns, flattened in that order"
        ),
    ),
    "geometry": Table(
        "{path}/geometry.parquet",
        "a number",
        _columns(
            _WHERE + "space | text | – | raw, pca3 or umap3: where the number was taken\n"
            "label | text | – | requested, realised or shuffled centres; empty where no label is used\n"
            "metric | text | – | name of the number\n"
            "value | float | see the metric | its value; empty where it is not defined"
        ),
    ),
    "embedding": Table(
        "{path}/embedding.parquet",
        "a point of a picture",
        _columns(
            _WHERE + "sample | int | – | generated image\n"
            + "\n".join(
                f"{space}_{k} | float | – | coordinate {k} of {text}"
                for space, text in (("pca", "the checkpoint's own PCA"), ("umap", "UMAP"), ("aligned", "the basis shared by all checkpoints"))
                for k in (1, 2, 3)
            )
        ),
    ),
    "topology": Table(
        "{path}/topology.parquet",
        "a bar",
        _columns(
            _WHERE + "dimension | int | – | homology dimension, 0 to 2\n"
            "birth | float | median distance | radius at which the feature appears\n"
            "death | float | median distance | radius at which it fills; infinite if it never does\n"
            "significant | bool | – | counted as a feature by the rule in docs/science.md"
        ),
    ),
    "effects": Table(
        "{path}/effects.parquet",
        "a probe",
        _columns(
            _STEP + "t | int | – | diffusion timestep\n"
            "weights | text | – | ema or raw\n"
            "effect_x | float | – | how much of the x label the estimate uses; 1: like the Bayes denoiser that knows x\n"
            "effect_y | float | – | the same for y\n"
            "effect_xy | float | – | what needs both labels at once\n"
            "residual | float | – | label-independent part of the error, over the blind optimum's\n"
            "excess | float | – | whole error over the blind optimum's; 1: label-blind optimum, 0: perfect\n"
            "effect_x_low | float | – | lower end of the 95% bootstrap interval over probes\n"
            "effect_x_high | float | – | upper end\n"
            "effect_y_low | float | – | lower end\n"
            "effect_y_high | float | – | upper end\n"
            "condition | float | – | condition number of the fit; above 100 the effects mean little"
        ),
    ),
    "phases": Table(
        "{path}/phases.parquet",
        "a checkpoint",
        _columns(
            _STEP + "latent_phase | text | – | A, B, C or ?: from geometry alone\n"
            "behaviour_phase | text | – | A, B, C or ?: from outcomes alone\n"
            "layer | text | – | layer that the latent verdict was read at\n"
            "t | int | – | timestep that it was read at\n"
            "reason | text | – | the numbers behind the latent verdict"
        ),
    ),
    "metrics": Table(
        "metrics.parquet",
        "a number of a checkpoint of a run",
        _columns(
            "run | text | – | run id\n"
            "dataset | text | – | name of the dataset\n"
            "seed | int | – | random seed\n" + _STEP + "metric | text | – | name, with its qualifiers separated by /\n"
            "value | float | see the metric | its value; empty where it is not defined"
        ),
    ),
    "coupling": Table(
        "coupling.parquet",
        "an imbalanced dataset against its nulls",
        _columns(
            "dataset | text | – | the imbalanced dataset\n"
            "measure | text | – | learning curves the times come from: effects or accuracy\n"
            "coupling | float | – | 0 factorised, 1 coupled, above 1 reversed; empty where undetermined\n"
            "low | float | – | lower end of its 95% interval\n"
            "high | float | – | upper end\n"
            "gap | float | ln steps | mean of ln tau_x - ln tau_y\n"
            "gap_low | float | ln steps | lower end of its 90% interval\n"
            "gap_high | float | ln steps | upper end\n"
            "null_gap | float | ln steps | the same difference between the null runs\n"
            "null_low | float | ln steps | lower end of its 95% interval\n"
            "null_high | float | ln steps | upper end\n"
            "runs | int | – | seeds that the estimate rests on\n"
            "censored | int | – | runs in which a curve never reached one half\n"
            "simultaneous | text | – | yes if the gap's 90% interval lies inside ±ln 1.1, else no or undetermined\n"
            "verdict | text | – | coupled, factorised, partial, reversed or undetermined"
        ),
    ),
    "claims": Table(
        "claims.parquet",
        "a claim",
        _columns(
            "claim | text | – | id of the claim\n"
            "statement | text | – | what is claimed\n"
            "statistic | text | – | what was computed\n"
            "estimate | float | see the statistic | its value; empty without data\n"
            "low | float | see the statistic | lower end of its 95% interval\n"
            "high | float | see the statistic | upper end\n"
            "runs | int | – | runs that it rests on\n"
            "verdict | text | – | supported, contradicted or undetermined\n"
            "reason | text | – | the rule's words for the verdict"
        ),
    ),
}


def provenance(settings: Mapping[str, Any], *inputs: str | Path, run: str = "") -> dict[str, str]:
    """Metadata for a table: version, run id, and a fingerprint of its own settings and of its inputs'.

    Chaining the inputs' fingerprints makes it stand for everything upstream, and for nothing else.
    """
    upstream = sorted(read_metadata(path).get("settings", "") for path in inputs)
    return {"version": __version__, "run": run, "settings": fingerprint(dict(settings), upstream)}


def read_metadata(path: str | Path) -> dict[str, str]:
    """Metadata of a table file (keys version, run, settings, table)."""
    try:
        raw = pq.read_schema(path).metadata or {}
    except FileNotFoundError:
        raise TableError(f"{path}: is missing; run the step that makes it") from None
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path}: is not a readable Parquet file ({_first_line(error)}); {_CURE}") from None
    prefix = b"bumpscope."
    return {key[len(prefix) :].decode(): value.decode() for key, value in raw.items() if key.startswith(prefix)}


_CURE = "delete it and run the workflow again"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _schema(name: str, metadata: Mapping[str, str], image_length: int) -> pa.Schema:
    fields = []
    for column in TABLES[name].columns:
        kind = pa.list_(pa.float32(), image_length) if column.kind == IMAGE else _PLAIN[column.kind]
        fields.append(pa.field(column.name, kind, metadata={"unit": column.unit, "description": column.description}))
    tagged = {f"bumpscope.{key}": value for key, value in {"table": name, **metadata}.items()}
    return pa.schema(fields, metadata=tagged)


def _to_arrow(name: str, data: Mapping[str, Any] | pd.DataFrame, metadata: Mapping[str, str]) -> pa.Table:
    table = TABLES[name]
    given = list(data.columns) if isinstance(data, pd.DataFrame) else list(data)
    if given != table.names:
        raise TableError(f"table {name}: has columns {given}; it must have {table.names}")
    arrays, length = [], 0
    for column in table.columns:
        values = data[column.name]
        if column.kind in (IMAGE, VECTOR):
            arrays.append(_nested(column, values))
            length = arrays[-1].type.list_size if column.kind == IMAGE else length
        else:
            try:
                arrays.append(pa.array(values, type=_PLAIN[column.kind], from_pandas=True))
            except (pa.ArrowException, TypeError) as error:
                raise TableError(f"table {name}, column {column.name}: {_first_line(error)}") from None
    return pa.Table.from_arrays(arrays, schema=_schema(name, metadata, length))


def _nested(column: Column, values: Any) -> pa.Array:
    """An (n, k) float array as an Arrow list column, without a Python object for each number."""
    block = np.ascontiguousarray(values, dtype=np.float32)
    if block.ndim != 2:
        raise TableError(f"column {column.name}: has shape {block.shape}; it must be (rows, numbers)")
    flat = pa.array(block.reshape(-1))
    if column.kind == IMAGE:
        return pa.FixedSizeListArray.from_arrays(flat, block.shape[1])
    offsets = pa.array(np.arange(len(block) + 1, dtype=np.int32) * block.shape[1])
    return pa.ListArray.from_arrays(offsets, flat)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that becomes ``path`` when the block ends well, and else vanishes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        cure = "free some space" if error.errno == 28 else "check the folder and its permissions"
        raise TableError(f"{path}: cannot be written ({error.strerror or error}); {cure} and run again") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class TableWriter:
    """Appends row groups to a table; used through :func:`open_table`."""

    def __init__(self, name: str, path: Path, metadata: Mapping[str, str]):
        self._name, self._path, self._metadata = name, path, metadata
        self._writer: pq.ParquetWriter | None = None

    def append(self, data: Mapping[str, Any] | pd.DataFrame) -> None:
        """Add a row group; ``data`` has exactly the table's columns, images and vectors as (rows, numbers)."""
        table = _to_arrow(self._name, data, self._metadata)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is None:
            raise TableError(f"table {self._name}: nothing was written to it")
        self._writer.close()


@contextmanager
def open_table(name: str, path: str | Path, metadata: Mapping[str, str]) -> Iterator[TableWriter]:
    """Write a table in pieces; it appears under ``path`` when the block ends well, or not at all."""
    with atomic_path(path) as temporary:
        writer = TableWriter(name, temporary, metadata)
        yield writer
        writer.close()


def write_table(name: str, path: str | Path, data: Mapping[str, Any] | pd.DataFrame, metadata: Mapping[str, str]) -> None:
    """Write a table whole."""
    with open_table(name, path, metadata) as writer:
        writer.append(data)


def read_table(
    name: str,
    path: str | Path,
    columns: Sequence[str] | None = None,
    filters: Any = None,
) -> pd.DataFrame:
    """Read a table as a frame of its plain columns; images and vectors come from :func:`read_block`.

    Args:
        filters: a pyarrow filter, such as ``[("step", "==", 100)]``.

    Raises:
        TableError: when the file is missing or broken, or is not this table.
    """
    plain = [c.name for c in TABLES[name].columns if c.kind not in (IMAGE, VECTOR)]
    return _read(name, path, plain if columns is None else list(columns), filters).to_pandas()


def read_block(name: str, path: str | Path, column: str, filters: Any = None) -> np.ndarray:
    """Read an image or vector column as an array of shape (rows, numbers), float32.

    Raises:
        TableError: as :func:`read_table`, and when the selected rows differ in length.
    """
    table = _read(name, path, [column], filters)
    values = table.column(column).combine_chunks()
    flat = values.flatten().to_numpy(zero_copy_only=False)
    rows = len(values)
    if rows == 0 or len(flat) % rows:
        raise TableError(f"{path}: rows of {column} differ in length or are none; select one layer")
    return flat.reshape(rows, -1).astype(np.float32, copy=False)


def _read(name: str, path: str | Path, columns: list[str], filters: Any) -> pa.Table:
    try:
        schema = pq.read_schema(path)
        _check_schema(name, path, schema)
        return pq.read_table(path, columns=columns, filters=filters, partitioning=None)
    except FileNotFoundError:
        raise TableError(f"{path}: is missing; run the step that makes it") from None
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path}: is not a readable Parquet file ({_first_line(error)}); {_CURE}") from None


def _check_schema(name: str, path: str | Path, schema: pa.Schema) -> None:
    for column in TABLES[name].columns:
        if column.name not in schema.names:
            raise TableError(f"{path}: is not a {name} table (column {column.name} is missing); {_CURE}")
        kind = schema.field(column.name).type
        if column.kind == IMAGE:
            fits = pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float32()
        else:
            fits = kind == _PLAIN[column.kind]
        if not fits:
            raise TableError(f"{path}: is not a {name} table (column {column.name} is {kind}); {_CURE}")
