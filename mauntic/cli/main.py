"""The `mauntic` command line. Each command has a module of its own in `commands/`."""

from __future__ import annotations

import errno
import os
import sys
import threading
from importlib import import_module
from traceback import format_exc, format_exception
from typing import Any, NamedTuple, TextIO

from mauntic.project.interrupts import at_once

with at_once():
    import typer
    from typer.core import TyperCommand, TyperGroup
    from typer.main import get_command, get_group

    from mauntic.cli.ui.notices import show_notices
    from mauntic.cli.ui.output import remark
    from mauntic.cli.ui.stdio import let_streams_pass, refuse_unreadable
    from mauntic.errors import OperatorError


COMMANDS_PACKAGE = "mauntic.cli.commands"
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EPIPE)


class Entry(NamedTuple):
    """The place of a command: a function, or the group `app`.

    Its module is slow to import, so the list of commands takes its help from here.
    """

    module: str
    attribute: str
    help: str


COMMANDS = {
    "dev": Entry("dev", "dev", "Run every worker of wrangler.toml locally."),
    "demo": Entry(
        "demo",
        "demo",
        "Run real events through the real workers and check the result.",
    ),
    "jobs": Entry("jobs", "app", "List jobs with their state; run, pause, resume a job."),
    "runs": Entry("runs", "app", "List the runs of windows, from the ledger."),
    "backfill": Entry("backfill", "backfill", "Run the windows of a past range."),
    "import": Entry("event_import", "import_events", "Import historic events of another system."),
    "queues": Entry("queues", "app", "Send to a queue, follow it, show its state, pause it."),
    "dlq": Entry("dlq", "app", "List dead letters, redrive them, or discard them."),
    "metrics": Entry(
        "metrics",
        "metrics",
        "Show throughput, durations, retries and dead letters.",
    ),
    "check": Entry("check", "check", "List every problem of code, configuration and database."),
    "db": Entry(
        "db",
        "app",
        "Migrate the schema, inspect it, adopt an existing database.",
    ),
    "provision": Entry("provision", "provision", "Create what a deployment needs in the account."),
    "cutover": Entry(
        "cutover",
        "app",
        "Switch from the old scheduler to this one step by step, and back.",
    ),
    "scores": Entry(
        "scores",
        "app",
        "Explain lead scores, show the backlog, request recomputation.",
    ),
    "segments": Entry(
        "segments",
        "app",
        "List segments, explain a membership, build a segment again.",
    ),
    "mail": Entry("mail", "app", "List, show and open captured messages of the local system."),
    "contacts": Entry("contacts", "app", "Erase a contact's data."),
    "messages": Entry(
        "messages", "app", "List messages, show what became of one, settle what waits."
    ),
    "journeys": Entry("journeys", "app", "List journeys, publish a version, pause and resume."),
    "executions": Entry(
        "executions", "app", "List executions of journeys, show every visit of one, cancel them."
    ),
    "campaigns": Entry(
        "campaigns", "app", "List campaigns, show their progress; start, pause, cancel them."
    ),
    "delivery": Entry("delivery", "app", "Show what waits to be sent; resume paused providers."),
    "suppressions": Entry("suppressions", "app", "List, add and remove suppressed addresses."),
    "enqueue": Entry("queues", "enqueue", "Short for `queues enqueue`."),
    "tail": Entry("queues", "tail", "Short for `queues tail`."),
    "redrive": Entry("dlq", "redrive", "Short for `dlq redrive`."),
}


class LazyGroup(TyperGroup):
    """The commands of `COMMANDS`; a command's module is imported when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name, help=entry.help) for name, entry in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _stub, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else None, rest


@at_once()
def load(name: str) -> Any:
    """Import and return the command."""
    found = getattr(
        import_module(f"{COMMANDS_PACKAGE}.{COMMANDS[name].module}"), COMMANDS[name].attribute
    )
    if isinstance(found, typer.Typer):
        return _unwrap(get_group(found))
    alone = typer.Typer(rich_markup_mode="rich", add_completion=False)
    alone.command(name)(found)
    return _unwrap(get_command(alone))


def _unwrap(command: Any) -> Any:
    """Join the lines of each help paragraph: the terminal wraps them."""
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(part.split()) for part in paragraphs)
    for below in getattr(command, "commands", {}).values():
        _unwrap(below)
    return command


app = typer.Typer(
    name="mauntic",
    cls=LazyGroup,
    help="""Run, watch and repair scheduled and queued work.

    Examples:

      mauntic dev

      mauntic jobs list

      mauntic backfill analytics.aggregate-hourly --from 2026-03-01 --to 2026-03-08
    """,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root() -> None:
    """Run, watch and repair scheduled and queued work."""


def main() -> None:
    """Run the command. Print an expected failure as one sentence on standard error; exit with 1."""
    show_failed_threads()
    show_notices()
    try:
        let_streams_pass()
        refuse_unreadable(sys.argv[1:])
        _run()
    except Exception as error:
        if not is_expected(error):
            remark(format_exc().rstrip())  # escaped: it may contain foreign text
            sys.exit(1)
        remark(f"{error}{remedy(error)}", "error", "bold red")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def show_failed_threads() -> None:
    """Print tracebacks of threads with control characters escaped, which Python does not do."""

    def show(failed: threading.ExceptHookArgs) -> None:
        parts = format_exception(failed.exc_type, failed.exc_value, failed.exc_traceback)
        remark("".join(parts).rstrip())

    if threading.excepthook is threading.__excepthook__:  # no other hook is installed
        threading.excepthook = show


def _run() -> None:
    """Run the command and flush its output, so that a failed write gets a proper error.

    A closed pipe is not an error: its reader needs nothing more.
    """
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in UNWRITABLE or not _is_stuck(sys.stdout):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        raise OperatorError(f"The output cannot be written: {error.strerror}.") from error


def _is_stuck(stream: TextIO) -> bool:
    """Return whether this stream refuses output, by writing a blank line to it."""
    try:
        os.write(stream.fileno(), b"\n")
    except OSError:
        return True
    return False


@at_once()
def remedy(error: Exception) -> str:
    """Return what to do about the error, to append to its text; empty if there is no advice."""
    from shared import errors

    advice = errors.remedy(error)
    return f": {advice}" if advice else ""


@at_once()
def is_expected(error: Exception) -> bool:
    """Return True if the error's text is enough for an operator, without a traceback."""
    from mauntic.database.migrations import MigrationFailed
    from mauntic.database.url import DatabaseUnavailable
    from mauntic.local.control_client import RuntimeFailed
    from shared.errors import DatabaseError, DatabaseUnreachable

    expected = (
        DatabaseError,
        DatabaseUnavailable,
        DatabaseUnreachable,
        MigrationFailed,
        RuntimeFailed,
    )
    return isinstance(error, (OperatorError, *expected))
