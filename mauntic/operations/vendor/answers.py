"""Models of the vendor's API responses; anything else is rejected.

Responses are untrusted input: identifiers go into paths, arguments and files, numbers into dates.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Result = TypeVar("Result")

Identifier = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Word = Annotated[str, StringConstraints(max_length=1_024)]
Count = Annotated[
    float, Field(ge=0, le=1e15, allow_inf_nan=False)
]  # large integers are text in SQL
LAST_MOMENT_MS = 253_402_300_799_000  # of the year 9999


class Answer(BaseModel):
    """Base model; ignores unknown fields."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Problem(Answer):
    code: int
    message: Word


class PageInfo(Answer):
    total_pages: int | None = Field(None, ge=0)


class Success(Answer):
    success: bool


class Envelope(Answer, Generic[Result]):
    result: Result
    result_info: PageInfo | None = None


class Refused(Answer):
    errors: list[Problem] = []


class QueueSettings(Answer):
    message_retention_period: int | None = None
    delivery_paused: bool | None = None


class Consumer(Answer):
    type: Word = ""
    script: Word | None = None
    service: Word | None = None

    @property
    def name(self) -> str:
        return self.script or self.service or ""


class Queue(Answer):
    queue_id: Identifier
    queue_name: Name
    settings: QueueSettings | None = None
    consumers: list[Consumer] | None = None


class Backlog(Answer):
    backlog_count: Count
    oldest_message_timestamp_ms: Annotated[float, Field(ge=0, le=LAST_MOMENT_MS)] | None = None


class Named(Answer):
    name: Name


class Buckets(Answer):
    buckets: list[Named]


class Age(Answer):
    type: Word = ""
    max_age_s: int | None = Field(None, alias="maxAge", ge=0)


class Deletion(Answer):
    condition: Age


class LifecycleRule(Answer):
    enabled: bool = True
    deletion: Deletion | None = Field(None, alias="deleteObjectsTransition")


class Lifecycle(Answer):
    """The rules of a bucket."""

    rules: list[LifecycleRule] = []

    def deletes_after(self, days: int) -> bool:
        """Return whether a rule deletes objects of that age."""
        ages = [rule.deletion.condition for rule in self.rules if rule.enabled and rule.deletion]
        return any(age.type == "Age" and age.max_age_s == days * 86_400 for age in ages)


class Caching(Answer):
    disabled: bool = False


class Hyperdrive(Answer):
    id: Identifier
    name: Name
    caching: Caching | None = None
    origin_connection_limit: int | None = None

    @property
    def is_cached(self) -> bool:
        return self.caching is None or not self.caching.disabled


class LoadRow(Answer):
    queue: Word
    type: Word
    messages: Count
    done: Count
    retries: Count
    dead_letters: Count
    p50_ms: Count
    p95_ms: Count


class VerdictRow(Answer):
    channel: Word
    provider: Word
    verdict: Word
    code: Word
    messages: Count
    p50_ms: Count
    p95_ms: Count


class GaugeRow(Answer):
    gauge: Word
    channel: Word
    state: Word
    count: Count
    age_s: Count


class Rows(Answer):
    data: list[dict[str, Any]]
