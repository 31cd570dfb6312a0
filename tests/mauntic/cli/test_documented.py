"""Every `mauntic …` in a page, a help text or a remedy can be typed unchanged."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mauntic.cli.main import COMMANDS, load
from mauntic.operations.dead_letter_filters import REASONS
from shared.adapters.postgres.client import Postgres
from shared.telemetry.events import EVENTS
from tests.mauntic.cli.commands.test_dlq import bury
from tests.mauntic.harness import Cli

ROOT = Path(__file__).parents[3]
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    ROOT / "bench/README.md",
    ROOT / "data/README.md",
]
SOURCES = [path for folder in ("mauntic", "shared", "workers", "tools")
           for path in (ROOT / folder).rglob("*.py")]  # fmt: skip
HISTORY = {"CHANGELOG.md"}  # it may name removed commands

SPAN = re.compile(r"`mauntic (?P<words>[^`]+)`")  # in prose; it may go over a line's end
LINE = re.compile(
    r"^\s*(?:\$ |[A-Z_]+=\S+ )*mauntic (?P<words>[a-z].*(?:\n\s+--.*)*)$", re.MULTILINE
)
BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@cache
def command(name: str) -> Any:
    return load(name)


def typed(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the words after `mauntic`, and whether they are a complete command."""
    blocks = "\n".join(BLOCK.findall(text))
    prose = BLOCK.sub("", text)
    yield from ((match["words"], False) for match in SPAN.finditer(prose))
    for match in LINE.finditer(blocks.replace("\\\n", " ")):
        yield match["words"], "…" not in match["words"]


def examples(text: str) -> Iterator[tuple[str, bool]]:
    """Yield those of a source file: spans of docstrings and messages, lines of help."""
    yield from ((match["words"], False) for match in SPAN.finditer(text))
    yield from ((match["words"], True) for match in LINE.finditer(text))


def named() -> list[tuple[str, str, bool]]:
    """Return (place, words, is complete) of every named command."""
    pages = [page for page in PAGES if page.name not in HISTORY]
    found = [(page, typed(page.read_text())) for page in pages]
    found += [(source, examples(source.read_text())) for source in SOURCES]
    return [
        (path.relative_to(ROOT).as_posix(), " ".join(words.split()), whole)
        for path, all_words in found
        for words, whole in all_words
    ]


def refused(words: str, whole: bool) -> str | None:
    """Return why it could not be typed; None if it could."""
    first, *rest = _split(words)
    if first not in COMMANDS:
        return None if first.startswith("-") or not re.fullmatch("[a-z]+", first) else first
    found = command(first)
    while below := getattr(found, "commands", None):
        if not rest or not re.fullmatch("[a-z-]+", rest[0]) or rest[0].startswith("-"):
            break
        if rest[0] not in below:
            return f"{first} has no {rest[0]}"
        found, *rest = below[rest[0]], *rest[1:]
    if not whole:
        known = {name for option in found.params for name in (*option.opts, *option.secondary_opts)}
        options = {word.partition("=")[0] for word in rest if re.fullmatch("--?[a-z].*", word)}
        return next(iter(sorted(options - known - {"--help"})), None)
    try:
        found.make_context(first, rest)
    except Exception as error:  # whatever click thinks of it
        return f"{type(error).__name__}: {error}"
    return None


def _split(words: str) -> list[str]:
    """Split like a shell, up to a pipe."""
    lexer = shlex.shlex(words, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    found = []
    for word in lexer:
        if set(word) <= set("|;&<>"):
            break
        found.append(word)
    return found


def test_every_command_that_is_named_exists_with_those_options() -> None:
    everything = named()
    wrong = [(where, words, why) for where, words, whole in everything
             if (why := refused(words, whole))]  # fmt: skip
    assert wrong == []
    assert sum(where == "docs/operations.md" for where, _, _ in everything) > 30


def test_every_event_is_in_the_runbook() -> None:
    """Except those of normal operation."""
    runbook = (ROOT / "docs/operations.md").read_text()
    names = {event.name for event in EVENTS} - {"dispatch.sent"}
    assert {name for name in names if f"`{name}`" not in runbook} == set()
    assert {"job.overdue", "dead_letter.archived", "dispatch.ledger_unavailable"} <= names


def test_every_reason_of_a_dead_letter_is_in_the_runbook() -> None:
    runbook = (ROOT / "docs/operations.md").read_text()
    assert {reason for reason in REASONS if f"`{reason}`" not in runbook} == set()


def test_the_sections_that_the_runbook_points_to_are_there() -> None:
    runbook = (ROOT / "docs/operations.md").read_text()
    heads = {
        head.lower().replace(" ", "-") for head in re.findall("^#+ (.+)$", runbook, re.MULTILINE)
    }
    assert set(re.findall(r"\(#([a-z-]+)\)", runbook)) <= heads


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        ("qeues status", False),
        ("queues state", False),
        ("queues status --rmote", False),
        ("jobs run TYPE --windows …", False),
        ("jobs run", True),
        ("dlq list --status lost", True),
        ("backfill analytics.aggregate-hourly --from 2026-03-01", True),
        ("dlq discard two --note why", True),
    ],
)
def test_what_cannot_be_typed_is_found(words: str, whole: bool) -> None:
    assert refused(words, whole)


def test_commands_are_found_in_prose_blocks_and_help() -> None:
    page = "See `mauntic queues\nstatus`.\n```\n$ mauntic dlq list  # what died\nmauntic x …\n```\n"
    assert list(typed(page)) == [
        ("queues\nstatus", False),
        ("dlq list  # what died", True),
        ("x …", False),
    ]
    assert list(examples('"""Do.\n\n      mauntic dev --env x\n"""')) == [("dev --env x", True)]


def test_the_sample_of_a_dead_letter_has_every_row(cli: Cli, db: Postgres) -> None:
    runbook = (ROOT / "docs/operations.md").read_text()
    sample = runbook.partition("$ mauntic dlq show 4\n")[2].partition("\n```")[0]
    shown = cli("dlq", "show", bury(db, 1)).out
    assert rows_of(sample) == rows_of(shown)


def rows_of(table: str) -> list[str]:
    """The first words of the lines below title and heading."""
    return [line.split()[0] for line in table.strip().splitlines()[2:]]
