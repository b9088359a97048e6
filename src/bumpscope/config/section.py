"""What every section of a configuration is made of, and the one text and fingerprint of plain data."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, create_model


class Section(BaseModel):
    """Base of all sections: unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def partial(section: type[Section]) -> type[Section]:
    """The same section with every key optional, for overrides."""
    fields: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        # FieldInfo carries the constraints of the full section; only the default differs.
        annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        fields[name] = (annotation | None, Field(None, description=field.description))
    return cast("type[Section]", create_model(f"{section.__name__}Override", __base__=Section, **fields))


def canonical_json(value: Any) -> str:
    """``value`` as JSON with sorted keys and no spaces, so that equal values have equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def fingerprint(*values: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of ``values``."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()[:16]
