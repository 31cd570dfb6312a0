"""What a million messages cost, by part: `python -m tools.cost` prints docs/cost.md.

The figures per message are measured: `python -m tools.cost --measure` runs the workers in the local
runtime and writes them to bench/results/cost.json. Prices: tools/prices.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from mauntic.project.programs import ROOT
from tools.prices import (
    MILLION,
    PRICES,
    QUEUE_CHUNK_BYTES,
    QUEUE_METADATA_BYTES,
    READ_ON,
    WEEK_OF_MONTH,
)
from tools.usage import Usage

PAGE = ROOT / "docs" / "cost.md"
FIGURES = ROOT / "bench" / "results" / "cost.json"


def amounts(usage: Usage, messages: int = int(MILLION)) -> dict[str, float]:
    """How many units of each price so many messages take, each delivered once.

    A message is written, read and deleted, which is an operation each.

    >>> amounts(Usage("x", batch=100, cpu_ms=1))["queue operations"]
    3000000
    """
    chunks = -(-(usage.message_bytes + QUEUE_METADATA_BYTES) // QUEUE_CHUNK_BYTES)
    log_gb = messages * usage.log_bytes / 1e9
    return {
        "queue operations": messages * 3 * chunks,
        "invocations": messages / usage.batch,
        "CPU milliseconds": messages * usage.cpu_ms,
        "logs, taken in": log_gb,
        "logs, kept seven days": log_gb * WEEK_OF_MONTH,
        "Analytics Engine points": messages,
    }


def costs_usd(usage: Usage, messages: int = int(MILLION)) -> dict[str, float]:
    """Dollars by part, as if nothing were included."""
    return {
        part: amount / PRICES[part].per * PRICES[part].usd
        for part, amount in amounts(usage, messages).items()
    }


def measured() -> tuple[dict[str, Any], list[Usage]]:
    """When and where it was measured, and the figures."""
    known = json.loads(FIGURES.read_text(encoding="utf-8"))
    return known, [Usage(**one) for one in known["usages"]]


def page() -> str:
    """docs/cost.md, whole."""
    known, usages = measured()
    parts = [_beginning(known), _costs(usages), _figures(usages), _rest(), _prices(), _settings()]
    return "\n".join(line for part in parts for line in part) + "\n"


def _beginning(known: dict[str, Any]) -> Iterator[str]:
    yield from (
        "# What it costs",
        "",
        "Made by `make cost` from measured figures and the vendor's list prices. Measured on"
        f" {known['measured_on']}",
        f"({known['processors']} processors, {known['processor']}, load {known['load']:.1f}) by"
        " `python -m tools.cost --measure`, which",
        "runs the workers in the local runtime and writes"
        " [cost.json](../bench/results/cost.json). Nothing that the plan includes",
        "is deducted, so the first million costs less: the paid plan itself is $5 a month.",
        "",
        "## A million messages, in US dollars",
        "",
    )


def _costs(usages: list[Usage]) -> Iterator[str]:
    yield "| part | " + " | ".join(usage.name for usage in usages) + " |"
    yield "|---|" + "---:|" * len(usages)
    columns = [costs_usd(usage) for usage in usages]
    for part in columns[0]:
        yield f"| {part} | " + " | ".join(f"{column[part]:.2f}" for column in columns) + " |"
    yield "| **together** | " + " | ".join(f"**{sum(c.values()):.2f}**" for c in columns) + " |"
    yield ""


def _figures(usages: list[Usage]) -> Iterator[str]:
    yield from ("What was measured, a message:", "")
    yield "| | CPU ms | messages an invocation | log lines | log bytes | bytes of its body |"
    yield "|---|---:|---:|---:|---:|---:|"
    for one in usages:
        yield (
            f"| {one.name} | {one.cpu_ms:.2f} | {one.batch:.0f} | {one.log_lines:.2f}"
            f" | {one.log_bytes:.0f} | {one.message_bytes} |"
        )
    yield from (
        "",
        "CPU is the processor time of workerd with the local broker's share in it, so rather too"
        " much than too little. Not in",
        "the log bytes: what the vendor adds to every line, and its own line an invocation; its"
        " *Billable Usage* shows them.",
        "",
    )


def _rest() -> Iterator[str]:
    thousand_lists_usd = 1_000 * 30 * PRICES["R2 class A (list)"].usd / MILLION
    yield from (
        "Each message counts as delivered once: a retry is one read more, and its work again."
        " R2 is left out. The daily reset",
        "lists its counters, a thousand a call, so a million counters a day are"
        f" ${thousand_lists_usd:.2f} a month, and deleting is free.",
        "",
        "The crons alone are some five thousand messages a month: a cent or two. A dead letter is"
        " a message more: written to its",
        "queue, read and deleted. What grows with the platform is what producers send to"
        " `mauntic-scoring-events`. Postgres is not in",
        "this table: it is yours already.",
        "",
    )


def _prices() -> Iterator[str]:
    yield from (
        "## Prices",
        "",
        f"Read on {READ_ON} in the vendor's documentation, at the commits that are linked.",
        "",
        "| | $ | for | included a month | as read |",
        "|---|---:|---|---|---|",
    )
    for part, price in PRICES.items():
        yield (
            f"| [{part}]({price.source}) | {price.usd:.2f} | {price.unit} | {price.included}"
            f" | [text]({price.read}) |"
        )
    yield from (
        "",
        "Logs are priced by their bytes from 1 December 2026 on; until then a million lines beyond"
        " 20 million cost $0.60",
        "([Workers Logs](https://developers.cloudflare.com/workers/observability/logs/workers-logs/))."
        " Points are not billed yet: the",
        "price is announced.",
        "",
    )


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
        from tools.cost_measured import conditions, measure

        usages = [asdict(usage) for usage in measure()]
        known = {**conditions(), "usages": usages}
        FIGURES.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {FIGURES.relative_to(ROOT)}; now `make cost`")
        return 0
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
