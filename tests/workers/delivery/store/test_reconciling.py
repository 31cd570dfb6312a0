"""What a look-up reads of an uncertain message."""

from __future__ import annotations

import json
from datetime import timedelta

from delivery.domain.verdict import Verdict
from delivery.store.reconciling import uncertain_of
from tests.workers.delivery.stage import Stage, org


def test_a_look_up_reads_a_message_of_a_run_as_its_claim_did(stage: Stage) -> None:
    """So it compares what the provider has with the content that was sent, not with a new one."""
    stage.organization()
    stage.contact()
    config = stage.config()
    [run] = stage.db.rows(
        "insert into delivery.delivery_jobs (organization_id, channel, content)"
        " values (:org, 'email', cast(:content as jsonb)) returning id",
        org=org(),
        content=json.dumps({"subject": "As it was", "text": "Then"}),
    )
    message = stage.message(job_id=run["id"], content=None, address="p1@people.example")
    found = stage.claim(message)
    begun = stage.begin(found, config)
    stage.settle(begun, Verdict("unknown", "timeout"))
    later = stage.outside.now + timedelta(minutes=10)
    [uncertain] = uncertain_of(stage.worker, org(), begun.call_id, 20, later)
    [claimed] = found.claimed
    assert (uncertain.waiting.id, uncertain.waiting.run_id) == (message, run["id"])
    assert uncertain.waiting.template_id is None
    assert uncertain.waiting.sender == claimed.waiting.sender
    assert uncertain.waiting.kept_address == "p1@people.example"
