"""Both surfaces on a real port, with a real pipeline and the example kind behind them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from ringfence_sidecar.configuration import Configuration, Connector, Limit
from ringfence_sidecar.process import Sidecar, listening
from ringfence_sidecar.settings import Settings
from tests.ports import free_port
from tests.sidecar.plugin.bed import configuration, connector, endpoint
from tests.sidecar.plugin.server import Server

SECONDS = 10.0


@dataclass(frozen=True)
class Bed:
    """A sidecar that serves."""

    url: str
    health_url: str
    client: httpx.AsyncClient
    """Speaks to `url`."""
    sidecar: Sidecar
    path: Path
    """The configuration's file."""

    def configure(self, *connectors: Connector, version: str, limits: tuple[Limit, ...] = ()) -> None:
        """Put other connectors and limits into the file; they are in force soon after."""
        write(self.path, configuration(*connectors, version=version, limits=limits))

    async def call(self, operation: str, arguments: Any, **headers: str) -> httpx.Response:
        """Call the connector `store`."""
        return await self.client.post(f"/v1/connectors/store/{operation}", json=arguments, headers=headers)


@contextlib.asynccontextmanager
async def serving(
    tmp_path: Path,
    *connectors: Connector,
    configured: bool = True,
    limits: tuple[Limit, ...] = (),
    others: tuple[Limit, ...] = (),
    **given: Any,
) -> AsyncIterator[Bed]:
    """Serve these connectors, on ports of their own."""
    path = tmp_path / "configuration.json"
    if configured:
        write(path, msgspec.structs.replace(configuration(*connectors, limits=limits), others=others))
    settings = Settings(
        configuration_file=path,
        port=free_port(),
        health_host="127.0.0.1",
        health_port=free_port(),
        **{"stop_seconds": 1, **given},
    )
    url = f"http://127.0.0.1:{settings.port}"
    async with (
        listening(settings, {"RINGFENCE_SIDECAR_AUDIT": "stdout"}) as sidecar,
        httpx.AsyncClient(base_url=url, timeout=SECONDS, trust_env=False) as client,
    ):
        if configured:
            await until_ready(client)
        yield Bed(url, f"http://127.0.0.1:{settings.health_port}", client, sidecar, path)


async def until_ready(client: httpx.AsyncClient) -> None:
    """Return once calls are taken."""
    async with asyncio.timeout(SECONDS):
        while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - as an agent does
            await asyncio.sleep(0.01)


def store(server: Server, **changes: Any) -> Connector:
    """The connector `store` to one server."""
    return connector(endpoint(server), **changes)


def write(path: Path, wanted: Configuration) -> None:
    """Put a configuration in its file, as a whole."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(wanted))
    partial.replace(path)
