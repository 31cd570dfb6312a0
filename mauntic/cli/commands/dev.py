"""`mauntic dev`: run the whole system on this machine until Ctrl-C."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

import typer
from watchfiles import watch

from mauntic.cli.ui.dev_log import DevLog
from mauntic.cli.ui.options import Yes
from mauntic.cli.ui.output import errors
from mauntic.cli.ui.remote_database import confirm_elsewhere
from mauntic.cli.ui.signals import heed_interrupts
from mauntic.database.embedded.server import GivenDatabase, Server, open_database
from mauntic.database.migrations import migrate
from mauntic.database.url import DatabaseUrl, connect
from mauntic.errors import OperatorError
from mauntic.local.control_client import HOME, LocalRuntime, RuntimeFailed
from mauntic.local.crons import CronClock
from mauntic.local.dev_state import announce, refuse_second
from mauntic.operations.local_requests import fronts_of, local_keys, settings_of
from mauntic.operations.statements import SQL
from mauntic.project.envs import CONFIG, unknown_envs
from mauntic.project.programs import ROOT
from shared.settings import origin_of

WATCHED = ("shared", "workers")
WATCH_EVERY_S = 1.0
Var = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE sets a variable; NAME takes a secret from the environment."),
]
AllowHost = Annotated[
    list[str] | None, typer.Option(help="A further host that workers may call.", metavar="NAME")
]
ConnectHost = Annotated[
    list[str] | None,
    typer.Option(
        help="A server of this machine that gets the requests to a host.", metavar="NAME=URL"
    ),
]
Env = Annotated[
    list[str] | None, typer.Option(help="A worker's env in wrangler.toml (default: all).")
]
DeliverTwice = Annotated[
    bool, typer.Option("--deliver-twice", help="Let workers handle each batch a second time.")
]
Port = Annotated[
    int,
    typer.Option(
        min=0,
        max=65_534,
        help="Port of the control API, and before that of the hooks worker; 0 takes free ones.",
    ),
]


def dev(
    port: Port = 8787,
    env: Env = None,
    var: Var = None,
    allow_host: AllowHost = None,
    connect_host: ConnectHost = None,
    deliver_twice: DeliverTwice = False,
    yes: Yes = False,
    crons: Annotated[bool, typer.Option(help="Fire the crons on schedule, in UTC.")] = True,
    json_lines: Annotated[bool, typer.Option("--json", help="Log lines as JSON.")] = False,
) -> None:
    """Run every worker of wrangler.toml locally: queues, R2, crons, Postgres. Ctrl-C ends it.

    Examples:

      mauntic dev --env analytics --var ENABLE_ANALYTICS_CRON=false

      ALERT_WEBHOOK_URL=… mauntic dev --var ALERT_WEBHOOK_URL --allow-host hooks.example.com

      mauntic dev --var DELIVERY_MODE=live --connect-host api.postmarkapp.com=http://127.0.0.1:9000
    """
    heed_interrupts()
    if refusal := unknown_envs(env or ()):
        raise OperatorError(refusal)
    refuse_second()
    variables = dict(_pair(text) for text in var or [])
    connected = dict(_connection(text) for text in connect_host or [])
    confirm_elsewhere(os.environ, "migrate it and run the crons of this folder on it", yes=yes)
    log = DevLog(as_json=json_lines)
    errors.print("starting …", style="dim", highlight=False)
    with open_database(os.environ) as server:
        migrate(server.url)
        runtime = _runtime(server, log, port, env)
        runtime.variables = {**local_keys(), **variables}
        runtime.allowed_hosts, runtime.connected_hosts = allow_host or (), connected
        runtime.deliver_twice = deliver_twice
        _serve(runtime, server, log, crons)


def _runtime(
    server: Server | GivenDatabase, log: DevLog, port: int, envs: list[str] | None
) -> LocalRuntime:
    return LocalRuntime(
        server.url,
        envs=envs,
        port=port,
        fronts=fronts_of(envs, port),
        persist=HOME / "r2",
        metrics_file=HOME / "metrics" / f"{identity(server)}.jsonl",
        on_event=log.show,
    )


def identity(server: Server | GivenDatabase) -> str:
    """Return a name for the database itself, independent of the embedded server's port.

    A recreated database at the same address gets another name.
    """
    with closing(connect(server.url)) as connection:
        [[number]] = connection.run(SQL["dev_database"])
    place = DatabaseUrl.parse(server.url).address if isinstance(server, GivenDatabase) else "own"
    return f"{re.sub(r'[^A-Za-z0-9.-]', '_', place)}-{number}"


def _serve(runtime: LocalRuntime, server: Server | GivenDatabase, log: DevLog, crons: bool) -> None:
    stop = threading.Event()
    try:
        with runtime, _announce(runtime), ExitStack() as stack:
            workers = runtime.control.workers()
            clock = CronClock(runtime.control, workers, log.say)
            reload = partial(_reload, runtime, clock, log, threading.Lock())
            stack.enter_context(_background(partial(_on_saved_source, reload, stop), stop))
            stack.enter_context(_background(partial(_on_saved_topology, reload, stop), stop))
            names = [worker["name"] for worker in workers]
            addresses = list(runtime.addresses.values())
            log.say("dev.ready", url=runtime.ready["url"], workers=names, requests=addresses)
            if crons:
                stack.enter_context(_background(clock.run_until(stop), stop))
            _until_one_ends(runtime, server)
    except KeyboardInterrupt:
        log.say("dev.stopping")


def _announce(runtime: LocalRuntime) -> AbstractContextManager[None]:
    control = runtime.control
    return announce(control.url, control.token, runtime.database_url, settings_of(runtime))


def _until_one_ends(runtime: LocalRuntime, server: Server | GivenDatabase) -> NoReturn:
    """Wait until the workers or the embedded server end: neither works without the other."""
    while runtime.wait(WATCH_EVERY_S) is None:
        if server.has_ended:
            raise OperatorError("The embedded Postgres has ended: start `mauntic dev` again.")
    raise typer.Exit(1)


def _on_saved_source(reload: Callable[[], None], stop: threading.Event) -> None:
    folders = [ROOT / name for name in WATCHED]
    for _changes in watch(
        *folders, stop_event=stop, watch_filter=_is_source, raise_interrupt=False
    ):
        reload()


def _on_saved_topology(reload: Callable[[], None], stop: threading.Event) -> None:
    """Reload when wrangler.toml changes. Watches its folder: editors replace the file."""
    for _changes in watch(
        CONFIG.parent,
        recursive=False,
        stop_event=stop,
        watch_filter=lambda _change, path: Path(path).name == CONFIG.name,
        raise_interrupt=False,
    ):
        reload()


def _reload(runtime: LocalRuntime, clock: CronClock, log: DevLog, lock: threading.Lock) -> None:
    """Reload the workers and their crons, one reload at a time.

    A worker that fails to import keeps running in its old version. An unreadable wrangler.toml
    leaves the crons as they are.
    """
    with lock:
        try:
            outcome = runtime.control.reload()
            clock.set(runtime.control.workers())
        except RuntimeFailed as error:
            log.say("reload.failed", level="error", traceback=str(error))
            return
        log.say("dev.reloaded")
        if outcome["stale"]:
            reason = "wrangler.toml changed in more than its crons: restart `mauntic dev`"
            log.say("dev.stale", level="warning", why=reason)


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


def _pair(text: str) -> tuple[str, str]:
    """Parse a variable. Without a value it comes from the environment: arguments are public."""
    name, equals, value = text.partition("=")
    if equals:
        return name, value
    if name not in os.environ:
        raise typer.BadParameter(f"--var {name} takes the value from the environment: export it.")
    return name, os.environ[name]


def _connection(text: str) -> tuple[str, str]:
    """Parse a host and the server in its place, which is on this machine.

    >>> _connection("api.example.com=http://127.0.0.1:9000/")
    ('api.example.com', 'http://127.0.0.1:9000')
    """
    name, _, url = text.partition("=")
    origin = origin_of(url)
    if not origin or origin_of(f"https://{name}") != f"https://{name}":
        raise typer.BadParameter(f"--connect-host {text}: write NAME=URL, the name in lower case.")
    if not _is_here(origin):
        raise typer.BadParameter(f"--connect-host {text}: the server must be on this machine.")
    return name, origin


def _is_here(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    return host in ("localhost", "::1") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))
