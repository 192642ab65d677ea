"""The way to the API server, with a switch in it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import yaml

from ringfence_operator.kube.credentials import Credentials


def credentials_from(kubeconfig: Path) -> Credentials:
    """Return the identity of the kubeconfig's current context."""
    config = yaml.safe_load(kubeconfig.read_text())
    named = {kind: {entry["name"]: entry for entry in config[kind]} for kind in ("contexts", "clusters", "users")}
    context = named["contexts"][config["current-context"]]["context"]
    cluster = named["clusters"][context["cluster"]]["cluster"]
    user = named["users"][context["user"]]["user"]
    info = SimpleNamespace(
        server=cluster["server"],
        insecure=cluster.get("insecure-skip-tls-verify", False),
        ca_path=cluster.get("certificate-authority"),
        ca_data=cluster.get("certificate-authority-data"),
        certificate_path=user.get("client-certificate"),
        certificate_data=user.get("client-certificate-data"),
        private_key_path=user.get("client-key"),
        private_key_data=user.get("client-key-data"),
        token=user.get("token"),
    )
    return Credentials.from_connection(info)


class Wire:
    """A TCP relay; while it is cut, connections end and new ones are refused."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            for end in list(self._ends):
                end.transport.abort()
            await server.wait_closed()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # accepted just before the cut
            writer.transport.abort()
            return
        self._ends.add(writer)
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._ends.add(far_writer)
        if writer.is_closing():  # cut while the far end was being reached
            far_writer.transport.abort()
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._ends -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.transport.abort()


@asynccontextmanager
async def wire_to(credentials: Credentials) -> AsyncIterator[tuple[Wire, Credentials]]:
    """Yield a wire to the server, and the credentials for going over it."""
    url = urlsplit(credentials.server)
    wire = Wire(url.hostname or "", url.port or 443)
    await wire.mend()
    try:
        # The server's certificate does not name the relay.
        yield wire, replace(credentials, server=f"https://127.0.0.1:{wire.port}", insecure=True)
    finally:
        await wire.cut()
