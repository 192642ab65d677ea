"""What all of Envoy's listeners share: how they listen, and how many connections a policy may open."""

from typing import Any

from envoy.config.listener.v3 import listener_pb2
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.extensions.filters.listener.local_ratelimit.v3 import local_ratelimit_pb2
from envoy.extensions.filters.network.connection_limit.v3 import connection_limit_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from ringfence_operator.control.envoy_cluster import METER_CLUSTER, MOST_CONNECTIONS
from ringfence_operator.control.envoy_filters import address_of, packed
from ringfence_operator.resources.port_set import block_name, first_port

NEW_PER_SECOND, NEW_AT_ONCE = 250, 500
"""New connections of one policy at one port of one replica; see the design page for why so many."""
BUFFER_BYTES = 65_536
FROM_ITSELF = "127.0.0.1"
"""Whence the meter, and a CONNECT that is led back, come to a port; no packet from outside the pod has that source."""
SOL_SOCKET, SO_KEEPALIVE, IPPROTO_TCP, TCP_KEEPIDLE = 1, 9, 6, 4


def listening(block: int, offset: int, *inspectors: ListenerFilter, is_metered: bool = False) -> dict[str, Any]:
    """Return what every listener says of its port, and of what comes before a connection has a filter chain."""
    return {
        "address": address_of("::", first_port(block) + offset),
        # Two listeners that share a port would share its connections.
        "enable_reuse_port": {"value": False},
        # Else, a worker takes all that a flood has queued before it looks at another policy's listener.
        "max_connections_to_accept_per_socket_event": {"value": 1},
        "listener_filters": [_allowance(block, passes=2 if is_metered else 1), *inspectors],
        "listener_filters_timeout": {"seconds": 5},
        "per_connection_buffer_limit_bytes": {"value": BUFFER_BYTES},
        # A client that is gone without a word is found out, since idle connections are kept.
        "socket_options": [_option(SOL_SOCKET, SO_KEEPALIVE, 1), _option(IPPROTO_TCP, TCP_KEEPIDLE, 300)],
    }


def most_connections(block: int) -> Filter:
    """Return the filter that closes connections beyond what the policy may have open at the listener."""
    limit = connection_limit_pb2.ConnectionLimit(
        stat_prefix=block_name(block), max_connections={"value": MOST_CONNECTIONS}
    )
    return Filter(name="limit", typed_config=packed(limit))


def lead_through_meter(listener: listener_pb2.Listener, block: int) -> None:
    """Have all connections come to the meter first, but for those that it sends back.

    Of two chains Envoy takes by name before it looks at the source, and never goes back: so every chain is for the
    gateway's own connections only, and what is left is the meter's.
    """
    if listener.HasField("default_filter_chain"):
        listener.filter_chains.append(listener.default_filter_chain)
    for chain in listener.filter_chains:
        source = chain.filter_chain_match.source_prefix_ranges.add(address_prefix=FROM_ITSELF)
        source.prefix_len.value = 32
    listener.default_filter_chain.CopyFrom(_meter_chain(block))


def _meter_chain(block: int) -> FilterChain:
    """Return the chain that leads an agent's connection through the meter, from which it comes back to this port."""
    tcp = tcp_proxy_pb2.TcpProxy(stat_prefix="meter", cluster=METER_CLUSTER, idle_timeout={})
    return FilterChain(name="meter", filters=[most_connections(block), Filter(name="tcp", typed_config=packed(tcp))])


def _allowance(block: int, *, passes: int) -> ListenerFilter:
    """Return the filter that closes connections beyond the policy's allowance before anything is done with them.

    Each connection comes to the port in `passes`: what the meter lets in comes once more.
    """
    bucket = {
        "max_tokens": passes * NEW_AT_ONCE,
        "tokens_per_fill": {"value": passes * NEW_PER_SECOND},
        "fill_interval": {"seconds": 1},
    }
    limit = local_ratelimit_pb2.LocalRateLimit(stat_prefix=block_name(block), token_bucket=bucket)
    return ListenerFilter(name="allowance", typed_config=packed(limit))


def _option(level: int, name: int, value: int) -> dict[str, Any]:
    return {"level": level, "name": name, "int_value": value, "state": "STATE_PREBIND"}
