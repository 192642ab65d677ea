"""What quotas leave of a query: it is cut to that, says so, and is settled to what it really used."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from ringfence_sidecar.cache.answers import Answers
from ringfence_sidecar.cache.shared import Shared
from ringfence_sidecar.configuration import CachePolicy, LocalCache
from ringfence_sidecar.connectors.snowflake.scanned import BYTES_PER_SECOND, FIRST_BYTES
from ringfence_sidecar.envelope import Envelope
from ringfence_sidecar.errors import Status
from ringfence_sidecar.pipeline import Pipeline
from ringfence_sidecar.quota import Quota
from tests.backends.snowflake_server import SnowflakeServer
from tests.backends.waiting import eventually
from tests.sidecar.connectors.snowflake.bench import configuration
from tests.sidecar.counters import Counters, budget
from tests.sidecar.plugin.bed import Lines, call, serving
from tests.sidecar.quotas.pods import alone, limit

pytestmark = pytest.mark.backend
ALL = "SELECT id, name FROM people ORDER BY id"
ROWS = 40


class Serve(Protocol):
    def __call__(self, quota: Quota, **changes: Any) -> AbstractAsyncContextManager[tuple[Pipeline, Lines]]: ...


@pytest.fixture
def served(snowflake_server: SnowflakeServer, database: str, tmp_path: Path) -> Serve:
    """A table of 40 people, whose making no quota counts."""

    @asynccontextmanager
    async def serve(quota: Quota, **changes: Any) -> AsyncIterator[tuple[Pipeline, Lines]]:
        made = configuration(snowflake_server.port, database, tmp_path, **changes)
        cached = msgspec.structs.replace(made, cache=CachePolicy(ttl_seconds=60))
        cache = Answers("team-a", Shared(None), local=LocalCache())
        async with serving(made) as (pipeline, _):
            for sql in (
                "CREATE TABLE people (id INTEGER, name VARCHAR)",
                "INSERT INTO people VALUES " + ", ".join(f"({number}, 'name-{number}')" for number in range(ROWS)),
            ):
                assert (await ask(pipeline, "execute", sql=sql)).status is Status.OK
        async with serving(cached, quota=quota, cache=cache) as (pipeline, lines):
            yield pipeline, lines

    return serve


async def ask(pipeline: Pipeline, operation: str, **arguments: Any) -> Envelope:
    return await pipeline.run(call(operation, arguments, connector="warehouse"))


def rows(envelope: Envelope) -> list[Any]:
    found: list[Any] = msgspec.json.decode(envelope.data)["rows"]
    return found


async def test_rows_are_cut_to_what_is_left_with_a_warning_and_such_an_answer_is_never_kept(served: Serve) -> None:
    quota = Counters(budget("rows", 50))

    async with served(quota) as (pipeline, lines):
        whole = await ask(pipeline, "query", sql=ALL)
        cut = await ask(pipeline, "query", sql=ALL, limit=39)
        refused = await ask(pipeline, "query", sql=ALL, limit=38)
        quota.used["rows"] = 0
        again = await ask(pipeline, "query", sql=ALL, limit=39)

        audited = await lines.calls(4)

    assert (whole.status, len(rows(whole))) == (Status.OK, ROWS)
    assert (cut.status, len(rows(cut))) == (Status.PARTIAL, 10)
    assert [each.code for each in cut.warnings] == ["QuotaCut"]
    assert "10 rows" in cut.warnings[0].message
    assert refused.status is Status.LIMITED
    assert (again.status, len(rows(again))) == (Status.OK, 39)
    assert [line["used"] for line in audited] == [{"rows": 40}, {"rows": 10}, {}, {"rows": 39}]


async def test_an_answer_that_was_granted_less_than_it_asked_for_and_needed_no_more_is_whole(served: Serve) -> None:
    quota = Counters(budget("rows", ROWS), budget("queries", 1))

    async with served(quota) as (pipeline, _):
        first = await ask(pipeline, "query", sql=ALL)
        kept = await ask(pipeline, "query", sql=ALL)

    assert (first.status, first.warnings) == (Status.OK, ())
    assert kept.metadata.cache is not None
    assert kept.metadata.cache.hit
    assert (quota.used["rows"], quota.used["queries"]) == (ROWS, 1)


async def test_bytes_are_cut_to_what_is_left_and_where_no_row_fits_the_call_is_refused(served: Serve) -> None:
    quota = Counters(budget("bytesReturned", 100), budget("queries", 9))

    async with served(quota) as (pipeline, lines):
        cut = await ask(pipeline, "query", sql=ALL)
        refused = await ask(pipeline, "query", sql=ALL)

        audited = await lines.calls(2)

    size = len(bytes(msgspec.json.encode(rows(cut))))
    assert (cut.status, [each.code for each in cut.warnings]) == (Status.PARTIAL, ["QuotaCut"])
    assert 60 < size <= 100
    assert (refused.status, refused.errors[0].resource) == (Status.LIMITED, "bytesReturned")
    assert quota.refusals == ["bytesReturned"]
    assert audited[0]["used"] == {"bytesReturned": size, "queries": 1}
    assert quota.used["bytesReturned"] == size


async def test_a_statement_has_no_more_seconds_than_are_left_and_counts_those_that_it_took(
    served: Serve, snowflake_server: SnowflakeServer
) -> None:
    quota = Counters(budget("querySeconds", 5), budget("apiCalls", 9))

    async with served(quota) as (pipeline, lines):
        quick = await ask(pipeline, "query", sql=ALL)
        quota.used["querySeconds"] = 3.6
        snowflake_server.faults(latency=30)
        slow = await ask(pipeline, "query", sql="SELECT COUNT(*) FROM people")
        snowflake_server.faults(latency=0)

        audited = await lines.calls(2)

    took = audited[1]["used"]["querySeconds"]
    assert quick.status is Status.OK
    assert 0 < audited[0]["used"]["querySeconds"] < 5
    assert (slow.status, slow.errors[0].rule) == (Status.LIMITED, "querySeconds")
    assert quota.refusals == ["querySeconds"]
    assert "1.4 querySeconds" in slow.message
    assert (slow.errors[0].quota, slow.errors[0].resource, slow.errors[0].limit) == ("team", "querySeconds", 5)
    assert audited[1]["quota"] == "team"
    assert 1.0 < took < 5
    assert audited[1]["used"]["apiCalls"] == 1


async def test_a_stream_asks_for_each_page_and_ends_where_nothing_is_left(served: Serve) -> None:
    quota = Counters(budget("rows", 25), budget("queries", 9), budget("concurrentCalls", 1))

    async with served(quota, limits={"rows": 10_000}) as (pipeline, lines):
        stream = pipeline.stream(call("query", {"sql": ALL, "limit": 10, "paged": True}, connector="warehouse"))
        pieces = [piece async for piece in stream]

        [line] = await lines.calls()

    assert [len(rows(piece)) for piece in pieces[:-1]] == [10, 10, 5]
    assert (pieces[-1].status, pieces[-1].errors[0].resource) == (Status.LIMITED, "rows")
    assert line["used"] == {"rows": 25, "queries": 1}
    assert (quota.used["rows"], quota.used["queries"], quota.used["concurrentCalls"]) == (25, 1, 0)


async def test_a_stream_that_ends_with_what_is_left_is_not_refused(served: Serve) -> None:
    quota = Counters(budget("rows", ROWS))

    async with served(quota) as (pipeline, _):
        stream = pipeline.stream(call("query", {"sql": ALL, "limit": 10, "paged": True}, connector="warehouse"))
        pieces = [piece async for piece in stream]

    assert [len(rows(piece)) for piece in pieces] == [10, 10, 10, 10]
    assert {piece.status for piece in pieces} == {Status.OK}


async def test_pages_of_a_result_count_as_rows_and_only_the_first_as_a_query(served: Serve) -> None:
    quota = Counters(budget("rows", 15), budget("queries", 9))

    async with served(quota) as (pipeline, _):
        first = await ask(pipeline, "query", sql=ALL, limit=10, paged=True)
        assert first.metadata.details is not None
        second = await ask(pipeline, "query", handle=first.metadata.details["page"]["handle"], limit=10)

    assert (len(rows(first)), first.status) == (10, Status.OK)
    assert (len(rows(second)), second.status) == (5, Status.PARTIAL)
    assert (quota.used["rows"], quota.used["queries"]) == (15, 1)


async def test_a_batch_reads_no_more_rows_than_are_left_for_all_its_statements(served: Serve) -> None:
    quota = Counters(budget("rows", 50), budget("queries", 9))

    async with served(quota) as (pipeline, _):
        envelope = await ask(pipeline, "batch", statements=[{"sql": ALL}, {"sql": ALL}])

    found = msgspec.json.decode(envelope.data)["statements"]
    assert (envelope.status, [each["rowCount"] for each in found]) == (Status.PARTIAL, [40, 10])
    assert (quota.used["rows"], quota.used["queries"]) == (50, 2)


async def test_what_lists_and_describes_counts_as_rows(served: Serve) -> None:
    quota = Counters(budget("rows", 3), budget("queries", 9))

    async with served(quota) as (pipeline, _):
        described = await ask(pipeline, "describe", table="people")
        listed = await ask(pipeline, "list")
        refused = await ask(pipeline, "list")

    assert [described.status, listed.status, refused.status] == [Status.OK, Status.OK, Status.LIMITED]
    assert (quota.used["rows"], quota.used["queries"]) == (3, 2)


async def test_a_query_that_fails_counts_as_a_query_and_gives_nothing(served: Serve) -> None:
    quota = Counters(budget("rows", 99), budget("queries", 9), budget("bytesReturned", 9999))

    async with served(quota) as (pipeline, _):
        failed = await ask(pipeline, "query", sql="SELECT no_such_column FROM people")

    assert failed.status is Status.FAILED
    assert (quota.used["rows"], quota.used["queries"], quota.used["bytesReturned"]) == (0, 1, 0)


async def test_what_was_scanned_is_settled_after_and_the_next_query_is_refused(served: Serve) -> None:
    quota = Counters(budget("bytesScanned", 1_500_000), budget("queries", 99))

    async with served(quota) as (pipeline, lines):
        envelopes = [await ask(pipeline, "query", sql=ALL, limit=number) for number in (1, 2, 3)]
        nothing = await ask(pipeline, "query", sql="SELECT 1")

        audited = await lines.calls(4)

    assert [each.status for each in envelopes] == [Status.OK, Status.OK, Status.LIMITED]
    assert nothing.status is Status.LIMITED
    assert [line["used"].get("bytesScanned") for line in audited] == [1_000_000, 1_000_000, None, None]
    assert quota.used["queries"] == 2


async def timed_out(pipeline: Pipeline, server: SnowflakeServer) -> Status:
    server.faults(slow={"COUNT": 30})
    return (await ask(pipeline, "query", sql="SELECT COUNT(*) FROM people", timeoutSeconds=1)).status


async def cancelled(pipeline: Pipeline, server: SnowflakeServer) -> Status:
    server.faults(slow={"COUNT": 30})
    asking = asyncio.create_task(ask(pipeline, "query", sql="SELECT COUNT(*) FROM people"))
    await eventually(lambda: any("COUNT" in each["sql"] for each in server.statements), what="the query is asked")
    asking.cancel()
    await asyncio.wait({asking})
    return Status.CANCELLED


async def told_too_late(pipeline: Pipeline, server: SnowflakeServer) -> Status:
    server.faults(slow={"QUERY_HISTORY": 30})
    asked = call("query", {"sql": "SELECT COUNT(*) FROM people"}, connector="warehouse", timeout_seconds=2)
    return (await pipeline.run(asked)).status


async def streamed_and_told_too_late(pipeline: Pipeline, server: SnowflakeServer) -> Status:
    server.faults(slow={"QUERY_HISTORY": 30})
    stream = pipeline.stream(call("query", {"sql": ALL}, connector="warehouse", timeout_seconds=3))
    return [piece.status async for piece in stream][-1]


@pytest.mark.parametrize(
    ("way", "status"),
    [
        (timed_out, Status.TIMEOUT),
        (cancelled, Status.CANCELLED),
        (told_too_late, Status.OK),
        (streamed_and_told_too_late, Status.OK),
    ],
)
async def test_a_query_of_which_nobody_says_what_it_scanned_counts_what_it_may_have_and_the_next_is_refused(
    served: Serve,
    snowflake_server: SnowflakeServer,
    way: Callable[[Pipeline, SnowflakeServer], Awaitable[Status]],
    status: Status,
) -> None:
    quota = Counters(budget("bytesScanned", FIRST_BYTES))

    async with served(quota) as (pipeline, lines):
        found = await way(pipeline, snowflake_server)
        [line] = await lines.calls()
        snowflake_server.faults()
        after = await ask(pipeline, "query", sql="SELECT 1")

    assert found is status
    assert line["used"]["bytesScanned"] >= FIRST_BYTES
    assert (after.status, after.errors[0].resource) == (Status.LIMITED, "bytesScanned")


async def test_a_query_that_fails_late_counts_what_so_much_time_reads(
    served: Serve, snowflake_server: SnowflakeServer
) -> None:
    quota = Counters(budget("bytesScanned", 10**12))

    async with served(quota) as (pipeline, lines):
        snowflake_server.faults(slow={"missing": 1.0})
        failed = await ask(pipeline, "query", sql="SELECT missing FROM people")
        [line] = await lines.calls()

    assert failed.status is Status.FAILED
    assert BYTES_PER_SECOND <= line["used"]["bytesScanned"] < 20 * BYTES_PER_SECOND


async def test_a_query_reserves_what_the_largest_of_the_last_ones_scanned_and_a_page_scans_nothing_more(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence_sidecar.connectors.snowflake.scanned.FIRST_BYTES", 1000)
    quota = Counters(budget("bytesScanned", 10**12), budget("rows", 10**6))

    async with served(quota) as (pipeline, _):
        await ask(pipeline, "query", sql="SELECT COUNT(*) FROM people")
        await ask(pipeline, "query", sql="SELECT 1")
        asked = call("query", {"sql": ALL, "limit": 30, "paged": True}, connector="warehouse")
        pieces = [piece async for piece in pipeline.stream(asked)]

    assert len(pieces) == 2
    assert [each.get("bytesScanned") for each in quota.asked] == [1000, 1_000_000, 1_000_000, None]
    assert quota.used["bytesScanned"] == 2_000_000


PRICED = {"settings": {"account": "acme-main", "warehouse": "reading", "creditsPerHour": 3600}}
"""A warehouse of which a second costs one credit."""


async def test_credits_are_the_seconds_at_the_warehouses_price_and_end_a_statement(
    served: Serve, snowflake_server: SnowflakeServer
) -> None:
    quota = Counters(budget("credits", 5), budget("queries", 9))

    async with served(quota, endpoint=PRICED) as (pipeline, lines):
        quick = await ask(pipeline, "query", sql=ALL)
        quota.used["credits"] = 3.6
        snowflake_server.faults(latency=30)
        slow = await ask(pipeline, "query", sql="SELECT COUNT(*) FROM people")
        snowflake_server.faults(latency=0)

        audited = await lines.calls(2)

    assert quick.status is Status.OK
    assert 0 < audited[0]["used"]["credits"] < 5
    assert (slow.status, slow.errors[0].rule, slow.errors[0].resource) == (Status.LIMITED, "credits", "credits")
    assert "1.4 credits" in slow.message
    assert 1.0 < audited[1]["used"]["credits"] < 5


async def test_a_call_that_has_too_little_time_left_to_log_in_is_told_by_which_limit(
    served: Serve, snowflake_server: SnowflakeServer
) -> None:
    quota = Counters(budget("querySeconds", 5))
    quota.used["querySeconds"] = 3.6

    async with served(quota) as (pipeline, lines):
        snowflake_server.faults(latency=30)
        refused = await ask(pipeline, "query", sql=ALL)
        snowflake_server.faults(latency=0)

        audited = await lines.calls(1)

    assert (refused.status, refused.errors[0].rule) == (Status.LIMITED, "querySeconds")
    assert "1.4 querySeconds" in refused.message
    assert audited[0]["used"] == {}


async def test_a_call_needs_a_tenth_of_a_second_at_the_warehouses_price(served: Serve) -> None:
    quota = Counters(budget("credits", 5))

    async with served(quota, endpoint=PRICED) as (pipeline, _):
        await ask(pipeline, "query", sql=ALL)

    assert quota.least == [{"credits": pytest.approx(0.1)}]


async def test_a_warehouse_of_which_nobody_says_the_price_has_no_calls_under_a_limit_on_credits(served: Serve) -> None:
    quota = Counters(budget("credits", 5))

    async with served(quota) as (pipeline, _):
        refused = await ask(pipeline, "query", sql=ALL)

    assert (refused.status, refused.errors[0].code) == (Status.LIMITED, "CreditsUnknown")
    assert "write creditsPerHour at each endpoint" in refused.message
    assert not refused.errors[0].retryable
    assert quota.used["credits"] == 0


@pytest.mark.parametrize("patience", [1.0, 60.0])
async def test_what_has_been_written_is_not_told_as_unknown_because_a_figure_is_late(
    served: Serve, snowflake_server: SnowflakeServer, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    monkeypatch.setattr("ringfence_sidecar.connectors.snowflake.scanned._AFTER_WRITE_SECONDS", patience)
    insert = "INSERT INTO people VALUES (100, 'late')"
    quota = Counters(budget("bytesScanned", 10**12))

    async with served(quota) as (pipeline, lines):
        snowflake_server.faults(slow={"QUERY_HISTORY": 30})
        asked: list[tuple[str, dict[str, Any]]] = [
            ("execute", {"sql": insert}),
            ("batch", {"statements": [{"sql": insert}]}),
        ]
        wrote = [
            await pipeline.run(call(operation, arguments, connector="warehouse", timeout_seconds=3))
            for operation, arguments in asked
        ]

        audited = await lines.calls(2)

    assert [each.status for each in wrote] == [Status.OK, Status.OK]
    assert [line["outcomeUnknown"] for line in audited] == [False, False]
    assert all(line["used"]["bytesScanned"] >= FIRST_BYTES for line in audited)


async def test_where_no_limit_holds_for_what_is_scanned_nobody_is_asked_for_it(
    served: Serve, snowflake_server: SnowflakeServer
) -> None:
    async with served(Counters(budget("queries", 99))) as (pipeline, _):
        snowflake_server.forget()
        await ask(pipeline, "query", sql=ALL)

        asked = [each["sql"] for each in snowflake_server.statements]

    assert not any("QUERY_HISTORY" in sql for sql in asked)


@pytest.mark.parametrize(
    ("resource", "most"), [("queries", 1), ("rows", ROWS), ("bytesReturned", 100), ("bytesScanned", 1_000_000)]
)
async def test_the_query_after_the_one_that_used_a_limit_up_is_refused(
    served: Serve, snowflake_server: SnowflakeServer, resource: str, most: float
) -> None:
    quota = await alone(limit(resource, most, shared=False))

    async with served(quota) as (pipeline, _):
        first = await ask(pipeline, "query", sql=ALL)
        snowflake_server.forget()
        second = await ask(pipeline, "query", sql="SELECT name FROM people ORDER BY id")
        asked = [each["sql"] for each in snowflake_server.statements]

    assert first.status in {Status.OK, Status.PARTIAL}
    assert (second.status, second.errors[0].resource, second.errors[0].limit) == (Status.LIMITED, resource, most)
    # Where some bytes are left, but none of its rows fits, it has been asked.
    assert resource == "bytesReturned" or asked == []
