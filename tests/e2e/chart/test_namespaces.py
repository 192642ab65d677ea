"""A release whose operator may write in some namespaces only (rbac.namespaces), on a real cluster."""

from collections.abc import Iterator

import pytest

from tests.e2e.chart.helm import Helm
from tests.e2e.installation import OPERATOR_USER
from tests.e2e.kube import Kube, RefusedError, address
from tests.e2e.world import World, message_of

CALLS = {"resource": "apiCalls", "max": 100, "window": "Hour"}


@pytest.fixture(scope="module")
def limited(helm: Helm, namespace: str) -> Iterator[None]:
    """A release for the agents of the session's namespace alone."""
    helm.install(f"--set=rbac.namespaces={{{namespace}}}")
    yield
    helm.uninstall()


@pytest.mark.usefixtures("limited")
def test_agents_run_in_the_namespaces_that_are_named_and_are_refused_elsewhere(kube: Kube, namespace: str) -> None:
    with World(kube, namespace) as world:
        elsewhere = world.new_namespace("elsewhere")
        refused = world.agent("refused", namespace=elsewhere)
        told = refused.until_reason("AdmissionRefused")

        policy = world.policy(network={"allowedDomains": [{"name": "api.example"}]})
        agent = world.agent(securityPolicyRef={"name": policy})
        agent.until_ready()
        # With a sidecar, which has to be told of the operator's authority, and to be let in by the operator.
        counted = world.agent("counted", quotaRef=world.quota(CALLS).ref)
        counted.until_ready()
        agent.delete()
        agent.until_gone()
        kube.until(agent.pod.path, lambda it: it is None)

        assert "is forbidden: User" in message_of(told)
        assert OPERATOR_USER in message_of(told)
        assert f'in the namespace "{elsewhere}"' in message_of(told)
        assert kube.items(address("Pod", elsewhere)) == []
        assert kube.items(address("NetworkPolicy", elsewhere)) == []


@pytest.mark.usefixtures("limited")
def test_the_operator_may_write_nothing_in_a_namespace_that_is_not_named(kube: Kube, namespace: str) -> None:
    with World(kube, namespace) as world:
        elsewhere = world.new_namespace("elsewhere")
        operator = kube.as_user(OPERATOR_USER)
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}

        refused = []
        for where in (namespace, elsewhere):
            try:
                operator.create({**body, "metadata": {"name": f"x-{world.tag}", "namespace": where}})
            except RefusedError as error:
                refused.append((where, error.status))
            world.on_exit(address("ConfigMap", where, f"x-{world.tag}"))

        assert refused == [(elsewhere, 403)]
