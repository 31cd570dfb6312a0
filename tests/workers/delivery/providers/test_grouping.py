"""Messages are grouped into as few calls as the provider's limits allow."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.domain.outgoing import OutgoingEmail
from delivery.domain.rendered import Rendered, plain
from delivery.providers.grouping import calls_of, content_identity
from delivery.providers.registry import ADAPTERS
from tests.workers.delivery.providers.support import email, request_of, several

SECRETS = {
    **{"region": "eu-west-1", "accessKeyId": "a", "secretAccessKey": "s"},
    **{"configurationSet": "c", "apiKey": "k", "serverToken": "t", "broadcastStream": "b"},
}
BULK = ["ses", "sendgrid", "postmark", "resend"]
# Limits of the bodies, as in the contract.
BODY_BYTES_MAX = {"ses": 1_000_000}
BODY_BYTES = 8_000_000

messages = st.lists(
    st.builds(
        email,
        to=st.sampled_from([f"p{n}@mail.example" for n in range(8)]),
        message_id=st.uuids().map(str),
        message_class=st.sampled_from(["marketing", "transactional"]),
        from_address=st.sampled_from(["a@acme.example", "b@acme.example"]),
        html=st.builds(
            lambda literal, value: Rendered((literal, ""), (value,)),
            st.sampled_from(["<p>", "<div>"]),
            st.sampled_from(["", "é" * 4_900, "x" * 9_800, "y" * 300_000]),
        ),
    ),
    max_size=12,
)


@pytest.mark.parametrize("name", BULK)
@given(messages, st.none() | st.integers(1, 5))
@settings(max_examples=25)
def test_a_call_keeps_every_rule(
    name: str, messages: list[OutgoingEmail], bulk_max: int | None
) -> None:
    adapter = ADAPTERS[name]
    calls = calls_of(adapter, messages, bulk_max)
    assert sorted(id(m) for call in calls for m in call) == sorted(map(id, messages))
    classes = [call[0].message_class for call in calls]
    assert classes == sorted(classes, reverse=True)  # transactional first
    for call in calls:
        assert len(call) <= min(adapter.bulk_max, bulk_max or adapter.bulk_max)
        assert len({message.to for message in call}) == len(call)
        assert len({(message.message_class, message.from_address) for message in call}) == 1
        if adapter.shares_content:
            assert len({content_identity(message) for message in call}) == 1
        body = request_of(adapter, call, SECRETS).body
        if len(call) > 1:
            assert len(body) <= BODY_BYTES_MAX.get(name, BODY_BYTES)


@pytest.mark.parametrize("name", BULK)
def test_messages_of_one_kind_share_as_few_calls_as_possible(name: str) -> None:
    most = ADAPTERS[name].bulk_max
    assert [len(call) for call in calls_of(ADAPTERS[name], several(most + 1))] == [most, 1]
    assert [len(call) for call in calls_of(ADAPTERS[name], several(5), 2)] == [2, 2, 1]


@pytest.mark.parametrize("name", ["twilio", "fcm", "mailgun", "webpush", "cloudflare"])
def test_the_other_providers_take_one_message_a_call(name: str) -> None:
    assert [len(call) for call in calls_of(ADAPTERS[name], several(3))] == [1, 1, 1]


@pytest.mark.parametrize("name", BULK)
def test_large_messages_fill_a_body_and_no_more(name: str) -> None:
    large = [email(m.to, html=plain("x" * 200_000)) for m in several(50)]
    calls = calls_of(ADAPTERS[name], large)
    bodies = [len(request_of(ADAPTERS[name], call, SECRETS).body) for call in calls]
    limit = BODY_BYTES_MAX.get(name, BODY_BYTES)
    assert max(bodies) <= limit
    if name != "sendgrid":  # it sends the shared content once
        assert min(bodies[:-1]) > limit - 300_000


def test_a_shared_content_fits_in_addition_to_its_entries() -> None:
    html = Rendered(("x" * 2_000_000, ""), ("y" * 9_000,))
    calls = calls_of(ADAPTERS["sendgrid"], [email(m.to, html=html) for m in several(1_000)])
    bodies = [len(request_of(ADAPTERS["sendgrid"], call, SECRETS).body) for call in calls]
    assert len(calls) == 2
    assert max(bodies) <= BODY_BYTES


def test_the_identity_of_content_is_that_of_its_literals() -> None:
    first = email(html=Rendered(("a", "b"), ("1",)))
    assert content_identity(first) == content_identity(email(html=Rendered(("a", "b"), ("2",))))
    for other in (("ab", ""), ("a", "c")):
        assert content_identity(first) != content_identity(email(html=Rendered(other, ("1",))))
