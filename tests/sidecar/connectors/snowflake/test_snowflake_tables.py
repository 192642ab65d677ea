"""`describe`, `list`, `analyze_table` and `warehouse_usage`."""

from pathlib import Path

import pytest

from ringfence_sidecar.connectors.snowflake import Snowflake
from ringfence_sidecar.connectors.snowflake.answers import TableColumn
from ringfence_sidecar.connectors.snowflake.sampling import sample_sql, share_of
from ringfence_sidecar.connectors.snowflake.session import Statement
from ringfence_sidecar.errors import InvalidArgumentsError, RefusedError
from tests.backends.snowflake_server import SnowflakeServer
from tests.sidecar.connectors.snowflake.bench import Bench, configuration, context, data

pytestmark = pytest.mark.backend
ORDERS = (
    "CREATE TABLE orders (id INTEGER NOT NULL, customer VARCHAR, amount NUMBER(10,2), paid BOOLEAN, "
    "placed DATE, detail VARIANT)",
    "INSERT INTO orders (id, customer, amount, paid, placed) VALUES (1, 'Ada', 9.50, TRUE, '2026-01-02'), "
    "(2, 'Bo', NULL, FALSE, '2026-03-04'), (3, 'Ada', 100.25, NULL, NULL)",
)


async def test_a_table_is_described_by_its_columns(bench: Bench, database: str) -> None:
    await bench.make(*ORDERS)

    outcome = await bench.ask("describe", table="orders")

    answer = data(outcome)
    assert answer["table"] == f"{database}.PUBLIC.ORDERS"
    assert [(each["name"], each["nullable"]) for each in answer["columns"]][:3] == [
        ("ID", False),
        ("CUSTOMER", True),
        ("AMOUNT", True),
    ]
    assert answer["columns"][2]["type"] == "NUMBER(10,2)"


async def test_what_describes_a_table_is_kept_until_the_table_changes(bench: Bench, database: str) -> None:
    prepared = bench.prepare("describe", table=f"{database}.public.orders")

    assert prepared.cache is not None
    assert f"{database}.PUBLIC.ORDERS" in prepared.cache.tags


@pytest.mark.parametrize("name", ["x; DROP TABLE y", "orders o", "a.b.c.d", "*", "orders--", ""])
@pytest.mark.parametrize("operation", ["describe", "analyze_table"])
async def test_a_name_that_is_none_is_refused(bench: Bench, operation: str, name: str) -> None:
    with pytest.raises((InvalidArgumentsError, ValueError)):
        bench.prepare(operation, table=name)


@pytest.mark.parametrize("operation", ["describe", "analyze_table"])
async def test_a_table_that_may_not_be_read_is_not_looked_at(bench: Bench, operation: str) -> None:
    with pytest.raises(RefusedError) as caught:
        bench.prepare(operation, table="other.public.salaries")

    assert caught.value.rule == "sql.tables"


async def test_a_quoted_name_reaches_snowflake_as_it_is(bench: Bench) -> None:
    await bench.make('CREATE TABLE "we""ird" (id INTEGER)')
    bench.server.forget()

    prepared = bench.prepare("describe", table='"we""ird"')

    assert prepared.payload.name[2] == 'we"ird'


async def test_only_tables_that_may_be_read_are_listed(
    bench: Bench, snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    await bench.make(*ORDERS, "CREATE TABLE salaries (id INTEGER)")
    tables = [f"{database}.PUBLIC.ORDERS"]
    narrow = configuration(snowflake_server.port, database, tmp_path, permissions={"tables": tables})
    other = await Bench.start(Snowflake(narrow), snowflake_server)

    everything = await bench.ask("list")
    permitted = await other.ask("list", schema="public")

    assert {each["name"] for each in data(everything)["tables"]} == {
        f"{database}.PUBLIC.ORDERS",
        f"{database}.PUBLIC.SALARIES",
    }
    assert [each["name"] for each in data(permitted)["tables"]] == tables
    await other.stop()


async def test_a_database_of_which_nothing_may_be_read_is_not_listed(bench: Bench) -> None:
    with pytest.raises(RefusedError):
        bench.prepare("list", database="other")


async def test_a_table_is_analyzed_column_by_column(bench: Bench) -> None:
    await bench.make(*ORDERS)

    outcome = await bench.ask("analyze_table", table="orders")

    answer = data(outcome)
    columns = {each["name"]: each for each in answer["columns"]}
    assert (answer["kind"], answer["sampledRows"], answer["rowCount"]) == ("TABLE", 3, 3)
    assert (columns["CUSTOMER"]["nulls"], columns["CUSTOMER"]["distinct"]) == (0, 2)
    assert (columns["AMOUNT"]["nulls"], columns["AMOUNT"]["minimum"], columns["AMOUNT"]["maximum"]) == (
        1,
        "9.50",
        "100.25",
    )
    assert (columns["PLACED"]["minimum"], columns["PLACED"]["maximum"]) == ("2026-01-02", "2026-03-04")
    assert (columns["PAID"]["nulls"], columns["PAID"]["distinct"], columns["PAID"]["minimum"]) == (1, 2, None)
    assert (columns["DETAIL"]["nulls"], columns["DETAIL"]["distinct"]) == (3, None)
    assert outcome.warnings == ()


async def test_an_analysis_looks_at_no_more_than_the_sample_and_says_so(bench: Bench) -> None:
    await bench.make(*ORDERS)
    bench.server.forget()

    outcome = await bench.ask("analyze_table", table="orders", sampleRows=2)

    assert data(outcome)["sampledRows"] <= 2
    assert [each.code for each in outcome.warnings] == ["Sampled"]
    assert bench.server.statements[-1]["sql"].endswith("LIMIT 2)")


@pytest.mark.parametrize(("share", "is_kept"), [(None, True), (100.0, False)])
async def test_only_an_analysis_that_comes_out_the_same_again_is_kept(
    share: float | None, is_kept: bool, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.make(*ORDERS)
    monkeypatch.setattr("ringfence_sidecar.connectors.snowflake.analysis.share_of", lambda *_: share)

    outcome = await bench.ask("analyze_table", table="orders")

    assert data(outcome)["sampledRows"] == 3
    assert outcome.cacheable is is_kept


def test_a_large_table_is_sampled_by_its_partitions_and_a_small_one_by_its_first_rows() -> None:
    million, gigabyte = 1_000_000, 1_000_000_000

    assert share_of(10_000, 100 * million, 100 * gigabyte) == pytest.approx(0.08)
    assert share_of(10_000, million, gigabyte) == pytest.approx(8.0)
    assert share_of(10_000, 20_000, gigabyte) == pytest.approx(50.0)
    assert share_of(10_000, million, gigabyte // 10) is None
    assert share_of(10_000, 10_000, gigabyte) is None
    assert share_of(10_000, None, None) is None
    assert share_of(10_000, million, 0) is None


async def test_snowflake_takes_the_sample_that_is_asked_for(bench: Bench) -> None:
    await bench.make(*ORDERS)
    name = bench.prepare("describe", table="orders").payload.name
    sql = sample_sql(name, [TableColumn(name="ID", type="NUMBER(38,0)", nullable=False)], 10, 100.0)

    cursor = await bench.session.run(Statement(sql=sql, timeout_seconds=10), context())

    assert await cursor.fetchone() == (3, 3, 3, 1, 3)
    cursor.close()


@pytest.mark.parametrize("place", [{"database": "a.b"}, {"schema": "a.b"}, {"schema": "a; b"}])
async def test_a_place_is_one_name(bench: Bench, place: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentsError):
        bench.prepare("list", **place)


async def test_the_warehouse_has_its_usage_by_the_hour(bench: Bench) -> None:
    outcome = await bench.ask("warehouse_usage", hours=6)

    answer = data(outcome)
    assert (answer["warehouse"], answer["credits"]) == ("READING", 1.25)
    (hour,) = answer["hours"]
    assert (hour["creditsCompute"], hour["running"], hour["queued"]) == (1.2, 0.5, 0.25)
    assert {each["bindings"]["1"]["value"] for each in bench.server.statements} == {"READING"}
