"""Connecting to a real broker: TLS, logging in, and telling that it is gone."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from ringfence_sidecar.configuration import Auth
from ringfence_sidecar.connectors.rabbitmq import RabbitMQ, connection
from ringfence_sidecar.errors import BackendError, BackendLostError, CallError
from tests.backends.certificates import Issued
from tests.backends.rabbitmq_server import PASSWORD, READER, READER_PASSWORD, RabbitMQServer
from tests.backends.waiting import eventually
from tests.ports import free_port
from tests.sidecar.connectors.rabbitmq.workbench import Bench, configuration, endpoint

pytestmark = pytest.mark.backend


async def _connect_error(directory: Path, server: RabbitMQServer, **changes: Any) -> CallError:
    connector = RabbitMQ(configuration(directory, server, **changes))
    with pytest.raises(CallError) as caught:
        await connector.connect(connector.configuration.endpoints[0])
    return caught.value


def _auth(directory: Path, **settings: Any) -> Auth:
    files = {"username": "username", "password": "password"}
    return Auth(method="password", directory=str(directory), files=files, settings=settings)


async def test_broker_is_reached_by_tls_under_its_own_name(
    broker: RabbitMQServer, issued: Issued, tmp_path: Path, name: str
) -> None:
    (tmp_path / "ca.pem").write_bytes(issued.authority.read_bytes())
    tls = endpoint(broker, tls=True, port=5671, address="127.0.0.1", address_port=broker.tls_port)
    bench = Bench(tmp_path, broker, endpoints=(tls,), auth=_auth(tmp_path, authority="ca.pem"))

    await bench.call("declare", queue={"name": name})

    assert (await bench.publish(name, 1))["routed"] == 1
    await bench.close()


async def test_certificate_of_another_name_is_not_trusted(
    broker: RabbitMQServer, issued: Issued, tmp_path: Path
) -> None:
    tls = endpoint(broker, tls=True, host="other.example", address_port=broker.tls_port)

    error = await _connect_error(
        tmp_path, broker, endpoints=(tls,), auth=_auth(tmp_path, authority=str(issued.authority))
    )

    assert isinstance(error, BackendLostError)
    assert "certificate" in error.message


async def test_authority_that_is_not_the_connectors_is_not_trusted(broker: RabbitMQServer, tmp_path: Path) -> None:
    error = await _connect_error(
        tmp_path, broker, endpoints=(endpoint(broker, tls=True, address_port=broker.tls_port),)
    )

    assert isinstance(error, BackendLostError)
    assert "authority" in error.message


async def test_refused_login_says_so_and_tells_no_secret(
    broker: RabbitMQServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connector = RabbitMQ(configuration(tmp_path, broker))
    (tmp_path / "password").write_text("not-the-password")

    with pytest.raises(BackendError) as caught:
        await connector.connect(connector.configuration.endpoints[0])

    assert caught.value.reason == "LoginRefused"
    assert "not-the-password" not in caught.value.message + caplog.text
    assert "Traceback" not in caplog.text


async def test_credentials_are_read_afresh(broker: RabbitMQServer, tmp_path: Path) -> None:
    connector = RabbitMQ(configuration(tmp_path, broker))
    (tmp_path / "password").write_text("old")
    with pytest.raises(BackendError):
        await connector.connect(connector.configuration.endpoints[0])

    (tmp_path / "password").write_text(PASSWORD)

    session = await connector.connect(connector.configuration.endpoints[0])
    await connector.health_check(session)
    await connector.disconnect(session)


@pytest.mark.parametrize("content", ["", "\n"])
async def test_empty_password_is_refused_and_no_other_one_tried(
    broker: RabbitMQServer, tmp_path: Path, content: str
) -> None:
    connector = RabbitMQ(configuration(tmp_path, broker))
    (tmp_path / "password").write_text(content)

    with pytest.raises(BackendError, match="empty"):
        await connector.connect(connector.configuration.endpoints[0])


async def test_secret_without_a_password_is_refused(broker: RabbitMQServer, tmp_path: Path) -> None:
    auth = Auth(method="password", directory=str(tmp_path), files={"username": "username", "password": "gone"})

    error = await _connect_error(tmp_path, broker, auth=auth)

    assert error.reason == "LoginRefused"


async def test_virtual_host_that_is_not_there_is_refused(broker: RabbitMQServer, tmp_path: Path) -> None:
    error = await _connect_error(tmp_path, broker, endpoints=(endpoint(broker, settings={"virtualHost": "none"}),))

    assert isinstance(error, BackendError)
    assert "virtual host" in error.message


async def test_endpoint_where_nobody_listens_is_lost_and_nothing_was_sent(
    broker: RabbitMQServer, tmp_path: Path
) -> None:
    error = await _connect_error(tmp_path, broker, endpoints=(endpoint(broker, port=free_port()),))

    assert isinstance(error, BackendLostError)
    assert not error.outcome_unknown


async def test_what_the_brokers_own_permissions_refuse_is_told(
    broker: RabbitMQServer, bench: Bench, tmp_path: Path, name: str
) -> None:
    await bench.call("declare", queue={"name": name}, exchange={"name": name})
    directory = tmp_path / "reader"
    directory.mkdir()
    reader = Bench(directory, broker)
    (directory / "username").write_text(READER)
    (directory / "password").write_text(READER_PASSWORD)

    for operation, arguments in (
        ("publish", {"messages": [{"exchange": name, "payload": 1}]}),
        ("declare", {"queue": {"name": f"{name}-new"}}),
        ("dead_letters_look", {"queue": name}),
    ):
        with pytest.raises(BackendError, match="user") as caught:
            await reader.call(operation, **arguments)
        assert caught.value.reason == "BrokerRefused"

    assert (await reader.call("inspect", queue=name))["ready"] == 0
    await reader.close()


async def test_silent_broker_loses_the_leases_before_it_gives_them_to_others(
    fragile: RabbitMQServer, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence_sidecar.connectors.rabbitmq.link.SILENCE", 2.5)
    monkeypatch.setattr(connection, "HEARTBEAT", 3)
    bench = Bench(tmp_path, fragile)
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1)
    await bench.take(name)
    fragile.freeze()

    try:
        began = time.monotonic()
        await eventually(lambda: bench.connector.metrics()["leases"] == 0, what="the lease is lost", seconds=8)
        took = time.monotonic() - began
    finally:
        fragile.thaw()

    assert took < 6, "two heartbeats: the broker waits for longer"
    await bench.close()


async def test_health_check_waits_for_the_brokers_work(fragile: RabbitMQServer, tmp_path: Path) -> None:
    bench = Bench(tmp_path, fragile)
    session = await bench.session()
    await bench.connector.health_check(session)
    fragile.freeze()

    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await bench.connector.health_check(session)
    finally:
        fragile.thaw()

    await bench.close()
