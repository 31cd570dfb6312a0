"""The vendor's API: timeouts, pages, patience, and errors that say what to do."""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, TypeVar, cast

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from mauntic.errors import OperatorError
from mauntic.operations.vendor.answers import Envelope, Refused, Rows, Success
from mauntic.operations.vendor.transport import TooLarge, TooSlow, client, fetch

notices = logging.getLogger(__name__)
BASE_URL = "https://api.cloudflare.com/client/v4"
TIMEOUT_S = 30  # until the next bytes
WHOLE_S = 120  # until the last
PAGE_ITEMS = 100
PAGES_MAX = 100  # ten thousand queues are an account's limit
SAID_MAX = 300  # characters of a message of the vendor's
ERRORS_MAX = 5

Result = TypeVar("Result")
Value = TypeVar("Value")
Model = TypeVar("Model", bound=BaseModel)

# https://developers.cloudflare.com/fundamentals/api/reference/limits/
REQUESTS_MAX = 1_200
REQUESTS_PERIOD_S = 300
# Exceeding the limit blocks for up to five minutes, so a longer wait than this is not worthwhile.
PATIENCE_MAX_S = 330
TRIES_MAX = 3

REMEDIES = {
    401: "the token is not valid: set CLOUDFLARE_API_TOKEN to one that is",
    403: (
        "the token may not do that: it needs Queues Edit, and for metrics Account Analytics Read,"
        " on the account of CLOUDFLARE_ACCOUNT_ID"
    ),
    404: "there is no such thing: check CLOUDFLARE_ACCOUNT_ID, and that the queue was created",
    429: "too many requests for now: wait five minutes, or use a lower rate",
}


class VendorRefused(OperatorError):
    """The vendor's API did not do what was asked. `status` is None where it did not answer."""

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


@contextmanager
def open_vendor(environment: Mapping[str, str]) -> Iterator[VendorApi]:
    """The vendor's API for the account that the environment names."""
    account, token = account_and_token(environment)
    base_url = environment.get("CLOUDFLARE_API_BASE_URL") or BASE_URL
    with closing(VendorApi(account, token, base_url)) as api:
        yield api


def account_and_token(environment: Mapping[str, str]) -> tuple[str, str]:
    """What the environment names; OperatorError where it does not, before anything is begun."""
    names = ("CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN")
    account, token = values = [environment.get(name, "").strip() for name in names]
    if absent := [name for name, value in zip(names, values, strict=True) if not value]:
        raise OperatorError(
            f"Set {' and '.join(absent)}: the account to work on, and a token for it."
        )
    if odd := [name for name, value in zip(names, values, strict=True) if not _is_word(value)]:
        raise OperatorError(f"{' and '.join(odd)} cannot be right: letters, digits, - and _ alone.")
    return account, token


def _is_word(value: str) -> bool:
    """Whether it may go into a URL and into a header; an error about that would show the secret."""
    return re.fullmatch(r"[A-Za-z0-9_-]+", value) is not None


class Pace:
    """At most so many requests in any period of so many seconds."""

    def __init__(
        self,
        limit: int = REQUESTS_MAX,
        period_s: float = REQUESTS_PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sent: deque[float] = deque(maxlen=limit)
        self._period_s = period_s
        self._clock = clock
        self._sleep = sleep

    def wait(self) -> None:
        """Return as soon as one more request is within the limit."""
        if len(self._sent) == self._sent.maxlen:
            self._sleep(max(0.0, self._sent[0] + self._period_s - self._clock()))
        self._sent.append(self._clock())


class VendorApi:
    """Requests below one account. The token goes into one header and into no message."""

    def __init__(
        self,
        account: str,
        token: str,
        base_url: str = BASE_URL,
        *,
        pace: Pace | None = None,
        sleep: Callable[[float], None] = time.sleep,
        timeout_s: float = TIMEOUT_S,
        whole_s: float = WHOLE_S,
    ) -> None:
        self._token = token
        self._pace = pace or Pace()
        self._sleep = sleep
        self._http = client(base_url, account, token, timeout_s)
        self._within_s = whole_s

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, path: str, kind: type[Result], body: Any = None) -> Result:
        """The `result` of an answer in the vendor's envelope, which is of that kind."""
        return self._envelope(self._answer(method, path, json=body), kind).result

    def tell(self, method: str, path: str, body: Any) -> None:
        """Have something done whose result is of no interest."""
        self.ask(method, path, cast(type[Any], Any), body)

    def pages(self, path: str, kind: type[Result]) -> Iterator[Result]:
        """Every item of a list, page after page."""
        page, pages = 1, 1
        while page <= pages:
            query = {"page": page, "per_page": PAGE_ITEMS}
            envelope = self._envelope(self._answer("GET", path, params=query), list[kind])  # type: ignore[valid-type]
            yield from envelope.result
            info = envelope.result_info
            pages = (info.total_pages if info else None) or 1
            if pages > PAGES_MAX:
                raise VendorRefused(f"The vendor's API has more than {PAGES_MAX} pages of {path}.")
            page += 1

    def sql(self, statement: str, kind: type[Result]) -> list[Result]:
        """The rows that Analytics Engine answers, each of that kind."""
        answer = self._answer("POST", "/analytics_engine/sql", content=statement)
        rows = self._read(answer, Rows).data
        return self._checked(lambda: TypeAdapter(list[kind]).validate_python(rows))  # type: ignore[valid-type]

    def _answer(self, method: str, path: str, **parts: Any) -> httpx.Response:
        """The answer, once it is neither an error nor a request to wait."""
        for attempt in range(1, TRIES_MAX + 1):
            answer = self._request(method, path, parts)
            if not answer.is_error:
                return answer
            wait_s = _patience_s(answer, method)
            if wait_s is None or attempt == TRIES_MAX:
                break
            notices.info("the vendor's API answered %s: waiting %g s", answer.status_code, wait_s)
            self._sleep(wait_s)
        raise VendorRefused(self._sentence(answer), answer.status_code)

    def _request(self, method: str, path: str, parts: Mapping[str, Any]) -> httpx.Response:
        self._pace.wait()
        try:
            return fetch(self._http, self._within_s, method, path, **parts)
        except TooLarge:
            raise VendorRefused("The vendor's API answers without an end.") from None
        except (httpx.TimeoutException, TooSlow):
            raise VendorRefused(
                "The vendor's API did not answer in time; what was asked may have been done."
            ) from None
        except httpx.LocalProtocolError:  # its text quotes the header that is wrong
            sentence = "The vendor's API cannot be asked: a header is malformed."
            raise VendorRefused(sentence) from None
        except httpx.TransportError as error:
            cause = self._without_token(str(error).rstrip("."))
            raise VendorRefused(f"The vendor's API cannot be reached: {cause}.") from None

    def _envelope(self, answer: httpx.Response, kind: type[Result]) -> Envelope[Result]:
        if not self._read(answer, Success).success:
            raise VendorRefused(self._sentence(answer), answer.status_code)
        return self._read(answer, Envelope[kind])  # type: ignore[valid-type]

    def _read(self, answer: httpx.Response, kind: type[Model]) -> Model:
        return self._checked(lambda: kind.model_validate_json(answer.content))

    def _checked(self, read: Callable[[], Value]) -> Value:
        """What was read; of an answer of another form, where it differs, and none of its values."""
        try:
            return read()
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            if first["type"] == "json_invalid":
                raise VendorRefused("The vendor's API answered what is no JSON.") from None
            where = ".".join(str(part) for part in first["loc"][:6]) or "the whole"
            raise VendorRefused(
                f"The vendor's API answered in another form than documented: {where}"
                f" ({first['type']})."
            ) from None

    def _sentence(self, answer: httpx.Response) -> str:
        remedy = REMEDIES.get(answer.status_code)
        said = _said(answer)
        cause = "; ".join(part for part in (remedy, said and f"it says: {said}") if part)
        sentence = f"The vendor's API answered {answer.status_code}: {cause or 'no reason given'}."
        return self._without_token(sentence)

    def _without_token(self, text: str) -> str:
        return text.replace(self._token, "[token]")


def _patience_s(answer: httpx.Response, method: str) -> float | None:
    """How long to wait before asking again; None where that is no use, or could do it twice."""
    if answer.status_code == 429:
        wait_s = _seconds(answer.headers.get("retry-after"))
        return wait_s if wait_s <= PATIENCE_MAX_S else None
    return 1.0 if answer.status_code >= 500 and method == "GET" else None


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or REQUESTS_PERIOD_S))
    except ValueError:
        return REQUESTS_PERIOD_S  # a date, which the vendor does not send


def _said(answer: httpx.Response) -> str:
    try:
        told = Refused.model_validate_json(answer.content).errors
    except ValidationError:
        return answer.text[:SAID_MAX].strip() if answer.is_error else ""
    return ", ".join(f"{one.message[:SAID_MAX]} ({one.code})" for one in told[:ERRORS_MAX])
