"""Entries of Envoy's access log."""

from typing import Any

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.data.accesslog.v3 import accesslog_pb2

CONNECTED = accesslog_pb2.TcpUpstreamConnected


def _common(port: int, **fields: Any) -> Any:
    socket = address_pb2.SocketAddress(address="10.0.0.1", port_value=port)
    return accesslog_pb2.AccessLogCommon(downstream_local_address=address_pb2.Address(socket_address=socket), **fields)


def tls_entry(sni: str, *, port: int = 10_274, kind: int = CONNECTED) -> Any:
    tls = accesslog_pb2.TLSProperties(tls_sni_hostname=sni)
    return accesslog_pb2.TCPAccessLogEntry(
        common_properties=_common(port, tls_properties=tls, access_log_type=kind),
    )


def http_entry(authority: str, *, route: str, method: str = "GET", port: int = 10_273) -> Any:
    return accesslog_pb2.HTTPAccessLogEntry(
        common_properties=_common(port, route_name=route, access_log_type=accesslog_pb2.DownstreamEnd),
        request=accesslog_pb2.HTTPRequestProperties(
            authority=authority, request_method=base_pb2.RequestMethod.Value(method)
        ),
    )
