"""make audit, with the real uv and npm and local advisory services."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tools.audit import main

HOLE = {"id": "GHSA-x", "summary": "A hole", "modified": "2026-01-01T00:00:00Z"}
ADVISORY = {
    "id": 1, "url": "https://advisories.example.org/1", "title": "A hole", "severity": "high",
    "vulnerable_versions": "*", "cwe": [], "cvss": {"score": 0},
}  # fmt: skip


@contextmanager
def advisories(python: str = "", node: str = "", status: int = 200) -> Iterator[str]:
    """Both services at one address; each knows a vulnerability of the named package."""

    class Service(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if "querybatch" not in self.path:
                return self.answer({node: [ADVISORY]} if node else {})
            names = [query["package"]["name"] for query in json.loads(body)["queries"]]
            return self.answer({"results": [{"vulns": [HOLE] * (n == python)} for n in names]})

        def do_GET(self) -> None:
            if "/vulns/" not in self.path:
                return self.answer({}, 404)  # npm requests more about the package
            package = {"ecosystem": "PyPI", "name": python}
            return self.answer(HOLE | {"affected": [{"package": package, "versions": []}]})

        def answer(self, value: Any, code: int = status) -> None:
            content = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def audit(url: str) -> int:
    return main(["--python", url, "--node", url])


def test_no_known_holes(capsys: pytest.CaptureFixture[str]) -> None:
    with advisories() as url:
        assert audit(url) == 0
    expected = "uv.lock: no known vulnerabilities\npackage-lock.json: no known vulnerabilities\n"
    assert capsys.readouterr().out.startswith(expected)


@pytest.mark.parametrize(
    ("python", "node", "lock"),
    [("pydantic", "", "uv.lock"), ("", "wrangler", "package-lock.json")],
)
def test_a_hole_is_named(
    capsys: pytest.CaptureFixture[str], python: str, node: str, lock: str
) -> None:
    with advisories(python, node) as url:
        assert audit(url) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"{lock}: has known vulnerabilities\n")
    assert (python or node) in error


def test_a_registry_that_knows_no_advisories_is_no_good_news(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with advisories() as fine, advisories(status=405) as deaf:
        assert main(["--python", fine, "--node", deaf]) == 3
    error = capsys.readouterr().err
    assert "could not be checked" in error
    assert "remedy:  name one with advisories: make audit NODE_URL=" in error


def test_a_service_that_cannot_be_reached_is_no_good_news(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    assert audit("http://127.0.0.1:9") == 3
    assert capsys.readouterr().err.count("  cause:   the advisory service cannot be reached") == 2


def test_what_packages_carry_is_named_with_its_version(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with advisories() as url:
        assert audit(url) == 0
    text = capsys.readouterr().out
    for program in ("PostgreSQL 18", "Node.js 2", "OpenSSL of Node.js 3", "Pyodide ", "dbmate 2"):
        assert f"  {program}" in text
    assert re.search(r"CPython of Pyodide 3\.14\.\d+\n", text)
    assert re.search(r"workerd \S*\d{4}-?\d\d-?\d\d", text)
