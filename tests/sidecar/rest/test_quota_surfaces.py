"""What agents see of their quotas: refusals, headers of every answer, and where they stand, over REST and MCP."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
from mcp.client.client import Client

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.configuration import Limit, Standing, Used
from ringfence_sidecar.limiter import Limiter
from ringfence_sidecar.quota import Ask
from tests.backends.waiting import eventually
from tests.sidecar.plugin.bed import configuration
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running
from tests.sidecar.rest.bed import SECONDS, Bed, serving, store

MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


def limit(resource: str, most: float, **changes: Any) -> Limit:
    return Limit(
        **{"quota": "team", "quota_uid": "q-1", "resource": resource, "max": most, "window": "Hour", **changes}
    )


async def until_limits(bed: Bed, wanted: list[float]) -> None:
    """Return once these limits are in force."""
    async with asyncio.timeout(SECONDS):
        while await _limits(bed) != wanted:  # noqa: ASYNC110 - as an agent does
            await asyncio.sleep(0.01)


async def _limits(bed: Bed) -> list[float]:
    return [each["limit"] for each in (await bed.client.get("/v1/quota")).json()["limits"]]


async def test_a_refusal_is_a_problem_document_that_says_which_limit_and_when_to_come_back(tmp_path: Path) -> None:
    server = Server()

    async with running(server), serving(tmp_path, store(server), limits=(limit("queries", 1),)) as bed:
        served = await bed.call("get", {"key": "colour"})
        refused = await bed.call("get", {"key": "colour"})
        schema = (await bed.client.get("/v1/schemas/problem")).json()

    document = refused.json()
    assert (served.status_code, refused.status_code) == (200, 429)
    assert refused.headers["content-type"] == "application/problem+json"
    assert (document["quota"], document["resource"], document["limit"], document["used"]) == ("team", "queries", 1, 1)
    assert (document["window"], document["scope"], document["retryable"]) == ("Hour", "PerAgent", True)
    assert document["type"] == "urn:ringfence:problem:QuotaExceeded"
    assert 0 < document["retryAfterSeconds"] <= 3780
    assert int(refused.headers["retry-after"]) >= document["retryAfterSeconds"]
    assert document["errors"][0]["resource"] == "queries"
    jsonschema.validate(document, schema)


@MODES
async def test_over_mcp_the_error_is_the_same_and_a_call_of_a_tool_is_counted(
    tmp_path: Path, mode: Literal["legacy", "auto"]
) -> None:
    server = Server()
    limits = (limit("toolCalls", 1), limit("apiCalls", 100))

    async with (
        running(server),
        serving(tmp_path, store(server), limits=limits) as bed,
        Client(f"{bed.url}/mcp", mode=mode, read_timeout_seconds=SECONDS) as client,
    ):
        by_rest = await bed.call("get", {"key": "colour"})
        served = await client.call_tool("store_get", {"key": "colour"})
        refused = await client.call_tool("store_get", {"key": "colour"})
        standing = (await bed.client.get("/v1/quota")).json()["limits"]

    content = refused.structured_content
    assert content is not None
    assert (by_rest.status_code, served.is_error, refused.is_error) == (200, False, True)
    [error] = content["errors"]
    assert (error["code"], error["quota"], error["resource"], error["limit"]) == (
        "QuotaExceeded",
        "team",
        "toolCalls",
        1,
    )
    assert (error["used"], error["window"], error["scope"], error["retryable"]) == (1, "Hour", "PerAgent", True)
    assert 0 < error["retryAfterSeconds"] <= 3780
    assert "toolCalls" in error["message"]
    assert {each["resource"]: each["used"] for each in standing} == {"toolCalls": 1, "apiCalls": 2}


async def test_every_answer_says_where_limits_on_calls_stand_in_structured_fields(tmp_path: Path) -> None:
    server = Server()
    limits = (
        limit("apiCalls", 4, calendar=True),
        limit("toolCalls", 9, window="Minute"),
        limit("rows", 5),
        limit("cacheBytes", 10, window="None"),
    )

    async with running(server), serving(tmp_path, store(server), limits=limits) as bed:
        left = [
            (await bed.call("get", {"key": "colour"}), 3),
            (await bed.call("get", {}), 3),
            (await bed.client.get("/v1/nothing"), 3),
            (await bed.client.get("/v1/cache/a", headers={"host": "elsewhere"}), 3),
            (await bed.client.put("/v1/cache/a", json={"value": "1"}), 2),
            (await bed.client.put("/v1/cache/a", json={"value": "12345678901"}), 2),
            (await bed.client.post("/v1/connectors/store/watch/stream", json={"key": "colour"}), 1),
            *[
                (await bed.client.get(path), 1)
                for path in ("/v1/quota", "/v1/docs", "/v1/openapi.json", "/v1/connectors")
            ],
            (await bed.call("get", {"key": "colour"}), 0),
            (await bed.call("get", {"key": "colour"}), 0),
            (await bed.client.post("/mcp", json={}), 0),
        ]

    policy = '"team/apiCalls/Hour/PerAgent";q=4;w=3600, "team/toolCalls/Minute/PerAgent";q=9;w=60'
    statuses = [200, 400, 404, 403, 200, 429, 200, 200, 200, 200, 200, 200, 429]
    assert [answer.status_code for answer, _ in left[:-1]] == statuses
    for answer, remaining in left:
        assert answer.headers["ratelimit-policy"] == policy
        calls, tools = answer.headers["ratelimit"].split(", ")
        assert calls.startswith(f'"team/apiCalls/Hour/PerAgent";r={remaining};t='), answer.url
        assert tools.startswith('"team/toolCalls/Minute/PerAgent";r=9')
        assert 0 <= int(calls.rpartition("=")[2]) <= 3600


async def test_limits_on_queries_and_bytes_are_among_them_by_their_units(tmp_path: Path) -> None:
    server = Server()
    limits = (limit("queries", 5), limit("bytesReturned", 1000, shared=True, on_store_unavailable="Allow"))

    async with running(server), serving(tmp_path, store(server), limits=limits) as bed:
        answer = await bed.call("get", {"key": "colour"})

    assert answer.headers["ratelimit-policy"] == (
        '"team/queries/Hour/PerAgent";q=5;w=3600, "team/bytesReturned/Hour/Shared";q=1000;qu="content-bytes";w=3600'
    )
    assert answer.headers["ratelimit"].startswith('"team/queries/Hour/PerAgent";r=4;t=')


async def test_where_no_limit_on_calls_has_a_window_answers_have_no_such_headers(tmp_path: Path) -> None:
    server = Server()
    limits = (limit("concurrentCalls", 9, window="None"), limit("rows", 9))

    async with running(server), serving(tmp_path, store(server), limits=limits) as bed:
        answer = await bed.call("get", {"key": "colour"})

    assert answer.status_code == 200
    assert not any(name.startswith("ratelimit") for name in answer.headers)


async def test_an_agent_can_look_where_its_quotas_stand_and_that_is_no_call(tmp_path: Path) -> None:
    server = Server()
    limits = (limit("apiCalls", 5), limit("concurrentCalls", 3, window="None", enforcement="Soft"))

    async with running(server), serving(tmp_path, store(server), limits=limits) as bed:
        await bed.call("get", {"key": "colour"})
        for path in ("/v1/docs", "/v1/openapi.json", "/v1/connectors", "/v1/quota"):
            assert (await bed.client.get(path)).status_code == 200
        standing = (await bed.client.get("/v1/quota")).json()
        document = (await bed.client.get("/v1/openapi.json")).json()

    schema = document["paths"]["/v1/quota"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(standing, {**schema, "components": document["components"]})
    calls, at_once = standing["limits"]
    reset = calls.pop("resetSeconds")
    assert 0 < reset <= 3780
    assert abs(datetime.fromisoformat(calls.pop("asOf")).timestamp() - time.time()) < 60
    assert calls == {
        "quota": "team",
        "resource": "apiCalls",
        "window": "Hour",
        "scope": "PerAgent",
        "enforcement": "Hard",
        "limit": 5,
        "used": 1,
        "remaining": 4,
    }
    assert (at_once["used"], at_once["remaining"], at_once["resetSeconds"]) == (0, 3, None)


@MODES
async def test_the_same_is_a_resource_of_mcp(tmp_path: Path, mode: Literal["legacy", "auto"]) -> None:
    async with (
        serving(tmp_path, limits=(limit("apiCalls", 5),)) as bed,
        Client(f"{bed.url}/mcp", mode=mode, read_timeout_seconds=SECONDS) as client,
    ):
        listed = [str(each.uri) for each in (await client.list_resources()).resources]
        [content] = (await client.read_resource("ringfence://quota")).contents
        by_rest = (await bed.client.get("/v1/quota")).json()

    assert "ringfence://quota" in listed
    assert content.mime_type == "application/json"
    assert json.loads(content.text)["limits"][0]["used"] == by_rest["limits"][0]["used"] == 0  # type: ignore[union-attr]


@MODES
async def test_limits_that_others_keep_are_among_them_with_what_the_operator_knows(
    tmp_path: Path, mode: Literal["legacy", "auto"]
) -> None:
    others = (limit("memory", 1000, window="None"), limit("podSeconds", 60, window="Day", shared=True))
    used = Used(
        quota_uid="q-1",
        resource="podSeconds",
        window="Day",
        shared=True,
        used=45,
        as_of="2026-11-29T12:00:00Z",
        resets_at=time.time() + 90,
    )
    asked = 0

    async def ask() -> Standing | None:
        nonlocal asked
        asked += 1
        return Standing(used=(used,))

    async with (
        serving(tmp_path, limits=(limit("apiCalls", 5),), others=others) as bed,
        Client(f"{bed.url}/mcp", mode=mode, read_timeout_seconds=SECONDS) as client,
    ):
        before = (await bed.client.get("/v1/quota")).json()["limits"]
        bed.sidecar.elsewhere.ask = ask
        rows = (await bed.client.get("/v1/quota")).json()["limits"]
        [content] = (await client.read_resource("ringfence://quota")).contents

    assert [(each["resource"], each["limit"], each["used"]) for each in before[1:]] == [
        ("memory", 1000, None),
        ("podSeconds", 60, None),
    ]
    calls, memory, seconds = rows
    assert (calls["resource"], memory) == ("apiCalls", before[1])
    assert 0 < seconds.pop("resetSeconds") <= 90
    assert seconds == {
        "quota": "team",
        "resource": "podSeconds",
        "window": "Day",
        "scope": "Shared",
        "enforcement": "Hard",
        "limit": 60,
        "used": 45,
        "remaining": 15,
        "asOf": "2026-11-29T12:00:00Z",
    }
    assert json.loads(content.text)["limits"][2]["used"] == 45  # type: ignore[union-attr]
    assert asked == 1


async def test_before_there_is_a_configuration_nobody_says_where_quotas_stand(tmp_path: Path) -> None:
    async with serving(tmp_path, configured=False, start_seconds=0) as bed:
        answer = await bed.client.get("/v1/quota")

    assert (answer.status_code, answer.json()["code"]) == (503, "NotConfigured")


async def test_the_agents_own_values_are_calls_and_take_up_room(tmp_path: Path) -> None:
    limits = (limit("apiCalls", 3), limit("cacheBytes", 10, window="None"))

    async with serving(tmp_path, limits=limits) as bed:
        small = await bed.client.put("/v1/cache/a", json={"value": "12345678"})
        large = await bed.client.put("/v1/cache/b", json={"value": "1"})
        read = await bed.client.get("/v1/cache/a")
        again = await bed.client.get("/v1/cache/a")
        over = await bed.client.get("/v1/cache/a")
        metrics = (await bed.client.get(f"{bed.health_url}/metrics")).text

    assert [each.status_code for each in (small, large, read, again, over)] == [200, 429, 200, 200, 429]
    assert (large.json()["resource"], over.json()["resource"]) == ("cacheBytes", "apiCalls")
    for resource in ("cacheBytes", "apiCalls"):
        labels = f'enforcement="Hard",quota="team",resource="{resource}"'
        assert f"ringfence_sidecar_quota_refused_total{{{labels}}} 1.0" in metrics


async def test_a_client_that_goes_away_cancels_its_wait_for_a_quota_where_no_connector_is_asked(tmp_path: Path) -> None:
    soft = limit("apiCalls", 1, enforcement="Soft", soft_deadline_seconds=60)

    async with serving(tmp_path, limits=(soft,)) as bed:
        await bed.client.put("/v1/cache/a", json={"value": 1})
        _, writer = await asyncio.open_connection("127.0.0.1", bed.client.base_url.port)
        writer.write(b"GET /v1/cache/a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        writer.close()
        registry, labels = (
            bed.sidecar.pipeline.metrics.registry,
            {"connector": "", "operation": "", "status": "cancelled"},
        )
        await eventually(
            lambda: registry.get_sample_value("ringfence_sidecar_calls_total", labels) == 1, what="the wait is over"
        )


async def test_a_changed_limit_is_in_force_and_goes_on_counting(tmp_path: Path) -> None:
    server = Server()

    async with running(server), serving(tmp_path, store(server), limits=(limit("apiCalls", 1),)) as bed:
        await bed.call("get", {"key": "colour"})
        refused = await bed.call("get", {"key": "colour"})
        bed.configure(store(server), version="2", limits=(limit("apiCalls", 2),))
        await until_limits(bed, [2])
        served = await bed.call("get", {"key": "colour"})
        again = await bed.call("get", {"key": "colour"})
        bed.configure(store(server), version="3")
        await until_limits(bed, [])
        free = await bed.call("get", {"key": "colour"})

    assert [each.status_code for each in (refused, served, again, free)] == [429, 200, 429, 200]


async def test_without_redis_there_is_something_to_tell_the_operator_and_nothing_else_does() -> None:
    limiter = Limiter()
    nothing = limiter.uses()
    await limiter.apply(configuration(limits=(limit("apiCalls", 5),)))
    reservation = await limiter.reserve(Ask(amounts={"apiCalls": 1}, writes=False, deadline=Deadline.after(5)))
    await reservation.settle({"apiCalls": 1})
    uses = limiter.uses()
    await limiter.close()

    assert nothing == ()
    assert [(each.quota_uid, each.resource, each.used) for each in uses] == [("q-1", "apiCalls", 1)]


def test_a_process_without_limits_imports_nothing_that_counts() -> None:
    code = (
        "import sys, asyncio, ringfence_sidecar.__main__\n"
        "from ringfence_sidecar.limiter import Limiter\n"
        "from ringfence_sidecar.configuration import Agent, Configuration\n"
        "agent = Agent(namespace='a', name='b', uid='c')\n"
        "asyncio.run(Limiter().apply(Configuration(version='1', agent=agent)))\n"
        "print([name for name in sys.modules if name.startswith('ringfence_sidecar.quotas')])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert said.stdout.strip() == "[]"
