"""What a user may mistype is refused, and where it stands is said; by Helm itself, before anything is rendered."""

import functools
from collections.abc import Callable

import pytest

from ringfence_operator.resources.port_set import FIRST_PORT
from tests.chart.chart import Body, RefusedError, branches, merged, nested, objects
from tools.chart import Value, chart_values, leaves, schema_of
from tools.chart_types import Schema

LEAVES = list(leaves(chart_values()))
SOMETHING: dict[str, object] = {"integer": 7, "string": "?", "array": ["?"], "object": {"?": 7}, "boolean": True}
"""Of each type; what comes first for another type is as near to it as a mistake would be."""
OURS = "connector.ringfence.dev/warehouse"


def schema(value: Value) -> Schema:
    assert value.kind is not None
    return schema_of(value.kind, value.name)


def types(of: Schema) -> set[str]:
    given: str | list[str] = of["type"]
    return {given} if isinstance(given, str) else set(given)


def wrong(of: Schema) -> object:
    """Return something of none of the types."""
    return next(each for name, each in SOMETHING.items() if name not in types(of))


def place(name: str) -> str:
    """Return how Helm says where a value stands."""
    return f"at '/{name.replace('.', '/')}"


def refusal(values: Body) -> str:
    """Return what Helm says against values."""
    with pytest.raises(RefusedError) as caught:
        objects(values)
    return str(caught.value)


@functools.cache
def all_refused(mistake: Callable[[Value], object]) -> str:
    """Return what Helm says if the mistake is made with every value with which it can be made, at once."""
    values = [each for each in [*branches(), *LEAVES] if mistake(each) is not None]
    return refusal(functools.reduce(merged, (nested(each.name, mistake(each)) for each in values)))


def unknown_key(value: Value) -> object:
    return {"mistyped": "x"} if value.kind is None or "properties" in schema(value) else None


def wrong_type(value: Value) -> object:
    return wrong(schema(value)) if value.kind else None


def wrong_item(value: Value) -> object:
    return [wrong(schema(value)["items"])] if value.kind and "array" in types(schema(value)) else None


def unknown_key_of_item(value: Value) -> object:
    return [{"mistyped": "x"}] if value.kind and "properties" in schema(value).get("items", {}) else None


def unknown_word(value: Value) -> object:
    return "mistyped" if value.kind and "enum" in schema(value) else None


def cases(mistake: Callable[[Value], object]) -> pytest.MarkDecorator:
    """Have a test for each value with which the mistake can be made."""
    values = [each for each in [*branches(), *LEAVES] if mistake(each) is not None]
    return pytest.mark.parametrize("value", values, ids=lambda each: each.name)


@cases(unknown_key)
def test_unknown_key_is_refused(value: Value) -> None:
    assert f"{place(value.name)}': additional properties 'mistyped' not allowed" in all_refused(unknown_key)


def test_unknown_key_is_refused_at_the_top() -> None:
    assert "at '': additional properties 'mistyped' not allowed" in refusal({"mistyped": "x"})


@cases(wrong_type)
def test_wrong_type_is_refused(value: Value) -> None:
    assert f"{place(value.name)}': got " in all_refused(wrong_type)


@cases(wrong_item)
def test_wrong_type_in_a_list_is_refused(value: Value) -> None:
    assert f"{place(value.name)}/0': got " in all_refused(wrong_item)


@cases(unknown_key_of_item)
def test_unknown_key_in_a_list_is_refused(value: Value) -> None:
    said = all_refused(unknown_key_of_item)

    assert f"{place(value.name)}/0': additional properties 'mistyped' not allowed" in said or (
        # Where a key is missing besides, the two are told one below the other.
        f"{place(value.name)}/0': validation failed" in said
    )


@cases(unknown_word)
def test_word_that_is_none_of_the_known_ones_is_refused(value: Value) -> None:
    assert f"{place(value.name)}': value must be one of" in all_refused(unknown_word)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("settings.maximumMemory", "4 GB"),
        ("settings.defaultCpu", ""),
        ("settings.defaultPolicy", "base"),
        ("settings.dnsService", ""),
        ("settings.podCidrs", ["10.0.0.0-10.0.0.9"]),
        ("settings.gatewayResolvers", ["dns.example"]),
        ("settings.upstreamProxy", "proxy:3128"),
        ("settings.redisUrl", "redis://user:password@cache:6379"),
        ("settings.redisUrl", "redis+sentinel://cache:26379/main"),
        ("settings.probeInterval", 59),
        ("settings.leaseSeconds", 61),
        ("settings.workers", 0),
        ("settings.collectorPort", 65536),
        ("settings.auditStreamName", "a b"),
        ("settings.auditStreamVirtualHost", ""),
        ("secrets.redis.name", "Redis"),
        ("secrets.redis.administratorKey", "../administrator"),
        ("operator.replicas", -1),
        ("operator.image.repository", "docker.io/ringfence/operator:0.1.0"),
        ("operator.image.tag", "sha256:abc"),
        ("operator.image.digest", "sha256:abc"),
        ("operator.podDisruptionBudget.maxUnavailable", "half"),
        ("operator.topologySpread", [{"maxSkew": 1}]),
        ("operator.tolerations", [{"operator": "exists"}]),
        ("operator.resources", {"limits": {"memroy": "1Gi"}}),
        ("operator.affinity", {"podAffinity": {"mistyped": []}}),
        ("operator.extraEnv", [{"name": "TZ", "valueFrom": {"secretRef": {"name": "x"}}}]),
        ("gateway.networkPolicy.dnsPeers", [{}]),
        ("gateway.names.httpPort", FIRST_PORT),
        ("metrics.podMonitor.interval", "30"),
        ("imagePullSecrets", ["registry"]),
    ],
)
def test_value_that_does_not_fit_is_refused(name: str, given: object) -> None:
    assert place(name) in refusal(nested(name, given))


@pytest.mark.parametrize(
    "name", ["extraLabels", "operator.podLabels", "gateway.podLabels", "metrics.podMonitor.labels"]
)
@pytest.mark.parametrize("label", [OURS, "ringfence.dev/sidecar", "app.kubernetes.io/name", "helm.sh/chart"])
def test_labels_that_mean_something_to_the_product_are_refused(name: str, label: str) -> None:
    assert f"{place(name)}/{label.replace('/', '~1')}': false schema" in refusal(nested(name, {label: "true"}))


@pytest.mark.parametrize("name", ["operator.extraEnv", "gateway.extraEnv"])
def test_variables_that_have_values_of_their_own_are_refused(name: str) -> None:
    said = refusal(nested(name, [{"name": "RINGFENCE_OPERATOR_PROBE_IMAGE", "value": ""}]))

    assert f"{place(name)}/0/name'" in said


def test_a_chart_that_has_this_one_among_its_dependencies_may_switch_it_on_and_share_values() -> None:
    assert objects({"enabled": True, "global": {"imageRegistry": "x"}}) == objects()
