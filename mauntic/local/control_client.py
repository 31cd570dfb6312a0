"""The local runtime from Python: start `server.mjs`, which runs the workers, and call its API."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from mauntic.project.programs import ROOT, search_path

HOME = ROOT / ".local"
START_TIMEOUT_S = 120  # a first start compiles the standard library
STOP_TIMEOUT_S = 20

Event = dict[str, Any]


class RuntimeFailed(Exception):
    """The local runtime cannot be used; the text is one sentence with reason and remedy."""


class Control:
    """The control API of a running system. `token` belongs to its start."""

    def __init__(self, url: str, token: str, timeout_s: float = 60) -> None:
        self.url = url
        self.token = token
        # Ignore the environment: a proxy would receive every body and cannot reach this machine.
        self.http = httpx.Client(
            base_url=url,
            timeout=timeout_s,
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
        )

    def ask(self, method: str, path: str, body: Any = None, timeout_s: float | None = None) -> Any:
        """Return the JSON response; raise RuntimeFailed with the runtime's own text."""
        try:
            answer = self.http.request(
                method, path, json=body, timeout=timeout_s or self.http.timeout
            )
        except httpx.TransportError as error:
            raise RuntimeFailed(
                f"The local runtime at {self.url} does not answer ({error})."
            ) from None
        if answer.is_error:
            raise RuntimeFailed(_sentence(answer))
        return answer.json()

    def workers(self) -> list[dict[str, Any]]:
        """Return every worker with its crons, queues and buckets."""
        found: list[dict[str, Any]] = self.ask("GET", "/workers")
        return found

    def fire_cron(self, worker: str, cron: str, at: datetime) -> dict[str, Any]:
        """Run a worker's `scheduled` with the planned time `at`; return {"outcome", "error"?}."""
        body = {"worker": worker, "cron": cron, "scheduledTime": round(at.timestamp() * 1_000)}
        outcome: dict[str, Any] = self.ask("POST", "/cron", body, timeout_s=900)
        return outcome

    def send(self, queue: str, bodies: Sequence[Any], delay_s: int = 0) -> None:
        """Send raw JSON messages without validation."""
        messages = [{"body": b, "contentType": "json", "delaySeconds": delay_s} for b in bodies]
        for start in range(0, len(messages), 100):
            self.ask("POST", f"/queues/{queue}/messages", messages[start : start + 100])

    def queues(self) -> dict[str, Any]:
        """Return each queue's current numbers."""
        found: dict[str, Any] = self.ask("GET", "/queues")
        return found

    def wait_idle(
        self, queues: Sequence[str] | None = None, timeout_s: float = 60, quiet_ms: int = 50
    ) -> bool:
        """Wait until the queues have no message, not even delayed or in flight; return False on a
        timeout.
        """
        body = {
            "queues": list(queues) if queues else None,
            "timeout_ms": round(timeout_s * 1_000),
            "quiet_ms": quiet_ms,
        }
        answer = self.ask("POST", "/queues/idle", body, timeout_s=timeout_s + 10)
        return bool(answer["idle"])

    @contextmanager
    def tail(self, queue: str) -> Iterator[Iterator[dict[str, Any]]]:
        """Yield each message of the queue when it is answered, until the caller stops."""
        with self.http.stream("GET", f"/queues/{queue}/tail", timeout=None) as answer:
            if answer.is_error:
                answer.read()
                raise RuntimeFailed(_sentence(answer))
            yield (json.loads(line) for line in answer.iter_lines() if line)

    def metrics(self, since: datetime | None = None) -> list[dict[str, Any]]:
        """Return the stored Analytics Engine points."""
        since_ms = round(since.timestamp() * 1_000) if since else 0
        points: list[dict[str, Any]] = self.ask("GET", f"/metrics?since={since_ms}")
        return points

    def objects(self, bucket: str, prefix: str = "") -> Any:
        """Return the R2 objects with a prefix."""
        answer = self.http.get(f"/r2/{bucket}", params={"prefix": prefix})
        if answer.is_error:
            raise RuntimeFailed(_sentence(answer))
        return answer.json()

    def read_object(self, bucket: str, key: str) -> str:
        """Return the text of an R2 object. Raises RuntimeFailed if there is none, or no text."""
        answer = self.http.get(f"/r2/{bucket}/{quote(key)}")
        if answer.is_error:
            raise RuntimeFailed(_sentence(answer))
        try:
            return answer.content.decode()
        except UnicodeDecodeError:
            raise RuntimeFailed(f"The object {key} of {bucket} is not text.") from None

    def write_object(self, bucket: str, key: str, text: str) -> None:
        """Write an R2 object."""
        answer = self.http.put(f"/r2/{bucket}/{quote(key)}", content=text.encode())
        if answer.is_error:
            raise RuntimeFailed(_sentence(answer))

    def memory(self) -> dict[str, Any]:
        """Return the workers' WebAssembly memory and the processes' resident memory, in bytes."""
        found: dict[str, Any] = self.ask("GET", "/memory")
        return found

    def set_clock(self, ahead: timedelta) -> None:
        """Set the workers' clock ahead of this machine's. Postgres and the queues keep theirs."""
        self.ask("POST", "/clock", {"ahead_ms": int(ahead.total_seconds() * 1_000)})

    def reload(self, worker: str | None = None) -> dict[str, Any]:
        """Stage and import the code again; queues keep their messages."""
        outcome: dict[str, Any] = self.ask("POST", "/reload", {"worker": worker})
        return outcome

    def close(self) -> None:
        self.http.close()


@dataclass(frozen=True)
class Front:
    """The address of a worker that answers requests, and the variable that gets it. Port 0 takes a
    free one.
    """

    env: str
    variable: str
    port: int = 0


@dataclass
class LocalRuntime:
    """All workers of wrangler.toml in one workerd; a context manager that starts and ends them.

    `variables` are text bindings for every worker (gates, secrets). Without another value there,
    DELIVERY_MODE is `local`. Workers reach hosts of this machine, and `allowed_hosts`. A request to
    a host of `connected_hosts` goes to the origin there, with the host in `X-Forwarded-Host`.

    With `deliver_twice` a worker gets each batch again after it has handled it, as a queue that
    delivers at least once may do.
    `fronts` are the workers that answer requests: each gets an HTTP server of this machine, and its
    variable has the address. A thread calls `on_event` with each event of the server: log lines of
    the workers, reloads, errors.
    """

    database_url: str
    envs: Sequence[str] | None = None
    config: Path = ROOT / "wrangler.toml"
    port: int = 0
    persist: Path | None = None
    metrics_file: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    allowed_hosts: Sequence[str] = ()
    connected_hosts: Mapping[str, str] = field(default_factory=dict)
    deliver_twice: bool = False
    fronts: Sequence[Front] = ()
    on_event: Callable[[Event], None] = lambda event: None
    control: Control = field(init=False)
    ready: Event = field(init=False, default_factory=dict)

    def __enter__(self) -> Self:
        self._process = _spawn()
        self._first: Queue[Event] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.control.close()
        self.stop()

    def stop(self) -> None:
        """End the input, which ends the server and workerd."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the server has ended already
            self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join(STOP_TIMEOUT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses of `fronts`, by env."""
        return dict(self.ready["addresses"])

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the server's own end; return its exit code, or None on a timeout."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout_s)
        return None

    def _start(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._configuration()) + "\n")
        self._process.stdin.flush()
        try:
            event = self._first.get(timeout=START_TIMEOUT_S)
        except Empty:
            raise RuntimeFailed(
                f"The local runtime did not start in {START_TIMEOUT_S} seconds."
            ) from None
        if event["event"] != "ready":
            raise RuntimeFailed("\n".join(filter(None, [event.get("traceback"), event["text"]])))
        self.ready = event
        self.control = Control(event["url"], event["token"])

    def _configuration(self) -> dict[str, Any]:
        environment = os.environ
        return {
            "config": str(self.config),
            "envs": list(self.envs) if self.envs else None,
            "databaseUrl": self.database_url,
            "port": self.port,
            "persist": str(self.persist) if self.persist else None,
            "metricsFile": str(self.metrics_file) if self.metrics_file else None,
            "vars": {"DELIVERY_MODE": "local", **self.variables},
            "allowedHosts": list(self.allowed_hosts),
            "connectedHosts": dict(self.connected_hosts),
            "deliverTwice": self.deliver_twice,
            "fronts": [asdict(front) for front in self.fronts],
            "modules": str(ROOT / "python_modules"),
            "cache": str(HOME / "cache"),
            "runtime": environment.get("RUNTIME") or "host",
            "flags": (environment.get("RUNTIME_FLAGS") or "").replace(",", " ").split(),
        }

    def _read(self) -> None:
        assert self._process.stdout is not None
        is_reported = False
        for line in self._process.stdout:
            event = json.loads(line)
            if not is_reported and event["event"] in ("ready", "error"):
                self._first.put(event)
                is_reported = True
            else:
                self.on_event(event)
        if not is_reported:
            self._first.put(
                {"event": "error", "text": "The local runtime ended before it was ready."}
            )


def _spawn() -> subprocess.Popen[str]:
    """Start Node in its own session: Ctrl-C goes only to this process, and Node ends with its
    input.
    """
    node = ROOT / ".venv" / "bin" / "node"
    if not node.exists() or not (ROOT / "node_modules").exists():
        raise RuntimeFailed("Node or its packages are missing: run `make setup`.")
    return subprocess.Popen(
        [node, ROOT / "mauntic" / "local" / "server" / "server.mjs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PATH": search_path()},
    )


def _sentence(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError):
        return f"The local runtime answered {answer.status_code}."
