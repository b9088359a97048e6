"""config.yaml, its JSON schema and the reference pages, made from the typed model and the table schemas."""

from __future__ import annotations

import json
import textwrap
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bumpscope.config.dataset import Dataset, Overrides
from bumpscope.config.experiment import Config
from bumpscope.config.lattice import Holdout, Lattice, Shown, Skew
from bumpscope.config.section import Section
from bumpscope.config.sensitivity import SamplerChoice
from bumpscope.config.sweep import Sweep
from bumpscope.store.schemas import TABLES
from figures_page import figures_page

_WIDTH = 120
_HEADER = """\
# The default experiment: made for two cores and no GPU. After a change only what depends on it runs again.
# Presets in workflow/presets/ are laid over this file key by key:
#   snakemake --cores 2 --configfile workflow/presets/tiny.yaml
# A preset with `datasets` or `sweep` replaces both; with `more_datasets` it adds to them. docs/config.md explains every
# key. Written by `make reference`.
"""
DATASET_NOTES = (
    "Each dataset is a lattice of bump centres. It is trained once with every seed, or with its own `seeds`, and may\n"
    "override keys of model, diffusion, training and probe."
)
SWEEP_NOTES = "A new cell trains itself and those of its controls that are not there yet, and nothing else."


def _sections(model: type[Section]) -> dict[str, type[Section]]:
    """The keys of a section that are sections themselves."""
    fields = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: kind for name, kind in fields.items() if isinstance(kind, type) and issubclass(kind, Section)}


# `sweep` has comments of its own.
_SECTIONS = {name: section for name, section in _sections(Config).items() if name != "sweep"}


def config_yaml() -> str:
    """The default configuration as YAML, every section under what it is."""
    default = Config()
    plain = default.model_dump(mode="json", exclude_none=True)
    lines = [_HEADER]
    top = ("output", "seeds", "device", "runs_per_job", "check_disk")
    lines += [f"{_comment(Config.model_fields[key])}{key}: {_flow(plain[key])}\n" for key in top]
    lines.append("\n".join(f"# {line}" for line in DATASET_NOTES.splitlines()) + "\ndatasets:")
    for name, dataset in default.datasets.items():
        lines.append(f"  {name}:")
        given = dataset.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        lines += [f"    {key}: {_flow(value)}" for key, value in given.items()]
    sweep_notes = textwrap.fill(f"Imbalanced cells and their controls. {SWEEP_NOTES}", _WIDTH - 2)
    lines.append("\n" + "\n".join(f"# {line}" for line in sweep_notes.splitlines()) + "\nsweep:")
    given = default.sweep.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    for key, field in Sweep.model_fields.items():
        # Parts that are left empty show what they may hold.
        lines.append(_comment(field, indent=2) + f"  {key}: {_flow(given.get(key, plain['sweep'][key]))}")
    for name, section in _SECTIONS.items():
        lines.append(f"\n{_comment(Config.model_fields[name])}{name}:")
        for key, field in section.model_fields.items():
            lines.append(_comment(field, indent=2) + f"  {key}: {_flow(plain[name][key])}")
    return "\n".join(lines) + "\n"


def _comment(field: FieldInfo, indent: int = 0) -> str:
    prefix = " " * indent + "# "
    return textwrap.fill(field.description or "", _WIDTH, initial_indent=prefix, subsequent_indent=prefix) + "\n"


def _flow(value: Any) -> str:
    if isinstance(value, float):
        return _number(value)
    return yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False).removesuffix("...\n").strip()


def _number(value: float) -> str:
    text = repr(value)
    # YAML takes 1e-3 for text; it wants the point.
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def json_schema() -> str:
    """The JSON schema (2020-12) of a configuration, for editors."""
    schema = Config.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def config_page() -> str:
    """docs/config.md: every key with its type, default and meaning."""
    top = [name for name in Config.model_fields if name not in (*_SECTIONS, "datasets", "more_datasets", "sweep")]
    parts = [
        "# Configuration reference",
        "Made from the typed model in `src/bumpscope/config/` by `make reference`. Unknown keys, wrong types and values"
        " that cannot work are reported before any job starts, all at once, one per line.",
        "A preset (`--configfile`) is laid over `config.yaml` key by key. Only `datasets` and `sweep` are replaced"
        " whole, and together: a preset with one of them has nothing of the default's `datasets` and `sweep`. Further"
        " presets are laid over the earlier ones, and `--config key=value` over all files, by the same rule. To add a"
        " dataset to those that are there, or to change one, name it under `more_datasets`, which has the keys of"
        " `datasets`.",
        "## Top level",
        _key_table(Config, top),
        "## `datasets.NAME`",
        DATASET_NOTES.replace("\n", " "),
        _key_table(Dataset, list(Lattice.model_fields)),
        _key_table(Dataset, list(Overrides.model_fields)),
        "### `datasets.NAME.skew`",
        _key_table(Skew, list(Skew.model_fields)),
        "### `datasets.NAME.holdout`",
        "`none`, or a block: a point is withheld if both its x and its y lie in it.",
        _key_table(Holdout, list(Holdout.model_fields)),
        "### `datasets.NAME.shown`",
        " ".join((Shown.__doc__ or "").split()),
        _key_table(Shown, list(Shown.model_fields)),
        "## `sweep`",
        " ".join((Sweep.__doc__ or "").split()),
        SWEEP_NOTES,
        _key_table(Sweep, list(Sweep.model_fields)),
    ]
    for key, part in _sections(Sweep).items():
        parts += [f"### `sweep.{key}`", _key_table(part, list(part.model_fields))]
    for name, section in _SECTIONS.items():
        parts += [
            f"## `{name}`",
            " ".join((section.__doc__ or "").split()),
            _key_table(section, list(section.model_fields)),
        ]
    parts += ["### `sensitivity.samplers`", _key_table(SamplerChoice, list(SamplerChoice.model_fields))]
    return "\n\n".join(parts) + "\n"


def _key_table(section: type[BaseModel], names: list[str]) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name in names:
        field = section.model_fields[name]
        default = _default(field)
        rows.append(f"| `{name}` | {_type(field)} | {default} | {field.description or ''} |")
    return "\n".join(rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "–"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, list):
        value = [item.model_dump(mode="json") if isinstance(item, BaseModel) else item for item in value]
    return f"`{_flow(value)}`"


def _type(field: FieldInfo) -> str:
    schema = _plain_type(field.annotation)
    limits = []
    for constraint in field.metadata:
        for attribute, words in (
            ("gt", "> {}"),
            ("ge", "≥ {}"),
            ("lt", "< {}"),
            ("le", "≤ {}"),
            ("multiple_of", "multiple of {}"),
        ):
            limit = getattr(constraint, attribute, None)
            if limit is not None:
                limits.append(words.format(limit))
    return schema + (f", {', '.join(limits)}" if limits else "")


def _plain_type(annotation: Any) -> str:
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): ""}
    if annotation in names:
        return names[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    arguments = get_args(annotation)
    origin = getattr(annotation, "__origin__", None)
    if origin is list:
        return f"list of {_plain_type(arguments[0])}"
    if origin is dict:
        return "mapping"
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return " \\| ".join(arguments)
    if hasattr(annotation, "__metadata__"):
        return _plain_type(arguments[0])
    return " or ".join(filter(None, (_plain_type(argument) for argument in arguments)))


def tables_page() -> str:
    """docs/tables.md: every table with its columns, types and units."""
    parts = [
        "# Tables reference",
        "Made from `src/bumpscope/store/schemas.py` by `make reference`. All tables are Parquet (zstd), written whole"
        " or not at all; the schema is checked on write and on read. `{path}` is the run's folder,"
        " `runs/DATASET/seed=SEED`.",
        "Every file carries in its schema metadata `bumpscope.version`, `bumpscope.run`, `bumpscope.table`,"
        " `bumpscope.config`, its own settings, and `bumpscope.settings` and `bumpscope.code`, fingerprints of all"
        " settings and of all code that it depends on. Checkpoints"
        " (`{path}/checkpoints/step=S.safetensors`) hold raw and averaged weights under `raw.` and `ema.`, and in their"
        " metadata the settings, step, versions, hardware and a digest of their content.",
    ]
    kinds = {"int": "int64", "float": "float64", "text": "string", "bool": "bool", "vector": "list<float32>"}
    for name, table in TABLES.items():
        rows = ["| column | type | unit | meaning |", "|---|---|---|---|"]
        for column in table.columns:
            kind = kinds.get(column.kind, "fixed_size_list<float32>[N*N]")
            rows.append(f"| `{column.name}` | {kind} | {column.unit} | {column.description} |")
        parts += [f"## {name}", f"`{table.path}`; one row is {table.row}.", "\n".join(rows)]
    return "\n\n".join(parts) + "\n"


PAGES = {
    "config.yaml": config_yaml,
    "workflow/schema/config.schema.json": json_schema,
    "docs/config.md": config_page,
    "docs/tables.md": tables_page,
    "docs/figures.md": figures_page,
}
