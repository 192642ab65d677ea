"""`execute` and `batch`."""

import asyncio
from pathlib import Path

import pytest

from ringfence_sidecar.connectors.base import Effect
from ringfence_sidecar.connectors.snowflake import Snowflake
from ringfence_sidecar.errors import BackendError, BackendLostError, DeadlineError, InvalidArgumentsError, RefusedError
from tests.backends.snowflake_server import SnowflakeServer
from tests.backends.waiting import eventually
from tests.sidecar.connectors.snowflake.bench import Bench, configuration, context, data

pytestmark = pytest.mark.backend
PEOPLE = ("CREATE TABLE people (id INTEGER, name VARCHAR)", "INSERT INTO people VALUES (1, 'Ada'), (2, 'Bo')")


async def names(bench: Bench) -> list[str]:
    rows = data(await bench.ask("query", sql="SELECT name FROM people ORDER BY id"))["rows"]
    return [row[0] for row in rows]


async def test_a_change_takes_effect_and_says_how_many_rows_it_touched(bench: Bench, database: str) -> None:
    await bench.make(*PEOPLE)

    outcome = await bench.ask("execute", sql="UPDATE people SET name = ? WHERE id = ?", binds=["Eva", 1])
    prepared = bench.prepare("execute", sql="DELETE FROM people")

    assert data(outcome) == {"statement": "Update", "rowsAffected": 1, "message": ""}
    assert outcome.backend_id
    assert await names(bench) == ["Eva", "Bo"]
    assert prepared.effect is Effect.WRITE
    assert prepared.invalidates == {f"{database}.PUBLIC.PEOPLE"}
    assert prepared.cache is None


async def test_the_audit_summary_has_no_literals(bench: Bench) -> None:
    prepared = bench.prepare("execute", sql="INSERT INTO people VALUES (1, 'a secret')")

    assert "a secret" not in prepared.summary
    assert "?" in prepared.summary


async def test_a_statement_that_counts_no_rows_has_snowflakes_own_word(bench: Bench) -> None:
    outcome = await bench.ask("execute", sql="CREATE TABLE things (id INTEGER)")

    assert data(outcome)["rowsAffected"] is None
    assert "THINGS" in data(outcome)["message"]


async def test_reading_is_no_change(bench: Bench) -> None:
    with pytest.raises(InvalidArgumentsError, match="use query"):
        bench.prepare("execute", sql="SELECT 1")


async def test_a_kind_of_statement_that_is_not_permitted_is_refused(bench: Bench) -> None:
    with pytest.raises(RefusedError) as caught:
        bench.prepare("execute", sql="TRUNCATE TABLE people")

    assert caught.value.rule == "sql.statements"


async def test_who_may_only_read_has_no_tool_that_writes(
    snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    reading = configuration(snowflake_server.port, database, tmp_path, permissions={"statements": ["Select"]})
    inserting = configuration(snowflake_server.port, database, tmp_path, permissions={"statements": ["Insert"]})
    usage_off = configuration(
        snowflake_server.port, database, tmp_path, permissions={"statements": []}, settings={"warehouseUsage": False}
    )

    offered = [[each.name for each in Snowflake(made).operations()] for made in (reading, inserting, usage_off)]

    assert offered == [
        ["query", "analyze_table", "describe", "list", "warehouse_usage"],
        ["execute", "batch", "warehouse_usage"],
        [],
    ]


async def test_a_batch_takes_effect_as_a_whole_and_answers_each_statement(bench: Bench, database: str) -> None:
    await bench.make(*PEOPLE)
    statements = [
        {"sql": "INSERT INTO people VALUES (?, ?)", "binds": [3, "Cy"]},
        {"sql": "SELECT COUNT(*) AS n FROM people"},
        {"sql": "DELETE FROM people WHERE id < :id", "binds": {"id": 3}},
    ]

    prepared = bench.prepare("batch", statements=statements)
    outcome = await bench.ask("batch", statements=statements)

    inserted, counted, deleted = data(outcome)["statements"]
    assert (inserted["statement"], inserted["rowsAffected"]) == ("Insert", 1)
    assert (counted["statement"], counted["rows"], counted["rowCount"]) == ("Select", [[3]], 1)
    assert (deleted["statement"], deleted["rowsAffected"]) == ("Delete", 2)
    assert all(each["queryId"] for each in (inserted, counted, deleted))
    assert await names(bench) == ["Cy"]
    assert prepared.invalidates == {f"{database}.PUBLIC.PEOPLE"}
    sent = [each["sql"] for each in bench.server.statements]
    assert sent[sent.index("BEGIN") + 4] == "COMMIT"


async def test_all_that_a_batch_reads_has_room_under_the_byte_cap_and_what_comes_after_is_done(
    snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    made = configuration(snowflake_server.port, database, tmp_path, limits={"bytes": 150})
    bench = await Bench.start(Snowflake(made), snowflake_server)
    await bench.make(*PEOPLE)
    read = {"sql": "SELECT REPEAT('x', 90) FROM people WHERE id = 1"}
    statements = [read, read, {"sql": "DELETE FROM people WHERE id = 2"}]

    prepared = bench.prepare("batch", statements=statements)
    outcome = await bench.ask("batch", statements=statements)

    whole, cut, deleted = data(outcome)["statements"]
    assert (whole["rows"], cut["rows"], deleted["rowsAffected"]) == ([["x" * 90]], [], 1)
    assert [each.message.partition(":")[0] for each in outcome.warnings] == ["statement 2"]
    assert (outcome.partial, prepared.estimate["bytesReturned"]) == (True, 150)
    await bench.stop()


async def test_a_batch_that_fails_has_had_no_effect_and_says_which_statement_it_was(bench: Bench) -> None:
    await bench.make(*PEOPLE)
    statements = [{"sql": "DELETE FROM people"}, {"sql": "INSERT INTO nowhere VALUES (1)"}]

    with pytest.raises(BackendError) as caught:
        await bench.ask("batch", statements=statements)

    assert caught.value.message.startswith("statement 2 of 2 failed, and all were taken back")
    assert caught.value.field == "arguments.statements[1]"
    assert await names(bench) == ["Ada", "Bo"]
    assert bench.connector.is_usable(bench.session)


async def test_the_session_of_a_failed_batch_serves_the_next_one(bench: Bench) -> None:
    await bench.make(*PEOPLE)
    with pytest.raises(BackendError):
        await bench.ask("batch", statements=[{"sql": "INSERT INTO nowhere VALUES (1)"}])

    await bench.ask("batch", statements=[{"sql": "DELETE FROM people WHERE id = 1"}])

    assert await names(bench) == ["Bo"]


async def test_a_cancelled_batch_is_taken_back(bench: Bench) -> None:
    await bench.make(*PEOPLE)
    bench.server.faults(slow={"id = 77": 20})
    statements = [{"sql": "DELETE FROM people"}, {"sql": "DELETE FROM people WHERE id = 77"}]
    prepared = bench.prepare("batch", statements=statements)
    call = asyncio.create_task(bench.connector.execute(bench.session, prepared, context()))
    await eventually(lambda: any("77" in each["sql"] for each in bench.server.statements), what="it is asked")

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert await names(bench) == ["Ada", "Bo"]
    assert bench.server.statements[-2]["sql"] == "ROLLBACK"


async def test_a_commit_of_which_nobody_knows_says_so_and_its_session_is_done(bench: Bench) -> None:
    await bench.make(*PEOPLE)
    bench.server.faults(slow={"COMMIT": 20})

    with pytest.raises(DeadlineError) as caught:
        await bench.ask("batch", statements=[{"sql": "DELETE FROM people"}], seconds=1.0)

    assert caught.value.outcome_unknown
    assert not bench.connector.is_usable(bench.session)


async def test_what_cannot_be_taken_back_is_in_no_batch(bench: Bench) -> None:
    with pytest.raises(InvalidArgumentsError) as caught:
        bench.prepare("batch", statements=[{"sql": "SELECT 1"}, {"sql": "CREATE TABLE x (id INTEGER)"}])

    assert caught.value.field == "arguments.statements[1].sql"


async def test_a_batch_is_judged_whole_before_anything_is_sent(bench: Bench) -> None:
    bench.server.forget()

    with pytest.raises(RefusedError) as caught:
        bench.prepare("batch", statements=[{"sql": "SELECT 1"}, {"sql": "SELECT * FROM other.public.salaries"}])

    assert caught.value.field == "arguments.statements[1].sql"
    assert bench.server.statements == []


async def test_a_batch_has_a_bounded_number_of_statements(
    snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    made = configuration(snowflake_server.port, database, tmp_path, limits={"batchStatements": 2})
    bench = await Bench.start(Snowflake(made), snowflake_server)

    with pytest.raises(InvalidArgumentsError, match="at most 2"):
        bench.prepare("batch", statements=[{"sql": "SELECT 1"}] * 3)

    await bench.stop()


async def test_a_write_whose_connection_broke_may_have_been_done(bench: Bench) -> None:
    await bench.make(*PEOPLE)
    bench.server.faults(outage="unavailable")

    with pytest.raises(BackendLostError) as write:
        await bench.ask("execute", sql="DELETE FROM people")
    with pytest.raises(BackendLostError) as read:
        await bench.ask("query", sql="SELECT 1")

    assert write.value.outcome_unknown
    assert not read.value.outcome_unknown
