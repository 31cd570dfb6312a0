"""One-click unsubscription as mailbox providers do it, and what link scanners cannot do."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.messages import Unsubscribe
from tests.workers.hooks.internet import (
    BASE,
    FORM,
    IDS,
    NOW,
    ONE_CLICK,
    UNSUBSCRIBE_KEY,
    Internet,
    unsubscribe_url,
)


@pytest.fixture
def internet() -> Internet:
    return Internet()


def multipart(
    value: str = "One-Click", boundary: str = "----b1", name: str = "List-Unsubscribe"
) -> bytes:
    """A body as browsers write it."""
    head = f'Content-Disposition: form-data; name="{name}"'
    return f"--{boundary}\r\n{head}\r\n\r\n{value}\r\n--{boundary}--\r\n".encode()


MULTIPART = {"content-type": "multipart/form-data; boundary=----b1"}


def test_a_click_is_a_message_that_the_consumer_reads(internet: Internet) -> None:
    answer = internet.one_click()
    assert answer.status == 200
    assert {"location", "set-cookie", "refresh"}.isdisjoint(answer.headers)
    [message] = internet.sent
    assert message == {
        "type": "delivery.Unsubscribe",
        "data": {
            "organizationId": str(IDS.organization_id),
            "contactId": str(IDS.contact_id),
            "messageId": str(IDS.message_id),
            "receivedAt": NOW.isoformat(),
        },
    }
    assert Unsubscribe.model_validate(message).data.received_at == NOW
    assert internet.events == []


def test_a_second_click_is_answered_alike(internet: Internet) -> None:
    first, second = internet.one_click(), internet.one_click()
    assert first == second
    assert internet.sent[0] == internet.sent[1]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (ONE_CLICK, FORM),
        (ONE_CLICK, {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}),
        (ONE_CLICK, {}),
        (ONE_CLICK + b"\r\n", FORM),
        (b"a=b&List-Unsubscribe=One-Click&c=d", FORM),
        (b"List%2DUnsubscribe=One%2DClick", FORM),
        (multipart(), MULTIPART),
        (multipart(boundary="b 2"), {"content-type": 'multipart/form-data; boundary="b 2"'}),
        (multipart().replace(b"\r\n", b"\n"), MULTIPART),
        (multipart(), {"content-type": "Multipart/Form-Data; Boundary=----b1; charset=utf-8"}),
        (b"preamble\r\n" + multipart("x", name="other")[:-10] + b"\r\n" + multipart(), MULTIPART),
    ],
)
def test_every_form_of_a_mailbox_provider_is_a_click(
    internet: Internet, body: bytes, headers: dict[str, str]
) -> None:
    assert internet.request("POST", unsubscribe_url(), body, headers).status == 200
    assert len(internet.sent) == 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", FORM),
        (b"List-Unsubscribe", FORM),
        (b"List-Unsubscribe=Two-Click", FORM),
        (b"list-unsubscribe=One-Click", FORM),
        (b"&" * 100, FORM),
        (b'{"List-Unsubscribe": "One-Click"}', {"content-type": "application/json"}),
        (multipart("Other"), MULTIPART),
        (multipart(name="List-UnsubscribeX"), MULTIPART),
        (multipart(), {"content-type": "multipart/form-data"}),
        (multipart(), {"content-type": "multipart/form-data; boundary=other"}),
        (multipart().replace(b"; name", b"; filename"), MULTIPART),
        (b"--" * 4_000, {"content-type": "multipart/form-data; boundary=-"}),
        (b"\xff\xfe\0", FORM),
    ],
)
def test_another_body_is_no_click(internet: Internet, body: bytes, headers: dict[str, str]) -> None:
    assert internet.request("POST", unsubscribe_url(), body, headers).status == 400
    assert internet.sent == []


@given(st.binary(max_size=300), st.text(max_size=80))
def test_any_body_has_an_answer(body: bytes, content_type: str) -> None:
    internet = Internet()
    headers = {"content-type": content_type}
    assert internet.request("POST", unsubscribe_url(), body, headers).status == 400
    assert internet.events == []


def test_a_large_form_is_refused(internet: Internet) -> None:
    body = ONE_CLICK + b"&x=" + b"y" * 8_192
    assert internet.request("POST", unsubscribe_url(), body, FORM).status == 413


# A scanner follows everything that it finds, and submits no form.


class Page(HTMLParser):
    """The links of a page, everything that a browser loads by itself, and its forms."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[dict[str, str | None]] = []
        self.inputs: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        loading = ("href", "src", "srcset", "action", "formaction", "data", "poster", "background",
                   "ping", "manifest", "cite")  # fmt: skip
        self.links += [value for name in loading if (value := given.get(name))]
        if tag == "meta" and (given.get("http-equiv") or "").lower() == "refresh":
            self.links.append(given.get("content") or "")
        if tag == "form":
            self.forms.append(given)
        if tag in ("input", "button"):
            self.inputs.append(given | {"tag": tag})

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


SCANNERS: list[dict[str, str]] = [
    {},
    {"sec-purpose": "prefetch;prerender", "purpose": "prefetch"},
    {"x-moz": "prefetch"},
    {"user-agent": "Mozilla/5.0 (compatible; Barracuda Sentinel)", "range": "bytes=0-100"},
]


@pytest.mark.parametrize("headers", SCANNERS)
def test_a_link_scanner_changes_nothing(internet: Internet, headers: dict[str, str]) -> None:
    waiting, seen = [unsubscribe_url()], set[str]()
    while waiting:
        url = waiting.pop()
        seen.add(url)
        for method in ("HEAD", "GET", "OPTIONS"):
            answer = internet.request(method, url, b"", headers)
            found = Page(answer.body.decode()).links
            found += re.findall(r"https?://[^\s\"'<>)]+", answer.body.decode())
            found += [
                answer.headers[name] for name in ("location", "link") if name in answer.headers
            ]
            waiting += [full for link in found if (full := urljoin(url, link)) not in seen]
    assert seen == {unsubscribe_url()}
    assert (internet.sent, internet.events, internet.bodies_read) == ([], [], 0)


def test_the_button_of_the_page_unsubscribes(internet: Internet) -> None:
    page = Page(internet.request("GET", unsubscribe_url()).body.decode())
    [form] = page.forms
    assert form == {"method": "post"}  # without an action: to the page's own address
    fields = {(own["name"] or ""): own.get("value") or "" for own in page.inputs if own.get("name")}
    assert [own["type"] for own in page.inputs if own["tag"] == "button"] == ["submit"]
    body = urlencode(fields).encode()
    answer = internet.request("POST", unsubscribe_url(), body, FORM)
    assert answer.status == 200
    assert "unsubscribed" in answer.body.decode()
    assert len(internet.sent) == 1


def test_head_answers_as_get_without_a_body(internet: Internet) -> None:
    page = internet.request("GET", unsubscribe_url())
    assert internet.request("HEAD", unsubscribe_url()) == replace(page, body=b"")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_page_is_private(internet: Internet, method: str) -> None:
    """It names no person, is not kept, indexed or framed, and gives no site its address."""
    answer = internet.request(method, unsubscribe_url(), ONE_CLICK, FORM)
    text = answer.body.decode()
    token = unsubscribe_url().rpartition("/")[2]
    for own in (token, *map(str, vars(IDS).values()), BASE):
        assert own not in text
    headers = answer.headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert "noindex" in headers["x-robots-tag"]
    assert headers["x-content-type-options"] == "nosniff"
    policy = {
        rule.split()[0]: rule.split()[1:] for rule in headers["content-security-policy"].split(";")
    }
    assert policy["default-src"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert policy["form-action"] == ["'self'"]
    assert "script" not in policy.keys() | set(Page(text).tags)


def test_the_style_of_the_page_is_the_one_that_its_policy_allows(internet: Internet) -> None:
    import base64
    import hashlib

    answer = internet.request("GET", unsubscribe_url())
    [style] = re.findall("<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]


def test_the_page_is_accessible(internet: Internet) -> None:
    text = internet.request("GET", unsubscribe_url()).body.decode()
    page = Page(text)
    assert '<html lang="en">' in text
    assert {"title", "main", "h1", "button"} <= set(page.tags)
    assert "Unsubscribe" in page.texts


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"])
def test_another_method_is_not_found(internet: Internet, method: str) -> None:
    assert internet.request(method, unsubscribe_url(), ONE_CLICK, FORM).status == 404
    assert internet.sent == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("place", [0, 40, 85])
def test_a_wrong_token_is_not_found(internet: Internet, method: str, place: int) -> None:
    url = unsubscribe_url()
    at = url.index("/u/") + 3 + place
    wrong = url[:at] + ("A" if url[at] != "A" else "B") + url[at + 1 :]
    assert internet.request(method, wrong, ONE_CLICK, FORM).status == 404
    assert (internet.sent, internet.bodies_read) == ([], 0)


@pytest.mark.parametrize("query", ["?x=1", "?utm_source=mail&fbclid=1"])
def test_what_is_added_to_the_link_does_not_matter(internet: Internet, query: str) -> None:
    assert internet.request("GET", unsubscribe_url() + query).status == 200
    assert internet.one_click(unsubscribe_url() + query).status == 200


def test_without_the_queue_it_is_tried_again(internet: Internet) -> None:
    assert internet.queue is not None
    internet.queue.broken = RuntimeError("down")
    assert internet.one_click().status == 503
    internet.queue.broken = None
    assert internet.one_click().status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_a_key_nothing_is_verified(internet: Internet, method: str) -> None:
    internet.settings["UNSUBSCRIBE_KEYS"] = ""
    answer = internet.request(method, unsubscribe_url(), ONE_CLICK, FORM)
    assert answer.status == 503
    assert internet.named("hooks.not_configured")[0]["reason"] == "UNSUBSCRIBE_KEYS"


def test_a_rotated_key_keeps_old_links(internet: Internet) -> None:
    internet.settings["UNSUBSCRIBE_KEYS"] = f"newer,{UNSUBSCRIBE_KEY}"
    assert internet.one_click().status == 200


def test_a_flood_of_one_link_is_refused_and_does_not_touch_another(internet: Internet) -> None:
    statuses = [internet.one_click().status for _ in range(20)]
    assert statuses == [200] * 5 + [429] * 15
    other = unsubscribe_url(replace(IDS, message_id=UUID(int=9)))
    assert internet.one_click(other).status == 200
    internet.advance(seconds=60)
    assert internet.one_click().status == 200
