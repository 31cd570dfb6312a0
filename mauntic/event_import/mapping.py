"""Read a mapping file: a TOML file that says which column is what. docs/importing.md shows one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from delivery.providers.answers import at
from mauntic.errors import OperatorError
from mauntic.event_import.event import RawEvent, Refused
from mauntic.event_import.formats.catalogue import FORMATS
from mauntic.event_import.formats.form import Format, Found
from mauntic.event_import.times import ISO


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Columns(_Strict):
    type: str
    time: str
    email: str = ""
    contact_id: str = ""
    event_id: str = ""
    campaign: str = ""
    source: str = ""


class MappingFile(_Strict):
    """The content of a mapping file."""

    system: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,29}$")
    columns: _Columns
    time: str = ISO
    types: dict[str, str] = {}
    left_out: list[str] = []
    keep_other_types: bool = False
    data: dict[str, str] = {}


def read_mapping(path: str) -> Format:
    """Return the format that the file describes."""
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
        mapping = MappingFile.model_validate(content)
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"--mapping {path} cannot be read: {type(error).__name__}.") from None
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"--mapping {path} is not TOML: {error}.") from None
    except ValidationError as error:
        raise OperatorError(f"--mapping {path} is wrong: {_problems(error)}.") from None
    return format_of(path, mapping)


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
    )


def format_of(path: str, mapping: MappingFile) -> Format:
    columns = mapping.columns
    if not columns.email and not columns.contact_id:
        raise OperatorError(f"--mapping {path} needs columns.email or columns.contact_id.")
    if columns.campaign and columns.source:
        raise OperatorError(f"--mapping {path} has columns.campaign and columns.source: take one.")
    if mapping.system in FORMATS:
        raise OperatorError(
            f"The system {mapping.system} of --mapping {path} is a --format: choose another name."
        )
    if "%" in mapping.time and re.search(r"%[dj]", mapping.time) is None:
        raise OperatorError(f"The time of --mapping {path} has no day: see docs/importing.md.")
    if "%" not in mapping.time and mapping.time not in (ISO, "seconds", "milliseconds"):
        raise OperatorError(
            f"The time of --mapping {path} is iso, seconds, milliseconds or a pattern with %."
        )
    return Format(
        mapping.system,
        _Reader(columns, mapping.data),
        mapping.types,
        frozenset(mapping.left_out),
        mapping.keep_other_types,
        mapping.time,
        tuple(
            dict.fromkeys([*filter(None, columns.model_dump().values()), *mapping.data.values()])
        ),
    )


@dataclass(frozen=True)
class _Reader:
    """Finds the event of a row. A name with dots is a path in JSON."""

    columns: _Columns
    data: Mapping[str, str]

    def __call__(self, row: Any) -> Found:
        if not isinstance(row, dict):
            yield Refused("bad_record")
            return
        columns = self.columns
        data = {name: _value(row, column) for name, column in self.data.items()}
        yield RawEvent(
            event_type=_text(row, columns.type),
            time=_value(row, columns.time),
            email=_text(row, columns.email),
            contact_id=_text(row, columns.contact_id),
            event_id=_text(row, columns.event_id),
            campaign=_text(row, columns.campaign),
            source=_text(row, columns.source),
            data={name: value for name, value in data.items() if value not in (None, "")},
        )


def _value(row: dict[str, Any], column: str) -> Any:
    return row[column] if column in row else at(row, *column.split("."))


def _text(row: dict[str, Any], column: str) -> str:
    """Return a text or a whole number as text; empty for anything else."""
    found = _value(row, column) if column else ""
    is_text = isinstance(found, str | int) and not isinstance(found, bool)
    return str(found).strip() if is_text else ""
