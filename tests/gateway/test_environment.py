from pathlib import Path

import pytest

from ringfence_gateway.environment import Environment, VariableError

NEEDED = {"RINGFENCE_GATEWAY_POD": "g-1", "RINGFENCE_GATEWAY_CONTROL": "control.ns.svc:18000"}


def test_the_environment_says_what_to_do() -> None:
    environment = Environment.from_env(
        NEEDED
        | {
            "RINGFENCE_GATEWAY_HTTP_PORT": "9000",
            "RINGFENCE_GATEWAY_RUN_DIRECTORY": "/somewhere",
            "RINGFENCE_GATEWAY_TEST_UNFILTERED_RESOLVER": "true",
            "RINGFENCE_GATEWAY_SERVICE_HOST": "10.0.0.1",
        }
    )

    assert (environment.control_host, environment.control_port) == ("control.ns.svc", 18000)
    assert (environment.http_port, environment.run_directory) == (9000, Path("/somewhere"))
    assert environment.test_unfiltered_resolver


def test_an_address_of_ipv6_is_taken_without_its_brackets() -> None:
    environment = Environment(pod="g", control="[fd00::1]:5")

    assert (environment.control_host, environment.control_port) == ("fd00::1", 5)


def test_private_addresses_are_dropped_unless_a_test_says_otherwise() -> None:
    assert not Environment.from_env(NEEDED).test_unfiltered_resolver


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"RINGFENCE_GATEWAY_POD": ""}, "RINGFENCE_GATEWAY_POD is missing"),
        ({"RINGFENCE_GATEWAY_CONTROL": "host"}, "must be host:port"),
        ({"RINGFENCE_GATEWAY_HTTP_PORT": "x"}, "RINGFENCE_GATEWAY_HTTP_PORT"),
        ({"RINGFENCE_GATEWAY_HTTP_PORT": "65536"}, "RINGFENCE_GATEWAY_HTTP_PORT"),
        ({"RINGFENCE_GATEWAY_TEST_UNFILTERED_RESOLVER": "yes"}, "must be true or false"),
        ({"RINGFENCE_GATEWAY_LOG_LEVEL": "loud"}, "must be one of"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, str], named: str) -> None:
    with pytest.raises(VariableError, match=named):
        Environment.from_env(NEEDED | changes)
