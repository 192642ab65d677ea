"""Two who apply, and the operator, share objects: nobody fights, and nobody writes again what stands already."""

from pathlib import Path

import pytest

from tests.e2e.connectors.counting import lasting, until_quiet
from tests.e2e.gitops.history import KINDS
from tests.e2e.kube import APPLY, MERGE, Body, Kube, RefusedError, address_of
from tests.e2e.world import IMAGE, SMALL, WAITING, World, is_ready
from tests.e2e.writes import AuditLog

OWNER, LABELLER, AUTOSCALER = "argocd-controller", "platform", "horizontal-pod-autoscaler"
ROUNDS = 5
QUIET_SECONDS = 12
"""Longer than a Quota's figures may wait to be told."""


@pytest.fixture
def audit(kubeconfig: Path) -> AuditLog:
    """The log to count in."""
    found = AuditLog(kubeconfig)
    if not found.exists:
        pytest.skip("this cluster keeps no audit log to count in")
    return found


def given(kube: Kube, body: Body, manager: str) -> Body:
    """Apply `body` without force: who takes what is another's is refused."""
    return kube.request("PATCH", address_of(body), body, content_type=APPLY, fieldManager=manager, force="false")


def objects(world: World) -> list[Body]:
    """Return one object of each kind, as their owner applies them; agent and pool name the others."""
    name = f"shared-{world.tag}"
    account = {"name": "main", "account": "ACME", "host": "acme.snowflakecomputing.com", "warehouse": "WH"}
    snowflake = {"endpoints": [account], "auth": {"workloadIdentity": {"user": "AGENTS"}}, "database": "SALES"}
    specs: dict[str, Body] = {
        "SecurityPolicy": {"maxExecutionTime": "12h", "network": {"allowedDomains": [{"name": "api.test"}]}},
        "Quota": {"limits": [{"resource": "agents", "max": 10, "scope": "Shared"}]},
        "Connector": {"agentSelector": {"matchLabels": {"nobody": "yet"}}, "snowflake": snowflake},
        "AgentPool": {
            "size": 1,
            "template": {"image": IMAGE, "resources": SMALL, "securityPolicyRef": {"name": name}},
        },
        "Agent": {
            "image": IMAGE,
            "command": list(WAITING),
            "resources": SMALL,
            "securityPolicyRef": {"name": name},
            "quotaRef": {"name": name},
        },
    }
    assert set(specs) == set(KINDS)
    meta = {"name": name, "namespace": world.namespace}
    return [
        {"apiVersion": "ringfence.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}
        for kind, spec in specs.items()
    ]


def labelled(body: Body, value: str) -> Body:
    """Return what the other one applies: a label, and nothing else."""
    meta = {key: body["metadata"][key] for key in ("name", "namespace")}
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": {**meta, "labels": {"cost-center": value}},
    }


def shared(world: World) -> tuple[list[Body], list[Body]]:
    """Have one object of each kind that both have applied, settled; return what each of them applies."""
    mine = objects(world)
    theirs = [labelled(body, "a") for body in mine]
    for body in mine:
        given(world.kube, body, OWNER)
        world.on_exit(address_of(body))
    for body in theirs:
        given(world.kube, body, LABELLER)
    for body in mine:
        world.kube.until(address_of(body), is_ready)
    return mine, theirs


def test_what_stands_already_is_written_again_by_nobody(alone: World, audit: AuditLog) -> None:
    mine, theirs = shared(alone)
    until_quiet(audit, seconds=QUIET_SECONDS)
    before = [alone.kube.get(address_of(body)) for body in mine]
    mark = audit.mark()

    for _ in range(ROUNDS):
        for body in mine:
            given(alone.kube, body, OWNER)
        for body in theirs:
            given(alone.kube, body, LABELLER)
    until_quiet(audit, seconds=QUIET_SECONDS)

    assert [alone.kube.get(address_of(body)) for body in mine] == before
    name = mine[0]["metadata"]["name"]
    assert [each for each in lasting(audit, mark) if name in each.path] == []


def test_each_changes_what_is_theirs_and_is_refused_what_is_not(alone: World) -> None:
    mine, _ = shared(alone)

    for body in mine:
        given(alone.kube, labelled(body, "b"), LABELLER)
        with pytest.raises(RefusedError) as refused:
            given(alone.kube, {**labelled(body, "b"), "spec": changed(body)}, LABELLER)
        assert refused.value.status == 409
        given(alone.kube, {**body, "spec": changed(body)}, OWNER)

    for body in mine:
        found = alone.kube.until(address_of(body), is_ready)
        assert found is not None
        assert found["metadata"]["labels"]["cost-center"] == "b"
        assert found["metadata"]["generation"] == 2
        assert {(each["subresource"], *each["fieldsV1"]) for each in managed(found, "ringfence")} == {
            ("status", "f:status")
        }


def test_an_autoscaler_sizes_a_pool_whose_owner_says_no_size(alone: World, audit: AuditLog) -> None:
    pool = unsized(alone)
    path = address_of(given(alone.kube, pool, OWNER))
    alone.on_exit(path)
    alone.kube.until(path, lambda it: is_ready(it) and has_warm(it, 1))

    scale(alone.kube, path, 2)
    alone.kube.until(path, lambda it: is_ready(it) and has_warm(it, 2))
    until_quiet(audit, seconds=QUIET_SECONDS)
    before, mark = alone.kube.get(path), audit.mark()
    for _ in range(ROUNDS):
        given(alone.kube, pool, OWNER)
    until_quiet(audit, seconds=QUIET_SECONDS)

    after = alone.kube.get(path)
    assert after is not None
    assert after["spec"]["size"] == 2
    assert after == before
    assert [each for each in lasting(audit, mark) if pool["metadata"]["name"] in each.path] == []


def test_an_owner_who_says_a_size_is_refused_once_an_autoscaler_has_set_another(alone: World) -> None:
    pool = unsized(alone)
    sized = {**pool, "spec": {**pool["spec"], "size": 1}}
    path = address_of(given(alone.kube, sized, OWNER))
    alone.on_exit(path)
    scale(alone.kube, path, 2)

    with pytest.raises(RefusedError) as refused:
        given(alone.kube, sized, OWNER)
    given(alone.kube, pool, OWNER)

    found = alone.kube.until(path, lambda it: is_ready(it) and has_warm(it, 2))
    assert found is not None
    assert refused.value.status == 409
    assert AUTOSCALER in str(refused.value)
    assert found["spec"]["size"] == 2


def unsized(world: World) -> Body:
    """Return a pool that needs nothing else, without a size."""
    meta = {"name": f"scaled-{world.tag}", "namespace": world.namespace}
    spec = {"template": {"image": IMAGE, "resources": SMALL}}
    return {"apiVersion": "ringfence.dev/v1alpha1", "kind": "AgentPool", "metadata": meta, "spec": spec}


def scale(kube: Kube, path: str, size: int) -> None:
    """Have an autoscaler want so many pods of the pool at `path`."""
    kube.request("PATCH", f"{path}/scale", {"spec": {"replicas": size}}, content_type=MERGE, fieldManager=AUTOSCALER)


def has_warm(body: Body | None, count: int) -> bool:
    """True if the pool says that so many of its pods wait for an agent."""
    return body is not None and body.get("status", {}).get("warm", 0) == count


def changed(body: Body) -> Body:
    """Return the spec of one of `objects` with another value where its owner has said one."""
    changes: dict[str, Body] = {
        "SecurityPolicy": {"maxExecutionTime": "13h"},
        "Quota": {"limits": [{"resource": "agents", "max": 11, "scope": "Shared"}]},
        "Connector": {"agentSelector": {"matchLabels": {"nobody": "ever"}}},
        "AgentPool": {"size": 2},
        "Agent": {"resources": {"requests": {"cpu": "11m", "memory": "16Mi"}}},
    }
    return {**body["spec"], **changes[body["kind"]]}


def managed(body: Body, manager: str) -> list[Body]:
    """Return the records of what a manager owns in the object."""
    records: list[Body] = body["metadata"]["managedFields"]
    return [each for each in records if each["manager"] == manager]
