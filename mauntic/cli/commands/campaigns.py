"""`mauntic campaigns`: list campaigns, show their progress, start, pause, resume, cancel them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from delivery.queues import JOBS
from mauntic.cli.ui.options import AsJson, DryRun, Limit, Remote, Yes, confirm
from mauntic.cli.ui.output import cell, print_json, print_table, say
from mauntic.errors import OperatorError
from mauntic.operations import campaigns
from mauntic.operations.systems import open_records, open_system
from mauntic.project.printable import count_of
from shared.ports import Row

app = typer.Typer(
    no_args_is_help=True,
    help="""List campaigns, show their progress; start, pause, resume and cancel them.

    Examples:

      mauntic campaigns list

      mauntic campaigns show 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c

      mauntic campaigns start 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --dry-run
    """,
)

CampaignId = Annotated[UUID, typer.Argument(metavar="ID", help="The id of the campaign.")]


@app.command("list")
def list_(
    status: Annotated[
        list[str] | None,
        typer.Option(
            help="Only with this status; repeatable (default: scheduled, sending, paused)."
        ),
    ] = None,
    problem: Annotated[
        bool, typer.Option("--problem", help="Only those with a problem, of every status.")
    ] = False,
    organization: Annotated[UUID | None, typer.Option(help="Only of this organization.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """List campaigns: without options those that move.

    Examples:

      mauntic campaigns list --problem

      mauntic campaigns list --status sent --limit 10 --json
    """
    with open_records(remote=remote) as db:
        found = campaigns.list_campaigns(db, status or (), organization, problem, limit)
    if as_json:
        print_json(found)
    else:
        print_table("campaigns", found, empty="none")


@app.command()
def show(campaign_id: CampaignId, as_json: AsJson = False, remote: Remote = False) -> None:
    """Show one campaign: its figures, its runs with their parts, and its messages by state.

    Figures are set every five minutes; the messages of the newest run are counted now.

    Example:

      mauntic campaigns show 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c
    """
    with open_records(remote=remote) as db:
        campaign = campaigns.find_campaign(db, campaign_id)
        progress = campaigns.progress_of(db, campaign_id)
    if as_json:
        print_json({"campaign": campaign, "runs": progress.runs, "messages": progress.messages})
        return
    say(_summary(campaign))
    print_table("figures", [_figures(campaign)])
    print_table("runs", progress.runs, empty="none: it has not started")
    print_table("messages of the newest run", progress.messages, empty="none")


@app.command()
def start(
    campaign_id: CampaignId,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Send a draft or a scheduled campaign now.

    --dry-run shows how many recipients it has and what refuses it. The settings of the worker are
    checked when it starts. A segment that is being built delays the start.

    Examples:

      mauntic campaigns start 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --dry-run

      mauntic campaigns start 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --yes
    """
    with open_records(remote=remote) as db:
        campaign = campaigns.find_campaign(db, campaign_id)
        campaigns.require_startable(campaign)
        refusal = campaigns.refusal_now(db, campaign, is_live=remote)
        audience = campaigns.audience_of(db, campaign_id)
        waits = campaigns.waits_for_segment(db, campaign)
    found = {"refused": str(refusal) if refusal else None, "waits_for_segment": waits} | audience
    if dry_run:
        return _print_plan(as_json, campaign, found)
    if refusal:
        raise OperatorError(f"The campaign {campaign_id} cannot start: {refusal}.")
    confirm(f"send {campaign['name']} to {count_of(audience['members'], 'contact')}?", yes=yes)
    with open_system(remote=remote) as system:
        system.send(JOBS.name, [campaigns.start_message(campaign)])
    if as_json:
        print_json({"started": str(campaign_id)})
    else:
        say("The campaign starts: `mauntic campaigns show` with its id shows the progress.")


@app.command()
def pause(campaign_id: CampaignId, as_json: AsJson = False, remote: Remote = False) -> None:
    """Pause a campaign that is sending. A call that has begun still sends its messages.

    Example:

      mauntic campaigns pause 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c
    """
    with open_records(remote=remote) as db:
        campaigns.pause(db, campaigns.find_campaign(db, campaign_id))
    _print_status(as_json, campaign_id, "paused", "its messages wait")


@app.command()
def resume(campaign_id: CampaignId, as_json: AsJson = False, remote: Remote = False) -> None:
    """End the pause of a campaign. Its messages are sent within five minutes.

    Example:

      mauntic campaigns resume 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c
    """
    with open_records(remote=remote) as db:
        status = campaigns.resume(db, campaigns.find_campaign(db, campaign_id))
    _print_status(as_json, campaign_id, status, RESUMED[status])


@app.command()
def cancel(
    campaign_id: CampaignId,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Cancel a campaign for good: what waits is not sent. What was sent stays sent.

    Examples:

      mauntic campaigns cancel 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --dry-run

      mauntic campaigns cancel 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --yes
    """
    with open_records(remote=remote) as db:
        campaign = campaigns.find_campaign(db, campaign_id)
        campaigns.require_cancelable(campaign)
        waiting = campaigns.open_messages(db, campaign_id)
        if not dry_run:
            count = count_of(waiting["waiting"], "message")
            confirm(f"cancel {campaign['name']}, so that {count} are not sent?", yes=yes)
            campaigns.cancel(db, campaign)
    if dry_run and as_json:
        print_json({"would_cancel": str(campaign_id)} | waiting)
    elif dry_run:
        say(
            f"{count_of(waiting['waiting'], 'message')} would not be sent;"
            f" {count_of(waiting['in_call'], 'message')} may still arrive."
        )
    else:
        _print_status(as_json, campaign_id, "canceled", "what waits ends within five minutes")


def _print_plan(as_json: bool, campaign: Row, found: dict[str, Any]) -> None:
    if as_json:
        return print_json({"would_start": str(campaign["id"])} | found)
    if found["refused"]:
        say(f"The campaign would be refused: {found['refused']}.")
    elif found["waits_for_segment"]:
        say("The campaign would wait: its segment is being built.")
    else:
        say(f"The campaign would be sent to {count_of(found['addresses'], 'recipient')}.")
    print_table("recipients", [{name: found[name] for name in AUDIENCE}])


RESUMED = {
    "sending": "its messages are sent within five minutes",
    "scheduled": "it starts at its time",
    "draft": "it waits for its start",
}
AUDIENCE = ("members", "addresses", "without_address", "unknown_contacts")
FIGURES = (
    "recipient_count", "sent_count", "delivered_count", "opened_count", "clicked_count",
    "bounced_count", "complained_count", "unsubscribed_count", "open_rate", "click_rate",
    "last_event_at",
)  # fmt: skip


def _print_status(as_json: bool, campaign_id: UUID, status: str, effect: str) -> None:
    if as_json:
        print_json({"id": str(campaign_id), "status": status})
    else:
        say(f"The campaign {campaign_id} is {status}: {effect}.")


def _summary(campaign: Row) -> str:
    problem = f"; {campaign['problem']}" if campaign["problem"] else ""
    planned = f", planned for {cell(campaign['scheduled_at'])}" if campaign["scheduled_at"] else ""
    return (
        f"Campaign {campaign['name']} ({campaign['type']}, run {campaign['run']})"
        f" of organization {campaign['organization_id']}: {campaign['status']}{planned}{problem}"
    )


def _figures(campaign: Row) -> Row:
    return {name.removesuffix("_count"): campaign[name] for name in FIGURES}
