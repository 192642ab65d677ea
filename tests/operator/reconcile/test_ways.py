"""Connectors' port sets: allocated, published, admitted, and given back."""

import asyncio
from base64 import b64encode
from typing import Any

import pytest

from ringfence_operator.api.connector import Connector
from ringfence_operator.reconcile.gateway import Force
from ringfence_operator.reconcile.port_set import RELEASE_SECONDS
from ringfence_operator.reconcile.ways import ConnectorWays, CredentialUnknownError
from ringfence_operator.resources.port_set import Listener
from tests.operator.reconcile.contexts import running_pod
from tests.operator.reconcile.gateways import SYSTEM, Gated
from tests.operator.resources.connectors import KEY_PAIR, PASSWORD, connector_body, plugin, rabbitmq

Raw = dict[str, Any]
REPLICAS = ("g1", "g2")


class World(Gated):
    """A cluster with a gateway, and a leader that looks after connectors' ways."""

    def __init__(self) -> None:
        self.credential: tuple[str, str] | None = ("sidecar", "word")
        self.again: list[tuple[tuple[str, str], float]] = []
        super().__init__()

    def lead(self) -> None:
        super().lead()
        self.ways = ConnectorWays(
            self.view,
            self.api,
            self.gateway,
            self.port_sets.blocks,
            credential=lambda _: self.credential,
            later=lambda key, seconds: self.again.append((key, seconds)),
        )

    def connector(self, name: str = "c", spec: Raw | None = None, **changes: Any) -> Connector:
        self.have("connectors", connector_body(name, spec or snowflake(), **changes))
        return self.read(name)

    def read(self, name: str = "c") -> Connector:
        found: Connector = self.view.connectors.get("team", name)  # type: ignore[assignment]
        return found

    def change_spec(self, spec: Raw, name: str = "c") -> Connector:
        raw = self.api.change(("connectors", "team", name), lambda it: it["spec"].update(spec), is_spec=True)
        self.tables["connectors"].store(raw)
        return self.read(name)

    def admission(self, block: int = 0) -> Raw:
        return self.api.objects["networkpolicies", SYSTEM, f"ringfence-gateway-p-{block:05}"]["spec"]  # type: ignore[no-any-return]


@pytest.fixture
def cluster() -> World:
    return World()


def snowflake(**fields: Any) -> Raw:
    endpoint = {"name": "main", "host": "acme.snowflakecomputing.com", "account": "ACME", "warehouse": "W"}
    return {"snowflake": {"endpoints": [endpoint], "auth": KEY_PAIR, "database": "D", "schema": "S", **fields}}


def brokers(*hosts: str) -> Raw:
    endpoints = [{"name": f"e{number}", "host": host} for number, host in enumerate(hosts)]
    return {"rabbitmq": {"endpoints": endpoints, "auth": PASSWORD}}


async def test_a_warehouse_is_reached_by_connect_with_the_connectors_credential(cluster: World) -> None:
    connector = cluster.connector(spec=snowflake(storageHosts=["*.s3.amazonaws.com"]))

    way = await cluster.ways.keep(connector)

    found, address = cluster.gateway.served[0], cluster.service()["spec"]["clusterIP"]
    assert [(each.name, each.ports) for each in found.allowed] == [
        ("*.s3.amazonaws.com", (443,)),
        ("acme.snowflakecomputing.com", (443,)),
    ]
    assert found.doors is not None
    assert found.doors.authorization == f"Basic {b64encode(b'sidecar:word').decode()}"
    assert way is not None
    assert way.proxy is not None
    assert (way.proxy.host, way.proxy.port, way.proxy.username, way.proxy.password) == (
        address,
        3128,
        "sidecar",
        "word",
    )
    assert [(each["name"], each["port"], each["targetPort"]) for each in cluster.service()["spec"]["ports"]] == [
        ("proxy", 3128, 10_001)
    ]


async def test_brokers_are_reached_by_a_listener_each_and_no_proxy_is_there(cluster: World) -> None:
    connector = cluster.connector(spec=brokers("a.example", "b.example", "a.example"))

    way = await cluster.ways.keep(connector)

    found, address = cluster.gateway.served[0], cluster.service()["spec"]["clusterIP"]
    assert found.doors is not None
    assert found.doors.listeners == (Listener(0, "a.example", 5671), Listener(1, "b.example", 5671))
    assert found.allowed == ()
    assert way is not None
    assert way.proxy is None
    assert way.listeners == {"e0": (address, 10_000), "e1": (address, 10_001), "e2": (address, 10_000)}


async def test_a_plugins_endpoint_is_reached_by_connect_on_its_own_port(cluster: World) -> None:
    endpoints = [{"name": "x", "host": "x.example", "port": 8443}, {"name": "y", "host": "y.example", "port": 443}]

    await cluster.ways.keep(cluster.connector(spec=plugin(endpoints=endpoints)))

    found = cluster.gateway.served[0]
    assert [(each.name, each.ports) for each in found.allowed] == [("x.example", (8443,)), ("y.example", (443,))]
    assert found.further == {8443: 3}


async def test_sixteen_brokers_all_have_a_place(cluster: World) -> None:
    way = await cluster.ways.keep(cluster.connector(spec=brokers(*(f"b{number}.example" for number in range(16)))))

    assert way is not None
    assert len({port for _, port in way.listeners.values()}) == 16


async def test_a_listener_never_leads_elsewhere_when_endpoints_come_and_go(cluster: World) -> None:
    await cluster.ways.keep(cluster.connector(spec=brokers("b.example", "c.example")))

    cluster.lead()
    await cluster.ways.keep(cluster.change_spec(brokers("a.example", "c.example")))

    doors = cluster.gateway.served[0].doors
    assert doors is not None
    assert doors.listeners == (Listener(0, "a.example", 5671), Listener(1, "c.example", 5671))


async def test_pods_that_carry_the_connectors_label_are_admitted_and_no_others(cluster: World) -> None:
    await cluster.ways.keep(cluster.connector())

    (rule,) = cluster.admission()["ingress"]
    assert rule["from"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "team"}},
            "podSelector": {"matchLabels": {"ringfence.dev/confined": "true", "connector.ringfence.dev/c": "true"}},
        }
    ]
    assert rule["ports"][1] == {"port": 10_000, "endPort": 10_015, "protocol": "TCP"}


async def test_what_lies_inside_the_cluster_needs_no_way(cluster: World) -> None:
    way = await cluster.ways.keep(cluster.connector(spec=rabbitmq()))

    assert (way, cluster.services, cluster.api.writes) == (None, [], [])


async def test_it_costs_two_writes_and_a_new_leader_writes_nothing(cluster: World) -> None:
    connector = cluster.connector()
    await asyncio.gather(*(cluster.ways.keep(connector) for _ in range(4)))
    writes, before = list(cluster.api.writes), cluster.gateway.served[0]

    cluster.lead()
    way = await cluster.ways.keep(connector)

    assert writes == ["create services", "create networkpolicies"]
    assert cluster.api.writes == writes
    assert cluster.gateway.served[0] == before
    assert way == cluster.ways.way(connector)


async def test_policies_and_connectors_share_the_blocks(cluster: World) -> None:
    cluster.have_policy()
    connector = cluster.connector()

    await asyncio.gather(cluster.port_sets.keep(cluster.policy()), cluster.ways.keep(connector))

    assert cluster.services == ["p-00000", "p-00001"]
    assert sorted(each.policy for each in cluster.gateway.served.values()) == ["Connector/team/c", "team/p"]


async def test_a_policy_and_a_connector_of_one_name_have_nothing_in_common(cluster: World) -> None:
    cluster.have_policy("c")
    connector = cluster.connector("c")
    await cluster.port_sets.keep(cluster.policy("c"))
    await cluster.ways.keep(connector)

    cluster.gateway.acknowledge(*REPLICAS)

    policy = cluster.view.port_set(cluster.policy("c"))
    way = cluster.ways.way(connector)
    assert policy is not None
    assert way is not None
    assert policy.meta.name != way.service
    assert cluster.ways.standing(connector.key, REPLICAS).force is Force.IN_FORCE


async def test_without_a_seed_nothing_is_published_and_it_is_tried_again(cluster: World) -> None:
    cluster.credential = None
    connector = cluster.connector()

    with pytest.raises(CredentialUnknownError) as caught:
        await cluster.ways.keep(connector)

    assert caught.value.retry_after == 1.0
    assert (cluster.gateway.served, cluster.ways.way(connector)) == ({}, None)


async def test_a_service_that_somebody_edited_is_put_right(cluster: World) -> None:
    connector = cluster.connector()
    await cluster.ways.keep(connector)
    ports = cluster.service()["spec"]["ports"]
    cluster.edit("services", "p-00000", ports=[*ports, {"name": "x", "port": 22, "targetPort": 22, "protocol": "TCP"}])

    await cluster.ways.keep(connector)

    assert [each["port"] for each in cluster.service()["spec"]["ports"]] == [3128]


async def test_a_connector_that_is_gone_is_closed_at_once_and_its_block_is_free_once_nobody_has_it(
    cluster: World,
) -> None:
    connector = cluster.connector()
    await cluster.ways.keep(connector)
    cluster.have("pods", running_pod(labels={"connector.ringfence.dev/c": "true"}))
    cluster.lose("connectors", "c", "team")

    first = await cluster.ways.release(connector.key)
    closed = dict(cluster.gateway.served)
    cluster.gateway.acknowledge(*REPLICAS)
    second = await cluster.ways.release(connector.key)
    cluster.lose("pods", "a", "team")
    third = await cluster.ways.release(connector.key)

    assert (first, second, third) == (RELEASE_SECONDS, RELEASE_SECONDS, None)
    assert closed == {}
    assert cluster.services == []
    assert not [each for each in cluster.api.objects if each[0] == "networkpolicies"]
    assert await cluster.ways.release(connector.key) is None


async def test_a_block_is_not_free_before_every_replica_has_let_it_go(cluster: World) -> None:
    connector = cluster.connector()
    await cluster.ways.keep(connector)
    cluster.lose("connectors", "c", "team")
    await cluster.ways.release(connector.key)

    cluster.gateway.acknowledge("g1")
    one = await cluster.ways.release(connector.key)
    cluster.gateway.acknowledge("g2")

    assert (one, await cluster.ways.release(connector.key)) == (RELEASE_SECONDS, None)


async def test_a_connector_that_names_nothing_outside_any_more_gives_its_block_back(cluster: World) -> None:
    connector = cluster.connector(spec=brokers("a.example"))
    await cluster.ways.keep(connector)

    way = await cluster.ways.keep(cluster.change_spec(rabbitmq()))

    assert (way, cluster.gateway.served, cluster.again) == (None, {}, [(("team", "c"), RELEASE_SECONDS)])
    cluster.gateway.acknowledge(*REPLICAS)
    await cluster.ways.keep(cluster.read())
    assert cluster.services == []


async def test_one_whose_service_was_deleted_by_hand_and_is_gone_then_is_closed_too(cluster: World) -> None:
    connector = cluster.connector()
    await cluster.ways.keep(connector)
    cluster.lose("services", "p-00000")
    cluster.lose("connectors", "c", "team")

    await cluster.ways.release(connector.key)

    assert cluster.gateway.served == {}


async def test_the_gateways_end_comes_back_when_somebody_deletes_it(cluster: World) -> None:
    await cluster.ways.keep(cluster.connector())
    cluster.lose("networkpolicies", "ringfence-gateway-p-00000")
    service = cluster.view.port_sets()[0]

    is_held = await cluster.ways.restore(service)

    assert is_held
    assert cluster.admission()["ingress"]


async def test_a_leader_that_does_not_know_credentials_yet_takes_no_way_back(cluster: World) -> None:
    connector = cluster.connector()
    await cluster.ways.keep(connector)
    cluster.credential = None
    cluster.lead()

    is_held = await cluster.ways.restore(cluster.view.port_sets()[0])

    assert is_held
    assert (cluster.ways.block(connector), cluster.ways.way(connector)) == (0, None)


async def test_of_a_connector_that_is_gone_the_gateways_end_does_not_come_back(cluster: World) -> None:
    await cluster.ways.keep(cluster.connector())
    cluster.lose("connectors", "c", "team")

    assert not await cluster.ways.restore(cluster.view.port_sets()[0])
