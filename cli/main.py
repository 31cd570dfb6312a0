"""The `mauntic` command: what an operator and a developer can do, each in a module of its own."""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from cli.output import Refusal, errors
from local.database_url import DatabaseUnavailable
from local.migrations import MigrationFailed
from local.runtime import RuntimeFailed

app = typer.Typer(
    name="mauntic",
    help="Scheduled and queued work: run it, watch it, mend it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# name -> (module, function): a command, or a group where the function's name is `app`.
COMMANDS = {
    "dev": ("cli.dev", "dev"),
}


@app.callback()
def root() -> None:
    """Scheduled and queued work: run it, watch it, mend it."""


def register() -> None:
    """Give the app its commands, in the order of the table."""
    for name, (module, attribute) in COMMANDS.items():
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)


def main() -> None:
    """Run the command; an expected failure is one sentence on standard error and exit code 1."""
    register()
    try:
        app()
    except (Refusal, RuntimeFailed, DatabaseUnavailable, MigrationFailed) as error:
        errors.print(f"[bold red]error[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
