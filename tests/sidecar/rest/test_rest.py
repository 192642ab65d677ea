import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from ringfence_sidecar.configuration import CachePolicy
from ringfence_sidecar.connectors.rabbitmq.operations import PUBLISH, RECEIVE
from ringfence_sidecar.rest.openapi import document_of
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running
from tests.sidecar.rest.bed import SECONDS, serving, store

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENVELOPE = {"status", "data", "message", "errors", "warnings", "metadata"}


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


async def test_a_call_is_answered_by_an_envelope_that_fits_the_published_schema(tmp_path: Path) -> None:
    server = Server({"p-colour": "blue"})

    async with running(server), serving(tmp_path, store(server)) as bed:
        answer = await bed.call("get", {"key": "colour"})
        schema = (await bed.client.get("/v1/schemas/envelope")).json()

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["data"] == {"value": "blue"}
    assert answer.json().keys() == ENVELOPE
    jsonschema.validate(answer.json(), schema)


@pytest.mark.parametrize(
    ("operation", "arguments", "says"),
    [
        ("get", {}, (400, "invalid", "InvalidArguments")),
        ("get", {"key": "secret-1"}, (403, "refused", "NotPermitted")),
        ("nothing", {}, (404, "notFound", "NotFound")),
        ("break", {"key": "a"}, (500, "internal", "Internal")),
    ],
)
async def test_what_is_not_served_is_a_problem_document_with_the_envelopes_members(
    tmp_path: Path, operation: str, arguments: Any, says: tuple[int, str, str]
) -> None:
    server = Server()

    async with running(server), serving(tmp_path, store(server)) as bed:
        answer = await bed.call(operation, arguments)
        schema = (await bed.client.get("/v1/schemas/problem")).json()

    problem = answer.json()
    status, outcome, code = says
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["outcome"], problem["code"]) == (outcome, code)
    assert problem["type"] == f"urn:ringfence:problem:{code}"
    assert problem["retryable"] is False
    assert problem.keys() >= ENVELOPE
    jsonschema.validate(problem, schema)
    assert "other_tenant" not in answer.text


async def test_a_sidecar_without_a_configuration_refuses_calls_and_says_when_to_try_again(tmp_path: Path) -> None:
    async with serving(tmp_path, configured=False, start_seconds=0) as bed:
        call = await bed.call("get", {"key": "a"})
        value = await bed.client.get("/v1/cache/a")
        ready = await bed.client.get("/readyz")
        alive = await bed.client.get("/healthz")

    for answer in (call, value):
        assert answer.status_code == 503
        assert answer.json()["code"] == "NotConfigured"
        assert answer.json()["retryable"] is True
        assert answer.json()["retryAfterSeconds"] == 1
        assert answer.headers["retry-after"] == "1"
    assert (ready.status_code, ready.text) == (503, "no configuration from the operator yet\n")
    assert alive.status_code == 200


async def test_trace_and_request_id_come_in_reach_the_backend_and_go_out(tmp_path: Path) -> None:
    server = Server({"p-a": "b"})

    async with running(server), serving(tmp_path, store(server)) as bed:
        answer = await bed.call("get", {"key": "a"}, **{"traceparent": PARENT, "x-request-id": "r-77"})
        other = await bed.call("get", {"key": "a"}, **{"traceparent": "nonsense", "x-request-id": "not / an id"})

    trace = PARENT.split("-")[1]
    assert answer.headers["x-request-id"] == answer.json()["metadata"]["requestId"] == "r-77"
    assert answer.headers["traceparent"].split("-")[1] == answer.json()["metadata"]["traceId"] == trace
    assert server.parents[0].split("-")[1] == trace
    assert other.headers["x-request-id"] == other.json()["metadata"]["requestId"] != "not / an id"
    assert other.json()["metadata"]["traceId"] != trace


async def test_no_cache_asks_the_backend_again(tmp_path: Path) -> None:
    server = Server({"p-a": "b"})

    async with running(server), serving(tmp_path, store(server, cache=CachePolicy(ttl_seconds=60))) as bed:
        first = await bed.call("get", {"key": "a"})
        kept = await bed.call("get", {"key": "a"})
        anew = await bed.call("get", {"key": "a"}, **{"cache-control": "no-cache"})

    layers = [answer.json()["metadata"]["cache"]["layer"] for answer in (first, kept, anew)]
    assert layers == ["none", "local", "none"]
    assert server.asked == ["GET p-a", "GET p-a"]


async def test_a_call_ends_at_the_time_that_its_header_gives(tmp_path: Path) -> None:
    server = Server()
    server.hangs = True

    async with running(server), serving(tmp_path, store(server)) as bed:
        late = await bed.call("get", {"key": "a"}, **{"x-timeout-seconds": "0.1"})
        wrong = await bed.call("get", {"key": "a"}, **{"x-timeout-seconds": "soon"})

    assert (late.status_code, late.json()["code"]) == (504, "DeadlineExceeded")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "InvalidHeader")


async def test_a_client_that_goes_away_cancels_its_call_at_the_backend(tmp_path: Path) -> None:
    server = Server()
    server.hangs = True

    async with running(server), serving(tmp_path, store(server)) as bed:
        call = asyncio.create_task(bed.call("get", {"key": "a"}))
        await server.until(lambda: server.at_work == 1)
        call.cancel()
        await server.until(lambda: len(server.cancelled) == 1)

        await server.until(lambda: server.at_work == 0)

    assert server.asked == ["GET p-a"]


async def test_an_operation_that_streams_answers_with_an_event_for_each_piece(tmp_path: Path) -> None:
    server = Server({"p-a": "b"})

    async with running(server), serving(tmp_path, store(server)) as bed:
        answer = await bed.client.post("/v1/connectors/store/watch/stream", json={"key": "a"})
        refused = await bed.client.post("/v1/connectors/store/get/stream", json={"key": "a"})

    events = [part.split("\n") for part in answer.text.strip().split("\n\n")]
    assert answer.headers["content-type"] == "text/event-stream"
    assert [name for name, _ in events] == ["event: envelope"] * 3 + ["event: end"]
    assert json.loads(events[0][1].removeprefix("data: "))["data"] == {"value": "b"}
    assert (refused.status_code, refused.json()["code"]) == (400, "InvalidArguments")


async def test_a_client_that_leaves_a_stream_cancels_it(tmp_path: Path) -> None:
    server = Server({"p-a": "b"})
    server.pieces = 1_000_000
    server.delay = 0.01

    async with running(server), serving(tmp_path, store(server)) as bed:
        async with bed.client.stream("POST", "/v1/connectors/store/watch/stream", json={"key": "a"}) as answer:
            async for _ in answer.aiter_lines():
                break

        await server.until(lambda: server.at_work == 0 and len(server.cancelled) == 1)


async def test_a_batch_answers_with_an_envelope_for_each_call_in_their_order(tmp_path: Path) -> None:
    server = Server({"p-a": "1", "p-b": "2"})
    calls = [
        {"connector": "store", "operation": "get", "arguments": {"key": "a"}},
        {"connector": "store", "operation": "get", "arguments": {"key": "secret"}},
        {"connector": "store", "operation": "get", "arguments": {"key": "b"}},
    ]

    async with running(server), serving(tmp_path, store(server)) as bed:
        answer = await bed.client.post("/v1/batch", json={"calls": calls}, headers={"x-request-id": "r-1"})

    envelope = answer.json()
    items = envelope["data"]["items"]
    assert answer.status_code == 200
    assert envelope["status"] == "partial"
    assert [item["status"] for item in items] == ["ok", "refused", "ok"]
    assert [item["data"] and item["data"]["value"] for item in items] == ["1", None, "2"]
    assert [error["index"] for error in envelope["errors"]] == [1]
    assert [item["metadata"]["requestId"] for item in items] == ["r-1-0", "r-1-1", "r-1-2"]


async def test_no_more_calls_of_a_batch_run_at_once_than_it_says(tmp_path: Path) -> None:
    server = Server()
    server.delay = 0.02
    calls = [{"connector": "store", "operation": "get", "arguments": {"key": f"k{n}"}} for n in range(12)]

    async with running(server), serving(tmp_path, store(server)) as bed:
        answer = await bed.client.post("/v1/batch", json={"calls": calls, "concurrency": 2})
        refused = await bed.client.post("/v1/batch", json={"calls": calls, "concurrency": 1000})

    assert answer.json()["status"] == "ok"
    assert server.most_at_work == 2
    assert (refused.status_code, refused.json()["code"]) == (400, "InvalidArguments")


async def test_a_batch_begins_no_further_call_once_its_answers_have_too_many_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server({"p-a": "x" * 50})
    monkeypatch.setattr("ringfence_sidecar.rest.batch.MOST_BYTES", 1000)
    calls = [{"connector": "store", "operation": "get", "arguments": {"key": "a"}} for _ in range(12)]

    async with running(server), serving(tmp_path, store(server)) as bed:
        answer = await bed.client.post("/v1/batch", json={"calls": calls, "concurrency": 1})

    envelope = answer.json()
    statuses = [item["status"] for item in envelope["data"]["items"]]
    served = statuses.count("ok")
    assert envelope["status"] == "partial"
    assert 1 < served < 12
    assert statuses == ["ok"] * served + ["limited"] * (12 - served)
    assert {(error["code"], error["retryable"]) for error in envelope["errors"]} == {("BatchTooLarge", True)}
    assert len(server.asked) == served


async def test_values_are_kept_got_and_forgotten_by_key_and_by_tag(tmp_path: Path) -> None:
    async with serving(tmp_path) as bed:
        client = bed.client
        put = await client.put("/v1/cache/a%2Fb", json={"value": {"n": 1}, "ttlSeconds": 60, "tags": ["t"]})
        got = await client.get("/v1/cache/a%2Fb")
        await client.put("/v1/cache/c", json={"value": [2]})
        await client.post("/v1/cache/invalidate_tag", json={"tag": "t"})
        dropped = await client.get("/v1/cache/a%2Fb")
        other = await client.get("/v1/cache/c")
        await client.delete("/v1/cache/c")
        deleted = await client.get("/v1/cache/c")

    assert put.status_code == 200
    assert got.json()["data"] == {"value": {"n": 1}}
    assert got.json()["metadata"]["cache"]["hit"] is True
    assert (dropped.status_code, dropped.json()["code"]) == (404, "ValueNotFound")
    assert other.json()["data"] == {"value": [2]}
    assert deleted.status_code == 404


async def test_a_change_of_the_configuration_changes_what_is_there(tmp_path: Path) -> None:
    server = Server({"p-a": "b"})

    async with running(server), serving(tmp_path, store(server)) as bed:
        before = (await bed.client.get("/v1/connectors")).json()
        paths = (await bed.client.get("/v1/openapi.json")).json()["paths"]
        bed.configure(store(server, generation=2, permissions={"operations": ["get"]}), version="2")
        async with asyncio.timeout(SECONDS):
            while (after := (await bed.client.get("/v1/connectors")).json()) == before:  # noqa: ASYNC110 - as an agent does
                await asyncio.sleep(0.02)
        paths_after = (await bed.client.get("/v1/openapi.json")).json()["paths"]

    assert [each["name"] for each in before["connectors"][0]["operations"]] == [
        "get",
        "put",
        "append",
        "watch",
        "break",
    ]
    assert [each["name"] for each in after["connectors"][0]["operations"]] == ["get"]
    assert paths.keys() - paths_after.keys() == {
        "/v1/connectors/store/put",
        "/v1/connectors/store/append",
        "/v1/connectors/store/watch",
        "/v1/connectors/store/watch/stream",
        "/v1/connectors/store/break",
    }


async def test_a_connector_is_described_with_schemas_of_its_arguments_and_answers(tmp_path: Path) -> None:
    server = Server({"p-a": "b"})

    async with running(server), serving(tmp_path, store(server)) as bed:
        described = (await bed.client.get("/v1/connectors/store")).json()
        envelope = (await bed.call("get", {"key": "a"})).json()
        missing = await bed.client.get("/v1/connectors/shop")

    get = described["operations"][0]
    jsonschema.validate({"key": "a"}, get["arguments"])
    jsonschema.validate(envelope, get["envelope"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"key": 1}, get["arguments"])
    assert missing.status_code == 404


async def test_the_openapi_document_names_every_path_and_all_its_references_lead_somewhere(tmp_path: Path) -> None:
    server = Server()

    async with running(server), serving(tmp_path, store(server)) as bed:
        document = (await bed.client.get("/v1/openapi.json")).json()

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from [value for key, value in node.items() if key == "$ref" and isinstance(value, str)]
            node = list(node.values())
        for each in node if isinstance(node, list) else []:
            yield from references(each)

    assert document["openapi"] == "3.1.0"
    assert "/v1/connectors/store/get" in document["paths"]
    assert {"/v1/batch", "/v1/cache/{key}", "/v1/schemas/{name}", "/v1/docs"} <= document["paths"].keys()
    identities = [item["operationId"] for path in document["paths"].values() for item in path.values()]
    assert len(set(identities)) == len(identities)
    for reference in set(references(document)):
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step.replace("~1", "/")]


async def test_an_idempotency_key_is_refused_where_nothing_would_be_made_of_it(tmp_path: Path) -> None:
    server = Server()
    key = {"idempotency-key": "k-1"}
    pair = {"connector": "store", "operation": "append", "arguments": {"key": "a", "value": "b"}}

    async with running(server), serving(tmp_path, store(server)) as bed:
        call = await bed.call("append", pair["arguments"], **key)
        stream = await bed.call("watch/stream", {"key": "a"}, **key)
        value = await bed.client.put("/v1/cache/a", json={"value": 1}, headers=key)
        batch = await bed.client.post("/v1/batch", json={"calls": [pair]}, headers=key)
        inner = await bed.client.post("/v1/batch", json={"calls": [{**pair, "idempotencyKey": "k-1"}]})
        spaced = await bed.client.post("/v1/batch", json={"calls": [{**pair, "idempotencyKey": "k 1"}]})

    for refused in (call, stream, value):
        assert (refused.status_code, refused.json()["code"]) == (400, "InvalidArguments")
        assert "takes no idempotency key" in refused.json()["detail"]
    assert (batch.status_code, batch.json()["code"]) == (400, "InvalidHeader")
    assert inner.json()["data"]["items"][0]["status"] == "invalid"
    assert (spaced.status_code, spaced.json()["code"]) == (400, "InvalidArguments")
    assert server.asked == []


def test_only_what_takes_an_idempotency_key_says_so_in_the_openapi_document() -> None:
    document = document_of({"events": (PUBLISH, RECEIVE)}, ())

    parameters = {
        path: [each["$ref"].rpartition("/")[2] for each in item["post"]["parameters"]]
        for path, item in document["paths"].items()
    }
    assert [path for path, names in parameters.items() if "Idempotency-Key" in names] == [
        "/v1/connectors/events/publish"
    ]
    assert all("X-Request-Id" in names for names in parameters.values())


async def test_the_docs_page_takes_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with serving(tmp_path) as bed:
        page = await bed.client.get("/v1/docs")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http://" not in page.text
    assert "https://" not in page.text


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [("GET", "/v1/nothing", 404, None), ("GET", "/v1/batch", 405, "POST"), ("GET", "/other", 404, None)],
)
async def test_other_paths_and_methods_are_refused_with_what_there_is(
    tmp_path: Path, method: str, path: str, status: int, allowed: str | None
) -> None:
    async with serving(tmp_path) as bed:
        answer = await bed.client.request(method, path)

    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers.get("allow") == allowed


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_refused(tmp_path: Path, body: bytes) -> None:
    async with serving(tmp_path) as bed:
        answer = await bed.client.post(
            "/v1/connectors/store/get", content=body, headers={"content-type": "application/json"}
        )

    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidJson")


async def test_a_client_that_never_reads_holds_no_more_than_its_stream(tmp_path: Path) -> None:
    async with serving(tmp_path, max_connections=3) as bed:
        readers = [await asyncio.open_connection("127.0.0.1", int(bed.url.rpartition(":")[2])) for _ in range(3)]
        async with httpx.AsyncClient(base_url=bed.url, trust_env=False) as client:
            busy = await client.get("/healthz")
        for _, writer in readers:
            writer.close()
            await writer.wait_closed()

    assert busy.status_code == 503
