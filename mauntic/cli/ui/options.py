"""The options that several commands share, each with one meaning."""

from __future__ import annotations

import getpass
from typing import Annotated, NoReturn

import typer

from mauntic.cli.ui.output import remark
from mauntic.errors import OperatorError
from mauntic.operations.ledger_queries import BIGINT_MAX
from mauntic.project.printable import visible

AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]
Remote = Annotated[
    bool, typer.Option("--remote", help="The deployed system: the vendor's API, and DATABASE_URL.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; do nothing.")]
Limit = Annotated[int, typer.Option(min=1, max=BIGINT_MAX, help="At most so many.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
By = Annotated[str, typer.Option(help="Who does it, for the audit; else the login name.")]
Note = Annotated[str | None, typer.Option(help="Why, for the audit.")]


def confirm(question: str, *, yes: bool) -> None:
    """Ask on standard error; a no, or nobody to ask, ends the command with 1, Ctrl-C with 130."""
    if yes:
        return
    try:
        agreed = typer.confirm(visible(question), err=True)
    except typer.Abort as abort:
        typer.echo(err=True)  # ends the line of the question
        if isinstance(abort.__context__, KeyboardInterrupt):
            interrupted("nothing was done")
        raise OperatorError("Nobody answered: say --yes to go on without asking.") from None
    if not agreed:
        raise OperatorError("Nothing was done.")


def interrupted(account: str) -> NoReturn:
    """The end of a command by Ctrl-C: what was done, and what goes on."""
    remark(f"interrupted: {account}")
    raise typer.Exit(130)


def who(by: str) -> str:
    """The name for the audit columns."""
    return by or getpass.getuser()
