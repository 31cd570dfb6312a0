"""Dead letters: buried by consume with their reason, archived by the dead-letter queue's consumer.

A message that the platform itself gave up (its isolate was killed each time) arrives raw; its
reason is then looked up among the recorded failures. Both look alike in `ops.dead_letters`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from shared.body_limits import kept
from shared.error_text import error_text
from shared.errors import DatabaseError, DatabaseUnreachable, error_class, is_retryable
from shared.flow.attempts import digest
from shared.flow.containment import ends_the_task
from shared.flow.delivery import RawBatch, RawDelivery
from shared.flow.envelopes import opened, sealed
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

# A letter that comes again more often than this may be what ends the isolate: it is written down
# before it is read. (It may also have waited for Postgres; then it is read afterwards.)
READ_TRIES = 3
UNREAD = f"the dead letter could not be read in {READ_TRIES} tries: this is its text"
# So many letters are read and written at once: each may hold 16,384 characters, several times.
TOGETHER_MAX = 10


async def bury(
    letter: ParsedMessage | Rejected, dead: Dead, queue: Queue, ports: Ports
) -> Dead | RetryIn:
    """Send the message to the dead-letter queue with its reason; RetryIn where that fails."""
    delivery = letter.delivery
    try:
        await ports.dead_letters.send([sealed(letter, dead, queue, ports.clock())])
    except BaseException as error:  # whatever was raised, no message may be lost by it
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
    """Make a row of each dead letter, and one alert of the batch. What is raised while one is read
    or written is that one's alone; nothing is raised out of here."""
    deliveries, work = list(batch), Archive(Intake.of(worker, batch.queue), ports)
    try:
        fresh = [one for one in deliveries if one.attempts <= READ_TRIES]
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
    """One batch of dead letters on its way into the table."""

    intake: Intake
    ports: Ports
    new: list[Row] = field(default_factory=list)
    waiting: list[RawDelivery] = field(default_factory=list)
    error: BaseException | None = None  # why they wait

    def write_together(self, deliveries: Sequence[RawDelivery]) -> None:
        """Read each, and write all that can be read in one statement."""
        letters = []
        for delivery in deliveries:
            try:
                letters.append((delivery, self._letter(delivery)))
            except BaseException as error:
                self._put_off([delivery], error)
        if letters:
            self._write(letters)

    def write_unread_first(self, delivery: RawDelivery) -> None:
        """Write what is certain, then read the letter and replace the row. Should reading end the
        isolate, the row stands, and the next try acknowledges the letter without reading it."""
        try:
            unread = self._insert([self._unread(delivery)])
        except BaseException as error:
            self._put_off([delivery], error)
            return
        if unread:
            self._read_after_all(delivery, unread)
        else:
            self._leave_unread(delivery, unread)

    async def report(self) -> None:
        """Alert once for what was archived. What waits is posted once as well: by the batch in
        which a letter waits for the first time."""
        ports, queue = self.ports, self.intake.queue.name
        if self.new:
            await notify.send(
                "dead_letter.archived",
                ports,
                queue=queue,
                count=len(self.new),
                type=_counted(row["job_type"] or "unknown" for row in self.new),
                reason=_counted(_known_reason(row["reason"]) for row in self.new),
                dead_letter_id=min(row["id"] for row in self.new),
            )
        if self.waiting and self.error:
            await notify.send(
                "dead_letter.archive_failed",
                ports,
                post=any(one.attempts == 1 for one in self.waiting),
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
                for letter in letters:  # one that cannot be written must not hold up the others
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
        """Put the row that reading the letter makes in the place of that of the unread letter."""
        try:
            letter = self._letter(delivery)
        except BaseException as error:
            self._leave_unread(delivery, unread, error)
            return
        try:
            self.new += self._insert([letter], [delivery.id])
        except BaseException as error:
            if is_retryable(error) and self._withdrawn(delivery):
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

    def _withdrawn(self, delivery: RawDelivery) -> bool:
        """Take back the row of an unread letter that another try may read, if Postgres lets us."""
        try:
            self._withdraw([delivery.id])
        except (DatabaseError, DatabaseUnreachable):
            return False
        return True

    def _insert(
        self, letters: Sequence[dict[str, Any]], read_from: Sequence[str] = ()
    ) -> list[Row]:
        """Write the letters; those that were read replace what was written of them unread.

        If `on_dead` of a job fails for a letter, that letter is archived without it.
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
        """The row to be: from our envelope, or from a message that the platform gave up."""
        body = delivery.body
        envelope = opened(body, self.intake)
        known = envelope.plain() if envelope else self._given_up(delivery)
        body = kept(known["body"])
        row: dict[str, Any] = sanitize(known | {"body": None})
        return row | {"body": body, "bodyDigest": digest(body)}

    def _given_up(self, delivery: RawDelivery) -> dict[str, Any]:
        """What can be known of a message that came raw. Its error is for the archive to look up."""
        understood = read(delivery, self.intake.worker, self.intake.queue)
        job = job_meant(delivery.body, self.intake.worker)
        return self._certain(delivery) | {
            "jobType": job.type if job else None,
            "body": delivery.body,
            "reason": understood.reason if isinstance(understood, Dead) else "exhausted",
        }

    def _unread(self, delivery: RawDelivery) -> dict[str, Any]:
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


def _counted(values: Iterable[str]) -> str:
    """Each value once, the most frequent first.

    >>> _counted(["invalid"]), _counted(["invalid", "exhausted", "invalid"])
    ('invalid', 'invalid 2, exhausted 1')
    """
    counts = Counter(values).most_common()
    return counts[0][0] if len(counts) == 1 else ", ".join(f"{one} {n}" for one, n in counts)
