"""Everything outside its own code that a job may use. The adapters and the fakes of the tests
implement these protocols.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from shared.settings import Settings

Row = dict[str, Any]
Statement = tuple[str, Mapping[str, Any]]  # its SQL and its parameters


class Database(Protocol):
    """One connection for one invocation, opened at first use.

    Raises DatabaseError if Postgres refuses a statement, and DatabaseUnreachable if it does not
    answer.
    """

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        """Return the rows of the statement, each as a dict."""

    def execute(self, sql: str, **parameters: Any) -> int:
        """Return the number of rows that the statement affected."""

    def ahead(self, sql: str) -> None:
        """Run plain SQL before the next statement of the transaction, in the same round trip.

        For savepoints and settings: it is not run without a following statement.
        """

    def together(self, *statements: Statement, commit: bool = False) -> list[list[Row]]:
        """Return the rows of statements of the transaction, all of them in one round trip.

        With `commit` the transaction ends in the same round trip: no statement may follow in it.
        """

    def transaction(self) -> AbstractContextManager[None]:
        """Commit at the end, roll back on an exception. A statement may take 55 s."""

    def open(self) -> None:
        """Connect, unless there is a connection."""

    def close(self) -> None:
        """Release the connection. Does nothing if none was opened."""


@dataclass(frozen=True)
class Backlog:
    """Waiting messages of a queue. `oldest_at` is the time at which the oldest was sent, if there
    is one.
    """

    count: int
    bytes: int
    oldest_at: datetime | None


class Producer(Protocol):
    """A queue to send to. A longer list is split into calls of at most 100 messages."""

    async def send(self, bodies: Sequence[dict[str, Any]], delay_s: int = 0) -> None: ...

    async def backlog(self) -> Backlog | None:
        """Return the waiting messages of the queue; None if the queue does not report them. Never
        raises.
        """


@dataclass(frozen=True)
class StoredObject:
    """The key of an object, and the time of its last write."""

    key: str
    uploaded: datetime


class Bucket(Protocol):
    """An R2 bucket. Every method raises StorageError with R2's status."""

    async def get(self, key: str) -> tuple[str, str] | None:
        """Return (text, etag), or None if there is no such object."""

    async def put(
        self, key: str, text: str, *, if_etag: str | None = None, if_absent: bool = False
    ) -> str | None:
        """Write the object and return its new etag; None if the condition did not hold."""

    async def list(
        self, prefix: str, cursor: str | None = None
    ) -> tuple[list[StoredObject], str | None]:
        """Return up to 1,000 objects, and the cursor of the next page if there is one."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete up to 1,000 keys. Missing keys are not an error."""


HTTP_TIMEOUT_S = 15
HTTP_REQUEST_BYTES_MAX = 8_000_000  # an isolate has 128 MB
HTTP_RESPONSE_BYTES_MAX = 65_536
HttpMethod = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True)
class HttpResponse:
    """A server's response. Names of headers are in lower case. `body` has at most 64 KB;
    `is_truncated` is True if the server sent more.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_truncated: bool = False


class Http(Protocol):
    """Outgoing HTTP."""

    async def request(
        self,
        method: HttpMethod,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = HTTP_TIMEOUT_S,
    ) -> HttpResponse:
        """Send one request and return the response, whatever its status. Follows no redirects.

        Raises HttpRefused before anything is sent if the settings do not allow the URL, or the
        request exceeds a limit. Raises HttpFailed if there is no complete response in `timeout_s`.
        """


@dataclass(frozen=True)
class EmailMessage:
    """A message for Cloudflare's `send_email` binding. It needs `html`, `text` or both.

    `sender` and `reply_to` are an address, or a name and an address: `Acme <news@acme.example>`.
    """

    sender: str
    to: str
    subject: str
    html: str = ""
    text: str = ""
    reply_to: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Email(Protocol):
    """The `send_email` binding."""

    async def send(self, message: EmailMessage) -> str:
        """Send a message and return its id. Raises EmailFailed with the binding's code."""


@dataclass(frozen=True, repr=False)
class P256Key:
    """A key pair on the curve P-256: the private scalar (32 bytes), the public point (65 bytes)."""

    private: bytes
    public: bytes


class Crypto(Protocol):
    """Public-key operations and AES. HMAC and SHA are in `hmac` and `hashlib`.

    Raises CryptoFailed if a key is malformed. Keys in other formats: shared/key_formats.py.
    """

    async def sign_rs256(self, private_key: bytes, data: bytes) -> bytes:
        """Sign with RSASSA-PKCS1-v1_5 and SHA-256. The key is PKCS #8 in DER."""

    async def verify_rsa(
        self, public_key: bytes, digest: Literal["SHA-1", "SHA-256"], signature: bytes, data: bytes
    ) -> bool:
        """Return True if the RSASSA-PKCS1-v1_5 signature is valid. The key is an SPKI in DER."""

    async def generate_p256(self) -> P256Key:
        """Return a new key pair."""

    async def sign_es256(self, key: P256Key, data: bytes) -> bytes:
        """Sign with ECDSA and SHA-256. The signature is r and s, 32 bytes each."""

    async def verify_es256(self, public_key: bytes, signature: bytes, data: bytes) -> bool:
        """Return True if the signature (r and s) is valid. The key is a point of 65 bytes."""

    async def ecdh_p256(self, key: P256Key, public_key: bytes) -> bytes:
        """Return the shared secret (32 bytes) of a private key and another party's public point."""

    async def encrypt_aes_gcm(
        self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes = b""
    ) -> bytes:
        """Return the ciphertext, followed by the tag of 16 bytes."""

    async def decrypt_aes_gcm(
        self, key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes = b""
    ) -> bytes:
        """Return the plaintext. Raises CryptoFailed if the ciphertext is not authentic."""


Work = Coroutine[Any, Any, None]


def _noop() -> None:
    pass


def _run_inline(work: Work) -> Awaitable[None]:
    return work


@dataclass(frozen=True)
class Ports:
    """The ports of one invocation of a job. `random` returns numbers in [0, 1).

    `queue` and `dead_letters` belong to the queue named `queue_name`: that of the batch, or the
    main queue of the worker in a tick. `flush` writes what `log` and `write_point` have buffered.
    `connect`, if present, opens another connection, which its caller closes. `wait_until` runs work
    after the invocation has answered. `email` is None without a `send_email` binding named `EMAIL`.
    """

    db: Database
    queue: Producer
    dead_letters: Producer
    http: Http
    settings: Settings
    clock: Callable[[], datetime]
    random: Callable[[], float]
    log: Callable[..., None]
    write_point: Callable[[str, list[str], list[float]], None]
    bucket: Callable[[str], Bucket]
    producer: Callable[[str], Producer | None]
    crypto: Crypto
    email: Email | None = None
    flush: Callable[[], None] = _noop
    connect: Callable[[], Database] | None = None
    queue_name: str = ""
    wait_until: Callable[[Work], Awaitable[None]] = _run_inline


class BodyRefused(Exception):
    """A request's body was not read: `status` is the response that says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class WebRequest:
    """A request to a worker. Names of headers are in lower case.

    `read(bytes_max, timeout_s)` returns the body. It raises BodyRefused: 413 for a larger body, 408
    for a slower one, 400 for one that breaks off. Nothing is read before it is called.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    read: Callable[[int, float], Awaitable[bytes]]


@dataclass(frozen=True)
class WebResponse:
    """A worker's response."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WebPorts:
    """The ports of a `fetch` handler. There is no database, because the handler is open to the
    internet.
    """

    settings: Settings
    clock: Callable[[], datetime]
    random: Callable[[], float]
    log: Callable[..., None]
    bucket: Callable[[str], Bucket]
    producer: Callable[[str], Producer | None]
    crypto: Crypto


WebHandler = Callable[[WebRequest, WebPorts], Awaitable[WebResponse]]
