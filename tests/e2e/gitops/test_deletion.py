"""Our objects go in any order, and leave nothing behind: no finalizer keeps one, no pod and no opening outlives it."""

import itertools
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial

from tests.e2e.gitops.history import KINDS
from tests.e2e.kube import Body, Kube, address, address_of
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import IMAGE, SMALL, WAITING, World, is_ready

ORDERS = tuple(itertools.permutations(KINDS))[::12]
"""Ten of all orders, in which each kind goes first twice: as many agents as a small node starts at once."""
API = "ringfence.dev/v1alpha1"
KEPT = ("ringfence-default-deny", "ringfence-sidecars", "ringfence-starters")
"""NetworkPolicies of a namespace that has had agents: they hold for their pods alone, and go with the namespace."""


def family(namespace: str, name: str) -> dict[str, Body]:
    """Return one object of each kind; the agent uses the others, which each have their ports on the gateway."""
    account = {"name": "main", "account": "ACME", "host": "acme.snowflakecomputing.com", "warehouse": "WH"}
    snowflake = {"endpoints": [account], "auth": {"workloadIdentity": {"user": "AGENTS"}}, "database": "SALES"}
    template = {"image": IMAGE, "resources": SMALL, "securityPolicyRef": {"name": name}}
    specs: dict[str, Body] = {
        "AgentPool": {"size": 1, "template": template},
        "SecurityPolicy": {"network": {"allowedDomains": [{"name": "api.test"}]}},
        "Quota": {"limits": [{"resource": "memory", "max": "64Mi"}]},
        "Connector": {"agentSelector": {}, "snowflake": snowflake},
        "Agent": {
            "image": IMAGE,
            "command": list(WAITING),
            "resources": SMALL,
            "securityPolicyRef": {"name": name},
            "quotaRef": {"name": name},
            "connectors": [{"name": name}],
        },
    }
    meta = {"name": name, "namespace": namespace}
    return {kind: {"apiVersion": API, "kind": kind, "metadata": meta, "spec": spec} for kind, spec in specs.items()}


def until_gone(left: Callable[[], Collection[object]], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while found := left():
        assert time.monotonic() < deadline, f"after {seconds} s there is still {found}"
        time.sleep(0.2)


def there(kube: Kube, namespace: str) -> set[str]:
    """Return what the operator makes for agents, in their namespace and in its own."""
    return set(_in(kube, namespace, "Pod", "NetworkPolicy", "Service", "PersistentVolumeClaim")) | set(
        _in(kube, SYSTEM_NAMESPACE, "NetworkPolicy", "Service")
    )


def _in(kube: Kube, namespace: str, *kinds: str) -> Iterator[str]:
    for kind in kinds:
        yield from (f"{kind} {namespace}/{each['metadata']['name']}" for each in kube.items(address(kind, namespace)))


def test_whatever_goes_first_nothing_stays(alone: World) -> None:
    kube = alone.kube
    namespace = alone.new_namespace("orders")
    before = there(kube, namespace)
    families = [family(namespace, f"number-{number}") for number in range(len(ORDERS))]
    for each in families:
        for kind in ("SecurityPolicy", "Quota", "Connector", "AgentPool", "Agent"):
            kube.create(each[kind])
    for each, kind in itertools.product(families, ("Agent", "AgentPool")):
        kube.until(address_of(each[kind]), is_ready, seconds=150)
    running = there(kube, namespace) - before

    for each, order in zip(families, ORDERS, strict=True):
        for kind in order:
            kube.delete(address_of(each[kind]))

    for kind in KINDS:
        path = address(kind, namespace)
        until_gone(partial(kube.items, path))
    assert len(running) > len(families) * 4
    kept = {f"NetworkPolicy {namespace}/{name}" for name in KEPT}
    until_gone(lambda: there(kube, namespace) - before - kept)


def test_a_namespace_goes_with_all_that_is_in_it(alone: World) -> None:
    kube = alone.kube
    namespace = alone.new_namespace("whole")
    before = there(kube, namespace)
    for body in family(namespace, "all").values():
        kube.create(body)
    kube.until(address("Agent", namespace, "all"), is_ready)

    kube.delete(address("Namespace", name=namespace))

    kube.until(address("Namespace", name=namespace), lambda it: it is None, seconds=120)
    until_gone(lambda: there(kube, namespace) - before)
