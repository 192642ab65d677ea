from typing import Any

from ringfence_operator.resources.connector_network import (
    Redis,
    Sink,
    build_connector_policy,
    build_sidecars_policy,
)
from ringfence_operator.resources.observed import observe_service
from tests.operator.resources.connectors import broker_service, make_connector, rabbitmq, snowflake

Raw = dict[str, Any]
BROKER = observe_service(broker_service())
SERVICES = {("data", "rabbit"): BROKER}
NOWHERE = Redis(None, (), (6379,))


def policy_of(spec: Raw, *, block: int | None = None) -> Raw:
    found = build_connector_policy(
        make_connector(spec=spec), services=SERVICES, block=block, gateway_namespace="ringfence-system"
    )
    return found["spec"]  # type: ignore[no-any-return]


def sidecars(redis: Redis = NOWHERE) -> Raw:
    return build_sidecars_policy("team", operator_namespace="ringfence-system", redis=redis)


def test_a_connector_opens_the_pods_behind_its_service_on_the_port_that_it_names() -> None:
    found = policy_of(rabbitmq())

    assert found["podSelector"] == {
        "matchLabels": {"ringfence.dev/confined": "true", "connector.ringfence.dev/c": "true"}
    }
    assert found["policyTypes"] == ["Egress"]
    assert found["egress"] == [
        {
            "to": [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "data"}},
                    "podSelector": {"matchLabels": {"app": "rabbit"}},
                }
            ],
            "ports": [{"port": 5671, "protocol": "TCP"}],
        }
    ]


def test_a_port_that_the_service_does_not_have_opens_nothing() -> None:
    other = {"name": "x", "service": {"name": "rabbit", "namespace": "data", "port": 15672}}

    assert "egress" not in policy_of(rabbitmq(endpoints=[other]))


def test_an_endpoint_outside_is_open_by_the_connectors_own_ports_alone() -> None:
    (rule,) = policy_of(snowflake(), block=7)["egress"]

    assert rule["to"][0]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "ringfence-gateway"}}
    assert {(each["port"], each.get("endPort")) for each in rule["ports"]} == {(10112, None), (10112, 10127)}


def test_an_endpoint_outside_without_a_way_opens_nothing() -> None:
    assert "egress" not in policy_of(snowflake())


def test_every_sidecar_reaches_the_control_server_and_nothing_else_of_the_operator() -> None:
    spec = sidecars()["spec"]

    assert spec["podSelector"]["matchLabels"] == {"ringfence.dev/confined": "true", "ringfence.dev/sidecar": "true"}
    assert spec["egress"] == [
        {
            "to": [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ringfence-system"}},
                    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "ringfence-operator"}},
                }
            ],
            "ports": [{"port": 18443, "protocol": "TCP"}],
        }
    ]


def test_metrics_are_open_to_the_namespaces_that_scrape() -> None:
    (rule,) = sidecars()["spec"]["ingress"]

    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"ringfence.dev/scrapes-metrics": "true"}}}]
    assert rule["ports"] == [{"port": 8812, "protocol": "TCP"}]


def test_redis_is_open_as_a_service_or_by_its_addresses() -> None:
    behind = sidecars(Redis(BROKER, (), (6379,)))["spec"]["egress"][1]
    outside = sidecars(Redis(None, ("10.9.0.0/24",), (6380, 26379)))["spec"]["egress"][1]

    assert behind["to"][0]["podSelector"] == {"matchLabels": {"app": "rabbit"}}
    assert outside == {
        "to": [{"ipBlock": {"cidr": "10.9.0.0/24"}}],
        "ports": [{"port": 6380, "protocol": "TCP"}, {"port": 26379, "protocol": "TCP"}],
    }


def test_a_sink_of_audit_lines_is_open_as_the_service_that_the_settings_name() -> None:
    found = build_sidecars_policy(
        "team", operator_namespace="ringfence-system", redis=NOWHERE, sinks=[Sink(BROKER, BROKER.ports[0].port)]
    )

    (opened,) = found["spec"]["egress"][1:]
    assert opened["to"][0]["podSelector"] == {"matchLabels": {"app": "rabbit"}}
    assert [each["port"] for each in opened["ports"]] == [BROKER.ports[0].target]
