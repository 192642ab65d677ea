"""Leader election by a Lease (coordination.k8s.io/v1): one replica writes, the others stand by."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from ringfence_operator.errors import AlreadyExistsError, ConflictError, KubeError, NotFoundError

Raw = dict[str, Any]

log = structlog.get_logger(__name__)


class LeaseClient(Protocol):
    """The requests that an election takes. Not to be fenced: without the Lease none could take it."""

    async def get(self, path: str) -> Raw:
        """Return the Lease. Raises NotFoundError."""

    async def create(self, path: str, body: Raw) -> Raw:
        """Create the Lease. Raises AlreadyExistsError."""

    async def merge_patch(self, path: str, body: Raw) -> Raw:
        """Change the Lease. Raises ConflictError when it is not at `body`'s resourceVersion any more."""


@dataclass(frozen=True, slots=True)
class _Record:
    version: str
    holder: str
    seconds: float
    transitions: int

    @classmethod
    def from_body(cls, lease: Raw) -> "_Record":
        spec = lease.get("spec") or {}
        return cls(
            version=lease["metadata"]["resourceVersion"],
            holder=spec.get("holderIdentity") or "",
            seconds=float(spec.get("leaseDurationSeconds") or 0),
            transitions=int(spec.get("leaseTransitions") or 0),
        )


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class LeaderElector:
    """Holds the Lease whenever it can; `remaining` says for how long we may still write.

    Our own term runs from the moment at which the last successful renewal was *sent*, and ends `margin`
    seconds before the Lease does, for requests still on their way then (by default a fifth of `duration`;
    renewals come four times as often as the Lease would end). Another's term runs from when
    we saw its record change: clocks of different machines are never compared.
    A killed leader is followed after `duration` + `poll` seconds at most, one that released after `poll`.
    `identity` must be this process's alone: whoever finds his own in the Lease takes it without waiting.
    """

    def __init__(
        self,
        client: LeaseClient,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration: int = 10,
        renew: float | None = None,
        poll: float = 1.0,
        margin: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _wall_clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{name}"
        self._name = name
        self._identity = identity
        self._duration = duration
        self._renew = duration / 4 if renew is None else renew
        self._poll = poll
        self._margin = duration / 5 if margin is None else margin
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._until = float("-inf")
        self._seen: _Record | None = None
        self._seen_at = 0.0
        self._fresh = False

    def remaining(self) -> float:
        """Return the seconds for which we may still write; zero if we do not lead."""
        return max(0.0, self._until - self._clock())

    @property
    def is_leader(self) -> bool:
        """True if we may write now."""
        return self.remaining() > 0

    async def run(self, *, on_gained: Callable[[], None], on_lost: Callable[[], None]) -> None:
        """Compete for the Lease until cancelled, then release it. Both callbacks come once per change.

        Stop writing before cancelling: the next leader may begin as soon as the Lease is free.
        """
        led = False
        try:
            while True:
                await self._attempt()
                if self.is_leader != led:
                    led = not led
                    log.info("lease.gained" if led else "lease.lost", lease=self._name, identity=self._identity)
                    (on_gained if led else on_lost)()
                await self._sleep(self._pause())
        finally:
            await self._release()

    def _pause(self) -> float:
        """Return the seconds until the next attempt is worth while."""
        if self.is_leader:
            return min(self._renew if self._fresh else self._poll, self.remaining())
        return max(0.0, min(self._poll, self._others_remaining())) or self._poll

    def _others_remaining(self) -> float:
        """Return the seconds until another's Lease is anybody's."""
        if self._seen is None or self._seen.holder in {"", self._identity}:
            return 0.0
        return self._seen_at + self._seen.seconds - self._clock()

    async def _attempt(self) -> None:
        """Acquire or renew once, and give up before our term ends."""
        limit = min(self._renew, self.remaining()) if self.is_leader else self._renew
        fresh, self._fresh = self._fresh, False
        try:
            async with asyncio.timeout(limit):
                if not (fresh and self.is_leader):
                    await self._look()
                if self._others_remaining() <= 0:
                    await self._take()
        except (ConflictError, AlreadyExistsError):
            log.debug("lease.raced", lease=self._name)
        except (KubeError, TimeoutError) as error:
            log.warning("lease.unreachable", lease=self._name, error=str(error) or type(error).__name__)

    async def _look(self) -> None:
        """Learn who holds the Lease, and since when we know."""
        try:
            record = _Record.from_body(await self._client.get(self._path))
        except NotFoundError:
            self._seen = None
            return
        if self._seen is None or record.version != self._seen.version:
            self._seen, self._seen_at = record, self._clock()
        if record.holder != self._identity:
            self._until = float("-inf")

    async def _take(self) -> None:
        """Write our record over the one last seen, or where there was none."""
        sent = self._clock()
        seen = self._seen
        ours = seen is not None and seen.holder == self._identity
        now = _micro_time(self._now())
        spec: Raw = {"holderIdentity": self._identity, "leaseDurationSeconds": self._duration, "renewTime": now}
        if not ours:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = 0 if seen is None else seen.transitions + 1
        if seen is None:
            lease: Raw = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
            answer = await self._client.create(self._collection, lease | {"metadata": {"name": self._name}})
        else:
            body = {"metadata": {"resourceVersion": seen.version}, "spec": spec}
            answer = await self._client.merge_patch(self._path, body)
        self._seen, self._seen_at = _Record.from_body(answer), self._clock()
        self._until = sent + self._duration - self._margin
        self._fresh = True

    async def _release(self) -> None:
        """Give the Lease up if it is ours, so that the next leader need not wait for its end."""
        self._until = float("-inf")
        if self._seen is None or self._seen.holder != self._identity:
            return
        try:
            async with asyncio.timeout(self._renew):
                try:
                    await self._give_up(self._seen.version)
                except ConflictError:
                    # A renewal that was cancelled on its way had arrived all the same.
                    record = _Record.from_body(await self._client.get(self._path))
                    if record.holder == self._identity:
                        await self._give_up(record.version)
            log.info("lease.released", lease=self._name, identity=self._identity)
        except (KubeError, TimeoutError) as error:
            log.warning("lease.not_released", lease=self._name, error=str(error) or type(error).__name__)

    async def _give_up(self, version: str) -> None:
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time(self._now())}
        await self._client.merge_patch(self._path, {"metadata": {"resourceVersion": version}, "spec": spec})


def _micro_time(moment: datetime) -> str:
    """Return `moment` as Kubernetes' MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
