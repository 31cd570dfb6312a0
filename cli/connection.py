"""Where a command works: the running local system, or what the environment names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil

from cli.output import Refusal, errors
from local.database_url import DatabaseUrl, connect
from local.migrations import migrate
from local.postgres import open_database as open_server
from local.runtime import HOME, Control, RuntimeFailed
from shared.adapters.postgres import Postgres

STATE = HOME / "runtime.json"


@contextmanager
def open_database(*, beside_dev: bool = False) -> Iterator[Postgres]:
    """The database of `DATABASE_URL`, else the local one, started for the command if need be.

    With `beside_dev` it should be that of the running `mauntic dev`: a warning where it is not."""
    with open_server(os.environ) as server:
        if not os.environ.get("DATABASE_URL"):
            migrate(server.url)
        if beside_dev:
            _warn_of_another(server.url)
        with closing(Postgres(lambda: connect(server.url))) as database:
            yield database


def _warn_of_another(url: str) -> None:
    """Ledger and queues of two systems, side by side in one answer, would mislead."""
    named = os.environ.get("MAUNTIC_CONTROL_URL")
    state = {} if named else read_state() or {}
    other, own = state.get("database"), DatabaseUrl.parse(url).address
    if other and other != own and psutil.pid_exists(state["pid"]):
        errors.print(
            f"[yellow]warning[/] the running `mauntic dev` works on the database at {other}, this"
            f" command on {own}: give both the same DATABASE_URL",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


@contextmanager
def open_control() -> Iterator[Control]:
    """The control API of the running `mauntic dev`, or that which MAUNTIC_CONTROL_URL names."""
    named = os.environ.get("MAUNTIC_CONTROL_URL")
    state = {"url": named} if named else read_state()
    if state is None:
        raise Refusal("No local system is running: start it with `mauntic dev`, or say --remote.")
    with closing(Control(state["url"])) as control:
        try:
            control.ask("GET", "/health")
        except RuntimeFailed:
            raise Refusal(
                "The local system has ended: start it with `mauntic dev`, or say --remote."
            ) from None
        yield control


def read_state(path: Path = STATE) -> dict[str, Any] | None:
    """What the running `mauntic dev` left for other commands, or None."""
    try:
        state: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return state
