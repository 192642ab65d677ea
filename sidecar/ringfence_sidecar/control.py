"""The sidecar's end of the control channel: its configuration by long poll, its health on the way back."""

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import structlog

from ringfence_sidecar.configuration import Configuration, EndpointHealth, Inside, LimitUse, Poll, Standing, decode
from ringfence_sidecar.https import Answer, Channel

PATH = "/v1/sidecar/poll"
STANDING_PATH = "/v1/sidecar/standing"
STANDING_SECONDS = 2.0
"""How long an agent that looks at its quotas waits for the operator."""
SERVER_NAME = "ringfence-control"
"""In the control server's certificate, whatever address it is reached at."""
HOLD_SECONDS = 25.0
"""How long the server may keep a poll waiting."""
_GRACE_SECONDS = 10.0
FIRST_DELAY, LONGEST_DELAY = 0.2, 10.0
QUICK_TRIES = 6
"""Only one of the operator's replicas serves: a refused connection is tried again at once, to reach another."""
FINAL_SECONDS = 60.0
"""How long a token that was refused is not tried again, unless its file changes."""
HEALTH_SECONDS = 1.0
"""How often health is looked at for what cannot wait for the next poll."""
TOGETHER_SECONDS = 5.0
USES_SECONDS = 5.0
"""How often at most it is told what was used of limits, where no Redis says it."""
_FINAL = (401, 403)

log = structlog.get_logger(__name__)

OnChange = Callable[[Configuration], Awaitable[None]]


class ControlClient:
    """Keeps `current` as the operator has it. With the operator away, what is there stays in force.

    `url` is `https://address:port`; token and authority are read again for each use, since both rotate. `health`,
    `cache_reachable`, `cache_evicts` and `inside` are asked for each poll. What `on_change` raises ends `run`.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Path,
        authority: Path,
        on_change: OnChange,
        health: Callable[[], Sequence[EndpointHealth]] = tuple,
        cache_reachable: Callable[[], bool | None] = lambda: None,
        cache_evicts: Callable[[], str] = str,
        inside: Callable[[], Inside | None] = lambda: None,
        uses: Callable[[], Sequence[LimitUse]] = tuple,
        sidecar_version: str = "",
        warm: bool = False,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or not parts.port:
            raise ValueError(f"{url!r} is not the control server's address: write https://ADDRESS:PORT")
        self.current: Configuration | None = None
        self._place: Final = (parts.hostname, parts.port)
        self._token: Final = token
        self._authority: Final = authority
        self._on_change: Final = on_change
        self._health: Final = health
        self._cache_reachable: Final = cache_reachable
        self._cache_evicts: Final = cache_evicts
        self._inside: Final = inside
        self._uses: Final = uses
        self._told_uses: tuple[LimitUse, ...] = ()
        self._next_uses = 0.0
        self._sidecar_version: Final = sidecar_version
        self._warm: Final = warm
        self.was_answered = False
        """True once a poll was answered as it should be, and from then on."""
        self._hurry: Final = asyncio.Event()
        self._told: tuple[object, ...] = ()
        self._is_connected = False

    @property
    def is_connected(self) -> bool:
        """True if the last poll was answered as it should be."""
        return self._is_connected

    def hurry(self) -> None:
        """Report at once what is other than what was told: somebody waits for it."""
        self._hurry.set()

    async def standing(self) -> Standing | None:
        """Return what the operator knows of the limits that it and others keep; None if it does not say."""
        channel = self._channel()
        try:
            async with asyncio.timeout(STANDING_SECONDS):
                await channel.connect(self._authority.read_bytes())
                token = self._token.read_text(encoding="ascii").strip()
                answer = await channel.post(STANDING_PATH, b"{}", token=token, seconds=STANDING_SECONDS)
            return msgspec.json.decode(answer.body, type=Standing) if answer.status == 200 else None  # noqa: PLR2004
        except (OSError, msgspec.DecodeError) as error:
            log.debug("control.no_standing", error=type(error).__name__)
            return None
        finally:
            channel.close()

    async def run(self) -> None:
        """Follow the operator until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="control")
            group.create_task(self._tell(), name="control-health")

    async def _follow(self) -> None:
        channel, failures = self._channel(), 0
        try:
            while True:
                try:
                    # Who waits for an agent is to know at once that it is let in, and then waits.
                    is_unknown = self._warm and not self.was_answered
                    answer = await self._post(channel, self._poll(wait_seconds=0.0 if is_unknown else None))
                    failures = 0 if await self._take(answer) else failures + 1
                    delay = max(answer.retry_after, _delay(failures)) if failures else 0.0
                except (OSError, ssl.SSLError) as error:
                    failures += 1
                    delay = _delay(failures, is_quick=isinstance(error, ConnectionRefusedError))
                    self._lost(type(error).__name__, failures)
                await asyncio.sleep(delay)
        finally:
            channel.close()

    async def _tell(self) -> None:
        """Report at once what cannot wait until the poll under way is answered."""
        channel = self._channel()
        while True:
            await self._pause(HEALTH_SECONDS)
            if self._is_connected and (self._told != self._state() or self._has_used()):
                try:
                    await self._post(channel, self._poll(wait_seconds=0.0))
                except OSError as error:
                    log.debug("control.not_told", error=type(error).__name__)
                finally:
                    channel.close()
                await self._pause(TOGETHER_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until something is in a hurry."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)
        self._hurry.clear()

    def _channel(self) -> Channel:
        return Channel(*self._place, server_name=SERVER_NAME)

    async def _post(self, channel: Channel, poll: Poll) -> Answer:
        if not channel.is_open:
            await channel.connect(self._authority.read_bytes())
        token = self._token.read_text(encoding="ascii").strip()
        self._told = self._state()
        seconds = HOLD_SECONDS + _GRACE_SECONDS
        answer = await channel.post(PATH, msgspec.json.encode(poll), token=token, seconds=seconds)
        if answer.status in _FINAL:
            log.error("control.refused", status=answer.status)
            self._is_connected = False
            await self._another_token(token)
        return answer

    def _poll(self, *, wait_seconds: float | None = None) -> Poll:
        current = self.current
        generations = {each.uid: each.generation for each in current.connectors} if current else {}
        if current:
            generations[current.agent.uid] = current.agent.generation
        self._told_uses = tuple(self._uses())
        self._next_uses = time.monotonic() + USES_SECONDS
        return Poll(
            version=current.version if current else "",
            sidecar_version=self._sidecar_version,
            health=tuple(self._health()),
            cache_reachable=self._cache_reachable(),
            cache_evicts=self._cache_evicts(),
            inside=self._inside(),
            uses=self._told_uses,
            generations=generations,
            wait_seconds=wait_seconds,
        )

    async def _take(self, answer: Answer) -> bool:
        """Take over what the answer says; return False if it is not one that is wished for."""
        if answer.status == 204:  # noqa: PLR2004 - nothing new
            self._is_connected = self.was_answered = True
            return True
        if answer.status != 200:  # noqa: PLR2004 - see below
            self._lost(f"HTTP {answer.status}", 1)
            return False
        try:
            found = decode(answer.body)
        except msgspec.DecodeError as error:
            # Its text names the place, and no value.
            log.error("control.not_understood", error=str(error))  # noqa: TRY400 - the traceback says no more
            return False
        self._is_connected = self.was_answered = True
        if self.current is None or found.version != self.current.version:
            self.current = found
            log.info("control.configured", version=found.version, connectors=len(found.connectors))
            await self._on_change(found)
        return True

    async def _another_token(self, refused: str) -> None:
        """Wait until the token's file has changed, for a while."""
        before = sha256(refused.encode()).digest()
        end = asyncio.get_running_loop().time() + FINAL_SECONDS * random.uniform(0.5, 1)  # noqa: S311 - a delay
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(1)
            token = self._token.read_text(encoding="ascii").strip()
            if sha256(token.encode()).digest() != before:
                return

    def _lost(self, error: str, failures: int) -> None:
        if self._is_connected or failures == QUICK_TRIES:
            log.warning("control.away", error=error, has_configuration=self.current is not None)
        self._is_connected = False

    def _has_used(self) -> bool:
        """Return True if there is news of what was used of limits, and the last is some time ago."""
        return time.monotonic() >= self._next_uses and self._told_uses != tuple(self._uses())

    def _state(self) -> tuple[object, ...]:
        """Return what cannot wait: who is well, and who is not."""
        each = tuple((it.connector, it.generation, it.endpoint, it.healthy, it.reason) for it in self._health())
        return (*each, self._cache_reachable(), self._cache_evicts(), self._inside())


def _delay(failures: int, *, is_quick: bool = False) -> float:
    """Return the seconds until the next try: exponential, spread over the half of it and the whole."""
    if is_quick and failures <= QUICK_TRIES:
        return random.uniform(0.01, 0.05)  # noqa: S311 - a delay
    longest: float = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 16))
    return random.uniform(longest / 2, longest)  # noqa: S311 - a delay
