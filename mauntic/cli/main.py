"""The `mauntic` command: what an operator and a developer can do, each in a module of its own."""

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
    """Where a command is: a function, or a group where the attribute is `app`. Its module is slow
    to import, so that the list of commands has its help from here."""

    module: str
    attribute: str
    help: str


COMMANDS = {
    "dev": Entry("dev", "dev", "Run every worker of wrangler.toml here."),
    "demo": Entry(
        "demo",
        "demo",
        "Real events through the real workers, and the result checked.",
    ),
    "jobs": Entry("jobs", "app", "Every job with its state; run, pause, resume one."),
    "runs": Entry("runs", "app", "The runs of every window, from the ledger."),
    "backfill": Entry("backfill", "backfill", "Run the windows of a past range."),
    "queues": Entry("queues", "app", "Send to a queue, follow it, see its state, pause it."),
    "dlq": Entry("dlq", "app", "See dead letters, send them back, or discard them."),
    "metrics": Entry(
        "metrics",
        "metrics",
        "Throughput, durations, retries and dead letters.",
    ),
    "check": Entry("check", "check", "Everything that is wrong, in one list."),
    "db": Entry(
        "db",
        "app",
        "The schema: migrate it, look at it, adopt an existing database.",
    ),
    "provision": Entry("provision", "provision", "What the account lacks, and make it."),
    "cutover": Entry(
        "cutover",
        "app",
        "From the old scheduler to this one, step by step, and back.",
    ),
    "scores": Entry(
        "scores",
        "app",
        "Lead scores: explain one, see what waits, recompute some.",
    ),
    "contacts": Entry("contacts", "app", "Erase what our tables hold of a contact."),
    "enqueue": Entry("queues", "enqueue", "Short for `queues enqueue`."),
    "tail": Entry("queues", "tail", "Short for `queues tail`."),
    "redrive": Entry("dlq", "redrive", "Short for `dlq redrive`."),
}


class LazyGroup(TyperGroup):
    """The commands of the table; a command's module is imported when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name, help=known.help) for name, known in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _stub, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else None, rest


@at_once()
def load(name: str) -> Any:
    """The command itself."""
    found = getattr(
        import_module(f"{COMMANDS_PACKAGE}.{COMMANDS[name].module}"), COMMANDS[name].attribute
    )
    if isinstance(found, typer.Typer):
        return _unwrapped(get_group(found))
    alone = typer.Typer(rich_markup_mode="rich", add_completion=False)
    alone.command(name)(found)
    return _unwrapped(get_command(alone))


def _unwrapped(command: Any) -> Any:
    """The command, with the lines of each paragraph of its help joined: terminals break them."""
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(part.split()) for part in paragraphs)
    for below in getattr(command, "commands", {}).values():
        _unwrapped(below)
    return command


app = typer.Typer(
    name="mauntic",
    cls=LazyGroup,
    help="""Scheduled and queued work: run it, watch it, mend it.

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
    """Scheduled and queued work: run it, watch it, mend it."""


def main() -> None:
    """Run the command; an expected failure is one sentence on standard error and exit code 1."""
    show_failed_threads()
    show_notices()
    try:
        let_streams_pass()
        refuse_unreadable(sys.argv[1:])
        _run()
    except Exception as error:
        if not is_expected(error):
            remark(format_exc().rstrip())  # its texts may be those of others
            sys.exit(1)
        remark(f"{error}{remedy(error)}", "error", "bold red")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def show_failed_threads() -> None:
    """Show the traceback of a thread as any other: Python prints the texts in it as they are."""

    def show(failed: threading.ExceptHookArgs) -> None:
        parts = format_exception(failed.exc_type, failed.exc_value, failed.exc_traceback)
        remark("".join(parts).rstrip())

    if threading.excepthook is threading.__excepthook__:  # nobody else looks after them
        threading.excepthook = show


def _run() -> None:
    """Run the command. What cannot be written is known before the end, when Python would tell it in
    its own way; a reader that has left wants nothing more."""
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
    """Whether it was this stream that took no more, and no other file: a blank line tells."""
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
