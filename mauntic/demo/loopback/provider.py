"""What a provider is here: it reads a request, refuses what is wrong with it, and answers."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

# What happens to a message, or to the whole call where its provider has one answer for all of it.
# The last five are the connection's: what the provider has, its answer does not prove.
Outcome = Literal[
    "accept",
    "reject",  # the address is not accepted
    "inactive",  # the provider knows that the recipient is gone; some accept and report it later
    "throttle",
    "unavailable",
    "error",
    "credentials",
    "lost",  # not taken, and the connection is dropped
    "unread",  # as lost, before the request is read
    "silent",  # taken, and the connection is dropped
    "cut",  # taken, and the answer ends in its middle
    "garbled",  # taken, and the answer is not the provider's
]
OF_THE_CONNECTION: frozenset[Outcome] = frozenset({"lost", "unread", "silent", "cut", "garbled"})
OF_THE_CALL: frozenset[Outcome] = frozenset({"throttle", "unavailable", "error", "credentials"})


@dataclass(frozen=True, repr=False)
class Call:
    """A request. Names of headers are in lower case. `host` is the one that was asked for."""

    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body; None if it is not JSON of the right type."""
        if not self.headers.get("content-type", "").startswith("application/json"):
            return None
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form; empty if the body is none."""
        if self.headers.get("content-type") != "application/x-www-form-urlencoded":
            return {}
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True)
class Answer:
    """A response. A body that is not a text becomes JSON."""

    status: int
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Entry:
    """A message of a call: our id, and its recipient."""

    message_id: str
    to: str = field(repr=False)


class Refused(Exception):
    """The provider does not accept the request. The text never has an address or a secret."""

    def __init__(self, answer: Answer, why: str) -> None:
        super().__init__(why)
        self.answer = answer


class Provider(ABC):
    """An imitated provider. `secrets` is the configuration with which its customer calls it."""

    name: str
    channel: str = "email"
    hosts: tuple[str, ...] = ()

    def __init__(self, secrets: Mapping[str, Any]) -> None:
        self.secrets = secrets

    def side_answer(self, call: Call) -> Answer | None:
        """Return the answer to a request that sends nothing, such as one for a token."""
        del call
        return None

    @abstractmethod
    def entries(self, call: Call) -> list[Entry]:
        """Return the messages of a request that is as the provider demands. Raises Refused."""

    @abstractmethod
    def answer(self, call: Call, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> Answer:
        """Return the answer; each message is accepted, rejected or inactive."""

    @abstractmethod
    def failure(self, outcome: Outcome) -> Answer:
        """Return the answer to a call that is not processed: throttled, unavailable, …"""

    def takes(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """Return which messages of a processed call the provider accepts."""
        return [outcome == "accept" for outcome in outcomes]


def need(condition: object, answer: Answer, why: str) -> None:
    """Refuse the request if a condition does not hold."""
    if not condition:
        raise Refused(answer, why)
