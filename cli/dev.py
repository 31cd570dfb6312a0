"""`mauntic dev`: the whole system on this machine, until Ctrl-C."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from watchfiles import watch

from cli.dev_log import DevLog
from cli.dev_state import announced, refuse_second
from cli.interrupts import heed_interrupts
from cli.output import Refusal, errors
from local.crons import CronClock
from local.envs import unknown_envs
from local.migrations import migrate
from local.postgres import GivenDatabase, Server, open_database
from local.runtime import HOME, ROOT, LocalRuntime

WATCHED = ("shared", "workers")
WATCH_EVERY_S = 1.0


def dev(
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of the control API; 0 takes a free one.")
    ] = 8787,
    env: Annotated[
        list[str] | None, typer.Option(help="A worker's env in wrangler.toml; all if not given.")
    ] = None,
    var: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: a gate or secret that the workers get.")
    ] = None,
    crons: Annotated[bool, typer.Option(help="Fire the crons on schedule, in UTC.")] = True,
    json_lines: Annotated[bool, typer.Option("--json", help="Log lines as JSON.")] = False,
) -> None:
    """Run every worker of wrangler.toml here: queues, R2, crons, Postgres. Ctrl-C ends it.

    Examples:

      mauntic dev

      mauntic dev --env analytics --var ENABLE_ANALYTICS_CRON=false
    """
    heed_interrupts()
    if refusal := unknown_envs(env or ()):
        raise Refusal(refusal)
    refuse_second()
    log = DevLog(as_json=json_lines)
    errors.print("starting …", style="dim", highlight=False)
    with open_database(os.environ) as server:
        migrate(server.url)
        runtime = LocalRuntime(
            server.url,
            envs=env,
            port=port,
            persist=HOME / "r2",
            metrics_file=HOME / "metrics.jsonl",
            variables=dict(_pair(text) for text in var or []),
            on_event=log.show,
        )
        _serve(runtime, server, log, crons)


def _serve(runtime: LocalRuntime, server: Server | GivenDatabase, log: DevLog, crons: bool) -> None:
    stop = threading.Event()
    try:
        with (
            runtime,
            announced(runtime.ready["url"], runtime.database_url),
            _background(lambda: _reload_on_save(runtime, log, stop), stop),
        ):
            workers = runtime.control.workers()
            log.say(
                "dev.ready",
                url=runtime.ready["url"],
                workers=[worker["name"] for worker in workers],
            )
            with (
                _background(CronClock(runtime.control, workers, log.say).run_until(stop), stop)
                if crons
                else _quietly()
            ):
                _until_one_ends(runtime, server)
    except KeyboardInterrupt:
        log.say("dev.stopping")


def _until_one_ends(runtime: LocalRuntime, server: Server | GivenDatabase) -> NoReturn:
    """Wait until the workers or the embedded server end: neither is of use without the other."""
    while runtime.wait(WATCH_EVERY_S) is None:
        if server.has_ended:
            raise Refusal("The embedded Postgres has ended: start `mauntic dev` again.")
    raise typer.Exit(1)


def _reload_on_save(runtime: LocalRuntime, log: DevLog, stop: threading.Event) -> None:
    """Saving a file loads its worker anew; one that does not import leaves the old one running."""
    folders = [ROOT / name for name in WATCHED]
    for _changes in watch(
        *folders, stop_event=stop, watch_filter=_is_source, raise_interrupt=False
    ):
        runtime.control.reload()
        log.say("dev.reloaded")


def _is_source(change: Any, path: str) -> bool:
    return Path(path).suffix in {".py", ".sql", ".txt"} and "__pycache__" not in path


@contextmanager
def _background(work: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)


@contextmanager
def _quietly() -> Iterator[None]:
    yield


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--var takes NAME=VALUE, not {text}")
    return name, value
