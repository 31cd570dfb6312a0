"""The mutation tool itself: what it changes, what it leaves alone, and what a trial reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants import sql
from tests.mutants.draw import draw, sources
from tests.mutants.mutant import Mutant, of_change
from tests.mutants.trial import first_failure, stages, try_mutant

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


def test_a_trial_runs_the_nearest_test_first_names_it_and_restores_the_file(toy: Path) -> None:
    path = toy / "shared" / "double.py"
    original = path.read_text()
    mutant = of_change("shared/double.py", "* to +", original, original.replace("2 * n", "3 * n"))
    assert mutant
    assert stages(mutant.path, toy)[0] == ["tests/shared/test_double.py"]
    verdict = try_mutant(mutant, toy)
    assert verdict.noticed_by == "tests/shared/test_double.py::test_two"
    assert path.read_text() == original
    assert first_failure(toy, [["tests/shared"]]) == ""
