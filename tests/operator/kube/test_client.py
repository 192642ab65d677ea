import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest
from aiohttp import web

from ringfence_operator import __version__
from ringfence_operator.errors import (
    AlreadyExistsError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    KubeError,
    NotFoundError,
    NotLeaderError,
    ThrottledError,
    UnavailableError,
)
from ringfence_operator.kube.client import Client, split_lines
from ringfence_operator.kube.credentials import Credentials
from tests.operator.runtime.clock import FakeClock

PODS = "/api/v1/namespaces/ns/pods"


class FakeServer:
    """Answers by `reply` and remembers what was asked."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[Any] = []
        self.reply: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.nothing
        self.url = ""

    async def nothing(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        body = await request.read()
        self.bodies.append(orjson.loads(body) if body else None)
        return await self.reply(request)

    def answers(self, *answers: web.Response) -> None:
        left = list(answers)

        async def reply(_: web.Request) -> web.StreamResponse:
            return left.pop(0)

        self.reply = reply


def status(code: int, message: str = "no", reason: str = "", **headers: str) -> web.Response:
    body = {"kind": "Status", "code": code, "message": message, "reason": reason}
    return web.json_response(body, status=code, headers={name.replace("_", "-"): v for name, v in headers.items()})


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[Client]:
    async with Client(Credentials(server=server.url, token="secret")) as client:
        yield client


async def test_a_request_says_who_we_are(server: FakeServer, client: Client) -> None:
    await client.get(f"{PODS}/a")

    (request,) = server.requests
    assert request.path == f"{PODS}/a"
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.headers["User-Agent"] == f"ringfence-operator/{__version__}"


async def test_a_replacement_is_sent_whole_and_answered_as_stored(server: FakeServer, client: Client) -> None:
    server.answers(web.json_response({"metadata": {"name": "a"}}))

    stored = await client.replace(f"{PODS}/a/status", {"kind": "Pod"})

    (request,) = server.requests
    assert stored == {"metadata": {"name": "a"}}
    assert request.method == "PUT"
    assert request.path == f"{PODS}/a/status"
    assert dict(request.query) == {"fieldManager": "ringfence"}
    assert request.headers["Content-Type"] == "application/json"
    assert server.bodies == [{"kind": "Pod"}]


async def test_merge_patch_and_create_use_their_content_types(server: FakeServer, client: Client) -> None:
    await client.merge_patch(f"{PODS}/a", {"x": None})
    await client.create(PODS, {"kind": "Pod"})

    assert [(r.method, r.headers["Content-Type"]) for r in server.requests] == [
        ("PATCH", "application/merge-patch+json"),
        ("POST", "application/json"),
    ]


async def test_delete_sends_only_the_conditions_it_was_given(server: FakeServer, client: Client) -> None:
    await client.delete(f"{PODS}/a", uid="u1", grace_seconds=0)
    await client.delete(f"{PODS}/a")

    options = {"kind": "DeleteOptions", "apiVersion": "v1"}
    assert server.bodies == [
        {**options, "preconditions": {"uid": "u1"}, "gracePeriodSeconds": 0},
        options,
    ]


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (400, "", InvalidError),
        (401, "", ForbiddenError),
        (403, "", ForbiddenError),
        (404, "", NotFoundError),
        (409, "Conflict", ConflictError),
        (409, "AlreadyExists", AlreadyExistsError),
        (410, "", ExpiredError),
        (418, "", KubeError),
        (422, "", InvalidError),
        (500, "", UnavailableError),
        (503, "", UnavailableError),
    ],
)
async def test_an_error_carries_the_server_s_own_words(
    server: FakeServer, client: Client, code: int, reason: str, error: type[KubeError]
) -> None:
    server.answers(status(code, "what is wrong", reason))

    with pytest.raises(KubeError, match=r"^what is wrong$") as raised:
        await client.get(PODS)

    assert type(raised.value) is error


async def test_an_answer_of_a_proxy_is_an_error_with_its_text(server: FakeServer, client: Client) -> None:
    server.answers(web.Response(status=502, text="<h1>Bad Gateway</h1>"))

    with pytest.raises(UnavailableError, match="Bad Gateway"):
        await client.get(PODS)


async def test_a_page_that_is_not_json_is_no_answer(server: FakeServer, client: Client) -> None:
    server.answers(web.Response(text="<h1>Sign in</h1>"))

    with pytest.raises(UnavailableError):
        await client.get(PODS)


async def test_nobody_listening_is_unavailable() -> None:
    async with Client(Credentials(server="http://127.0.0.1:1")) as client:
        with pytest.raises(UnavailableError):
            await client.get(PODS)


async def test_a_server_that_does_not_answer_is_unavailable_after_the_timeout(server: FakeServer) -> None:
    async def reply(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server.reply = reply
    async with Client(Credentials(server=server.url), timeout=0.05) as client:
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(client.get(PODS), 2)


async def test_a_busy_server_gets_the_pause_it_asks_for(server: FakeServer) -> None:
    server.answers(status(429, Retry_After="2"), web.json_response({"ok": True}))
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with Client(Credentials(server=server.url), sleep=sleep) as client:
        answer = await client.replace(f"{PODS}/a", {})

    assert answer == {"ok": True}
    assert pauses == [2.0]


async def test_a_pause_longer_than_the_timeout_is_left_to_the_queue(server: FakeServer, client: Client) -> None:
    server.answers(status(429, Retry_After="60"))

    with pytest.raises(ThrottledError) as raised:
        await client.get(PODS)

    assert raised.value.retry_after == 60.0


async def test_a_server_that_stays_busy_is_not_asked_for_ever(server: FakeServer) -> None:
    server.answers(*[status(429, Retry_After="1") for _ in range(10)])

    async def sleep(_: float) -> None:
        pass

    async with Client(Credentials(server=server.url), sleep=sleep) as client:
        with pytest.raises(ThrottledError):
            await client.get(PODS)

    assert len(server.requests) == 3


WRITES: list[Callable[[Client], Awaitable[Any]]] = [
    lambda client: client.create(PODS, {}),
    lambda client: client.replace(f"{PODS}/a", {}),
    lambda client: client.merge_patch(f"{PODS}/a", {}),
    lambda client: client.delete(f"{PODS}/a"),
]


@pytest.mark.parametrize("write", WRITES, ids=["create", "replace", "merge_patch", "delete"])
async def test_who_does_not_lead_sends_no_write(server: FakeServer, write: Callable[[Client], Awaitable[Any]]) -> None:
    async with Client(Credentials(server=server.url), fence=lambda: 0.0) as client:
        with pytest.raises(NotLeaderError):
            await write(client)

    assert server.requests == []


async def test_who_does_not_lead_may_read(server: FakeServer) -> None:
    async with Client(Credentials(server=server.url), fence=lambda: 0.0) as client:
        await client.get(PODS)

    assert len(server.requests) == 1


async def test_a_write_is_given_up_when_the_term_ends(server: FakeServer) -> None:
    async def reply(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server.reply = reply
    async with Client(Credentials(server=server.url), fence=lambda: 0.05) as client:
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(client.create(PODS, {}), 2)


async def test_leadership_lost_while_the_server_was_busy_ends_the_write(server: FakeServer) -> None:
    server.answers(status(429, Retry_After="1"))
    lead = 5.0

    async def sleep(_: float) -> None:
        nonlocal lead
        lead = 0.0

    async with Client(Credentials(server=server.url), fence=lambda: lead, sleep=sleep) as client:
        with pytest.raises(NotLeaderError):
            await client.create(PODS, {})

    assert len(server.requests) == 1


async def test_writes_share_a_bounded_number_of_connections(server: FakeServer) -> None:
    open_at_once, most = 0, 0

    async def reply(_: web.Request) -> web.StreamResponse:
        nonlocal open_at_once, most
        open_at_once += 1
        most = max(most, open_at_once)
        await asyncio.sleep(0)
        open_at_once -= 1
        return web.json_response({})

    server.reply = reply
    async with Client(Credentials(server=server.url), connections=4) as client:
        await asyncio.gather(*(client.create(PODS, {}) for _ in range(40)))

    assert most <= 4
    assert len(server.requests) == 40


async def test_a_listing_is_read_page_by_page(server: FakeServer, client: Client) -> None:
    def page(names: str, token: str) -> web.Response:
        items = [{"name": name} for name in names]
        return web.json_response({"metadata": {"resourceVersion": "7", "continue": token}, "items": items})

    server.answers(page("ab", "next/page="), page("c", ""))

    pages = [page async for page in client.list_pages(PODS, limit=2, label_selector="a=b,!c")]

    assert pages == [([{"name": "a"}, {"name": "b"}], "7"), ([{"name": "c"}], "7")]
    assert [request.query.get("continue") for request in server.requests] == ["", "next/page="]
    assert {request.query["labelSelector"] for request in server.requests} == {"a=b,!c"}


async def test_a_watch_yields_events_of_any_size(server: FakeServer, client: Client) -> None:
    large = {"type": "ADDED", "object": {"data": "x" * 300_000}}
    small = {"type": "BOOKMARK", "object": {}}

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in (small, large, small):
            await response.write(orjson.dumps(event) + b"\n")
        return response

    server.reply = reply

    events = [event async for event in client.watch(PODS, "41", label_selector="a=b")]

    (request,) = server.requests
    assert events == [small, large, small]
    assert request.query["resourceVersion"] == "41"
    assert request.query["allowWatchBookmarks"] == "true"
    assert request.query["labelSelector"] == "a=b"


@pytest.mark.parametrize("in_stream", [True, False])
async def test_a_watch_from_a_forgotten_version_expires(server: FakeServer, client: Client, in_stream: bool) -> None:
    gone = {"kind": "Status", "code": 410, "message": "too old resource version: 1 (9)"}
    in_event = web.Response(body=orjson.dumps({"type": "ERROR", "object": gone}) + b"\n")
    server.answers(in_event if in_stream else web.json_response(gone, status=410))

    with pytest.raises(ExpiredError, match="too old"):
        async for _ in client.watch(PODS, "1"):
            pass


async def test_a_watch_cut_in_the_middle_is_unavailable(server: FakeServer, client: Client) -> None:
    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type": "AD')
        assert request.transport is not None
        request.transport.abort()
        return response

    server.reply = reply

    with pytest.raises(UnavailableError):
        async for _ in client.watch(PODS, "1"):
            pass


async def test_requests_are_observed_with_verb_code_and_time(server: FakeServer) -> None:
    clock = FakeClock()
    seen: list[tuple[str, str, float | None]] = []

    async def reply(request: web.Request) -> web.StreamResponse:
        clock.advance(0.5)
        return status(404) if request.method == "GET" else web.json_response({})

    server.reply = reply
    async with Client(Credentials(server=server.url), observe=lambda *seen_: seen.append(seen_), clock=clock) as client:
        await client.create(PODS, {})
        with pytest.raises(NotFoundError):
            await client.get(PODS)
        with pytest.raises(NotFoundError):
            async for _ in client.watch(PODS, "1"):
                pass

    assert seen == [("POST", "200", 0.5), ("GET", "404", 0.5), ("WATCH", "404", None)]


async def chunks(text: bytes, size: int) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_lines_are_the_same_wherever_chunks_end(size: int) -> None:
    lines = [line async for line in split_lines(chunks(b"one\ntwo\n\nthree\nunfinished", size))]

    assert lines == [b"one", b"two", b"", b"three"]
