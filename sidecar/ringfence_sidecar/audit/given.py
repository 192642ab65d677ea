"""What the operator gives to exporters: where the stream is, and what is shown there and to the collector."""

import asyncio

from ringfence_sidecar.configuration import AuditStream, Configuration


class Given:
    """Known once the first configuration is there; until then exporters wait, and their lines with them."""

    def __init__(self) -> None:
        self._configuration: Configuration | None = None
        self._is_known = asyncio.Event()

    def apply(self, configuration: Configuration) -> None:
        """Have this in force from now on."""
        self._configuration = configuration
        self._is_known.set()

    async def collector_token(self) -> str:
        """Return what is shown to the collector; empty if it asks for nothing."""
        return (await self._known()).collector_token

    async def stream(self) -> AuditStream | None:
        """Return where the stream is; None if the operator has none any longer."""
        return (await self._known()).audit_stream

    async def _known(self) -> Configuration:
        while (found := self._configuration) is None:
            await self._is_known.wait()
        return found
