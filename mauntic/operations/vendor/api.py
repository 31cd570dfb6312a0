"""The vendor's API: timeouts, pages, retries, and errors with a remedy."""

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
REASON_MAX = 300  # characters of a message of the vendor's
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
    401: "the token is not valid: set CLOUDFLARE_API_TOKEN to a valid one",
    403: (
        "the token may not do that: it needs Queues Edit, and for metrics Account Analytics Read,"
        " on the account of CLOUDFLARE_ACCOUNT_ID"
    ),
    404: "not found: check CLOUDFLARE_ACCOUNT_ID, and that the queue was created",
    429: "too many requests for now: wait five minutes, or use a lower rate",
}


class VendorRefused(OperatorError):
    """The vendor's API refused or failed. `status` is None if it did not answer."""

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


@contextmanager
def open_vendor(environment: Mapping[str, str]) -> Iterator[VendorApi]:
    """Yield the vendor's API for the account in the environment."""
    account, token = account_and_token(environment)
    base_url = environment.get("CLOUDFLARE_API_BASE_URL") or BASE_URL
    with closing(VendorApi(account, token, base_url)) as api:
        yield api


def account_and_token(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return account and token from the environment; OperatorError if one is missing."""
    names = ("CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN")
    account, token = values = [environment.get(name, "").strip() for name in names]
    if absent := [name for name, value in zip(names, values, strict=True) if not value]:
        raise OperatorError(
            f"Set {' and '.join(absent)}: the account to work on, and a token for it."
        )
    if odd := [name for name, value in zip(names, values, strict=True) if not _is_word(value)]:
        raise OperatorError(f"{' and '.join(odd)} invalid: use letters, digits, - and _.")
    return account, token


def _is_word(value: str) -> bool:
    """Return whether the value may go into a URL and a header."""
    return re.fullmatch(r"[A-Za-z0-9_-]+", value) is not None


class Pace:
    """A rate limit: at most `limit` requests in any period."""

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
        """Wait until one more request is within the limit."""
        if len(self._sent) == self._sent.maxlen:
            self._sleep(max(0.0, self._sent[0] + self._period_s - self._clock()))
        self._sent.append(self._clock())


class VendorApi:
    """Requests for one account. The token is sent in one header and appears in no message."""

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

    def ask(self, method: str, path: str, model: type[Result], body: Any = None) -> Result:
        """Send a request and return the `result` of the vendor's envelope as `model`."""
        return self._envelope(self._answer(method, path, json=body), model).result

    def send(self, method: str, path: str, body: Any) -> None:
        """Send a request and ignore its result."""
        self.ask(method, path, cast(type[Any], Any), body)

    def pages(self, path: str, model: type[Result]) -> Iterator[Result]:
        """Yield every item of a paginated list."""
        page, pages = 1, 1
        while page <= pages:
            query = {"page": page, "per_page": PAGE_ITEMS}
            envelope = self._envelope(self._answer("GET", path, params=query), list[model])  # type: ignore[valid-type]
            yield from envelope.result
            info = envelope.result_info
            pages = (info.total_pages if info else None) or 1
            if pages > PAGES_MAX:
                raise VendorRefused(f"The vendor's API has more than {PAGES_MAX} pages of {path}.")
            page += 1

    def sql(self, statement: str, model: type[Result]) -> list[Result]:
        """Run a statement of Analytics Engine and return its rows as `model`."""
        answer = self._answer("POST", "/analytics_engine/sql", content=statement)
        rows = self._read(answer, Rows).data
        return self._checked(lambda: TypeAdapter(list[model]).validate_python(rows))  # type: ignore[valid-type]

    def _answer(self, method: str, path: str, **parts: Any) -> httpx.Response:
        """Return the response, after retries of temporary errors."""
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
            raise VendorRefused("The response of the vendor's API is too large.") from None
        except (httpx.TimeoutException, TooSlow):
            raise VendorRefused(
                "The vendor's API did not answer in time; the request may have been carried out."
            ) from None
        except httpx.LocalProtocolError:  # its text quotes the header that is wrong
            sentence = "The request to the vendor's API has a malformed header."
            raise VendorRefused(sentence) from None
        except httpx.TransportError as error:
            cause = self._without_token(str(error).rstrip("."))
            raise VendorRefused(f"The vendor's API cannot be reached: {cause}.") from None

    def _envelope(self, answer: httpx.Response, model: type[Result]) -> Envelope[Result]:
        if not self._read(answer, Success).success:
            raise VendorRefused(self._sentence(answer), answer.status_code)
        return self._read(answer, Envelope[model])  # type: ignore[valid-type]

    def _read(self, answer: httpx.Response, model: type[Model]) -> Model:
        return self._checked(lambda: model.model_validate_json(answer.content))

    def _checked(self, read: Callable[[], Value]) -> Value:
        """Return the parsed value; an error names the invalid field but no value."""
        try:
            return read()
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            if first["type"] == "json_invalid":
                raise VendorRefused("The response of the vendor's API is not JSON.") from None
            where = ".".join(str(part) for part in first["loc"][:6]) or "the whole"
            raise VendorRefused(
                f"The response of the vendor's API is not as documented: {where} ({first['type']})."
            ) from None

    def _sentence(self, answer: httpx.Response) -> str:
        remedy = REMEDIES.get(answer.status_code)
        reason = _reason(answer)
        cause = "; ".join(part for part in (remedy, reason and f"its message: {reason}") if part)
        sentence = f"The vendor's API answered {answer.status_code}: {cause or 'no reason given'}."
        return self._without_token(sentence)

    def _without_token(self, text: str) -> str:
        return text.replace(self._token, "[token]")


def _patience_s(answer: httpx.Response, method: str) -> float | None:
    """Return the wait before a retry; None if a retry is useless or could repeat the effect."""
    if answer.status_code == 429:
        wait_s = _seconds(answer.headers.get("retry-after"))
        return wait_s if wait_s <= PATIENCE_MAX_S else None
    return 1.0 if answer.status_code >= 500 and method == "GET" else None


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or REQUESTS_PERIOD_S))
    except ValueError:
        return REQUESTS_PERIOD_S  # a date, which the vendor does not send


def _reason(answer: httpx.Response) -> str:
    try:
        errors = Refused.model_validate_json(answer.content).errors
    except ValidationError:
        return answer.text[:REASON_MAX].strip() if answer.is_error else ""
    return ", ".join(f"{e.message[:REASON_MAX]} ({e.code})" for e in errors[:ERRORS_MAX])
