"""What a pool's agents may keep in their sidecars, and share by them, is no more than the pool's policy lets them."""

from typing import Any

import pytest

from tests.operator.reconcile.pool_world import POOLING, PoolWorld
from tests.operator.resources.connectors import PASSWORD, broker_service, connector_body, rabbitmq
from tests.operator.resources.objects import policy_body

Raw = dict[str, Any]
FORBIDDEN: Raw = {"values": {"enabled": False}}
SHARED: Raw = {"values": {"enabled": True, "sharedAs": "all", "maxSize": "64Mi"}}
TINY: Raw = {"localSize": "1Mi", "values": {"maxTtl": "60s"}}
WITH_SIDECAR: Raw = {"connectors": [{"name": "mq"}]}


@pytest.fixture
def world() -> PoolWorld:
    found = PoolWorld(POOLING.model_copy(update={"sidecar_image": "sidecar:1"}))
    found.api.add("services", broker_service(), "data")
    found.api.add("connectors", connector_body("mq", rabbitmq(auth=PASSWORD)), "team")
    for name, cache in (("none", FORBIDDEN), ("plain", {}), ("shared", SHARED)):
        found.api.add("securitypolicies", policy_body(name, cache=cache), "team")
    found.deliver()
    return found


def under(name: str) -> Raw:
    return {"securityPolicyRef": {"name": name}}


def cache_of(world: PoolWorld, pod: str) -> tuple[bool, str, int]:
    """Return whether the pod's sidecar keeps values, with whom it shares them, and the bytes of its own layer."""
    found = world.sidecars.served[world.uid(pod)][1]
    return found["values"]["enabled"], found["values"]["sharedAs"], found["localCache"]["maxBytes"]


def message(world: PoolWorld) -> str:
    return str(next(each["message"] for each in world.status()["conditions"] if each["type"] == "Ready"))


@pytest.mark.parametrize(
    ("pools", "given", "words"),
    [
        ("none", under("shared"), "cache.values.enabled is not false"),
        ("none", {}, "cache.values.enabled is not false"),
        ("plain", under("shared"), "cache.values.sharedAs is all"),
    ],
)
@pytest.mark.parametrize("on_miss", ["Wait", "Cold"])
async def test_an_agent_that_may_keep_or_share_more_than_the_pools_policy_lets_it_has_no_pod(
    world: PoolWorld, pools: str, given: Raw, words: str, on_miss: str
) -> None:
    await world.warm(1, **under(pools), **WITH_SIDECAR)
    world.agent("a", onMiss=on_miss, **given)

    await world.settle()

    assert world.condition("Ready") == ("False", "PoolPolicyLooser")
    assert words in message(world)
    assert world.pods_of("a") == []


@pytest.mark.parametrize(("pools", "given"), [("shared", under("none")), ("shared", {}), ("shared", under("shared"))])
async def test_an_agent_that_may_keep_and_share_no_more_has_a_warm_pod(
    world: PoolWorld, pools: str, given: Raw
) -> None:
    (pod,) = await world.warm(1, **under(pools), **WITH_SIDECAR)
    world.agent("a", **given)

    await world.settle()

    assert world.pods_of("a") == [pod]


@pytest.mark.parametrize(("pools", "comes_to"), [("plain", under("shared")), ("tiny", {})])
async def test_a_running_agent_that_comes_to_share_or_keep_more_keeps_no_values_until_it_does_not(
    world: PoolWorld, pools: str, comes_to: Raw
) -> None:
    world.api.add("securitypolicies", policy_body("tiny", cache=TINY), "team")
    (pod,) = await world.warm(1, **under(pools), **WITH_SIDECAR)
    world.agent("a", **under(pools))
    await world.settle()
    world.starters.carry_out(world.uid(pod))
    await world.settle()
    before = cache_of(world, pod)

    world.api.change(("agents", "team", "a"), lambda raw: raw["spec"].pop("securityPolicyRef"), is_spec=True)
    world.set_agent("a", **comes_to)
    await world.settle()
    meanwhile, ready = cache_of(world, pod), world.condition("Ready")
    world.set_agent("a", **under(pools))
    await world.settle()

    assert ready == ("False", "PoolPolicyLooser")
    assert meanwhile == (False, "", before[2])
    assert cache_of(world, pod) == before == (True, "", before[2])
