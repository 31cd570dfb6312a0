"""What a million messages cost, by part: `python -m tools.cost` prints docs/cost.md.

Prices are the vendor's list prices beyond what the paid plan includes; the figures per message were
measured with `python -m tools.cost --measure`, which runs a worker in the local runtime.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "cost.md"

MILLION = 1_000_000
QUEUE_CHUNK_BYTES = 65_536


@dataclass(frozen=True)
class Price:
    """US dollars a million units, where the price is published, and what the plan includes."""

    usd: float
    included: str
    source: str


WORKERS = "https://developers.cloudflare.com/workers/platform/pricing/"
QUEUES = "https://developers.cloudflare.com/queues/platform/pricing/"
PRICES = {
    "queue operations": Price(
        0.40, "1 M", "https://developers.cloudflare.com/queues/platform/pricing/"
    ),
    "invocations": Price(0.30, "10 M", WORKERS),
    "CPU milliseconds": Price(0.02, "30 M", WORKERS),
    "log lines": Price(0.60, "20 M", WORKERS),
    "Analytics Engine points": Price(
        0.25, "10 M", "https://developers.cloudflare.com/analytics/analytics-engine/pricing/"
    ),
    "R2 class A (list)": Price(4.50, "1 M", "https://developers.cloudflare.com/r2/pricing/"),
}


@dataclass(frozen=True)
class Usage:
    """A kind of message as measured. `batch` is how many arrive together, `cpu_ms` is one's share.

    `lists` counts R2's list calls a message: deleting is free.
    """

    name: str
    batch: float
    cpu_ms: float
    log_lines: float = 1
    lists: float = 0
    bytes: int = 400
    retries: float = 0.0


# Measured on a shared 2-core machine: the processor time of workerd, the local broker's share
# included, so rather too much than too little. A single message pays for its own connection.
MEASURED = (
    Usage("CalculateScore, 100 at once", batch=100, cpu_ms=1.17),
    Usage("CalculateScore, one at a time", batch=1, cpu_ms=57.5),
    Usage("aggregate-hourly, 10 at once", batch=10, cpu_ms=15.9),
)


def amounts(usage: Usage, messages: int = MILLION) -> dict[str, float]:
    """How many units of each price so many messages take.

    A message is written, read and deleted; every retry reads it again.

    >>> amounts(Usage("x", batch=100, cpu_ms=1, retries=0.5))["queue operations"]
    3500000.0
    """
    chunks = -(-usage.bytes // QUEUE_CHUNK_BYTES)
    deliveries = 1 + usage.retries
    return {
        "queue operations": messages * (2 + deliveries) * chunks,
        "invocations": messages * deliveries / usage.batch,
        "CPU milliseconds": messages * deliveries * usage.cpu_ms,
        "log lines": messages * deliveries * (usage.log_lines + 1 / usage.batch),
        "Analytics Engine points": messages * deliveries,
        "R2 class A (list)": messages * usage.lists,
    }


def costs_usd(usage: Usage, messages: int = MILLION) -> dict[str, float]:
    """Dollars by part, as if nothing were included."""
    return {
        part: amount / MILLION * PRICES[part].usd
        for part, amount in amounts(usage, messages).items()
    }


def page() -> str:
    """docs/cost.md, whole."""
    return "\n".join([*_beginning(), *_costs(), *_prices(), *_settings()]) + "\n"


def _beginning() -> Iterator[str]:
    yield from (
        "# What it costs",
        "",
        "Made by `make cost` from measured figures (`python -m tools.cost --measure` takes them",
        "anew) and the vendor's list prices. Nothing that the plan includes is deducted, so the",
        "first million costs less: the paid plan itself is $5 a month.",
        "",
        "## A million messages, in US dollars",
        "",
    )


def _costs() -> Iterator[str]:
    yield "| part | " + " | ".join(usage.name for usage in MEASURED) + " |"
    yield "|---|" + "---:|" * len(MEASURED)
    columns = [costs_usd(usage) for usage in MEASURED]
    for part in PRICES:
        yield f"| {part} | " + " | ".join(f"{column[part]:.2f}" for column in columns) + " |"
    yield "| **together** | " + " | ".join(f"**{sum(c.values()):.2f}**" for c in columns) + " |"
    yield ""
    measured = ", ".join(f"{usage.cpu_ms:.2f} ms ({usage.name})" for usage in MEASURED)
    yield f"CPU time a message, measured: {measured}."
    yield ""
    yield "The crons alone are some 5,100 messages a month: a cent or two. R2 is next to nothing:"
    yield "the daily reset lists a thousand counters a call, so a million counters a day are $0.14"
    yield "a month, and deleting is free. What grows with the platform is what producers send to"
    yield " `mauntic-scoring-events`. Postgres is not in this table: it is yours already."
    yield ""


def _prices() -> Iterator[str]:
    yield from ("## Prices", "", "| a million | $ | included a month |", "|---|---:|---|")
    for part, price in PRICES.items():
        yield f"| [{part}]({price.source}) | {price.usd:.2f} | {price.included} |"
    yield ""


def _settings() -> Iterator[str]:
    yield from (
        "## The three settings that matter most",
        "",
        "1. **`max_batch_size` and `max_batch_timeout`** (wrangler.toml). They decide how many",
        "   messages share an invocation and a connection to Postgres, with its handshake: compare",
        "   the first two columns. A longer timeout fills batches at the price of latency.",
        "2. **`observability.head_sampling_rate`**. Every message logs one line, each invocation",
        "   another. The metric points stay exact whatever is sampled.",
        "3. **The size of a message.** Every 64 KB begun is one more operation for a write, a read",
        "   and a delete. Send ids, not records.",
        "",
        "`limits.cpu_ms` is no cost but a bound on one: what a runaway invocation can burn.",
    )


def main(arguments: list[str]) -> int:
    """Print the page, or measure."""
    if arguments == ["--measure"]:
        from tools.cost_measured import measure

        for name, cpu_ms in measure():
            print(f"{name}: {cpu_ms:.2f} ms of CPU a message")
        return 0
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
