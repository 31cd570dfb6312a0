"""Changes to SQL statements: each keeps the syntax and changes the meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from tests.mutants.mutant import Mutant, Site, of_change

# A pattern and what replaces it, applied to one place at a time.
OPERATORS: tuple[tuple[str, str, str], ...] = (
    ("< to <=", r"(?<![<>=!-])<(?![=>@<])", "<="),
    ("<= to <", r"<=", "<"),
    ("> to >=", r"(?<![<>=-])>(?![=>])", ">="),
    (">= to >", r">=", ">"),
    ("= to <>", r"(?<= )=(?= )", "<>"),
    ("and to or", r"\band\b", "or"),
    ("or to and", r"\bor\b", "and"),
    ("greatest to least", r"\bgreatest\b", "least"),
    ("least to greatest", r"\bleast\b", "greatest"),
    ("min to max", r"\bmin\(", "max("),
    ("max to min", r"\bmax\(", "min("),
    ("without skip locked", r" skip locked\b", ""),
    ("without for update", r"\bfor update( skip locked)?\b", ""),
    ("without limit", r"\blimit (:\w+|\d+|cast\([^()]*\)( \+ 1)?)", ""),
    ("without distinct", r"\bdistinct (?!on\b|from\b)", ""),
    ("union all to union", r"\bunion all\b", "union"),
    ("union to union all", r"\bunion\b(?! all)", "union all"),
    ("left join to join", r"\bleft join\b", "join"),
    ("is null to is not null", r"\bis null\b", "is not null"),
    ("is not null to is null", r"\bis not null\b", "is null"),
    ("exists to not exists", r"(?<!not )\bexists \(", "not exists ("),
    ("not exists to exists", r"\bnot exists \(", "exists ("),
    ("in to not in", r"(?<!not )\bin \(", "not in ("),
    ("+ to -", r"(?<= )\+(?= )", "-"),
    ("- to +", r"(?<= )-(?= )", "+"),
    ("0 to 1", r"(?<![\w.:'-])0(?![\w.'])", "1"),
    ("1 to 2", r"(?<![\w.:'-])1(?![\w.'])", "2"),
    ("without desc", r" desc\b", ""),
    ("coalesce to its default", r"\bcoalesce\((\w+(?:\.\w+)?), ([\w':.]+)\)", r"\2"),
)

_ASSIGNMENT = re.compile(r"\s*(?:.*\bset )?\w+ ")


def sites(path: str, text: str) -> Iterator[Site]:
    """Every place of the file that is code and to which a change of the table applies."""
    for name, pattern, replacement in OPERATORS:
        for match in re.finditer(pattern, text):
            if _is_code(text, match.start()):
                line = text.count("\n", 0, match.start()) + 1
                yield Site(path, line, partial(_changed, path, text, name, match, replacement))


def _changed(
    path: str, text: str, name: str, match: re.Match[str], replacement: str
) -> Mutant | None:
    changed = text[: match.start()] + match.expand(replacement) + text[match.end() :]
    return of_change(path, name, text, changed)


def _is_code(text: str, position: int) -> bool:
    """False in a comment (a block's name, an include) and for the `=` of `set column = value`."""
    line_start = text.rfind("\n", 0, position) + 1
    before = text[line_start:position]
    return "--" not in before and not _ASSIGNMENT.fullmatch(before)
