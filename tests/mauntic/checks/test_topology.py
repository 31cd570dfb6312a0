"""`mauntic check` finds what a worker that is open to the internet lacks, or must not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from mauntic.checks import topology
from mauntic.docs_gen.env_block import web_block
from shared.bindings import R2Bucket, Secret, WorkerQueue
from shared.web import WebWorker
from tests.mauntic.cli.commands.test_check import JOB, good, toy

WEB = WebWorker(
    "web-worker",
    "web",
    "WEB_URL",
    (WorkerQueue("WORK", "toy-jobs"), R2Bucket("BOX", "a-box"), Secret("KEY")),
)


def found(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "wrangler.toml"
    path.write_text(text)
    return [one.problem for one in topology.problems([toy(JOB), WEB], path)]


def both() -> str:
    return f"{good()}\n{web_block(WEB)}\n"


def test_the_generated_block_is_right(tmp_path: Path) -> None:
    assert found(tmp_path, both()) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('[env.web]\nname = "web-worker"', '[env.web]\nname = "x"', "name must be"),
        ("invocation_logs = false", "invocation_logs = true", "a URL contains its token"),
        ("invocation_logs = false\n", "", "invocation_logs must be false"),
        ('queue = "toy-jobs"\nbinding = "WORK"', 'queue = "x"\nbinding = "WORK"', "WORK must send"),
        ('queue = "toy-jobs"\nbinding = "WORK"', 'queue = "x"\nbinding = "Y"', "Y is not declared"),
        ('bucket_name = "a-box"', 'bucket_name = "another"', "BOX must be of the bucket a-box"),
        (
            "[env.web.observability]",
            '[[env.web.hyperdrive]]\nbinding = "DB"\nid = "0"\n\n[env.web.observability]',
            "a worker that answers requests has no database",
        ),
        (
            "[env.web.observability]",
            '[[env.web.queues.consumers]]\nqueue = "x"\n\n[env.web.observability]',
            "a worker that answers requests has none",
        ),
        (
            "[env.web.observability]",
            '[env.web.vars]\nKEY = "s"\n\n[env.web.observability]',
            "KEY is a secret",
        ),
        (
            "[env.web.observability]",
            '[env.web.triggers]\ncrons = ["* * * * *"]\n\n[env.web.observability]',
            "crons must be",
        ),
    ],
)
def test_each_thing_that_is_broken_is_found(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in both()
    assert [p for p in found(tmp_path, both().replace(old, new, 1)) if words in p]


def test_a_queue_that_no_worker_consumes_is_found(tmp_path: Path) -> None:
    path = tmp_path / "wrangler.toml"
    path.write_text(both())
    lost = WebWorker(
        "web-worker", "web", "WEB_URL", (WorkerQueue("WORK", "nobodys"), *WEB.bindings[1:])
    )
    text = f"{good()}\n{web_block(lost)}\n"
    path.write_text(text)
    problems = [one.problem for one in topology.problems([toy(JOB), lost], path)]
    assert problems == ["web sends to it, and no worker consumes it"]
