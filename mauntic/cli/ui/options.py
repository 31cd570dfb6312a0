"""Options that several commands share."""

from __future__ import annotations

import getpass
from typing import Annotated, NoReturn

import typer

from mauntic.cli.ui.output import remark
from mauntic.errors import OperatorError
from mauntic.operations.ledger_queries import BIGINT_MAX
from mauntic.project.printable import visible

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Remote = Annotated[
    bool,
    typer.Option("--remote", help="Use the deployed system: the vendor's API and DATABASE_URL."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would happen; change nothing.")]
Limit = Annotated[int, typer.Option(min=1, max=BIGINT_MAX, help="Maximum number of rows.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
By = Annotated[str, typer.Option(help="Operator name for the audit log (default: login name).")]
Note = Annotated[str | None, typer.Option(help="Reason for the audit log.")]


def confirm(question: str, *, yes: bool) -> None:
    """Ask on standard error. Exit with 1 for a no or without a terminal, with 130 for Ctrl-C."""
    if yes:
        return
    try:
        agreed = typer.confirm(visible(question), err=True)
    except typer.Abort as abort:
        typer.echo(err=True)  # ends the line of the question
        if isinstance(abort.__context__, KeyboardInterrupt):
            interrupted("nothing was changed")
        raise OperatorError("No answer: pass --yes to continue without confirmation.") from None
    if not agreed:
        raise OperatorError("Nothing was changed.")


def interrupted(account: str) -> NoReturn:
    """End the command after Ctrl-C: print what was done and what continues."""
    remark(f"interrupted: {account}")
    raise typer.Exit(130)


def who(by: str) -> str:
    """Return the operator's name for the audit columns."""
    return by or getpass.getuser()
