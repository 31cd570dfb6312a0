"""A worker with timers at its borders, on the local runtime."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mauntic.local.control_client import Event, LocalRuntime
from mauntic.project.programs import ROOT
from shared.jobs import Worker
from tools.bundle import bundle

Parts = dict[str, float]


@contextmanager
def profiled(url: str, worker: Worker, take: Callable[[Parts], None]) -> Iterator[LocalRuntime]:
    """Yield a runtime with the worker and the timers; it calls `take` with the milliseconds of each
    part.
    """

    def on_event(event: Event) -> None:
        if event.get("text", "").startswith('{"event": "bench.parts"'):
            take(json.loads(event["text"])["parts"])

    with tempfile.TemporaryDirectory() as folder:
        config = _staged(Path(folder), worker)
        with LocalRuntime(url, [worker.env], config, on_event=on_event) as runtime:
            yield runtime


def _staged(folder: Path, worker: Worker) -> Path:
    """Return a wrangler.toml whose bundle has the timing entry before the worker's own."""
    target = shutil.copytree(bundle(ROOT, worker.env), folder / "build" / worker.env)
    (target / "entry.py").rename(target / "worker_entry.py")
    shutil.copy(Path(__file__).parent / "entry.py", target / "entry.py")
    config = folder / "wrangler.toml"
    topology = (ROOT / "wrangler.toml").read_text(encoding="utf-8")
    config.write_text(re.sub(r"(?m)^build = .*$", "", topology), encoding="utf-8")
    return config
