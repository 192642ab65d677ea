"""The exporters that the environment names."""

from collections.abc import Mapping

from ringfence_sidecar.audit.exporter import Exporter
from ringfence_sidecar.audit.given import Given
from ringfence_sidecar.audit.stdout import Stdout

EXPORTERS = "RINGFENCE_SIDECAR_AUDIT"
"""`stdout` (the default), `otlp` and `stream`, separated by commas: a line is done when each has it."""
OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
OTLP_AUTHORITY = "OTEL_EXPORTER_OTLP_CERTIFICATE"


def from_env(environment: Mapping[str, str], given: Given) -> tuple[Exporter, ...]:
    """Return the exporters, which have from `given` what the environment does not say.

    Raises ValueError, which says what to set instead.
    """
    names = [name.strip() for name in environment.get(EXPORTERS, "stdout").split(",") if name.strip()]
    if not names:
        raise ValueError(f"{EXPORTERS} names no exporter: set stdout, otlp or stream")
    return tuple(_exporter(name, environment, given) for name in dict.fromkeys(names))


def _exporter(name: str, environment: Mapping[str, str], given: Given) -> Exporter:
    match name:
        case "stdout":
            return Stdout()
        case "otlp":
            from ringfence_sidecar.audit.otlp import OtlpLogs  # noqa: PLC0415 - ssl and http.client, only if used

            pairs = (pair.partition("=") for pair in environment.get(OTLP_HEADERS, "").split(","))
            headers = {key.strip(): value.strip() for key, equals, value in pairs if equals}
            endpoint = _need(environment, OTLP_ENDPOINT, "otlp")
            authority = environment.get(OTLP_AUTHORITY) or None
            return OtlpLogs(endpoint, headers=headers, token=given.collector_token, authority=authority)
        case "stream":
            from ringfence_sidecar.audit.stream import Stream  # noqa: PLC0415 - only if used

            return Stream(given.stream)
    raise ValueError(f"{EXPORTERS} names {name!r}, which is no exporter: set stdout, otlp or stream")


def _need(environment: Mapping[str, str], variable: str, exporter: str) -> str:
    value = environment.get(variable, "")
    if not value:
        raise ValueError(f"the exporter {exporter} needs {variable}")
    return value
