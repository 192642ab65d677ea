"""TCP connections that notice when the other end has gone."""

import socket
import ssl
from typing import Any

import aiohttp

# A watch can be silent for a minute, so only the kernel's probes tell a quiet server from a dead one:
# the connection fails 25 seconds after the peer fell silent.
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}


def api_connector(context: ssl.SSLContext, *, limit: int) -> aiohttp.TCPConnector:
    """Return a pool of at most `limit` connections to the API server (0: no bound)."""
    return aiohttp.TCPConnector(ssl=context, limit=limit, keepalive_timeout=60, socket_factory=_probed_socket)


def _probed_socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol = address[:3]
    opened = socket.socket(family, kind, protocol)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        option = getattr(socket, name, None)  # not on every system a developer may use
        if option is not None:
            opened.setsockopt(socket.IPPROTO_TCP, option, value)
    return opened
