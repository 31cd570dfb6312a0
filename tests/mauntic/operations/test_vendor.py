"""The client of the vendor's API: pages, retries, errors, and the token, which stays secret."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import httpx
import pytest

from mauntic.errors import OperatorError
from mauntic.operations.vendor.answers import Queue
from mauntic.operations.vendor.api import Pace, VendorApi, VendorRefused
from tests.mauntic.harness import HOURLY, QUEUE, Answer, Cli
from tests.mauntic.vendor import ACCOUNT, TOKEN, Vendor, failure, id_of, success

GOOD = json.dumps({"type": HOURLY})


@pytest.fixture
def naps() -> list[float]:
    return []


@pytest.fixture
def api(vendor: Vendor, naps: list[float]) -> Iterator[VendorApi]:
    with closing(VendorApi(ACCOUNT, TOKEN, vendor.url, sleep=naps.append)) as opened:
        yield opened


@pytest.mark.parametrize("page_items", [1, 2, 7, 100])
def test_a_list_is_read_to_its_last_page(api: VendorApi, vendor: Vendor, page_items: int) -> None:
    vendor.page_items = page_items
    for number in range(5):
        vendor.add_queue(f"queue-{number}")
    assert [queue.queue_name for queue in api.pages("/queues", Queue)] == list(vendor.queues)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (failure(401, 10000, "Authentication error"), "CLOUDFLARE_API_TOKEN"),
        (failure(403, 10000, f"not for {TOKEN}"), "Queues Edit"),
        (failure(404, 7003, "no route"), "CLOUDFLARE_ACCOUNT_ID"),
        (failure(400, 10026, "that is malformed"), "that is malformed (10026)"),
        (failure(429, 10013, "slow down", retry_after="900"), "lower rate"),
        ((200, ["no", "object"], {}), "not as documented"),
        ((200, {"success": False, "errors": [{"code": 1, "message": "no"}]}, {}), "no (1)"),
    ],
)
def test_an_error_says_what_to_do_and_never_the_token(
    cli: Cli, vendor: Vendor, answer: tuple[int, object, dict[str, str]], words: str
) -> None:
    vendor.failures = [answer] * 9
    output = cli("enqueue", QUEUE, GOOD, "--remote")
    assert (output.code, words in output.err, output.out) == (1, True, "")
    assert TOKEN not in output.err


def test_a_wrong_token_is_refused_in_a_sentence(
    cli: Cli, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "another")
    answer = cli("queues", "status", "--remote")
    assert (answer.code, "401" in answer.err, "another" in answer.err) == (1, True, False)


ASKING = [
    "queues status --remote",
    "provision --plan",
    "provision --apply",
    "cutover preflight --env analytics",
    "cutover enable --env analytics",
    "cutover back --env analytics",
]


@pytest.mark.parametrize("odd", ["two words", "two\nlines", "\rx", "é", "a/b", '"q"', "'q'"])
@pytest.mark.parametrize("name", ["CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID"])
def test_what_cannot_be_a_token_is_refused_and_never_shown(
    cli: Cli, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, name: str, odd: str
) -> None:
    monkeypatch.setenv(name, f"s3cret{odd}")
    for command in ASKING:
        answer = cli(*command.split())
        assert (answer.code, f"{name} invalid" in answer.err) == (1, True), command
        assert vendor.requests == []
        assert "s3cret" not in answer.out + answer.err


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", " "])
def test_a_blank_at_a_token_s_end_is_no_matter(
    cli: Cli, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Like a file that was read into the environment."""
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", f"{TOKEN}{end}")
    assert cli("queues", "status", "--remote").code == 0


@pytest.mark.parametrize("token", ["s3cret\r", "s3cret\n", "s3'cr\"et\r"])
def test_an_error_about_the_header_does_not_quote_it(vendor: Vendor, token: str) -> None:
    """Its own text would: `Illegal header value b'Bearer …'`."""
    with (
        closing(VendorApi(ACCOUNT, token, vendor.url)) as api,
        pytest.raises(VendorRefused) as refused,
    ):
        api.ask("GET", "/queues", list[Queue])
    assert str(refused.value) == "The request to the vendor's API has a malformed header."


def test_an_error_on_the_way_does_not_show_the_token(
    api: VendorApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise httpx.ProxyError(f"a proxy refused {TOKEN}")

    monkeypatch.setattr(httpx.Client, "stream", broken)
    with pytest.raises(VendorRefused, match=r"refused \[token\]"):
        api.ask("GET", "/queues", list[Queue])


def test_a_plea_for_patience_is_obeyed(api: VendorApi, vendor: Vendor, naps: list[float]) -> None:
    vendor.failures = [failure(429, 10013, "slow down", retry_after="7")] * 2
    assert len(list(api.pages("/queues", Queue))) == 2
    assert naps == [7, 7]


def test_patience_has_an_end(api: VendorApi, vendor: Vendor, naps: list[float]) -> None:
    vendor.failures = [failure(429, 10013, "slow down", retry_after="7")] * 3
    with pytest.raises(VendorRefused, match="429"):
        list(api.pages("/queues", Queue))
    assert naps == [7, 7]


def test_reading_is_tried_again_and_sending_is_not(
    api: VendorApi, vendor: Vendor, naps: list[float]
) -> None:
    vendor.failures = [(503, {}, {})]
    assert len(list(api.pages("/queues", Queue))) == 2
    vendor.failures = [(503, {}, {})]
    with pytest.raises(VendorRefused, match="503"):
        api.send("POST", f"/queues/{id_of(QUEUE)}/messages/batch", {"messages": []})
    assert naps == [1]


def test_no_answer_is_an_error_and_not_a_wait(vendor: Vendor) -> None:
    with (
        closing(VendorApi(ACCOUNT, TOKEN, "http://127.0.0.1:9")) as unreachable,
        pytest.raises(VendorRefused, match="cannot be reached"),
    ):
        unreachable.ask("GET", "/queues", list[Queue])
    vendor.on_sent = lambda queue, bodies: time.sleep(0.3)
    with (
        closing(VendorApi(ACCOUNT, TOKEN, vendor.url, timeout_s=0.1)) as hasty,
        pytest.raises(VendorRefused, match="may have been carried out"),
    ):
        hasty.send("POST", f"/queues/{id_of(QUEUE)}/messages/batch", {"messages": []})


def test_messages_sent_before_a_failure_are_reported(cli: Cli, vendor: Vendor) -> None:
    lines = "\n".join([GOOD] * 150)

    def break_after_the_first(queue: str, bodies: list[object]) -> None:
        vendor.failures = [failure(400, 1, "out of order")]

    vendor.on_sent = break_after_the_first
    answer = cli("enqueue", QUEUE, "-", "--remote", stdin=lines)
    assert (answer.code, "100 of 150 messages were sent" in answer.err) == (1, True)


def test_requests_are_paced() -> None:
    now, naps = [0.0], []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        now[0] += seconds

    pace = Pace(limit=3, period_s=10, clock=lambda: now[0], sleep=sleep)
    sent = []
    for _ in range(8):
        pace.wait()
        sent.append(now[0])
        now[0] += 1
    assert sent == [0, 1, 2, 10, 11, 12, 20, 21]
    assert all(sum(t <= u < t + 10 for u in sent) <= 3 for t in sent)


# --- answers that are wrong, endless or elsewhere ----------------------------------------------

DEEP = "[" * 200_000
HOSTILE: list[tuple[str, object]] = [
    ("queues status", ["x"]),
    ("queues status", [{"queue_id": "../../user/tokens", "queue_name": QUEUE}]),
    ("queues status", [{"queue_id": id_of(QUEUE), "queue_name": 1}]),
    ("queues status", [{"queue_name": QUEUE}]),
    ("queues status", {"a": 1}),
    ("queues status", None),
    ("provision --plan", [{"queue_id": id_of(QUEUE), "queue_name": QUEUE, "settings": 3}]),
    ("metrics", "no rows"),
    ("metrics", [{"queue": 1}]),
    ("metrics", [{"queue": "q", "type": "t", "messages": "NaN"}]),
]


def assert_refused_in_a_sentence(answer: Answer) -> None:
    assert answer.code == 1, answer
    assert "Traceback" not in answer.err
    assert "Error" not in answer.err
    assert TOKEN not in answer.err
    assert len(answer.err) < 1_000


@pytest.mark.parametrize(("command", "result"), HOSTILE)
def test_an_answer_of_another_form_is_refused_in_a_sentence(
    cli: Cli, vendor: Vendor, command: str, result: object
) -> None:
    status, envelope, headers = success(result)
    vendor.failures = [(status, {**envelope, "data": result}, headers)] * 9
    remote = [] if command.startswith("provision") else ["--remote"]
    assert_refused_in_a_sentence(cli(*command.split(), *remote))


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"{", b"nan", DEEP.encode(), b'{"success": true}', b"[1" * 50_000]
)
def test_an_answer_that_is_no_json_is_refused_in_a_sentence(
    cli: Cli, vendor: Vendor, content: bytes
) -> None:
    vendor.failures = [(200, content, {})]
    assert_refused_in_a_sentence(cli("queues", "status", "--remote"))


@pytest.mark.parametrize("oldest", [1e300, -1, "x", 253_402_300_800_000, [1]])
def test_a_moment_that_there_is_not_is_refused(
    cli: Cli, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, oldest: object
) -> None:
    backlog = {"backlog_count": 1, "oldest_message_timestamp_ms": oldest}
    monkeypatch.setattr(vendor, "_backlog", lambda queue: success(backlog))
    assert_refused_in_a_sentence(cli("queues", "status", "--remote"))


def test_a_list_without_an_end_is_given_up(api: VendorApi, vendor: Vendor) -> None:
    vendor.failures = [success([], {"total_pages": 10**9})]
    with pytest.raises(VendorRefused, match="more than 100 pages"):
        list(api.pages("/queues", Queue))
    assert len(vendor.requests) == 1


def test_an_answer_without_an_end_is_given_up(api: VendorApi, vendor: Vendor) -> None:
    vendor.failures = [(200, b" " * 9_000_000, {})]
    with pytest.raises(VendorRefused, match="too large"):
        api.ask("GET", "/queues", list[Queue])


def test_an_answer_that_comes_byte_by_byte_is_given_up() -> None:
    """Each byte arrives in time; the complete answer never does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=trickle, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        with (
            closing(VendorApi(ACCOUNT, TOKEN, url, timeout_s=5, whole_s=0.5)) as slow,
            pytest.raises(VendorRefused, match="did not answer in time"),
        ):
            slow.ask("GET", "/queues", list[Queue])
        assert time.monotonic() - began < 4


def trickle(listener: socket.socket) -> None:
    client, _ = listener.accept()
    with client, suppress(OSError):
        client.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(100):
            client.sendall(b"X-More: 1\r\n")
            time.sleep(0.05)


@pytest.mark.parametrize(
    "url", ["http://api.example/v4", "ftp://x", "", "api.example", "http://127.0.0.1.evil/", "//x"]
)
def test_the_token_goes_over_tls_or_stays_here(
    cli: Cli, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    with pytest.raises(OperatorError, match="must begin with https://"):
        VendorApi(ACCOUNT, TOKEN, url or "http://")
    if url:
        monkeypatch.setenv("CLOUDFLARE_API_BASE_URL", url)
        answer = cli("queues", "status", "--remote")
        assert (answer.code, "must begin with https://" in answer.err) == (1, True)


def test_no_proxy_is_asked_for_this_machine(
    api: VendorApi, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with closing(VendorApi(ACCOUNT, TOKEN, vendor.url)) as opened:
        assert len(list(opened.pages("/queues", Queue))) == 2


def test_a_redirect_takes_the_token_nowhere(api: VendorApi, vendor: Vendor) -> None:
    vendor.failures = [(307, {}, {"location": f"{vendor.url}/elsewhere"})]
    with pytest.raises(VendorRefused):
        api.ask("GET", "/queues", list[Queue])
    assert len(vendor.requests) == 1
