"""The mutation tool itself: what it changes, what it leaves alone, and what a trial reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.mutants import sql
from tests.mutants.draw import draw, sources
from tests.mutants.equivalent import reason
from tests.mutants.mutant import Mutant, of_change
from tests.mutants.record import Record, blocks_of
from tests.mutants.trial import Stage, opened, stages, try_mutant

STATEMENT = """-- name: claim
-- Claim at most two rows and skip those that another transaction holds.
update queue set taken_at = :now
where id in (
    select id from queue where due_at <= :now limit 2 for update skip locked
)
"""


def changes(text: str) -> set[tuple[str, str]]:
    mutants = [site.make() for site in sql.sites("claim.sql", text)]
    return {(mutant.operator, mutant.after) for mutant in mutants if mutant}


def test_each_sql_operator_changes_one_place_of_the_code() -> None:
    line = "select id from queue where due_at {} :now{}{}"
    assert changes(STATEMENT) == {
        ("<= to <", line.format("<", " limit 2", " for update skip locked")),
        ("without limit", line.format("<=", " ", " for update skip locked")),
        ("without skip locked", line.format("<=", " limit 2", " for update")),
        ("without for update", line.format("<=", " limit 2", "")),
        ("in to not in", "where id not in ("),
    }


@pytest.mark.parametrize("text", ["-- a and b", "set a = 1.5", "select 'x' || :p1", "-- name: min"])
def test_comments_names_and_assignments_stay(text: str) -> None:
    assert changes(text) == set()


def test_a_mutant_names_its_first_changed_line() -> None:
    mutant = of_change("a.py", "swap", "one\n  two\nthree\n", "one\n  2\nthree\n")
    assert mutant == Mutant("a.py", 2, "swap", "two", "2", "one\n  2\nthree\n")
    assert of_change("a.py", "none", "same", "same") is None


def test_a_seed_decides_what_is_drawn() -> None:
    paths = [path for path in sources() if path.endswith(".sql")]
    first, again, other = (draw(30, seed, paths) for seed in (1, 1, 2))
    assert first == again != other
    assert len({(mutant.path, mutant.line) for mutant in first}) == 30


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A tree with one function and its test."""
    files = {
        "shared/__init__.py": "",
        "shared/double.py": "def double(n):\n    return 2 * n\n",
        "tests/shared/test_double.py": (
            "from shared.double import double\n\n\ndef test_two():\n    assert double(2) == 4\n"
        ),
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


DOUBLE = "tests/shared/test_double.py::test_two"


def entry(test: str, **what: object) -> str:
    """One line of a record."""
    return json.dumps({"test": test, "passed": True, "lines": {}, "blocks": []} | what)


def test_a_trial_names_the_test_that_fails_and_restores_the_file(toy: Path) -> None:
    path = toy / "shared" / "double.py"
    original = path.read_text()
    mutant = of_change("shared/double.py", "2 to 3", original, original.replace("2 * n", "3 * n"))
    assert mutant
    unknown = Record([])
    assert stages(mutant, toy, unknown)[0].paths == ["tests/shared/test_double.py"]
    with opened(toy) as tree:
        for _ in range(2):  # the second trial does not take the bytecode of the first for its own
            verdict = try_mutant(mutant, tree, unknown, quick=True)
            assert verdict.noticed_by.partition(" ")[0] == DOUBLE
            assert path.read_text() == original
            assert tree.first_failure([Stage(["tests/shared"])]) == ""


def test_a_mutant_that_loops_is_noticed_by_the_time_limit(toy: Path) -> None:
    (toy / "shared" / "double.py").write_text("def double(n):\n    while True:\n        pass\n")
    with opened(toy) as tree:
        assert tree.first_failure([Stage(["tests/shared"], limit_s=2)]) == "time limit"
        assert tree.first_failure([Stage(["tests/shared"], without=[DOUBLE])]) == ""


def test_the_tests_that_execute_a_line_run_fastest_first() -> None:
    path, line = "shared/retry.py", 22
    record = Record(
        [
            entry("slow", seconds=2.0, lines={path: [line]}),
            entry("fast", seconds=0.1, lines={path: [line]}),
            entry("failing", seconds=0.0, lines={path: [line]}, passed=False),
            entry("elsewhere", seconds=0.0, lines={path: [line + 12]}),
        ]
    )
    at_import = Mutant(path, 1, "", "", "", "")
    assert record.tests_of(Mutant(path, line, "", "", "", "")) == ["fast", "slow"]
    assert record.tests_of(at_import) == ["elsewhere", "fast", "slow"]
    assert record.failing == {"failing"}


def test_a_block_is_found_by_its_line_and_a_part_by_the_blocks_that_include_it() -> None:
    text = "-- name: one\nselect 1;\n-- name: two\nselect 2;\n"
    assert blocks_of("shared/sql/a.sql", text, 2) == {"shared/sql:one"}
    assert blocks_of("shared/sql/a.sql", text, 4) == {"shared/sql:two"}
    within = blocks_of("workers/scoring/sql/parts/within_part.sql", "", 1)
    assert "workers/scoring/sql:recompute_due" in within
    assert not any(block.startswith("shared/") for block in within)


def test_an_equivalent_mutant_is_known_by_its_line() -> None:
    def why(before: str, after: str, path: str = "shared/flow/dead_letters.py") -> str | None:
        return reason(Mutant(path, 1, "", before, after, ""))

    assert why("READ_TRIES = 3", "READ_TRIES = 2")
    assert why("READ_TRIES = 3", "READ_TRIES = 2", "shared/flow/consume.py") is None
    assert why("@dataclass(frozen=True, order=True)", "@dataclass(frozen=False, order=True)")
    assert (
        why("@dataclass(frozen=True, order=True)", "@dataclass(frozen=True, order=False)") is None
    )
