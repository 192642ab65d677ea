"""How the kinds look to those who use kubectl: names, columns, field selectors, updates, first status."""

from collections.abc import Callable, Iterator

import pytest

from tests.cluster.api_server import MERGE, TABLE, Answer, ApiServer, collection
from tests.cluster.rows import Body, agent, policy, pool, quota

pytestmark = pytest.mark.cluster

Make = Callable[..., Body]


@pytest.fixture
def make(crds: ApiServer, namespace: str) -> Iterator[Make]:
    """Create agents, suspended so that no operator starts them, and delete them afterwards."""
    made: list[Body] = []

    def create(name: str, **spec: object) -> Body:
        made.append(crds.create(agent(namespace, {"suspend": True, **spec}, name=name)).expect())
        return made[-1]

    yield create
    for body in made:
        crds.delete(body).expect()


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("spec.mode=Task", {"batch"}),
        ("spec.mode=Service", {"web", "open"}),
        ("spec.isolation=Secure", {"batch"}),
        ("spec.securityPolicyRef.name=wide", {"open"}),
        ("spec.quotaRef.name=small", {"batch"}),
        ("spec.mode=Service,spec.securityPolicyRef.name!=wide", {"web"}),
    ],
)
def test_agents_are_found_by_field(crds: ApiServer, make: Make, namespace: str, selector: str, found: set[str]) -> None:
    make("web")
    make("batch", mode="Task", isolation="Secure", quotaRef={"name": "small"})
    make("open", securityPolicyRef={"name": "wide"})

    listed = crds.request("GET", collection(agent(namespace, {})), fieldSelector=selector).expect()["items"]

    assert {each["metadata"]["name"] for each in listed} == found


@pytest.mark.parametrize(
    ("body", "narrow", "wide"),
    [
        (
            agent("default", {}),
            ["Name", "State", "Reason", "Restarts", "Age"],
            ["Pod", "Node", "Isolation", "Policy", "Quota", "Pool", "Mode", "Message"],
        ),
        (policy("default", {}), ["Name", "Ready", "Agents", "Mode", "Network", "Age"], []),
        (
            pool("default", {}),
            ["Name", "Size", "Warm", "Starting", "Claimed", "Ready", "Age"],
            ["Failed", "Hits", "Misses", "Policy", "Reason", "Message"],
        ),
        (quota("default", {}), ["Name", "Tightest", "Ready", "Reason", "Agents", "Age"], ["Message"]),
    ],
    ids=["Agent", "SecurityPolicy", "AgentPool", "Quota"],
)
def test_columns_are_those_that_people_look_for(
    crds: ApiServer, body: Body, narrow: list[str], wide: list[str]
) -> None:
    table = crds.request("GET", collection(body), accept=TABLE).expect()

    columns = [(each["name"], each["priority"]) for each in table["columnDefinitions"]]

    assert columns == [*((name, 0) for name in narrow), *((name, 1) for name in wide)]


def test_columns_show_what_the_agent_says(crds: ApiServer, make: Make, namespace: str) -> None:
    make("row", mode="Task", securityPolicyRef={"name": "wide"})

    path = f"{collection(agent(namespace, {}))}/row"
    table = crds.request("GET", path, accept=TABLE).expect()

    names = [each["name"] for each in table["columnDefinitions"]]
    shown = dict(zip(names, table["rows"][0]["cells"], strict=True))
    assert {"Name": "row", "Isolation": "Container", "Policy": "wide", "Mode": "Task"}.items() <= shown.items()


@pytest.mark.parametrize(
    ("plural", "short"),
    [("agents", "rfagent"), ("agentpools", "rfpool"), ("quotas", "rfquota"), ("securitypolicies", "rfpolicy")],
)
def test_kind_has_its_short_name_and_category(crds: ApiServer, plural: str, short: str) -> None:
    resources = crds.request("GET", "/apis/ringfence.dev/v1alpha1").expect()["resources"]

    by_name = {each["name"]: each for each in resources}

    assert by_name[plural]["shortNames"] == [short]
    assert by_name[plural]["categories"] == ["ringfence"]
    assert f"{plural}/status" in by_name


def test_a_pool_is_scaled_like_a_deployment(crds: ApiServer, namespace: str) -> None:
    stored = crds.create(pool(namespace, {"size": 3}, name="scaled")).expect()
    path = f"{collection(stored)}/scaled/scale"

    found = crds.request("GET", path).expect()
    crds.request("PATCH", path, {"spec": {"replicas": 5}}, content_type=MERGE).expect()
    after = crds.request("GET", f"{collection(stored)}/scaled").expect()
    crds.delete(stored).expect()

    assert found["spec"]["replicas"] == 3
    assert after["spec"]["size"] == 5


def test_status_says_that_nobody_has_looked_yet(crds: ApiServer, make: Make) -> None:
    created = make("fresh")

    assert created["metadata"]["generation"] == 1
    assert created["status"]["observedGeneration"] == -1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": "9Gi"}, "a volume's size cannot change"),
        ({"size": "11Gi"}, "a volume's size cannot change"),
        ({"storageClassName": "slow"}, "a volume's storage class cannot change"),
        ({"storageClassName": None}, "a volume's storage class cannot change"),
    ],
    ids=["a smaller size", "a larger size", "another storage class", "no storage class"],
)
def test_workspace_refuses(crds: ApiServer, make: Make, change: Body, says: str) -> None:
    stored = make("keeper", workspace={"size": "10Gi", "storageClassName": "fast"})

    answer = _patch(crds, stored, {"workspace": change})

    assert answer.status == 422
    assert says in answer.message


def test_workspace_may_be_written_otherwise(crds: ApiServer, make: Make) -> None:
    stored = make("rewriter", workspace={"size": "10Gi"})

    _patch(crds, stored, {"workspace": {"size": "10240Mi"}}).expect()


def _patch(crds: ApiServer, body: Body, spec: Body) -> Answer:
    path = f"{collection(body)}/{body['metadata']['name']}"
    return crds.request("PATCH", path, {"spec": spec}, content_type=MERGE, dryRun="All")
