"""Which tests execute a line of Python or a block of SQL, from one recorded run of the fast tests.

The record is kept in `.local/mutants/` under a digest of the code and its tests: the next run with
the same code reuses it, and an interrupted recording continues where it ended.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutants.draw import ROOT, sources
from tests.mutants.mutant import Mutant

if TYPE_CHECKING:
    from tests.mutants.trial import Tree

FAST = ("tests/shared", "tests/workers", "tests/test_sql.py", "tests/test_doctests.py")
OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist")
NOTHING_FAILED, TESTS_FAILED, NO_TESTS = 0, 1, 5
IMPORT = ""  # the entry of what runs while modules are imported
HOME = ROOT / ".local" / "mutants"
_NAME = re.compile(r"^-- name: (\w+)\s*$")
_INCLUDE = re.compile(r"^-- include: (\w+)\s*$", re.MULTILINE)


class Record:
    """The tests of the record and what each executed."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.seconds: dict[str, float] = {}
        self.failing: set[str] = set()  # without a mutant: they can notice none
        self._by_line: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._by_file: dict[str, set[str]] = defaultdict(set)
        self._by_block: dict[str, set[str]] = defaultdict(set)
        for text in texts:
            for line in text.splitlines():
                self._add(json.loads(line))

    def _add(self, entry: dict[str, object]) -> None:
        test, lines, blocks = entry["test"], entry["lines"], entry["blocks"]
        assert isinstance(test, str)
        assert isinstance(lines, dict)
        assert isinstance(blocks, list)
        if test == IMPORT:
            return
        if not entry["passed"]:
            self.failing.add(test)
            return
        self.seconds[test] = float(str(entry["seconds"]))
        for path, numbers in lines.items():
            self._by_file[path].add(test)
            for number in numbers:
                self._by_line[path, number].add(test)
        for block in blocks:
            self._by_block[block].add(test)

    def tests_of(self, mutant: Mutant, tree: Path = ROOT) -> list[str]:
        """The tests that execute the mutant, fastest first; empty if the record has none.

        Code that runs at import counts as executed by every test of the files that import it;
        those of the file that mirrors it come first.
        """
        text = (tree / mutant.path).read_text(encoding="utf-8")
        if mutant.path.endswith(".sql"):
            blocks = blocks_of(mutant.path, text, mutant.line)
            found = set().union(*(self._by_block[block] for block in blocks))
        else:
            numbers = statement_lines(text, mutant.line)
            found = set().union(*(self._by_line[mutant.path, number] for number in numbers))
        if found or mutant.path.endswith(".sql"):
            return sorted(found, key=lambda test: (self.seconds[test], test))
        mirror = f"{Path(mutant.path).stem}.py"
        return sorted(
            self._importing(mutant.path, tree),
            key=lambda test: (mirror not in test, self.seconds[test], test),
        )

    def _importing(self, path: str, tree: Path) -> set[str]:
        """The tests of each file that imports a module or of which a test executes it."""
        module = ".".join(Path(path).with_suffix("").parts).removeprefix("workers.")
        files = {test.partition("::")[0] for test in self._by_file[path]}
        for file in {test.partition("::")[0] for test in self.seconds} - files:
            if (tree / file).exists() and _imports(tree / file, module):
                files.add(file)
        return {test for test in self.seconds if test.partition("::")[0] in files}


@cache
def _imports(file: Path, module: str) -> bool:
    """Return whether a test file imports a module, as a whole or names of it."""
    text = file.read_text(encoding="utf-8")
    folder, _, name = module.rpartition(".")
    part = rf"^from {re.escape(folder)} import (\([^)]*|.*)\b{name}\b"
    return bool(re.search(rf"^(from|import) {re.escape(module)}\b|{part}", text, re.MULTILINE))


@cache
def statement_lines(text: str, line: int) -> range:
    """The lines of the innermost statement at a line; of a compound statement its header.

    >>> statement_lines("x = (\\n    1\\n)\\nif x:\\n    y = 2\\n", 2)
    range(1, 4)
    >>> statement_lines("x = (\\n    1\\n)\\nif x:\\n    y = 2\\n", 4)
    range(4, 5)
    """
    around = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.stmt) and _first(node) <= line <= (node.end_lineno or node.lineno)
    ]
    if not around:
        return range(line, line + 1)
    inner = max(around, key=lambda node: (_first(node), -(node.end_lineno or 0)))
    end = (inner.end_lineno or inner.lineno) + 1
    body = getattr(inner, "body", None)
    whole = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    if body and not whole and line < (first := _first(body[0])):
        end = first
    return range(_first(inner), end)


def _first(node: ast.stmt) -> int:
    """The first line of a statement with its decorators."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(part.lineno for part in decorators)])


def blocks_of(path: str, text: str, line: int) -> set[str]:
    """The block, as `folder:name`, at a line of an SQL file; of a part each block that uses it."""
    folder = Path(path).parent
    if folder.name != "parts":
        name = next(
            (m[1] for one in reversed(text.splitlines()[:line]) if (m := _NAME.match(one))), None
        )
        return {f"{folder.as_posix()}:{name}"} if name else set()
    parts, blocks = {Path(path).stem}, set[str]()
    files = {
        one: (ROOT / one).read_text(encoding="utf-8") for one in sources() if one[-4:] == ".sql"
    }
    grown = True
    while grown:  # parts that include the part, and theirs
        users = {
            Path(one).stem for one, content in files.items()
            if Path(one).parent.name == "parts" and parts & set(_INCLUDE.findall(content))
        }  # fmt: skip
        grown = not users <= parts
        parts |= users
    for one, content in files.items():
        if Path(one).parent.name != "parts":
            for name, block in _blocks(content):
                if parts & set(_INCLUDE.findall(block)):
                    blocks.add(f"{Path(one).parent.as_posix()}:{name}")
    return blocks


@cache
def _statements() -> dict[str, str]:
    """The texts of the SQL files by path."""
    listed = [name for name in sources() if name.endswith(".sql")]
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in listed}


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    _, *parts = re.split(r"^-- name: (\w+)\s*$", text, flags=re.MULTILINE)
    yield from zip(parts[::2], parts[1::2], strict=True)


def recorded(trees: Sequence[Tree]) -> Record:
    """The record of the code as it is; what is missing is recorded, in all trees at once."""
    files = [HOME / f"{_digest()}-{number}-of-{len(trees)}.jsonl" for number in range(len(trees))]
    HOME.mkdir(parents=True, exist_ok=True)
    tests = [name for name in sources(folders=FAST) if Path(name).name.startswith("test_")]
    with ThreadPoolExecutor(len(trees)) as pool:
        shares = [tests[number :: len(trees)] for number in range(len(trees))]
        list(pool.map(_record, trees, files, shares))
    return Record(path.read_text(encoding="utf-8") for path in files)


def _record(tree: Tree, file: Path, tests: Sequence[str]) -> None:
    if file.with_suffix(".complete").exists():
        return
    command = [sys.executable, "-m", "pytest", *OPTIONS, "-p", "tests.mutants.recorder"]
    environment = tree.environment | {"MUTANTS_RECORD": str(file)}
    ended = subprocess.run([*command, *tests], cwd=tree.path, env=environment, check=False)
    if ended.returncode not in (NOTHING_FAILED, TESTS_FAILED, NO_TESTS):
        raise RuntimeError(f"the recording ended with {ended.returncode}")
    file.with_suffix(".complete").touch()


def _digest() -> str:
    """It covers what the record depends on; another draw or another number of trees keeps it."""
    digest = hashlib.sha256()
    for name in sources(folders=("shared", "workers", "tests", "migrations")):
        if not name.startswith(("tests/mutants/", "tests/sim/")):
            digest.update(name.encode() + b"\0" + (ROOT / name).read_bytes())
    return digest.hexdigest()[:16]
