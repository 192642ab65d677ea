"""The kind in the pipeline: failover, cache, audit."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ringfence_sidecar.configuration import CachePolicy, Connector, HealthCheck
from ringfence_sidecar.envelope import Envelope
from ringfence_sidecar.errors import Status
from ringfence_sidecar.pipeline import Pipeline
from tests.backends.snowflake_server import SnowflakeServer, running_snowflake
from tests.backends.waiting import eventually
from tests.sidecar.connectors.snowflake.bench import ALL, configuration
from tests.sidecar.plugin.bed import Lines, call, serving
from tests.sidecar.plugin.bed import configuration as everything

pytestmark = pytest.mark.backend
SUM = "SELECT SUM(id) AS s FROM people"


@pytest.fixture(scope="module")
def other_account() -> Iterator[SnowflakeServer]:
    with running_snowflake() as (server, _):
        yield server


def three_places(first: SnowflakeServer, second: SnowflakeServer, database: str, directory: Path) -> Connector:
    """A warehouse, another one of the same account, and one of another account."""
    permissions = {"statements": [*ALL, "Call"], "procedures": [f"{database}.PUBLIC.REFRESH"]}
    base = configuration(first.port, database, directory, permissions=permissions)
    (main,) = base.endpoints
    replace = msgspec.structs.replace
    spare = replace(main, name="spare", priority=1, settings={"account": "acme-main", "warehouse": "spare"})
    other = replace(main, name="other", priority=2, port=second.port, settings={"account": "b", "warehouse": "reading"})
    slow = HealthCheck(interval_seconds=60, timeout_seconds=20)
    return replace(base, endpoints=(main, spare, other), cache=CachePolicy(ttl_seconds=60), health_check=slow)


@pytest.fixture
async def served(
    snowflake_server: SnowflakeServer, other_account: SnowflakeServer, database: str, tmp_path: Path
) -> AsyncIterator[tuple[Pipeline, Lines]]:
    other_account.reset()
    connector = three_places(snowflake_server, other_account, database, tmp_path)
    async with serving(connector) as (pipeline, lines):
        await eventually(
            lambda: all(each.reason == "Healthy" for each in pipeline.health()), what="all are well", seconds=30
        )
        for sql in ("CREATE TABLE people (id INTEGER)", "INSERT INTO people VALUES (1), (2)"):
            assert (await ask(pipeline, "execute", sql=sql)).status is Status.OK
        snowflake_server.forget()
        yield pipeline, lines


async def ask(pipeline: Pipeline, operation: str, **arguments: Any) -> Envelope:
    return await pipeline.run(call(operation, arguments, connector="warehouse"))


def rows(envelope: Envelope) -> Any:
    assert envelope.status is Status.OK, envelope
    return msgspec.json.decode(envelope.data)["rows"]


@pytest.mark.parametrize("operation", ["query", "execute", "batch"])
async def test_a_call_is_served_while_a_large_text_is_judged(served: tuple[Pipeline, Lines], operation: str) -> None:
    pipeline, _ = served
    words = " OR ".join(f"id = {number}" for number in range(900))
    text = f"SELECT id FROM nowhere.public.people WHERE {words}"
    statements = {"sql": text} if operation != "batch" else {"statements": [{"sql": text}]}
    short = "SELECT id FROM nowhere.public.people"
    ended: list[str] = []

    async def asked(name: str, of: str, **arguments: Any) -> Envelope:
        envelope = await ask(pipeline, of, **arguments)
        ended.append(name)
        return envelope

    long, _ = await asyncio.gather(asked("long", operation, **statements), asked("short", "query", sql=short))
    again, _ = await asyncio.gather(asked("short again", "query", sql=short), asked("known", "query", sql=short))

    assert long.status is again.status is Status.REFUSED
    assert ended == ["short", "long", "short again", "known"]


async def test_a_large_text_that_is_permitted_is_served(served: tuple[Pipeline, Lines]) -> None:
    pipeline, lines = served
    words = " OR ".join(f"id = {number}" for number in range(2, 200))
    text = f"SELECT id FROM people WHERE {words}"

    answers = [await ask(pipeline, "query", sql=text) for _ in range(2)]

    assert [rows(each) for each in answers] == [[[2]], [[2]]]
    assert [line["decision"] for line in (await lines.calls(4))[-2:]] == ["allowed", "allowed"]


async def test_a_read_fails_over_from_warehouse_to_warehouse_to_account(
    served: tuple[Pipeline, Lines], snowflake_server: SnowflakeServer
) -> None:
    pipeline, _ = served
    here = await ask(pipeline, "query", sql="SELECT 1")
    snowflake_server.faults(away=["READING"])
    there = await ask(pipeline, "query", sql="SELECT 2")
    snowflake_server.faults(away=["READING", "SPARE"])
    elsewhere = await ask(pipeline, "query", sql="SELECT 3")

    assert [each.metadata.endpoint for each in (here, there, elsewhere)] == ["main", "spare", "other"]
    assert [rows(each) for each in (here, there, elsewhere)] == [[[1]], [[2]], [[3]]]


async def test_a_write_that_a_warehouse_has_not_taken_is_done_once_by_another(
    served: tuple[Pipeline, Lines], snowflake_server: SnowflakeServer
) -> None:
    pipeline, _ = served
    snowflake_server.faults(away=["READING"])

    wrote = await ask(pipeline, "execute", sql="INSERT INTO people VALUES (10)")

    assert (wrote.status, wrote.metadata.endpoint) == (Status.OK, "spare")
    assert rows(await ask(pipeline, "query", sql=SUM)) == [[13]]


async def test_a_write_of_which_nobody_knows_is_not_tried_again(
    served: tuple[Pipeline, Lines], snowflake_server: SnowflakeServer
) -> None:
    pipeline, _ = served
    snowflake_server.faults(outage="unavailable")

    wrote = await ask(pipeline, "execute", sql="INSERT INTO people VALUES (10)")

    assert wrote.status is Status.UNAVAILABLE
    assert not wrote.errors[0].retryable
    assert wrote.metadata.endpoint == "main"


async def test_a_write_that_outlasts_its_own_timeout_is_not_to_be_asked_again(
    served: tuple[Pipeline, Lines], snowflake_server: SnowflakeServer
) -> None:
    pipeline, lines = served
    snowflake_server.faults(slow={"INSERT": 30, "SUM": 30})

    wrote = await ask(pipeline, "execute", sql="INSERT INTO people VALUES (10)", timeoutSeconds=0.5)
    read = await ask(pipeline, "query", sql=SUM, timeoutSeconds=0.5)

    line = next(each for each in await lines.calls(4) if each["requestId"] == wrote.metadata.request_id)
    assert [wrote.status, read.status] == [Status.TIMEOUT, Status.TIMEOUT]
    assert [wrote.errors[0].retryable, read.errors[0].retryable] == [False, True]
    assert line["outcomeUnknown"] is True


async def test_reads_go_on_elsewhere_while_an_account_is_away(
    served: tuple[Pipeline, Lines], snowflake_server: SnowflakeServer
) -> None:
    pipeline, _ = served
    snowflake_server.faults(outage="unavailable")

    answers = await asyncio.gather(*(ask(pipeline, "query", sql=f"SELECT {n}") for n in range(100, 120)))

    assert [rows(each) for each in answers] == [[[n]] for n in range(100, 120)]
    assert {each.metadata.endpoint for each in answers} == {"other"}


async def test_an_answer_is_kept_until_a_write_touches_its_table(
    served: tuple[Pipeline, Lines], snowflake_server: SnowflakeServer
) -> None:
    pipeline, _ = served

    first = await ask(pipeline, "query", sql=SUM)
    second = await ask(pipeline, "query", sql="select sum(id) as s from people")
    await ask(pipeline, "execute", sql="DELETE FROM people WHERE id = 2")
    third = await ask(pipeline, "query", sql=SUM)

    hits = [each.metadata.cache.hit for each in (first, second, third) if each.metadata.cache is not None]
    assert hits == [False, True, False]
    assert [row for each in (first, second, third) for row in rows(each)] == [[3], [3], [1]]
    assert len([each for each in snowflake_server.statements if "SUM" in each["sql"].upper()]) == 2


@pytest.mark.parametrize("sql", ["CALL refresh()", "INSERT INTO copies SELECT id FROM people"])
async def test_no_answer_is_kept_of_what_a_statement_may_change_without_naming_it_as_its_target(
    served: tuple[Pipeline, Lines], sql: str
) -> None:
    pipeline, _ = served
    assert (await ask(pipeline, "execute", sql="CREATE TABLE copies (id INTEGER)")).status is Status.OK
    before = [await ask(pipeline, "query", sql=SUM) for _ in range(2)]

    # The stand-in has no procedures: what became of the call is unknown here, as it may be of any.
    await ask(pipeline, "execute", sql=sql)
    after = await ask(pipeline, "query", sql=SUM)

    hits = [each.metadata.cache.hit for each in (*before, after) if each.metadata.cache is not None]
    assert hits == [False, True, False]


async def test_one_id_leads_from_the_call_to_snowflakes_history(
    served: tuple[Pipeline, Lines], snowflake_server: SnowflakeServer
) -> None:
    pipeline, lines = served

    envelope = await ask(pipeline, "query", sql="SELECT 41, 'a secret'")
    line = next(each for each in await lines.calls(3) if each["requestId"] == envelope.metadata.request_id)

    tag = json.loads(snowflake_server.statements[-1]["parameters"]["QUERY_TAG"])
    assert tag["request"] == envelope.metadata.request_id
    assert tag["trace"] == envelope.metadata.trace_id
    assert envelope.metadata.backend_id
    assert envelope.metadata.backend_id in json.dumps(line)
    assert "a secret" not in json.dumps(line)


async def test_pages_are_read_on_where_their_result_is(served: tuple[Pipeline, Lines]) -> None:
    pipeline, _ = served

    first = await ask(pipeline, "query", sql="SELECT id FROM people ORDER BY id", paged=True, limit=1)
    assert first.metadata.details is not None
    rest = await ask(pipeline, "query", handle=first.metadata.details["page"]["handle"])

    assert (rows(first), rows(rest)) == ([[1]], [[2]])


async def test_an_open_result_outlives_a_change_of_limits_and_not_one_of_permissions(
    served: tuple[Pipeline, Lines],
    snowflake_server: SnowflakeServer,
    other_account: SnowflakeServer,
    database: str,
    tmp_path: Path,
) -> None:
    pipeline, _ = served
    wider = three_places(snowflake_server, other_account, database, tmp_path)
    wider = msgspec.structs.replace(wider, generation=2, limits={"rows": 50})
    narrower = msgspec.structs.replace(wider, generation=3, permissions={**wider.permissions, "tables": []})
    paged = {"sql": "SELECT id FROM people ORDER BY id", "paged": True, "limit": 1}
    handles = []
    for _ in range(2):
        details = (await ask(pipeline, "query", **paged)).metadata.details
        assert details is not None
        handles.append(details["page"]["handle"])

    await pipeline.apply(everything(wider, version="2"))
    rest = await ask(pipeline, "query", handle=handles[0])
    await pipeline.apply(everything(narrower, version="3"))
    gone = await ask(pipeline, "query", handle=handles[1])

    assert rows(rest) == [[2]]
    assert gone.status is Status.NOT_FOUND


async def test_a_stream_has_an_envelope_for_each_piece(served: tuple[Pipeline, Lines]) -> None:
    pipeline, _ = served
    asked = call("query", {"sql": "SELECT id FROM people ORDER BY id", "limit": 1}, connector="warehouse")

    pieces = [each async for each in pipeline.stream(asked)]

    assert [rows(each) for each in pieces] == [[[1]]]
