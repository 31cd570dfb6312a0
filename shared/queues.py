"""Declare queues: their retries, and the concurrency of their consumers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from shared.body_limits import BODY_CHARS_MAX, LARGE_BODY_CHARS_MAX
from shared.retry import ceiling_s

# https://developers.cloudflare.com/workers/platform/limits/#simultaneous-open-connections
CONNECTIONS_MAX = 6


@dataclass(frozen=True)
class Batch:
    """The largest batch of a queue: up to `size` messages (1 to 100), sent to a consumer after
    `timeout_s` seconds (0 to 60) if there are fewer."""

    size: int
    timeout_s: int


# A batch job needs few statements for a full batch, so a batch waits a second to fill.
BATCH_OF_LISTS = Batch(100, 1)
# Windows run one by one, so waiting has no advantage; ten of the longest statements (55 s) fit into
# the fifteen minutes of an invocation.
BATCH_OF_WINDOWS = Batch(10, 0)


@dataclass(frozen=True)
class Queue:
    """A queue, its producer binding, and its number of retries.

    - `max_concurrency` is the number of consumers that the platform may run concurrently.
    - `connections` is the number of database connections that each of them may hold: with 2, two
      shards of a window run concurrently. `mauntic check` adds up all queues of all workers.
    - `batch` is the number of messages that a consumer receives together, and its wait for them.
      Without it a queue with a BatchJob receives 100 after up to 1 s, any other queue 10 at once.
    - `body_chars_max` is the size up to which a body is read; a larger one is a dead letter.

    Its dead-letter queue has the same name with `-dlq`, and the same binding with `_DLQ`.
    """

    name: str
    binding: str
    max_retries: int
    max_concurrency: int = 4
    connections: int = 2
    batch: Batch | None = None
    body_chars_max: int = BODY_CHARS_MAX

    def __post_init__(self) -> None:
        if not 1 <= self.connections <= CONNECTIONS_MAX:
            raise ValueError(
                f"a consumer of {self.name} may hold 1 to {CONNECTIONS_MAX} connections,"
                f" not {self.connections}"
            )
        if not 1 <= self.body_chars_max <= LARGE_BODY_CHARS_MAX:
            raise ValueError(
                f"a body of {self.name} may have 1 to {LARGE_BODY_CHARS_MAX} characters,"
                f" not {self.body_chars_max}"
            )

    @property
    def dead_letter_name(self) -> str:
        return f"{self.name}-dlq"

    @property
    def dead_letter_binding(self) -> str:
        return f"{self.binding}_DLQ"

    @property
    def deliveries_max(self) -> int:
        """The number of deliveries after which the platform gives a message up."""
        return self.max_retries + 1

    @property
    def retries_last(self) -> timedelta:
        """The maximum of the delays of all retries together."""
        return timedelta(seconds=sum(ceiling_s(n + 1) for n in range(self.max_retries)))
