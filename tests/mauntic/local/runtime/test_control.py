"""The control API: storage, metrics, memory, and its refusals."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.mauntic.local.runtime.harness import Server

pytestmark = pytest.mark.e2e


def test_workers_are_described(server: Server) -> None:
    alpha, beta = server.get("/workers")
    assert (alpha["env"], alpha["name"], alpha["crons"]) == ("alpha", "toy-alpha", ["0 * * * *"])
    assert alpha["buckets"] == ["toy-bucket"]
    assert (beta["name"], beta["queues"]) == ("toy-beta", ["work-dlq"])


def test_objects_are_written_listed_read_and_deleted(server: Server) -> None:
    key = "warm up/2026-01-01/é.txt"
    path = f"/r2/toy-bucket/{quote(key)}"
    assert server.api.put(path, content=b"\x00\xff").json()["size"] == 2
    assert server.api.get(path).content == b"\x00\xff"
    listed = server.get("/r2/toy-bucket?prefix=warm")
    assert [(entry["key"], entry["size"]) for entry in listed] == [(key, 2)]
    server.api.delete(path).raise_for_status()
    assert server.get("/r2/toy-bucket") == []
    assert server.api.get(path).status_code == 404
    assert server.api.get("/r2/absent").status_code == 404


def test_points_are_kept_and_written_to_the_file(server: Server, project: Path) -> None:
    point = {"indexes": ["work"], "blobs": ["a", None], "doubles": [1.5]}
    earlier = server.get("/metrics")
    server.ask(f"/points?points={json.dumps([point])}&times=250")
    kept = server.get("/metrics")[len(earlier) :]
    assert len(kept) == 250
    assert {name: kept[0][name] for name in point} == point
    assert (kept[0]["worker"], kept[0]["dataset"]) == ("toy-alpha", "toy_metrics")
    assert server.get(f"/metrics?since={kept[-1]['at'] + 1}") == []
    lines = (project / ".local" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == earlier + kept


@pytest.mark.parametrize(
    ("point", "times", "words"),
    [
        ({"indexes": ["a", "b"]}, 1, "2 indexes"),
        ({"indexes": ["é" * 49]}, 1, "96 bytes"),
        ({"blobs": ["a"] * 21}, 1, "21 blobs"),
        ({"blobs": ["a" * 9000] * 2}, 1, "18000 bytes of blobs"),
        ({"doubles": [1] * 21}, 1, "21 doubles"),
        ({"doubles": ["1"]}, 1, "no number"),
        ({"blobs": [1]}, 1, "not a string"),
        ({"doubles": [1]}, 251, "250 points"),
    ],
)
def test_a_point_that_production_would_lose_is_refused(
    server: Server, point: dict[str, Any], times: int, words: str
) -> None:
    answer = server.fetch(f"/points?points={quote(json.dumps([point]))}&times={times}")
    assert (answer["status"], words in answer["body"]) == (500, True), answer


def test_memory_is_reported(server: Server) -> None:
    memory = server.get("/memory")
    assert 10_000_000 < memory["workers"]["toy-alpha"]["wasmBytes"] < 128_000_000
    assert memory["processes"][0]["rssBytes"] > memory["workers"]["toy-alpha"]["wasmBytes"]


def test_unknown_names_and_bodies_are_refused_in_a_sentence(server: Server) -> None:
    answer = server.request("POST", "/cron", {"worker": "absent", "cron": "0 * * * *"})
    assert answer.status_code == 404
    assert answer.json() == {"error": "No worker is named absent; there are toy-alpha, toy-beta."}
    assert server.request("GET", "/absent").status_code == 404
    assert server.api.post("/cron", content=b"{").json() == {"error": "The body is not JSON."}
