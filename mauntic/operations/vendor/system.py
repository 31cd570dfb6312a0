"""The deployed queues and metrics as a `System`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from mauntic.errors import OperatorError
from mauntic.operations.statements import SQL
from mauntic.operations.system import (
    Advance,
    GaugeValue,
    Load,
    QueueState,
    Verdicts,
    ignored,
    send_in_parts,
)
from mauntic.operations.vendor.answers import Backlog, GaugeRow, LoadRow, Queue, VerdictRow
from mauntic.operations.vendor.api import VendorApi, VendorRefused, open_vendor

_QUEUE_NAME = re.compile(r"[a-z0-9-]{1,63}")


@contextmanager
def open_remote(environment: Mapping[str, str]) -> Iterator[RemoteSystem]:
    """Yield the system of CLOUDFLARE_ACCOUNT_ID, accessed with CLOUDFLARE_API_TOKEN."""
    with open_vendor(environment) as api:
        yield RemoteSystem(api)


class RemoteSystem:
    """A System over the vendor's API."""

    def __init__(self, api: VendorApi) -> None:
        self._api = api

    @cached_property
    def _queues(self) -> dict[str, Queue]:
        return {queue.queue_name: queue for queue in self._api.pages("/queues", Queue)}

    def send(
        self, queue: str, bodies: Sequence[Any], delay_s: int = 0, advance: Advance = ignored
    ) -> None:
        path = f"/queues/{self._id(queue)}/messages/batch"

        def send(part: list[Any]) -> None:
            messages = [
                {"body": body, "content_type": "json", "delay_seconds": delay_s} for body in part
            ]
            self._api.send("POST", path, {"messages": messages})

        send_in_parts(bodies, send, advance)

    def queue_states(self, names: Sequence[str]) -> list[QueueState]:
        return [self._state(name) for name in names if name in self._queues]

    def set_paused(self, queue: str, paused: bool) -> None:
        body = {"settings": {"delivery_paused": paused}}
        self._api.send("PATCH", f"/queues/{self._id(queue)}", body)

    def loads(self, since: timedelta, queue: str | None) -> list[Load]:
        return [_load(row) for row in self._api.sql(metrics_sql(since, queue), LoadRow)]

    def verdicts(self, since: timedelta) -> list[Verdicts]:
        rows = self._api.sql(with_period("verdict_metrics", since), VerdictRow)
        return [
            Verdicts(
                row.channel, row.provider, row.verdict, row.code, round(row.messages), row.p50_ms,
                row.p95_ms,
            )
            for row in rows
        ]  # fmt: skip

    def gauges(self, since: timedelta) -> list[GaugeValue]:
        rows = self._api.sql(with_period("gauge_metrics", since), GaugeRow)
        return [
            GaugeValue(row.gauge, row.channel, row.state, round(row.count), round(row.age_s))
            for row in rows
        ]

    def _id(self, queue: str) -> str:
        if queue not in self._queues:
            raise VendorRefused(
                f"The account has no queue {queue}: see `wrangler queues create {queue}`."
            )
        return self._queues[queue].queue_id

    def _state(self, name: str) -> QueueState:
        queue = self._queues[name]
        backlog = self._api.ask("GET", f"/queues/{queue.queue_id}/metrics", Backlog)
        oldest_ms = backlog.oldest_message_timestamp_ms
        return QueueState(
            queue=name,
            backlog=round(backlog.backlog_count),
            oldest_at=datetime.fromtimestamp(oldest_ms / 1_000, UTC) if oldest_ms else None,
            delayed=None,
            in_flight=None,
            consumers=[consumer.name or consumer.type for consumer in queue.consumers or []],
            paused=queue.settings.delivery_paused if queue.settings else None,
        )


def metrics_sql(since: timedelta, queue: str | None) -> str:
    """Insert the two values into the statement: the API has no parameters."""
    if queue is not None and not _QUEUE_NAME.fullmatch(queue):
        raise OperatorError(f"{queue} cannot be the name of a queue.")
    return with_period("queue_metrics", since).replace(":queue", queue or "%")


def with_period(name: str, since: timedelta) -> str:
    """Insert the seconds of the period into a statement."""
    return SQL[name].replace(":seconds", str(max(1, round(since.total_seconds()))))


def _load(row: LoadRow) -> Load:
    return Load(
        queue=row.queue,
        type=row.type,
        messages=round(row.messages),
        done=round(row.done),
        retries=round(row.retries),
        dead_letters=round(row.dead_letters),
        p50_ms=row.p50_ms,
        p95_ms=row.p95_ms,
    )
