"""The operations of deliveries that the vendor counts. A test counts them in runs of workers."""

from __future__ import annotations

from dataclasses import dataclass

# Processor time of the hooks worker for a webhook of 1 KB. Measured on 30 November 2026, two
# processors, load 8.
WEBHOOK_CPU_MS = 3.6


@dataclass(frozen=True)
class Operations:
    """Queue messages, Analytics Engine points, requests of the internet, and operations of R2."""

    queue_messages: float
    points: float
    requests: float = 0
    r2_writes: float = 0
    r2_reads: float = 0


def of_messages(messages: int, calls: int, *, in_whole: bool = False, parts: int = 0) -> Operations:
    """Return those of messages that their providers accept in this number of calls.

    A message that is inserted from a queue (`in_whole`) has two queue messages: its own, and the
    reference. A campaign has one that starts it, and one for each part.
    """
    queued = messages * (2 if in_whole else 1) + (1 + parts if parts else 0)
    return Operations(queue_messages=queued, points=queued + calls)


def of_places(batches: int) -> Operations:
    """Return what batches of a warming domain add, if each finds room in the first counter."""
    return Operations(0, 0, r2_writes=batches, r2_reads=batches)


def of_shadow(messages: int) -> Operations:
    """Return those of messages in a shadow run: no call is made, and each is an object."""
    return Operations(messages, messages, r2_writes=messages)


def of_webhooks(webhooks: int, *, are_large: bool = False) -> Operations:
    """Return those of webhooks. The body of a large one is an object; deleting it is free."""
    objects = webhooks if are_large else 0
    return Operations(webhooks, webhooks, webhooks, r2_writes=objects, r2_reads=objects)
