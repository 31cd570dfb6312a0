"""Every regular expression of a worker, with its worst input.

A message, a key in a bucket or an answer of Postgres may come from an attacker: a pattern
whose time grows faster than its text stops the worker. Each one is listed here with its worst
input, by the text of the pattern: a new one is not run before it is listed.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.poison import MESSAGE_CHARS
from tests.processor_time import own_time
from tests.test_tidy import IN_BUNDLES, module, sources, tree

Text = Callable[[int], str]

# module.NAME of a compiled pattern -> texts of n characters with the longest search and no match.
WORST: dict[str, list[Text]] = {
    "shared.sql.blocks._NAME": [
        lambda n: "-- name: a" + "\n" * (n - 11) + "b",
        lambda n: "-- name: " * (n // 9),
        lambda n: ("-- name: a" + " " * 90 + "\n") * (n // 101),
        lambda n: "-- name: " + "a" * (n - 10) + "!",
    ],
    "shared.sql.blocks._INCLUDE": [
        lambda n: "-- include: a" + "\n" * (n - 14) + "b",
        lambda n: "-- include: " + "a" * (n - 13) + "!",
    ],
    "shared.messages._DATE": [lambda n: "2" * n, lambda n: "2026-01-0" * (n // 9)],
    "shared.sanitize._STRINGS": [
        lambda n: '"' + '\\"' * (n // 2),
        lambda n: '"' * n,
        lambda n: '\\"' * (n // 2),
        lambda n: '"' + "\\" * (n - 1),
        lambda n: ('"' + "a" * 9) * (n // 10),
    ],
    "shared.sanitize._NO_BRACKETS": [lambda n: "a" * n, lambda n: "a[" * (n // 2)],
    "shared.flow.envelopes._ID": [lambda n: "a" * n, lambda n: "a" * 63 + "!" * (n - 63)],
    "shared.flow.envelopes._REASON": [lambda n: "a" * n, lambda n: "a" * 39 + "!" * (n - 39)],
    "shared.adapters.postgres.refusals._QUOTED": [
        lambda n: '"' + "a" * (n - 1),
        lambda n: '"' * n,
        lambda n: "a" * (n - 1) + '"',
        lambda n: "»" + "«" * (n - 1),
    ],
    "shared.adapters.postgres.refusals._LANGUAGES": [lambda n: "pl" * (n // 2), lambda n: "p" * n],
    "shared.adapters.email._CODE": [lambda n: "E_" + "A" * n, lambda n: "E_" * (n // 2)],
    "shared.adapters.http._HEADER_NAME": [lambda n: "a" * n, lambda n: "a" * 255 + ":" * n],
    "shared.adapters.http._HEADER_VALUE": [lambda n: "a" * n, lambda n: "\0" * n],
    "shared.key_formats._PEM": [
        lambda n: "-----BEGIN " * (n // 11),
        lambda n: "-----BEGIN A-----" + "a" * n,
        lambda n: "-----BEGIN A-----a" * (n // 18),
        lambda n: "-----BEGIN " + "A " * (n // 2),
    ],
    "journeys.domain.parse._STRING_OR_BRACKET": [
        lambda n: '"' + '\\"' * (n // 2),
        lambda n: '"' * n,
        lambda n: '"' + "\\" * (n - 1),
        lambda n: "[" * n,
    ],
    "journeys.domain.values.NUMBER": [lambda n: "1" * n, lambda n: "1." + "1" * n + "e"],
    "journeys.domain.values.DAY": [lambda n: "2026-01-0" * (n // 9)],
    "journeys.domain.values.TIME_OF_DAY": [lambda n: "T10:00:00." + "0" * n],
    "journeys.store.criteria_sql._OWN": [lambda n: ":value" * (n // 6), lambda n: ":" * n],
    "journeys.store.criteria_sql._COMMENT": [lambda n: "--" * (n // 2), lambda n: "-" * n],
    "journeys.store.criteria_sql._HOLE": [lambda n: "{" * n, lambda n: "{" + "a" * n],
    "hooks.domain.paths._HOOK": [
        lambda n: "https://" + "a" * n,
        lambda n: "https://a/hooks/ses/018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c/" + "0" * n,
        lambda n: (
            ("https://a/hooks/ses/018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c/" + "0" * 64 + "?" + "a" * n)
            + "é"
        ),
    ],
    "hooks.domain.paths._UNSUBSCRIBE": [
        lambda n: "https://" + "a" * n,
        lambda n: "https://a/u/" + "a" * n,
        lambda n: "https://a/u/" + "a" * 86 + "?" + "a" * n + "é",
    ],
    "hooks.domain.one_click._BOUNDARY": [
        lambda n: "boundary=" * (n // 9),
        lambda n: 'boundary="' + "a" * n,
        lambda n: "boundary" * (n // 8),
    ],
    "hooks.domain.one_click._NAME": [
        lambda n: "content-disposition:" * (n // 20),
        lambda n: "content-disposition:" + ";" * n,
        lambda n: ("content-disposition:" + "; nam" * 33 + "\n") * (n // 220),
        lambda n: "\n" * n,
    ],
    "shared.settings._URL": [
        lambda n: "http://" * (n // 7),
        lambda n: "http://" + "a" * n + "@",
        lambda n: "http://[" + "0:" * (n // 2),
        lambda n: "http" * (n // 4),
    ],
    "shared.adapters.r2._STATUS": [
        lambda n: "(" * n,
        lambda n: "(" + "1" * (n - 1),
        lambda n: "(1" * (n // 2),
    ],
    "shared.warmup.caps.COUNTER_KEY": [
        lambda n: "warmup/daily/2026-03-10/" + "a" * (n - 24),
        lambda n: "warmup/daily/2026-03-10/00000000-0000-0000-0000-000000000001/" + "a" * n,
        lambda n: "warmup/daily/2026-03-10/00000000-0000-0000-0000-000000000001/" + "a/" * n,
    ],
    "shared.warmup.caps.UNDATED_KEY": [
        lambda n: "warmup/daily/00000000-0000-0000-0000-000000000001/" + "a" * n + "\0",
        lambda n: "warmup/daily/" * (n // 13),
    ],
    "delivery.domain.address._LOCAL": [
        lambda n: "a" * n + "@",
        lambda n: "a." * (n // 2),
        lambda n: "." * n,
    ],
    "delivery.domain.address._LABEL": [lambda n: "a" * n, lambda n: "a-" * (n // 2)],
    "delivery.domain.address._E164": [lambda n: "+" + "1" * n, lambda n: "+1" * (n // 2)],
    "delivery.domain.address._CONTROL": [lambda n: "a" * n, lambda n: "\0" * n],
    "delivery.content.tags._NAME": [
        lambda n: "a" * n,
        lambda n: "a." * (n // 2),
        lambda n: ("a" * 100 + ".") * (n // 101),
    ],
    "delivery.content.render._BREAKS": [lambda n: "\n" * n, lambda n: "a\n" * (n // 2)],
    "delivery.content.html_text._SPACES": [lambda n: " " * n, lambda n: "a " * (n // 2)],
    "delivery.content.html_text._HIDDEN": [
        lambda n: "display" + " " * n,
        lambda n: "display:  " * (n // 10),
    ],
    "delivery.content.html_text._PLACE": [
        lambda n: "\ufdd0" + "1" * n,
        lambda n: "\ufdd01" * (n // 2),
    ],
    "delivery.content.email._BODY_END": [lambda n: "<" * n, lambda n: "</bod" * (n // 5)],
}
# The ways in which a worker uses a pattern; the slowest counts.
USES: tuple[Callable[[re.Pattern[str], str], object], ...] = (
    lambda pattern, text: pattern.sub("", text),
    lambda pattern, text: pattern.fullmatch(text),
    lambda pattern, text: pattern.search(text),
    lambda pattern, text: pattern.findall(text),
)


def compiled() -> Iterator[str]:
    """Each pattern that a module of a worker compiles, as module.NAME."""
    for path in sources(*IN_BUNDLES):
        for node in tree(path).body:
            value = getattr(node, "value", None)
            if isinstance(value, ast.Call) and ast.unparse(value.func) == "re.compile":
                [target] = node.targets if isinstance(node, ast.Assign) else [node.target]  # type: ignore[attr-defined]
                yield f"{module(path)}.{ast.unparse(target)}"


def other_uses(path: Path) -> Iterator[str]:
    """Yield patterns that are not compiled at the top of a module, so the list would miss them."""
    top = {id(getattr(node, "value", None)) for node in tree(path).body}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.startswith("re.") and id(node) not in top:
                yield f"{called} in line {node.lineno}"
            yield from (
                f"pattern= in line {node.lineno}" for one in node.keywords if one.arg == "pattern"
            )
        if isinstance(node, ast.Import):
            names = {one.name for one in node.names if one.asname or one.name != "re"}
            if names & {"re", "regex", "fnmatch", "glob"}:
                yield f"another way to patterns in line {node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.module in ("re", "regex", "fnmatch", "glob"):
            yield f"from re import in line {node.lineno}"


def test_every_pattern_of_a_worker_is_listed_with_its_worst_input() -> None:
    assert sorted(compiled()) == sorted(WORST)


@pytest.mark.parametrize("path", sources(*IN_BUNDLES), ids=module)
def test_a_pattern_is_compiled_at_the_top_of_its_module(path: Path) -> None:
    assert list(other_uses(path)) == []


def longest_s(pattern: re.Pattern[str], text: str) -> float:
    def taken_s(use: Callable[[re.Pattern[str], str], object]) -> float:
        with own_time() as seconds:
            use(pattern, text)
            return seconds()

    return max(taken_s(use) for use in USES)


@pytest.mark.parametrize("name", WORST)
def test_no_pattern_is_slow_at_its_worst_input(name: str) -> None:
    """The largest message, which takes a quadratic pattern half a minute and a cubic one days: so a
    text of an eighth comes first."""
    home, _, pattern_name = name.rpartition(".")
    pattern = getattr(importlib.import_module(home), pattern_name)
    for text in WORST[name]:
        assert longest_s(pattern, text(MESSAGE_CHARS // 8)) < 0.1
        assert longest_s(pattern, text(MESSAGE_CHARS)) < 0.3


def test_a_quadratic_pattern_would_be_found() -> None:
    """An unclosed string, searched from each quote."""
    quadratic = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
    assert longest_s(quadratic, '"' + '\\"' * (MESSAGE_CHARS // 16)) > 0.1
