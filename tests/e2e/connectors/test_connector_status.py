"""What a Connector's status says on a real cluster, besides what sidecars report."""

import json

from tests.e2e.connectors.backend import connector, reason, until, using, usual
from tests.e2e.kube import address
from tests.e2e.world import World, is_true

ACCOUNT = {"name": "main", "host": "acme.snowflakecomputing.com", "account": "ACME", "warehouse": "WH"}


def test_a_workload_identity_is_told_as_the_cluster_issues_it(world: World) -> None:
    auth = {"workloadIdentity": {"user": "AGENTS", "audience": "acme.example/team"}}
    spec = {"snowflake": {"endpoints": [ACCOUNT], "auth": auth, "database": "SALES"}}
    name = connector(world, spec, "snow")

    found = until(world, "Connector", name, "NoAgents")

    issuer = world.kube.request("GET", "/.well-known/openid-configuration")["issuer"]
    assert found["status"]["workloadIdentity"] == {
        "issuer": issuer,
        "subject": f"system:serviceaccount:{world.namespace}:default",
        "audience": "acme.example/team",
        "createUser": (
            f"CREATE USER AGENTS TYPE = SERVICE WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = '{issuer}' "
            f"SUBJECT = 'system:serviceaccount:{world.namespace}:default' "
            "OIDC_AUDIENCE_LIST = ('acme.example/team'));"
        ),
    }


def test_a_host_outside_has_a_port_set_that_only_the_connectors_pods_reach(world: World) -> None:
    auth = {"workloadIdentity": {"user": "AGENTS"}}
    name = connector(world, {"snowflake": {"endpoints": [ACCOUNT], "auth": auth, "database": "SALES"}}, "snow")

    found = until(world, "Connector", name, "NoAgents")

    service = found["status"]["gateway"]["service"]
    policy = world.kube.get(address("NetworkPolicy", world.namespace, f"ringfence-connector-{name}"))
    admission = world.kube.get(address("NetworkPolicy", "ringfence-system", f"ringfence-gateway-{service}"))
    assert policy is not None
    assert admission is not None
    selected = {"ringfence.dev/confined": "true", f"connector.ringfence.dev/{name}": "true"}
    assert policy["spec"]["podSelector"]["matchLabels"] == selected
    (peer,) = admission["spec"]["ingress"][0]["from"]
    assert peer["podSelector"]["matchLabels"] == selected
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": world.namespace}


def test_the_sidecar_of_a_workload_identity_has_a_token_of_that_audience(world: World) -> None:
    auth = {"workloadIdentity": {"user": "AGENTS", "audience": "acme.example/team"}}
    name = connector(world, {"snowflake": {"endpoints": [ACCOUNT], "auth": auth, "database": "SALES"}}, "snow")
    agent = using(world, name)
    agent.until_ready()

    source = (
        "import base64, json, sys; token = open(sys.argv[1]).read().split('.')[1]\n"
        "print(base64.urlsafe_b64decode(token + '=' * (-len(token) % 4)).decode())"
    )
    place = f"/var/run/ringfence/identity/{name}/token"
    claims = json.loads(agent.pod.output("/app/bin/python", "-c", source, place, container="sidecar"))

    assert claims["aud"] == ["acme.example/team"]
    assert claims["sub"] == f"system:serviceaccount:{world.namespace}:default"


def test_a_deleted_connector_leaves_nothing_open(world: World) -> None:
    auth = {"workloadIdentity": {"user": "AGENTS"}}
    name = connector(world, {"snowflake": {"endpoints": [ACCOUNT], "auth": auth, "database": "SALES"}}, "snow")
    service = until(world, "Connector", name, "NoAgents")["status"]["gateway"]["service"]

    world.kube.delete(address("Connector", world.namespace, name))

    for path in (
        address("NetworkPolicy", world.namespace, f"ringfence-connector-{name}"),
        address("NetworkPolicy", "ringfence-system", f"ringfence-gateway-{service}"),
    ):
        world.kube.until(path, lambda it: it is None)


def test_a_task_with_a_connector_comes_to_its_end(world: World) -> None:
    agent = using(world, usual(world), mode="Task", command=["true"])

    done = agent.until(lambda it: is_true(it, "Complete"))

    assert reason(done) == ("True", "Succeeded")
