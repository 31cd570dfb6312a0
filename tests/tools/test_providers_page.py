"""The page about providers, compared with the adapters."""

from __future__ import annotations

import re

from delivery.providers.registry import ADAPTERS, REFUSED
from tests.tools.copied import ROOT

PAGE = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def names(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def test_the_table_is_that_of_the_adapters() -> None:
    rows = [
        cells(row) for row in PAGE.splitlines() if re.match(r"\| `\w+` \| (email|sms|push)", row)
    ]
    found = {
        names(row[0])[0]: (row[1], names(row[2]), names(row[3]), int(row[4]), names(row[5]))
        for row in rows
    }
    assert found == {
        name: (a.channel, a.required, a.optional, a.bulk_max, tuple(a.hosts))
        for name, a in ADAPTERS.items()
    }


def test_every_refused_type_is_named() -> None:
    assert all(f"`{name}`" in PAGE for name in REFUSED)


def test_every_code_of_ours_is_on_the_page() -> None:
    code = re.compile(r'Verdict\([^)]*?"(?:pause|refused|retry|unknown)", "(\w+)"')
    folder = ROOT / "workers" / "delivery" / "providers"
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
    used = {found for text in texts for found in code.findall(text)}
    assert {"too_large", "http_refused", "endpoint_host"} <= used
    page = {
        name for row in PAGE.splitlines() for name in names(cells(row)[0]) if row.startswith("|")
    }
    assert {
        found for found in used if found not in page and not found.startswith("config_")
    } == set()
