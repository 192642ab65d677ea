"""What an entry of Envoy's access log says: who asked for which name, and what became of it. Pure.

An entry belongs to the block that its log is named for (`p-00017`), or whose port it came in on. `p-00017/denied` tells
the verdict; otherwise the port set's list gives it, which is the one that Envoy judges by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envoy.data.accesslog.v3 import accesslog_pb2

from ringfence_gateway.names import Verdict, normalize
from ringfence_gateway.port_set import BLOCKS, FIRST_PORT, PORTS, PortSet, block_of

_HTTP_PORT = 80
_OK = 200
_CONNECT = 6
"""`RequestMethod` of envoy.config.core.v3."""
_ONCE_A_REQUEST = {accesslog_pb2.NotSet, accesslog_pb2.DownstreamEnd}
_CONNECTED = accesslog_pb2.TcpUpstreamConnected
_ENDED = {accesslog_pb2.NotSet, accesslog_pb2.TcpConnectionEnd, accesslog_pb2.DownstreamEnd}


@dataclass(frozen=True, slots=True)
class Request:
    """One request or connection."""

    block: int
    name: str | None
    """Normalized; None if what was asked for is no name."""
    port: int
    verdict: Verdict
    via: str


def read_http(entry: Any, log_name: str, port_sets: Mapping[int, PortSet]) -> Request | None:
    """Return what an HTTP entry says; None of an unknown block, and of a tunnel: what is inside it tells itself."""
    common, request = entry.common_properties, entry.request
    if common.access_log_type not in _ONCE_A_REQUEST:
        return None
    is_connect = request.request_method == _CONNECT
    if is_connect and entry.response.response_code.value == _OK:
        return None
    port_set = port_sets.get(_block(log_name, common)[0])
    if port_set is None:
        return None
    name, port = split_authority(request.authority)
    verdict = _told(log_name) or _judged(port_set, name, port)
    return Request(port_set.block, name, port, verdict, "connect" if is_connect else "http")


def read_tcp(entry: Any, log_name: str, port_sets: Mapping[int, PortSet]) -> Request | None:
    """Return what a TCP entry says; None of an unknown block, and of the end of a connection told at its start."""
    common = entry.common_properties
    block, offset = _block(log_name, common)
    port_set = port_sets.get(block)
    if port_set is None:
        return None
    name = normalize(common.tls_properties.tls_sni_hostname)
    port = port_set.tls_ports.get(offset, 0)
    verdict = _told(log_name) or _judged(port_set, name, port)
    # What is refused is never connected, so that its end is all that is told of it.
    is_counted = common.access_log_type in _ENDED if verdict is Verdict.DENIED else common.access_log_type == _CONNECTED
    return Request(port_set.block, name, port, verdict, "tls") if is_counted else None


def split_authority(authority: str) -> tuple[str | None, int]:
    """Return name and port of an HTTP authority; None instead of what is no name."""
    host, colon, digits = authority.rpartition(":")
    if not colon:
        return normalize(authority), _HTTP_PORT
    is_port = digits.isascii() and digits.isdigit() and len(digits) <= 5 and int(digits) < 1 << 16  # noqa: PLR2004
    return (normalize(host), int(digits)) if is_port else (None, 0)


def _block(log_name: str, common: Any) -> tuple[int, int]:
    """Return block, -1 if there is none, and offset of the port that the entry came in on."""
    block, offset = divmod(common.downstream_local_address.socket_address.port_value - FIRST_PORT, PORTS)
    named = block_of(log_name)
    if named is not None:
        return named, offset
    return (block, offset) if 0 <= block < BLOCKS else (-1, offset)


def _told(log_name: str) -> Verdict | None:
    word = log_name.rpartition("/")[2]
    return Verdict(word) if word in Verdict.__members__.values() else None


def _judged(port_set: PortSet, name: str | None, port: int) -> Verdict:
    return Verdict.DENIED if name is None else port_set.judge(name, port)
