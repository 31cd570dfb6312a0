"""After `ops.erase_contact` no table of this project mentions the contact, wherever it was
before.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from time import monotonic
from typing import Any
from uuid import UUID

import pytest

from mauntic.database.url import connect
from tests.roles import ROLES

ORG, OTHER_ORG = UUID(int=1), UUID(int=2)
JANE, JOHN = UUID("3f0e8a52-9c1d-4c7e-8b1a-0d2f5a3b7c11"), UUID(int=1_002)
MAIL, OLD_MAIL = "Jane.O'Doe+x@Example.org", "jane@old.example"
# The platform deletes its own rows; these tables name a contact in a column of their own.
PLATFORM = {"crm.contacts", "crm.segment_contacts", "analytics.contact_activity"}
# Found by their execution; the test gives it the contact's id.
OF_EXECUTIONS = {"journey.step_executions", "journey.execution_logs"}
WITH_CONTACT = (
    "select distinct table_schema || '.' || table_name from information_schema.columns"
    " where table_schema in ('analytics', 'campaign', 'content', 'crm', 'delivery',"
    " 'journey', 'ops', 'scoring')"
    " and column_name = 'contact_id'"
    " and table_name not in (select table_name from information_schema.views)"
)
TABLES = (
    "select nspname || '.' || relname from pg_class join pg_namespace as n on n.oid = relnamespace"
    " where relkind in ('r', 'p') and nspname in ('analytics', 'campaign', 'content', 'crm',"
    " 'delivery', 'journey', 'ops', 'scoring')"
)
ROWS = (
    "insert into crm.contacts (id, organization_id, email) values (:id, :org, :mail)",
    "insert into analytics.contact_activity (organization_id, contact_id, event_type, occurred_at)"
    " values (:org, :id, 'email_opened', now())",
    "insert into scoring.lead_scores (organization_id, contact_id, total_score, grade,"
    " engagement_score, fit_score, intent_score, scored_at)"
    " values (:org, :id, 1, 'F', 1, 0, 0, now())",
    "insert into scoring.score_history values (:org, :id, '2026-03-01', 1, 1, 0, 0)",
    "insert into scoring.intent_signals (organization_id, contact_id, signal_type)"
    " values (:org, :id, 'DEMO_REQUEST')",
    "insert into scoring.signal_alerts (organization_id, contact_id, signal_type, priority)"
    " values (:org, :id, 'DEMO_REQUEST', 'high')",
    "insert into scoring.alert_requests"
    " (organization_id, contact_id, signal_type, priority, opened_at)"
    " values (:org, :id, 'TRIAL', 'low', now())",
    "insert into scoring.threshold_outbox"
    " (organization_id, contact_id, score, previous_score, scored_at)"
    " values (:org, :id, 1, 2, now())",
    "insert into scoring.recompute_backlog (organization_id, contact_id, reason)"
    " values (:org, :id, 'x')",
    "insert into delivery.messages (organization_id, idempotency_key, channel, contact_id, address,"
    " variables, expires_at) values (:org, 'key:' || cast(cast(:id as uuid) as text), 'email',"
    " cast(:id as uuid), cast(:mail as text),"
    " jsonb_build_object('mail', cast(:mail as text)), now())",
    "insert into delivery.delivery_events (organization_id, contact_id, channel, event_type,"
    " event_id, metadata) values (:org, :id, 'email', 'clicked', md5(cast(:mail as text)),"
    " jsonb_build_object('to', cast(:mail as text)))",
    "insert into delivery.device_tokens (organization_id, contact_id, kind, token)"
    " values (:org, cast(:id as uuid), 'fcm', cast(cast(:id as uuid) as text))",
    "insert into delivery.recipients values (:org, :id)",
    "insert into delivery.deleted_contacts (organization_id, contact_id) values (:org, :id)",
    "insert into journey.journey_executions (id, organization_id, journey_id, contact_id)"
    " values (:id, :org, gen_random_uuid(), :id)",
    "insert into journey.step_executions (execution_id, step_id, organization_id, result, seq)"
    " values (cast(:id as uuid), gen_random_uuid(), :org,"
    " jsonb_build_object('message', 'journey:' || cast(cast(:id as uuid) as text)), 1)",
    "insert into journey.execution_logs (execution_id, organization_id, level, message)"
    " values (:id, :org, 'info', 'x')",
    "insert into journey.waits values (:id, 1, :org, :id, 'x', 'contact', now(), null)",
    "insert into journey.pending_events values (gen_random_uuid(), :org, :id, 'x', now())",
    "insert into journey.entrants (journey_id, contact_id, organization_id)"
    " values (gen_random_uuid(), :id, :org)",
    "insert into journey.trigger_entries"
    " (journey_id, contact_id, occasion, organization_id, outcome, at)"
    " values (gen_random_uuid(), :id, 'request:x', :org, 'refused', now())",
    "insert into journey.outbox (type, organization_id, contact_id, body)"
    " values ('x', :org, cast(:id as uuid), jsonb_build_object('contactId', cast(:id as uuid)))",
    "insert into crm.segment_contacts (segment_id, contact_id, organization_id)"
    " values (gen_random_uuid(), :id, :org)",
    "insert into crm.segment_changes values (gen_random_uuid(), 1, :org, :id, 'entered', 1, now())",
    "insert into crm.segment_recheck values (gen_random_uuid(), :id, :org, now())",
    "insert into crm.segment_backlog (organization_id, contact_id, reason)"
    " values (:org, :id, 'time')",
    "insert into crm.contact_tags values (:id, gen_random_uuid())",
    "insert into crm.contact_companies values (:id, gen_random_uuid())",
    "insert into crm.contact_changes (consumer, organization_id, contact_id, source)"
    " select consumer, :org, cast(:id as uuid), 'contact'"
    " from unnest(array['scoring', 'segments', 'events']) as consumer",
)
LETTER = (
    "insert into ops.dead_letters (queue, message_id, body, reason, error, attempts, dead_at)"
    " values ('q', :key, cast(:body as jsonb), 'invalid', :error, 1, now())"
)
FAILURE = (
    "insert into ops.message_failures"
    " (queue, message_id, attempt, body_digest, error_class, error_text, failed_at)"
    " values ('q', :key, 1, '', 'E', :error, now())"
)
RUN = (
    "insert into ops.job_runs"
    " (job_type, window_start, window_end, status, trigger, scheduled_for, error_text)"
    " values (:key, '2026-03-01T00:00Z', '2026-03-01T01:00Z', 'dead', 'cron', now(), :error)"
)
MENTIONS = {
    "as its field": f'{{"data": {{"contactId": "{JANE}"}}}}',
    "in another case": f'["{str(JANE).upper()}"]',
    "as a key": f'{{"{JANE}": 1}}',
    "by address": f'{{"to": "{MAIL.lower()}", "n": 1}}',
    "by an address in a text": f'"Write to {OLD_MAIL}."',
    "as a text of JSON": '"{\\"contactId\\": \\"' + str(JANE) + '\\"}"',
}


@pytest.fixture
def owner(database: str) -> Iterator[Any]:
    with closing(connect(database)) as connection:
        yield connection


def fill(owner: Any, organization: UUID, contact: UUID, mail: str) -> None:
    values = {"org": organization, "id": contact, "mail": mail}
    for row in ROWS:
        owner.run(row, **{name: value for name, value in values.items() if f":{name}" in row})


def mention(owner: Any) -> None:
    for key, body in MENTIONS.items():
        owner.run(LETTER, key=key, body=body, error=None)
        owner.run(FAILURE, key=key, error=f"refused: {body}")
        owner.run(RUN, key=key, error=f"refused: {body}")
    owner.run(LETTER, key="in its error", body="{}", error=f"KeyError: '{JANE}'")
    owner.run(LETTER, key="of another", body=f'{{"contactId": "{JOHN}"}}', error="e")
    owner.run(FAILURE, key="of another", error=f"{JOHN}")


def knowing(owner: Any, *words: object) -> set[str]:
    """Return the tables with a row that contains one of the words, in any column."""
    found = set()
    for [table] in owner.run(TABLES):
        for word in words:
            row = "lower(cast(to_jsonb(t) as text))"
            sql = f"select count(*) from {table} as t where position(:word in {row}) > 0"
            if owner.run(sql, word=str(word).lower())[0][0]:
                found.add(table)
    return found


def delete_at_the_platform(owner: Any, contact: UUID) -> None:
    owner.run("delete from analytics.contact_activity where contact_id = :id", id=contact)
    owner.run("delete from crm.contacts where id = :id", id=contact)


def erase(owner: Any, *mails: str) -> list[int]:
    sql = "select ops.erase_contact(:org, :id, :mail)"
    return [owner.run(sql, org=ORG, id=JANE, mail=mail)[0][0] for mail in mails]


def test_nothing_is_left_of_an_erased_contact_and_all_of_others(owner: Any) -> None:
    fill(owner, ORG, JANE, MAIL)
    fill(owner, ORG, JOHN, "john@example.org")
    mention(owner)
    tables = {table for [table] in owner.run(WITH_CONTACT)} | OF_EXECUTIONS
    before = knowing(owner, JANE, MAIL, OLD_MAIL)
    assert before == tables | {
        "crm.contacts",
        "ops.dead_letters",
        "ops.message_failures",
        "ops.job_runs",
    }
    johns = {table: owner.run(f"select count(*) from {table}")[0][0] for table in tables}
    owner.run("begin")
    delete_at_the_platform(owner, JANE)
    first, second, third = erase(owner, MAIL, OLD_MAIL, MAIL)
    owner.run("commit")
    assert knowing(owner, JANE, MAIL, OLD_MAIL) == set()
    assert first > 0
    assert (second, third) == (3, 0)  # an address of old stands in a letter, a failure and a run
    assert knowing(owner, JOHN) == tables | {
        "crm.contacts",
        "ops.dead_letters",
        "ops.message_failures",
    }
    for table in tables:
        [[left]] = owner.run(f"select count(*) from {table}")
        assert left >= johns[table] / 2, table


def test_a_letter_keeps_its_reason_and_is_not_sent_again(owner: Any) -> None:
    mention(owner)
    erase(owner, MAIL)
    [[status, body, error, reason, note]] = owner.run(
        "select status, body, error, reason, note from ops.dead_letters"
        " where message_id = 'as its field'"
    )
    assert (status, body, error) == ("discarded", None, None)
    assert (reason, note) == ("invalid", "erased with a contact")
    [[other]] = owner.run("select status from ops.dead_letters where message_id = 'of another'")
    assert other == "dead"


def test_the_address_is_taken_from_the_contact_where_it_is_still_there(owner: Any) -> None:
    fill(owner, ORG, JANE, MAIL)
    mention(owner)
    owner.run("select ops.erase_contact(:org, :id)", org=ORG, id=JANE)
    assert knowing(owner, MAIL) == {"crm.contacts"}
    assert knowing(owner, JANE) == PLATFORM


def test_the_same_id_in_another_organization_stays(owner: Any) -> None:
    fill(owner, OTHER_ORG, JANE, MAIL)
    ours = {table for [table] in owner.run(WITH_CONTACT)} | OF_EXECUTIONS
    erase(owner, "nobody@example.org")
    assert knowing(owner, JANE) == ours | {"crm.contacts"}


def test_the_platforms_role_erases(owner: Any) -> None:
    fill(owner, ORG, JANE, MAIL)
    owner.run(f"set role {ROLES.platform}")
    assert erase(owner, MAIL)[0] > 0


@pytest.mark.parametrize("table", ["ops.dead_letters", "ops.message_failures", "ops.job_runs"])
def test_a_text_is_found_by_an_index(table: str, owner: Any) -> None:
    expression = {
        "ops.dead_letters": "ops.mentions(body::text || ' ' || coalesce(error, ''))",
        "ops.message_failures": "ops.mentions(error_text)",
        "ops.job_runs": "ops.mentions(error_text)",
    }[table]
    owner.run("set enable_seqscan = off")
    plan = owner.run(
        f"explain select 1 from {table}"
        f" where {'error_text is not null and' if 'runs' in table else ''}"
        f" {expression} && array['{JANE}']"
    )
    assert any("_mentions" in line for [line] in plan)


ZEROS = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("text", "mentioned"),
    [
        (f"/{ZEROS}/{ZEROS[:-1]}A.", [ZEROS, f"{ZEROS[:-1]}a"]),
        (f"to {ZEROS}@Example.org.", [f"{ZEROS}@example.org"]),
        (f"a@{ZEROS}@{ZEROS}", [ZEROS, f"a@{ZEROS}"]),
        (f"{ZEROS[:-1]} @ a@ @b", None),
    ],
)
def test_an_id_within_an_address_is_none(
    text: str, mentioned: list[str] | None, owner: Any
) -> None:
    """A person who chooses an address must not be able to have another contact's data erased."""
    [[found]] = owner.run("select ops.mentions(:text)", text=text)
    assert found == mentioned


@pytest.mark.parametrize(
    "text",
    [
        "a" * 128_000,
        "a@" * 64_000,
        "a" * 127_000 + "@b",
        f"{JANE}," * 3_400,
        "a.b-" * 32_000,
        f"{ZEROS}-0000-" * 3_000,
        f"{ZEROS},{ZEROS}@" * 1_700,
        f"{ZEROS}," * 3_400,
    ],
)
def test_a_text_of_any_form_is_read_in_linear_time(text: str, owner: Any) -> None:
    begun = monotonic()
    owner.run("select ops.mentions(:text)", text=text)
    assert monotonic() - begun < 5  # by the square it takes half a minute


def test_nothing_is_left_that_knows_the_address_alone(owner: Any) -> None:
    """A receipt without a contact, an event of a provider, and the stored request of a call."""
    fill(owner, ORG, JANE, MAIL)
    owner.run(
        "insert into delivery.messages (organization_id, idempotency_key, channel, class, address,"
        " content, expires_at) values (:org, 'receipt', 'email', 'transactional', :mail,"
        " jsonb_build_object('text', 'Dear ' || cast(:mail as text)), now())",
        org=ORG, mail=MAIL,
    )  # fmt: skip
    owner.run(
        "insert into delivery.unmatched_events values"
        " (null, 'e', jsonb_build_object('email', cast(:mail as text)))",
        mail=MAIL,
    )
    owner.run(
        "insert into delivery.calls (id, organization_id, channel, message_count, started_at,"
        " request) values (:call, :org, 'email', 1, now(), convert_to(:mail, 'UTF8'))",
        call=JOHN, org=ORG, mail=MAIL,
    )  # fmt: skip
    owner.run(
        "insert into delivery.attempts (message_id, attempt, call_id, started_at)"
        " select id, 1, :call, now() from delivery.messages where contact_id = :id",
        call=JOHN, id=JANE,
    )  # fmt: skip
    delete_at_the_platform(owner, JANE)
    erase(owner, MAIL)
    assert knowing(owner, JANE, MAIL) == set()
    assert owner.run("select request from delivery.calls") == [[None]]
    assert erase(owner, MAIL) == [0]


@pytest.mark.parametrize(
    "webhook",
    [f'{{"recipient": "{MAIL}"}}'.encode(), b"To=Jane.O'Doe%2Bx%40Example.org&Sid=1"],
)
def test_a_webhook_among_the_dead_letters_is_read(webhook: bytes, owner: Any) -> None:
    """Its bytes are base64, in which no address is found."""
    for key, content in (("hers", webhook), ("of another", b"{}"), ("no base64", b"")):
        text = base64.b64encode(content).decode() or "?"
        body = json.dumps({"type": "delivery.ProviderEvents", "data": {"body": text}})
        owner.run(LETTER, key=key, body=body, error=None)
    owner.run("update ops.dead_letters set job_type = 'delivery.ProviderEvents'")
    assert erase(owner, MAIL) == [1]
    assert owner.run("select message_id from ops.dead_letters where body is null") == [["hers"]]
