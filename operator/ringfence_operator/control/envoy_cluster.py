"""Envoy's clusters: one for each policy, one for what loops back, and the proxy that a company may have."""

from base64 import b64encode
from hashlib import blake2b
from ipaddress import ip_address
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.clusters.dynamic_forward_proxy.v3 import cluster_pb2 as dynamic_pb2
from envoy.extensions.common.dynamic_forward_proxy.v3 import dns_cache_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from ringfence_operator.control.envoy_filters import address_of, packed
from ringfence_operator.control.gateway import GatewaySettings, Proxy, Wiring
from ringfence_operator.resources.port_set import block_name

LOOP_CLUSTER = "loop"
PROXY_CLUSTER = "upstream-proxy"
METER_CLUSTER = "meter"
"""In the gateway's bootstrap: what counts agents' bytes, on a Unix socket."""
MOST_CONNECTIONS = 1_024
"""Of one policy: connections out, and requests under way."""
MOST_PENDING = 512
MOST_LOOKUPS = 64
MOST_NAMES = 1_024
"""Names that one policy's DNS cache holds."""
SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


def build_cluster(block: int, wiring: Wiring) -> cluster_pb2.Cluster:
    """Return the policy's cluster: it goes where the names lead, with limits and a DNS cache of the policy's own."""
    config = dynamic_pb2.ClusterConfig(dns_cache_config=build_dns_cache(block, wiring))
    return cluster_pb2.Cluster(
        name=block_name(block),
        cluster_type={"name": "envoy.clusters.dynamic_forward_proxy", "typed_config": packed(config)},
        lb_policy="CLUSTER_PROVIDED",
        **_limits(),
    )


def build_dns_cache(block: int, wiring: Wiring) -> dns_cache_pb2.DnsCacheConfig:
    """Return the policy's DNS cache. Every filter that uses it has to say the same, word for word."""
    resolver = cares_dns_resolver_pb2.CaresDnsResolverConfig(
        resolvers=[address_of(*wiring.resolver)],
        dns_resolver_options={"no_default_search_domain": True},
        query_timeout_seconds={"value": 2},
        query_tries={"value": 2},
    )
    cache = dns_cache_pb2.DnsCacheConfig(
        dns_lookup_family="V4_PREFERRED",
        max_hosts={"value": MOST_NAMES},
        dns_cache_circuit_breaker={"max_pending_requests": {"value": MOST_LOOKUPS}},
        typed_dns_resolver_config={"name": "envoy.network.dns_resolver.cares", "typed_config": packed(resolver)},
    )
    # Envoy refuses other settings for a cache whose name it knows: another version of us may have others.
    digest = blake2b(cache.SerializeToString(deterministic=True), digest_size=4).hexdigest()
    cache.name = f"{block_name(block)}-{digest}"
    return cache


def build_loop() -> cluster_pb2.Cluster:
    """Return the cluster that leads CONNECT back to the listener that judges what is inside; its route says which."""
    return cluster_pb2.Cluster(
        name=LOOP_CLUSTER,
        type="ORIGINAL_DST",
        lb_policy="CLUSTER_PROVIDED",
        original_dst_lb_config={"use_http_header": True},
        **{**_limits(), "circuit_breakers": _breakers(2**31 - 1, 2**31 - 1)},
    )


def build_proxy(proxy: Proxy, settings: GatewaySettings) -> cluster_pb2.Cluster:
    """Return the cluster of the upstream proxy. It is the operator's choice, so its address may be private."""
    endpoint = {"endpoint": {"address": address_of(proxy.host, proxy.port)}}
    options = http_protocol_options_pb2.HttpProtocolOptions(
        explicit_http_config={"http_protocol_options": {"send_fully_qualified_url": True}}
    )
    cluster = cluster_pb2.Cluster(
        name=PROXY_CLUSTER,
        type="STATIC" if _is_address(proxy.host) else "STRICT_DNS",
        load_assignment={"cluster_name": PROXY_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
        typed_extension_protocol_options={"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packed(options)},
        **{**_limits(), "circuit_breakers": _breakers(2**31 - 1, 2**31 - 1)},
    )
    if cluster.type == cluster_pb2.Cluster.STRICT_DNS:
        cluster.typed_dns_resolver_config.MergeFrom(_resolver(settings.resolvers))
    if proxy.is_tls:
        cluster.transport_socket.name = "tls"
        cluster.transport_socket.typed_config.CopyFrom(packed(_tls(proxy, settings.proxy_authority)))
    return cluster


def proxy_headers(proxy: Proxy) -> list[dict[str, Any]]:
    """Return the headers that the upstream proxy wants to see, to be added to what goes to it."""
    if proxy.credentials is None:
        return []
    value = f"Basic {b64encode(proxy.credentials.encode()).decode()}"
    header = {"key": "proxy-authorization", "value": value}
    return [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]


def _limits() -> dict[str, Any]:
    return {
        "connect_timeout": {"seconds": 5},
        "circuit_breakers": _breakers(MOST_CONNECTIONS, MOST_PENDING),
        "per_connection_buffer_limit_bytes": {"value": 65_536},
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": {"value": 300}}},
    }


def _breakers(connections: int, pending: int) -> dict[str, Any]:
    threshold = {
        "max_connections": {"value": connections},
        "max_requests": {"value": connections},
        "max_pending_requests": {"value": pending},
    }
    return {"thresholds": [threshold]}


def _resolver(resolvers: tuple[str, ...]) -> Any:
    config = cares_dns_resolver_pb2.CaresDnsResolverConfig(
        resolvers=[address_of(each, 53) for each in resolvers],
        dns_resolver_options={"no_default_search_domain": True},
    )
    cluster = cluster_pb2.Cluster()
    cluster.typed_dns_resolver_config.name = "envoy.network.dns_resolver.cares"
    cluster.typed_dns_resolver_config.typed_config.CopyFrom(packed(config))
    return cluster.typed_dns_resolver_config


def _tls(proxy: Proxy, authority: str | None) -> tls_pb2.UpstreamTlsContext:
    trusted = {"inline_string": authority} if authority else {"filename": SYSTEM_AUTHORITIES}
    validation: dict[str, Any] = {"trusted_ca": trusted}
    kind = "IP_ADDRESS" if _is_address(proxy.host) else "DNS"
    validation["match_typed_subject_alt_names"] = [{"san_type": kind, "matcher": {"exact": proxy.host}}]
    sni = "" if _is_address(proxy.host) else proxy.host
    return tls_pb2.UpstreamTlsContext(sni=sni, common_tls_context={"validation_context": validation})


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
