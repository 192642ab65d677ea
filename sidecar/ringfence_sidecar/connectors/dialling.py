"""How any kind reaches an endpoint: at a Service's address, at a listener of the gateway, or by CONNECT through it."""

import asyncio
import base64
import ssl
from pathlib import Path

from ringfence_sidecar.configuration import Auth, Connector, Endpoint, Proxy
from ringfence_sidecar.errors import BackendError

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_OK = b"200"


async def dialled(configuration: Connector, endpoint: Endpoint) -> Stream:
    """Return a connection to the endpoint, over TLS where it speaks TLS.

    Raises OSError where it cannot be reached or is not who it should be, and BackendError for an unreadable authority.
    """
    context = trusting(configuration.auth) if endpoint.tls else None
    name = endpoint.host if endpoint.tls else None
    proxy = configuration.proxy
    if endpoint.address or proxy is None:
        host, port = endpoint.address or endpoint.host, endpoint.address_port or endpoint.port
        return await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
    reader, writer = await tunnel(proxy, f"{endpoint.host}:{endpoint.port}")
    try:
        await _let_through(reader)
        if context is not None:
            await writer.start_tls(context, server_hostname=name)
    except BaseException:
        writer.close()
        raise
    return reader, writer


async def _let_through(reader: asyncio.StreamReader) -> None:
    """Read the gateway's answer to CONNECT. Raises OSError unless it is that the way is open."""
    try:
        status = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, IndexError):
        raise ConnectionAbortedError("the gateway does not answer CONNECT") from None
    if status != _OK:
        raise ConnectionRefusedError(f"the gateway does not let it through: HTTP {status.decode()}")


async def tunnel(proxy: Proxy, target: str) -> Stream:
    """Return a connection to the proxy that has been asked for `target`; its answer is still to be read."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    authorization = basic(proxy.username, proxy.password)
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: {authorization}\r\n\r\n"
    writer.write(head.encode("latin-1"))
    return reader, writer


def basic(username: str, password: str) -> str:
    """Return what proves who it is to a proxy (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def trusting(auth: Auth) -> ssl.SSLContext:
    """Return a context that trusts the Connector's own authority and no other, or the system's where it has none."""
    name = auth.files.get("authority") or auth.settings.get("authority")
    try:
        context = ssl.create_default_context(cafile=str(Path(auth.directory) / str(name)) if name else None)
    except (OSError, ssl.SSLError):
        raise BackendError("the Connector's authority is no readable PEM file", code="LoginRefused") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
