"""A warehouse through a real sidecar."""

import pytest

import ringfence
from ringfence import Ringfence, Snowflake
from tests.backends.snowflake_server import SnowflakeServer

pytestmark = pytest.mark.backend


@pytest.fixture
async def sales(rf: Ringfence, name: str, snowflake_server: SnowflakeServer) -> Snowflake:
    """The warehouse, with a table of the test's own name in it."""
    found = rf.snowflake("sales")
    await found.execute(f"CREATE TABLE {name} (id INT, region VARCHAR)")
    await found.batch([(f"INSERT INTO {name} VALUES (?, ?)", [number, f"r{number}"]) for number in range(7)])
    return found


async def test_rows_come_with_their_columns(sales: Snowflake, name: str) -> None:
    result = await sales.query(f"SELECT id, region FROM {name} WHERE id > ? ORDER BY id", [4])

    assert [column.name for column in result.columns] == ["ID", "REGION"]
    assert result.rows == [[5, "r5"], [6, "r6"]]
    assert list(result) == [{"ID": 5, "REGION": "r5"}, {"ID": 6, "REGION": "r6"}]
    assert (len(result), result.more, result.envelope.metadata.endpoint) == (2, False, "main")
    assert result.envelope.metadata.backend_id


async def test_values_go_by_name_as_well(sales: Snowflake, name: str) -> None:
    result = await sales.query(f"SELECT region FROM {name} WHERE id = :id", {"id": 3})

    assert result.rows == [["r3"]]


async def test_the_same_question_is_answered_from_the_cache_unless_a_fresh_answer_is_wanted(
    sales: Snowflake, name: str
) -> None:
    sql = f"SELECT COUNT(*) AS n FROM {name}"

    answers = [await sales.query(sql), await sales.query(sql), await sales.query(sql, fresh=True)]

    assert [answer.is_cached for answer in answers] == [False, True, False]


async def test_a_limit_leaves_rows_out_and_says_so(sales: Snowflake, name: str) -> None:
    result = await sales.query(f"SELECT id FROM {name} ORDER BY id", limit=2)

    assert (result.rows, result.more) == ([[0], [1]], True)


async def test_pages_are_the_whole_result_and_the_warehouse_is_asked_once(
    sales: Snowflake, name: str, snowflake_server: SnowflakeServer
) -> None:
    sql = f"SELECT id FROM {name} ORDER BY id"

    pages = [page.rows async for page in sales.pages(sql, limit=3)]

    assert pages == [[[0], [1], [2]], [[3], [4], [5]], [[6]]]
    assert sum("ORDER BY" in each["sql"] for each in snowflake_server.statements) == 1


async def test_a_write_says_how_many_rows_it_touched(sales: Snowflake, name: str) -> None:
    done = await sales.execute(f"UPDATE {name} SET region = ? WHERE id < ?", ["north", 3])

    assert (done.statement, done.rows_affected) == ("Update", 3)


async def test_a_batch_is_done_as_a_whole_or_not_at_all(sales: Snowflake, name: str) -> None:
    done = await sales.batch([(f"INSERT INTO {name} VALUES (?, ?)", [7, "r7"]), f"SELECT COUNT(*) AS n FROM {name}"])
    with pytest.raises(ringfence.CallError):
        await sales.batch(
            [f"DELETE FROM {name}", f"INSERT INTO {name} VALUES (1/0, 'x')", f"SELECT nothing FROM {name}"]
        )
    left = await sales.query(f"SELECT COUNT(*) AS n FROM {name}", fresh=True)

    assert [(each.statement, each.rows_affected) for each in done] == [("Insert", 1), ("Select", None)]
    assert (done[1].rows, left.rows) == ([[8]], [[8]])


async def test_what_is_not_permitted_is_refused_with_the_rule(sales: Snowflake) -> None:
    with pytest.raises(ringfence.RefusedError) as raised:
        await sales.query("SELECT * FROM elsewhere.public.t")

    assert raised.value.problem.rule
    assert not raised.value.retryable


async def test_an_error_of_the_warehouse_is_its_own_class(sales: Snowflake, name: str) -> None:
    with pytest.raises(ringfence.BackendError):
        await sales.query(f"SELECT no_such_column FROM {name}")


async def test_a_call_ends_when_its_time_is_over(sales: Snowflake, snowflake_server: SnowflakeServer) -> None:
    snowflake_server.faults(slow={"AS two": 20.0})

    with pytest.raises(ringfence.DeadlineError):
        await sales.query("SELECT 2 AS two", timeout=0.5)
