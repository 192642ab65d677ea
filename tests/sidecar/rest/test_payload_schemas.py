from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running
from tests.sidecar.rest.bed import Bed, serving, store

COLOURS = {"type": "object", "properties": {"key": {"type": "string"}, "value": {"enum": ["red", "blue"]}}}


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


async def register(bed: Bed, name: str = "colours", **changes: Any) -> dict[str, Any]:
    body = {"schema": COLOURS, "connector": "store", "operation": "put", **changes}
    answer = await bed.client.put(f"/v1/schemas/{name}", json=body)
    return {"http": answer.status_code, **answer.json()}


@pytest.mark.parametrize(
    ("mode", "status", "stored"), [("strict", 422, {}), ("permissive", 422, {}), ("loose", 200, 1)]
)
async def test_a_payload_that_does_not_fit_is_refused_unless_the_mode_is_loose(
    tmp_path: Path, mode: str, status: int, stored: Any
) -> None:
    server = Server()

    async with running(server), serving(tmp_path, store(server)) as bed:
        await register(bed, mode=mode)
        answer = await bed.call("put", {"key": "a", "value": "green"})

    assert answer.status_code == status
    assert bool(server.store) is bool(stored)
    if mode == "loose":
        assert answer.json()["warnings"][0]["code"] == "PayloadDoesNotFit"
    else:
        assert answer.json()["code"] == "InvalidPayload"
        assert "value" in answer.json()["detail"]
        assert "green" not in answer.json()["detail"]


@pytest.mark.parametrize(("mode", "status"), [("strict", 422), ("permissive", 200)])
async def test_only_strict_refuses_members_that_the_schema_does_not_name(
    tmp_path: Path, mode: str, status: int
) -> None:
    server = Server()
    schema = {"type": "object", "properties": {"key": {"type": "string"}}}

    async with running(server), serving(tmp_path, store(server)) as bed:
        await register(bed, mode=mode, schema=schema)
        answer = await bed.call("put", {"key": "a", "value": "green"})

    assert answer.status_code == status


async def test_a_path_leads_to_the_payload_and_its_text_may_be_json(tmp_path: Path) -> None:
    server = Server()
    schema = {"type": "integer"}

    async with running(server), serving(tmp_path, store(server)) as bed:
        await register(bed, schema=schema, path="value", jsonText=True)
        number = await bed.call("put", {"key": "a", "value": "7"})
        word = await bed.call("put", {"key": "a", "value": "seven"})

    assert number.status_code == 200
    assert (word.status_code, word.json()["errors"][0]["field"]) == (422, "arguments.value")


async def test_a_schema_is_shown_replaced_and_removed(tmp_path: Path) -> None:
    server = Server()

    async with running(server), serving(tmp_path, store(server)) as bed:
        await register(bed)
        shown = (await bed.client.get("/v1/schemas/colours")).json()
        listed = (await bed.client.get("/v1/schemas")).json()
        await bed.client.delete("/v1/schemas/colours")
        gone = await bed.client.get("/v1/schemas/colours")
        served = await bed.call("put", {"key": "a", "value": "green"})

    assert shown["data"]["schema"] == COLOURS
    assert listed["data"]["schemas"]["colours"]["mode"] == "strict"
    assert gone.status_code == 404
    assert served.status_code == 200


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "nothing"}, "no JSON Schema"),
        ({"$ref": "http://127.0.0.1:1/x"}, "outside of the schema"),
        ({"$ref": "file:///etc/passwd"}, "outside of the schema"),
        ({"description": "x" * 70_000}, "longer than"),
        ({"pattern": "(?=a)b"}, "no JSON Schema"),
    ],
)
async def test_a_schema_that_cannot_be_used_is_refused_when_it_is_registered(
    tmp_path: Path, schema: dict[str, Any], says: str
) -> None:
    async with serving(tmp_path, store(Server())) as bed:
        answer = await register(bed, schema=schema)

    assert (answer["http"], answer["code"]) == (400, "InvalidArguments")
    assert says in answer["detail"]


@pytest.mark.parametrize(
    ("target", "field", "says"),
    [
        ({"connector": "stroe"}, "connector", "'stroe' is no connector that is bound: there is store"),
        ({"operation": "putt"}, "operation", "'putt' is no operation of store: there is get, put, append"),
        ({"path": "valeu"}, "path", "'valeu' is nothing in arguments: there is key, value"),
        ({"path": "value.*"}, "path", "'*' is nothing in arguments.value: there is nothing"),
    ],
)
async def test_a_schema_for_payloads_that_no_call_has_is_refused_with_what_there_is(
    tmp_path: Path, target: dict[str, str], field: str, says: str
) -> None:
    async with serving(tmp_path, store(Server())) as bed:
        answer = await register(bed, **target)
        listed = (await bed.client.get("/v1/schemas")).json()

    assert (answer["http"], answer["code"]) == (400, "InvalidArguments")
    assert answer["errors"][0]["field"] == f"arguments.{field}"
    assert says in answer["detail"]
    assert listed["data"]["schemas"] == {}


async def test_the_sidecars_own_schemas_cannot_be_replaced_and_there_is_a_most(tmp_path: Path) -> None:
    async with serving(tmp_path, store(Server())) as bed:
        own = await register(bed, "envelope")
        answers = [await register(bed, f"s{number}") for number in range(65)]

    assert (own["http"], own["code"]) == (409, "Conflict")
    assert [answer["http"] for answer in answers] == [200] * 64 + [409]
    assert answers[-1]["code"] == "TooManySchemas"
