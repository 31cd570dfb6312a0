"""Dead letters: consume buries them with their reason, the dead-letter queue's consumer archives
them.

A message that the platform gave up, because its isolate was killed each time, arrives without an
envelope; its reason is looked up among the recorded failures. Both look alike in
`ops.dead_letters`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from shared.body_limits import kept_part
from shared.error_text import error_text
from shared.errors import DatabaseError, DatabaseUnreachable, error_class, is_retryable
from shared.flow.attempts import digest
from shared.flow.containment import ends_the_task
from shared.flow.delivery import RawBatch, RawDelivery
from shared.flow.envelopes import open_envelope, seal
from shared.flow.intake import Intake
from shared.flow.on_dead import OnDeadFailed, call_on_dead
from shared.flow.parse import ParsedMessage, Rejected, job_meant, read
from shared.flow.redriven import link
from shared.jobs import Worker
from shared.outcome import Dead, Reason, RetryIn
from shared.ports import Ports, Row
from shared.queues import Queue
from shared.retry import archive_delay_s, delay_s
from shared.sanitize import printable, sanitize
from shared.sql.statements import SQL
from shared.telemetry import notify
from shared.telemetry.redaction import describe_error, safe_traceback

# A dead letter with more deliveries than this may be the one that ends the isolate: it is written
# before it is read. (It may also have waited for Postgres; then it is read afterwards.)
READ_TRIES = 3
UNREAD = f"the dead letter could not be read in {READ_TRIES} tries: this is its text"
# The number of dead letters that are read and written together: each may have 16,384 characters,
# several times.
TOGETHER_MAX = 10


async def bury(
    parsed: ParsedMessage | Rejected, dead: Dead, queue: Queue, ports: Ports
) -> Dead | RetryIn:
    """Send the message to the dead-letter queue with its reason; return RetryIn if that fails."""
    delivery = parsed.delivery
    try:
        await ports.dead_letters.send([seal(parsed, dead, queue, ports.clock())])
    except BaseException as error:  # no message may be lost, whatever was raised
        if ends_the_task(error):
            raise
        ports.log(
            "dead_letter.send_failed",
            level="error",
            message_id=delivery.id,
            error=describe_error(error),
        )
        return RetryIn(
            delay_s(delivery.attempts, ports.random), error_class(error), error_text(error)
        )
    return dead


async def archive(batch: RawBatch, worker: Worker, ports: Ports) -> None:
    """Write a row for each dead letter, and send one alert for the batch. An exception while one is
    read or written affects only that one; no exception leaves this function.
    """
    deliveries, work = list(batch), Archive(Intake.of(worker, batch.queue), ports)
    try:
        fresh = [delivery for delivery in deliveries if delivery.attempts <= READ_TRIES]
        for start in range(0, len(fresh), TOGETHER_MAX):
            work.write_together(fresh[start : start + TOGETHER_MAX])
        for delivery in deliveries:
            if delivery.attempts > READ_TRIES:
                work.write_unread_first(delivery)
    finally:
        ports.db.close()
    await work.report()


@dataclass
class Archive:
    """A batch of dead letters that is being archived."""

    intake: Intake
    ports: Ports
    new: list[Row] = field(default_factory=list)
    waiting: list[RawDelivery] = field(default_factory=list)
    error: BaseException | None = None  # why they wait

    def write_together(self, deliveries: Sequence[RawDelivery]) -> None:
        """Read each one, and write all readable ones in one statement."""
        letters = []
        for delivery in deliveries:
            try:
                letters.append((delivery, self._letter(delivery)))
            except BaseException as error:
                self._put_off([delivery], error)
        if letters:
            self._write(letters)

    def write_unread_first(self, delivery: RawDelivery) -> None:
        """Write the known part, then read the dead letter and replace the row. If reading ends the
        isolate, the row stays, and the next try acknowledges the dead letter without reading it.
        """
        try:
            unread = self._insert([self._unread_row(delivery)])
        except BaseException as error:
            self._put_off([delivery], error)
            return
        if unread:
            self._read_after_all(delivery, unread)
        else:
            self._leave_unread(delivery, unread)

    async def report(self) -> None:
        """Alert once for the archived dead letters. Waiting ones are posted once too, by the batch
        in which a dead letter waits for the first time.
        """
        ports, queue = self.ports, self.intake.queue.name
        if self.new:
            await notify.send(
                "dead_letter.archived",
                ports,
                queue=queue,
                count=len(self.new),
                type=_format_counts(row["job_type"] or "unknown" for row in self.new),
                reason=_format_counts(_known_reason(row["reason"]) for row in self.new),
                dead_letter_id=min(row["id"] for row in self.new),
            )
        if self.waiting and self.error:
            await notify.send(
                "dead_letter.archive_failed",
                ports,
                post=any(delivery.attempts == 1 for delivery in self.waiting),
                queue=queue,
                count=len(self.waiting),
                error=describe_error(self.error),
            )

    def _write(self, letters: Sequence[tuple[RawDelivery, dict[str, Any]]]) -> None:
        try:
            ids = [delivery.id for delivery, _ in letters]
            self.new += self._insert([row for _, row in letters], ids)
        except BaseException as error:
            if len(letters) > 1 and not isinstance(error, DatabaseUnreachable):
                for letter in letters:  # one that cannot be written must not block the others
                    self._write([letter])
                return
            self._put_off([delivery for delivery, _ in letters], error)
            return
        for delivery, _ in letters:
            delivery.ack()

    def _put_off(self, deliveries: Iterable[RawDelivery], error: BaseException) -> None:
        if ends_the_task(error):
            raise error
        self.error = error
        for delivery in deliveries:
            self.waiting.append(delivery)
            delivery.retry(archive_delay_s(delivery.attempts))

    def _read_after_all(self, delivery: RawDelivery, unread: list[Row]) -> None:
        """Replace the row of an unread dead letter by the row of the read one."""
        try:
            letter = self._letter(delivery)
        except BaseException as error:
            self._leave_unread(delivery, unread, error)
            return
        try:
            self.new += self._insert([letter], [delivery.id])
        except BaseException as error:
            if is_retryable(error) and self._leave_to_retry(delivery):
                self._put_off([delivery], error)
            else:
                self._leave_unread(delivery, unread, error)
            return
        delivery.ack()

    def _leave_unread(
        self, delivery: RawDelivery, unread: list[Row], error: BaseException | None = None
    ) -> None:
        if error and ends_the_task(error):
            raise error
        text = describe_error(error) if error else None
        self.ports.log("dead_letter.unread", level="error", message_id=delivery.id, error=text)
        self.new += unread
        delivery.ack()

    def _leave_to_retry(self, delivery: RawDelivery) -> bool:
        """Delete the row of an unread dead letter that another try may read, if Postgres is
        available.
        """
        try:
            self._withdraw([delivery.id])
        except (DatabaseError, DatabaseUnreachable):
            return False
        return True

    def _insert(
        self, letters: Sequence[dict[str, Any]], read_from: Sequence[str] = ()
    ) -> list[Row]:
        """Write the dead letters; those that were read replace the rows that were written unread.

        If `on_dead` of a job fails for a dead letter, that one is archived without it.
        """
        try:
            return self._insert_all(letters, read_from, call_hooks=True)
        except OnDeadFailed as failed:
            if len(letters) > 1:
                raise  # the caller writes them one by one
            self.ports.log(
                "dead_letter.on_dead_failed",
                level="error",
                type=failed.job_type,
                message_id=letters[0]["messageId"],
                error_class=error_class(failed.error),
                error=describe_error(failed.error),
                traceback=safe_traceback(failed.error),
            )
            return self._insert_all(letters, read_from, call_hooks=False)

    def _insert_all(
        self, letters: Sequence[dict[str, Any]], read_from: Sequence[str], *, call_hooks: bool
    ) -> list[Row]:
        db, now = self.ports.db, self.ports.clock()
        with db.transaction():
            db.rows(SQL["archive_alone"], queue=self.intake.queue.dead_letter_name)
            if read_from:
                self._withdraw(read_from)
            link(letters, self.intake.queue, self.ports)
            new = db.rows(SQL["archive_dead_letters"], letters=json.dumps(letters), now=now)
            if call_hooks:
                call_on_dead(new, self.intake.worker, db)
            return new

    def _withdraw(self, ids: Sequence[str]) -> None:
        self.ports.db.execute(
            SQL["withdraw_unread"],
            queue=self.intake.queue.name,
            message_ids=list(ids),
            error=UNREAD,
        )

    def _letter(self, delivery: RawDelivery) -> dict[str, Any]:
        """Return the row of a dead letter, from an envelope or from a message that the platform
        gave up.
        """
        body = delivery.body
        envelope = open_envelope(body, self.intake)
        fields = envelope.plain() if envelope else self._given_up(delivery)
        body = kept_part(fields["body"], self.intake.queue.body_chars_max)
        row: dict[str, Any] = sanitize(fields | {"body": None})
        return row | {"body": body, "bodyDigest": digest(body)}

    def _given_up(self, delivery: RawDelivery) -> dict[str, Any]:
        """Return the known fields of a message without an envelope. The archive looks up its
        error.
        """
        understood = read(delivery, self.intake.worker, self.intake.queue)
        job = job_meant(delivery.body, self.intake.worker)
        return self._certain(delivery) | {
            "jobType": job.type if job else None,
            "body": delivery.body,
            "reason": understood.reason if isinstance(understood, Dead) else "exhausted",
        }

    def _unread_row(self, delivery: RawDelivery) -> dict[str, Any]:
        body = printable(delivery.beginning())
        return self._certain(delivery) | {
            "body": body,
            "bodyDigest": digest(body),
            "reason": "exhausted",
            "error": UNREAD,
        }

    def _certain(self, delivery: RawDelivery) -> dict[str, Any]:
        return {
            "queue": self.intake.queue.name,
            "messageId": delivery.id,
            "attempts": self.intake.queue.deliveries_max,
            "deadAt": delivery.sent_at.isoformat(),
        }


def _known_reason(reason: str) -> str:
    return reason if reason in get_args(Reason) else "other"


def _format_counts(values: Iterable[str]) -> str:
    """Format each value once with its count, the most frequent first.

    >>> _format_counts(["invalid"]), _format_counts(["invalid", "exhausted", "invalid"])
    ('invalid', 'invalid 2, exhausted 1')
    """
    counts = Counter(values).most_common()
    if len(counts) == 1:
        return counts[0][0]
    return ", ".join(f"{value} {count}" for value, count in counts)
