"""Envoy's listener for HTTP: plain HTTP by Host and the forward proxy in one. Its routes come on their own."""

from functools import lru_cache

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.http.dynamic_forward_proxy.v3 import dynamic_forward_proxy_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as manager_pb2
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from ringfence_operator.control.envoy_cluster import build_dns_cache
from ringfence_operator.control.envoy_filters import http_log, only_public, packed
from ringfence_operator.control.envoy_listener import lead_through_meter, listening, most_connections
from ringfence_operator.control.envoy_routes import CHECK, RESOLVE
from ringfence_operator.control.gateway import GatewaySettings, Wiring
from ringfence_operator.resources.port_set import HTTP, PortSet, block_name

CLOSING_NANOSECONDS = 200_000_000
"""How long a client may take to read the last of an answer and close, before it is closed to."""


def build_http_listener(port_set: PortSet, settings: GatewaySettings, wiring: Wiring) -> listener_pb2.Listener:
    """Return the listener. It says nothing of names, so that a change of names cuts no connection."""
    manager = packed(_manager(port_set.block, settings, wiring))
    chain = listener_components_pb2.FilterChain(
        name="http", filters=[most_connections(port_set.block), {"name": "http", "typed_config": manager}]
    )
    listener = listener_pb2.Listener(
        name=f"{block_name(port_set.block)}-http",
        filter_chains=[chain],
        **listening(port_set.block, HTTP, is_metered=port_set.is_metered),
    )
    if port_set.is_metered:
        lead_through_meter(listener, port_set.block)
    return listener


def _manager(block: int, settings: GatewaySettings, wiring: Wiring) -> manager_pb2.HttpConnectionManager:
    return manager_pb2.HttpConnectionManager(
        stat_prefix="http",
        codec_type="HTTP1",
        # Without its routes a listener is not to be in service, however late they are: it would answer 404.
        rds={
            "route_config_name": block_name(block),
            "config_source": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": {}},
        },
        http_filters=_filters(block, settings, wiring),
        access_log=[_log()],
        # Upgrades to HTTP/2 are offered by some clients on every request, and need not be taken.
        http_protocol_options={
            "allow_absolute_url": {"value": True},
            # Python's http.client, before 3.12, speaks no other version to a proxy.
            "accept_http_10": True,
            "ignore_http_11_upgrade": [{"exact": "h2c"}],
        },
        common_http_protocol_options={"headers_with_underscores_action": "REJECT_REQUEST"},
        upgrade_configs=[{"upgrade_type": "CONNECT"}, {"upgrade_type": "websocket"}],
        request_headers_timeout={"seconds": 10},
        stream_idle_timeout={},
        # A tunnel whose inside was refused ends as soon as its client has been told.
        delayed_close_timeout={"nanos": CLOSING_NANOSECONDS},
        strip_trailing_host_dot=True,
        server_header_transformation="PASS_THROUGH",
        generate_request_id={"value": False},
        skip_xff_append=True,
    )


def _filters(block: int, settings: GatewaySettings, wiring: Wiring) -> list[HttpFilter]:
    if settings.proxy is not None:
        return [_router()]
    resolve = dynamic_forward_proxy_pb2.FilterConfig(
        dns_cache_config=build_dns_cache(block, wiring), save_upstream_address=True
    )
    check = _check(wiring.closed_by(settings))
    return [HttpFilter(name=RESOLVE, typed_config=packed(resolve)), check, _router()]


@lru_cache(maxsize=8)
def _check(closed: tuple[str, ...] | None) -> HttpFilter:
    return HttpFilter(name=CHECK, typed_config=packed(rbac_pb2.RBAC(rules=only_public(closed))))


@lru_cache(maxsize=1)
def _router() -> HttpFilter:
    # No counter for each status code: nobody asks for them, and each request would look for them.
    router = router_pb2.Router(suppress_envoy_headers=True, dynamic_stats={"value": False})
    return HttpFilter(name="router", typed_config=packed(router))


@lru_cache(maxsize=1)
def _log() -> accesslog_pb2.AccessLog:
    return http_log()
