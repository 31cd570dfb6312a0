"""The process: its refusals to start, and its end."""

import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.mauntic.local.runtime.harness import Server, running, spawn, write_project
from tests.ports import REFUSED, ports_of, status

pytestmark = pytest.mark.e2e


def refusal(config: dict[str, Any]) -> str:
    server = spawn(config)
    text: str = server.wait_event("error")["text"]
    assert server.close() == 1
    return text


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_gone(pids: list[int]) -> bool:
    end = time.monotonic() + 10
    while any(map(is_alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(is_alive, pids))


def test_a_broken_or_missing_configuration_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "wrangler.toml"
    broken.write_text('name = "x\n')
    assert f"{broken} cannot be read: Invalid TOML" in refusal({"config": str(broken)})
    missing = str(tmp_path / "absent.toml")
    assert "absent.toml" in refusal({"config": missing})


def test_an_unknown_env_and_missing_modules_are_named(tmp_path: Path) -> None:
    config = str(write_project(tmp_path / "toy"))
    assert "gamma" in refusal({"config": config, "envs": ["gamma"]})
    answer = refusal({"config": config, "modules": str(tmp_path)})
    assert "does not contain the workers SDK: run `make setup`" in answer


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    config = str(write_project(tmp_path / "toy"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"Port {port} is taken" in refusal({"config": config, "port": port})


def test_a_failing_build_is_named(tmp_path: Path) -> None:
    config = write_project(tmp_path / "toy")
    (config.parent / "workers" / "alpha" / "entry.py").unlink()
    answer = refusal({"config": str(config), "envs": ["alpha"]})
    assert "toy-alpha: the build command `python3 tools/bundle.py alpha` failed" in answer
    assert "entry.py is missing" in answer


def test_a_worker_that_does_not_import_is_named(tmp_path: Path) -> None:
    config = write_project(tmp_path / "toy")
    (config.parent / "workers" / "beta" / "entry.py").write_text("import uuid\nuuid.uuid4()\n")
    answer = refusal({"config": str(config), "envs": ["beta"]})
    assert answer.startswith("toy-beta cannot be imported: ")
    assert "entry.py line 2 requested randomness" in answer


@pytest.fixture
def beta_alone(tmp_path: Path) -> Server:
    config = write_project(tmp_path / "toy")
    return spawn({"config": str(config), "envs": ["beta"]})


@pytest.mark.parametrize("how", ["end of input", signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_running(beta_alone: Server, how: Any) -> None:
    pids = beta_alone.wait_event("ready")["pids"]
    assert pids
    if how != "end of input":
        beta_alone.process.send_signal(how)
        beta_alone.process.wait(timeout=20)
    assert beta_alone.close() in {signal.SIGTERM: (0, 128 + 15), signal.SIGKILL: (-9,)}.get(
        how, (0,)
    )
    assert wait_gone(pids)


def test_a_worker_gets_each_batch_a_second_time_on_request(tmp_path: Path) -> None:
    config = write_project(tmp_path / "toy")
    with running({"config": str(config), "envs": ["beta"], "deliverTwice": True}) as server:
        server.send("work-dlq", {"n": 1}, {"n": 2})
        assert server.wait_idle()["idle"]
        batches = [batch["bodies"] for batch in server.ask("/", "toy-beta")]
        assert batches[::2] == batches[1::2]
        assert [body["n"] for bodies in batches[::2] for body in bodies] == [1, 2]
        assert server.get("/queues")["work-dlq"]["unacked"] == 0


def test_whoever_waits_while_it_ends_is_no_trouble(beta_alone: Server) -> None:
    """The stack of a request that was cut off did not help."""
    beta_alone.wait_ready()
    beta_alone.send("work-dlq", {"n": 1}, delaySeconds=60)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(beta_alone.wait_idle, timeout_ms=60_000)
        time.sleep(0.5)
        assert beta_alone.close() == 0
        with pytest.raises(httpx.HTTPError):
            waiting.result()
    with pytest.raises(AssertionError, match="ended without log"):
        beta_alone.wait_event("log", level="error")


def test_a_killed_workerd_is_followed_by_another_that_is_watched_too(beta_alone: Server) -> None:
    beta_alone.wait_ready()
    [before] = [process["pid"] for process in beta_alone.get("/memory")["processes"]]
    os.kill(before, signal.SIGKILL)
    pids = beta_alone.wait_event("restarted")["pids"]
    assert before not in pids
    answers = {status(port, "GET", "/queues", {}) for port in ports_of(beta_alone.process.pid)}
    assert answers - {None} <= REFUSED, "its port has a door too"
    beta_alone.send("work-dlq", {"n": 1})
    assert beta_alone.wait_idle(timeout_ms=60_000)["idle"]
    assert beta_alone.ask("/", "toy-beta") == [{"bodies": [{"n": 1}]}]
    beta_alone.process.kill()
    beta_alone.process.wait(timeout=20)
    beta_alone.close()
    assert wait_gone(pids)
