"""What whoever installs the operator decides for the cluster: each setting, changed."""

from collections.abc import Iterator

import pytest

from tests.e2e.doors import opened, outside_doors
from tests.e2e.kube import Kube, address
from tests.e2e.operator_slot import SETTINGS, OperatorSlot
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import World, condition, effective, message_of

OUTSIDE = outside_doors("203.0.113.10")


@pytest.fixture(scope="module")
def default_policy(kube: Kube, operator_slot: OperatorSlot) -> Iterator[str]:
    """A policy in the operator's namespace that opens one outside address."""
    with World(kube, SYSTEM_NAMESPACE) as system:
        yield system.policy("default", network={"cidrs": [{"cidr": "203.0.113.0/24"}]})


@pytest.fixture
def loose(kube: Kube, namespace: str, operator_slot: OperatorSlot, default_policy: str) -> Iterator[World]:
    """An operator that allows isolation None and has a policy for agents that name none."""
    default = f"{SYSTEM_NAMESPACE}/{default_policy}"
    operator_slot.running(**SETTINGS, minimum_isolation="None", default_policy=default, default_memory="96Mi")
    with World(kube, namespace) as world:
        yield world


@pytest.fixture
def strict(kube: Kube, namespace: str, operator_slot: OperatorSlot) -> Iterator[World]:
    """An operator that asks for isolation Container at least."""
    operator_slot.running(minimum_isolation="Container", maximum_memory="64Mi", maximum_cpu="100m")
    with World(kube, namespace) as world:
        yield world


def test_isolation_none_runs_unconfined_where_the_operator_allows_it(loose: World) -> None:
    free = loose.new_namespace("free", **{"pod-security.kubernetes.io/enforce": "privileged"})

    agent = loose.agent(namespace=free, isolation="None")

    found = agent.until_ready()
    enforced = condition(found, "Enforced")
    assert enforced is not None
    assert (enforced["status"], enforced["reason"]) == ("False", "NotConfined")
    assert agent.pod.script("seat", [])["uid"] == 0
    assert opened(agent.pod, outside_doors("198.51.100.10")) == {"198.51.100.10"}


def test_the_default_policy_holds_for_agents_that_name_none(loose: World) -> None:
    named = loose.policy("named", network={"enabled": False})
    plain, bound = loose.agent("plain"), loose.agent("bound", securityPolicyRef={"name": named})
    plain.until_ready()
    bound.until_ready()

    by_plain, by_bound = opened(plain.pod, outside_doors()), opened(bound.pod, outside_doors())

    assert by_plain == {"203.0.113.10"}
    assert by_bound == set()


def test_the_default_memory_is_a_setting(loose: World) -> None:
    agent = loose.agent()

    found = agent.until_ready()

    assert effective(found, "memory") == ("96Mi", "Default")
    assert agent.pod.script("limits")["memory"] == 96 << 20


def test_a_default_policy_that_is_deleted_closes_what_it_had_opened(loose: World, default_policy: str) -> None:
    agent = loose.agent()
    agent.until_ready()
    before = opened(agent.pod, OUTSIDE)

    loose.kube.delete(address("SecurityPolicy", SYSTEM_NAMESPACE, default_policy))

    late = loose.agent("late")
    found = late.until_reason("PolicyNotFound")
    assert before == {"203.0.113.10"}
    assert opened(agent.pod, OUTSIDE) == set()
    assert default_policy in message_of(found)


def test_the_minimum_isolation_lifts_agents_that_ask_for_less(strict: World) -> None:
    agent = strict.agent(isolation="Basic")

    found = agent.until_ready()

    assert effective(found, "isolation") == ("Container", "Ceiling")
    assert agent.pod.script("seat", ["/var/tmp"])["writing"] == {"/var/tmp": "EROFS"}


def test_no_agent_gets_more_than_the_maximum(strict: World) -> None:
    agent = strict.agent(resources={"limits": {"memory": "1Gi", "cpu": "1"}, "requests": {"memory": "1Gi"}})

    found = agent.until_ready()

    assert effective(found, "memory") == ("64Mi", "Ceiling")
    assert effective(found, "cpu") == ("100m", "Ceiling")
    assert agent.pod.script("limits") == {"memory": 64 << 20, "millicores": 100}


def test_addresses_that_nobody_reserves_can_be_opened(strict: World) -> None:
    policy = strict.policy(network={"cidrs": [{"cidr": "198.51.100.0/24"}]})

    agent = strict.agent(securityPolicyRef={"name": policy})

    agent.until_ready()
    assert opened(agent.pod, outside_doors()) == {"198.51.100.10"}
