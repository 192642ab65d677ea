"""The chart has a value for each setting of the processes, and takes what they take."""

import re
from typing import Any

import pytest

from ringfence_gateway.environment import Environment
from ringfence_gateway.environment import variables as gateway_variables
from ringfence_operator.control import __main__ as control
from ringfence_operator.settings import PREFIX, Settings, variables
from tests.chart.chart import Body, objects
from tests.chart.demo_rows import DEMO
from tests.chart.everything import everything
from tools.chart import Value, chart_values, leaves, schema_of

GIVEN_OTHERWISE = {
    "identity": "it is the pod's name",
    "namespace": "it is the pod's",
    "control_socket": "both containers of the pod mount it at the same place",
    "sidecar_image": "sidecar.image, by parts",
    "starter_image": "starter.image, by parts",
    "redis_administrator": "a key of secrets.redis",
    "redis_sentinel_credential": "a key of secrets.redis",
    "upstream_proxy_credential": "a key of secrets.upstreamProxy",
    "collector_token": "a key of secrets.telemetry",
    "audit_stream_credential": "a key of secrets.telemetry",
    "redis_authority": "authorities.redis",
    "upstream_proxy_authority": "authorities.upstreamProxy",
    "kubelet_authority": "authorities.kubelet",
}
SETTINGS = {each.path[-1]: each for each in leaves(chart_values()) if each.path[0] == "settings"}
LIMITS = ("minimum", "maximum", "minLength", "maxLength", "enum")
FIXED = {
    "RINGFENCE_CONTROL_SOCKET": "both containers of the pod mount it at the same place",
    "RINGFENCE_CONTROL_PORT": "gateways are told this one",
    "RINGFENCE_CONTROL_SIDECAR_PORT": "the operator tells it to sidecars, and opens it to them",
    "RINGFENCE_CONTROL_TEST_UNCHECKED_ADDRESSES": "it is for tests",
    "RINGFENCE_GATEWAY_CONTROL_NAME": "it is the host's",
    "RINGFENCE_GATEWAY_TLS_DIRECTORY": "both containers of the pod mount it at the same place",
    "RINGFENCE_GATEWAY_RUN_DIRECTORY": "both containers of the pod mount it at the same place",
    "RINGFENCE_GATEWAY_RESOLVER_PORT": "the control process tells Envoy this one",
    "RINGFENCE_GATEWAY_TEST_UNFILTERED_RESOLVER": "it is for tests",
}


def snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


def field_schema(name: str) -> Body:
    """Return the JSON Schema of a setting; of a list, that of its items."""
    whole = Settings.model_json_schema()
    found: Body = whole["properties"][name]
    found = next((each for each in found.get("anyOf", []) if each.get("type") != "null"), found)
    found = found.get("items", found)
    return whole["$defs"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found


def environment(values: Body, container: str) -> dict[str, str]:
    """Return the variables of a container, those of the pod's fields made up."""
    pods = [each["spec"]["template"]["spec"] for each in objects(values) if each["kind"] == "Deployment"]
    (found,) = [each for pod in pods for each in pod["containers"] if each["name"] == container]
    return {each["name"]: each.get("value", "made-up") for each in found["env"]}


def test_there_is_a_value_for_each_setting() -> None:
    assert {snake(name) for name in SETTINGS} | GIVEN_OTHERWISE.keys() == Settings.model_fields.keys()


def test_everything_that_is_given_otherwise_is_given() -> None:
    told = environment(everything(), "operator")

    assert {name for name in variables() if name not in told} == {f"{PREFIX}CONTROL_SOCKET"}


@pytest.mark.parametrize("value", SETTINGS.values(), ids=lambda each: each.name)
def test_value_has_the_limits_of_its_setting(value: Value) -> None:
    assert value.kind is not None
    mine: Any = schema_of(value.kind, value.name)
    mine = mine.get("items", mine)
    setting = field_schema(snake(value.path[-1]))

    for limit in LIMITS:
        if limit in setting:
            assert mine[limit] == setting[limit], limit
    if "pattern" in setting:
        assert setting["pattern"].strip("^$") in mine["pattern"]


@pytest.mark.parametrize("values", [{}, everything(), DEMO], ids=["default", "everything", "demo"])
def test_every_process_takes_its_variables(values: Body) -> None:
    operator = Settings.from_env(environment(values, "operator"))
    serving = control.Settings.from_env(environment(values, "control"))
    gateway = Environment.from_env(environment(values, "names"))

    assert operator.identity == "made-up"
    assert serving.http_port != operator.http_port
    assert (gateway.control_host, gateway.control_port) == ("ringfence-control.ringfence-system.svc", serving.port)


def test_variables_of_control_process_and_gateway_are_values_or_fixed() -> None:
    told = environment({}, "control").keys() | environment({}, "names").keys()
    known = {*control._DEFAULTS, *gateway_variables()}

    assert known - told == FIXED.keys()
    assert told - known == {"RINGFENCE_GATEWAY_NAMESPACE"}
