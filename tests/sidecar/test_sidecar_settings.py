from pathlib import Path

import pytest

from ringfence_sidecar.settings import Settings, VariableError, variables

CONTROL = {"RINGFENCE_SIDECAR_CONTROL": "https://10.0.0.1:8443"}


def test_defaults_are_those_of_a_pod() -> None:
    settings = Settings.from_env(CONTROL)

    assert (settings.port, settings.health_port) == (8811, 8812)
    assert settings.token_file == Path("/var/run/ringfence/token/token")
    assert settings.authority_file == Path("/var/run/ringfence/authority/ca.crt")


def test_every_field_has_a_variable() -> None:
    given = {
        **CONTROL,
        "RINGFENCE_SIDECAR_PORT": "1811",
        "RINGFENCE_SIDECAR_POD": "alice-0",
        "RINGFENCE_SIDECAR_TOKEN_FILE": "/tmp/token",
        "RINGFENCE_SIDECAR_MAX_BODY_BYTES": "1000",
        "RINGFENCE_SIDECAR_WARM": "true",
        "RINGFENCE_SIDECAR_SERVICE_HOST": "10.0.0.9",
    }

    settings = Settings.from_env(given)

    assert (settings.port, settings.pod, settings.token_file) == (1811, "alice-0", Path("/tmp/token"))
    assert (settings.max_body_bytes, settings.warm) == (1000, True)
    assert given.keys() - {"RINGFENCE_SIDECAR_SERVICE_HOST"} <= set(variables())


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "RINGFENCE_SIDECAR_CONTROL"),
        ({**CONTROL, "RINGFENCE_SIDECAR_CONFIGURATION_FILE": "/tmp/c"}, "RINGFENCE_SIDECAR_CONFIGURATION_FILE"),
        ({"RINGFENCE_SIDECAR_CONTROL": "http://10.0.0.1:8443"}, "https://ADDRESS:PORT"),
        ({**CONTROL, "RINGFENCE_SIDECAR_PORT": "http"}, "RINGFENCE_SIDECAR_PORT"),
        ({**CONTROL, "RINGFENCE_SIDECAR_HEALTH_PORT": "70000"}, "RINGFENCE_SIDECAR_HEALTH_PORT"),
        ({**CONTROL, "RINGFENCE_SIDECAR_WARM": "yes"}, "RINGFENCE_SIDECAR_WARM"),
        ({**CONTROL, "RINGFENCE_SIDECAR_LOG_LEVEL": "loud"}, "debug, info, warning, error"),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(VariableError, match=named):
        Settings.from_env(given)
