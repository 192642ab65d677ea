"""The ways of a third party's kind, as the operator tells them: CONNECT to what lies outside, a Service's address."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from ringfence_operator.resources.connector_port_set import tunnels_of
from ringfence_operator.resources.observed import observe_service
from ringfence_operator.resources.sidecar_configuration import Bound, Proxy, Way, build_sidecar_configuration
from ringfence_sidecar.configuration import Connector, decode
from ringfence_sidecar.envelope import Envelope
from ringfence_sidecar.errors import Status
from tests.backends.certificates import issue
from tests.backends.snowflake.connect_proxy import ConnectProxy
from tests.operator.resources.connectors import broker_service, make_connector, plugin
from tests.operator.resources.objects import make_agent
from tests.ports import free_port
from tests.sidecar.plugin.bed import call, serving, value
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running

HOST, PORT = "kv.example.com", 7000
OUTSIDE = {"name": "main", "host": HOST, "port": PORT}
AUTH = {"secretName": "kv", "authority": "ca.pem", "password": {"user": "agents"}}


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


@contextlib.asynccontextmanager
async def backend(secret: Path, name: str) -> AsyncIterator[Server]:
    """A back end over TLS that has the name, and the Secret that leads to it."""
    issued = issue(secret, "127.0.0.9", name)
    (secret / "password").write_text("word")
    server = Server({"p-colour": "blue"})
    server.password = "word"
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.context.load_cert_chain(issued.certificate, issued.key)
    async with running(server):
        yield server


def told(secret: Path, door: Proxy, *endpoints: dict[str, Any]) -> Connector:
    """Return what the operator tells the sidecar, with the Secret where the test has it."""
    spec = plugin(kind="kv", settings={"prefix": "p-"}, endpoints=list(endpoints), auth=AUTH)
    way = Way(block=7, service="p-00007", address=door.host, proxy=door)
    service = observe_service(broker_service("kv", address="127.0.0.1"))
    bound = Bound(connector=make_connector("store", spec=spec), services={("data", "kv"): service}, way=way)
    (found,) = decode(orjson.dumps(build_sidecar_configuration(make_agent(), [bound]))).connectors
    return msgspec.structs.replace(found, auth=msgspec.structs.replace(found.auth, directory=str(secret)))


async def ask(connector: Connector) -> Envelope:
    async with serving(connector) as (pipeline, _):
        return await pipeline.run(call("get", {"key": "colour"}))


async def test_a_host_outside_is_reached_by_connect_with_the_sidecars_credential(tmp_path: Path) -> None:
    opened = tunnels_of(make_connector(spec=plugin(kind="kv", endpoints=[OUTSIDE])))

    async with backend(tmp_path, HOST) as server:
        proxy = ConnectProxy("sidecar", "only-sidecars", {f"{HOST}:{PORT}": ("127.0.0.1", server.port)})
        async with proxy.running(free_port()):
            door = Proxy(host="127.0.0.1", port=proxy.port, username="sidecar", password="only-sidecars")
            envelope = await ask(told(tmp_path, door, OUTSIDE))

    assert value(envelope) == "blue"
    assert set(proxy.opened) == {f"{each.name}:{port}" for each in opened for port in each.ports}


@pytest.mark.parametrize(("password", "name"), [("guessed", HOST), ("only-sidecars", "other.example.com")])
async def test_without_the_credential_or_with_another_server_behind_it_nothing_is_said(
    tmp_path: Path, password: str, name: str
) -> None:
    async with backend(tmp_path, name) as server:
        proxy = ConnectProxy("sidecar", "only-sidecars", {f"{HOST}:{PORT}": ("127.0.0.1", server.port)})
        async with proxy.running(free_port()):
            door = Proxy(host="127.0.0.1", port=proxy.port, username="sidecar", password=password)
            envelope = await ask(told(tmp_path, door, OUTSIDE))

    assert envelope.status is Status.UNAVAILABLE
    assert server.asked == []


async def test_a_service_is_dialled_though_another_endpoint_lies_outside(tmp_path: Path) -> None:
    async with backend(tmp_path, "kv.data.svc") as server:
        proxy = ConnectProxy("sidecar", "only-sidecars", {})
        inside = {"name": "inside", "service": {"name": "kv", "namespace": "data", "port": server.port}}
        async with proxy.running(free_port()):
            door = Proxy(host="127.0.0.1", port=proxy.port, username="sidecar", password="only-sidecars")
            envelope = await ask(told(tmp_path, door, inside, {**OUTSIDE, "priority": 1}))

    assert value(envelope) == "blue"
    assert f"{HOST}:{PORT}" not in proxy.opened
