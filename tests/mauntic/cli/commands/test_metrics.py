"""`mauntic metrics`: figures from stored points, and the statement for Analytics Engine."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mauntic.errors import OperatorError
from mauntic.operations.metric_summary import (
    gauges_of,
    name_columns,
    quantile,
    summarize,
    verdicts_of,
)
from mauntic.operations.statements import SQL
from mauntic.operations.system import GaugeValue, Load, Verdicts
from mauntic.operations.vendor.system import metrics_sql
from shared.telemetry.delivery_metrics import (
    GAUGE_BLOBS,
    GAUGE_DOUBLES,
    GAUGE_EVENT,
    VERDICT_BLOBS,
    VERDICT_DOUBLES,
    VERDICT_EVENT,
    Call,
    Gauge,
    write_gauge,
    write_verdicts,
)
from shared.telemetry.metrics import BLOBS, DOUBLES, EVENT, FEED_BLOBS, FEED_DOUBLES, FEED_EVENT
from tests.fakes import World
from tests.mauntic.harness import HOURLY, QUEUE, Cli
from tests.mauntic.vendor import Vendor

RUNBOOK = Path(__file__).parents[4] / "docs/operations.md"


def point(
    status: str, duration: float, queue: str = QUEUE, event: str = EVENT
) -> dict[str, object]:
    known = {"event": event, "type": HOURLY, "status": status, "queue": queue}
    doubles = {"duration_ms": duration}
    return {
        "indexes": [queue],
        "blobs": [known.get(name, "") for name in BLOBS],
        "doubles": [doubles.get(name, 0.0) for name in DOUBLES],
    }


def test_points_are_summed_up_by_queue_and_type() -> None:
    points = [point("ack", ms) for ms in range(1, 101)]
    points += [point("retry", 200), point("dead", 300)]
    points += [point("ack", 9, queue="another"), point("ack", 9, event="something.else")]
    assert summarize(points, QUEUE) == [Load(QUEUE, HOURLY, 102, 100, 1, 1, 51, 97)]
    assert [load.queue for load in summarize(points)] == ["another", QUEUE]


@given(
    values=st.lists(st.integers(0, 50), min_size=1, max_size=60), level=st.sampled_from([0.5, 0.95])
)
def test_a_quantile_is_the_least_value_with_enough_below(values: list[int], level: float) -> None:
    """By counting: `level` of all values are at most it, and this is true of no smaller value."""
    found = quantile(sorted(values), level)
    assert found in values
    enough = [v for v in values if sum(w <= v for w in values) >= level * len(values)]
    assert found == min(enough)


def test_a_point_with_fewer_columns_is_read() -> None:
    assert name_columns({"blobs": [EVENT], "doubles": None})["queue"] == ""


def test_the_statement_reads_the_columns_that_the_workers_write() -> None:
    """Its columns are numbered; the numbers are compared with the order in which points are
    written.
    """
    text = SQL["queue_metrics"]
    for name in ("event", "type", "status"):
        assert f"blob{BLOBS.index(name) + 1}" in text
    assert f"blob{BLOBS.index('event') + 1} = '{EVENT}'" in text
    assert f"blob{BLOBS.index('type') + 1} as type" in text
    assert f"blob{BLOBS.index('status') + 1} = 'dead'" in text
    assert f"(double{DOUBLES.index('duration_ms') + 1}, _sample_interval) as p95_ms" in text


def test_the_statements_of_deliveries_read_the_columns_that_the_workers_write() -> None:
    """In a statement a column has a number and a name: both are compared with the point's."""
    for name, event, blobs, doubles in (
        ("verdict_metrics", VERDICT_EVENT, VERDICT_BLOBS, VERDICT_DOUBLES),
        ("gauge_metrics", GAUGE_EVENT, GAUGE_BLOBS, GAUGE_DOUBLES),
    ):
        text = SQL[name]
        assert f"blob1 = '{event}'" in text
        named = dict(re.findall(r"blob(\d) as (\w+)", text))
        assert {blobs[int(number) - 1]: own for number, own in named.items()} == {
            own: own for own in named.values()
        }
        found = re.findall(r"double(\d)", text)
        assert {doubles[int(number) - 1] for number in found} == set(doubles)


def test_verdicts_and_gauges_are_read_as_they_are_written() -> None:
    world = World(None)
    for duration_ms in (10, 30, 20):
        call = Call("email", "ses", "an organization", duration_ms)
        pairs = [("accepted", "200")] * 49 + [("refused", "MESSAGE_REJECTED")]
        write_verdicts(call, pairs, world.ports())
    for count in (7, 3):
        write_gauge(Gauge("open", "email", "pending", count, 60 * count), world.ports())
    assert verdicts_of(world.points) == [
        Verdicts("email", "ses", "accepted", "200", 147, 20, 30),
        Verdicts("email", "ses", "refused", "MESSAGE_REJECTED", 3, 20, 30),
    ]
    assert gauges_of(world.points) == [GaugeValue("open", "email", "pending", 3, 180)]
    assert summarize(world.points) == []


def test_remote_verdicts_are_those_of_the_vendor(cli: Cli, vendor: Vendor) -> None:
    vendor.rows = []
    assert "no sweep" in cli("metrics", "--deliveries", "--remote").out
    assert "'delivery.verdict'" in vendor.statements[0]
    assert "'delivery.gauge'" in vendor.statements[1]
    assert cli("metrics", "--deliveries", "--queue", QUEUE, "--remote").code == 1


def test_the_statements_for_dashboards_are_in_the_runbook() -> None:
    shown, feed, *deliveries = re.findall("```sql\n(.+?)\n```", RUNBOOK.read_text(), re.DOTALL)
    names = ("queue_metrics", "verdict_metrics", "gauge_metrics")
    for name, text in zip(names, (shown, *deliveries), strict=True):
        lines = [line for line in SQL[name].splitlines() if not line.startswith("--")]
        assert text.splitlines() == [line for line in lines if line]
    assert f"max(double{FEED_DOUBLES.index('count') + 1}) as rows" in feed
    assert f"max(double{FEED_DOUBLES.index('age_s') + 1}) as age_s" in feed
    assert f"blob{FEED_BLOBS.index('event') + 1} = '{FEED_EVENT}'" in feed


def test_the_statement_gets_its_values() -> None:
    text = metrics_sql(timedelta(hours=2), QUEUE)
    assert "interval '7200' second" in text
    assert f"index1 like '{QUEUE}'" in text
    assert "index1 like '%'" in metrics_sql(timedelta(hours=2), None)
    with pytest.raises(OperatorError):
        metrics_sql(timedelta(hours=2), "' or 1 = 1 --")


def test_remote_figures_are_those_of_the_vendor(cli: Cli, vendor: Vendor) -> None:
    vendor.rows = [
        {
            "queue": QUEUE, "type": HOURLY, "messages": "120", "done": "118", "retries": "1",
            "dead_letters": "1", "p50_ms": 12.5, "p95_ms": 80,
        }
    ]  # fmt: skip
    [row] = cli("metrics", "--since", "2h", "--remote", "--json").json
    assert (row["messages"], row["per_minute"], row["retries"], row["p95_ms"]) == (120, 1.0, 1, 80)
    assert "interval '7200' second" in vendor.statements[0]
    vendor.rows = []
    assert "no messages" in cli("metrics", "--remote", "--queue", QUEUE).out
    assert cli("metrics", "--remote", "--queue", "nothing").code == 1
    assert cli("metrics", "--since", "soon", "--remote").code == 2


def test_what_a_worker_writes_is_what_is_read() -> None:
    """A point as `consume` writes it, read back by name."""
    from shared.telemetry.metrics import Metric, write

    world = World(None)
    metric = Metric(QUEUE, "worker", HOURLY, "retry", attempts=2, duration_ms=7, lag_ms=3)
    write(metric, world.ports(), "id", None, None)
    assert summarize(world.points) == [Load(QUEUE, HOURLY, 1, 0, 1, 0, 7, 7)]
