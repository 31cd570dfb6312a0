"""A campaign with a segment and a template, and the jobs that send it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID, uuid4

from delivery.campaigns.progress import sweep_campaigns
from delivery.domain.messages import SendCampaign
from delivery.jobs.send_campaign import JOB
from shared.outcome import Dead, Done
from shared.ports import Row
from tests.workers.delivery.stage import Stage, org, person

TEXTS: dict[str, dict[str, str | None]] = {
    "email": {"subject": "Hi {{contact.first_name}}", "body_html": "<p>Body", "body_text": "Body"},
    "sms": {"subject": None, "body_html": None, "body_text": "Text"},
    "push": {"subject": "Title", "body_html": None, "body_text": "Body"},
}


class Scene:
    """Steps of a campaign of organization 1. Queue messages are in `queued` until `work` takes
    them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        stage.organization()

    def template(self, channel: str = "email", **columns: Any) -> UUID:
        own = {"id": uuid4(), "organization_id": org(), "type": channel, **TEXTS[channel]}
        return self._insert("content.templates", own | columns)

    def segment(self, *members: int, **columns: Any) -> UUID:
        own = {"id": uuid4(), "organization_id": org(), "name": "s", "type": "static"}
        found = self._insert("crm.segments", own | columns)
        self.enter(found, members)
        return found

    def enter(self, segment_id: UUID, members: Iterable[int]) -> None:
        ids = [person(number) for number in members]
        self.stage.db.execute(
            "insert into crm.segment_contacts (segment_id, contact_id)"
            " select :segment_id, id from unnest(cast(:ids as uuid[])) as id",
            segment_id=segment_id,
            ids=ids,
        )

    def leave(self, segment_id: UUID, members: Iterable[int]) -> None:
        self.stage.db.execute(
            "delete from crm.segment_contacts"
            " where segment_id = :segment_id and contact_id = any(cast(:ids as uuid[]))",
            segment_id=segment_id,
            ids=[person(number) for number in members],
        )

    def campaign(self, segment_id: UUID | None = None, **columns: Any) -> UUID:
        own: dict[str, Any] = {
            "id": uuid4(), "organization_id": org(), "name": "Spring", "type": "email",
            "segment_id": segment_id,
        }  # fmt: skip
        own |= columns
        if "template_id" not in own:
            own["template_id"] = self.template(own["type"])
        own["settings"] = json.dumps(own.get("settings", {}))
        return self._insert("campaign.campaigns", own)

    def _insert(self, table: str, own: dict[str, Any]) -> UUID:
        names, values = ", ".join(own), ", ".join(f":{name}" for name in own)
        self.stage.db.execute(f"insert into {table} ({names}) values ({values})", **own)
        found: UUID = own["id"]
        return found

    def set(self, campaign_id: UUID, **columns: Any) -> None:
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        self.stage.db.execute(
            f"update campaign.campaigns set {changes} where id = :id", id=campaign_id, **columns
        )

    # -- the worker

    @property
    def queued(self) -> list[dict[str, Any]]:
        return self.stage.outside.queue.sent

    def send(
        self, campaign_id: UUID, part: int | None = None, organization: int = 1
    ) -> Done | Dead:
        """Deliver one message of the campaign."""
        data = {"organizationId": org(organization), "campaignId": campaign_id, "part": part}
        message = SendCampaign.model_validate({"data": data})
        ports = self.stage.ports()
        try:
            outcome: object = self.stage.run(cast(Any, JOB.handler(message, ports)))
        finally:
            ports.db.close()
        assert isinstance(outcome, Done | Dead)
        return outcome

    def work(self) -> None:
        """Deliver what is queued, until nothing is left."""
        while self.queued:
            data = self.queued.pop(0)["data"]
            assert isinstance(self.send(UUID(data["campaignId"]), data.get("part")), Done)

    def fan_out(self, campaign_id: UUID) -> None:
        self.send(campaign_id)
        self.work()

    def sweep(self) -> None:
        """Run the sweep: messages first, then campaigns."""
        self.stage.sweep()
        ports = self.stage.ports()
        try:
            self.stage.run(sweep_campaigns(ports))
        finally:
            ports.db.close()

    def deliver(self, channel: Any = "email") -> None:
        """Send what may be sent, until nothing is fed."""
        while references := self.stage.feed(channel):
            self.stage.consume(references, channel)

    # -- what has become of it

    def row(self, campaign_id: UUID) -> Row:
        [row] = self.stage.db.rows(
            "select * from campaign.campaigns where id = :id", id=campaign_id
        )
        return row

    def runs(self, campaign_id: UUID) -> list[Row]:
        return self.stage.db.rows(
            "select * from delivery.delivery_jobs where campaign_id = :id order by created_at, id",
            id=campaign_id,
        )

    def messages(self, campaign_id: UUID) -> list[Row]:
        return self.stage.db.rows(
            "select * from delivery.messages where campaign_id = :id order by contact_id, id",
            id=campaign_id,
        )

    @property
    def captured(self) -> list[Any]:
        """The messages that were sent."""
        return [own for key, own in self.stage.captured.items() if "/calls/" not in key]

    def events(self, name: str) -> list[dict[str, Any]]:
        return self.stage.outside.named(name)
