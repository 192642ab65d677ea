"""Sessions: how they end, how they open again, what errors say."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from ringfence_sidecar.connectors.snowflake import Snowflake
from ringfence_sidecar.connectors.snowflake.driver import PINNED, load
from ringfence_sidecar.connectors.snowflake.failure import statement_failure
from ringfence_sidecar.errors import BackendError, BackendLostError, CallError, RefusedError
from tests.backends.snowflake_server import SnowflakeServer, running_snowflake
from tests.ports import free_port
from tests.sidecar.connectors.snowflake.bench import Bench, configuration, data, endpoint_of

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("what", ["session", "master", "gone"])
async def test_a_session_that_has_ended_opens_again_by_itself(bench: Bench, what: str) -> None:
    await bench.make("CREATE TABLE people (id INTEGER)")
    bench.server.expire(what)

    read = await bench.ask("query", sql="SELECT 41")
    bench.server.expire(what)
    await bench.ask("execute", sql="INSERT INTO people VALUES (1)")

    assert data(read)["rows"] == [[41]]
    assert data(await bench.ask("query", sql="SELECT COUNT(*) FROM people"))["rows"] == [[1]]
    assert bench.connector.is_usable(bench.session)


async def test_a_connection_that_the_driver_has_closed_opens_again_by_itself(bench: Bench) -> None:
    await bench.session._connection.close()

    read = await bench.ask("query", sql="SELECT 41")

    assert data(read)["rows"] == [[41]]
    assert bench.connector.is_usable(bench.session)


async def test_a_connection_that_is_found_closed_is_not_given_out_again(bench: Bench) -> None:
    await bench.session._connection.close()

    with pytest.raises(BackendError):
        await bench.connector.health_check(bench.session)

    assert not bench.connector.is_usable(bench.session)


async def test_a_statement_that_is_refused_leaves_its_session_usable(bench: Bench) -> None:
    with pytest.raises(BackendError):
        await bench.ask("query", sql="SELECT 1 / 0 FROM nowhere")

    assert bench.connector.is_usable(bench.session)


async def test_a_batch_begins_on_a_session_that_opened_again(bench: Bench) -> None:
    await bench.make("CREATE TABLE people (id INTEGER)")
    bench.server.expire("gone")

    await bench.ask("batch", statements=[{"sql": "INSERT INTO people VALUES (1)"}])

    assert data(await bench.ask("query", sql="SELECT COUNT(*) FROM people"))["rows"] == [[1]]


async def test_a_session_opens_again_once_and_not_for_ever(bench: Bench) -> None:
    bench.server.faults(errors={"41": ["390111", "08001", "Session no longer exists."]})
    bench.server.forget()

    with pytest.raises(BackendLostError) as caught:
        await bench.ask("query", sql="SELECT 41")

    assert not caught.value.outcome_unknown
    assert len(bench.server.record["logins"]) == 1


async def test_a_session_is_renewed_with_the_credential_of_now(
    snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    snowflake_server.users({"RINGFENCE": {"password": "correct horse"}})
    made = configuration(snowflake_server.port, database, tmp_path)
    bench = await Bench.start(Snowflake(made), snowflake_server)
    snowflake_server.users({"RINGFENCE": {"password": "battery staple"}})
    (tmp_path / "password").write_text("battery staple")
    snowflake_server.expire("gone")

    outcome = await bench.ask("query", sql="SELECT 41")

    assert data(outcome)["rows"] == [[41]]
    await bench.stop()


async def test_logging_out_ends_the_session_in_snowflake(bench: Bench) -> None:
    before = bench.server.record["sessions"]
    other = await Bench.start(bench.connector, bench.server)

    await other.stop()

    assert bench.server.record["sessions"] == before
    assert not bench.connector.is_usable(other.session)


async def test_a_health_check_asks_snowflake_and_finds_what_is_wrong(bench: Bench) -> None:
    bench.server.forget()
    await bench.connector.health_check(bench.session)
    sent = bench.server.record["statements"]
    bench.server.faults(outage="unavailable")

    with pytest.raises(BackendLostError):
        await bench.connector.health_check(bench.session)

    assert [each["sql"] for each in sent] == ["SELECT 1"]


async def test_an_account_that_is_not_there_is_a_lost_endpoint_at_once(database: str, tmp_path: Path) -> None:
    connector = Snowflake(configuration(free_port(), database, tmp_path))

    async with asyncio.timeout(2):
        with pytest.raises(BackendLostError):
            await connector.connect(endpoint_of(connector))


async def test_an_account_that_answers_nothing_is_a_lost_endpoint(
    snowflake_server: SnowflakeServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PINNED, "login_timeout", 1)
    snowflake_server.faults(outage="hang")
    connector = Snowflake(configuration(snowflake_server.port, database, tmp_path))

    with pytest.raises(BackendLostError):
        await connector.connect(endpoint_of(connector))


async def test_a_server_that_dies_is_a_lost_endpoint_and_a_write_on_it_may_have_been_done(
    database: str, tmp_path: Path
) -> None:
    with running_snowflake() as (server, process):
        bench = await Bench.start(Snowflake(configuration(server.port, database, tmp_path)), server)
        await bench.make("CREATE TABLE people (id INTEGER)")
        process.kill()
        process.wait(timeout=10)

        async with asyncio.timeout(5):
            with pytest.raises(BackendLostError) as read:
                await bench.ask("query", sql="SELECT 41")
            with pytest.raises(BackendLostError) as write:
                await bench.ask("execute", sql="INSERT INTO people VALUES (1)")
        await bench.stop()

    assert (read.value.outcome_unknown, write.value.outcome_unknown) == (False, True)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (
            ("000606", "57P03", "No active warehouse selected in the current session."),
            BackendLostError,
            "WarehouseAway",
        ),
        (("090073", "22000", "Warehouse READING cannot be resumed: quota"), BackendLostError, "WarehouseAway"),
        (("002003", "42S02", "Object 'T' does not exist or not authorized."), BackendError, "BackendRefused"),
        (("001003", "42000", "SQL compilation error: syntax error"), BackendError, "BackendRefused"),
        (("003001", "42501", "Insufficient privileges to operate on table 'T'"), RefusedError, "NotPermitted"),
        (("000604", "57014", "SQL execution canceled"), BackendError, "StatementCancelled"),
        (("000625", "57014", "Statement '01ab' has locked table 'T' in transaction 7"), BackendError, "BackendRefused"),
    ],
)
async def test_what_snowflake_refuses_is_named_by_its_kind(
    bench: Bench, error: tuple[str, str, str], kind: type[CallError], reason: str
) -> None:
    bench.server.faults(errors={"41": error})

    with pytest.raises(kind) as caught:
        await bench.ask("query", sql="SELECT 41")

    assert caught.value.reason == reason
    assert caught.value.backend_id
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_a_lost_warehouse_lets_even_a_write_be_tried_elsewhere(bench: Bench) -> None:
    await bench.make("CREATE TABLE people (id INTEGER)")
    bench.server.faults(errors={"INSERT": ["000606", "57P03", "No active warehouse selected."]})

    with pytest.raises(BackendLostError) as caught:
        await bench.ask("execute", sql="INSERT INTO people VALUES (1)")

    assert not caught.value.outcome_unknown


@pytest.mark.parametrize(
    ("number", "is_unknown"),
    [(-1, True), (0, True), (13, True), (252_005, True), (250_002, False), (252_006, False), (1003, False)],
)
def test_a_write_of_which_only_the_driver_says_that_it_failed_may_have_been_done(number: int, is_unknown: bool) -> None:
    raised: Any = load().error
    error = raised("what the driver says", errno=number)

    write = statement_failure(error, wrote=True)
    read = statement_failure(error, wrote=False)

    assert (write.outcome_unknown, read.outcome_unknown) == (is_unknown, False)
    assert ("could not be read" in write.message) == (number != 1003)


async def test_text_of_others_never_reaches_an_answer(bench: Bench) -> None:
    texts = {
        "41": ["000625", "57014", "Statement 'UPDATE salaries SET x = 1' has locked table in transaction 9"],
        "42": ["100357", "P0000", "Python Interpreter Error:\nTraceback (most recent call last): secret()"],
        "43": ["002057", "42601", "Failure during expansion of view 'V': SELECT ssn FROM people"],
        "44": ["100038", "22018", "Numeric value '078-05-1120' is not recognized"],
        "45": ["002003", "02000", "SQL compilation error:\nFailure during expansion of view 'V': ssn"],
    }
    bench.server.faults(errors=texts)
    told = []

    for number in texts:
        with pytest.raises(BackendError) as caught:
            await bench.ask("query", sql=f"SELECT {number}")
        told.append(caught.value.message)

    joined = "\n".join(told)
    assert all(word not in joined for word in ("salaries", "secret()", "Traceback", "ssn", "078-05-1120"))
    assert all("error" in message for message in told)


async def test_the_driver_writes_no_log_and_tells_nobody(
    bench: Bench, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    bench.server.faults(errors={"41": ["001003", "42000", "SQL compilation error"]})

    with pytest.raises(BackendError):
        await bench.ask("query", sql="SELECT 41, 'a secret'")
    await bench.ask("query", sql="SELECT 'a secret'")
    other = await Bench.start(bench.connector, bench.server)
    await other.stop()

    assert [each for each in caplog.records if each.name.startswith("snowflake")] == []
    assert "a secret" not in caplog.text + "".join(capfd.readouterr())
    assert "/telemetry/send" not in bench.server.record["paths"]


async def test_the_session_orders_nulls_as_the_judge_takes_for_granted_that_leaves_it_out(
    bench: Bench,
) -> None:
    run = bench.connector.bound.judge("SELECT 1 AS a ORDER BY a NULLS LAST", rows=1).sql

    parameters = bench.server.record["logins"][-1]["SESSION_PARAMETERS"]

    assert "NULLS" not in run
    assert parameters["DEFAULT_NULL_ORDERING"] == "LAST"


async def test_the_session_is_pinned_to_role_warehouse_and_time_zone(
    snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    functions = ["CURRENT_ROLE", "CURRENT_WAREHOUSE"]
    made = configuration(snowflake_server.port, database, tmp_path, permissions={"functions": functions})

    bench = await Bench.start(Snowflake(made), snowflake_server)
    answer = data(await bench.ask("query", sql="SELECT CURRENT_ROLE(), CURRENT_WAREHOUSE()"))

    login = bench.server.record["logins"][-1]
    parameters = login["SESSION_PARAMETERS"]
    assert parameters["TIMEZONE"] == "UTC"
    assert parameters["CLIENT_TELEMETRY_ENABLED"] == "false"
    assert answer["rows"] == [["ANALYST", "READING"]]
    assert login["SECONDARY_ROLES"] == "NONE"
    assert login["CLIENT_ENVIRONMENT"]["APPLICATION"] == "Ringfence"
    await bench.stop()
