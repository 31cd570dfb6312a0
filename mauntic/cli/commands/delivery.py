"""`mauntic delivery`: what waits to be sent, which providers are paused, how to resume them, and
the URLs of their webhooks.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import typer

from delivery.domain.address import normalize_email, normalize_phone
from mauntic.cli.ui.options import AsJson, Remote
from mauntic.cli.ui.output import console, print_json, print_table, say
from mauntic.cli.ui.time_args import moment
from mauntic.errors import OperatorError
from mauntic.operations.deliveries import (
    Compared,
    compare_sent,
    delivery_state,
    resume_config,
    resume_organization,
)
from mauntic.operations.hook_urls import hook_url
from mauntic.operations.systems import open_records

# What no reason of ours explains.
UNEXPLAINED = ("only there", "only here", "another number")

app = typer.Typer(
    no_args_is_help=True,
    help="""Show what waits to be sent, and webhook URLs; resume paused providers and organizations.

    Examples:

      mauntic delivery status

      mauntic delivery resume 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c

      mauntic delivery compare sent.txt --organization 018f3c2e-7d1a-7c55-9d0e-000000000001
      --from 2026-03-01 --to 2026-03-02

      mauntic delivery hook-url 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c
    """,
)


@app.command()
def status(
    organization: Annotated[UUID | None, typer.Option(help="Only this organization.")] = None,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Show open messages by state, provider configs with their pauses, and paused organizations.

    Examples:

      mauntic delivery status

      mauntic delivery status --json | jq '.providers[] | select(.paused_until)'
    """
    with open_records(remote=remote) as db:
        state = delivery_state(db, organization, datetime.now(UTC))
    if as_json:
        print_json(asdict(state))
        return
    print_table("open messages", state.messages, empty="none")
    print_table("providers", state.providers, empty="none: without one nothing is sent")
    print_table("organizations whose marketing is paused", state.paused, empty="none")


@app.command()
def resume(
    config: Annotated[
        UUID | None, typer.Argument(metavar="[CONFIG]", help="The id of a provider config.")
    ] = None,
    organization: Annotated[
        UUID | None, typer.Option(help="Resume the marketing of this organization instead.")
    ] = None,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """End the pause of a provider config, or of an organization's marketing.

    Correct the cause first: the next call with wrong credentials pauses the config again. Messages
    that waited are sent within fifteen minutes. Resuming again does no harm.

    Examples:

      mauntic delivery resume 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c

      mauntic delivery resume --organization 018f3c2e-7d1a-7c55-9d0e-000000000001
    """
    if (config is None) == (organization is None):
        raise OperatorError("Pass either the id of a provider config or --organization.")
    with open_records(remote=remote) as db:
        if config:
            was_paused = resume_config(db, config) is not None
            name = f"The provider config {config}"
        else:
            assert organization is not None
            was_paused = resume_organization(db, organization)
            name = f"The marketing of organization {organization}"
    if as_json:
        print_json({"resumed": was_paused})
    else:
        say(f"{name} is resumed." if was_paused else f"{name} was not paused.")


@app.command(name="hook-url")
def show_hook_url(
    config: Annotated[UUID, typer.Argument(metavar="CONFIG", help="The id of a provider config.")],
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Show the URL at which a provider reports deliveries, bounces and complaints.

    Enter it at the provider. Who knows it may send to it, so keep it secret. With --remote it is
    that of the deployment, from HOOKS_BASE_URL and HOOK_KEYS; otherwise that of `mauntic dev`.

    Examples:

      mauntic delivery hook-url 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c

      mauntic delivery hook-url 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --remote
    """
    with open_records(remote=remote) as db:
        found = hook_url(db, config, remote=remote)
    if as_json:
        print_json({"config": str(found.config), "provider": found.provider, "url": found.url})
    else:
        console.print(found.url, markup=False, highlight=False, soft_wrap=True)  # in one line


@app.command()
def compare(
    log: Annotated[str, typer.Argument(metavar="FILE", help="One per line; - reads the input.")],
    organization: Annotated[UUID, typer.Option(help="The organization of the messages.")],
    since: Annotated[str, typer.Option("--from", help="Messages created from this time on.")],
    until: Annotated[str, typer.Option("--to", help="Messages created before this time.")],
    channel: Annotated[Literal["email", "sms"], typer.Option(help="The channel.")] = "email",
    by: Annotated[
        Literal["address", "key"], typer.Option(help="What the lines are: addresses, or keys.")
    ] = "address",
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Compare what another sender has sent with what was captured or skipped here: a shadow run.

    FILE has a line for each message of that sender, with its recipient or its idempotency key. In
    the result `not sent here` has the reason, and `only there` is a message that was never
    inserted here. It names lines and ids of messages, no addresses. Exit code 1: something differs
    that no reason explains.

    Examples:

      mauntic delivery compare sent.txt --organization 018f3c2e-7d1a-7c55-9d0e-000000000001
      --from 2026-03-01 --to 2026-03-02

      mauntic delivery compare - --by key --organization 018f3c2e-7d1a-7c55-9d0e-000000000001
      --from 2026-03-01 --to 2026-03-02 --json < keys.txt
    """
    values = _lines(log, channel if by == "address" else None)
    period = Compared(organization, channel, by == "key", moment(since), moment(until))
    with open_records(remote=remote) as db:
        rows = compare_sent(db, period, values)
    if as_json:
        print_json(rows)
    else:
        print_table(
            f"{sum(map(bool, values))} lines against the messages here", rows, empty="nothing"
        )
    if any(row["result"] in UNEXPLAINED for row in rows):
        raise typer.Exit(1)


def _lines(name: str, channel: str | None) -> list[str]:
    """Return the lines of a file, empty ones too; addresses of a channel in their one spelling."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{name} cannot be read: {type(error).__name__}.") from None
    lines = [line.strip() for line in text.splitlines()]
    if channel is None:
        return lines
    normalize = normalize_email if channel == "email" else normalize_phone
    return [normalize(line) or line for line in lines]
