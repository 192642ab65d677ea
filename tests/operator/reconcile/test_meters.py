"""Whose connections are led through a meter, and what each pod of them is told."""

from dataclasses import replace
from typing import Any

import pytest

from ringfence_operator.api.conditions import Reason
from ringfence_operator.reconcile.meters import Metered, NoMeters, is_metered, metered, publish_meter
from ringfence_operator.reconcile.network_quota import Allowed
from ringfence_operator.reconcile.view import View
from ringfence_operator.settings import Settings
from tests.operator.reconcile.gateways import Gated
from tests.operator.reconcile.tables import view_of
from tests.operator.reconcile.world import World
from tests.operator.resources.objects import AGENT_UID, agent_body, make_quota, pod_body, policy_body, quota_body

Raw = dict[str, Any]
BYTES: Raw = {"resource": "networkBytes", "max": "1M", "window": "Hour"}
CALLS: Raw = {"resource": "apiCalls", "max": "1k", "window": "Hour"}
WITH_DEFAULT = Settings(default_policy="system/everyone")


class Told:
    """The port `Meters` in memory."""

    def __init__(self) -> None:
        self.pods: dict[str, Metered] = {}
        self.closed = False
        self.known = True

    def publish(self, metered: Metered) -> None:
        self.pods[metered.pod_uid] = metered

    def withdraw(self, pod_uid: str) -> None:
        self.pods.pop(pod_uid, None)

    def is_direct(self, agent_uid: str) -> bool:  # noqa: ARG002 - the port's
        return True

    def is_known(self, agent_uid: str) -> bool:  # noqa: ARG002 - the port's
        return self.known

    def allowed(self, agent_uid: str) -> Allowed | None:  # noqa: ARG002 - the port's
        return Allowed(bytes=0, words="all of it is used up") if self.closed else None


def told(view: View, name: str = "a") -> Metered | None:
    return metered(view.agents.cache["team", name], view.pods.get("team", name), view)


def view(*quotas: Raw, settings: Settings | None = None, pod: Raw | None = None, **spec: Any) -> View:
    agent = agent_body(**{"securityPolicyRef": {"name": "p"}, **spec})
    if spec.get("securityPolicyRef", {}) is None:
        del agent["spec"]["securityPolicyRef"]
    agent["metadata"]["labels"] = {"team": "red"}
    pods = [pod or pod_body(podIP="10.0.0.1")]
    return view_of(settings or Settings(), agents=[agent], quotas=list(quotas), pods=pods)


def test_every_pod_of_a_namespace_is_counted_that_has_a_quota_on_the_network() -> None:
    found = told(view(quota_body("blues", BYTES, selector={"matchLabels": {"team": "blue"}})))

    assert found is not None
    assert (found.agent_uid, found.pod_uid, found.address, found.limits) == (AGENT_UID, "pod-1", "10.0.0.1", ())


def test_what_limits_an_agent_is_what_its_quotas_say_of_the_network() -> None:
    found = told(view(quota_body("reds", BYTES, CALLS, selector={}), quota_body("more", CALLS, selector={})))

    assert found is not None
    assert [(each.quota, each.limit.resource) for each in found.limits] == [("reds", "networkBytes")]


def test_a_quota_that_is_named_and_missing_is_told() -> None:
    found = told(view(quota_body("q", BYTES, selector={}), quotaRef={"name": "gone"}))

    assert found is not None
    assert found.missing == "gone"


@pytest.mark.parametrize(
    ("network", "is_direct"),
    [
        ({"allowedDomains": [{"name": "a.io"}]}, False),
        ({"destinations": [{"service": {"name": "db"}}]}, True),
        ({"cidrs": [{"cidr": "203.0.113.0/24"}]}, True),
    ],
)
def test_ways_past_the_gateway_are_what_the_policy_opens_besides_names(network: Raw, is_direct: bool) -> None:
    pods, quotas = [pod_body(podIP="10.0.0.1")], [quota_body("q", BYTES, selector={})]
    agents, policies = [agent_body(securityPolicyRef={"name": "p"})], [policy_body("p", network=network)]
    found = told(view_of(Settings(), agents=agents, quotas=quotas, pods=pods, securitypolicies=policies))

    assert found is not None
    assert found.is_direct is is_direct


def test_a_pod_with_ways_past_the_gateway_loses_its_policys_label_while_nothing_is_left() -> None:
    world = World({"securityPolicyRef": {"name": "p"}})
    world.api.add("securitypolicies", {"metadata": {"name": "p", "namespace": "team"}, "spec": {}}, "team")
    meters = Told()
    world.tools = replace(world.tools, meters=meters)
    found = []

    for meters.closed in (False, True, False):
        world.dirty = True
        world.settle()
        found.append(dict(world.pod["metadata"]["labels"]) if world.pod else {})

    before, closed, again = found
    assert before["ringfence.dev/policy"] == "p"
    assert closed == {key: value for key, value in before.items() if key != "ringfence.dev/policy"}
    assert again == before


def test_an_operator_that_begins_opens_nothing_that_was_closed_before_it_knows() -> None:
    world = World({"securityPolicyRef": {"name": "p"}})
    world.api.add("securitypolicies", {"metadata": {"name": "p", "namespace": "team"}, "spec": {}}, "team")
    meters = Told()
    world.tools = replace(world.tools, meters=meters)
    meters.closed = True
    world.settle()
    world.dirty = True
    world.settle()
    found = []

    meters.closed = False
    for meters.known in (False, True):
        world.api.writes.clear()
        for _ in range(2):
            world.deliver()
            world.reconcile()
        has_label = world.pod is not None and "ringfence.dev/policy" in world.pod["metadata"]["labels"]
        found.append((has_label, world.condition("NetworkClosed").get("status"), bool(world.api.writes)))

    assert found == [(False, "True", False), (True, None, True)]


@pytest.mark.parametrize(
    "made",
    [
        view(quota_body("q", CALLS, selector={})),
        view(quota_body("q", BYTES, selector={}, namespace="other")),
        view(quota_body("q", BYTES, selector={}), settings=Settings(egress_backend="none")),
        view(quota_body("q", BYTES, selector={}), pod=pod_body()),
    ],
    ids=["no limit on the network", "another namespace", "no gateway", "no address yet"],
)
def test_nobody_else_is(made: View) -> None:
    assert told(made) is None


def test_agents_of_the_cluster_policy_are_counted_wherever_a_quota_limits_the_network() -> None:
    elsewhere = quota_body("q", BYTES, selector={}, namespace="other")

    default = told(view(elsewhere, settings=WITH_DEFAULT, securityPolicyRef=None))
    own = told(view(elsewhere, settings=WITH_DEFAULT))

    assert default is not None
    assert own is None


def test_a_pod_is_forgotten_when_nothing_is_counted_any_more() -> None:
    meters, counted, free = Told(), view(quota_body("q", BYTES, selector={})), view()

    publish_meter(counted.agents.cache["team", "a"], counted, meters)
    before = dict(meters.pods)
    publish_meter(free.agents.cache["team", "a"], free, meters)

    assert list(before) == ["pod-1"]
    assert meters.pods == {}


async def test_a_policy_is_led_through_meters_from_the_first_quota_on_the_network_to_the_last() -> None:
    cluster = Gated()
    cluster.have_policy()
    await cluster.port_sets.keep(cluster.policy())
    before = cluster.gateway.served[0]

    cluster.have("quotas", quota_body("q", BYTES, selector={}))
    await cluster.port_sets.keep(cluster.policy())
    counted = cluster.gateway.served[0]

    assert (before.is_metered, counted.is_metered) == (False, True)
    assert before.version != counted.version
    assert is_metered("team", cluster.view)
    assert not is_metered("other", cluster.view)


def test_without_a_gateway_the_quota_says_that_nothing_is_kept() -> None:
    uses = NoMeters().uses(make_quota("q", BYTES, CALLS, selector={}))

    assert [use.trouble[0] for use in uses.values() if use.trouble] == [Reason.NOT_SUPPORTED]
