"""The back ends that are there for trying it out: what Quotas need of the Redis, and who reaches either."""

from ringfence_operator import labels
from tests.chart.chart import Body, merged, nested, objects
from tests.chart.demo_rows import DEMO, NAMESPACE
from tests.chart.row import at

SIDECARS = {"namespaceSelector": {}, "podSelector": {"matchLabels": {labels.SIDECAR: "true"}}}


def part(what: str, *path: str | int, values: Body = DEMO) -> object:
    return at(what, *path, namespace=NAMESPACE)(objects(values))


def test_redis_keeps_what_it_was_told_on_disk_and_throws_nothing_away() -> None:
    lines = str(part("Secret/redis", "stringData", "redis.conf")).splitlines()

    assert {"appendonly yes", "appendfsync always", "maxmemory-policy noeviction"} <= set(lines)


def test_only_sidecars_and_the_operator_reach_the_redis_and_it_reaches_nobody() -> None:
    spec = part("NetworkPolicy/redis", "spec")

    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ringfence-system"}},
        "podSelector": {"matchLabels": {labels.APP: labels.OPERATOR}},
    }
    assert spec == {
        "podSelector": part("Deployment/redis", "spec", "selector"),
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [SIDECARS, operator], "ports": [{"port": 6379, "protocol": "TCP"}]}],
    }


def test_only_sidecars_reach_the_broker_and_it_reaches_nobody() -> None:
    spec = part("NetworkPolicy/rabbitmq", "spec")

    assert spec == {
        "podSelector": part("Deployment/rabbitmq", "spec", "selector"),
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [SIDECARS], "ports": [{"port": 5672, "protocol": "TCP"}]}],
    }


def test_namespace_lets_in_restricted_pods_only() -> None:
    (namespace,) = (each for each in objects(DEMO) if each["kind"] == "Namespace")

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_another_password_replaces_the_pod_that_read_the_former_one() -> None:
    template = ("spec", "template", "metadata", "annotations")
    for name in ("redis", "rabbitmq"):
        other = merged(DEMO, nested(f"demo.{name}.password", "Another0Password0"))

        assert part(f"Deployment/{name}", *template) != part(f"Deployment/{name}", *template, values=other)


def test_password_of_digits_stays_text() -> None:
    digits = "1234567890123456"
    given = merged(DEMO, nested("demo.redis.password", digits))

    assert part("Secret/redis", "stringData", "password", values=given) == digits


def test_passwords_that_nobody_gave_are_long_and_no_two_are_alike() -> None:
    made = [
        each["stringData"]["password"]
        for each in objects({"demo": {"enabled": True}})
        if each["kind"] == "Secret" and "password" in each["stringData"]
    ]

    assert {len(each) for each in made} == {32}
    assert len(set(made)) == len(made) == 2


def test_redis_of_your_own_is_the_only_one() -> None:
    own = merged(DEMO, nested("settings.redisUrl", "redis://cache:6379"))

    kinds = {(each["kind"], each["metadata"]["name"]) for each in objects(own)}

    assert ("Deployment", "rabbitmq") in kinds
    assert not {("Deployment", "redis"), ("Secret", "ringfence-redis")} & kinds
