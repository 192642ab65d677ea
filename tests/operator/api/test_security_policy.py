from typing import Any

import pytest

from ringfence_operator.api.network import NetworkProtocol
from ringfence_operator.api.security_policy import SecurityPolicy


def policy(spec: dict[str, Any] | None = None) -> SecurityPolicy:
    body: dict[str, Any] = {"metadata": {"name": "open", "namespace": "lab"}}
    return SecurityPolicy.from_body(body if spec is None else {**body, "spec": spec})


def test_policy_without_a_spec_opens_nothing() -> None:
    assert policy() == policy({})
    assert policy().spec.network.to_body() == {"enabled": True, "mode": "Enforce"}


def test_words_that_python_keeps_to_itself_are_read() -> None:
    source = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}
    network = policy({"network": {"ingress": [{"from": [source]}], "cidrs": [source]}}).spec.network

    assert network.ingress[0].from_[0].except_ == ("10.1.0.0/16",)
    assert network.cidrs[0].to_body() == source


@pytest.mark.parametrize(
    "selector", [{}, {"matchLabels": {"a": "b"}}, {"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
)
def test_selector_goes_out_as_it_came_in(selector: dict[str, Any]) -> None:
    destination = {"namespaceSelector": selector}

    body = policy({"network": {"destinations": [destination]}}).spec.network.destinations[0].to_body()

    assert body == destination


def test_absent_selector_stays_absent() -> None:
    (destination,) = policy({"network": {"destinations": [{"podSelector": {}}]}}).spec.network.destinations

    assert destination.namespace_selector is None
    assert destination.pod_selector is not None


def test_port_speaks_tcp_unless_it_says_otherwise() -> None:
    ports = [{"port": 80}, {"port": 53, "protocol": "UDP"}]
    (destination,) = policy(
        {"network": {"destinations": [{"podSelector": {}, "ports": ports}]}}
    ).spec.network.destinations

    assert [port.protocol for port in destination.ports] == [NetworkProtocol.TCP, NetworkProtocol.UDP]


def test_writable_path_has_a_size() -> None:
    spec = policy({"fileSystem": {"writablePaths": [{"path": "/tmp"}]}, "maxExecutionTime": "1h"}).spec

    assert spec.file_system.writable_paths[0].size == "64Mi"
    assert spec.max_execution_time == 3600
