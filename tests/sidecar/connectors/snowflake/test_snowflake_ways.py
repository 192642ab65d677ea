"""The ways that the operator's own configuration leads: to endpoints in the cluster and outside, and to tokens."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from ringfence_operator.api.connector import Connector as Resource
from ringfence_operator.resources.connector_port_set import tunnels_of
from ringfence_operator.resources.observed import observe_service
from ringfence_operator.resources.sidecar_configuration import Bound, Proxy, Way, build_sidecar_configuration
from ringfence_sidecar.configuration import Connector, decode
from ringfence_sidecar.connectors.snowflake import Snowflake
from ringfence_sidecar.errors import CallError
from tests.backends.snowflake.connect_proxy import ConnectProxy
from tests.backends.snowflake_server import SnowflakeServer, running_snowflake
from tests.backends.token_server import TokenServer
from tests.gateway.certificates import Authority
from tests.operator.resources.connectors import broker_service, make_connector, snowflake
from tests.operator.resources.objects import make_agent
from tests.ports import free_port

pytestmark = pytest.mark.backend
OUTSIDE, INSIDE, LOGIN = "acme-main.snowflakecomputing.com", "snow.data.svc", "login.example.com"
ACCOUNT = {"account": "acme-main", "warehouse": "reading"}
CLIENT = {"clientId": "ringfence", "tokenUrl": f"https://{LOGIN}/oauth2/token", "scopes": ["session:role:analyst"]}
BY_TOKEN = {"secretName": "snow", "authority": "ca.crt", "oauthClientCredentials": CLIENT}
BY_PASSWORD = {"secretName": "snow", "authority": "ca.crt", "password": {"user": "RINGFENCE"}}


@dataclass(frozen=True)
class Place:
    """Warehouses, whoever hands out tokens for them, and a Secret."""

    outside: SnowflakeServer
    inside: SnowflakeServer
    plain: SnowflakeServer
    """In the cluster, too, without TLS."""
    tokens: TokenServer
    secret: Path

    def proxy(self) -> ConnectProxy:
        """Return what the gateway is for the sidecar: it knows what lies outside, and nothing else."""
        known = {f"{OUTSIDE}:443": self.outside.port, f"{LOGIN}:443": self.tokens.port}
        return ConnectProxy("sidecar", "only-sidecars", {name: ("127.0.0.1", port) for name, port in known.items()})

    def told(self, resource: Resource, proxy: ConnectProxy) -> Connector:
        """Return what the operator tells the sidecar, with the Secret where the test has it."""
        door = Proxy(host="127.0.0.1", port=proxy.port, username="sidecar", password="only-sidecars")
        way = Way(block=7, service="p-00007", address="127.0.0.1", proxy=door) if tunnels_of(resource) else None
        service = observe_service(broker_service("snow", address="127.0.0.1"))
        bound = Bound(connector=resource, services={("data", "snow"): service}, way=way)
        (found,) = decode(orjson.dumps(build_sidecar_configuration(make_agent(), [bound]))).connectors
        return msgspec.structs.replace(found, auth=msgspec.structs.replace(found.auth, directory=str(self.secret)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory, authority = tmp_path_factory.mktemp("secret"), Authority()
    for name in (OUTSIDE, INSIDE, LOGIN):
        certificate, key = authority.issue(name)
        (directory / f"{name}.crt").write_bytes(certificate)
        (directory / f"{name}.key").write_bytes(key)
    (directory / "ca.crt").write_bytes(authority.pem)
    (directory / "client-secret").write_text("s3cret\n")
    (directory / "password").write_text("correct horse")
    tokens = TokenServer("ringfence", "s3cret", "access-ringfence")
    with (
        running_snowflake(*_tls(directory, OUTSIDE), scheme="https") as (outside, _),
        running_snowflake(*_tls(directory, INSIDE), scheme="https") as (inside, _),
        running_snowflake() as (plain, _),
        tokens.running(directory / f"{LOGIN}.crt", directory / f"{LOGIN}.key"),
    ):
        yield Place(outside, inside, plain, tokens, directory)


@pytest.fixture(autouse=True)
def _everybody(place: Place) -> Iterator[None]:
    """Let everybody log in, unless a test says who may."""
    yield
    place.outside.users({})


def _tls(directory: Path, name: str) -> tuple[str, ...]:
    return ("--certificate", str(directory / f"{name}.crt"), "--key", str(directory / f"{name}.key"))


def outside(name: str = "outside") -> dict[str, Any]:
    return {"name": name, "host": OUTSIDE, **ACCOUNT}


def inside(server: SnowflakeServer, name: str = "inside", **changes: Any) -> dict[str, Any]:
    return {"name": name, "service": {"name": "snow", "namespace": "data", "port": server.port}, **ACCOUNT, **changes}


async def logs_in(told: Connector, endpoint: str) -> None:
    """Log in at an endpoint, and have it asked something."""
    connector = Snowflake(told)
    session = await connector.connect(next(each for each in told.endpoints if each.name == endpoint))
    try:
        await connector.health_check(session)
    finally:
        await connector.disconnect(session)


async def test_a_client_of_an_authorization_server_logs_in_as_the_operator_configures_it(place: Place) -> None:
    resource = make_connector(spec=snowflake(endpoints=[outside()], auth=BY_TOKEN, role="ANALYST"))
    place.outside.users({"RINGFENCE": {"oauth": {"client": "ringfence", "secret": "s3cret"}}})

    async with place.proxy().running(free_port()) as proxy:
        await logs_in(place.told(resource, proxy), "outside")

    assert place.tokens.forms[-1] == {"grant_type": "client_credentials", "scope": "session:role:analyst"}
    assert place.outside.record["logins"][-1]["TOKEN"] == "access-ringfence"
    assert set(proxy.opened) == {f"{each.name}:{port}" for each in tunnels_of(resource) for port in each.ports}
    assert proxy.refused == 0


async def test_a_client_that_the_authorization_server_does_not_know_says_so_without_its_secret(place: Place) -> None:
    stranger = {**BY_TOKEN, "oauthClientCredentials": {**CLIENT, "clientId": "stranger"}}
    resource = make_connector(spec=snowflake(endpoints=[outside()], auth=stranger))

    async with place.proxy().running(free_port()) as proxy:
        with pytest.raises(CallError) as caught:
            await logs_in(place.told(resource, proxy), "outside")

    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize("auth", [BY_PASSWORD, BY_TOKEN], ids=["password", "token"])
@pytest.mark.parametrize("tls", [True, False])
async def test_an_endpoint_in_the_cluster_is_dialled_though_the_connector_has_a_way_out(
    place: Place, tls: bool, auth: dict[str, Any]
) -> None:
    server = place.inside if tls else place.plain
    resource = make_connector(spec=snowflake(endpoints=[outside(), inside(server, tls=tls)], auth=auth))

    async with place.proxy().running(free_port()) as proxy:
        await logs_in(place.told(resource, proxy), "inside")
        past = list(proxy.opened)
        await logs_in(place.told(resource, proxy), "outside")

    assert set(past) == ({f"{LOGIN}:443"} if auth is BY_TOKEN else set())
    assert set(proxy.opened) >= {f"{OUTSIDE}:443"}
    assert proxy.refused == 0


async def test_what_the_gateway_does_not_let_through_is_not_to_be_had_past_an_endpoint_in_the_cluster(
    place: Place,
) -> None:
    elsewhere = {**BY_TOKEN, "oauthClientCredentials": {**CLIENT, "tokenUrl": "https://other.example.com/oauth2/token"}}
    resource = make_connector(spec=snowflake(endpoints=[inside(place.inside)], auth=elsewhere))

    async with place.proxy().running(free_port()) as proxy:
        with pytest.raises(CallError):
            await logs_in(place.told(resource, proxy), "inside")

    assert proxy.opened == []
