"""What is staged, what is not, and what is refused."""

from pathlib import Path

import pytest

from tools.bundle import bundle, sources_of

BUNDLE = Path(__file__).resolve().parents[2] / "tools" / "bundle.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in {
        "shared/__init__.py": "",
        "shared/flow/consume.py": "import shared.adapters.postgres.client",
        "shared/adapters/__init__.py": "",
        "shared/adapters/postgres/client.py": "",
        "shared/adapters/unused.py": "from shared import unused",
        "shared/unused.py": "",
        "shared/late.py": "",
        "shared/sql/ledger.sql": "select 1",
        "shared/__pycache__/consume.pyc": "",
        "workers/alpha/entry.py": "from shared.flow import consume",
        "workers/alpha/store.py": "def rows():\n    from shared.late import rows",
        "workers/alpha/domain.py": "",
        "workers/alpha/notes.md": "",
        "workers/alpha/jobs/entry.py": "from alpha.store import rows",
        "workers/beta/entry.py": "",
        "python_modules/pydantic/__init__.py": "",
    }.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def staged(root: Path, name: str = "alpha") -> set[str]:
    target = root / "build" / name
    return {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}


def test_a_bundle_holds_what_the_entry_and_the_jobs_import_and_the_sql(root: Path) -> None:
    target = bundle(root, "alpha")
    assert staged(root) == {
        "entry.py", "alpha/store.py", "alpha/jobs/entry.py",
        "shared/__init__.py", "shared/flow/consume.py", "shared/late.py", "shared/sql/ledger.sql",
        "shared/adapters/__init__.py", "shared/adapters/postgres/client.py",
    }  # fmt: skip
    assert (target / "alpha/jobs/entry.py").read_text() == "from alpha.store import rows"


def test_a_file_that_cannot_be_read_is_carried_for_the_runtime_to_show(root: Path) -> None:
    (root / "workers" / "alpha" / "store.py").write_text("def rows(:")
    bundle(root, "alpha")
    assert "alpha/store.py" in staged(root)


def test_what_the_host_alone_imports_is_not_uploaded() -> None:
    root = BUNDLE.parent.parent
    analytics, scoring = (set(sources_of(root, name)) for name in ("analytics", "scoring"))
    assert Path("shared/flow/consume.py") in analytics & scoring
    assert Path("shared/telemetry/events.py") not in analytics | scoring  # of the runbook
    assert Path("shared/warmup/caps.py") in analytics
    assert Path("shared/warmup/counters.py") not in analytics  # whoever sends imports it
    assert Path("scoring/store/statements.py") in scoring
    contents = [(root / "build" / "alpha" / path).read_text() for path in staged(root)]
    assert "secret" not in contents


def test_a_text_that_a_module_names_is_carried(root: Path) -> None:
    package = root / "workers" / "alpha"
    (package / "greeting.txt").write_text("hello")
    (package / "store.py").write_text('open("greeting.txt")')
    (package / "domain.py").write_text('open("secrets.txt")')  # is imported nowhere
    (package / "secrets.txt").write_text("secret")
    bundle(root, "alpha")
    assert {path for path in staged(root) if path.endswith(".txt")} == {"alpha/greeting.txt"}
