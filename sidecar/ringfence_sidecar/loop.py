"""What the event loop says by itself: that which means nothing is left out of the log."""

import asyncio
from typing import Any

import structlog

_ON_CLOSED = "the handler is closed"

_log = structlog.get_logger()


def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle what nobody else does, as `loop.set_exception_handler` wants it.

    Where a connection is given up in the moment in which its TLS handshake ends, as at the end of its time on a busy
    node, uvloop closes it, and then tries to send the handshake's last bytes. Nobody waits for either.
    """
    error = context.get("exception")
    is_late = isinstance(error, RuntimeError) and str(error).endswith(_ON_CLOSED)
    if is_late and type(context.get("protocol")).__name__ == "SSLProtocol":
        _log.debug("connection.given_up")
        return
    loop.default_exception_handler(context)
