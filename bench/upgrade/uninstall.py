"""What is left of Ringfence after it, compared with what the chart's page says that stays."""

import time
from collections.abc import Iterator
from contextlib import suppress

from bench.row import Row, at_most, for_comparison
from bench.upgrade.bed import NAMESPACE, SERVERS, Bed
from bench.upgrade.inventory import Thing, inventory
from tests.e2e.connectors.calls import rabbitmq
from tests.e2e.kube import address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import AgentHandle, World

_OF_KINDS = {"customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io"}
_OF_ANY_NAMESPACE = {("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt")}
_SETTLED_SECONDS = 60


def measure_uninstall(bed: Bed) -> Iterator[Row]:
    """Uninstall it from under an agent that has something of everything, as the chart's page says."""
    bed.clear()
    bed.broker()
    bed.helm().install("--create-namespace")
    with World(bed.kube, bed.namespace()) as world:
        agent = _agent(world)
        pod = agent.until_ready(seconds=180)["status"]["podUID"]
        began = time.monotonic()
        bed.helm().uninstall()
        took = time.monotonic() - began
        ended = int(agent.pod.get()["metadata"]["uid"] != pod)
        yield at_most("agents' pods that end with a release", ended, 0, "", f"helm uninstall --wait: {took:.1f} s")
        bed.kube.delete(address("Agent", NAMESPACE))
        agent.pod.until_gone()
    beside = _settled(bed, NAMESPACE)
    yield _left("left where agents were, beside NetworkPolicies and the authority", beside)
    bed.remove_namespaces(NAMESPACE, SERVERS, SYSTEM_NAMESPACE)
    rest = _settled(bed)
    yield _left("left in the cluster, once the namespaces are gone, beside the kinds", rest)
    kept = [thing for thing in _new(bed) if _is_documented(thing)]
    bed.keep("kept", sorted(kept))
    names = ", ".join(sorted(thing.name for thing in kept if thing.resource.startswith("custom")))
    yield for_comparison("  left as documented (crds.keep): the kinds", len(names.split(", ")), "", names)


def _agent(world: World) -> AgentHandle:
    """Return an agent that the operator has written something of every kind for."""
    policy = world.policy(network={"allowedDomains": [{"name": "api.test"}], "cidrs": [{"cidr": "203.0.113.0/24"}]})
    quota = world.quota({"resource": "memory", "max": "256Mi"})
    return world.agent(
        "all",
        connectors=[{"name": rabbitmq(world)}],
        securityPolicyRef={"name": policy},
        quotaRef=quota.ref,
        workspace={"size": "16Mi"},
        ports=[{"name": "http", "port": 8080}],
    )


def _left(measure: str, things: list[Thing]) -> Row:
    said = ", ".join(f"{thing.resource} {thing.namespace}/{thing.name}" for thing in things)
    return at_most(measure, len(things), 0, "", said)


def _settled(bed: Bed, namespace: str | None = None) -> list[Thing]:
    """Return what is there and is not documented, of a namespace or of all, once owners' owned had time to go."""

    def left() -> list[Thing]:
        there = [thing for thing in _new(bed) if not _is_documented(thing)]
        return sorted(each for each in there if namespace in (None, each.namespace))

    with suppress(TimeoutError):  # what is left is told
        bed.eventually(lambda: not left(), "nothing is left", timeout=_SETTLED_SECONDS, step=1)
    return left()


def _new(bed: Bed) -> list[Thing]:
    return [thing for thing in inventory(bed.kube) - bed.empty if (thing.resource, thing.name) not in _OF_ANY_NAMESPACE]


def _is_documented(thing: Thing) -> bool:
    if thing.namespace == NAMESPACE:
        is_policy = thing.resource == "networkpolicies.networking.k8s.io" and thing.name.startswith("ringfence-")
        return is_policy or (thing.resource, thing.name) == ("configmaps", "ringfence-authority")
    return thing.resource in _OF_KINDS and thing.name.endswith("ringfence.dev")
