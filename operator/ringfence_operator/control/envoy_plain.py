"""The way out of plain HTTP, inside Envoy: one filter chain for each name, so that one can be cut without the others.

Envoy lets a request finish, whatever becomes of its route, its cluster and its host. What it does cut is a connection
whose filter chain goes. So requests leave through a listener that has no port, by the chain of their name; there, the
address is found and checked as it is for TLS.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.extensions.filters.common.set_filter_state.v3.value_pb2 import FilterStateValue
from envoy.extensions.filters.http.set_filter_state.v3 import set_filter_state_pb2
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3 import sni_dynamic_forward_proxy_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.matching.common_inputs.network.v3 import network_inputs_pb2
from envoy.extensions.transport_sockets.internal_upstream.v3 import internal_upstream_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import any_pb2, wrappers_pb2

from ringfence_operator.control.envoy_cluster import PROXY_CLUSTER, build_dns_cache, limits
from ringfence_operator.control.envoy_filters import address_check, packed
from ringfence_operator.control.envoy_listener import BUFFER_BYTES
from ringfence_operator.control.gateway import GatewaySettings, Wiring
from ringfence_operator.control.verdict import Judged, Verdict, chain_name, judge
from ringfence_operator.resources.port_set import HTTP_PORT, PortSet, block_name

AUDITED_CHAIN = Verdict.AUDITED.value
"""Name of the chain of all names that are let through only because the policy audits."""
_CHAIN = "ringfence.chain"
"""Where a request's chain is noted, and behind a space its host."""
_HOST = "envoy.upstream.dynamic_host"
_AUTHORITY = "%REQ(:AUTHORITY)%"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def plain_name(block: int) -> str:
    """Return the name of the listener, and of the cluster that leads to it."""
    return f"{block_name(block)}-plain"


def plain_chain(judged: Judged) -> str | None:
    """Return the chain by which requests of the entry go out, None if they do not."""
    if judged.verdict is Verdict.DENIED:
        return None
    return chain_name(judged) if judged.verdict is Verdict.ALLOWED else AUDITED_CHAIN


def build_plain_cluster(block: int, settings: GatewaySettings) -> cluster_pb2.Cluster:
    """Return the cluster that leads to the listener, with limits of the policy's own."""
    name = plain_name(block)
    endpoint = {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": name}}}}
    cluster = cluster_pb2.Cluster(
        name=name,
        type="STATIC",
        load_assignment={"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        transport_socket={"name": "internal", "typed_config": _transport()},
        **limits(),
    )
    # It is no TCP connection.
    cluster.ClearField("upstream_connection_options")
    if settings.proxy is not None:
        cluster.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(_absolute_form())
    return cluster


def build_plain_listener(port_set: PortSet, settings: GatewaySettings, wiring: Wiring) -> listener_pb2.Listener | None:
    """Return the listener, None where the policy lets no plain HTTP out."""
    chains = sorted(set(_chains(port_set)))
    if not chains:
        return None
    filters = _filters(port_set.block, settings, wiring)
    tree = {
        "input": {"name": "chain", "typed_config": _input()},
        "prefix_match_map": {"map": {f"{each} ": {"action": _lead_to(each)} for each in chains}},
    }
    return listener_pb2.Listener(
        name=plain_name(port_set.block),
        internal_listener={},
        filter_chains=[FilterChain(name=each, filters=filters) for each in chains],
        filter_chain_matcher={"matcher_tree": tree},
        per_connection_buffer_limit_bytes={"value": BUFFER_BYTES},
    )


def mark(chain: str) -> any_pb2.Any:
    """Return what routes say to the filter that notes by which chain, and to which host, a request is to go out."""
    # No connection serves two texts that are noted in this form. Noted so twice, either order would be another one.
    apart = _note(_CHAIN, f"{chain} {_AUTHORITY}", factory_key="envoy.hashable_string")
    return packed(set_filter_state_pb2.Config(on_request_headers=[apart, _note(_HOST, _AUTHORITY)]))


def _chains(port_set: PortSet) -> Iterator[str]:
    for each in judge(port_set, HTTP_PORT):
        chain = plain_chain(each)
        if chain is not None:
            yield chain
    if port_set.is_audit:
        yield AUDITED_CHAIN


def _note(key: str, text: str, *, factory_key: str = "") -> FilterStateValue:
    return FilterStateValue(
        object_key=key,
        factory_key=factory_key,
        format_string={"text_format_source": {"inline_string": text}},
        shared_with_upstream="ONCE",
    )


def _lead_to(chain: str) -> dict[str, Any]:
    return {"name": "chain", "typed_config": packed(wrappers_pb2.StringValue(value=chain))}


def _filters(block: int, settings: GatewaySettings, wiring: Wiring) -> tuple[Filter, ...]:
    if settings.proxy is not None:
        return (_tcp(PROXY_CLUSTER),)
    resolve = sni_dynamic_forward_proxy_pb2.FilterConfig(
        dns_cache_config=build_dns_cache(block, wiring), port_value=HTTP_PORT, save_upstream_address=True
    )
    check = address_check(wiring.closed_by(settings))
    return Filter(name="resolve", typed_config=packed(resolve)), check, _tcp(block_name(block))


def _tcp(cluster: str) -> Filter:
    config = tcp_proxy_pb2.TcpProxy(stat_prefix="plain", cluster=cluster, idle_timeout={})
    # The address is checked at the first byte, and nothing is to be connected before.
    config.upstream_connect_mode = tcp_proxy_pb2.ON_DOWNSTREAM_DATA
    config.max_early_data_bytes.value = BUFFER_BYTES
    return Filter(name="tcp", typed_config=packed(config))


@lru_cache(maxsize=1)
def _input() -> any_pb2.Any:
    return packed(network_inputs_pb2.FilterStateInput(key=_CHAIN))


@lru_cache(maxsize=1)
def _transport() -> any_pb2.Any:
    raw: dict[str, Any] = {"name": "raw", "typed_config": packed(raw_buffer_pb2.RawBuffer())}
    return packed(internal_upstream_pb2.InternalUpstreamTransport(transport_socket=raw))


@lru_cache(maxsize=1)
def _absolute_form() -> any_pb2.Any:
    explicit = {"http_protocol_options": {"send_fully_qualified_url": True}}
    return packed(http_protocol_options_pb2.HttpProtocolOptions(explicit_http_config=explicit))
