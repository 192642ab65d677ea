"""An agent that floods the sidecars' door from one address: python -m bench.control.flood PORT SECONDS.

It holds as many connections as it gets, up to 1,000, and tries 1,000 bad tokens a second, each on a new connection
since the last one was closed. It prints what came of it, as JSON.
"""

import asyncio
import json
import os
import random
import ssl
import sys
import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress

ADDRESS = "127.0.0.66"
HELD, TOKENS_PER_SECOND = 1_000, 1_000
STEP_SECONDS = 0.02


class Flood:
    """Counts what became of each attempt."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._held: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.outcomes: Counter[str] = Counter()
        self.most_held = 0

    async def run(self, seconds: float) -> None:
        """Flood for so long."""
        end, due = time.monotonic() + seconds, 0.0
        while (now := time.monotonic()) < end:
            due = min(due + TOKENS_PER_SECOND * STEP_SECONDS, TOKENS_PER_SECOND)
            for _ in range(int(due)):
                self._start(self._token())
            due -= int(due)
            for _ in range(min(HELD - len(self._held), 20)):
                self._start(self._hold())
            self.most_held = max(self.most_held, len(self._held))
            await asyncio.sleep(max(0.0, STEP_SECONDS - (time.monotonic() - now)))
        for task in self._tasks:
            task.cancel()
        for writer in self._held:
            writer.transport.abort()

    def _start(self, what: Coroutine[None, None, None]) -> None:
        if len(self._tasks) < 2 * HELD:
            task = asyncio.create_task(what)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _token(self) -> None:
        outcome = "refused"
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await self._connect(is_tls=True)
            try:
                head = (
                    f"POST /v1/sidecar/poll HTTP/1.1\r\nAuthorization: Bearer {_bad()}\r\nContent-Length: 2\r\n\r\n{{}}"
                )
                writer.write(head.encode())
                outcome = (await reader.readline()).split(b" ")[1].decode()
            except IndexError:
                outcome = "closed"
            finally:
                writer.transport.abort()
        self.outcomes[outcome] += 1

    async def _hold(self) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await self._connect(is_tls=False)
            self._held.add(writer)
            try:
                await reader.read()
            finally:
                self._held.discard(writer)
                writer.transport.abort()
        self.outcomes["not held"] += 1

    async def _connect(self, *, is_tls: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = self._context if is_tls else None
        return await asyncio.open_connection("127.0.0.1", self._port, ssl=context, local_addr=(ADDRESS, 0))


def _bad() -> str:
    """Return a token that is bad in one of several ways, never twice the same."""
    claims = {
        "iss": "https://kubernetes.default.svc.cluster.local",
        "aud": ["ringfence-control"],
        "nbf": int(time.time()) - 60,
        "exp": int(time.time()) + random.choice((-10, 3_600)),
        "jti": str(random.random()),
        "kubernetes.io": {"namespace": "team", "pod": {"name": "a", "uid": str(random.random())}},
    }
    parts = (json.dumps({"alg": "RS256"}), json.dumps(claims))
    return ".".join([*(urlsafe_b64encode(each.encode()).rstrip(b"=").decode() for each in parts), "c2lnbmF0dXJl"])


async def _main(port: int, seconds: float) -> None:
    flood = Flood(port)
    await flood.run(seconds)
    print(json.dumps({"outcomes": flood.outcomes, "most_held": flood.most_held, "cpu": sum(os.times()[:2])}))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), float(sys.argv[2])))
