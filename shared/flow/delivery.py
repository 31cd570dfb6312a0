"""A message as the queue delivers it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol


class Delivery(Protocol):
    """`attempts` is 1 at the first delivery. Exactly one of ack and retry ends it."""

    @property
    def id(self) -> str: ...
    @property
    def body(self) -> object: ...
    @property
    def attempts(self) -> int: ...
    @property
    def sent_at(self) -> datetime: ...
    def ack(self) -> None: ...
    def retry(self, delay_s: int) -> None: ...


class RawDelivery(Delivery, Protocol):
    """A delivery whose body is also available unparsed."""

    def beginning(self) -> str:
        """Return the part of the body's text that a dead letter keeps, without parsing it."""


class Batch(Protocol):
    """Deliveries of one queue. A consumer receives them together."""

    @property
    def queue(self) -> str: ...
    def __iter__(self) -> Iterator[Delivery]: ...


class RawBatch(Protocol):
    """Deliveries of a dead-letter queue."""

    @property
    def queue(self) -> str: ...
    def __iter__(self) -> Iterator[RawDelivery]: ...
