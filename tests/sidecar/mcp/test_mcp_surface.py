"""The sidecar's MCP surface, with the official SDK as the client."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jsonschema
import msgspec
import pytest
from mcp import MCPError
from mcp.client.client import Client

from ringfence_sidecar.envelope import Envelope, Metadata
from ringfence_sidecar.errors import Status
from ringfence_sidecar.mcp.protocol import encode_result
from ringfence_sidecar.mcp.surface import result_of
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running
from tests.sidecar.rest.bed import SECONDS, Bed, serving, store

Mode = Literal["legacy", "auto"]
MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


def client_of(bed: Bed, mode: Mode, **given: Any) -> Client:
    return Client(f"{bed.url}/mcp", mode=mode, read_timeout_seconds=SECONDS, **given)


@MODES
async def test_the_client_negotiates_the_newest_revision_of_its_era(tmp_path: Path, mode: Mode) -> None:
    async with serving(tmp_path) as bed, client_of(bed, mode) as client:
        version, capabilities = client.protocol_version, client.server_capabilities

    assert version == {"legacy": "2025-11-25", "auto": "2026-07-28"}[mode]
    assert capabilities.tools is not None
    assert capabilities.tools.list_changed
    assert capabilities.prompts is None


@pytest.mark.parametrize(
    ("size", "version", "as_text", "is_structured"),
    [
        (1_000, "2025-03-26", True, True),
        (1_000, "2026-07-28", True, True),
        (2_000_000, "2025-03-26", True, False),
        (2_000_000, "2025-06-18", False, True),
        (2_000_000, "2026-07-28", False, True),
    ],
)
def test_a_large_answer_is_there_once_as_the_revision_has_it(
    size: int, version: str, as_text: bool, is_structured: bool
) -> None:
    data = msgspec.Raw(b'"' + b"x" * size + b'"')
    envelope = Envelope(Status.OK, data, "", (), (), Metadata("r-1", "t-1"))

    result = json.loads(b"".join(encode_result(1, result_of(envelope, version))))["result"]

    whole = json.loads(msgspec.json.encode(envelope))
    (content,) = result["content"]
    assert (content["text"] == msgspec.json.encode(envelope).decode()) is as_text
    assert (result.get("structuredContent") == whole) is is_structured


@MODES
async def test_each_permitted_operation_is_a_tool_that_says_what_it_does(tmp_path: Path, mode: Mode) -> None:
    server = Server()

    async with running(server), serving(tmp_path, store(server)) as bed, client_of(bed, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}

    hints = {
        name: (tool.annotations.read_only_hint, tool.annotations.destructive_hint, tool.annotations.idempotent_hint)
        for name, tool in tools.items()
        if tool.annotations
    }
    assert {name for name in tools if name.startswith("store_")} == {
        "store_get",
        "store_put",
        "store_append",
        "store_watch",
        "store_break",
    }
    assert hints["store_get"] == (True, False, True)
    assert hints["store_put"] == (False, False, True)
    assert hints["store_append"] == (False, True, False)
    assert tools["store_get"].input_schema["required"] == ["key"]
    assert {"cache_get", "cache_set", "cache_invalidate_tag", "schemas_register"} <= tools.keys()


@MODES
async def test_what_is_not_permitted_is_no_tool(tmp_path: Path, mode: Mode) -> None:
    server = Server()
    bound = store(server, permissions={"operations": ["get"]})

    async with running(server), serving(tmp_path, bound) as bed, client_of(bed, mode) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        with pytest.raises(MCPError) as caught:
            await client.call_tool("store_put", {"key": "a", "value": "b"})

    assert {name for name in names if name.startswith("store_")} == {"store_get"}
    assert caught.value.code == -32602


async def test_what_is_not_permitted_is_audited_as_refused_by_either_protocol(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = Server()
    bound = store(server, permissions={"operations": ["get"]})

    async with running(server), serving(tmp_path, bound) as bed, client_of(bed, "auto") as client:
        for tool in ("store_put", "other_get"):
            with pytest.raises(MCPError):
                await client.call_tool(tool, {"key": "a"})
        answer = await bed.call("put", {"key": "a", "value": "b"})

    said = (json.loads(line) for line in capfd.readouterr().out.splitlines() if '"decision"' in line)
    lines = {
        (line["protocol"], line["connector"], line["operation"], line["decision"], line["outcome"]) for line in said
    }
    assert answer.status_code == 404
    assert lines == {
        ("mcp", "store", "put", "refused", "notFound"),
        ("mcp", "", "other_get", "refused", "notFound"),
        ("rest", "store", "put", "refused", "notFound"),
    }
    assert server.asked == []


@MODES
async def test_a_tool_answers_with_the_envelope_as_structure_and_as_text(tmp_path: Path, mode: Mode) -> None:
    server = Server({"p-colour": "blue"})

    async with running(server), serving(tmp_path, store(server)) as bed, client_of(bed, mode) as client:
        schema = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}["store_get"]
        result = await client.call_tool("store_get", {"key": "colour"})

    assert schema is not None
    assert not result.is_error
    assert result.structured_content is not None
    assert result.structured_content["data"] == {"value": "blue"}
    assert json.loads(result.content[0].text) == result.structured_content  # type: ignore[union-attr]
    jsonschema.validate(result.structured_content, schema)


@MODES
async def test_mcp_and_rest_carry_the_same_error(tmp_path: Path, mode: Mode) -> None:
    server = Server()

    async with running(server), serving(tmp_path, store(server)) as bed, client_of(bed, mode) as client:
        schema = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}["store_get"]
        result = await client.call_tool("store_get", {"key": "secret-1"})
        problem = (await bed.call("get", {"key": "secret-1"})).json()

    envelope = result.structured_content
    assert envelope is not None
    assert schema is not None
    assert result.is_error
    assert envelope["errors"] == problem["errors"]
    assert envelope["status"] == problem["outcome"] == "refused"
    assert json.loads(result.content[0].text) == envelope  # type: ignore[union-attr]
    jsonschema.validate(envelope, schema)


@MODES
async def test_what_no_tool_has_a_result_for_carries_the_error_that_rest_answers(tmp_path: Path, mode: Mode) -> None:
    server = Server()
    bound = store(server, permissions={"operations": ["get"]})
    wrong: Any = {"ringfence.dev/timeoutSeconds": -1}

    async with running(server), serving(tmp_path, bound) as bed, client_of(bed, mode) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("store_put", {"key": "a", "value": "b"})
        with pytest.raises(MCPError) as misfit:
            await client.call_tool("store_get", {"key": "a"}, meta=wrong)
        problem = (await bed.call("put", {"key": "a", "value": "b"})).json()

    same = {"type", "title", "status", "detail", "code", "retryable", "outcome", "errors"}
    assert {name: refused.value.data[name] for name in same} == {name: problem[name] for name in same}
    assert refused.value.data["metadata"]["requestId"]
    assert (misfit.value.data["code"], misfit.value.data["retryable"]) == ("InvalidArguments", False)
    assert misfit.value.data["errors"][0]["field"] == "params._meta.ringfence.dev/timeoutSeconds"
    assert misfit.value.data["metadata"]["requestId"]


@MODES
async def test_trace_context_and_options_come_in_meta(tmp_path: Path, mode: Mode) -> None:
    server = Server({"p-a": "b"})
    wrong: Any = {"ringfence.dev/timeoutSeconds": "soon"}
    spaced: Any = {"ringfence.dev/idempotencyKey": "a b"}
    options: Any = {"traceparent": PARENT, "ringfence.dev/timeoutSeconds": 0.1}

    async with running(server), serving(tmp_path, store(server)) as bed, client_of(bed, mode) as client:
        result = await client.call_tool("store_get", {"key": "a"}, meta=options)
        server.hangs = True
        late = await client.call_tool("store_get", {"key": "b"}, meta=options)
        with pytest.raises(MCPError) as caught:
            await client.call_tool("store_get", {"key": "a"}, meta=wrong)
        with pytest.raises(MCPError, match="printable"):
            await client.call_tool("store_get", {"key": "a"}, meta=spaced)

    assert result.structured_content is not None
    assert late.structured_content is not None
    assert result.structured_content["metadata"]["traceId"] == PARENT.split("-")[1]
    assert server.parents[0].split("-")[1] == PARENT.split("-")[1]
    assert late.structured_content["errors"][0]["code"] == "DeadlineExceeded"
    assert caught.value.code == -32602


@MODES
async def test_an_idempotency_key_is_refused_where_nothing_would_be_made_of_it(tmp_path: Path, mode: Mode) -> None:
    server = Server()
    key: Any = {"ringfence.dev/idempotencyKey": "k-1"}

    async with running(server), serving(tmp_path, store(server)) as bed, client_of(bed, mode) as client:
        result = await client.call_tool("store_append", {"key": "a", "value": "b"}, meta=key)

    assert result.structured_content is not None
    assert result.structured_content["errors"][0]["code"] == "InvalidArguments"
    assert server.asked == []


@MODES
async def test_a_client_that_wants_to_hears_that_its_call_goes_on(
    tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence_sidecar.mcp.progress.EVERY_SECONDS", 0.05)
    server = Server({"p-a": "b"})
    heard: list[float] = []
    enough = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        assert message is not None
        assert message.startswith("Get: ")
        heard.append(progress)
        if len(heard) == 3:
            enough.set()

    async with running(server), serving(tmp_path, store(server)) as bed, client_of(bed, mode) as client:
        server.may_answer.clear()
        call = asyncio.create_task(client.call_tool("store_get", {"key": "a"}, progress_callback=hear))
        async with asyncio.timeout(SECONDS):
            await enough.wait()
        server.may_answer.set()
        result = await call

    assert result.structured_content is not None
    assert result.structured_content["data"] == {"value": "b"}
    assert heard[:3] == sorted(set(heard[:3]))


@MODES
async def test_a_call_that_the_client_cancels_is_cancelled_at_the_backend(tmp_path: Path, mode: Mode) -> None:
    server = Server()
    server.hangs = True

    async with running(server), serving(tmp_path, store(server)) as bed, client_of(bed, mode) as client:
        call = asyncio.create_task(client.call_tool("store_get", {"key": "a"}))
        await server.until(lambda: server.at_work == 1)
        call.cancel()
        await server.until(lambda: server.at_work == 0 and len(server.cancelled) == 1)

        server.hangs = False
        after = await client.call_tool("store_get", {"key": "a"})

    assert not after.is_error


async def test_a_handshake_client_hears_that_the_list_of_tools_has_changed(tmp_path: Path) -> None:
    server = Server()
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def hear(message: Any) -> None:
        heard.put_nowait(getattr(message, "method", ""))

    async with (
        running(server),
        serving(tmp_path, store(server)) as bed,
        client_of(bed, "legacy", message_handler=hear) as client,
    ):
        before = {tool.name for tool in (await client.list_tools()).tools}
        bed.configure(store(server, generation=2, permissions={"operations": ["get"]}), version="2")
        async with asyncio.timeout(SECONDS):
            while await heard.get() != "notifications/tools/list_changed":
                pass
        after = {tool.name for tool in (await client.list_tools()).tools}

    assert before - after == {"store_put", "store_append", "store_watch", "store_break"}


async def test_a_stateless_client_that_listens_hears_of_it_too(tmp_path: Path) -> None:
    server = Server()

    async with running(server), serving(tmp_path, store(server)) as bed, client_of(bed, "auto") as client:
        async with client.listen(tools_list_changed=True, prompts_list_changed=True) as changes:
            bed.configure(store(server, generation=2, permissions={"operations": ["get"]}), version="2")
            async with asyncio.timeout(SECONDS):
                event = await anext(changes)
            honoured = changes.honored
        after = {tool.name for tool in (await client.list_tools()).tools}

    assert type(event).__name__ == "ToolsListChanged"
    assert honoured.prompts_list_changed is None
    assert "store_put" not in after


@MODES
async def test_resources_tell_what_is_bound_and_the_schemas(tmp_path: Path, mode: Mode) -> None:
    server = Server()

    async with running(server), serving(tmp_path, store(server)) as bed, client_of(bed, mode) as client:
        uris = [resource.uri for resource in (await client.list_resources()).resources]
        templates = (await client.list_resource_templates()).resource_templates
        bound = (await client.read_resource("ringfence://connectors")).contents[0]
        schema = (await client.read_resource("ringfence://schemas/envelope")).contents[0]
        published = (await bed.client.get("/v1/schemas/envelope")).json()
        with pytest.raises(MCPError) as caught:
            await client.read_resource("ringfence://nothing")

    assert [str(uri) for uri in uris] == [
        "ringfence://schemas/envelope",
        "ringfence://schemas/problem",
        "ringfence://connectors",
        "ringfence://quota",
    ]
    assert templates == []
    assert json.loads(bound.text) == {"store": ["get", "put", "append", "watch", "break"]}  # type: ignore[union-attr]
    assert json.loads(schema.text) == published  # type: ignore[union-attr]
    assert caught.value.code == {"legacy": -32002, "auto": -32602}[mode]


@MODES
async def test_values_are_kept_over_mcp_and_seen_over_rest(tmp_path: Path, mode: Mode) -> None:
    async with serving(tmp_path) as bed, client_of(bed, mode) as client:
        await client.call_tool("cache_set", {"key": "a", "value": {"n": 1}, "tags": ["t"]})
        seen = (await bed.client.get("/v1/cache/a")).json()
        await client.call_tool("cache_invalidate_tag", {"tag": "t"})
        gone = await client.call_tool("cache_get", {"key": "a"})

    assert seen["data"] == {"value": {"n": 1}}
    assert gone.is_error
    assert gone.structured_content is not None
    assert gone.structured_content["errors"][0]["code"] == "ValueNotFound"


@MODES
async def test_a_connector_may_be_named_as_the_sidecars_own_tools_are(tmp_path: Path, mode: Mode) -> None:
    server = Server({"p-a": "b"})

    async with (
        running(server),
        serving(tmp_path, store(server, name="cache")) as bed,
        client_of(bed, mode) as client,
    ):
        put = await client.call_tool("cache_put", {"key": "a", "value": "c"})
        own = await client.call_tool("cache_get", {"key": "a"})
        got = (await bed.client.post("/v1/connectors/cache/get", json={"key": "a"})).json()

    assert not put.is_error
    assert own.structured_content is not None
    assert own.structured_content["errors"][0]["code"] == "ValueNotFound"
    assert got["data"] == {"value": "c"}


@MODES
async def test_without_a_configuration_there_are_only_refusals(tmp_path: Path, mode: Mode) -> None:
    async with serving(tmp_path, configured=False, start_seconds=0) as bed, client_of(bed, mode) as client:
        results = [await client.call_tool(name, {"key": "a"}) for name in ("cache_get", "store_get")]
        with pytest.raises(MCPError) as unread:
            await client.read_resource("ringfence://quota")

    for result in results:
        assert result.is_error
        assert result.structured_content is not None
        assert result.structured_content["errors"][0]["code"] == "NotConfigured"
    said = unread.value.data
    assert (said["code"], said["retryable"], said["retryAfterSeconds"]) == ("NotConfigured", True, 1.0)
    assert said["metadata"]["requestId"]
