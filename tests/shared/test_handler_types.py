"""The declarations that mypy accepts and refuses: examples of job authors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

EXAMPLES = """
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from shared import (
    BatchJob, Database, Dead, DeadLetter, Done, Message, MessageJob, Ports, RetryIn, Run, Schedule,
    Sharded, WindowJob, WindowMessage, hour_before,
)

HOURLY = Schedule("0 * * * *", hour_before, timedelta(minutes=30))

class Hourly(WindowMessage):
    type: Literal["toy.hourly"] = "toy.hourly"

class Single(Message):
    type: Literal["toy.single"] = "toy.single"

class Other(Message):
    type: Literal["toy.other"] = "toy.other"

async def hourly(run: Run) -> Done | Sharded:
    return Done(rows_read=run.window.start.hour)

async def hourly_retry(run: Run) -> RetryIn:
    return RetryIn(1, "Later", "later")

async def single(message: Single, ports: Ports) -> Done | RetryIn | Dead:
    return Done()

async def any_message(message: Message, ports: Ports) -> Done:
    return Done()

def not_async(message: Single, ports: Ports) -> Done:
    return Done()

async def no_answer(message: Single, ports: Ports) -> None:
    return None

async def split(message: Single, ports: Ports) -> Sharded:
    return Sharded(())

async def batch(messages: Sequence[Single], ports: Ports) -> list[Done | Dead]:
    return [Done() for message in messages]

async def batch_without_ports(messages: Sequence[Single]) -> list[Done]:
    return [Done() for message in messages]

def note(letters: Sequence[DeadLetter[Single]], db: Database) -> None:
    for letter in letters:
        print(letter.message.type if letter.message else letter.reason)

def note_other(letters: Sequence[DeadLetter[Other]], db: Database) -> None: ...

async def note_later(letters: Sequence[DeadLetter[Single]], db: Database) -> None: ...

WindowJob(message=Hourly, handler=hourly, schedule=HOURLY)
WindowJob(Hourly, hourly, HOURLY, transaction=False, keep_runs=timedelta(days=30))
MessageJob(message=Single, handler=single, on_dead=note)
MessageJob(message=Single, handler=any_message, transaction=False)
BatchJob(message=Single, handler=batch, aliases=("toy.one",), on_dead=note)
WindowJob(message=Hourly, handler=hourly)  # call-arg
WindowJob(message=Hourly, handler=single, schedule=HOURLY)  # arg-type
WindowJob(message=Hourly, handler=hourly_retry, schedule=HOURLY)  # arg-type
WindowJob(message=Single, handler=hourly, schedule=HOURLY)  # arg-type
MessageJob(message=Other, handler=single)  # arg-type
MessageJob(message=Single, handler=hourly)  # arg-type
MessageJob(message=Single, handler=not_async)  # arg-type
MessageJob(message=Single, handler=no_answer)  # arg-type
MessageJob(message=Single, handler=split)  # arg-type
MessageJob(message=Single, handler=batch)  # arg-type
MessageJob(message=Single, handler=single, schedule=HOURLY)  # call-arg
MessageJob(message=Single, handler=single, on_dead=note_other)  # arg-type
MessageJob(message=Single, handler=single, on_dead=note_later)  # arg-type
BatchJob(message=Single, handler=single)  # arg-type
BatchJob(message=Single, handler=batch_without_ports)  # arg-type
BatchJob(message=Other, handler=batch)  # arg-type
"""


def test_mypy_sees_a_handler_of_the_wrong_signature(tmp_path: Path) -> None:
    path = tmp_path / "examples.py"
    path.write_text(EXAMPLES)
    command = (sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", path)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = {
        (int(line.split(":")[1]), line.rpartition("[")[2].rstrip("]"))
        for line in done.stdout.splitlines()
        if ": error: " in line
    }
    expected = {
        (number, line.partition("  # ")[2])
        for number, line in enumerate(EXAMPLES.splitlines(), 1)
        if "  # " in line
    }
    assert found == expected
