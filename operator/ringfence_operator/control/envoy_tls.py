"""Envoy's listeners for TLS by SNI: one filter chain for each name, so that one can be cut without the others."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from envoy.config.listener.v3 import listener_pb2
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3 import sni_dynamic_forward_proxy_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from ringfence_operator.control.envoy_cluster import PROXY_CLUSTER, build_dns_cache, proxy_headers
from ringfence_operator.control.envoy_filters import address_check, only_names, packed, tcp_log
from ringfence_operator.control.envoy_listener import lead_through_meter, listening
from ringfence_operator.control.gateway import GatewaySettings, Wiring
from ringfence_operator.control.verdict import Judged, Verdict, chain_name, judge, other_verdict
from ringfence_operator.resources.port_set import PortSet, block_name

NOWHERE = "nowhere"
"""No cluster has this name: a connection that is led to it is logged and closed."""
FIRST_BYTES = 65_536
"""What is read of a client before its address is checked: else, tcp_proxy connects before any other filter says no."""


@dataclass(frozen=True, slots=True)
class _Filters:
    """The filters that all chains of one verdict on one port share."""

    allowed: tuple[Filter, ...]
    others: tuple[Filter, ...]


def build_tls_listener(
    port_set: PortSet, port: int, offset: int, settings: GatewaySettings, wiring: Wiring
) -> listener_pb2.Listener:
    """Return the listener of the block at `offset`, which leads to `port` of the names that the policy allows there."""
    filters = _filters(port_set, port, settings, wiring)
    listener = listener_pb2.Listener(
        name=f"{block_name(port_set.block)}-tls-{port}",
        filter_chains=[_chain(each, filters) for each in judge(port_set, port)],
        default_filter_chain=FilterChain(name="other", filters=filters.others),
        **listening(port_set.block, offset, _inspector(), is_metered=port_set.is_metered),
    )
    if port_set.is_metered:
        lead_through_meter(listener, port_set.block)
    return listener


def _chain(judged: Judged, filters: _Filters) -> FilterChain:
    is_allowed = judged.verdict is Verdict.ALLOWED
    return FilterChain(
        name=chain_name(judged),
        filter_chain_match={"server_names": [judged.name]},
        filters=filters.allowed if is_allowed else filters.others,
    )


def _filters(port_set: PortSet, port: int, settings: GatewaySettings, wiring: Wiring) -> _Filters:
    verdict = other_verdict(port_set)
    if verdict is Verdict.DENIED:
        others: tuple[Filter, ...] = (_tcp(NOWHERE, verdict),)
    else:
        others = (_only_names(), *_way_out(port_set.block, port, verdict, settings, wiring))
    return _Filters(_way_out(port_set.block, port, Verdict.ALLOWED, settings, wiring), others)


def _way_out(block: int, port: int, verdict: Verdict, settings: GatewaySettings, wiring: Wiring) -> tuple[Filter, ...]:
    if settings.proxy is not None:
        tunnel = {"hostname": f"%REQUESTED_SERVER_NAME%:{port}", "headers_to_add": proxy_headers(settings.proxy)}
        return (_tcp(PROXY_CLUSTER, verdict, tunneling_config=tunnel),)
    resolve = sni_dynamic_forward_proxy_pb2.FilterConfig(
        dns_cache_config=build_dns_cache(block, wiring), port_value=port, save_upstream_address=True
    )
    check = address_check(wiring.closed_by(settings))
    return Filter(name="resolve", typed_config=packed(resolve)), check, _tcp(block_name(block), verdict)


@lru_cache(maxsize=1)
def _inspector() -> ListenerFilter:
    return ListenerFilter(name="tls", typed_config=packed(tls_inspector_pb2.TlsInspector()))


@lru_cache(maxsize=1)
def _only_names() -> Filter:
    config = network_rbac_pb2.RBAC(stat_prefix="name", rules=only_names())
    return Filter(name="name", typed_config=packed(config))


def _tcp(cluster: str, verdict: Verdict, **more: Any) -> Filter:
    config = tcp_proxy_pb2.TcpProxy(
        stat_prefix="tls",
        cluster=cluster,
        idle_timeout={},
        access_log=[tcp_log(verdict)],
        **more,
    )
    # What is refused is read, too: closed unread, it would be reset. Of a connection that was reset from here, the
    # node's conntrack keeps for 10 s which replica it went to, and a new one from the same port goes there, too, though
    # the replica may be gone by then.
    config.upstream_connect_mode = tcp_proxy_pb2.ON_DOWNSTREAM_DATA
    config.max_early_data_bytes.value = FIRST_BYTES
    if verdict is not Verdict.DENIED:
        config.access_log_options.flush_access_log_on_connected = True
    return Filter(name="tcp", typed_config=packed(config))
