"""Audit lines as OTLP logs over HTTP, in the protocol's JSON form: no SDK, which would drop what it cannot send."""

import asyncio
import http.client
import ssl
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from ringfence_sidecar.audit.chain import split

_SEVERITY_INFO = 9


class OtlpRefusedError(Exception):
    """The collector did not take the lines."""


async def _nothing() -> str:
    return ""


class OtlpLogs:
    """Posts to `<endpoint>/v1/logs`; `token` returns what is shown there, and is asked for each time.

    https://opentelemetry.io/docs/specs/otlp/#otlphttp
    """

    name = "otlp"

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str] | None = None,
        token: Callable[[], Awaitable[str]] = _nothing,
        authority: str | None = None,
        timeout_seconds: float = 5.0,
    ) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{endpoint!r} is no endpoint of OTLP: write http://host:4318 or https://host:4318")
        self._tls = ssl.create_default_context(cafile=authority) if parts.scheme == "https" else None
        self._host, self._port = parts.hostname, parts.port
        self._path = f"{parts.path.rstrip('/')}/v1/logs"
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._token = token
        self._timeout = timeout_seconds

    async def export(self, lines: list[bytes]) -> None:
        """See Exporter. Raises OSError or OtlpRefusedError."""
        token = await self._token()
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        await asyncio.to_thread(self._post, _body(lines), {**self._headers, **shown})

    async def close(self) -> None:
        """See Exporter."""

    def _post(self, body: bytes, headers: Mapping[str, str]) -> None:
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
            if self._tls is None
            else http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        )
        try:
            connection.request("POST", self._path, body, dict(headers))
            answer = connection.getresponse()
            said = answer.read()
        except http.client.HTTPException as error:
            raise OtlpRefusedError(f"the collector does not speak HTTP ({type(error).__name__})") from error
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise OtlpRefusedError(f"the collector answered {answer.status}")
        if b"rejectedLogRecords" in said and _rejected(said):
            # The protocol would have them given up. Here, what a collector does not keep is not audited.
            raise OtlpRefusedError("the collector rejected lines: see its log, and its limits on a record's size")


def _rejected(said: bytes) -> bool:
    try:
        return int(msgspec.json.decode(said)["partialSuccess"]["rejectedLogRecords"]) > 0
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return False


def _body(lines: list[bytes]) -> bytes:
    records = [
        {
            "severityNumber": _SEVERITY_INFO,
            "severityText": "INFO",
            "body": {"stringValue": line.decode()},
            "attributes": [_attribute("ringfence.audit.hash", split(line)[1])],
        }
        for line in lines
    ]
    resource = {"attributes": [_attribute("service.name", "ringfence-sidecar")]}
    scope = {"scope": {"name": "ringfence.audit"}, "logRecords": records}
    return msgspec.json.encode({"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]})


def _attribute(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": {"stringValue": value}}
