"""`mauntic messages`: list messages, show what became of one, settle what waits for a person."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from mauntic.cli.ui.options import AsJson, By, DryRun, Limit, Note, Remote, Yes, confirm, who
from mauntic.cli.ui.output import cell, print_json, print_table, say
from mauntic.errors import OperatorError
from mauntic.operations.message_explanation import checks_now
from mauntic.operations.messages import (
    Decision,
    MessageFilter,
    find_message,
    history_of,
    list_messages,
    require_resolvable,
    resolve,
)
from mauntic.operations.systems import open_records
from mauntic.project.printable import count_of
from shared.ports import Row

app = typer.Typer(
    no_args_is_help=True,
    help="""List messages, show what became of one, settle what waits for a person.

    Examples:

      mauntic messages list

      mauntic messages show 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c

      mauntic messages resolve 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --sent --note "seen in SES"
    """,
)

Channel = Annotated[str | None, typer.Option(help="Only email, sms or push.")]
Organization = Annotated[UUID | None, typer.Option(help="Only of this organization.")]


@app.command("list")
def list_(
    state: Annotated[
        list[str] | None,
        typer.Option(help="Only in this state; repeatable (default: held and uncertain)."),
    ] = None,
    uncertain: Annotated[
        bool, typer.Option("--uncertain", help="Short for --state uncertain.")
    ] = False,
    contact: Annotated[UUID | None, typer.Option(help="All messages to this contact.")] = None,
    campaign: Annotated[UUID | None, typer.Option(help="All messages of this campaign.")] = None,
    organization: Organization = None,
    channel: Channel = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """List messages, newest first: without options those that wait for a person.

    Messages in final states are listed by contact or by campaign.

    Examples:

      mauntic messages list --uncertain

      mauntic messages list --contact 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c

      mauntic messages list --state pending --state queued --channel sms --json
    """
    states = (*(state or ()), *(("uncertain",) if uncertain else ()))
    filters = MessageFilter(states, channel, organization, contact, campaign)
    with open_records(remote=remote) as db:
        messages = list_messages(db, filters, limit)
    if as_json:
        print_json(messages)
    else:
        print_table("messages", messages, empty="none")


@app.command()
def show(
    message_id: Annotated[UUID, typer.Argument(metavar="ID", help="The id of the message.")],
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Show one message: its source, the checks as they stand now, its attempts and events.

    The output contains neither the address nor the content.

    Example:

      mauntic messages show 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c
    """
    now = datetime.now(UTC)
    with open_records(remote=remote) as db:
        message = find_message(db, message_id)
        attempts, events = history_of(db, message_id)
        checks = checks_now(db, message, now)
    if as_json:
        found = {"message": message, "checks": checks, "attempts": attempts, "events": events}
        print_json(found)
        return
    say(_summary(message))
    print_table("source", [_source(message)])
    print_table(f"checks at {cell(now)}", checks)
    print_table("attempts", attempts, empty="none: no provider was called")
    print_table("events", events, empty="none")


@app.command("resolve")
def resolve_(
    ids: Annotated[list[UUID], typer.Argument(metavar="ID...", help="Ids of messages.")],
    sent: Annotated[bool, typer.Option("--sent", help="The provider has sent it.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="The provider has not sent it.")] = False,
    resend: Annotated[
        bool, typer.Option("--resend", help="Send it, at the risk of a duplicate.")
    ] = False,
    by: By = "",
    note: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Decide what becomes of held and uncertain messages.

    A held message was not sent: --resend sends it. An uncertain message was given to the provider,
    whose answer is unknown: look it up there, then pass --sent or --failed. --resend makes one more
    call, which may reach the recipient a second time.

    Examples:

      mauntic messages resolve 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --failed --note "bounced"

      mauntic messages resolve 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --resend --dry-run
    """
    decision = _decision(sent, failed, resend)
    with open_records(remote=remote) as db:
        messages = [find_message(db, message_id) for message_id in dict.fromkeys(ids)]
        for message in messages:
            require_resolvable(message, decision)
        if dry_run:
            return _print_resolved(as_json, [message["id"] for message in messages], decision, True)
        confirm(_question(messages, decision), yes=yes)
        changed = resolve(db, messages, decision, who(by), note, datetime.now(UTC))
    _print_resolved(as_json, changed, decision, False)


def _decision(sent: bool, failed: bool, resend: bool) -> Decision:
    flags: dict[Decision, bool] = {"sent": sent, "failed": failed, "resend": resend}
    chosen = [decision for decision, is_set in flags.items() if is_set]
    if len(chosen) != 1:
        raise OperatorError("Pass one of --sent, --failed and --resend.")
    return chosen[0]


def _question(messages: list[Row], decision: Decision) -> str:
    count = count_of(len(messages), "message")
    if decision != "resend":
        return f"mark {count} as {decision}?"
    uncertain = sum(message["state"] == "uncertain" for message in messages)
    warning = f"; {uncertain:,} may arrive a second time" if uncertain else ""
    return f"send {count}{warning}?"


def _print_resolved(as_json: bool, ids: list[UUID], decision: Decision, dry_run: bool) -> None:
    if as_json:
        print_json({"would_resolve" if dry_run else "resolved": [str(i) for i in ids]})
        return
    action = {"sent": "marked as sent", "failed": "marked as failed", "resend": "sent"}[decision]
    verb = "would be" if dry_run else "will be" if decision == "resend" else "was"
    if len(ids) != 1 and verb == "was":
        verb = "were"
    when = " within five minutes" if decision == "resend" and not dry_run else ""
    say(f"{count_of(len(ids), 'message')} {verb} {action}{when}.")


def _summary(message: Row) -> str:
    reason = f", {message['reason']}" if message["reason"] else ""
    until = f" until {cell(message['not_before'])}" if message["not_before"] else ""
    duplicate = "; it may arrive twice" if message["possible_duplicate"] else ""
    return (
        f"{message['class'].capitalize()} {message['channel']} {message['id']}"
        f" of organization {message['organization_id']}:"
        f" {message['state']}{reason}{until}{duplicate}"
    )


SOURCE = (
    "idempotency_key",
    "contact_id",
    "campaign_id",
    "journey_execution_id",
    "template_id",
    "created_at",
    "expires_at",
    "claimed_at",
    "called_at",
    "finished_at",
)


def _source(message: Row) -> Row:
    return {name: message[name] for name in SOURCE if message[name] is not None}
