"""`mauntic contacts`: erase a contact's data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from mauntic.cli.ui.options import AsJson, By, DryRun, Remote, Yes, confirm, who
from mauntic.cli.ui.output import busy, print_json, print_table, remark, say
from mauntic.errors import OperatorError
from mauntic.operations.statements import SQL
from mauntic.operations.systems import open_records
from mauntic.project.printable import count_of
from shared.ports import Database, Row

app = typer.Typer(
    no_args_is_help=True,
    help="""Erase a contact's data.

    Examples:

      mauntic contacts erase 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --delete --dry-run
    """,
)
Organization = Annotated[
    UUID | None,
    typer.Option(help="The contact's organization; required if the contact itself is deleted."),
]
Addresses = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Current and former e-mail addresses, one per line; - reads standard input.",
    ),
]
Delete = Annotated[bool, typer.Option("--delete", help="Delete the contact and its events first.")]
PLATFORM = ("crm.contacts", "analytics.contact_activity", "crm.segment_contacts")


@app.callback()
def contacts() -> None:
    """Keep `erase` a subcommand: Typer would make a single command the group itself."""


@app.command()
def erase(
    contact: Annotated[UUID, typer.Argument(metavar="ID", help="The id of the contact.")],
    organization: Organization = None,
    addresses: Addresses = None,
    delete: Delete = False,
    by: By = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Erase a contact: its scores, history, signals, alerts and changes.

    Dead letters and errors that name its id or one of its addresses are emptied; dead letters keep
    the operator's name and the time. Everything is one transaction and can be repeated. A contact
    that still exists is refused without --delete: its scores would be computed again.

    Repeat the command a day later: a message in a queue may have become a dead letter by then.

    Examples:

      mauntic contacts erase 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --delete --dry-run

      mauntic contacts erase 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c
      --organization 018f3c2e-7d1a-7c55-9d0e-000000000001 --addresses former.txt --remote
    """
    given = _read_addresses(addresses) if addresses else []
    with open_records(remote=remote) as db:
        found = _find_contact(db, contact, organization)
        key = {"organization_id": found["organization_id"], "contact_id": contact}
        rows = _counts(db, key, _addresses(given, found))
        if _total(rows) and not dry_run:
            _confirm(contact, found, rows, delete=delete, yes=yes)
            rows = _erase(db, key, given, who(by), delete=delete)
    _print(key, rows, as_json, dry_run=dry_run)


def _confirm(contact: UUID, found: Row, rows: list[Row], *, delete: bool, yes: bool) -> None:
    """Refuse a contact that would remain; otherwise show the counts and ask."""
    if found["is_there"] and not delete:
        raise OperatorError(
            f"The contact {contact} is still in crm.contacts: delete it and its events there"
            " first, or pass --delete."
        )
    if not yes:
        for row in rows:
            remark(f"{row['count']:>9,}  {row['table']}")
    confirm(f"erase {count_of(_total(rows), 'row')} of the contact {contact}?", yes=yes)


def _addresses(given: list[str], found: Row) -> list[str]:
    return [*given, *([found["email"]] if found["email"] else [])]


def _read_addresses(name: str) -> list[str]:
    """Read addresses from a file. Arguments would be visible to every account on the machine.

    Error messages contain no address.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"--addresses {name} cannot be read: {type(error).__name__}.") from None
    lines = [line.strip() for line in text.splitlines()]
    for number, line in enumerate(lines, 1):
        local, _, domain = line.partition("@")
        if line and not (local and domain and " " not in line and "\0" not in line):
            raise OperatorError(f"Line {number} of --addresses {name} is not an e-mail address.")
    return [line for line in lines if line]


def _find_contact(db: Database, contact: UUID, organization: UUID | None) -> Row:
    """Return the contact's organization, and its address if the contact still exists."""
    rows = db.rows(SQL["contact_of_id"], contact_id=contact)
    if rows:
        belongs_to = rows[0]["organization_id"]
        if organization not in (None, belongs_to):
            raise OperatorError(f"The contact {contact} belongs to the organization {belongs_to}.")
        return rows[0] | {"is_there": True}
    if organization is None:
        raise OperatorError(f"crm.contacts has no contact {contact}: pass its --organization.")
    return {"organization_id": organization, "email": None, "is_there": False}


def _counts(db: Database, key: dict[str, UUID], addresses: list[str]) -> list[Row]:
    """Count the rows to erase, by table."""
    words = " ".join([str(key["contact_id"]), *addresses])
    rows = db.rows(SQL["count_of_contact"], **key, words=words)
    return [row for row in rows if row["count"]]


def _erase(
    db: Database, key: dict[str, UUID], given: list[str], by: str, *, delete: bool
) -> list[Row]:
    """Erase the contact in one transaction; return the erased rows by table."""
    with busy("erasing"), db.transaction():
        addresses = _addresses(given, _find_contact(db, key["contact_id"], key["organization_id"]))
        rows = _counts(db, key, addresses)
        if delete:
            db.execute(SQL["delete_events_of_contact"], **key)
            db.execute(SQL["delete_contact"], **key)
        emails: list[str | None] = [*addresses] or [None]
        for email in emails:
            db.rows(SQL["erase_contact"], **key, email=email)
        db.execute(SQL["audit_erasure"], by=by)
    return rows if delete else [row for row in rows if row["table"] not in PLATFORM]


def _total(rows: list[Row]) -> int:
    return sum(row["count"] for row in rows)


def _print(key: dict[str, UUID], rows: list[Row], as_json: bool, *, dry_run: bool) -> None:
    done = "would_erase" if dry_run else "erased"
    if as_json:
        print_json({**key, done: {row["table"]: row["count"] for row in rows}})
        return
    title = f"contact {key['contact_id']}: {'would be erased' if dry_run else 'erased'}"
    print_table(title, rows, empty="nothing left")
    if rows and not dry_run:
        say("Repeat the command a day later: messages in a queue may name the contact.")
