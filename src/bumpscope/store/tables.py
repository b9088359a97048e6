"""Parquet tables: checked against their schema when written and read, and written whole or not at all.

The schema metadata of a file holds the package version, its run, its own settings, and fingerprints of all settings and
of all code that it depends on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem
from safetensors import SafetensorError, safe_open

from bumpscope import __version__
from bumpscope.config.section import canonical_json
from bumpscope.store.files import CURE, FileError, first_line
from bumpscope.store.headers import own, told_by
from bumpscope.store.manifest import recorded_path, verify
from bumpscope.store.names import XY, Names
from bumpscope.store.origin import Origin
from bumpscope.store.schemas import IMAGE, TABLES, VECTOR, Column, Table

_PLAIN: dict[str, pa.DataType] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "bool": pa.bool_(),
    VECTOR: pa.list_(pa.float32()),
}
_PARQUET = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True, pre_buffer=False)
)


class TableError(FileError):
    """A table that is missing, broken or of another shape; one line that names the file and the cure."""


def provenance(
    settings: Mapping[str, Any], *inputs: str | Path, run: str = "", code: Sequence[str] = (), names: Names = XY
) -> dict[str, str]:
    """Metadata for a result: version, run id, own settings, and its :class:`.lineage.Origin`.

    Args:
        inputs: the files that it is made from.
        run: the run that it belongs to, if any.
        code: the modules whose code makes it, as for :func:`.provenance.code_fingerprint`.
        names: of the factors that its columns are named after.

    Raises:
        TableError: when an input is missing or broken, or belongs to another run than ``run``.
    """
    upstream = []
    for path in inputs:
        metadata = metadata_of(path)
        _check_run(path, metadata.get("run", ""), run)
        upstream.append(Origin.told(metadata))
    origin = Origin.of(settings, code, upstream)
    about = {"version": __version__, "run": run, "config": canonical_json(dict(settings)), **origin._asdict()}
    return about if names == XY else about | {"factors": str(names)}


def _of(name: str, metadata: Mapping[str, str]) -> Table:
    """A table as of the factors that the metadata of its file tell."""
    return TABLES[name].of(Names.parse(metadata.get("factors", str(XY))))


def metadata_of(path: str | Path) -> dict[str, str]:
    """What a result says of itself; only its header is read, and what a table or a checkpoint holds is not checked.

    Raises:
        TableError: when the file is missing or broken.
    """
    kinds = {".parquet": "Parquet file", ".safetensors": "checkpoint"}
    with _one_line_errors(path, kinds.get(Path(path).suffix, "file")):
        return told_by(Path(path))


def _check_run(path: str | Path, found: str, run: str) -> None:
    """Tell a file of another run; where either is of no run in particular there is nothing to compare."""
    if found and run and found != run:
        raise TableError(f"{path}: belongs to run {found}, not to {run}; {CURE}")


def read_checkpoint_metadata(path: str | Path, *needed: str) -> dict[str, str]:
    """Metadata of a checkpoint, without its tensors (and without torch, which takes seconds to import).

    Args:
        needed: keys that it must have.

    Raises:
        TableError: when the file is missing or broken, or lacks one of them.
    """
    with _one_line_errors(path, "checkpoint"):
        verify(path)
        with safe_open(path, framework="np") as file:
            metadata = dict(file.metadata() or {})
    if missing := [key for key in needed if key not in metadata]:
        raise TableError(f"{path}: is not a checkpoint of a run (it does not say its {', '.join(missing)}); {CURE}")
    return metadata


def read_metadata(path: str | Path) -> dict[str, str]:
    """Metadata of a table file (keys version, run, config, settings, code, table)."""
    with _one_line_errors(path):
        return own(_schema_of(path).metadata or {})


def _schema(name: str, metadata: Mapping[str, str], image_length: int) -> pa.Schema:
    fields = []
    for column in _of(name, metadata).columns:
        kind = pa.list_(pa.float32(), image_length) if column.kind == IMAGE else _PLAIN[column.kind]
        fields.append(pa.field(column.name, kind, metadata={"unit": column.unit, "description": column.description}))
    tagged = {f"bumpscope.{key}": value for key, value in {"table": name, **metadata}.items()}
    return pa.schema(fields, metadata=tagged)


def _to_arrow(name: str, data: Mapping[str, Any] | pd.DataFrame, metadata: Mapping[str, str]) -> pa.Table:
    table = _of(name, metadata)
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
                # As a series, since Arrow cuts the fractions of a plain list of numbers off without a word.
                arrays.append(pa.array(pd.Series(values), type=_PLAIN[column.kind], from_pandas=True))
            except (pa.ArrowException, TypeError) as error:
                raise TableError(f"table {name}, column {column.name}: {first_line(error)}") from None
    try:
        return pa.Table.from_arrays(arrays, schema=_schema(name, metadata, length))
    except pa.ArrowException as error:
        raise TableError(f"table {name}: {first_line(error)}") from None


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


class TableWriter:
    """Appends row groups to a table; used through :func:`open_table`."""

    def __init__(self, name: str, path: Path, metadata: Mapping[str, str]):
        self._name, self._path, self._metadata = name, path, metadata
        self._file: pa.NativeFile | None = None
        self._writer: pq.ParquetWriter | None = None

    def append(self, data: Mapping[str, Any] | pd.DataFrame) -> None:
        """Add a row group; ``data`` has exactly the table's columns, images and vectors as (rows, numbers)."""
        table = _to_arrow(self._name, data, self._metadata)
        if self._writer is None:
            self._file = pa.OSFile(str(self._path), "wb")
            self._writer = pq.ParquetWriter(self._file, table.schema, compression="zstd", write_page_checksum=True)
        elif table.schema != self._writer.schema:
            raise TableError(f"table {self._name}: has images of another size than the rows before")
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is None or self._file is None:
            raise TableError(f"table {self._name}: nothing was written to it")
        self._writer.close()
        self._file.close()

    def abandon(self) -> None:
        """Let go of the file as it is; a full disk has no room for a log while a file without a name is held open."""
        if self._writer is not None and self._file is not None:
            self._writer.is_open = False  # else it would write its footer when it is thrown away
            with suppress(OSError):
                self._file.close()


@contextmanager
def open_table(name: str, path: str | Path, metadata: Mapping[str, str]) -> Iterator[TableWriter]:
    """Write a table in pieces; it appears under ``path`` when the block ends well, or not at all."""
    with recorded_path(path) as temporary:
        writer = TableWriter(name, temporary, metadata)
        try:
            yield writer
            writer.close()
        except BaseException:
            writer.abandon()
            raise


def write_table(
    name: str, path: str | Path, data: Mapping[str, Any] | pd.DataFrame, metadata: Mapping[str, str]
) -> None:
    """Write a table whole."""
    with open_table(name, path, metadata) as writer:
        writer.append(data)


def read_table(
    name: str,
    path: str | Path,
    columns: Sequence[str] | None = None,
    filters: Any = None,
    run: str = "",
) -> pd.DataFrame:
    """Read a table as a frame of its plain columns; images and vectors come from :func:`read_block`.

    Args:
        filters: a pyarrow filter, such as ``[("step", "==", 100)]``.
        run: the run that the table must belong to, if any.

    Raises:
        TableError: when the file is missing or broken, or is not this table.
    """
    table = _read(name, path, None if columns is None else list(columns), filters, run)
    # pandas would make floats of whole numbers beside empty cells.
    gaps = [field.name for field in table.schema if field.type == pa.int64() and table[field.name].null_count]
    return table.to_pandas().astype(dict.fromkeys(gaps, "Int64"))


def read_block(name: str, path: str | Path, column: str, filters: Any = None, run: str = "") -> np.ndarray:
    """Read an image or vector column as an array of shape (rows, numbers), float32.

    Raises:
        TableError: as :func:`read_table`, and when the selected rows differ in length.
    """
    table = _read(name, path, [column], filters, run)
    values = table.column(column).combine_chunks()
    if not len(values):
        raise TableError(f"{path}: has no row of {column} that fits the selection; see which values its columns have")
    if pc.count_distinct(pc.list_value_length(values)).as_py() != 1:
        raise TableError(f"{path}: rows of {column} differ in length; select one layer")
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(values), -1).astype(np.float32, copy=False)


def _read(name: str, path: str | Path, columns: list[str] | None, filters: Any, run: str) -> pa.Table:
    with _readable(name, path) as schema:
        about = own(schema.metadata or {})
        _check_run(path, about.get("run", ""), run)
        if columns is None:
            columns = [column.name for column in _of(name, about).columns if column.kind not in (IMAGE, VECTOR)]
        if filters is not None and not isinstance(filters, pc.Expression):
            filters = pq.filters_to_expression(filters)
        file = _PARQUET.make_fragment(str(path), LocalFileSystem())
        # One row group after another, since Arrow would read far ahead and hold rows that the filter drops.
        groups = [
            group.to_table(columns=columns, filter=filters, schema=schema)
            for group in file.split_by_row_group(filters, schema)
        ]
        return pa.concat_tables([schema.empty_table().select(columns), *groups])


@contextmanager
def _readable(name: str, path: str | Path) -> Iterator[pa.Schema]:
    """The schema of a table's file, checked; errors while reading in the block become one line."""
    with _one_line_errors(path):
        schema = _schema_of(path)
        _check_schema(name, path, schema)
        yield schema


def _schema_of(path: str | Path) -> pa.Schema:
    verify(path)
    return pq.read_schema(path)


@contextmanager
def _one_line_errors(path: str | Path, kind: str = "Parquet file") -> Iterator[None]:
    """Turn whatever can go wrong in reading a file into a TableError of one line."""
    try:
        yield
    except TableError:
        raise
    except FileError as error:
        raise TableError(str(error)) from None
    except FileNotFoundError:
        raise TableError(f"{path}: is missing; run the step that makes it") from None
    except (pa.ArrowException, SafetensorError, OSError, UnicodeDecodeError, KeyError) as error:
        raise TableError(f"{path}: is not a readable {kind} ({first_line(error)}); {CURE}") from None


def _check_schema(name: str, path: str | Path, schema: pa.Schema) -> None:
    for column in _of(name, own(schema.metadata or {})).columns:
        if column.name not in schema.names:
            raise TableError(f"{path}: is not a {name} table (column {column.name} is missing); {CURE}")
        kind = schema.field(column.name).type
        if column.kind == IMAGE:
            fits = pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float32()
        else:
            fits = kind == _PLAIN[column.kind]
        if not fits:
            raise TableError(f"{path}: is not a {name} table (column {column.name} is {kind}); {CURE}")
    # Columns alone do not tell: some tables have all of another's.
    if (kept := own(schema.metadata or {}).get("table", name)) != name:
        raise TableError(f"{path}: is not a {name} table but {kept}; {CURE}")
