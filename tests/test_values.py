"""No value becomes part of an SQL statement's text, or of a line that a shell reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("shared", "workers", "mauntic", "tools", "bench")
STATEMENT = re.compile(
    r"\s*(--[^\n]*\n\s*)*\(*\s*(select\s|insert\s+into\s|update\s+\S+\s+set\s|delete\s+from\s"
    r"|(create|drop|alter|truncate)\s+(or\s+replace\s+|unique\s+|temp\w*\s+)?"
    r"(table|index|schema|database|role|view|function|trigger|type|extension|sequence|user)\b"
    r"|grant\s|revoke\s|copy\s+\S+\s+(from|to)\s|with\s+\S+\s+as\s|set\s+(local\s+)?\w+\s*(=|to\s)"
    r"|(vacuum|analyze|reindex|cluster|refresh)\b|lock\s+table|comment\s+on|do\s+\$|call\s+\w|explain\s|listen\s|notify\s)",
    re.IGNORECASE,
)
# Statements that are put together from parts that are not constant, with the reason why no value
# gets in.
PUT_TOGETHER = {
    "mauntic/adopt/catalogue.py": "names that Postgres has quoted; no template has quotes",
    "mauntic/adopt/rows.py": "the same names, and expressions of rules.sql",
    "mauntic/operations/grants.py": "the tables of a list, and the checked name of a role",
    "mauntic/docs_gen/kept.py": "checked plain names of a list, and its own conditions",
    "mauntic/operations/vendor/system.py": "the API has no parameters: a checked name, an integer",
}
# The benchmarks work on servers of their own, which they throw away, with names of their own.
PUT_TOGETHER |= dict.fromkeys(
    (
        f"bench/{name}.py"
        for name in (
            "decay",
            "deliver",
            "expiry",
            "feedback",
            "generate",
            "ingest",
            "people",
            "world",
        )
    ),
    "names that stand in the same file",
)
# Programs that start a shell, with the reason why no value gets into its line.
SHELLS = {
    "mauntic/local/server/staging.mjs": "the build command of wrangler.toml, as wrangler runs it",
    "mauntic/local/server/processes.mjs": "a constant line; process numbers are its arguments",
}


def sources(*endings: str) -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    return sorted(path for path in found if path.suffix in endings)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.AST | None:
    """Return None for syntax of the workers' newer Python."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError:
        assert "in_python" in path.parts
        return None


def is_constant(node: ast.expr) -> bool:
    """A constant of the module, such as a table's name, is not a value."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())


def formatted(node: ast.AST) -> Iterator[str]:
    """Yield the texts of an expression that inserts values."""
    match node:
        case ast.JoinedStr(values=values):
            holes = [part.value for part in values if isinstance(part, ast.FormattedValue)]
            if not all(map(is_constant, holes)):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}" for part in values
                )
        case ast.BinOp(left=left, op=ast.Add() | ast.Mod(), right=right):
            first = left
            while isinstance(first, ast.BinOp):
                first = first.left
            if isinstance(first, ast.Constant) and not is_constant(right):
                yield str(first.value)
        case ast.Call(func=ast.Attribute(value=text, attr="format" | "format_map" | "replace")):
            if isinstance(text, ast.Constant):
                yield str(text.value)
            elif re.match(r"(SQL|TEMPLATES)\[", ast.unparse(text)):
                yield "select "


def put_together(source: ast.AST) -> list[str]:
    texts = [text for node in ast.walk(source) for text in formatted(node)]
    return [text for text in texts if STATEMENT.match(text)]


@pytest.mark.parametrize("path", sources(".py"), ids=name)
def test_a_statement_is_a_text_and_its_values_are_parameters(path: Path) -> None:
    source = tree(path)
    if source is not None and name(path) not in PUT_TOGETHER:
        assert put_together(source) == []


@pytest.mark.parametrize(
    "code",
    [
        'f"select * from t where id = {x}"',
        'f"drop database {name}"',
        '"delete from t where id = %s" % x',
        '"insert into t values (" + x + ")"',
        '"update t set a = {}".format(x)',
        'SQL["block"].replace(":x", x)',
        'f"create unique index {name} on t (a)"',
        'f"(select * from {table}) as known"',
        'f"vacuum {table}"',
    ],
)
def test_the_rule_above_sees_a_value_in_a_statement(code: str) -> None:
    assert len(put_together(ast.parse(code))) == 1


def test_the_rule_above_lets_a_constant_be() -> None:
    assert put_together(ast.parse('f"select version from {TABLE}"')) == []


def test_no_word_of_a_template_is_quoted() -> None:
    """A name quoted by Postgres is no name inside quotes: a value belongs there, as a parameter."""
    for path in (ROOT / "mauntic" / "adopt" / "templates").glob("*.sql"):
        text = re.sub(r"--[^\n]*", "", path.read_text())
        assert re.findall(r"'[^'\n]*\{\w+\}[^'\n]*'", text) == [], path


def test_what_a_function_of_the_database_executes_has_no_bare_value() -> None:
    for path in (ROOT / "migrations").glob("*.sql"):
        text = re.sub(r"--[^\n]*", "", path.read_text())
        for statement in re.findall(r"\bexecute\s+(?!function|procedure|on\b)[^;]*;", text, re.I):
            assert "||" not in statement, (path, statement)
            assert not re.search(r"%\d*\$?s", statement), (path, statement)


@pytest.mark.parametrize("path", sources(".py", ".mjs"), ids=name)
def test_a_program_gets_a_list_of_arguments_and_no_shell(path: Path) -> None:
    if name(path) in SHELLS:
        return
    text = path.read_text(encoding="utf-8")
    shells = re.findall(
        r"shell\s*[=:]\s*True|shell:\s*true|\bos\.(?:system|popen)\(|\bexecSync\(|getoutput\("
        r"|[\"'](?:/bin/)?(?:ba|da|z)?sh[\"'],\s*\[?\s*[\"']-c[\"']"
        r"|import \{[^}]*\bexec\b[^}]*\} from \"node:child_process\"",
        text,
    )
    assert shells == []


def test_the_exceptions_are_still_there() -> None:
    assert all((ROOT / path).exists() for path in {**PUT_TOGETHER, **SHELLS})
