"""Results in pages, and what caps cut."""

import asyncio
from pathlib import Path

import pytest

from ringfence_sidecar.connectors.base import Effect
from ringfence_sidecar.connectors.snowflake import Snowflake
from ringfence_sidecar.errors import BackendError, InvalidArgumentsError, LimitedError, UnknownError
from tests.backends.snowflake_server import SnowflakeServer
from tests.backends.waiting import eventually
from tests.sidecar.connectors.snowflake.bench import Bench, configuration, context, data

pytestmark = pytest.mark.backend
NUMBERS = "CREATE TABLE numbers AS SELECT SEQ4() AS n FROM TABLE(GENERATOR(ROWCOUNT => 2500))"
SQL = "SELECT n FROM numbers ORDER BY n"


async def limited(server: SnowflakeServer, database: str, directory: Path, **limits: object) -> Bench:
    permissions = {"statements": ["Select"]}
    made = configuration(server.port, database, directory, limits=limits, permissions=permissions)
    return await Bench.start(Snowflake(made), server)


@pytest.fixture
async def numbers(bench: Bench) -> Bench:
    # The judge knows no generator, and this is not about it.
    cursor = await bench.session.run(bench.prepare("query", sql="SELECT 1").payload.statement, context())
    cursor.close()
    connection = bench.session._connection
    cursor = connection.cursor()
    await cursor.execute(NUMBERS)
    cursor.close()
    return bench


async def test_pages_give_every_row_once_and_in_order(numbers: Bench) -> None:
    first = await numbers.ask("query", sql=SQL, paged=True, limit=1000)

    rows, page = data(first)["rows"], first.details["page"]
    while page:
        outcome = await numbers.ask("query", handle=page["handle"], limit=700)
        rows += data(outcome)["rows"]
        page = outcome.details.get("page")

    assert [row[0] for row in rows] == list(range(2500))
    assert len([each for each in numbers.server.statements if "ORDER BY" in each["sql"]]) == 1
    assert numbers.connector.metrics()["open_results"] == 0


async def test_a_page_is_pinned_to_where_its_result_is_and_never_tried_twice(numbers: Bench) -> None:
    first = await numbers.ask("query", sql=SQL, paged=True, limit=10)

    prepared = numbers.prepare("query", handle=first.details["page"]["handle"])

    assert prepared.endpoint == "main"
    assert prepared.effect is Effect.WRITE
    assert prepared.cache is None
    assert not first.cacheable


async def test_a_handle_is_good_for_one_page_only(numbers: Bench) -> None:
    first = await numbers.ask("query", sql=SQL, paged=True, limit=10)
    handle = first.details["page"]["handle"]
    await numbers.ask("query", handle=handle, limit=10)

    with pytest.raises(UnknownError):
        numbers.prepare("query", handle=handle)


async def test_an_invented_handle_is_unknown(bench: Bench) -> None:
    with pytest.raises(UnknownError) as caught:
        bench.prepare("query", handle="AAAA")

    assert caught.value.field == "arguments.handle"


async def test_sql_and_handle_together_are_refused(bench: Bench) -> None:
    with pytest.raises(InvalidArgumentsError):
        bench.prepare("query", sql="SELECT 1", handle="AAAA")
    with pytest.raises(InvalidArgumentsError):
        bench.prepare("query")


async def test_an_open_result_keeps_its_session_until_it_has_been_read(numbers: Bench) -> None:
    first = await numbers.ask("query", sql=SQL, paged=True, limit=10)
    await numbers.connector.disconnect(numbers.session)
    assert not numbers.connector.is_usable(numbers.session)
    other = await Bench.start(numbers.connector, numbers.server)
    assert numbers.server.record["sessions"] >= 2

    rest = await other.ask("query", handle=first.details["page"]["handle"])

    assert data(rest)["rowCount"] == 2490
    before = numbers.server.record["sessions"]
    await other.stop()
    await eventually(lambda: numbers.server.record["sessions"] < before, what="the session ends")


async def test_a_result_is_closed_when_nobody_reads_on(
    numbers: Bench, snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    brief = await limited(snowflake_server, database, tmp_path, openResultSeconds=1)
    first = await brief.ask("query", sql=SQL, paged=True, limit=10)

    await eventually(lambda: brief.connector.metrics()["open_results"] == 0, what="the result is closed")

    with pytest.raises(UnknownError):
        brief.prepare("query", handle=first.details["page"]["handle"])
    await brief.stop()


async def test_no_more_results_stay_open_than_may(
    numbers: Bench, snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    one = await limited(snowflake_server, database, tmp_path, openResults=1)
    first = await one.ask("query", sql=SQL, paged=True, limit=10)

    with pytest.raises(LimitedError) as caught:
        await one.ask("query", sql=SQL, paged=True, limit=10)

    assert caught.value.rule == "limits.openResults"
    await one.ask("query", handle=first.details["page"]["handle"])
    await one.ask("query", sql=SQL, paged=True, limit=10)
    await one.stop()


async def test_a_result_has_its_place_from_before_its_statement_runs(
    numbers: Bench, snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    one = await limited(snowflake_server, database, tmp_path, openResults=1)
    other = await Bench.start(one.connector, snowflake_server)
    with pytest.raises(BackendError):
        await one.ask("query", sql="SELECT n FROM nowhere", paged=True)
    snowflake_server.forget()
    snowflake_server.faults(slow={"ORDER BY": 2})
    asked = asyncio.create_task(one.ask("query", sql=SQL, paged=True, limit=10))
    await eventually(lambda: len(snowflake_server.statements) == 1, what="the statement runs")

    with pytest.raises(LimitedError) as caught:
        await other.ask("query", sql="SELECT n FROM numbers", paged=True, limit=10)
    first = await asked
    with pytest.raises(LimitedError):
        await other.ask("query", sql="SELECT n FROM numbers", paged=True, limit=10)
    second = await other.ask("query", handle=first.details["page"]["handle"], limit=10)

    assert caught.value.rule == "limits.openResults"
    assert second.details["page"]["handle"] != first.details["page"]["handle"]
    assert one.connector.metrics()["open_results"] == 1
    await other.stop()
    await one.stop()


async def test_the_row_cap_holds_over_all_pages_and_says_so(
    numbers: Bench, snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    capped = await limited(snowflake_server, database, tmp_path, rows=100)

    first = await capped.ask("query", sql=SQL, paged=True, limit=60)
    second = await capped.ask("query", handle=first.details["page"]["handle"])

    assert first.warnings == ()
    assert data(second)["rowCount"] == 40
    assert [each.code for each in second.warnings] == ["RowsCut"]
    assert second.partial
    assert second.details == {}
    await capped.stop()


async def test_the_byte_cap_ends_an_answer_and_says_so(
    numbers: Bench, snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    capped = await limited(snowflake_server, database, tmp_path, bytes=1000)

    outcome = await capped.ask("query", sql=SQL)

    assert len(bytes(outcome.data.rows)) <= 1000
    assert data(outcome)["rows"] == [[n] for n in range(data(outcome)["rowCount"])]
    assert [each.code for each in outcome.warnings] == ["BytesCut"]
    assert (outcome.partial, outcome.cacheable, data(outcome)["more"]) == (True, False, True)
    await capped.stop()


async def test_what_the_byte_cap_cut_is_on_the_next_page(
    numbers: Bench, snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    capped = await limited(snowflake_server, database, tmp_path, bytes=1000)

    first = await capped.ask("query", sql=SQL, paged=True)
    second = await capped.ask("query", handle=first.details["page"]["handle"])

    got = data(first)["rows"] + data(second)["rows"]
    assert got == [[n] for n in range(len(got))]
    assert len(got) > data(first)["rowCount"]
    await capped.stop()


async def test_a_row_that_is_larger_than_the_byte_cap_is_refused(
    bench: Bench, snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    capped = await limited(snowflake_server, database, tmp_path, bytes=100)

    with pytest.raises(InvalidArgumentsError) as caught:
        await capped.ask("query", sql="SELECT RPAD('x', 500, 'x')")

    assert caught.value.reason == "RowTooLarge"
    await capped.stop()


async def test_a_stream_gives_the_whole_result_in_pieces_under_the_byte_cap(
    numbers: Bench, snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    capped = await limited(snowflake_server, database, tmp_path, bytes=2000)
    prepared = capped.prepare("query", sql=SQL)

    outcomes = [each async for each in capped.connector.stream(capped.session, prepared, context())]

    assert [row[0] for each in outcomes for row in data(each)["rows"]] == list(range(2500))
    assert all(len(bytes(each.data.rows)) <= 2000 for each in outcomes)
    assert all(each.warnings == () for each in outcomes)
    await capped.stop()
