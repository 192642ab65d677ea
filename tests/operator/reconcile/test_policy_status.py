from typing import Any

import pytest

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.security_policy import GatewayReplica, SecurityPolicy, SecurityPolicyStatus, SeenDomain
from ringfence_operator.reconcile.gateway import Force, Seen, Standing
from ringfence_operator.reconcile.policy_status import MOST_NAMES, Found, merged, policy_status
from ringfence_operator.resources.gateway import build_port_set_service
from ringfence_operator.settings import Settings
from tests.operator.reconcile.kstatus import kstatus
from tests.operator.reconcile.test_network import Cluster
from tests.operator.resources.objects import NOW, make_policy

Raw = dict[str, Any]
NAMES: Raw = {"allowedDomains": [{"name": "a.io"}]}
SERVICE: Raw = {"destinations": [{"service": {"name": "db", "namespace": "data"}}]}
REPLICAS = (GatewayReplica(name="g1", generation=1),)


def status_of(
    force: Force = Force.IN_FORCE,
    message: str = "",
    *,
    policy: SecurityPolicy | None = None,
    refusal: tuple[Reason, str] | None = None,
    seen: Seen | None = None,
    cluster: Cluster | None = None,
) -> SecurityPolicyStatus:
    found = Found(Standing(force, 60.0, message, REPLICAS), refusal)
    view = (cluster or Cluster(Settings())).view
    return policy_status(policy or make_policy(network=NAMES), view, found, seen or Seen(), now=NOW)


def said(status: SecurityPolicyStatus) -> list[tuple[str, str, str]]:
    return [(each.type, each.status.value, each.reason) for each in status.conditions]


@pytest.mark.parametrize(
    ("force", "word", "expected"),
    [
        (Force.IN_FORCE, "Current", [("Ready", "True", "InForce"), ("Enforced", "True", "InForce")]),
        (
            Force.PENDING,
            "InProgress",
            [
                ("Ready", "False", "GatewayPending"),
                ("Reconciling", "True", "GatewayPending"),
                ("Enforced", "False", "GatewayPending"),
            ],
        ),
        (
            Force.UNAVAILABLE,
            "InProgress",
            [
                ("Ready", "False", "GatewayUnavailable"),
                ("Reconciling", "True", "GatewayUnavailable"),
                ("Enforced", "False", "GatewayUnavailable"),
            ],
        ),
        (
            Force.REFUSED,
            "Failed",
            [
                ("Ready", "False", "GatewayRefused"),
                ("Stalled", "True", "GatewayRefused"),
                ("Enforced", "False", "GatewayRefused"),
            ],
        ),
    ],
)
def test_a_policy_says_where_it_stands_on_the_gateway(force: Force, word: str, expected: list[Any]) -> None:
    found = status_of(force)

    assert said(found) == expected
    assert kstatus(1, found.to_body()) == word


def test_the_gateways_own_words_are_told() -> None:
    assert status_of(Force.REFUSED, "duplicate listener").conditions[0].message.endswith(": duplicate listener")


@pytest.mark.parametrize("reason", [Reason.NO_PORT_SET, Reason.TOO_MANY_PORTS])
def test_a_policy_of_which_something_has_no_place_is_not_enforced_whatever_the_gateway_has(reason: Reason) -> None:
    found = status_of(Force.IN_FORCE, refusal=(reason, "no place"))

    assert said(found) == [("Ready", "False", reason), ("Stalled", "True", reason), ("Enforced", "False", reason)]
    assert kstatus(1, found.to_body()) == "Failed"


def test_without_a_gateway_nothing_is_said_of_it() -> None:
    found = status_of(refusal=(Reason.NO_GATEWAY, "names need it"), cluster=Cluster())

    assert said(found) == [("Ready", "False", "NoGateway"), ("Stalled", "True", "NoGateway")]


@pytest.mark.parametrize("field", ["allowedDomains", "blockedDomains"])
def test_a_name_that_stands_for_nothing_is_told(field: str) -> None:
    policy = make_policy(network={field: [{"name": "xn--a.io"}]})

    found = status_of(policy=policy)

    assert found.conditions[0].reason == "InvalidDomain"
    assert found.conditions[0].message.startswith("xn--a.io: ")
    assert kstatus(1, found.to_body()) == "Failed"


@pytest.mark.parametrize(
    ("namespace", "spec", "reason"),
    [
        ("data", {"selector": {"app": "db"}, "clusterIP": "10.96.0.7"}, "InForce"),
        ("other", {"selector": {"app": "db"}, "clusterIP": "10.96.0.7"}, "ServiceNotFound"),
        ("data", {"clusterIP": "10.96.0.7"}, "ServiceNotFound"),
        ("data", {"selector": {"app": "db"}, "clusterIP": "None"}, "ServiceNotFound"),
    ],
)
def test_a_service_that_cannot_be_reached_is_waited_for(namespace: str, spec: Raw, reason: str) -> None:
    cluster = Cluster(Settings())
    cluster.have("services", {"metadata": {"name": "db", "namespace": namespace}, "spec": spec})

    found = status_of(policy=make_policy(network=SERVICE), cluster=cluster)

    assert found.conditions[0].reason == reason
    assert kstatus(1, found.to_body()) == ("Current" if reason == "InForce" else "InProgress")


def test_no_service_of_the_operators_own_namespace_is_reached() -> None:
    cluster = Cluster(Settings())
    spec = {"selector": {"app": "db"}, "clusterIP": "10.96.0.7"}
    cluster.have("services", {"metadata": {"name": "db", "namespace": "ringfence-system"}, "spec": spec})
    destinations = [{"service": {"name": "db", "namespace": "ringfence-system"}}]

    found = status_of(policy=make_policy(network={"destinations": destinations}), cluster=cluster)

    assert found.conditions[0].reason == "ServiceNotFound"


def test_the_port_set_is_named_with_its_address_and_replicas() -> None:
    cluster = Cluster(Settings())
    cluster.have("services", build_port_set_service(7, ("team", "p"), namespace="ringfence-system", further={}))

    found = status_of(cluster=cluster).gateway

    assert found is not None
    assert (found.service, found.replicas) == ("p-00007", REPLICAS)
    assert found.address.startswith("10.96.")


def seen_domain(name: str, count: int, port: int = 443) -> SeenDomain:
    return SeenDomain(name=name, port=port, count=count, last_seen=NOW)


def test_names_are_added_up_and_the_most_frequent_ones_kept() -> None:
    before = [seen_domain(f"n{number:02}.io", 100 - number) for number in range(MOST_NAMES)]

    found, rest = merged(before, [seen_domain("n49.io", 60), seen_domain("rare.io", 1), seen_domain("often.io", 500)])

    assert len(found) == MOST_NAMES
    # n48.io, which has no place any more, and rare.io, which never had one.
    assert rest == 52 + 1
    assert [each.name for each in found[:2]] == ["often.io", "n49.io"]
    assert found[1].count == 111
    assert "rare.io" not in {each.name for each in found}


def test_what_is_no_name_or_beyond_the_list_is_told_as_a_count() -> None:
    many = tuple(seen_domain(f"n{number:03}.io", 2) for number in range(MOST_NAMES + 3))
    before = status_of(seen=Seen(denied=many, observed_others=4, denied_others=5))
    policy = make_policy(network=NAMES).model_copy(update={"status": before})

    after = status_of(policy=policy, seen=Seen(denied=(seen_domain("n000.io", 1),), denied_others=1))

    assert (before.observed_others, before.denied_others) == (4, 5 + 3 * 2)
    assert (after.observed_others, after.denied_others) == (4, 5 + 3 * 2 + 1)


def test_one_name_on_two_ports_is_two_entries() -> None:
    found, rest = merged([seen_domain("a.io", 1)], [seen_domain("a.io", 2, port=80)])

    assert rest == 0
    assert [(each.name, each.port, each.count) for each in found] == [("a.io", 80, 2), ("a.io", 443, 1)]
