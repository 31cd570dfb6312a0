"""`mauntic import`: historic events of other systems become rows of contact_activity."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import typer
from rich.progress import Progress

from mauntic.cli.ui.options import AsJson, DryRun, Remote, interrupted
from mauntic.cli.ui.output import errors, print_json, print_table, remark, say, warn
from mauntic.errors import OperatorError
from mauntic.event_import.counts import Counts
from mauntic.event_import.event import REASONS, Place
from mauntic.event_import.formats.catalogue import FORMATS
from mauntic.event_import.formats.form import Format
from mauntic.event_import.lines import Source, open_source
from mauntic.event_import.mapping import read_mapping
from mauntic.event_import.prepare import Rules
from mauntic.event_import.recompute import commands
from mauntic.event_import.rejects import open_rejects
from mauntic.event_import.run import BATCH_EVENTS, Import
from mauntic.event_import.store import Store
from mauntic.event_import.times import Ambiguous, zone_named
from mauntic.operations.statements import SQL
from mauntic.operations.systems import open_records
from mauntic.project.printable import count_of
from shared.ports import Database

SHOWN_AFTER_S = 2.0
SHOWN_MAX = 20
FormatName = Literal["hubspot", "klaviyo", "mailchimp", "segment", "sendgrid", "ses"]

File = Annotated[str, typer.Argument(metavar="FILE", help="CSV or JSON lines; - reads stdin.")]
Organization = Annotated[UUID, typer.Option(help="The organization that the events belong to.")]
FormatOption = Annotated[
    FormatName | None, typer.Option("--format", help="The system whose export the file is.")
]
Mapping = Annotated[
    str | None, typer.Option(metavar="TOML", help="A file that says which column is what.")
]
Zone = Annotated[str | None, typer.Option(help="Time zone of times without one: Europe/Berlin.")]
AmbiguousOption = Annotated[
    Ambiguous, typer.Option(help="The meaning of a local time that the clock showed twice.")
]
CreateContacts = Annotated[
    bool,
    typer.Option(
        "--create-contacts",
        help="Create a contact for each unknown address. It has the status do_not_contact.",
    ),
]
BeforeRetention = Annotated[
    bool,
    typer.Option("--before-retention", help="Accept events from before the retained period."),
]
Rejects = Annotated[
    str | None, typer.Option(metavar="CSV", help="Write the lines of refused rows to this file.")
]
AllowRejects = Annotated[
    bool, typer.Option("--allow-rejects", help="Exit with 0 even if rows were refused.")
]


@dataclass(frozen=True)
class Options:
    """The options of the command, with the format that the file has."""

    file: str
    organization_id: UUID
    form: Format
    zone: str | None
    ambiguous: Ambiguous
    create_contacts: bool
    before_retention: bool
    rejects: str | None
    allow_rejects: bool
    dry_run: bool
    as_json: bool
    remote: bool


def import_events(
    file: File,
    organization: Organization,
    form: FormatOption = None,
    mapping: Mapping = None,
    zone: Zone = None,
    ambiguous: AmbiguousOption = "refuse",
    create: CreateContacts = False,
    early: BeforeRetention = False,
    rejects: Rejects = None,
    allow_rejects: AllowRejects = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Import historic events of another system. docs/importing.md describes the exports.

    An event is imported once, by the id that its system gave it. If there is none, the id is made
    from its content, and equal rows are one event. The command can be interrupted and repeated.

    Contacts are found by e-mail address or id. Refused rows are counted by reason and listed with
    --rejects; the others are imported. Exits with 1 if any row was refused. Prints the commands
    that recompute reports and usage of the past.

    Examples:

      mauntic import old.jsonl --format sendgrid --organization 018f3c2e-7d1a-7c55-9d0e-000000000001
      --dry-run

      mauntic import old.csv --mapping old.toml --organization 018f3c2e-7d1a-7c55-9d0e-000000000001
      --zone Europe/Berlin --rejects refused.csv
    """
    described = _format(form, mapping)
    _run(Options(file, organization, described, zone, ambiguous, create, early, rejects,
                 allow_rejects, dry_run, as_json, remote))  # fmt: skip


def _run(asked: Options) -> None:
    if asked.rejects and Path(asked.rejects).resolve() == Path(asked.file).resolve():
        raise OperatorError("--rejects would overwrite the file to import: choose another name.")
    cut_short: BaseException | None = None
    with (
        open_source(asked.file) as source,
        open_records(remote=asked.remote) as db,
        open_rejects(asked.rejects) as reject,
    ):
        importing, retained_since = _importing(db, source, asked)
        importing.reject = reject
        try:
            with _progress(importing):
                importing.run()
        except BaseException as error:  # print what was stored first
            cut_short = error
    counts = importing.counts
    result = _result(asked, counts, retained_since) | {"interrupted": cut_short is not None}
    print_json(result) if asked.as_json else _print(asked, counts, result["next"])
    _end(counts, cut_short, is_allowed=asked.allow_rejects)


def _format(name: str | None, mapping: str | None) -> Format:
    if (name is None) == (mapping is None):
        raise OperatorError("Pass either --format or --mapping: docs/importing.md describes both.")
    return FORMATS[name] if name else read_mapping(str(mapping))


def _importing(db: Database, source: Source, asked: Options) -> tuple[Import, date]:
    """Return the import, and the first day of the retained period."""
    [scope] = db.rows(SQL["import_scope"], organization_id=asked.organization_id)
    retained_since: date = scope["retained_since"] or date.min
    if asked.create_contacts and not scope["may_create"]:
        raise OperatorError(
            "--create-contacts needs the right to insert into crm.contacts: set DATABASE_URL to the"
            " owner's role."
        )
    if not scope["has_contacts"]:
        warn("crm.contacts has no contact of this organization: check its id.")
    rules = Rules(
        asked.organization_id,
        asked.form,
        scope["now"],
        zone_named(asked.zone),
        asked.ambiguous,
        date.min if asked.before_retention else retained_since,
    )
    store = Store(db, asked.organization_id, asked.create_contacts, asked.dry_run)
    return Import(source, rules, store, batch_events=BATCH_EVENTS), retained_since


@contextmanager
def _progress(importing: Import) -> Iterator[None]:
    """Show the progress after some seconds, on a terminal as a bar, elsewhere as a line."""
    began = time.monotonic()
    source, counts = importing.source, importing.counts
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("importing", total=source.size, visible=False)
        shown = SHOWN_AFTER_S

        def advance() -> None:
            nonlocal shown
            seconds = time.monotonic() - began
            if seconds < SHOWN_AFTER_S:
                return
            text = f"importing: {count_of(counts.read, 'row')}, {counts.new:,} new"
            bar.update(task, completed=source.position, description=text, visible=True)
            if not errors.is_terminal and seconds >= shown:
                remark(f"{text}, after {seconds:.0f} s")
                shown = seconds * 2

        importing.advance = advance
        yield


def _result(asked: Options, counts: Counts, retained_since: date) -> dict[str, Any]:
    today = datetime.now(UTC).date()
    return {
        "organization": str(asked.organization_id),
        "system": asked.form.system,
        "dry_run": asked.dry_run,
        **counts.as_json(),
        "next": commands(counts.days, counts.campaign_days, retained_since, today),
    }


def _print(asked: Options, counts: Counts, following: list[str]) -> None:
    summary = {
        "rows read": counts.read,
        "new events": counts.new,
        "stored before": counts.stored_before,
        "repeated in the file": counts.repeated,
        "left out": counts.left_out.total(),
        "refused": counts.refused.total(),
        "contacts created": counts.contacts_created,
    }
    print_table("would be imported" if asked.dry_run else "imported", [summary])
    _counted("new events by type", "type", counts.by_type)
    _counted("new events by day (UTC)", "day", counts.by_day)
    _counted("left out, by type", "type", counts.left_out)
    if counts.refused:
        print_table("refused", [_refusal(counts, reason) for reason in sorted(counts.refused)])
    campaigns = [
        {"campaign": theirs, "event_source": ours} for theirs, ours in counts.campaigns.items()
    ]
    if campaigns:
        print_table("campaigns", campaigns[:SHOWN_MAX])
        _say_rest(len(campaigns))
    _notes(asked, counts, following)


def _counted(title: str, column: str, counts: Any) -> None:
    rows = [{column: str(name), "events": count} for name, count in sorted(counts.items())]
    if rows:
        print_table(title, rows[:SHOWN_MAX])
        _say_rest(len(rows))


def _say_rest(count: int) -> None:
    if count > SHOWN_MAX:
        say(f"… and {count - SHOWN_MAX:,} more; --json lists all")


def _refusal(counts: Counts, reason: str) -> dict[str, Any]:
    return {
        "reason": reason,
        "count": counts.refused[reason],
        "first lines": ", ".join(map(_place, counts.examples[reason])),
        "meaning": REASONS[reason],
    }


def _place(place: Place) -> str:
    return str(place.line) if place.item == 1 else f"{place.line} (item {place.item})"


def _notes(asked: Options, counts: Counts, following: list[str]) -> None:
    if counts.made_ids:
        say(
            f"{count_of(counts.made_ids, 'event')} had no id of the system: the id is made from the"
            " content, and equal rows are one event."
        )
    if counts.stops_mail:
        warn(
            f"{count_of(counts.stops_mail, 'event')} are bounces, complaints or unsubscriptions:"
            " the import suppresses no address. Use `mauntic suppressions add`."
        )
    if counts.new and not asked.dry_run:
        say("The next run of analytics.aggregate-hourly counts the new events into the rollups.")
    if following and not asked.dry_run:
        when = "After that run" if counts.new else "Unless you did so after an earlier import"
        say(f"{when}, recompute reports and usage of the past:")
        for command in following:
            say(f"  {command}")


def _end(counts: Counts, cut_short: BaseException | None, *, is_allowed: bool) -> None:
    again = "the stored events stay; run the same command to continue"
    if isinstance(cut_short, KeyboardInterrupt):
        interrupted(again)
    if cut_short:
        remark(f"cut short after {count_of(counts.read, 'row')}: {again}")
        raise cut_short
    if counts.refused and not is_allowed:
        refused = count_of(counts.refused.total(), "row or event", "rows or events")
        remark(f"{refused} were refused: pass --allow-rejects to accept this")
        raise typer.Exit(1)
