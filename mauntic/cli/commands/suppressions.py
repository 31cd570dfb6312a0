"""`mauntic suppressions`: addresses that receive nothing, or no marketing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import typer

from delivery.domain.address import normalize_email, normalize_phone
from mauntic.cli.ui.options import AsJson, By, DryRun, Limit, Remote, Yes, confirm, who
from mauntic.cli.ui.output import print_json, print_table, say
from mauntic.errors import OperatorError
from mauntic.operations.deliveries import add_suppressions, remove_suppressions
from mauntic.operations.statements import SQL
from mauntic.operations.systems import open_records
from mauntic.project.printable import count_of

app = typer.Typer(
    no_args_is_help=True,
    help="""List, add and remove addresses that receive nothing, or no marketing.

    Examples:

      mauntic suppressions list --organization 018f3c2e-7d1a-7c55-9d0e-000000000001

      mauntic suppressions add addresses.txt --organization 018f3c2e-7d1a-7c55-9d0e-000000000001
    """,
)

Channel = Literal["email", "sms"]
Reason = Literal["bounce", "complaint", "unsubscribe", "manual", "invalid"]
OfOrganization = Annotated[UUID, typer.Option("--organization", help="The organization.")]
OnChannel = Annotated[Channel, typer.Option("--channel", help="The channel of the addresses.")]
Addresses = Annotated[
    str,
    typer.Argument(metavar="FILE", help="One address on each line; - reads standard input."),
]


@app.command("list")
def list_(
    organization: OfOrganization,
    channel: Annotated[Channel | None, typer.Option(help="Only of this channel.")] = None,
    reason: Annotated[Reason | None, typer.Option(help="Only with this reason.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """List suppressed addresses, newest first.

    Example:

      mauntic suppressions list --organization 018f3c2e-7d1a-7c55-9d0e-000000000001 --reason bounce
    """
    key = {"organization_id": organization, "channel": channel, "reason": reason}
    with open_records(remote=remote) as db:
        rows = db.rows(SQL["suppressions"], **key, limit=limit)
    if as_json:
        print_json(rows)
    else:
        print_table("suppressed addresses", rows, empty="none")


@app.command()
def add(
    addresses: Addresses,
    organization: OfOrganization,
    channel: OnChannel = "email",
    scope: Annotated[
        Literal["all", "marketing"], typer.Option(help="What no longer reaches the addresses.")
    ] = "all",
    by: By = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Send nothing more to these addresses. Adding an address again changes nothing.

    Addresses are read from a file, because every account on this machine can read arguments. A
    message whose call has begun may still arrive.

    Example:

      mauntic suppressions add - --organization 018f3c2e-7d1a-7c55-9d0e-000000000001 < addresses.txt
    """
    found = _read(addresses, channel)
    if not dry_run:
        with open_records(remote=remote) as db:
            add_suppressions(db, organization, channel, found, scope, who(by))
    if as_json:
        print_json({"would_add" if dry_run else "added": len(found)})
    else:
        verb = "would receive" if dry_run else "receive"
        reach = "nothing" if scope == "all" else "no marketing"
        say(f"{count_of(len(found), 'address', 'addresses')} {verb} {reach} of this channel.")


@app.command()
def remove(
    addresses: Addresses,
    organization: OfOrganization,
    note: Annotated[str, typer.Option(help="Why the person wants messages again; required.")] = "",
    channel: OnChannel = "email",
    yes: Yes = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Send to these addresses again. Only a person may decide this: give the reason as a note.

    The providers keep lists of their own. An address that a provider suppresses still receives
    nothing.

    Example:

      mauntic suppressions remove address.txt --organization 018f3c2e-7d1a-7c55-9d0e-000000000001
      --note "asked for it by telephone on 2026-11-30"
    """
    found = _read(addresses, channel)
    if not note.strip():
        raise OperatorError("Give the reason with --note.")
    confirm(f"send to {count_of(len(found), 'address', 'addresses')} again?", yes=yes)
    with open_records(remote=remote) as db:
        removed = remove_suppressions(db, organization, channel, found, note)
    if as_json:
        print_json({"removed": removed})
    else:
        say(f"{count_of(removed, 'suppression')} of these addresses {_was(removed)} removed.")


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _read(name: str, channel: Channel) -> list[str]:
    """Read and normalize the addresses of a file. Errors name the line, not the address."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{name} cannot be read: {type(error).__name__}.") from None
    normalize = normalize_email if channel == "email" else normalize_phone
    found: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            address = normalize(line.strip())
            if address is None:
                form = "an e-mail address" if channel == "email" else "a number like +4930123456"
                raise OperatorError(f"Line {number} of {name} is not {form}.")
            found[address] = None
    if not found:
        raise OperatorError(f"{name} contains no address.")
    return list(found)
