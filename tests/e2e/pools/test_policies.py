"""Agents that claim a pod under another SecurityPolicy than the one that it was made for."""

import json
import time

from tests.e2e.doors import Doors, opened
from tests.e2e.escape.gateway import Place
from tests.e2e.escape.ways import http, look_up, tls, tunnel
from tests.e2e.installation import GATEWAY, Installation
from tests.e2e.pools.pools import HOLD, claimant, claimed, lines, pool
from tests.e2e.world import SCRIPTS, PodHandle, World, message_of

API, FILES, WEB = ({"name": name} for name in ("api.test", "files.test", "web.example"))


def until_open(pod: PodHandle, doors: Doors, wanted: set[str], *, seconds: float = 30) -> None:
    """Wait until these doors, and no others, are open to the pod: whoever enforces policies follows a label."""
    deadline = time.monotonic() + seconds
    while (found := opened(pod, doors)) != wanted:
        assert time.monotonic() < deadline, f"open: {found}, wanted: {wanted}"
        time.sleep(0.5)


def test_under_a_policy_of_its_own_all_ways_are_that_ones_and_the_pools_are_shut(
    alone: World, installed: Installation
) -> None:
    pools = alone.policy("pools", network={"allowedDomains": [API, FILES]})
    own = alone.policy("own", network={"allowedDomains": [API]})
    pools_place, own_place = (Place.of(alone.kube, alone.namespace, name) for name in (pools, own))
    gateway = installed.pods(GATEWAY)
    of = pool(alone, 2, securityPolicyRef={"name": pools})
    ways = [
        *(look_up("api.test"), tls("api.test"), tunnel("api.test:443"), http("api.test")),
        *(look_up("files.test"), tunnel("files.test:443"), tls("api.test", sni="files.test")),
        *(http("api.test", name="files.test"), tls(pools_place.address, sni="files.test")),
        *(tls(pools_place.address, sni="api.test"), http(pools_place.address, name="api.test")),
    ]

    other = claimed(alone, of, name="other", securityPolicyRef={"name": pools})
    got = claimed(
        alone,
        of,
        command=[
            "sh",
            "-c",
            f'cat /etc/resolv.conf | tr "\\n" " "; echo\npython3 /tmp/f "$0"; echo\n{HOLD}',
            json.dumps(ways),
        ],
        files=[{"path": "/tmp/f", "content": (SCRIPTS / "fetch.py").read_text()}],
        securityPolicyRef={"name": own},
    )
    resolv, said = lines(got, 2)
    found = ["refused" in each for each in json.loads(said)]

    assert f"nameserver {own_place.address}" in resolv
    assert found == [*[False] * 4, *[True] * 7], said
    pools_doors, own_doors = pools_place.doors("pool's", gateway), own_place.doors("own", gateway)
    assert opened(other.pod, pools_doors | own_doors) == set(pools_doors)
    assert opened(got.pod, pools_doors | own_doors) == set(own_doors)


def test_a_looser_policy_is_refused_until_the_pool_allows_it_by_name(world: World) -> None:
    pools = world.policy("pools", network={"allowedDomains": [API]})
    wide = world.policy("wide", network={"allowedDomains": [API, FILES]})
    of = pool(world, 1, securityPolicyRef={"name": pools})
    (warm,) = of.pods().values()

    agent = claimant(world, of, securityPolicyRef={"name": wide})
    refused = agent.until_reason("PoolPolicyLooser")
    untouched = list(of.pods().values())
    of.change(allowedPolicies=[wide])
    ready = agent.until_ready()

    assert "files.test is allowed on port 80" in message_of(refused)
    assert untouched == [warm]
    assert ready["status"]["podUID"] == warm


def test_a_policy_that_shares_values_with_others_than_the_pools_is_refused_until_it_does_not(world: World) -> None:
    pools = world.policy("pools", cache={"values": {"sharedAs": "crew"}})
    own = world.policy("own", cache={"values": {"sharedAs": "all"}})
    of = pool(world, 1, securityPolicyRef={"name": pools})
    (warm,) = of.pods().values()

    agent = claimant(world, of, securityPolicyRef={"name": own})
    refused = message_of(agent.until_reason("PoolPolicyLooser"))
    untouched = list(of.pods().values())
    world.change_policy(own, cache={"values": {"sharedAs": "crew"}})
    ready = agent.until_ready()

    assert f"SecurityPolicy {own} is looser than SecurityPolicy {pools} of the pool's template allows" in refused
    assert "cache.values.sharedAs is all; name a stricter one, or have spec.allowedPolicies of the AgentPool" in refused
    assert untouched == [warm]
    assert ready["status"]["podUID"] == warm


def test_who_runs_under_a_policy_that_becomes_looser_reaches_nothing_until_it_is_not(
    alone: World, installed: Installation
) -> None:
    pools = alone.policy("pools", network={"allowedDomains": [API, FILES]})
    own = alone.policy("own", network={"allowedDomains": [API]})
    doors = Place.of(alone.kube, alone.namespace, own).doors("own", installed.pods(GATEWAY))
    got = claimed(alone, pool(alone, 1, securityPolicyRef={"name": pools}), securityPolicyRef={"name": own})
    before = opened(got.pod, doors)

    alone.change_policy(own, network={"allowedDomains": [API, WEB]})
    got.agent.until_reason("PoolPolicyLooser")
    until_open(got.pod, doors, set())
    alone.change_policy(own, network={"allowedDomains": [API]})
    after = got.agent.until_ready()
    until_open(got.pod, doors, set(doors))

    assert before == set(doors)
    assert after["status"]["podUID"] == got.body["status"]["podUID"]


def test_what_a_policy_asks_of_the_pod_and_the_pools_pods_do_not_keep_is_a_reason(world: World) -> None:
    asks = world.policy("asks", fileSystem={"writablePaths": [{"path": "/tmp", "size": "1Mi"}]})
    of = pool(world, 1)
    warm = of.pods()

    agent = claimant(world, of, securityPolicyRef={"name": asks})
    refused = agent.until_reason("PoolPodWeaker")

    assert "fileSystem.writablePaths" in message_of(refused)
    assert of.pods() == warm
