import json
from ipaddress import ip_network
from typing import Any

import dns.rcode
import pytest

from ringfence_gateway.port_set import Settings
from ringfence_gateway.record import Record
from ringfence_gateway.serving import Serving
from tests.gateway.builders import ADDRESS, wire
from tests.gateway.clients import addresses, ask
from tests.ports import free_port

SETTINGS: dict[str, Any] = {
    "kind": "settings",
    "reserved": ["10.244.0.0/16"],
    "resolvers": ["9.9.9.9"],
    "upstreamProxy": None,
    "upstreamProxyAuthority": None,
    "clusterDomain": "cluster.test",
}


@pytest.fixture
def ports() -> dict[int, int]:
    return {block: free_port() for block in (17, 18)}


@pytest.fixture
async def serving(ports: dict[int, int]) -> Any:
    made = Serving(Record(), first_port=lambda block: ports[block])
    yield made
    made.close()


def _value(block: int = 17, **changes: Any) -> bytes:
    return json.dumps(wire(block, **changes)).encode()


async def test_port_sets_come_change_and_go(serving: Serving, ports: dict[int, int]) -> None:
    serving.put_port_set("p-00017", _value(17))
    before = await ask("new.example.com", ports[17])
    serving.put_port_set("p-00017", _value(17, allowed=[["new.example.com", [443]]]))
    after = await ask("new.example.com", ports[17])
    serving.remove_port_set("p-00017")

    assert (before.rcode(), addresses(after)) == (dns.rcode.NXDOMAIN, [ADDRESS])
    with pytest.raises(ConnectionRefusedError):
        await ask("new.example.com", ports[17], over_tcp=True)
    serving.put_port_set("p-00017", _value(17))


async def test_a_port_that_is_taken_is_refused_and_the_others_are_served(
    serving: Serving, ports: dict[int, int]
) -> None:
    other = Serving(Record(), first_port=lambda block: ports[block])
    other.put_port_set("p-00017", _value(17))

    with pytest.raises(OSError, match="in use"):
        serving.put_port_set("p-00017", _value(17))
    serving.put_port_set("p-00018", _value(18))

    assert addresses(await ask("api.example.com", ports[18])) == [ADDRESS]
    assert list(serving.port_sets) == [18]
    other.close()


@pytest.mark.parametrize(("name", "value"), [("p-00018", _value(17)), ("p-00017", b"{}"), ("settings", _value(17))])
async def test_what_cannot_be_served_leaves_what_was_there(
    serving: Serving, ports: dict[int, int], name: str, value: bytes
) -> None:
    serving.put_port_set("p-00017", _value(17))

    with pytest.raises(ValueError, match=r"\S"):
        serving.put_port_set(name, value)

    assert addresses(await ask("api.example.com", ports[17])) == [ADDRESS]
    assert list(serving.port_sets) == [17]


async def test_settings_hold_for_port_sets_that_were_there_before(serving: Serving, ports: dict[int, int]) -> None:
    taken: list[Settings] = []
    serving.on_settings = taken.append
    serving.put_port_set("p-00017", _value(17))

    serving.put_settings("settings", json.dumps(SETTINGS).encode())

    assert addresses(await ask("db.team.svc.cluster.test", ports[17])) == ["10.96.0.50"]
    assert (await ask("db.team.svc.cluster.local", ports[17])).rcode() == dns.rcode.NXDOMAIN
    assert taken == [
        Settings(reserved=(ip_network("10.244.0.0/16"),), resolvers=("9.9.9.9",), cluster_domain="cluster.test")
    ]
    assert serving.settled.is_set()


async def test_settings_that_do_not_fit_are_refused_and_the_earlier_ones_kept(serving: Serving) -> None:
    serving.put_settings("settings", json.dumps(SETTINGS).encode())

    for changes in ({"reserved": ["x"]}, {"resolvers": ["dns.example"]}, {"clusterDomain": ".."}):
        with pytest.raises(ValueError, match=r"\S"):
            serving.put_settings("settings", json.dumps(SETTINGS | changes).encode())
    serving.remove_settings("settings")

    assert serving.settings.cluster_domain == "cluster.test"
    assert serving.settled.is_set()


async def test_removing_what_is_not_served_does_nothing(serving: Serving) -> None:
    serving.remove_port_set("p-00017")
    serving.remove_port_set("settings")

    assert serving.port_sets == {}
