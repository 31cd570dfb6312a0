"""The vendor's list prices beyond the paid plan's included amounts, with their sources."""

from __future__ import annotations

from dataclasses import dataclass

READ_ON = "2026-11-24"
MILLION = 1_000_000.0
# A gigabyte that is stored for seven days is this share of a GB-month.
WEEK_OF_MONTH = 7 / 30

DOCUMENTATION = "https://github.com/cloudflare/cloudflare-docs/blob"
PUBLISHED = "https://developers.cloudflare.com"


@dataclass(frozen=True)
class Price:
    """US dollars for `per` units, the included amount per month, and the page with the price.

    `file` is that page in the vendor's documentation, at the commit that was read.
    """

    usd: float
    per: float
    unit: str
    included: str
    page: str
    file: str

    @property
    def source(self) -> str:
        return f"{PUBLISHED}/{self.page}"

    @property
    def read(self) -> str:
        return f"{DOCUMENTATION}/{self.file}"


_WORKERS = (
    "workers/platform/pricing/",
    "07acbb6612b5cefa1f8348106c158b0814a2972a/src/content/docs/workers/platform/pricing.mdx",
)
_LOGS = (
    "observability/pricing/",
    "0ec9be225fd9f7ad4df5f3fccefa586439e53536/src/content/docs/observability/pricing/index.mdx",
)
_R2 = (
    "r2/pricing/",
    "07ec87d4f0b2bb3dd731f801af428f16d6c1b71d/src/content/docs/r2/pricing.mdx",
)
PRICES = {
    "queue operations": Price(
        0.40, MILLION, "a million", "1 M",
        "queues/platform/pricing/",
        "96996fd3265906775d95fd09931d45e723704c20/src/content/partials/workers/queues_pricing.mdx",
    ),
    "invocations": Price(0.30, MILLION, "a million", "10 M", *_WORKERS),
    "CPU milliseconds": Price(0.02, MILLION, "a million", "30 M", *_WORKERS),
    "logs, taken in": Price(0.25, 1, "a GB", "50 GB", *_LOGS),
    "logs, kept seven days": Price(0.10, 1, "a GB-month", "12 GB-months", *_LOGS),
    "Analytics Engine points": Price(
        0.25, MILLION, "a million", "10 M",
        "analytics/analytics-engine/pricing/",
        "4917098ab861cdf63a3777c6867b73cfce3f0b2e/src/content/docs/analytics/analytics-engine/pricing.mdx",
    ),
    "R2 class A": Price(4.50, MILLION, "a million", "1 M", *_R2),
    "R2 class B": Price(0.36, MILLION, "a million", "10 M", *_R2),
}  # fmt: skip
# Here a KB is 1,000 bytes, and a message has about a hundred bytes of metadata.
QUEUE_CHUNK_BYTES = 64_000
QUEUE_METADATA_BYTES = 100
