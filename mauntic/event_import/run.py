"""Import a file: read, validate and store its events, batch by batch.

Each batch is a transaction. An interrupted import is continued by running it again: events that are
stored are recognized by their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from mauntic.event_import.counts import Counts
from mauntic.event_import.event import Event, Place, Refused
from mauntic.event_import.lines import Source
from mauntic.event_import.prepare import Rules, is_left_out, prepare
from mauntic.event_import.records import Record, records
from mauntic.event_import.rejects import Reject
from mauntic.event_import.seen import Seen
from mauntic.event_import.store import Store

BATCH_EVENTS = 5_000
ROWS_BETWEEN_ADVANCES = 1_000


@dataclass
class Import:
    """An import in progress. `counts` are those of the batches that are stored."""

    source: Source
    rules: Rules
    store: Store
    reject: Reject = lambda place, reason: None
    batch_events: int = BATCH_EVENTS
    advance: Callable[[], None] = lambda: None
    counts: Counts = field(default_factory=Counts)
    _batch: list[Event] = field(default_factory=list)

    def run(self) -> Counts:
        """Import every row of the source."""
        with closing(Seen()) as seen:
            for record in records(self.source.lines(), self.rules.form.columns):
                self.counts.read += 1
                for event in self._events(record):
                    self._take(event, seen)
                if self.counts.read % ROWS_BETWEEN_ADVANCES == 0:
                    self.advance()
            self._store(seen)
        return self.counts

    def _events(self, record: Record) -> Iterator[Event]:
        """Yield the valid events of a record; count the others."""
        if isinstance(record.value, Refused):
            self._refuse(Place(record.line), record.value.reason)
            return
        found = self.rules.form.events(record.value)
        for item, raw in enumerate(found, 1):
            place = Place(record.line, item)
            if isinstance(raw, Refused):
                self._refuse(place, raw.reason)
            elif is_left_out(raw, self.rules.form):
                self.counts.leave_out(raw.event_type)
            else:
                try:
                    yield prepare(raw, place, self.rules)
                except Refused as refusal:
                    self._refuse(place, refusal.reason)

    def _take(self, event: Event, seen: Seen) -> None:
        """Add the event to the batch, unless its id was in the file before."""
        content = f"{event.event_type} {event.occurred_at.isoformat()}"
        match seen.add(f"event {event.event_id}", content):
            case "same":
                self.counts.repeated += 1
            case "other":
                self._refuse(event.place, "conflicting_id")
            case "new":
                self._batch.append(event)
                if len(self._batch) >= self.batch_events:
                    self._store(seen)

    def _store(self, seen: Seen) -> None:
        stored = self.store.add(self._batch)
        self._batch = []
        for event, reason in stored.refused:
            self._refuse(event.place, reason)
        self.counts.add_new(stored.new)
        self.counts.add_stored_before(stored.already)
        # A dry run creates none, so the next batch reports the same address again.
        new = [address for address in stored.created if seen.add(f"contact {address}") == "new"]
        self.counts.contacts_created += len(new)
        self.advance()

    def _refuse(self, place: Place, reason: str) -> None:
        self.counts.refuse(place, reason)
        self.reject(place, reason)
