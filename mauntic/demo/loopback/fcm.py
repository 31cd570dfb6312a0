"""Firebase Cloud Messaging: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from secrets import token_urlsafe
from typing import Any

from mauntic.demo.loopback.jwt import Jwt, is_rs256
from mauntic.demo.loopback.provider import Answer, Call, Entry, Outcome, Provider, need

TOKEN_HOST, SEND_HOST = "oauth2.googleapis.com", "fcm.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
LIFE_S = 3_600


def _error(status: int, name: str, code: str) -> Answer:
    details = [{"@type": FCM_ERROR, "errorCode": code}]
    error = {"code": status, "message": name, "status": name, "details": details}
    return Answer(status, {"error": error})


INVALID = _error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")
FAILURES: dict[Outcome, Answer] = {
    "throttle": _error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    "unavailable": _error(503, "UNAVAILABLE", "UNAVAILABLE"),
    "error": _error(500, "INTERNAL", "INTERNAL"),
    "credentials": Answer(401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}}),
}


class Fcm(Provider):
    """It gives a token for a signed assertion, and accepts messages with this token."""

    name = "fcm"
    channel = "push"
    hosts = (SEND_HOST, TOKEN_HOST)

    def __init__(self, secrets: Mapping[str, Any]) -> None:
        super().__init__(secrets)
        self.account: dict[str, Any] = json.loads(secrets["serviceAccountKey"])
        self._token = token_urlsafe(32)

    def side_answer(self, call: Call) -> Answer | None:
        if call.host != TOKEN_HOST:
            return None
        form = call.form
        is_asked = call.path == "/token" and form.get("grant_type") == GRANT
        if not (is_asked and self._is_granted(Jwt.parse(form.get("assertion", "")))):
            return Answer(400, {"error": "invalid_grant"})
        return Answer(200, {"access_token": self._token, "expires_in": 3_599})

    def _is_granted(self, asked: Jwt | None) -> bool:
        if asked is None or not is_rs256(asked, self.account):
            return False
        claims = asked.claims
        own = (self.account["client_email"], SCOPE, f"https://{TOKEN_HOST}/token")
        is_short = 0 < int(claims["exp"]) - int(claims["iat"]) <= LIFE_S
        return is_short and (claims["iss"], claims["scope"], claims["aud"]) == own

    def entries(self, call: Call) -> list[Entry]:
        is_ours = call.headers.get("authorization") == f"Bearer {self._token}"
        need(is_ours, FAILURES["credentials"], "token")
        path = f"/v1/projects/{self.secrets['projectId']}/messages:send"
        need((call.method, call.path) == ("POST", path), Answer(404), "path")
        message = (call.json or {}).get("message") or {}
        data = message.get("data", {})
        need(message.get("token") and message.get("notification"), INVALID, "fields")
        need(all(isinstance(value, str) for value in data.values()), INVALID, "data")
        return [Entry(data["message_id"], message["token"])]

    def answer(self, call: Call, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> Answer:
        [outcome] = outcomes
        if outcome == "accept":
            name = f"projects/{self.secrets['projectId']}/messages/0:{entries[0].message_id}"
            return Answer(200, {"name": name})
        return INVALID if outcome == "reject" else _error(404, "NOT_FOUND", "UNREGISTERED")

    def failure(self, outcome: Outcome) -> Answer:
        return FAILURES[outcome]
