"""A connector's port set as Envoy takes it: CONNECT for who shows the credential, and listeners that lead to one host.

The agent's container can open connections to all of it, for it shares the pod's network with the sidecar. So CONNECT
wants a credential, and the listeners that judge what is inside a tunnel are bound to loopback.
"""

from typing import Any

from envoy.config.listener.v3 import listener_pb2
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.route.v3 import route_pb2
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as manager_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2
from envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3 import sni_dynamic_forward_proxy_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from ringfence_operator.control.envoy_cluster import (
    LOOP_CLUSTER,
    PROXY_CLUSTER,
    build_cluster,
    build_dns_cache,
    proxy_headers,
)
from ringfence_operator.control.envoy_filters import only_public, packed
from ringfence_operator.control.envoy_http import CLOSING_NANOSECONDS
from ringfence_operator.control.envoy_listener import listening, most_connections
from ringfence_operator.control.envoy_routes import LOOP_ROUTE, tls_ports
from ringfence_operator.control.envoy_tls import FIRST_BYTES, build_tls_listener
from ringfence_operator.control.gateway import GatewaySettings, Wiring
from ringfence_operator.control.resource import CLUSTER, LISTENER, ROUTES, Resource, message_resource
from ringfence_operator.control.verdict import Verdict, judge
from ringfence_operator.resources.port_set import HTTP, Doors, Listener, PortSet, block_name, first_port

_LOOPBACK = "127.0.0.1"
_TARGET = "x-envoy-original-dst-host"
_CHALLENGE = "Ringfence: this proxy is for sidecars, which show a credential.\n"
_ELSEWHERE = "Ringfence: the Connector does not name this host and port among its endpoints and storage hosts.\n"


def build_doors(port_set: PortSet, doors: Doors, settings: GatewaySettings, wiring: Wiring) -> list[Resource]:
    """Return all resources of a connector's port set; there is none for the responder, which answers for no name."""
    cluster = build_cluster(port_set.block, wiring)
    found = [message_resource(CLUSTER, cluster.name, cluster)]
    listeners = [_tcp_listener(port_set.block, each, settings, wiring) for each in doors.listeners]
    if port_set.allowed:
        for port, offset in tls_ports(port_set).items():
            inside = build_tls_listener(port_set, port, offset, settings, wiring)
            inside.address.socket_address.address = _LOOPBACK
            inside.address.socket_address.ipv4_compat = False
            listeners.append(inside)
        listeners.append(_proxy_listener(port_set.block))
        routes = _routes(port_set, doors.authorization)
        found.append(message_resource(ROUTES, routes.name, routes))
    return [*found, *(message_resource(LISTENER, each.name, each) for each in listeners)]


# --- CONNECT ---


def _proxy_listener(block: int) -> listener_pb2.Listener:
    manager = manager_pb2.HttpConnectionManager(
        stat_prefix="http",
        codec_type="HTTP1",
        rds={
            "route_config_name": block_name(block),
            "config_source": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": {}},
        },
        http_filters=[{"name": "router", "typed_config": packed(router_pb2.Router(suppress_envoy_headers=True))}],
        http_protocol_options={"allow_absolute_url": {"value": True}, "accept_http_10": True},
        common_http_protocol_options={"headers_with_underscores_action": "REJECT_REQUEST"},
        upgrade_configs=[{"upgrade_type": "CONNECT"}],
        request_headers_timeout={"seconds": 10},
        stream_idle_timeout={},
        delayed_close_timeout={"nanos": CLOSING_NANOSECONDS},
        strip_trailing_host_dot=True,
        server_header_transformation="PASS_THROUGH",
        generate_request_id={"value": False},
        skip_xff_append=True,
    )
    chain = FilterChain(
        name="http", filters=[most_connections(block), Filter(name="http", typed_config=packed(manager))]
    )
    return listener_pb2.Listener(name=f"{block_name(block)}-http", filter_chains=[chain], **listening(block, HTTP))


def _routes(port_set: PortSet, authorization: str) -> route_pb2.RouteConfiguration:
    """Return the routes: who does not show the credential learns nothing of which names there are."""
    shown = {"name": "proxy-authorization", "string_match": {"exact": authorization}}
    hosts = []
    for port, offset in tls_ports(port_set).items():
        domains = [f"{each.name}:{port}" for each in judge(port_set, port) if each.verdict is Verdict.ALLOWED]
        if domains:
            routes = [_back(port_set.block, offset, shown), *_refused(shown)]
            hosts.append(VirtualHost(name=f"tls-{port}", domains=domains, routes=routes))
    hosts.append(VirtualHost(name="other", domains=["*"], routes=_refused(shown)))
    return route_pb2.RouteConfiguration(name=block_name(port_set.block), virtual_hosts=hosts)


def _back(block: int, offset: int, shown: dict[str, Any]) -> Route:
    """Return the route of CONNECT to the listener at `offset` of this very gateway, where the inner SNI is judged."""
    target = {"key": _TARGET, "value": f"{_LOOPBACK}:{first_port(block) + offset}"}
    return Route(
        name=LOOP_ROUTE,
        match={"connect_matcher": {}, "headers": [shown]},
        route={
            "cluster": LOOP_CLUSTER,
            "timeout": {},
            "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
        },
        request_headers_to_add=[{"header": target, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
    )


def _refused(shown: dict[str, Any]) -> list[Route]:
    """Return the routes that refuse whatever comes; a CONNECT has no path, and so needs one of its own."""
    everything: tuple[dict[str, Any], ...] = ({"connect_matcher": {}}, {"safe_regex": {"regex": ".*"}})
    elsewhere = [_answer({**match, "headers": [shown]}, 403, _ELSEWHERE) for match in everything]
    return [*elsewhere, *(_answer(match, 407, _CHALLENGE) for match in everything)]


def _answer(match: dict[str, Any], status: int, text: str) -> Route:
    challenge = {"header": {"key": "proxy-authenticate", "value": 'Basic realm="ringfence"'}}
    return Route(
        name=Verdict.DENIED.value,
        match=match,
        direct_response={"status": status, "body": {"inline_string": text}},
        response_headers_to_add=[challenge] if status == 407 else [],  # noqa: PLR2004 - RFC 9110, 15.5.8
    )


# --- TCP ---


def _tcp_listener(block: int, listener: Listener, settings: GatewaySettings, wiring: Wiring) -> listener_pb2.Listener:
    """Return the listener that leads to one host: its name is in the chain's, so that a change cuts what it carries."""
    chain = FilterChain(
        name=f"{listener.host}:{listener.port}",
        filters=[most_connections(block), *_way_out(block, listener, settings, wiring)],
    )
    return listener_pb2.Listener(
        name=f"{block_name(block)}-tcp-{listener.offset}",
        filter_chains=[chain],
        **listening(block, listener.offset),
    )


def _way_out(block: int, listener: Listener, settings: GatewaySettings, wiring: Wiring) -> tuple[Filter, ...]:
    if settings.proxy is not None:
        tunnel = {"hostname": f"{listener.host}:{listener.port}", "headers_to_add": proxy_headers(settings.proxy)}
        return (_tcp(PROXY_CLUSTER, tunneling_config=tunnel),)
    host = _state("envoy.upstream.dynamic_host", listener.host)
    resolve = sni_dynamic_forward_proxy_pb2.FilterConfig(
        dns_cache_config=build_dns_cache(block, wiring), port_value=listener.port, save_upstream_address=True
    )
    check = network_rbac_pb2.RBAC(stat_prefix="address", rules=only_public(wiring.closed_by(settings)))
    return (
        Filter(name="host", typed_config=packed(set_filter_state_pb2.Config(on_new_connection=[host]))),
        Filter(name="resolve", typed_config=packed(resolve)),
        Filter(name="address", typed_config=packed(check)),
        _tcp(block_name(block)),
    )


def _state(key: str, text: str) -> dict[str, Any]:
    value = {"text_format_source": {"inline_string": text}}
    return {"object_key": key, "format_string": value}


def _tcp(cluster: str, **more: Any) -> Filter:
    config = tcp_proxy_pb2.TcpProxy(stat_prefix="tcp", cluster=cluster, idle_timeout={}, **more)
    # What is at the other end speaks second, as in AMQP and TLS: the address is checked at the first byte.
    config.upstream_connect_mode = tcp_proxy_pb2.ON_DOWNSTREAM_DATA
    config.max_early_data_bytes.value = FIRST_BYTES
    return Filter(name="tcp", typed_config=packed(config))
