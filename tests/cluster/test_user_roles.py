"""What people with Kubernetes' own view, edit and admin roles may do to the kinds."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.cluster.api_server import INSTALLER, MERGE, Answer, ApiServer, collection
from tests.cluster.rows import Body, agent, policy, pool, quota

pytestmark = pytest.mark.cluster

ROLES = Path(__file__).resolve().parents[2] / "deploy" / "rbac-users.yaml"
RBAC = "rbac.authorization.k8s.io"
# Nothing that an operator would say: one may be at work on the same cluster.
FORGED = {"workspaceClaim": "forged"}


@pytest.fixture(scope="module")
def people(crds: ApiServer, namespace: str) -> ApiServer:
    """The API server, to which viewer, editor and administrator are bound by Kubernetes' own roles."""
    for role in yaml.safe_load_all(ROLES.read_text()):
        crds.apply(role, manager=INSTALLER).expect()
    for person, role in (("viewer", "view"), ("editor", "edit"), ("administrator", "admin")):
        crds.apply(_binding(namespace, person, role)).expect()
    for role, resource in (("view", "agents/status"), ("edit", "agents"), ("admin", "securitypolicies")):
        crds.wait(f"/apis/{RBAC}/v1/clusterroles/{role}", partial(_names, resource))
    path = f"{collection(policy(namespace, {}))}/none"
    crds.wait(path, lambda answer: answer.status == 404, user="administrator")
    return crds


@pytest.fixture
def stored(people: ApiServer, namespace: str) -> Iterator[Body]:
    """An agent that exists, suspended so that no operator starts it."""
    body = people.create(agent(namespace, {"suspend": True}, name="stored")).expect()
    yield body
    people.delete(body).expect()


@pytest.mark.parametrize(
    ("person", "may"),
    [
        ("stranger", {}),
        ("viewer", {"agents": "read", "agentpools": "read", "quotas": "read", "securitypolicies": "read"}),
        ("editor", {"agents": "write", "agentpools": "write", "quotas": "read", "securitypolicies": "read"}),
        ("administrator", {"agents": "write", "agentpools": "write", "quotas": "write", "securitypolicies": "write"}),
    ],
)
def test_person_may_read_and_write_what_the_role_says(
    people: ApiServer, namespace: str, person: str, may: Body
) -> None:
    limits = [{"resource": "memory", "max": "1Gi"}]
    objects = {
        "agents": agent(namespace, {}),
        "agentpools": pool(namespace, {}),
        "quotas": quota(namespace, {"limits": limits}),
        "securitypolicies": policy(namespace, {}),
    }

    read = {kind for kind, body in objects.items() if people.request("GET", collection(body), user=person).is_ok}
    written = {kind for kind, body in objects.items() if people.create(body, dry_run=True, user=person).is_ok}

    assert read == may.keys()
    assert written == {kind for kind, access in may.items() if access == "write"}


@pytest.mark.parametrize("person", ["viewer", "editor", "administrator"])
def test_status_is_refused_from_people(people: ApiServer, stored: Body, person: str) -> None:
    path = f"{collection(stored)}/stored/status"

    answer = people.request("PATCH", path, {"status": FORGED}, content_type=MERGE, user=person)

    assert answer.status == 403
    assert "agents/status" in answer.message
    assert not FORGED.items() <= people.request("GET", path, user=person).expect()["status"].items()


def test_status_in_an_ordinary_write_is_dropped(people: ApiServer, stored: Body) -> None:
    path = f"{collection(stored)}/stored"
    forged = {"status": FORGED, "spec": {"args": ["x"]}}

    answer = people.request("PATCH", path, forged, content_type=MERGE, user="editor").expect()

    assert answer["spec"]["args"] == ["x"]
    assert not FORGED.items() <= answer["status"].items()


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
def test_aggregated_role_never_writes_a_status(people: ApiServer, role: str) -> None:
    rules = people.request("GET", f"/apis/{RBAC}/v1/clusterroles/{role}").expect()["rules"]

    ours = [rule for rule in rules if "ringfence.dev" in rule["apiGroups"]]

    assert ours
    for rule in ours:
        # What an editor of pools may do in its spec, kubectl scale may do, too.
        if any("/" in resource or "*" in resource for resource in rule["resources"] if resource != "agentpools/scale"):
            assert rule["verbs"] == ["get"]


def _names(resource: str, answer: Answer) -> bool:
    return any(resource in rule.get("resources", []) for rule in answer.body["rules"])


def _binding(namespace: str, person: str, role: str) -> Body:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": person, "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": person}],
    }
