"""The adapters of HTTP, cryptography and requests, in workerd's Python."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from mauntic.project.host_crypto import HostCrypto, p256_key
from shared.ports import P256Key
from tests.mauntic.local.runtime.harness import Server

pytestmark = pytest.mark.e2e


def ask(server: Server, path: str, **fields: Any) -> dict[str, Any]:
    answer = server.fetch(path, method="POST", body=json.dumps(fields))
    assert answer["status"] == 200, answer
    found: dict[str, Any] = json.loads(answer["body"])
    return found


def request(server: Server, origin: str, path: str, **fields: Any) -> dict[str, Any]:
    asked = {"method": "GET", "url": origin + path, "allow": origin} | fields
    answer = ask(server, "/http", **asked)
    if "body" in answer:
        answer["body"] = base64.b64decode(answer["body"])
    return answer


def test_a_request_carries_method_headers_and_body(server: Server, upstream: str) -> None:
    body = base64.b64encode(b"\0\xff\x80abc").decode()
    answer = request(server, upstream, "/", method="PUT", headers={"X-Probe": "p"}, body=body)
    assert (answer["status"], answer["headers"]["x-echo"]) == (200, "yes")
    assert json.loads(answer["body"]) == {
        "method": "PUT", "path": "/", "probe": "p", "asked": None,
        "bytes": [0, 255, 128, 97, 98, 99],
    }  # fmt: skip


def test_a_redirect_is_returned_and_not_followed(server: Server, upstream: str) -> None:
    answer = request(server, upstream, "/redirect")
    assert (answer["status"], answer["headers"]["location"]) == (302, "/elsewhere")


def test_a_status_is_no_error(server: Server, upstream: str) -> None:
    assert request(server, upstream, "/missing")["status"] == 404


def test_a_response_is_cut_at_64_kb(server: Server, upstream: str) -> None:
    answer = request(server, upstream, "/large")
    assert (answer["body"], answer["is_truncated"]) == (b"x" * 65_536, True)


def test_the_runtimes_timer_ends_a_request(server: Server, upstream: str) -> None:
    began = time.monotonic()
    answer = request(server, upstream, "/slow", timeout_s=0.3)
    assert answer == {"error": "HttpFailed:begun"}
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("origin", ["upstream", "http://127.0.0.1:9"])
def test_a_broken_connection_may_have_begun(server: Server, upstream: str, origin: str) -> None:
    origin = upstream if origin == "upstream" else origin
    assert request(server, origin, "/hang-up") == {"error": "HttpFailed:begun"}


def test_another_host_is_refused(server: Server, upstream: str) -> None:
    answer = request(server, upstream, "/", allow="api.example.com")
    assert answer == {"error": "HttpRefused"}


def coded(value: Any) -> Any:
    if isinstance(value, P256Key):
        return [coded(value.private), coded(value.public)]
    return f"base64:{base64.b64encode(value).decode()}" if isinstance(value, bytes) else value


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return P256Key(*map(plain, value))
    is_bytes = isinstance(value, str) and value.startswith("base64:")
    return base64.b64decode(value[7:]) if is_bytes else value


def crypto(server: Server, method: str, *arguments: Any) -> Any:
    """Call the adapter in the worker; an error is its class."""
    answer = ask(server, "/crypto", method=method, arguments=[coded(a) for a in arguments])
    return answer.get("error") or plain(answer["result"])


RSA_KEY = rsa.generate_private_key(65_537, 2_048)
PKCS8 = RSA_KEY.private_bytes(
    serialization.Encoding.DER,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)
SPKI = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
EC_KEY = p256_key(ec.generate_private_key(ec.SECP256R1()))
DATA = b"signed \0 text"


def test_rs256(server: Server) -> None:
    """The signature is deterministic: it equals the one of another implementation."""
    expected = RSA_KEY.sign(DATA, padding.PKCS1v15(), hashes.SHA256())
    assert crypto(server, "sign_rs256", PKCS8, DATA) == expected
    assert crypto(server, "sign_rs256", b"no key", DATA) == "CryptoFailed"


@pytest.mark.parametrize(
    ("digest", "algorithm"), [("SHA-1", hashes.SHA1()), ("SHA-256", hashes.SHA256())]
)
def test_rsa_signatures_are_verified(server: Server, digest: str, algorithm: Any) -> None:
    signature = RSA_KEY.sign(DATA, padding.PKCS1v15(), algorithm)
    assert crypto(server, "verify_rsa", SPKI, digest, signature, DATA) is True
    assert crypto(server, "verify_rsa", SPKI, digest, signature, DATA + b"!") is False
    assert crypto(server, "verify_rsa", b"no key", digest, signature, DATA) == "CryptoFailed"


def test_es256(server: Server) -> None:
    host = HostCrypto()
    signature = crypto(server, "sign_es256", EC_KEY, DATA)
    assert asyncio.run(host.verify_es256(EC_KEY.public, signature, DATA))
    theirs = asyncio.run(host.sign_es256(EC_KEY, DATA))
    assert crypto(server, "verify_es256", EC_KEY.public, theirs, DATA) is True
    assert crypto(server, "verify_es256", EC_KEY.public, theirs, DATA + b"!") is False
    assert crypto(server, "verify_es256", EC_KEY.public, theirs[:-1], DATA) is False
    assert crypto(server, "verify_es256", b"\4" + b"\1" * 64, theirs, DATA) == "CryptoFailed"


def test_both_sides_of_ecdh_have_one_secret(server: Server) -> None:
    ours = crypto(server, "generate_p256")
    secret = crypto(server, "ecdh_p256", ours, EC_KEY.public)
    assert len(secret) == 32
    assert secret == asyncio.run(HostCrypto().ecdh_p256(EC_KEY, ours.public))


@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("associated", [b"", b"context"])
def test_aes_gcm(server: Server, size: int, associated: bytes) -> None:
    host, key, nonce = HostCrypto(), secrets.token_bytes(size), secrets.token_bytes(12)
    ciphertext = asyncio.run(host.encrypt_aes_gcm(key, nonce, DATA, associated))
    assert crypto(server, "encrypt_aes_gcm", key, nonce, DATA, associated) == ciphertext
    assert crypto(server, "decrypt_aes_gcm", key, nonce, ciphertext, associated) == DATA
    forged = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
    assert crypto(server, "decrypt_aes_gcm", key, nonce, forged, associated) == "CryptoFailed"
    assert crypto(server, "encrypt_aes_gcm", key[1:], nonce, DATA) == "CryptoFailed"


def test_a_request_reaches_the_handler(server: Server) -> None:
    answer = server.fetch("/web?x=1", method="POST", headers={"X-Probe": "p"}, body="é" * 10)
    assert (answer["status"], answer["headers"]["content-type"]) == (201, "text/x-toy")
    assert json.loads(answer["body"]) == [
        "POST", "http://toy.test/web?x=1", "p", 20, "héllo",
    ]  # fmt: skip
    assert server.wait_idle()["idle"]
    assert server.ask("/seen")["batches"][0]["bodies"] == [{"do": "ack"}]


def test_a_response_may_have_no_body(server: Server) -> None:
    assert server.fetch("/web?empty=1", method="POST")["status"] == 204


def test_a_body_has_a_limit(server: Server) -> None:
    answer = server.fetch("/web", method="POST", body="x" * 5_000_001)
    assert answer["status"] == 413


def test_a_handler_that_raises_answers_500_and_only_logs_the_error(server: Server) -> None:
    answer = server.fetch("/web?raise=1", method="POST", headers={"X-Probe": "eve@example.org"})
    assert (answer["status"], answer["body"]) == (500, "")
    event = server.wait_event("log", worker="toy-alpha", timeout_s=5)
    logged = json.loads(event["text"])
    assert (logged["event"], logged["error_class"]) == ("request.failed", "KeyError")
    assert "eve@example.org" not in event["text"]


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("api.sendgrid.com", "HttpRefused"),
        ("192.0.2.1", "HttpRefused"),
        ("127.0.0.1.example.com", "HttpRefused"),
        ("localhost.example.com", "HttpRefused"),
        ("[::ffff:192.0.2.1]", "HttpRefused"),
        ("0x7f.1.example", "HttpRefused"),
        ("allowed.invalid", "HttpFailed:begun"),  # tried, and not found: `invalid` never resolves
    ],
)
def test_no_host_but_this_machine_is_called(server: Server, host: str, error: str) -> None:
    """Though the settings allow every one of them."""
    url = f"https://{host}/v3/mail/send"
    asked = {"method": "POST", "url": url, "allow": f"https://{host}"}
    assert ask(server, "/http", **asked) == {"error": error}


def test_a_connected_host_is_a_server_of_this_machine(server: Server) -> None:
    """The request is that of production; only its origin is another."""
    body = base64.b64encode(b"abc").decode()
    fields = {"method": "POST", "headers": {"X-Probe": "p"}, "body": body}
    answer = request(server, "https://connected.example", "/v1/send?a=%2F&b=%C3%A9", **fields)
    assert json.loads(answer["body"]) == {
        "method": "POST", "path": "/v1/send?a=%2F&b=%C3%A9", "probe": "p",
        "asked": "connected.example", "bytes": [97, 98, 99],
    }  # fmt: skip


def test_a_connected_host_is_not_followed_and_may_be_late(server: Server) -> None:
    origin = "https://connected.example"
    assert request(server, origin, "/redirect")["status"] == 302
    assert request(server, origin, "/slow", timeout_s=0.3) == {"error": "HttpFailed:begun"}
    assert request(server, origin, "/hang-up") == {"error": "HttpFailed:begun"}


@pytest.mark.parametrize("host", ["a.connected.example", "connected.example.org", "abroad.example"])
def test_no_other_host_is_connected(server: Server, host: str) -> None:
    """Nor is one that is connected with a server elsewhere."""
    asked = {"method": "GET", "url": f"https://{host}/", "allow": host}
    assert ask(server, "/http", **asked) == {"error": "HttpRefused"}
