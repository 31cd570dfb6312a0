"""A body is read as far and for as long as the handler says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from shared.adapters.web import body_reader
from shared.ports import BodyRefused


class Chunk(bytes):
    """An array of bytes in JavaScript."""

    @property
    def byteLength(self) -> int:
        return len(self)

    def subarray(self, start: int, stop: int) -> Chunk:
        return Chunk(self[start:stop])

    def to_bytes(self) -> bytes:
        return bytes(self)


class Stream:
    """The body of a request. An exception among the chunks is raised, None never comes."""

    def __init__(self, *chunks: bytes | Exception | None) -> None:
        self.chunks, self.reads, self.cancelled = list(chunks), 0, 0

    def getReader(self) -> Stream:
        return self

    async def read(self) -> Any:
        self.reads += 1
        if not self.chunks:
            return SimpleNamespace(done=True)
        chunk = self.chunks.pop(0)
        if chunk is None:
            await asyncio.get_running_loop().create_future()
        if isinstance(chunk, Exception):
            raise chunk
        return SimpleNamespace(done=False, value=Chunk(chunk or b""))

    def cancel(self) -> asyncio.Future[None]:
        self.cancelled += 1
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


def read(stream: Stream, headers: Mapping[str, str] | None = None) -> bytes | int:
    """Return at most ten bytes of a body, or the status of its refusal."""

    async def run() -> bytes:
        return await body_reader(SimpleNamespace(body=stream), headers or {})(10, 0.01)

    try:
        return asyncio.run(run())
    except BodyRefused as refused:
        return refused.status


@pytest.mark.parametrize("length", ["", "10", "not a number", "-1", "9" * 5_000 + "x"])
def test_a_body_within_the_limit_is_whole(length: str) -> None:
    """Whatever its declared length says, if that is not larger."""
    assert read(Stream(b"01234", b"", b"56789"), {"content-length": length}) == b"0123456789"
    assert read(Stream()) == b""


@pytest.mark.parametrize("length", ["11", "9" * 5_000, "00000000011"])
def test_a_declared_length_is_refused_before_anything_is_read(length: str) -> None:
    stream = Stream(b"x")
    assert (read(stream, {"content-length": length}), stream.reads) == (413, 0)


def test_a_longer_body_is_refused_at_the_limit() -> None:
    stream = Stream(b"01234", b"567890", b"never read")
    assert (read(stream), stream.reads, stream.cancelled) == (413, 2, 1)


def test_a_slow_body_is_given_up() -> None:
    stream = Stream(b"01234", None)
    assert (read(stream), stream.cancelled) == (408, 1)


def test_a_body_that_breaks_off_is_refused() -> None:
    assert read(Stream(b"01234", RuntimeError("Network connection lost."))) == 400


def test_a_request_without_a_body_has_an_empty_one() -> None:

    async def run() -> bytes:
        return await body_reader(SimpleNamespace(body=None), {})(10, 1)

    assert asyncio.run(run()) == b""
