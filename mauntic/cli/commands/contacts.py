"""`mauntic contacts`: erase what our tables hold of a contact."""

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
    help="""Contacts: erase what is held of one.

    Examples:

      mauntic contacts erase 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --delete --dry-run
    """,
)
Organization = Annotated[
    UUID | None,
    typer.Option(help="Its organization. Needed once the contact itself is deleted."),
]
Addresses = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="E-mail addresses that it has or had, one a line; - reads standard input.",
    ),
]
Delete = Annotated[bool, typer.Option("--delete", help="Delete the contact and its events first.")]
PLATFORM = ("crm.contacts", "analytics.contact_activity")


@app.callback()
def contacts() -> None:
    """Keeps `erase` a command of its own name."""


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

    Dead letters and errors that name its id or an address of it are emptied. Dead letters keep who
    did it and when. All of it is one transaction, and doing so twice does it once. A contact that
    is still there is refused without --delete: its scores would be computed anew.

    Repeat it a day later: a message that waits in a queue may end as a dead letter until then.

    Examples:

      mauntic contacts erase 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --delete --dry-run

      mauntic contacts erase 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c
      --organization 018f3c2e-7d1a-7c55-9d0e-000000000001 --addresses former.txt --remote
    """
    given = _read(addresses) if addresses else []
    with open_records(remote=remote) as db:
        found = _found(db, contact, organization)
        key = {"organization_id": found["organization_id"], "contact_id": contact}
        rows = _counts(db, key, _addresses(given, found))
        if _total(rows) and not dry_run:
            _agree(contact, found, rows, delete=delete, yes=yes)
            rows = _erase(db, key, given, who(by), delete=delete)
    _tell(key, rows, as_json, dry_run=dry_run)


def _agree(contact: UUID, found: Row, rows: list[Row], *, delete: bool, yes: bool) -> None:
    """Refuse a contact that is still to be there afterwards; else show the counts and ask."""
    if found["is_there"] and not delete:
        raise OperatorError(
            f"The contact {contact} is still in crm.contacts: delete it and its events there"
            " first, or say --delete."
        )
    if not yes:
        for row in rows:
            remark(f"{row['count']:>9,}  {row['table']}")
    confirm(f"erase {count_of(_total(rows), 'row')} of the contact {contact}?", yes=yes)


def _addresses(given: list[str], found: Row) -> list[str]:
    return [*given, *([found["email"]] if found["email"] else [])]


def _read(name: str) -> list[str]:
    """The addresses of a file. They are no arguments, which every account of the machine can read,
    and are in no message."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"--addresses {name} cannot be read: {type(error).__name__}.") from None
    lines = [line.strip() for line in text.splitlines()]
    for number, line in enumerate(lines, 1):
        local, _, domain = line.partition("@")
        if line and not (local and domain and " " not in line and "\0" not in line):
            raise OperatorError(f"Line {number} of --addresses {name} is no e-mail address.")
    return [line for line in lines if line]


def _found(db: Database, contact: UUID, organization: UUID | None) -> Row:
    """The contact's organization, and its address where it is still there."""
    rows = db.rows(SQL["contact_of_id"], contact_id=contact)
    if rows:
        belongs_to = rows[0]["organization_id"]
        if organization not in (None, belongs_to):
            raise OperatorError(f"The contact {contact} belongs to the organization {belongs_to}.")
        return rows[0] | {"is_there": True}
    if organization is None:
        raise OperatorError(f"crm.contacts has no contact {contact}: say its --organization.")
    return {"organization_id": organization, "email": None, "is_there": False}


def _counts(db: Database, key: dict[str, UUID], known: list[str]) -> list[Row]:
    """What there is to erase, by table."""
    words = " ".join([str(key["contact_id"]), *known])
    rows = db.rows(SQL["count_of_contact"], **key, words=words)
    return [row for row in rows if row["count"]]


def _erase(
    db: Database, key: dict[str, UUID], given: list[str], by: str, *, delete: bool
) -> list[Row]:
    """Erase the contact, in one transaction; what was there, by table."""
    with busy("erasing"), db.transaction():
        known = _addresses(given, _found(db, key["contact_id"], key["organization_id"]))
        rows = _counts(db, key, known)
        if delete:
            db.execute(SQL["delete_events_of_contact"], **key)
            db.execute(SQL["delete_contact"], **key)
        emails: list[str | None] = [*known] or [None]
        for email in emails:
            db.rows(SQL["erase_contact"], **key, email=email)
        db.execute(SQL["audit_erasure"], by=by)
    return rows if delete else [row for row in rows if row["table"] not in PLATFORM]


def _total(rows: list[Row]) -> int:
    return sum(row["count"] for row in rows)


def _tell(key: dict[str, UUID], rows: list[Row], as_json: bool, *, dry_run: bool) -> None:
    done = "would_erase" if dry_run else "erased"
    if as_json:
        print_json({**key, done: {row["table"]: row["count"] for row in rows}})
        return
    title = f"contact {key['contact_id']}: {'would be erased' if dry_run else 'erased'}"
    print_table(title, rows, empty="nothing is left of it")
    if rows and not dry_run:
        say("Repeat it a day later: messages that wait in a queue may name the contact.")
