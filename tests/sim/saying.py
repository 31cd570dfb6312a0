"""Describe problems in a few sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SHOWN = 3


def differences(what: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> Iterator[str]:
    different = [
        f"{what} {key} is {found.get(key)} and not {expected.get(key)}"
        for key in sorted({*expected, *found}, key=str)
        if expected.get(key) != found.get(key)
    ]
    yield from different[:SHOWN]
    if len(different) > SHOWN:
        yield f"… and {len(different) - SHOWN} more {what}s differ"


def some(what: str, found: list[Any]) -> Iterator[str]:
    if found:
        yield f"{len(found)}× {what}: {'; '.join(str(one)[-300:] for one in found[:SHOWN])}"
