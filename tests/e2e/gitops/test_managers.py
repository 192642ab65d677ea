"""Two who apply, and the operator, share objects: nobody fights, and nobody writes again what stands already."""

from pathlib import Path

import pytest

from tests.e2e.connectors.counting import lasting, until_quiet
from tests.e2e.kube import APPLY, Body, Kube, RefusedError, address_of
from tests.e2e.world import IMAGE, SMALL, WAITING, World, is_ready
from tests.e2e.writes import AuditLog

OWNER, LABELLER = "argocd-controller", "platform"
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
    """Return one object of each kind, which the agent names, as its owner applies them."""
    name = f"shared-{world.tag}"
    account = {"name": "main", "account": "ACME", "host": "acme.snowflakecomputing.com", "warehouse": "WH"}
    snowflake = {"endpoints": [account], "auth": {"workloadIdentity": {"user": "AGENTS"}}, "database": "SALES"}
    specs: dict[str, Body] = {
        "SecurityPolicy": {"maxExecutionTime": "12h", "network": {"allowedDomains": [{"name": "api.test"}]}},
        "Quota": {"limits": [{"resource": "agents", "max": 10, "scope": "Shared"}]},
        "Connector": {"agentSelector": {"matchLabels": {"nobody": "yet"}}, "snowflake": snowflake},
        "Agent": {
            "image": IMAGE,
            "command": list(WAITING),
            "resources": SMALL,
            "securityPolicyRef": {"name": name},
            "quotaRef": {"name": name},
        },
    }
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


def changed(body: Body) -> Body:
    """Return the spec of one of `objects` with another value where its owner has said one."""
    changes: dict[str, Body] = {
        "SecurityPolicy": {"maxExecutionTime": "13h"},
        "Quota": {"limits": [{"resource": "agents", "max": 11, "scope": "Shared"}]},
        "Connector": {"agentSelector": {"matchLabels": {"nobody": "ever"}}},
        "Agent": {"resources": {"requests": {"cpu": "11m", "memory": "16Mi"}}},
    }
    return {**body["spec"], **changes[body["kind"]]}


def managed(body: Body, manager: str) -> list[Body]:
    """Return the records of what a manager owns in the object."""
    records: list[Body] = body["metadata"]["managedFields"]
    return [each for each in records if each["manager"] == manager]
