"""`query`, against the stand-in."""

import asyncio
import json

import pytest

from ringfence_sidecar.connectors.base import Effect
from ringfence_sidecar.errors import DeadlineError, InvalidArgumentsError, RefusedError
from tests.backends.waiting import eventually
from tests.sidecar.connectors.snowflake.bench import Bench, context, data

pytestmark = pytest.mark.backend
PEOPLE = ("CREATE TABLE people (id INTEGER, name VARCHAR)", "INSERT INTO people VALUES (1, 'Ada'), (2, 'Bo')")


async def test_a_query_answers_columns_and_rows_and_names_the_query(bench: Bench) -> None:
    await bench.make(*PEOPLE)

    outcome = await bench.ask("query", sql="SELECT id, name FROM people ORDER BY id")

    answer = data(outcome)
    assert [column["name"] for column in answer["columns"]] == ["ID", "NAME"]
    assert answer["rows"] == [[1, "Ada"], [2, "Bo"]]
    assert (answer["rowCount"], answer["more"], outcome.partial, outcome.warnings) == (2, False, False, ())
    assert outcome.backend_id
    assert {name: outcome.used[name] for name in ("queries", "rows", "bytesReturned")} == {
        "queries": 1,
        "rows": 2,
        "bytesReturned": len('[[1,"Ada"],[2,"Bo"]]'),
    }


async def test_binds_stand_for_values_by_place_and_by_name(bench: Bench) -> None:
    await bench.make(*PEOPLE)

    by_place = await bench.ask("query", sql="SELECT name FROM people WHERE id = ? AND name = ?", binds=[1, "Ada"])
    by_name = await bench.ask("query", sql="SELECT name FROM people WHERE id = :id", binds={"id": 2})

    assert data(by_place)["rows"] == [["Ada"]]
    assert data(by_name)["rows"] == [["Bo"]]


@pytest.mark.parametrize("binds", [[], [1, 2], {"id": 1}, None])
async def test_binds_that_do_not_come_out_even_are_refused_before_anything_is_sent(bench: Bench, binds: object) -> None:
    bench.server.forget()

    with pytest.raises(InvalidArgumentsError) as caught:
        bench.prepare("query", sql="SELECT ?", binds=binds)

    assert caught.value.field == "arguments.binds"
    assert bench.server.statements == []


async def test_each_statement_says_who_asked_and_how_long_it_may_take(bench: Bench) -> None:
    await bench.ask("query", sql="SELECT 41", timeoutSeconds=7)

    (statement,) = bench.server.statements
    tag = json.loads(statement["parameters"]["QUERY_TAG"])
    assert (tag["agent"], tag["namespace"]) == ("reader", "research")
    assert tag["request"].startswith("request-")
    assert tag["trace"] == "0af7651916cd43dd8448eb211c80319c"
    assert statement["parameters"]["STATEMENT_TIMEOUT_IN_SECONDS"] == 7


async def test_what_runs_is_the_judged_text_with_the_row_cap_in_it(bench: Bench, database: str) -> None:
    await bench.make(*PEOPLE)
    bench.server.forget()

    await bench.ask("query", sql="select name from people -- what is this", limit=1)

    (statement,) = bench.server.statements
    assert f'"{database}"."PUBLIC".people' in statement["sql"]
    assert statement["sql"].endswith("LIMIT 2")
    assert "what is this" not in statement["sql"]


async def test_a_limit_of_the_callers_is_no_cut_but_says_that_there_is_more(bench: Bench) -> None:
    await bench.make(*PEOPLE)

    outcome = await bench.ask("query", sql="SELECT id FROM people ORDER BY id", limit=1)

    assert (data(outcome)["rows"], data(outcome)["more"]) == ([[1]], True)
    assert (outcome.warnings, outcome.partial, outcome.cacheable, outcome.details) == ((), False, True, {})


async def test_a_writing_statement_is_no_query(bench: Bench) -> None:
    await bench.make(*PEOPLE)

    with pytest.raises(InvalidArgumentsError, match="use execute"):
        bench.prepare("query", sql="DELETE FROM people")


async def test_a_table_that_is_not_permitted_is_refused_with_its_rule(bench: Bench) -> None:
    with pytest.raises(RefusedError) as caught:
        bench.prepare("query", sql="SELECT * FROM other.public.salaries")

    assert caught.value.rule == "sql.tables"


async def test_what_makes_the_answer_is_what_the_cache_tells_apart(bench: Bench, database: str) -> None:
    one = bench.prepare("query", sql="select id from people where id = ?", binds=[1])
    same = bench.prepare("query", sql="SELECT  id FROM people WHERE id = ?", binds=[1])
    other_bind = bench.prepare("query", sql="select id from people where id = ?", binds=["1"])
    other_cap = bench.prepare("query", sql="select id from people where id = ?", binds=[1], limit=5)
    own_limit = [bench.prepare("query", sql="SELECT id FROM people LIMIT 3", limit=most).cache for most in (2, 5)]
    unstable = bench.prepare("query", sql="SELECT CURRENT_TIMESTAMP()")

    assert one.cache is not None
    assert one.cache == same.cache
    assert "analyst" in one.cache.material
    assert f"{database}.PUBLIC.PEOPLE" in one.cache.tags
    assert one.cache not in (other_bind.cache, other_cap.cache)
    assert own_limit[0] != own_limit[1]
    assert unstable.cache is None
    assert one.effect is Effect.READ


async def test_a_cancelled_call_cancels_the_statement_in_snowflake(bench: Bench) -> None:
    bench.server.faults(slow={"41": 20})
    prepared = bench.prepare("query", sql="SELECT 41")
    call = asyncio.create_task(bench.connector.execute(bench.session, prepared, context()))
    await eventually(lambda: len(bench.server.statements) == 1, what="the statement runs")

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    await eventually(lambda: bench.server.statements[0]["ended"] == "cancelled", what="it is cancelled")


async def test_the_deadline_cancels_the_statement_in_snowflake(bench: Bench) -> None:
    bench.server.faults(slow={"41": 20})

    with pytest.raises(DeadlineError):
        await bench.ask("query", sql="SELECT 41", seconds=0.5)

    await eventually(lambda: bench.server.statements[0]["ended"] == "cancelled", what="it is cancelled")


async def test_snowflake_ends_what_takes_longer_than_its_timeout(bench: Bench) -> None:
    bench.server.faults(slow={"41": 20})

    with pytest.raises(DeadlineError) as caught:
        await bench.ask("query", sql="SELECT 41", timeoutSeconds=1)

    assert "timeoutSeconds" in caught.value.message
    await eventually(lambda: bench.server.statements[0]["ended"] in ("timeout", "cancelled"), what="it ends")


async def test_a_statement_that_takes_long_is_waited_for(bench: Bench) -> None:
    bench.server.faults(slow={"41": 2}, patience=0.3)

    outcome = await bench.ask("query", sql="SELECT 41")

    assert data(outcome)["rows"] == [[41]]
    assert len(bench.server.statements) == 1
    assert any(path.endswith("/result") for path in bench.server.record["paths"])


async def test_a_statement_that_takes_long_is_cancelled_while_it_is_waited_for(bench: Bench) -> None:
    bench.server.faults(slow={"41": 60}, patience=0.3)
    prepared = bench.prepare("query", sql="SELECT 41")
    call = asyncio.create_task(bench.connector.execute(bench.session, prepared, context(60)))
    await eventually(lambda: any("/result" in path for path in bench.server.record["paths"]), what="it is waited for")

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    await eventually(lambda: bench.server.statements[0]["ended"] == "cancelled", what="it is cancelled")
