"""Speaks HTTP with the sidecar; nothing else here does."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from ringfence.envelope import Envelope
from ringfence.errors import CallError, RingfenceError, UnreachableError
from ringfence.retry import Retry
from ringfence.trace import current

_CONNECT_SECONDS = 5.0
_MARGIN_SECONDS = 5.0
"""How much longer than the call's time its answer may take: the sidecar is the one to say that the time is over."""
_IDLE_SECONDS = 60.0
"""The sidecar closes connections that were idle for 75 s; one is not used that may be closed at this moment."""
_CONNECTIONS = httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=_IDLE_SECONDS)
_KEY = re.compile(r"[!-~]{1,255}")


def segment(text: str) -> str:
    """Return any text as one part of a path; of a part that is only dots, a URL would make something else."""
    return quote(text, safe="").replace(".", "%2E")


class Transport:
    """Connections with one sidecar, at `url`, which ends in `/v1`."""

    def __init__(self, url: str, *, timeout: float, retry: Retry | None) -> None:
        self.timeout = timeout
        """Seconds that a call may take unless it says otherwise."""
        self._retry = retry
        # An agent's proxies lead outside, never to its own loopback.
        self._client = httpx.AsyncClient(base_url=url, trust_env=False, limits=_CONNECTIONS)
        self._url = url

    async def aclose(self) -> None:
        """End all connections."""
        await self._client.aclose()

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is told to the sidecar, which ends the call
        fresh: bool = False,
        idempotency_key: str = "",
    ) -> Envelope:
        """Return the envelope of a call that was served. Raises CallError, UnreachableError.

        `timeout` is the call's time in seconds; `fresh` asks the back end though a kept answer is there.
        """
        seconds = self.timeout if timeout is None else timeout
        headers = self._headers(seconds, fresh=fresh, idempotency_key=idempotency_key)
        content = None if body is None else json.dumps(body, allow_nan=False).encode()
        attempt = 1
        while True:
            try:
                return await self._once(method, path, content, headers, seconds)
            except RingfenceError as error:
                delay = self._retry.delay(error, attempt) if self._retry else None
                if delay is None:
                    raise
            await asyncio.sleep(delay)
            attempt += 1

    async def _once(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str], seconds: float
    ) -> Envelope:
        if span := current():
            span.count_call()
        bounds = httpx.Timeout(seconds + _MARGIN_SECONDS, connect=_CONNECT_SECONDS)
        try:
            response = await self._client.request(method, path, content=content, headers=headers, timeout=bounds)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        envelope = self._envelope(response)
        if not envelope.is_served:
            raise CallError.of(envelope)
        return envelope

    def _headers(self, seconds: float, *, fresh: bool, idempotency_key: str) -> dict[str, str]:
        if idempotency_key and not _KEY.fullmatch(idempotency_key):
            raise ValueError("an idempotency key is 1 to 255 printable ASCII characters without spaces")
        span = current()
        said = {
            "Content-Type": "application/json",
            "X-Timeout-Seconds": f"{seconds:.6f}",
            "traceparent": span.traceparent if span else "",
            "Cache-Control": "no-cache" if fresh else "",
            "Idempotency-Key": idempotency_key,
        }
        return {name: value for name, value in said.items() if value}

    def _envelope(self, response: httpx.Response) -> Envelope:
        try:
            return Envelope.from_json(response.json())
        except ValueError as error:
            raise UnreachableError(
                f"{self._url} answered {response.status_code}, and no envelope: is this a Ringfence sidecar?"
            ) from error

    def _unreachable(self, error: httpx.TransportError) -> UnreachableError:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return UnreachableError(f"nothing answers at {self._url}: {error}", retryable=True)
        return UnreachableError(
            f"the sidecar at {self._url} went away during the call, which may have been done all the same: "
            f"{type(error).__name__} {error}".rstrip()
        )
