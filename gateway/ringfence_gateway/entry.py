"""What an entry of Envoy's access log says: who asked for which name, and what became of it. Pure.

Which log and which route an entry comes from is its verdict; the port that it came in on is its policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envoy.data.accesslog.v3 import accesslog_pb2

from ringfence_gateway.names import Verdict, normalize
from ringfence_gateway.port_set import FIRST_PORT, PORTS, PortSet

_HTTP_PORT = 80
_CONNECT = 6
"""`RequestMethod` of envoy.config.core.v3."""
_VERDICTS = {verdict.value: verdict for verdict in Verdict}
# An end is the only entry of what was refused, and the second one of what was let through.
_SECOND = accesslog_pb2.TcpConnectionEnd


@dataclass(frozen=True, slots=True)
class Request:
    """One request or connection."""

    block: int
    name: str | None
    """Normalized; None if what was asked for is no name."""
    port: int
    verdict: Verdict
    via: str


def read_http(entry: Any, port_sets: Mapping[int, PortSet]) -> Request | None:
    """Return what an HTTP entry says; None of an unknown block, and of a tunnel: what is inside it tells itself."""
    verdict = _VERDICTS.get(entry.common_properties.route_name)
    block, _ = _place(entry.common_properties)
    if verdict is None or block not in port_sets:
        return None
    name, port = split_authority(entry.request.authority)
    return Request(block, name, port, verdict, "connect" if entry.request.request_method == _CONNECT else "http")


def read_tls(entry: Any, log_name: str, port_sets: Mapping[int, PortSet]) -> Request | None:
    """Return what an entry of a TLS listener says; None of an unknown block, and of an end that was told before."""
    common = entry.common_properties
    verdict = _VERDICTS.get(log_name)
    block, offset = _place(common)
    port_set = port_sets.get(block)
    if verdict is None or port_set is None:
        return None
    if verdict is not Verdict.DENIED and common.access_log_type == _SECOND:
        return None
    name = normalize(common.tls_properties.tls_sni_hostname)
    return Request(block, name, port_set.tls_ports.get(offset, 0), verdict, "tls")


def split_authority(authority: str) -> tuple[str | None, int]:
    """Return name and port of an HTTP authority; None instead of what is no name."""
    host, colon, digits = authority.rpartition(":")
    if not colon:
        return normalize(authority), _HTTP_PORT
    is_port = digits.isascii() and digits.isdigit() and len(digits) <= 5 and int(digits) < 1 << 16  # noqa: PLR2004
    return (normalize(host), int(digits)) if is_port else (None, 0)


def _place(common: Any) -> tuple[int, int]:
    """Return block and offset of the port that the entry came in on."""
    return divmod(int(common.downstream_local_address.socket_address.port_value) - FIRST_PORT, PORTS)
