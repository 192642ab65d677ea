"""Every rule of the CRDs, held against the API server itself: nothing but it decides what is refused."""

import pytest

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.security_policy import SecurityPolicy
from tests.cluster.api_server import ApiServer
from tests.cluster.bad_agents import BAD_AGENTS
from tests.cluster.bad_connectors import BAD_CONNECTORS
from tests.cluster.bad_policies import BAD_POLICIES
from tests.cluster.bad_pools import BAD_POOLS
from tests.cluster.bad_quotas import BAD_QUOTAS
from tests.cluster.good_connectors import GOOD_CONNECTORS
from tests.cluster.good_objects import GOOD_AGENTS, GOOD_POLICIES, GOOD_POOLS
from tests.cluster.good_quotas import GOOD_QUOTAS
from tests.cluster.rows import Bad, Body, Good, agent, connector, policy, pool, quota

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("row", BAD_AGENTS, ids=lambda row: row.title)
def test_agent_is_refused(crds: ApiServer, namespace: str, row: Bad) -> None:
    body = agent(namespace, row.spec, name=row.name)
    body["spec"].pop(row.without, None)

    assert_refused(crds, body, row)


@pytest.mark.parametrize("row", BAD_POLICIES, ids=lambda row: row.title)
def test_policy_is_refused(crds: ApiServer, namespace: str, row: Bad) -> None:
    assert_refused(crds, policy(namespace, row.spec, name=row.name), row)


@pytest.mark.parametrize("row", BAD_POOLS, ids=lambda row: row.title)
def test_pool_is_refused(crds: ApiServer, namespace: str, row: Bad) -> None:
    body = pool(namespace, row.spec, name=row.name)
    body["spec"].pop(row.without, None)

    assert_refused(crds, body, row)


@pytest.mark.parametrize("row", GOOD_POOLS, ids=lambda row: row.title)
def test_pool_is_accepted_with_its_defaults(crds: ApiServer, namespace: str, row: Good) -> None:
    body = pool(namespace, row.spec, name=row.name)

    stored = crds.create(body, dry_run=True).expect()

    assert stored["spec"] == merged(body["spec"], row.adds)
    assert AgentPool.from_body(body).spec == AgentPool.from_body(stored).spec, "the model's defaults are not the CRD's"


@pytest.mark.parametrize("row", BAD_CONNECTORS, ids=lambda row: row.title)
def test_connector_is_refused(crds: ApiServer, namespace: str, row: Bad) -> None:
    body = connector(namespace, row.spec, name=row.name)
    body["spec"].pop(row.without, None)

    assert_refused(crds, body, row)


@pytest.mark.parametrize("row", GOOD_CONNECTORS, ids=lambda row: row.title)
def test_connector_is_accepted_with_its_defaults(crds: ApiServer, namespace: str, row: Good) -> None:
    body = connector(namespace, row.spec, name=row.name)

    stored = crds.create(body, dry_run=True).expect()

    assert stored["spec"] == merged(body["spec"], row.adds)
    assert Connector.from_body(body).spec == Connector.from_body(stored).spec, "the model's defaults are not the CRD's"


@pytest.mark.parametrize("row", GOOD_AGENTS, ids=lambda row: row.title)
def test_agent_is_accepted_with_its_defaults(crds: ApiServer, namespace: str, row: Good) -> None:
    body = agent(namespace, row.spec, name=row.name)

    stored = crds.create(body, dry_run=True).expect()

    assert stored["spec"] == merged(body["spec"], row.adds)
    assert Agent.from_body(body).spec == Agent.from_body(stored).spec, "the model's defaults are not the CRD's"


@pytest.mark.parametrize("row", GOOD_POLICIES, ids=lambda row: row.title)
def test_policy_is_accepted_with_its_defaults(crds: ApiServer, namespace: str, row: Good) -> None:
    body = policy(namespace, row.spec, name=row.name)

    stored = crds.create(body, dry_run=True).expect()

    assert stored["spec"] == merged(body["spec"], row.adds)
    assert SecurityPolicy.from_body(body).spec == SecurityPolicy.from_body(stored).spec


@pytest.mark.parametrize("row", BAD_QUOTAS, ids=lambda row: row.title)
def test_quota_is_refused(crds: ApiServer, namespace: str, row: Bad) -> None:
    assert_refused(crds, quota(namespace, row.spec, name=row.name), row)


@pytest.mark.parametrize("row", GOOD_QUOTAS, ids=lambda row: row.title)
def test_quota_is_accepted_with_its_defaults(crds: ApiServer, namespace: str, row: Good) -> None:
    body = quota(namespace, row.spec, name=row.name)

    stored = crds.create(body, dry_run=True).expect()

    assert stored["spec"] == merged(body["spec"], row.adds)
    assert Quota.from_body(body).spec == Quota.from_body(stored).spec, "the model's defaults are not the CRD's"


def test_a_quota_that_says_only_what_it_must_gets_its_defaults(crds: ApiServer, namespace: str) -> None:
    body = quota(namespace, {"limits": [{"resource": "concurrentCalls", "max": 1}]})

    (limit,) = crds.create(body, dry_run=True).expect()["spec"]["limits"]

    assert limit == {
        "resource": "concurrentCalls",
        "max": 1,
        "window": "None",
        "scope": "PerAgent",
        "enforcement": "Hard",
    }


def test_the_tables_hold_at_least_eighty_bad_objects() -> None:
    rows = [*BAD_AGENTS, *BAD_CONNECTORS, *BAD_POLICIES]

    assert len(rows) >= 80
    assert len({(row in BAD_AGENTS, row in BAD_CONNECTORS, row.title) for row in rows}) == len(rows)


def assert_refused(kube: ApiServer, body: Body, row: Bad) -> None:
    answer = kube.create(body, dry_run=True)

    assert answer.status in (400, 422), f"not refused: {answer.status} {answer.body}"
    assert row.path in answer.message
    assert row.says in answer.message


def merged(given: Body, added: Body) -> Body:
    """Return `given` with what the API server adds, at any depth."""
    both = {key: merged(given[key], added[key]) for key in given.keys() & added.keys() if isinstance(given[key], dict)}
    return {**added, **given, **both}
