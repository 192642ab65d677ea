"""What all of Envoy's listeners share: how they listen, and how many connections a policy may open."""

from typing import Any

from envoy.config.listener.v3.listener_components_pb2 import Filter, ListenerFilter
from envoy.extensions.filters.listener.local_ratelimit.v3 import local_ratelimit_pb2
from envoy.extensions.filters.network.connection_limit.v3 import connection_limit_pb2

from ringfence_operator.control.envoy_cluster import MOST_CONNECTIONS
from ringfence_operator.control.envoy_filters import address_of, packed
from ringfence_operator.resources.port_set import block_name, first_port

NEW_PER_SECOND, NEW_AT_ONCE = 250, 500
"""New connections of one policy at one port of one replica; see the design page for why so many."""
BUFFER_BYTES = 65_536
SOL_SOCKET, SO_KEEPALIVE, IPPROTO_TCP, TCP_KEEPIDLE = 1, 9, 6, 4


def listening(block: int, offset: int, *inspectors: ListenerFilter) -> dict[str, Any]:
    """Return what every listener says of its port, and of what comes before a connection has a filter chain."""
    return {
        "address": address_of("::", first_port(block) + offset),
        # Two listeners that share a port would share its connections.
        "enable_reuse_port": {"value": False},
        # Else, a worker takes all that a flood has queued before it looks at another policy's listener.
        "max_connections_to_accept_per_socket_event": {"value": 1},
        "listener_filters": [_allowance(block), *inspectors],
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


def _allowance(block: int) -> ListenerFilter:
    """Return the filter that closes connections beyond the policy's allowance before anything is done with them."""
    bucket = {
        "max_tokens": NEW_AT_ONCE,
        "tokens_per_fill": {"value": NEW_PER_SECOND},
        "fill_interval": {"seconds": 1},
    }
    limit = local_ratelimit_pb2.LocalRateLimit(stat_prefix=block_name(block), token_bucket=bucket)
    return ListenerFilter(name="allowance", typed_config=packed(limit))


def _option(level: int, name: int, value: int) -> dict[str, Any]:
    return {"level": level, "name": name, "int_value": value, "state": "STATE_PREBIND"}
