"""A way to the API server that ends either end of it, at the write that it was told: the product has no such points."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum

import aiohttp
from aiohttp import web
from yarl import URL

from ringfence_operator.kube.credentials import BearerToken, Credentials

LARGEST = 16 * 2**20
CLOSED_SECONDS = 0.2
PLURAL = 2
"""Of a path behind /namespaces/, so many parts at least: the namespace, and the plural of what is in it."""
PASSED_ON = ("Content-Type", "Accept", "User-Agent")


class Moment(Enum):
    """When the process dies."""

    BEFORE = "before the write is sent"
    LOST = "when it has taken effect, and before its answer comes"
    ANSWERED = "as soon as it is answered"


@dataclass(frozen=True)
class Strike:
    """A write, as `step_of` names it, at which the process ends, and how far the write comes."""

    step: str
    moment: Moment
    pid: int


def step_of(method: str, path: str) -> str:
    """Return the verb and what is written, as in `PUT agents/status`; nothing for a read, and for the Lease."""
    inside = path.partition("/namespaces/")[2].split("/")
    if method == "GET" or len(inside) < PLURAL or inside[1] == "leases":
        return ""
    _, plural, *rest = inside
    return f"{method} {'/'.join((plural, *rest[1:]))}"


class Relay:
    """Passes requests on; `lag` is how many seconds late each part of a watch comes."""

    def __init__(self, credentials: Credentials, *, lag: float = 0.0) -> None:
        self.struck = threading.Event()
        self.port = 0
        self._credentials = credentials
        self._token = BearerToken(credentials)
        self._lag = lag
        self._strike: Strike | None = None

    def arm(self, strike: Strike) -> None:
        """Have the process end at the next such write."""
        self.struck.clear()
        self._strike = strike

    def disarm(self) -> None:
        """Let everything pass."""
        self._strike = None

    @contextmanager
    def running(self) -> Iterator["Relay"]:
        """Serve in a thread of its own until the block ends."""
        ready = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        thread.start()
        assert ready.wait(10), "the relay does not serve"
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(10)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        connector = aiohttp.TCPConnector(ssl=self._credentials.ssl_context(), limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as self._session:
            app = web.Application(client_max_size=LARGEST)
            app.router.add_route("*", "/{path:.*}", self._pass_on)
            # Whoever is dead follows nothing any more: its watches end with it.
            runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = runner.addresses[0][1]
            ready.set()
            await self._stop.wait()
            await runner.cleanup()
        # The connections' ends are in the loop's next turns.
        await asyncio.sleep(CLOSED_SECONDS)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._passed_on(request)
        except aiohttp.ClientError:
            return _cut(request)  # the API server is away, and so it looks from here

    async def _passed_on(self, request: web.Request) -> web.StreamResponse:
        strike = self._due(step_of(request.method, request.path))
        body = await request.read()
        if strike and strike.moment is Moment.BEFORE:
            return self._end(strike, request)
        async with self._session.request(
            request.method,
            URL(f"{self._credentials.server}{request.raw_path}", encoded=True),
            data=body or None,
            headers=self._headers(request),
            # Whoever asks for nothing has no type of it: the API server would refuse that of bytes.
            skip_auto_headers=("Content-Type",),
        ) as answer:
            if request.query.get("watch"):
                return await self._follow(request, answer)
            text = await answer.read()
        if strike and strike.moment is Moment.LOST:
            return self._end(strike, request)
        response = web.Response(body=text, status=answer.status, headers=_typed(answer))
        if strike:
            await response.prepare(request)
            await response.write_eof()
            return self._end(strike, request)
        return response

    async def _follow(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=_typed(answer))
        await response.prepare(request)
        async for part in answer.content.iter_any():
            if self._lag:
                await asyncio.sleep(self._lag)
            try:
                await response.write(part)
            except ConnectionResetError:
                break  # it was killed
        return response

    def _due(self, step: str) -> Strike | None:
        strike = self._strike
        if strike is None or strike.step != step:
            return None
        self._strike = None
        return strike

    def _end(self, strike: Strike, request: web.Request) -> web.Response:
        with suppress(ProcessLookupError):
            os.kill(strike.pid, signal.SIGKILL)
        self.struck.set()
        return _cut(request)

    def _headers(self, request: web.Request) -> dict[str, str]:
        kept = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        token = self._token.header()
        return kept | {"Accept-Encoding": "identity"} | ({"Authorization": token} if token else {})


def _cut(request: web.Request) -> web.Response:
    """End the connection; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _typed(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: answer.headers[name] for name in ("Content-Type", "Retry-After") if name in answer.headers}
