"""The command in its own process, with invalid UTF-8 and a limited terminal."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mauntic.cli import main
from shared.adapters.postgres.client import Postgres
from tests.mauntic.harness import HOURLY, QUEUE

ROOT = Path(__file__).parents[4]
NOTE = "für später ✓"


def mauntic(
    database: str, *arguments: str | bytes, encoding: str = "utf-8", stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """The command on a terminal of that encoding, which refuses unsupported characters."""
    return subprocess.run(
        [sys.executable, "-c", "from mauntic.cli.main import main; main()", *arguments],
        env={**os.environ, "DATABASE_URL": database, "PYTHONIOENCODING": f"{encoding}:strict"},
        input=stdin, capture_output=True, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("scores", "show", b"j\xfcrgen@example.com"),
        ("dlq", "discard", "1", "--note", b"f\xfcr nichts"),
    ],
)
def test_an_argument_that_is_no_utf_8_is_refused_in_a_sentence(
    database: str, arguments: tuple[str | bytes, ...]
) -> None:
    done = mauntic(database, *arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error The argument ")
    assert done.stderr.count(b"\n") == 1
    assert b"\\udcfcr" in done.stderr


def test_a_line_that_is_no_utf_8_is_named(database: str) -> None:
    lines = json.dumps({"type": HOURLY}).encode() + b'\n{"type": "\xfc"}\n'
    done = mauntic(database, "enqueue", QUEUE, "-", stdin=lines)
    assert (done.returncode, done.stderr) == (1, b"error nothing was sent:\nline 2: not UTF-8\n")


def test_a_byte_order_mark_is_passed_over(database: str) -> None:
    """The lines are read: the second one is invalid."""
    lines = b"\xef\xbb\xbf" + json.dumps({"type": HOURLY}).encode() + b"\n[]\n"
    done = mauntic(database, "enqueue", QUEUE, "-", stdin=lines)
    assert done.returncode == 1
    assert b"line 1" not in done.stderr
    assert b"line 2: the body is not a JSON object" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("jobs list > /dev/full", "The output cannot be written: No space left on device."),
        ("jobs list --json > /dev/full", "The output cannot be written: No space left on device."),
        ("--help > /dev/full", "The output cannot be written: No space left on device."),
        ("jobs list >&-", "Standard output is closed: redirect it, for example to /dev/null."),
        ("scores recompute --all <&-", "No answer: pass --yes to continue without confirmation."),
    ],
)
def test_a_stream_that_is_full_or_closed_is_one_sentence(
    database: str, words: str, sentence: str
) -> None:
    line = f"'{sys.executable}' -c 'from mauntic.cli.main import main; main()' {words}"
    done = subprocess.run(
        ["sh", "-c", line], env={**os.environ, "DATABASE_URL": database}, cwd=ROOT,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (1, "")
    assert done.stderr.endswith(f"error {sentence}\n")
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_told_nothing(database: str) -> None:
    line = f"'{sys.executable}' -c 'from mauntic.cli.main import main; main()' jobs list --json"
    done = subprocess.run(
        ["sh", "-c", f"{line} | true"], env={**os.environ, "DATABASE_URL": database}, cwd=ROOT,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_the_terminal_has_no_letter_for_is_written_as_its_code(
    database: str, db: Postgres, encoding: str
) -> None:
    db.execute(
        "insert into ops.schedules (job_type, starts_at, recorded_until, paused, note, changed_at)"
        " values (:type, now(), now(), true, :note, now())",
        type=HOURLY, note=NOTE,
    )  # fmt: skip
    table = mauntic(database, "jobs", "list", encoding=encoding)
    assert (table.returncode, table.stderr) == (0, b"")
    assert NOTE.encode(encoding, "backslashreplace") in table.stdout
    plain = mauntic(database, "jobs", "list", "--json", encoding=encoding)
    assert NOTE in [row["note"] for row in json.loads(plain.stdout)]


def test_a_full_disk_elsewhere_is_not_reported_as_one_of_the_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def write() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/else")

    monkeypatch.setattr(main, "app", write)
    with capfd.disabled(), pytest.raises(OSError, match="/somewhere/else"):
        main._run()
