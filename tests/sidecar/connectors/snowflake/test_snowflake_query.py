"""`query`, against the stand-in."""

import asyncio
import json

import pytest

from ringfence_sidecar.errors import DeadlineError, InvalidArgumentsError, UnknownError
from tests.sidecar.connectors.snowflake.bench import Bench, context, data

pytestmark = pytest.mark.backend


async def test_a_query_answers_columns_and_rows_and_names_the_query(bench: Bench) -> None:
    await bench.make(
        "CREATE TABLE people (id INTEGER, name VARCHAR)", "INSERT INTO people VALUES (1, 'Ada'), (2, 'Bo')"
    )

    outcome = await bench.ask("query", sql="SELECT id, name FROM people ORDER BY id")

    answer = data(outcome)
    assert [column["name"] for column in answer["columns"]] == ["ID", "NAME"]
    assert answer["rows"] == [[1, "Ada"], [2, "Bo"]]
    assert (answer["rowCount"], answer["more"], outcome.partial, outcome.warnings) == (2, False, False, ())
    assert outcome.backend_id


async def test_binds_stand_for_values_by_place_and_by_name(bench: Bench) -> None:
    await bench.make(
        "CREATE TABLE people (id INTEGER, name VARCHAR)", "INSERT INTO people VALUES (1, 'Ada'), (2, 'Bo')"
    )

    by_place = await bench.ask("query", sql="SELECT name FROM people WHERE id = ? AND name = ?", binds=[1, "Ada"])
    by_name = await bench.ask("query", sql="SELECT name FROM people WHERE id = :id", binds={"id": 2})

    assert data(by_place)["rows"] == [["Ada"]]
    assert data(by_name)["rows"] == [["Bo"]]


async def test_each_statement_says_who_asked(bench: Bench) -> None:
    await bench.ask("query", sql="SELECT 41", timeoutSeconds=7)

    (statement,) = bench.server.statements
    tag = json.loads(statement["parameters"]["QUERY_TAG"])
    assert (tag["agent"], tag["namespace"]) == ("reader", "research")
    assert tag["request"].startswith("request-")
    assert tag["trace"] == "0af7651916cd43dd8448eb211c80319c"
    assert statement["parameters"]["STATEMENT_TIMEOUT_IN_SECONDS"] == 7


async def test_a_cancelled_call_cancels_the_statement_in_snowflake(bench: Bench) -> None:
    bench.server.faults(slow={"41": 20})
    prepared = bench.prepare("query", sql="SELECT 41")
    call = asyncio.create_task(bench.connector.execute(bench.session, prepared, context()))
    await until(lambda: len(bench.server.statements) == 1)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    await until(lambda: bench.server.statements[0]["ended"] == "cancelled")


async def until(done) -> None:
    async with asyncio.timeout(10):
        while not done():
            await asyncio.sleep(0.02)
