"""A worker that does what its messages and URLs request."""

import asyncio
import base64
import ctypes
import json
import signal
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pg8000.native
import pydantic
from alpha.version import VERSION

from shared import seen
from shared.adapters.crypto import WebCrypto
from shared.adapters.http import FetchHttp
from shared.adapters.javascript import RuntimeFetch, RuntimeSubtle
from shared.adapters.web import answer_request
from shared.errors import error_class
from shared.ports import P256Key, WebResponse
from shared.settings import Settings
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request, *more):
        url = urlsplit(request.url)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        seen.instances.append("used" if hasattr(self, "used") else "new")
        self.used = True
        answer = getattr(self, "do" + url.path.replace("/", "_").replace("-", "_"))
        return await answer(request, query, len(more))

    async def do_forget(self, request, query, more):
        seen.forget()
        return Response.json(None)

    async def do_facts(self, request, query, more):
        facts = {
            "path": sys.path,
            "request": f"{type(request).__module__}.{type(request).__name__}",
            "more": more,
            "method": request.method,
            "body": await request.text(),
            "greeting": self.env.GREETING,
            "gate": self.env.GATE,
            "database": f"{self.env.DB.user}@{self.env.DB.database}",
            "bindings": [name for name in dir(self.env._env) if name.isupper()],
            "version": VERSION,
            "pydantic": pydantic.VERSION,
            "pth": "_workers_sdk_patch_loader" in sys.modules,
            "text": Path(seen.__file__).with_name("greeting.txt").read_text().strip(),
        }
        return Response.json(facts)

    async def do_cpu_limit(self, request, query, more):
        try:
            signal.raise_signal(signal.SIGXCPU)
        except BaseException as error:
            return Response.json(type(error).__name__)

    async def do_seen(self, request, query, more):
        content = {"batches": seen.batches, "crons": seen.crons, "instances": seen.instances}
        return Response.json(content)

    async def do_text(self, request, query, more):
        return "not a response"

    async def do_slow(self, request, query, more):
        started = time.monotonic()
        await asyncio.sleep(float(query.get("seconds", 0.3)))
        return Response.json([started, time.monotonic()])

    async def do_handler_time(self, request, query, more):
        made = {"now": datetime.now(UTC).isoformat(), "uuids": [str(uuid.uuid4()) for _ in "ab"]}
        return Response.json(made)

    async def do_wait_until(self, request, query, more):
        async def later():
            await asyncio.sleep(0.05)
            print("later")

        self.ctx.waitUntil(later())
        return Response.json(None)

    async def do_print(self, request, query, more):
        print("one\ntwo ünï 🙂")
        print("warned", file=sys.stderr)
        try:
            raise KeyError("gone")
        except KeyError:
            import traceback

            traceback.print_exc()
        return Response.json(None)

    async def do_points(self, request, query, more):
        for point in json.loads(query["points"]) * int(query.get("times", 1)):
            self.env.METRICS.writeDataPoint(point)
        return Response.json(None)

    async def do_crash(self, request, query, more):
        crash()

    async def do_hang(self, request, query, more):
        await asyncio.get_running_loop().create_future()

    async def do_send(self, request, query, more):
        binding = getattr(self.env, query["binding"])
        await binding.send(json.loads(query["body"]), contentType="json")
        return Response.json(None)

    async def do_too_large(self, request, query, more):
        await self.env.WORK.send("x" * 200_000)

    async def do_http(self, request, query, more):
        asked = json.loads(await request.text())
        http = FetchHttp(Settings({"HTTP_ALLOWED_HOSTS": asked.pop("allow")}.get), RuntimeFetch())
        asked["body"] = base64.b64decode(asked.get("body", ""))
        try:
            response = await http.request(**asked)
        except Exception as error:
            return Response.json({"error": error_class(error)})
        answer = vars(response) | {"body": base64.b64encode(response.body).decode()}
        return Response.json(answer)

    async def do_crypto(self, request, query, more):
        """Call a method of the port. Bytes are base64 in both directions, a key a pair of them."""
        asked = json.loads(await request.text())
        arguments = [decoded(value) for value in asked["arguments"]]
        crypto = WebCrypto(RuntimeSubtle())
        try:
            result = await getattr(crypto, asked["method"])(*arguments)
        except Exception as error:
            return Response.json({"error": error_class(error)})
        return Response.json({"result": encoded(result)})

    async def do_web(self, request, query, more):
        async def handler(asked, ports):
            if query.get("raise"):
                raise KeyError(asked.headers["x-probe"])
            if query.get("empty"):
                return WebResponse(204)
            body = await asked.read(5_000_000, float(query.get("timeout", 10)))
            await ports.producer("WORK").send([{"do": "ack"}])
            facts = [asked.method, asked.url, asked.headers.get("x-probe"), len(body)]
            facts.append(ports.settings.get("GREETING"))
            return WebResponse(201, json.dumps(facts).encode(), {"content-type": "text/x-toy"})

        return await answer_request(request, self.env, handler)

    async def do_database(self, request, query, more):
        db = self.env.DB
        started = time.monotonic()
        connection = pg8000.native.Connection(
            user=db.user, password=db.password, host=db.host, port=int(db.port),
            database=db.database, ssl_context=False,
        )  # fmt: skip
        connected = time.monotonic()
        for _ in range(50):
            rows = connection.run("select 41 + 1")
        ran = time.monotonic()
        connection.close()
        times = [(connected - started) * 1000, (ran - connected) * 1000 / 50]
        return Response.json({"rows": rows, "connect_ms": times[0], "query_ms": times[1]})

    async def do_wait(self, request, query, more):
        """Block in the database, as deep in calls as a real job."""
        db = self.env.DB
        connection = pg8000.native.Connection(
            user=db.user, password=db.password, host=db.host, port=int(db.port),
            database=db.database, ssl_context=False,
        )  # fmt: skip
        rows = deep(30, lambda: connection.run("select pg_sleep(0.2)"))
        connection.close()
        return Response.json(len(rows))

    async def scheduled(self, controller, env="absent", ctx="absent"):
        planned = controller.scheduledTime
        seen.crons.append({"cron": controller.cron, "at": planned, "env": env, "ctx": ctx})
        if controller.cron == "fail":
            raise ValueError("the cron failed")
        if controller.cron == "send":
            await self.env.WORK.send({"do": "ack"}, contentType="json")

    async def queue(self, batch, env="absent", ctx="absent"):
        bodies = [message.body for message in batch.messages]
        kept = {
            "queue": batch.queue,
            "bodies": bodies,
            "attempts": [message.attempts for message in batch.messages],
            "env": env,
            "ctx": ctx,
        }
        seen.batches.append(kept)
        for message in batch.messages:
            do = message.body.get("do", "ack")
            if do == "ack":
                message.ack()
            elif do == "retry":
                message.retry(delaySeconds=message.body.get("delay", 0))
            elif do == "retry-once":
                message.retry() if message.attempts == 1 else message.ack()
            elif do == "both":
                message.ack()
                message.retry()
            elif do == "crash-once":
                crash() if message.attempts == 1 else message.ack()
            elif do == "sleep":
                await asyncio.sleep(message.body["seconds"])
            elif do == "linger":
                self.ctx.waitUntil(self.linger(message.body))
        whole = bodies[0].get("whole")
        if whole == "raise":
            raise ValueError("the batch failed")
        if whole == "hang":
            await asyncio.get_running_loop().create_future()
        if whole == "retry-all":
            batch.retryAll()

    async def linger(self, body):
        await asyncio.sleep(body["seconds"])
        seen.batches.append({"lingered": body["n"], "attempts": []})
        self.env.METRICS.writeDataPoint({"indexes": [f"lingered {body['n']}"]})
        if body.get("then") == "raise":
            raise ValueError("too late to matter")


def decoded(value):
    if isinstance(value, list):
        return P256Key(*map(decoded, value))
    return base64.b64decode(value[7:]) if value.startswith("base64:") else value


def encoded(value):
    if isinstance(value, P256Key):
        return [encoded(value.private), encoded(value.public)]
    return f"base64:{base64.b64encode(value).decode()}" if isinstance(value, bytes) else value


def deep(calls, work):
    """Do the work below this many calls that pass through C."""
    if calls == 0:
        return work()
    return next(map(deep, [calls - 1], [work]))


def crash():
    """Read outside the interpreter's memory, which ends it."""
    ctypes.string_at(2**32 - 8, 64)
