"""The one HTTP client for the Kubernetes API: JSON in and out, errors as our own, writes only while we lead."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from typing import Any, Protocol, Self
from urllib.parse import urlencode

import aiohttp
import orjson
from yarl import URL

from ringfence_operator import __version__
from ringfence_operator.errors import NotLeaderError, ThrottledError, UnavailableError
from ringfence_operator.kube.connection import api_connector
from ringfence_operator.kube.credentials import BearerToken, Credentials
from ringfence_operator.kube.status import error_for

Raw = dict[str, Any]

FIELD_MANAGER = "ringfence"
PAGE_SIZE = 500
WATCH_SECONDS = 240.0
"""A watch lives this long at least and a third longer at most, so that many do not come back together."""

_JSON = "application/json"
_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_THROTTLED_TRIES = 3
_WATCH_GRACE = 15.0


class Observe(Protocol):
    """Counts a request: its verb, the answer's code ("<error>" without one), its seconds (None for a watch)."""

    def __call__(self, verb: str, code: str, seconds: float | None) -> None:
        """Take note of one request."""


def _unobserved(verb: str, code: str, seconds: float | None) -> None:
    pass


class Client:
    """Requests by API path, such as /api/v1/namespaces/x/pods/y. Make it inside a running event loop.

    Every request ends within `timeout` seconds, waiting for a connection and for a throttling server
    included. `fence` gives the seconds that we may still write; at zero a write raises NotLeaderError
    without being sent, and above it bounds the write's timeout.
    All methods raise KubeError's subclasses, with the server's own message.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        fence: Callable[[], float] | None = None,
        observe: Observe = _unobserved,
        timeout: float = 10.0,
        connections: int = 32,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        context = credentials.ssl_context()
        headers = {
            "User-Agent": f"ringfence-operator/{__version__}",
            "Accept": _JSON,
            # The server would spend more time on gzip than the cluster's network on the bytes.
            "Accept-Encoding": "identity",
        }
        self._server = credentials.server
        self._token = BearerToken(credentials)
        self._session = aiohttp.ClientSession(connector=api_connector(context, limit=connections), headers=headers)
        self._watches = aiohttp.ClientSession(connector=api_connector(context, limit=0), headers=headers)
        self._fence = fence
        self._observe = observe
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. Nothing may use the client any more, so stop informers and workers first."""
        await self._session.close()
        await self._watches.close()

    async def get(self, path: str) -> Raw:
        """Return the object at `path`."""
        return await self._request("GET", path)

    async def list_pages(
        self,
        path: str,
        *,
        limit: int = PAGE_SIZE,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> AsyncGenerator[tuple[list[Raw], str], None]:
        """Yield the objects of a collection page by page, each with the whole list's resourceVersion.

        Raises ExpiredError if the server has forgotten that version before the last page.
        """
        selection = _selection(label_selector, field_selector)
        token = ""
        while True:
            page = await self._request("GET", path, {**selection, "limit": str(limit), "continue": token})
            metadata = page["metadata"]
            token = metadata.get("continue", "")
            yield page.pop("items") or [], metadata["resourceVersion"]
            if not token:
                return

    async def watch(
        self,
        path: str,
        resource_version: str,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        seconds: float = WATCH_SECONDS,
    ) -> AsyncGenerator[Raw, None]:
        """Yield watch events (type, object), bookmarks too, until the server ends the watch.

        Raises ExpiredError when `resource_version` is too old to go on from.
        """
        seconds *= 1 + random.random() / 3  # noqa: S311 - spreads load, guards nothing
        query = {
            **_selection(label_selector, field_selector),
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(int(seconds)),
        }
        # The server ends the watch before `total`; sock_read would only add a timer to each event.
        timeout = aiohttp.ClientTimeout(total=seconds + _WATCH_GRACE, sock_connect=self._timeout)
        try:
            url = self._url(path, query)
            async with self._watches.get(url, headers=self._headers(), timeout=timeout) as response:
                self._observe("WATCH", str(response.status), None)
                if response.status >= 400:  # noqa: PLR2004
                    raise error_for(response.status, await response.read(), response.headers)
                async for line in split_lines(response.content.iter_any()):
                    yield _event(line)
        except (aiohttp.ClientError, OSError) as error:
            raise UnavailableError(f"watch {path}: {_message(error)}") from error

    async def create(self, path: str, body: Raw) -> Raw:
        """Create `body` in the collection at `path` and return it as stored. Raises AlreadyExistsError."""
        return await self._write("POST", path, {"fieldManager": FIELD_MANAGER}, body)

    async def replace(self, path: str, body: Raw) -> Raw:
        """Replace the object at `path`, or its status, other managers' fields too, and return it as stored.

        Another version or UID there raises ConflictError.
        """
        return await self._write("PUT", path, {"fieldManager": FIELD_MANAGER}, body)

    async def merge_patch(self, path: str, body: Raw) -> Raw:
        """Merge `body` into the object at `path`; with a metadata.resourceVersion in it a race raises ConflictError."""
        return await self._write("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, _MERGE)

    async def strategic_patch(self, path: str, body: Raw) -> Raw:
        """Merge `body` into the object at `path`, its lists by the keys of their items; for Kubernetes' own kinds."""
        return await self._write("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, _STRATEGIC)

    async def delete(
        self,
        path: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
    ) -> Raw:
        """Delete the object at `path`; another UID or version there raises ConflictError.

        Returns the object on its way out, or a Status when it is gone already.
        """
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        options = {
            "preconditions": {name: value for name, value in preconditions.items() if value is not None} or None,
            "gracePeriodSeconds": grace_seconds,
        }
        body: Raw = {"kind": "DeleteOptions", "apiVersion": "v1"}
        body |= {name: value for name, value in options.items() if value is not None}
        return await self._write("DELETE", path, {}, body)

    async def _write(
        self, method: str, path: str, query: Mapping[str, str], body: Raw, content_type: str = _JSON
    ) -> Raw:
        return await self._request(method, path, query, orjson.dumps(body), content_type)

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        data: bytes | None = None,
        content_type: str = _JSON,
    ) -> Raw:
        """Send one request, again if the server asks us to come back within the time we have."""
        url = self._url(path, query)
        headers = self._headers() | {"Content-Type": content_type}
        deadline = self._clock() + self._timeout
        for attempt in range(1, _THROTTLED_TRIES + 1):
            seconds = self._seconds_left(deadline, writes=method != "GET")
            try:
                return await self._send(method, url, data, headers, seconds)
            except ThrottledError as error:
                pause = error.retry_after or 1.0
                if attempt == _THROTTLED_TRIES or pause >= seconds:
                    raise
                await self._sleep(pause)
        raise AssertionError("unreachable")

    def _seconds_left(self, deadline: float, *, writes: bool) -> float:
        seconds = deadline - self._clock()
        if not writes or self._fence is None:
            return seconds
        lead = self._fence()
        if lead <= 0:
            raise NotLeaderError("this replica does not hold the Lease")
        return min(seconds, lead)

    async def _send(self, method: str, url: URL, data: bytes | None, headers: dict[str, str], seconds: float) -> Raw:
        began = self._clock()
        code = "<error>"
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.request(method, url, data=data, headers=headers, timeout=timeout) as response:
                body = await response.read()
                code = str(response.status)
        except (aiohttp.ClientError, OSError) as error:
            raise UnavailableError(f"{method} {url.path}: {_message(error)}") from error
        finally:
            self._observe(method, code, self._clock() - began)
        if response.status >= 400:  # noqa: PLR2004
            raise error_for(response.status, body, response.headers)
        return _parsed(body)

    def _headers(self) -> dict[str, str]:
        try:
            token = self._token.header()
        except OSError as error:
            raise UnavailableError(f"bearer token: {error}") from error
        return {} if token is None else {"Authorization": token}

    def _url(self, path: str, query: Mapping[str, str] | None = None) -> URL:
        text = f"{self._server}{path}?{urlencode(query)}" if query else f"{self._server}{path}"
        return URL(text, encoded=True)


async def split_lines(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a stream, however long they are and wherever its chunks end; the last needs its newline."""
    pending: list[bytes] = []
    async for chunk in chunks:
        head, *lines = chunk.split(b"\n")
        pending.append(head)
        for line in lines:
            yield b"".join(pending)
            pending = [line]


def _parsed(text: bytes) -> Raw:
    try:
        parsed: Raw = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnavailableError(f"not an answer of an API server: {error}") from error
    return parsed


def _event(line: bytes) -> Raw:
    event = _parsed(line)
    if event["type"] == "ERROR":
        status = event["object"]
        raise error_for(int(status.get("code", 500)), orjson.dumps(status), {})
    return event


def _selection(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: selector for name, selector in given.items() if selector is not None}


def _message(error: Exception) -> str:
    return str(error) or type(error).__name__
