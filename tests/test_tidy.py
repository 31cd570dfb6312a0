"""The structure of the code, as tests: each rule states its reason."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from shared.sql.blocks import SqlBlocks
from shared.telemetry.events import EVENTS
from shared.telemetry.log import FIELDS
from shared.telemetry.metrics import Metric

ROOT = Path(__file__).parent.parent
PRODUCT = ("shared", "workers", "mauntic", "tools")
FUNCTION_LINES_MAX = 40
FILE_LINES_MAX = 350

# The pure core: time and randomness are arguments, so that a test can set them. In addition to the
# standard library a module may import the packages listed here, and others of the core.
PURE: dict[str, set[str]] = {
    "shared.windows": {"cronsim"},
    "shared.retry": set(),
    "shared.outcome": set(),
    "shared.errors": set(),
    "shared.key_formats": set(),
    "shared.settings": set(),
    "shared.signing_keys": set(),
    "shared.hook_token": set(),
    "shared.inbox": set(),
    "shared.unsubscribe_token": set(),
    "shared.messages": {"pydantic"},
    "shared.sanitize": set(),
    "shared.body_limits": set(),
    "shared.telemetry.log": set(),
    "shared.ledger.shards": set(),
    "shared.bindings": set(),
    "shared.warmup.caps": {"shared.bindings"},
    **{
        f"{path.parts[-3]}.{path.parts[-2]}.{path.stem}": {"pydantic"}
        for path in ROOT.glob("workers/*/*/*.py")
        if path.parts[-2] in ("domain", "reference") and path.stem != "__init__"
    },
    "delivery.domain.address": {"idna"},
}
REACHES_OUT = {
    "os",
    "io",
    "pathlib",
    "time",
    "random",
    "secrets",
    "socket",
    "asyncio",
    "subprocess",
}
PLATFORM_MODULES = {"workers", "js", "pyodide"}
SEES_THE_PLATFORM = {
    "shared/adapters/cloudflare.py",
    "shared/adapters/javascript.py",
    "shared/adapters/web.py",
}
# Bundles are staged from these folders; the host's packages are not in them.
IN_BUNDLES = ("shared", "workers")
HOST_ONLY = {"mauntic", "tools", "tests", "bench", "typer", "rich", "httpx", "watchfiles"}


def sources(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "in_python" not in path.parts
    )


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module(path: Path) -> str:
    """Return the module's name in imports."""
    stem = name(path).removeprefix("workers/").removesuffix(".py").removesuffix("/__init__")
    return stem.replace("/", ".")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def import_lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each imported module, and the names taken from it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, [alias.name for alias in node.names]


def imports(path: Path) -> Iterator[str]:
    """Yield everything that may be a module."""
    for source, taken in import_lines(path):
        yield source
        yield from (f"{source}.{one}" for one in taken)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (
        node
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


everywhere = pytest.mark.parametrize("path", sources(*PRODUCT, "bench"), ids=name)


@everywhere
def test_a_function_fits_in_the_eye(path: Path) -> None:
    """A function that does not fit on a screen is not read as a whole."""
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions(path) if f.end_lineno}
    assert {n: lines for n, lines in long.items() if lines > FUNCTION_LINES_MAX} == {}


@everywhere
def test_a_file_has_one_idea(path: Path) -> None:
    """A file that grows past this has two."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES_MAX


@everywhere
def test_a_module_says_what_it_is_for(path: Path) -> None:
    """The first line of a file helps a reader decide whether to read on."""
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", sources(*IN_BUNDLES), ids=name)
def test_importing_declares_and_never_does(path: Path) -> None:
    """Import time is a memory snapshot at deployment: no I/O, no clock, no randomness, no loop."""
    allowed = (
        ast.Import,
        ast.ImportFrom,
        ast.Assign,
        ast.AnnAssign,
        ast.ClassDef,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
    )
    for node in tree(path).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_type_checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        assert is_docstring or is_type_checking or isinstance(node, allowed), f"line {node.lineno}"


@pytest.mark.parametrize("path", sources(*IN_BUNDLES), ids=name)
def test_a_worker_imports_nothing_of_the_host(path: Path) -> None:
    """A package of the host alone would be missing at the first tick in production."""
    assert {one.partition(".")[0] for one in imports(path)} & HOST_ONLY == set()


@pytest.mark.parametrize("path", sources(*IN_BUNDLES), ids=name)
def test_javascript_is_seen_at_the_edge_alone(path: Path) -> None:
    """Everything else can then be run, and tested, in plain Python."""
    if path.name == "entry.py" or name(path) in SEES_THE_PLATFORM:
        return
    assert {one.partition(".")[0] for one in imports(path)} & PLATFORM_MODULES == set()


@pytest.mark.parametrize(("pure", "packages"), PURE.items())
def test_the_pure_core_imports_nothing_that_reaches_out(pure: str, packages: set[str]) -> None:
    """Rules about time are easiest to trust if they cannot reach a clock."""
    [path] = [path for path in sources(*IN_BUNDLES) if module(path) == pure]
    for one, _ in import_lines(path):
        first = one.partition(".")[0]
        is_standard = first in sys.stdlib_module_names - REACHES_OUT
        assert is_standard or first in packages or one in PURE, one


@pytest.mark.parametrize("path", sources(*IN_BUNDLES, "mauntic", "tools"), ids=name)
def test_sql_is_in_sql_files(path: Path) -> None:
    """A statement in a `.sql` file is prepared with the schema by a test, and read as SQL."""
    statement = re.compile(
        r"^\s*(select\s|insert into\s|update\s\S+\sset\s|delete from\s|with\s\S+\sas\s)",
        re.IGNORECASE,
    )
    texts = [
        n.value
        for n in ast.walk(tree(path))
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]
    docstrings = {
        ast.get_docstring(n, clean=False)
        for n in ast.walk(tree(path))
        if isinstance(n, _DOCUMENTED)
    }
    if name(path).startswith(BEFORE_A_SCHEMA):
        return
    assert [t for t in texts if t not in docstrings and statement.match(t)] == []


# Single queries to a server before it has a schema with which a statement could be prepared.
BEFORE_A_SCHEMA = "mauntic/database/"

# The calls that write a log line: the ports' `log`, and alerts.
LOGS = (".log", "notify.send")

# Tests of several files or of the whole project: no file has their name.
ACROSS = {
    "tests/mauntic/cli/test_live.py", "tests/mauntic/cli/test_documented.py",
    "tests/mauntic/test_adopt_deliveries.py",
    "tests/shared/test_edges.py", "tests/shared/test_shards.py",
    "tests/shared/test_handler_types.py", "tests/shared/flow/test_own_transactions.py",
    "tests/workers/journeys/segments/test_histories.py",
    "tests/workers/journeys/segments/test_examples.py",
    "tests/workers/journeys/segments/test_triggers.py",
    "tests/workers/delivery/test_walks.py", "tests/workers/delivery/test_statements.py",
    "tests/workers/delivery/feedback/test_fuzz.py",
    "tests/workers/analytics/test_at_once.py", "tests/workers/analytics/test_closing_months.py",
    "tests/workers/analytics/test_corrections.py",
    "tests/workers/analytics/test_estimates.py", "tests/workers/analytics/test_old_cells.py",
    "tests/workers/scoring/test_at_once.py", "tests/workers/scoring/test_formulas.py",
    "tests/workers/scoring/test_alerts.py", "tests/workers/scoring/test_runs.py",
    "tests/workers/scoring/test_writers.py",
    "tests/test_architecture_page.py", "tests/test_layers.py",
    "tests/test_doctests.py", "tests/test_erasure.py", "tests/test_package.py",
    "tests/test_patterns.py",
    "tests/test_platform_page.py", "tests/test_retention.py",
    "tests/test_tidy.py",
    "tests/test_locks.py", "tests/test_make.py", "tests/test_security_page.py",
    "tests/test_secrets_are_ignored.py", "tests/test_values.py",
    "tests/tools/test_adding_a_provider.py", "tests/tools/test_providers_page.py",
    "tests/workers/delivery/providers/test_lookups.py",
    "tests/mauntic/cli/ui/test_terminal.py", "tests/mauntic/database/embedded/test_root.py",
}  # fmt: skip
ACROSS_FOLDERS = (
    "tests/e2e/", "tests/mutants/", "tests/sim/", "tests/mauntic/local/runtime/",
    "tests/workers/delivery/model/", "tests/workers/journeys/whole/",
)  # fmt: skip


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=name)
def test_a_test_lies_where_what_it_tests_does(path: Path) -> None:
    """A developer who changes a file finds its tests by its name."""
    if name(path) in ACROSS or name(path).startswith(ACROSS_FOLDERS):
        return
    folder = ROOT / path.parent.relative_to(ROOT / "tests")
    tested = path.stem.removeprefix("test_")
    assert (folder / tested).is_dir() or any(folder.rglob(f"{tested}.py")), tested


@pytest.mark.parametrize("path", sources(*IN_BUNDLES), ids=name)
def test_a_duration_or_a_size_names_its_unit(path: Path) -> None:
    """A number without its unit is misread sooner or later."""
    bare = re.compile(r"(^|_)(delay|timeout|duration|lag|wait|size|interval)$")
    numbers = {"int", "float"}
    for function in functions(path):
        for argument in [*function.args.args, *function.args.kwonlyargs]:
            if isinstance(argument.annotation, ast.Name) and argument.annotation.id in numbers:
                assert not bare.search(argument.arg), f"{function.name}({argument.arg})"


def test_every_event_is_in_the_catalogue_and_every_entry_is_logged() -> None:
    """The runbook is generated from the events: an event outside the list cannot be looked up."""
    called = re.compile(r"(?:\blog|notify\.send)\(\s*\"([a-z_]+\.[a-z_]+)\"")
    texts = [path.read_text(encoding="utf-8") for path in sources(*IN_BUNDLES)]
    logged = {event for text in texts for event in called.findall(text)} | {"queue.metric"}
    assert sorted(event.name for event in EVENTS) == sorted(logged)


def test_every_field_of_the_log_is_one_that_some_call_passes() -> None:
    """A reader would wait for a field that no call logs."""
    calls = [
        node
        for path in sources(*IN_BUNDLES)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(LOGS)
    ]
    passed = {keyword.arg for call in calls for keyword in call.keywords if keyword.arg}
    passed.discard("post")  # of an alert: whether it is more than a line
    counted = SqlBlocks(ROOT / "workers" / "scoring" / "sql")["count_crossings"]  # a row is a line
    columns = set(re.findall(r"\w+", counted)) & FIELDS
    assert passed | set(Metric._fields) | columns | {"event"} == FIELDS


def test_there_is_no_dead_module() -> None:
    """A file that no module imports becomes outdated."""
    everything = sources(*PRODUCT, "tests", "bench")
    imported = {one for path in everything for one in imports(path)}
    started = re.compile(r"-m (\S+)|python3 (\S+)\.py")
    makefile = (ROOT / "Makefile").read_text() + (ROOT / "wrangler.toml").read_text()
    run = {(a or b).replace("/", ".") for a, b in started.findall(makefile)}
    for path in sources(*PRODUCT):
        own = module(path)
        is_found = (
            ".jobs." in own
            or ".providers." in own  # the registry finds them
            or own.startswith("mauntic.cli.commands.")
            or path.name in ("__init__.py", "entry.py")
        )
        assert is_found or own in imported | run, f"nobody imports {own}"


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

# Words that make a sentence hard to read, each with its replacement. Text in quotes or backticks
# may contain them: names of accounts, columns and files of others.
WORDS = {
    "told|tells": "return, report, show, contain",
    "said": "returned, reported, contains",
    "whoever|whomever": "the name of the role: the operator, the caller, the sender",
    "nobody|somebody": "no process, an operator, another transaction",
    "anew": "again, from scratch",
    "mend|mends|mended|mending": "fix, repair, correct",
    "lest": "so that … not",
    "likewise": "also, the same way",
    "besides": "also, in addition",
    "meanwhile": "in the meantime, while …",
    "beside": "next to, in addition to, with",
    "for ever": "permanently",
    "in vain": "without success",
    "worked out": "computed",
    "in place of": "instead of",
    "under way": "in progress",
    "side by side": "concurrently",
    "by turns": "in turn",
    "makes? good|made good": "repair, catch up, replace",
    "all the same": "still, nevertheless",
    "organisations?|organised?": "organization",
    "behaviours?|colours?|favours?|neighbours?": "American spelling: behavior, color",
}
FOLDERS_OF_PAGES = ("docs", "bench", "data")
PAGES = [*ROOT.glob("*.md"), *(p for f in FOLDERS_OF_PAGES for p in (ROOT / f).rglob("*.md"))]
HISTORY = {"CHANGELOG.md"}


def _hard_words(text: str) -> list[str]:
    """Return a line per hard word: its number, the word, its replacement."""
    return [
        f"line {text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}: write {instead}"
        for words, instead in WORDS.items()
        for match in re.finditer(rf"(?<![\w`\"'.-])(?:{words})(?![\w`\"'-])", text, re.IGNORECASE)
    ]


def _texts(*folders: str) -> list[Path]:
    """Return the code, SQL and pages."""
    code = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    readable = [path for path in code if path.suffix in (".py", ".sql", ".mjs")]
    return sorted(path for path in readable if "python_modules" not in path.parts)


READABLE = [path for path in _texts(*PRODUCT, "bench", "tests") if path != Path(__file__).resolve()]


@pytest.mark.parametrize("path", [*READABLE, *PAGES], ids=name)
def test_the_language_is_plain(path: Path) -> None:
    """A reader should need neither a second reading nor a dictionary."""
    if name(path) in HISTORY:
        return
    assert _hard_words(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("The ledger said so.", 1),
        ("Whoever waits\nmends the organisation.", 3),
        ("runs as `nobody`, `organisation_id` is a column", 0),
        ("retold, unsaid, amended", 0),
    ],
)
def test_hard_words_are_found(text: str, count: int) -> None:
    assert len(_hard_words(text)) == count


# A variable with one of these names does not say what it holds. `kind` is a column of `ops.parts`.
PRONOUNS = {"one", "others", "known", "which", "what", "who", "some", "such", "it", "told", "said"}


@everywhere
def test_a_variable_says_what_it_holds(path: Path) -> None:
    """A reader looks up a pronoun's meaning again at each use."""
    stored = {
        node.id
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    arguments = {node.arg for node in ast.walk(tree(path)) if isinstance(node, ast.arg)}
    assert (stored | arguments) & PRONOUNS == set()


# Handlers whose rule is not in SQL.
RULE_IN_PYTHON = {"workers/scoring/jobs/publish_crossings.py"}


@pytest.mark.parametrize("path", sorted((ROOT / "workers").glob("*/jobs/[a-z]*.py")), ids=name)
def test_a_handler_names_the_sql_that_holds_its_rule(path: Path) -> None:
    """Its docstring contains the file and the blocks, so that the rule is one look-up away."""
    if name(path) in RULE_IN_PYTHON:
        return
    handlers = [node for node in tree(path).body if isinstance(node, ast.AsyncFunctionDef)]
    docs = " ".join(ast.get_docstring(handler) or "" for handler in handlers)
    named = re.findall(r"`(\w+\.sql)`\s+\(([^)]*)\)", docs)
    assert named, f"{name(path)} names no SQL file and block"
    for file, blocks in named:
        text = (path.parents[1] / "sql" / file).read_text(encoding="utf-8")
        for block in re.findall(r"\w+", blocks):
            assert f"-- name: {block}\n" in text, f"{file} has no block {block}"
