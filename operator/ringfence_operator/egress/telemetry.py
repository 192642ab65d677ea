"""What sidecars are told of where audit lines and traces go: credentials from files, which rotate in place."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from ringfence_operator.reconcile.binding import stream_of
from ringfence_operator.reconcile.view import View

LOOK_SECONDS = 5.0
"""How often the files are looked at."""

log = structlog.get_logger()


class Telemetry:
    """Follows the files while this replica leads; `on_change` hears of other credentials than before."""

    def __init__(self, view: View, *, on_change: Callable[[], None]) -> None:
        self._view: Final = view
        self._on_change: Final = on_change
        self._credentials = self._read()

    def configuration(self) -> Mapping[str, Any]:
        """Return what each sidecar is told, as it decodes it.

        A stream whose broker is not there is told of without an address: the lines wait for it.
        """
        settings, (token, login) = self._view.settings, self._credentials
        found: dict[str, Any] = {"collectorToken": token} if settings.collector_service else {}
        if settings.audit_stream_service:
            sink = stream_of(self._view)
            user, _, password = login.partition(":")
            found["auditStream"] = {
                "address": sink.service.address if sink else "",
                "port": settings.audit_stream_port,
                "virtualHost": settings.audit_stream_virtual_host,
                "name": settings.audit_stream_name,
                "username": user,
                "password": password,
            }
        return found

    async def run(self) -> None:
        """Look at the files until cancelled."""
        while True:
            fresh = await asyncio.to_thread(self._read)
            if fresh != self._credentials:
                self._credentials = fresh
                self._on_change()
            await asyncio.sleep(LOOK_SECONDS)

    def _read(self) -> tuple[str, str]:
        settings = self._view.settings
        token = _text(settings.collector_token) if settings.collector_service else ""
        return token, _text(settings.audit_stream_credential) if settings.audit_stream_service else ""


def _text(path: str | None) -> str:
    """Return what the file says; nothing if it cannot be read, since its Secret may come later."""
    try:
        return Path(path or "").read_text().strip()
    except OSError as error:
        log.error("telemetry.unreadable", path=path, error=type(error).__name__)  # noqa: TRY400 - the path says it all
        return ""
