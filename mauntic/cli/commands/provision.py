"""`mauntic provision`: create what a deployment needs in the vendor's account."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from mauntic.cli.ui.options import AsJson
from mauntic.cli.ui.output import print_json, say, warn
from mauntic.errors import OperatorError
from mauntic.operations.provisioning import (
    HYPERDRIVE,
    missing,
    needs_of,
    open_gate_note,
    open_gates,
    read_account,
    run_all,
)
from mauntic.operations.vendor.answers import Hyperdrive
from mauntic.operations.vendor.api import open_vendor
from mauntic.operations.vendor.wrangler import Command
from mauntic.project.envs import CONFIG


def provision(
    plan: Annotated[bool, typer.Option("--plan", help="Print what is missing.")] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Create what is missing; can be repeated.")
    ] = False,
    env: Annotated[
        list[str] | None, typer.Option(help="An env of wrangler.toml (default: all).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create the queues, bucket, Hyperdrive and secrets that the account lacks.

    Uses CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN. Hyperdrive connects to
    DATABASE_URL_WORKERS: the database with the workers' role. ALERT_WEBHOOK_URL is set for every
    worker; HEARTBEAT_URL_ANALYTICS becomes the HEARTBEAT_URL of that env, and so on for each env.

    Examples:

      mauntic provision --plan

      mauntic provision --apply --env analytics
    """
    if plan == apply:
        raise OperatorError("Pass either --plan or --apply.")
    needs = needs_of(CONFIG, env)
    with open_vendor(os.environ) as api:
        account = read_account(api, needs)
        todo = missing(needs, account, os.environ)
        if apply:
            run_all(api, todo)
            account = read_account(api, needs)
            todo = missing(needs, account, os.environ)
            if todo:
                raise OperatorError(f"Still missing: {'; '.join(command.why for command in todo)}.")
    for need in open_gates(needs, account):
        warn(open_gate_note(need))
    hyperdrive = account.hyperdrives.get(HYPERDRIVE)
    _show(todo, hyperdrive, as_json)


def _show(todo: Sequence[Command], hyperdrive: Hyperdrive | None, as_json: bool) -> None:
    if as_json:
        commands = [{"why": command.why, "command": command.line} for command in todo]
        print_json({"missing": commands, "hyperdrive_id": hyperdrive and hyperdrive.id})
        return
    for command in todo:
        say(f"# {command.why}\n{command.line}")
    if not todo:
        say("Nothing is missing.")
    if hyperdrive:
        say(f"The deployment uses HYPERDRIVE_ID={hyperdrive.id}")
