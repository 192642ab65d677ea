"""Large results, chunk by chunk."""

from pathlib import Path

import pytest

from ringfence_sidecar.connectors.snowflake import Snowflake, chunks
from ringfence_sidecar.connectors.snowflake.session import Statement
from ringfence_sidecar.errors import BackendLostError, DeadlineError, UnknownError
from tests.backends.snowflake_server import SnowflakeServer
from tests.sidecar.connectors.snowflake.bench import Bench, configuration, context, data

pytestmark = pytest.mark.backend
ROWS = 60_000
SQL = "SELECT n FROM numbers ORDER BY n"


@pytest.fixture
async def large(snowflake_server: SnowflakeServer, database: str, tmp_path: Path) -> Bench:
    """A connector whose result of SQL comes in several chunks."""
    limits = {"rows": 1_000_000, "bytes": 10_000_000}
    bench = await Bench.start(
        Snowflake(configuration(snowflake_server.port, database, tmp_path, limits=limits)), snowflake_server
    )
    sql = f"CREATE TABLE numbers AS SELECT SEQ4() AS n FROM TABLE(GENERATOR(ROWCOUNT => {ROWS}))"
    (await bench.session.run(Statement(sql=sql, timeout_seconds=30), context())).close()
    snowflake_server.forget()
    return bench


def chunks_read(bench: Bench) -> int:
    return sum(path.startswith("/chunks/") for path in bench.server.record["paths"])


async def test_all_chunks_are_read_in_their_order(large: Bench) -> None:
    outcome = await large.ask("query", sql=SQL)

    assert [row[0] for row in data(outcome)["rows"]] == list(range(ROWS))
    assert (data(outcome)["more"], outcome.warnings) == (False, ())
    assert chunks_read(large) >= 2


async def test_no_chunk_is_read_that_is_not_asked_for(large: Bench) -> None:
    first = await large.ask("query", sql=SQL, paged=True, limit=10)
    before = chunks_read(large)

    rest = await large.ask("query", handle=first.details["page"]["handle"])

    assert before == 0
    assert data(first)["more"]
    assert data(rest)["rows"] == [[n] for n in range(10, ROWS)]


async def test_time_that_runs_out_while_chunks_are_read_cuts_the_answer_and_says_so(large: Bench) -> None:
    large.server.faults(chunk_latency=5)

    outcome = await large.ask("query", sql=SQL, paged=True, seconds=3)

    assert 0 < data(outcome)["rowCount"] < ROWS
    assert data(outcome)["rows"] == [[n] for n in range(data(outcome)["rowCount"])]
    assert [each.code for each in outcome.warnings] == ["TimeCut"]
    assert (outcome.partial, outcome.cacheable, outcome.details, data(outcome)["more"]) == (True, False, {}, True)


async def test_time_that_runs_out_before_the_first_row_is_a_deadline(large: Bench) -> None:
    first = await large.ask("query", sql=SQL, paged=True, limit=12_500)
    large.server.faults(chunk_latency=5)

    with pytest.raises(DeadlineError):
        await large.ask("query", handle=first.details["page"]["handle"], seconds=1)

    assert large.connector.metrics()["open_results"] == 0


async def test_a_chunk_that_is_gone_is_a_lost_connection(large: Bench) -> None:
    first = await large.ask("query", sql=SQL, paged=True, limit=10)
    large.server.drop_chunks()

    with pytest.raises(BackendLostError):
        await large.ask("query", handle=first.details["page"]["handle"])

    assert large.connector.metrics()["open_results"] == 0


async def test_a_chunk_that_is_too_large_is_not_read_and_the_answer_says_so(
    large: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "LARGEST_CHUNK", 150_000)

    outcome = await large.ask("query", sql=SQL, paged=True)

    assert data(outcome)["rows"] == [[n] for n in range(data(outcome)["rowCount"])]
    assert [each.code for each in outcome.warnings] == ["ChunkTooLarge"]
    assert (outcome.partial, outcome.details, data(outcome)["more"]) == (True, {}, True)


async def test_a_result_whose_session_was_replaced_is_gone(large: Bench) -> None:
    first = await large.ask("query", sql=SQL, paged=True, limit=10)
    large.server.expire("gone")
    await large.ask("query", sql="SELECT 1")
    large.server.forget()

    with pytest.raises(UnknownError):
        await large.ask("query", handle=first.details["page"]["handle"])

    assert chunks_read(large) == 0
