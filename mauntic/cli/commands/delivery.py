"""`mauntic delivery`: what waits to be sent, which providers are paused, how to resume them, and
the URLs of their webhooks.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from mauntic.cli.ui.options import AsJson, Remote
from mauntic.cli.ui.output import print_json, print_table, say
from mauntic.errors import OperatorError
from mauntic.operations.deliveries import delivery_state, resume_config, resume_organization
from mauntic.operations.hook_urls import hook_url
from mauntic.operations.systems import open_records

app = typer.Typer(
    no_args_is_help=True,
    help="""Show what waits to be sent, and webhook URLs; resume paused providers and organizations.

    Examples:

      mauntic delivery status

      mauntic delivery resume 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c

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
    config: Annotated[UUID, typer.Argument(help="The id of a provider config.")],
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Show the URL at which a provider reports deliveries, bounces and complaints.

    Enter it at the provider. Who knows it may send to it, so keep it secret. With --remote it is
    that of the deployment, from HOOKS_BASE_URL and HOOK_KEYS; otherwise that of `mauntic dev`.

    Examples:

      mauntic delivery hook-url 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c

      HOOKS_BASE_URL=https://hooks.example.com mauntic delivery hook-url 018f3c2e-… --remote
    """
    with open_records(remote=remote) as db:
        found = hook_url(db, config, remote=remote)
    if as_json:
        print_json({"config": str(found.config), "provider": found.provider, "url": found.url})
    else:
        print(found.url)
