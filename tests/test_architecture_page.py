"""The look-up table of ARCHITECTURE.md names files that exist, and names that stand in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
TABLE = PAGE.split("\n## Where to change what\n")[1].split("\n## ")[0]
# `CAPS` in `shared/warmup/caps.py`, or `scoring.alert_sla` (`migrations/0005_scoring.sql`
NAMED = re.findall(r"`([\w.]+)`(?: of `\w+`)? (?:in|of|\() ?`([\w/]+\.(?:py|sql|toml))`", TABLE)
FILES = sorted(set(re.findall(r"`((?:shared|workers|mauntic|tests|migrations)/[\w/.]*)`", TABLE)))


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_the_table_exists(file: str) -> None:
    assert (ROOT / file).exists() or "NNNN" in file


@pytest.mark.parametrize(("word", "file"), NAMED)
def test_a_name_of_the_table_stands_in_its_file(word: str, file: str) -> None:
    """A class with an attribute, such as `Archive.report`, is found by the attribute."""
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"\b{re.escape(word)}\b|\b{word.rpartition('.')[2]}\b", text)


def test_the_table_is_read() -> None:
    assert ("CEILING_MAX_S", "shared/retry.py") in NAMED
    assert "mauntic/operations/provisioning.py" in FILES
