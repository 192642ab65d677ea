"""What clients may send over HTTP, message by message, whether or not it makes sense."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from ringfence_sidecar.guard import Guard
from ringfence_sidecar.mcp import handshake
from ringfence_sidecar.mcp.endpoint import Endpoint
from ringfence_sidecar.mcp.server import Asked, Server
from ringfence_sidecar.mcp.tools import Tool, Tools
from ringfence_sidecar.serving import listen, server_of
from tests.ports import free_port

SECONDS = 10.0
NEW = "2026-07-28"


class Slow:
    """A tool that reports progress, and then waits until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def run(self, asked: Asked, _: Mapping[str, Any]) -> dict[str, Any]:
        if asked.progress:
            await asked.progress(0.5, "half way")
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return {"content": []}


async def _broken(_: Asked, __: Mapping[str, Any]) -> dict[str, Any]:
    raise RuntimeError("SELECT secret FROM the_other_tenant")


class Wire:
    """A client that sends what it is told to."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.session: dict[str, str] = {}

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        return await self.client.post("/mcp", json=body, headers={**self.session, **headers})

    async def initialize(self, version: str = "2025-11-25") -> httpx.Response:
        params: dict[str, Any] = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t"}}
        answer = await self.post(request("initialize", **params))
        self.session = {"mcp-session-id": answer.headers["mcp-session-id"]}
        return answer

    async def stateless(self, method: str, headers: Mapping[str, str] | None = None, **params: Any) -> httpx.Response:
        given = {"mcp-protocol-version": NEW, "mcp-method": method, "mcp-name": str(params.get("name", ""))}
        meta = {
            "io.modelcontextprotocol/protocolVersion": NEW,
            "io.modelcontextprotocol/clientCapabilities": {},
            **params.pop("meta", {}),
        }
        return await self.client.post(
            "/mcp", json=request(method, _meta=meta, **params), headers={**given, **(headers or {})}
        )


def request(method: str, number: int | str = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def notification(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


@contextlib.asynccontextmanager
async def wired(slow: Slow | None = None) -> AsyncIterator[Wire]:
    server = Server("test", "1")
    schema = {"type": "object"}
    tools = [Tool({"name": "broken", "inputSchema": schema}, _broken)]
    if slow:
        tools.append(Tool({"name": "slow", "inputSchema": schema}, slow.run))
    Tools(server).replace(tools)
    port = free_port()
    serving = server_of(Guard(Endpoint(server), max_body_bytes=1 << 20), most_connections=32, stop_seconds=1)
    with contextlib.closing(listen("127.0.0.1", port)) as made:
        task = asyncio.create_task(serving.serve(sockets=[made]))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS, trust_env=False) as client:
            yield Wire(client)
        serving.should_exit = True
        await task


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
async def test_a_handshake_agrees_on_the_clients_revision(version: str) -> None:
    async with wired() as wire:
        answer = await wire.initialize(version)
        accepted = await wire.post(notification("notifications/initialized"))
        pong = await wire.post(request("ping"), **{"mcp-protocol-version": version})

    assert answer.json()["result"]["protocolVersion"] == version
    assert (accepted.status_code, accepted.content) == (202, b"")
    assert pong.json() == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_a_revision_that_is_not_known_is_answered_with_one_that_is() -> None:
    async with wired() as wire:
        answer = await wire.initialize("1999-01-01")

    assert answer.json()["result"]["protocolVersion"] == "2025-11-25"


async def test_a_session_is_needed_ends_when_deleted_and_its_calls_with_it() -> None:
    slow = Slow()

    async with wired(slow) as wire:
        without = await wire.post(request("tools/list"))
        await wire.initialize()
        call = asyncio.create_task(wire.post(request("tools/call", name="slow")))
        await asyncio.wait_for(slow.begun.wait(), SECONDS)
        ended = await wire.client.delete("/mcp", headers=wire.session)
        await asyncio.wait_for(slow.cancelled.wait(), SECONDS)
        after = await wire.post(request("tools/list"))
        cancelled = await call

    assert without.status_code == 400
    assert ended.status_code == 204
    assert after.status_code == 404
    assert cancelled.json()["error"]["code"] == -32000


async def test_the_session_unused_for_longest_makes_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "MOST_SESSIONS", 3)

    async with wired() as wire:
        sessions = [await begun(wire) for _ in range(3)]
        wire.session = sessions[0]
        await wire.post(request("ping"))
        sessions.append(await begun(wire))
        answers = []
        for wire.session in sessions:
            answers.append((await wire.post(request("ping"))).status_code)

    assert answers == [200, 404, 200, 200]


async def begun(wire: Wire) -> dict[str, str]:
    """A new session."""
    wire.session = {}
    await wire.initialize()
    return wire.session


async def test_a_header_with_another_revision_than_those_served_is_refused() -> None:
    async with wired() as wire:
        await wire.initialize()
        old = await wire.post(request("ping"), **{"mcp-protocol-version": "2024-11-05"})
        future = await wire.post(request("ping"), **{"mcp-protocol-version": "2999-01-01"})

    assert old.status_code == 400
    assert future.status_code == 400


async def test_only_the_session_that_made_a_call_can_cancel_it() -> None:
    slow = Slow()

    async with wired(slow) as wire, contextlib.AsyncExitStack() as stack:
        other = Wire(wire.client)
        await wire.initialize()
        await other.initialize()
        call = asyncio.create_task(wire.post(request("tools/call", 7, name="slow")))
        await asyncio.wait_for(slow.begun.wait(), SECONDS)
        await other.post(notification("notifications/cancelled", requestId=7))
        is_untouched = not slow.cancelled.is_set()
        twice = await wire.post(request("tools/call", 7, name="slow"))
        await wire.post(notification("notifications/cancelled", requestId=7, reason="no need"))
        await asyncio.wait_for(slow.cancelled.wait(), SECONDS)
        answer = await call
        stack.pop_all()

    assert is_untouched
    assert twice.json()["error"]["code"] == -32600
    assert answer.json()["error"]["code"] == -32000


async def test_progress_turns_the_answer_into_events() -> None:
    slow = Slow()
    slow.go.set()
    meta = {"progressToken": "p-1"}

    async with wired(slow) as wire:
        await wire.initialize()
        older = await wire.post(request("tools/call", name="slow", _meta=meta))
        newer = await wire.stateless("tools/call", name="slow", meta=meta)
        plain = await wire.post(request("tools/call", name="slow", _meta=meta), accept="application/json")

    for answer in (older, newer):
        assert answer.headers["content-type"] == "text/event-stream"
        first, last = [part.partition("data: ")[2] for part in answer.text.strip().split("\n\n")]
        assert '"progressToken":"p-1","progress":0.5,"message":"half way"' in first
        assert '"id":1' in last
    assert plain.headers["content-type"] == "application/json"


@pytest.mark.parametrize("era", ["handshake", "stateless"])
async def test_a_client_that_goes_away_cancels_its_call(era: str) -> None:
    slow = Slow()

    async with wired(slow) as wire:
        await wire.initialize()
        sent = (
            wire.post(request("tools/call", name="slow"))
            if era == "handshake"
            else wire.stateless("tools/call", name="slow")
        )
        call = asyncio.create_task(sent)
        await asyncio.wait_for(slow.begun.wait(), SECONDS)
        call.cancel()

        await asyncio.wait_for(slow.cancelled.wait(), SECONDS)


async def test_several_messages_in_a_body_are_served_in_the_one_revision_that_has_them() -> None:
    batch = [request("ping", 1), notification("notifications/initialized"), request("nothing", 2)]

    async with wired() as wire:
        await wire.initialize("2025-03-26")
        served = await wire.post(batch)
        quiet = await wire.post(batch[1:2])
        wire.session = {}
        await wire.initialize("2025-06-18")
        refused = await wire.post(batch)

    assert [each["id"] for each in served.json()] == [1, 2]
    assert served.json()[1]["error"]["code"] == -32601
    assert quiet.status_code == 202
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32600)


async def test_what_a_batch_answers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "MOST_BYTES_IN_BATCH", 1)
    monkeypatch.setattr(handshake, "AT_ONCE_IN_BATCH", 2)

    async with wired() as wire:
        await wire.initialize("2025-03-26")
        answers = (await wire.post([request("ping", number) for number in range(4)])).json()

    served = [each["id"] for each in answers if "result" in each]
    assert [each["id"] for each in answers] == [0, 1, 2, 3]
    assert 1 <= len(served) <= 2
    assert "in another one" in answers[-1]["error"]["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32600),
        (b"[]", -32600),
        (b'"text"', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', -32600),
        (b'{"jsonrpc":"2.0"}', -32600),
    ],
)
async def test_what_is_no_message_is_refused_with_the_protocols_code(body: bytes, code: int) -> None:
    async with wired() as wire:
        await wire.initialize()
        headers = {**wire.session, "content-type": "application/json"}
        answer = await wire.client.post("/mcp", content=body, headers=headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert answer.json()["id"] is None


async def test_a_failure_inside_says_nothing_of_what_happened() -> None:
    async with wired() as wire:
        await wire.initialize()
        older = await wire.post(request("tools/call", name="broken"))
        newer = await wire.stateless("tools/call", name="broken")

    for answer in (older, newer):
        assert answer.json()["error"]["code"] == -32603
        assert "tenant" not in answer.text


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"mcp-protocol-version": "2025-11-24"}, -32020),
        ({"mcp-method": "ping"}, -32020),
        ({"mcp-name": "other"}, -32020),
        ({"mcp-name": "=?base64?!?="}, -32020),
    ],
)
async def test_headers_that_contradict_the_body_are_refused(headers: dict[str, str], code: int) -> None:
    async with wired() as wire:
        answer = await wire.stateless("tools/call", headers, name="broken")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


async def test_a_name_that_fits_no_header_comes_as_base64() -> None:
    async with wired() as wire:
        answer = await wire.stateless("tools/call", {"mcp-name": "=?base64?YnJva2Vu?="}, name="broken")

    assert answer.json()["error"]["code"] == -32603


async def test_methods_of_the_other_era_do_not_exist() -> None:
    async with wired() as wire:
        ping = await wire.stateless("ping")
        await wire.initialize()
        discover = await wire.post(request("server/discover"))

    assert (ping.status_code, ping.json()["error"]["code"]) == (404, -32601)
    assert (discover.status_code, discover.json()["error"]["code"]) == (200, -32601)


async def test_an_answer_that_the_client_cannot_read_is_not_given() -> None:
    async with wired() as wire:
        await wire.initialize()
        posted = await wire.post(request("ping"), accept="text/html")
        got = await wire.client.get("/mcp", headers={**wire.session, "accept": "application/json"})
        put = await wire.client.put("/mcp", json={})

    assert (posted.status_code, got.status_code, put.status_code) == (406, 406, 405)


async def test_a_newer_listener_of_a_session_takes_over_from_the_one_before() -> None:
    events = {"accept": "text/event-stream"}

    async with wired() as wire:
        await wire.initialize()
        headers = {**wire.session, **events}
        async with (
            wire.client.stream("GET", "/mcp", headers=headers) as first,
            wire.client.stream("GET", "/mcp", headers=headers) as second,
        ):
            ended = await asyncio.wait_for(first.aread(), SECONDS)

    assert ended == b""
    assert second.status_code == 200
