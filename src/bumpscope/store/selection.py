"""Selecting rows and columns of a table, with names and values checked against its schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import reduce
from numbers import Integral, Real
from operator import and_, or_
from typing import Any

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bumpscope.store.names import XY, Names
from bumpscope.store.schemas import IMAGE, TABLES, VECTOR

_TYPES: dict[str, type] = {"int": Integral, "float": Real, "text": str, "bool": bool}
_SHOWN = 24
# Tables with rows of other weights than those that verdicts are read from.
JUDGED = ("samples", "behaviour", "latents", "geometry", "embedding", "umaps", "topology", "phases", "metrics")


class UnknownName(KeyError):
    """A name that does not exist; the message is one line and lists those that do."""

    def __str__(self) -> str:
        return str(self.args[0])


def unknown(what: str, name: object, there: Iterable[object]) -> str:
    """The message of an unknown name: the closest names, and all that exist."""
    names = [str(known) for known in there]
    close = get_close_matches(name, names, n=3) if isinstance(name, str) else []
    guess = f" (did you mean {' or '.join(close)}?)" if close else ""
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return f"no {what} {name!r}{guess}; there are: {', '.join(names[:_SHOWN]) or 'none'}{more}"


def plain_columns(table: str, names: Names = XY) -> list[str]:
    """The columns of a table that a frame can hold, in a world with these factors: all but images and vectors."""
    return [column.name for column in TABLES[table].of(names).columns if column.kind not in (IMAGE, VECTOR)]


def chosen_columns(table: str, columns: Sequence[str] | None, names: Names = XY) -> list[str]:
    """The columns asked for, in a world with these factors; all plain ones by default.

    Raises:
        UnknownName: for a column that the table does not have, and for images and vectors.
    """
    known = plain_columns(table, names)
    if isinstance(columns, str):
        columns = [columns]
    for column in columns or ():
        if column not in known:
            raise UnknownName(unknown(f"plain column of {table}", column, known))
    return known if columns is None else list(columns)


def condition(table: str, where: Mapping[str, Any], filters: Any = None, names: Names = XY) -> pc.Expression | None:
    """A filter for the Parquet reader, which applies it before rows are in memory; None for all rows.

    Args:
        where: column -> value or values; None selects empty cells.
        filters: a pyarrow filter that must hold as well.
        names: of the factors of the table's world.

    Raises:
        UnknownName: for a column that the table does not have.
        ValueError: for a value that does not fit its column.
    """
    parts = []
    if filters is not None:
        parts.append(filters if isinstance(filters, pc.Expression) else pq.filters_to_expression(filters))
    for column, wanted in where.items():
        if column not in (known := plain_columns(table, names)):
            raise UnknownName(unknown(f"column of {table}", column, known))
        values = as_list(wanted)
        for value in values:
            _check_value(table, column, value, names)
        field, filled = pc.field(column), [value for value in values if value is not None]
        alternatives = ([field.isin(filled)] if filled else []) + ([field.is_null()] if None in values else [])
        parts.append(reduce(or_, alternatives, pc.scalar(False)))
    return reduce(and_, parts) if parts else None


def judged(table: str, weights: str) -> dict[str, Any]:
    """The condition on a table's rows that they are of the judged weights, or of no weights; {} where all rows are.

    Tables of what was measured with all weights at every checkpoint, such as ``effects``, are read whole.
    """
    if table not in JUDGED:
        return {}
    return {"weights": [weights, None] if table == "metrics" else weights}


def matching(frame: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """Rows of a frame in memory, selected as by :meth:`bumpscope.store.results.Results.table`.

    Args:
        where: column = value or column = [values]; None selects empty cells.
    """
    for column, wanted in where.items():
        values = as_list(wanted)
        fits = frame[column].isin([value for value in values if value is not None])
        if None in values:
            fits |= frame[column].isna()
        frame = frame[fits]
    return frame


def as_list(wanted: Any) -> list[Any]:
    """One value or several, as a list of plain Python values."""
    several = isinstance(wanted, Iterable) and not isinstance(wanted, str)
    return [value.item() if hasattr(value, "item") else value for value in (wanted if several else [wanted])]


def _check_value(table: str, column: str, value: Any, names: Names) -> None:
    kind = next(known.kind for known in TABLES[table].of(names).columns if known.name == column)
    # Python takes True for 1, so that step=True would select step 1.
    fits = isinstance(value, _TYPES[kind]) and isinstance(value, bool) == (kind == "bool")
    if value is not None and not fits:
        raise ValueError(f"{column}: holds {value!r}; column {column} of {table} has values of kind {kind}")
