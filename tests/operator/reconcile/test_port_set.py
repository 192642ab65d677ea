import asyncio
from typing import Any

import pytest

from ringfence_operator.errors import ConflictError
from ringfence_operator.reconcile import blocks
from ringfence_operator.reconcile.port_set import RELEASE_SECONDS, PortSetsFullError
from ringfence_operator.reconcile.view import block_of
from ringfence_operator.resources.gateway import build_port_set_service
from ringfence_operator.resources.port_set import PortSet
from tests.operator.reconcile.contexts import running_pod
from tests.operator.reconcile.gateways import SYSTEM, Gated

Raw = dict[str, Any]
UNDER_P: Raw = {"ringfence.dev/agent": "a", "ringfence.dev/policy": "p"}


@pytest.fixture
def cluster() -> Gated:
    return Gated()


async def test_each_policy_has_a_block_of_its_own(cluster: Gated) -> None:
    for name in ("p", "q", "r"):
        cluster.have_policy(name)

    await asyncio.gather(*(cluster.port_sets.keep(cluster.policy(name)) for name in ("p", "q", "r")))

    assert cluster.services == ["p-00000", "p-00001", "p-00002"]
    assert sorted(each.policy for each in cluster.gateway.served.values()) == ["team/p", "team/q", "team/r"]
    assert cluster.api.writes == ["create services"] * 3


async def test_passes_over_one_policy_at_once_make_one_port_set(cluster: Gated) -> None:
    cluster.have_policy()

    await asyncio.gather(*(cluster.port_sets.keep(cluster.policy()) for _ in range(8)))

    assert cluster.services == ["p-00000"]


async def test_what_is_published_is_what_the_policy_says(cluster: Gated) -> None:
    cluster.have_policy(allowedDomains=[{"name": "a.io", "ports": [443, 8443]}], blockedDomains=[{"name": "b.io"}])

    await cluster.port_sets.keep(cluster.policy())

    found = cluster.gateway.served[0]
    assert [(each.name, each.ports) for each in found.allowed] == [("a.io", (443, 8443))]
    assert [each.name for each in found.blocked] == ["b.io"]
    assert (found.address, found.further, found.is_audit) == (cluster.service()["spec"]["clusterIP"], {8443: 3}, False)


async def test_a_new_leader_publishes_the_same_version_and_writes_nothing(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.port_sets.keep(cluster.policy())
    before, writes = cluster.gateway.served[0], list(cluster.api.writes)

    cluster.lead()
    await cluster.port_sets.keep(cluster.policy())

    assert cluster.gateway.served[0] == before
    assert cluster.api.writes == writes


async def test_a_predecessors_service_that_the_caches_do_not_show_is_used(cluster: Gated) -> None:
    cluster.have_policy("q")
    cluster.have_policy()
    for block, name in ((0, "q"), (1, "p")):
        cluster.api.add("services", build_port_set_service(block, ("team", name), namespace=SYSTEM, further={}), SYSTEM)

    await cluster.port_sets.keep(cluster.policy())
    await cluster.port_sets.keep(cluster.policy("q"))

    assert cluster.services == ["p-00000", "p-00001"]
    assert {block: each.policy for block, each in cluster.gateway.served.items()} == {0: "team/q", 1: "team/p"}


@pytest.mark.parametrize(
    "spec",
    [
        {"selector": {"app": "theirs"}},
        {"ports": [{"name": "http", "port": 80, "targetPort": 10017, "protocol": "TCP"}]},
        {"type": "LoadBalancer"},
    ],
)
async def test_a_service_that_somebody_edited_is_put_right_at_the_same_address(cluster: Gated, spec: Raw) -> None:
    cluster.have_policy()
    await cluster.settle()
    before = cluster.service()["spec"]

    cluster.edit("services", "p-00000", **spec)
    await cluster.port_sets.keep(cluster.policy())

    assert cluster.service()["spec"] == before


async def test_a_service_that_somebody_deleted_comes_back_as_it_was(cluster: Gated) -> None:
    for name in ("q", "p"):
        cluster.have_policy(name)
        await cluster.settle(name)
    before = cluster.service("p-00001")["spec"]
    cluster.lose("services", "p-00000")
    cluster.lose("services", "p-00001")

    await cluster.port_sets.keep(cluster.policy())

    assert cluster.service("p-00001")["spec"] == before


async def test_an_address_that_somebody_else_has_meanwhile_is_given_up(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    address = cluster.service()["spec"]["clusterIP"]
    cluster.lose("services", "p-00000")
    cluster.have("services", {"metadata": {"name": "x", "namespace": "team"}, "spec": {"clusterIP": address}})

    await cluster.port_sets.keep(cluster.policy())

    assert cluster.service()["spec"]["clusterIP"] != address


async def test_a_service_whose_labels_somebody_took_stays_the_policys(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    before = cluster.service()["metadata"]["labels"]
    cluster.edit("services", "p-00000", labels={})

    await cluster.port_sets.keep(cluster.policy())

    assert cluster.services == ["p-00000"]
    assert cluster.service()["metadata"]["labels"] == before


async def test_a_tenants_service_that_looks_like_a_port_set_is_none(cluster: Gated) -> None:
    cluster.have_policy()
    body = build_port_set_service(5, ("team", "p"), namespace="team", further={}, address="10.96.9.9")
    cluster.have("services", body)

    await cluster.port_sets.keep(cluster.policy())

    assert cluster.gateway.served[0].address != "10.96.9.9"
    assert list(cluster.gateway.served) == [0]


async def test_when_every_block_is_in_use_a_policy_has_none(cluster: Gated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCKS", 1)
    cluster.have_policy("q")
    cluster.have_policy()
    await cluster.port_sets.keep(cluster.policy("q"))

    with pytest.raises(PortSetsFullError):
        await cluster.port_sets.keep(cluster.policy())


async def test_ports_without_a_place_stay_closed_and_all_else_follows_the_policy(cluster: Gated) -> None:
    cluster.have_policy(allowedDomains=[{"name": "gone.io"}, {"name": "a.io", "ports": [443, 9000]}])
    await cluster.port_sets.keep(cluster.policy())
    many = [{"name": f"n{each}.io", "ports": [9001 + each]} for each in range(13)]
    cluster.change("securitypolicies", "p", network={"allowedDomains": [{"name": "a.io", "ports": [443, 9000]}, *many]})

    closed = await cluster.port_sets.keep(cluster.policy())

    names = {each.name for each in cluster.gateway.served[0].allowed}
    assert closed == [9012, 9013]
    assert {"a.io", "n0.io"} <= names
    assert not {"gone.io", "n11.io", "n12.io"} & names


async def test_a_closed_network_allows_nothing_in_audit_either(cluster: Gated) -> None:
    cluster.have_policy(enabled=False, mode="Audit", allowedDomains=[{"name": "a.io"}])

    await cluster.port_sets.keep(cluster.policy())

    assert (cluster.gateway.served[0].allowed, cluster.gateway.served[0].is_audit) == ((), False)


async def test_a_deleted_policys_block_is_given_back_once_every_replica_has_let_go_of_it(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    await cluster.delete()

    again = await cluster.look_at()
    closed = list(cluster.names)
    cluster.gateway.acknowledge("g1", "g2")
    await cluster.look_at()

    assert (again, closed, cluster.services) == (RELEASE_SECONDS, [], [])
    assert cluster.gateway.served == {}


async def test_a_replica_that_is_not_ready_has_to_let_go_of_a_block_too(cluster: Gated) -> None:
    cluster.have_replica("g2", ready=False)
    cluster.have_replica("g3", ready=False, phase="Failed")
    cluster.have_policy()
    await cluster.reconcile()
    await cluster.delete()
    await cluster.look_at()

    cluster.gateway.acknowledge("g1")
    first = await cluster.look_at()
    cluster.gateway.acknowledge("g2")

    assert (first, await cluster.look_at(), cluster.services) == (RELEASE_SECONDS, None, [])


async def test_a_block_is_kept_while_a_pod_could_reach_it(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    cluster.tables["pods"].store(running_pod(labels=UNDER_P))
    await cluster.delete()
    await cluster.look_at()
    cluster.gateway.acknowledge("g1", "g2")

    held = await cluster.look_at()
    cluster.tables["pods"].cache.clear()

    assert (held, await cluster.look_at(), cluster.services) == (RELEASE_SECONDS, None, [])


async def test_a_policy_made_anew_under_the_same_name_keeps_the_block(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    await cluster.delete()
    await cluster.look_at()
    cluster.have_policy()

    await cluster.reconcile()

    assert await cluster.look_at() is None
    assert cluster.services == ["p-00000"]
    assert list(cluster.gateway.served) == [0]


async def test_a_policy_made_anew_while_its_block_is_closed_is_not_cut_off(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    await cluster.delete()

    remove = cluster.networks.remove

    async def remove_slowly(namespace: str, name: str) -> None:
        await remove(namespace, name)
        cluster.have_policy()
        await cluster.reconcile()

    cluster.networks.remove = remove_slowly  # type: ignore[method-assign]
    await cluster.look_at()

    assert list(cluster.gateway.served) == [0]


async def test_of_two_port_sets_of_one_policy_the_second_goes_although_agents_run(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    cluster.have("services", build_port_set_service(4, ("team", "p"), namespace=SYSTEM, further={}))
    cluster.tables["pods"].store(running_pod(labels=UNDER_P))

    await cluster.look_at("p-00004")
    cluster.gateway.acknowledge("g1", "g2")
    await cluster.look_at("p-00004")

    assert cluster.services == ["p-00000"]
    assert list(cluster.gateway.served) == [0]


async def test_a_block_whose_service_and_policy_are_gone_is_closed(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    await cluster.delete()
    cluster.lose("services", "p-00000")

    await cluster.look_at()

    assert (cluster.gateway.served, cluster.names) == ({}, [])


async def test_a_block_whose_service_somebody_deleted_is_not_closed_before_the_policys_pass(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    cluster.lose("services", "p-00000")

    first = await cluster.look_at()
    served = list(cluster.gateway.served)
    await cluster.reconcile()

    assert (first, served, await cluster.look_at()) == (RELEASE_SECONDS, [0], None)
    assert list(cluster.gateway.served) == [0]


async def test_a_block_whose_service_was_deleted_is_handed_on_only_once_it_is_let_go(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    cluster.tables["pods"].store(running_pod(labels=UNDER_P))
    await cluster.delete()
    cluster.lose("services", "p-00000")
    await cluster.look_at()

    found = []
    for name in ("served", "reached", "free"):
        cluster.have_policy(name)
        await cluster.port_sets.keep(cluster.policy(name))
        found.append(block_of(cluster.view.port_set(cluster.policy(name))))  # type: ignore[arg-type]
        if name == "served":
            cluster.gateway.acknowledge("g1", "g2")
        else:
            cluster.tables["pods"].cache.clear()

    assert found == [1, 2, 0]


async def test_a_block_is_not_handed_on_while_a_replica_serves_it(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    await cluster.delete()
    cluster.lose("services", "p-00000")
    await cluster.look_at()
    cluster.gateway.acknowledge("g1")

    cluster.have_policy("q")
    await cluster.port_sets.keep(cluster.policy("q"))

    assert cluster.services == ["p-00001"]


@pytest.mark.parametrize("is_new_leader", [False, True])
async def test_a_living_policys_block_stays_its_own_although_its_service_was_deleted(
    cluster: Gated, is_new_leader: bool
) -> None:
    cluster.have_policy()
    await cluster.settle()
    before = cluster.service()["spec"]
    cluster.lose("services", "p-00000")
    cluster.have_policy("q")
    if is_new_leader:
        cluster.lead()
        cluster.lose("networkpolicies", "ringfence-gateway-p-00000")

    again = await cluster.look_at()
    await cluster.reconcile("q")
    await cluster.reconcile()

    assert again == RELEASE_SECONDS
    assert cluster.service()["spec"] == before
    assert {block: each.policy for block, each in cluster.gateway.served.items()} == {0: "team/p", 1: "team/q"}


async def test_a_block_that_no_status_tells_of_yet_is_not_handed_on_either(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.reconcile()
    cluster.lose("services", "p-00000")
    cluster.have_policy("q")

    await cluster.reconcile("q")

    assert {block: each.policy for block, each in cluster.gateway.served.items()} == {0: "team/p", 1: "team/q"}


async def test_a_new_leader_closes_a_block_that_is_open_still_before_it_hands_it_on(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    await cluster.delete()
    cluster.lose("services", "p-00000")
    cluster.lead()
    for name in ("q", "r"):
        cluster.have_policy(name)

    await cluster.port_sets.keep(cluster.policy("q"))
    await cluster.look_at()
    first = cluster.services
    cluster.gateway.acknowledge("g1", "g2")
    await cluster.port_sets.keep(cluster.policy("r"))

    assert (first, cluster.services) == (["p-00001"], ["p-00000", "p-00001"])
    assert cluster.gateway.served[0].policy == "team/r"


async def test_a_new_leader_waits_for_nobody_to_use_a_block_of_which_nothing_is_left(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    await cluster.delete()
    cluster.lose("services", "p-00000")
    await cluster.look_at()
    cluster.lead()
    cluster.have_policy("q")

    await cluster.port_sets.keep(cluster.policy("q"))

    assert cluster.services == ["p-00000"]


async def test_a_block_is_closed_to_its_agents_before_it_is_published_for_others(cluster: Gated) -> None:
    for name in ("p", "q"):
        cluster.have_policy(name)
        await cluster.settle(name)
    marks = cluster.service()["metadata"]["labels"]
    cluster.edit("services", "p-00000", labels={**marks, "ringfence.dev/policy": "q"})
    publish, admitted = cluster.gateway.publish, []

    def take_note(port_set: PortSet, *, generation: int) -> None:
        cluster.tell_of_deletions()
        admitted.append((port_set.block, "ringfence-gateway-p-00000" in cluster.names))
        publish(port_set, generation=generation)

    cluster.gateway.publish = take_note  # type: ignore[method-assign]
    await cluster.reconcile("q")

    assert admitted == [(0, False)]
    assert "ringfence-gateway-p-00000" in cluster.names


async def test_a_service_deleted_while_it_is_written_is_tried_again(cluster: Gated) -> None:
    cluster.have_policy()
    await cluster.settle()
    cluster.edit("services", "p-00000", type="LoadBalancer")

    def lose(*_: object, **__: object) -> None:
        cluster.tables["services"].cache.clear()

    cluster.tables["services"].store = lose  # type: ignore[method-assign]

    with pytest.raises(ConflictError):
        await cluster.port_sets.keep(cluster.policy())


async def test_policies_get_their_port_sets_side_by_side() -> None:
    gated = Gated()
    names = [f"p{number}" for number in range(8)]
    for name in names:
        gated.have_policy(name)

    await asyncio.gather(*(gated.port_sets.keep(gated.policy(name)) for name in names))

    found = {service.meta.name: service.policy for service in gated.view.port_sets()}
    assert sorted(found) == [f"p-{block:05}" for block in range(8)]
    assert sorted(found.values()) == sorted(f"team/{name}" for name in names)
