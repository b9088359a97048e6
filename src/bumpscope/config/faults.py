"""How a fault of a configuration is worded, on one line: the key's path, its value, what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

# What is allowed where pydantic finds an error of this type.
_ALLOWED = {
    "literal_error": "one of {expected}",
    "greater_than": "a number > {gt}",
    "greater_than_equal": "a number >= {ge}",
    "less_than": "a number < {lt}",
    "less_than_equal": "a number <= {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "finite_number": "a finite number",
    "too_short": "a list or mapping of length {min_length} or more",
    "too_long": "a list of length {max_length} or less",
    "string_too_short": "text that is not empty",
    "string_pattern_mismatch": "a letter, then letters, digits, _ and -",
    "value_error": "{error}",
    "invalid_key": "keys that are text",
}
_KINDS = {bool: "true/false", str: "text", int: "whole number", float: "number", list: "list", dict: "mapping"}


class Fault(NamedTuple):
    """A value that is not allowed."""

    key: str
    value: Any
    allowed: str

    def line(self, prefix: str = "") -> str:
        """The fault as text; ``prefix`` is what the key's path begins with."""
        return f"{prefix}{self.key}: holds {show(self.value)}; allowed: {self.allowed}"


def show(value: Any) -> str:
    """A value as short text with its kind."""
    try:
        text = json.dumps(value, default=str)
    except (TypeError, ValueError):  # what YAML can hold and JSON cannot: a date as a key, a list inside itself
        text = repr(value)
    kind = "nothing" if value is None else _KINDS.get(type(value), type(value).__name__)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({kind})"


def translate(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """One line for each error that pydantic found; ``root`` is the model of the whole configuration."""
    return [_line(one, root) for one in error.errors()]


def _line(error: ErrorDetails, root: type[BaseModel]) -> str:
    path = ".".join(_printable(str(part)) for part in error["loc"] if part != "[key]") or "config"
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return f"{path}: unknown key (holds {show(value)}); allowed: {', '.join(_keys_at(root, error['loc'][:-1]))}"
    if kind == "missing":
        return f"{path}: is missing; it must be given"
    allowed = _ALLOWED[kind].format(**error.get("ctx", {})).replace("'", "") if kind in _ALLOWED else error["msg"]
    if kind in ("float_type", "int_type") and isinstance(value, str) and re.fullmatch(r"\s*[-+.\deE]+\s*", value):
        allowed += " (YAML reads this as text: write 1.0e-3, with a point and without quotes)"
    return Fault(path, value, allowed).line()


def _printable(key: str) -> str:
    """A key on one line, with characters that cannot be printed written as in Python."""
    return key if key.isprintable() else repr(key)[1:-1]


def _keys_at(root: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys allowed at a place of the configuration."""
    section = root
    for place, part in enumerate(location):
        is_name = place == 1 and location[0] in ("datasets", "more_datasets")
        if isinstance(part, str) and not is_name:
            section = _section_in(section.model_fields[part].annotation) or section
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The first section that a type consists of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)
