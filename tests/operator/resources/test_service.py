from typing import Any

import pytest

from ringfence_operator.resources.observed import observe_service, service_digest
from ringfence_operator.resources.service import build_service
from tests.operator.resources.objects import make_agent

PORTS = [{"name": "http", "port": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}]


def test_an_agent_without_ports_has_no_service() -> None:
    assert build_service(make_agent()) is None


def test_the_service_has_the_agents_name_and_ports_and_selects_its_pod() -> None:
    built = build_service(make_agent(ports=PORTS))

    assert built is not None
    assert (built["metadata"]["name"], built["metadata"]["namespace"]) == ("a", "team")
    assert built["metadata"]["ownerReferences"][0]["uid"] == "agent-uid"
    assert built["spec"] == {
        "type": "ClusterIP",
        "ipFamilyPolicy": "PreferDualStack",
        "selector": {"ringfence.dev/agent": "a", "app.kubernetes.io/managed-by": "ringfence"},
        "ports": [
            {"name": "http", "port": 8080, "targetPort": 8080, "protocol": "TCP"},
            {"name": "dns", "port": 53, "targetPort": 53, "protocol": "UDP"},
        ],
    }


def test_what_the_server_adds_to_a_service_is_no_difference() -> None:
    built = build_service(make_agent(ports=PORTS))
    assert built is not None
    stored = built | {
        "metadata": built["metadata"] | {"uid": "u", "resourceVersion": "1"},
        "spec": built["spec"]
        | {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "sessionAffinity": "None", "ipFamilies": ["IPv4"]},
    }

    assert observe_service(stored).digest == service_digest(built["spec"])


@pytest.mark.parametrize("change", [{"targetPort": 9}, {"port": 9}, {"protocol": "UDP"}, {"name": "web"}])
def test_a_port_that_somebody_changed_is_a_difference(change: dict[str, Any]) -> None:
    built = build_service(make_agent(ports=PORTS))
    assert built is not None
    changed = [built["spec"]["ports"][0] | change, built["spec"]["ports"][1]]

    assert service_digest(built["spec"] | {"ports": changed}) != service_digest(built["spec"])


@pytest.mark.parametrize("change", [{"type": "NodePort"}, {"selector": {"app": "other"}}, {"ports": []}])
def test_a_service_that_somebody_pointed_elsewhere_or_opened_to_the_outside_is_a_difference(
    change: dict[str, Any],
) -> None:
    built = build_service(make_agent(ports=PORTS))
    assert built is not None

    assert service_digest(built["spec"] | change) != service_digest(built["spec"])
