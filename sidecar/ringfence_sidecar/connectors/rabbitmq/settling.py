"""Settling what is held: acknowledge, return to the queue, reject to the dead letters, or hold for longer."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import Enum

from ringfence_sidecar.connectors.rabbitmq.broker_errors import DRIVER_ERRORS, translated
from ringfence_sidecar.connectors.rabbitmq.leases import Group, Lease, Leases
from ringfence_sidecar.connectors.rabbitmq.results import HandleOutcome, Settled
from ringfence_sidecar.errors import CallError, LeaseLostError, UnknownError

Found = tuple[str, Lease | LeaseLostError | UnknownError]


class Verdict(Enum):
    """What becomes of a message."""

    ACKNOWLEDGE = "acknowledge"
    RETURN = "return"
    REJECT = "reject"


def find(leases: Leases, handles: Iterable[str], owner: str) -> tuple[Found, ...]:
    """Return what each handle holds. Raises the first one's error if none of them holds anything."""
    found: list[Found] = []
    for handle in dict.fromkeys(handles):
        try:
            found.append((handle, leases.find(handle, owner)))
        except (LeaseLostError, UnknownError) as error:
            found.append((handle, error))
    if not any(isinstance(held, Lease) for _, held in found):
        for _, held in found:
            if not isinstance(held, Lease):
                raise held
    return tuple(found)


class Settler:
    """Settles leases. What it has begun it carries through, whether its caller waits or not."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[bool]] = set()

    async def settle(self, leases: Leases, found: Sequence[Found], verdict: Verdict) -> tuple[Settled, ...]:
        """Settle what is still held, and return each handle's outcome."""
        groups: dict[Group, list[Lease]] = defaultdict(list)
        for handle, held in found:
            if isinstance(held, Lease) and leases.is_held(handle):
                leases.take(held)
                groups[held.group].append(held)
        done: set[str] = set()
        for task, part in [(self.begin(group, part, verdict), part) for group, part in groups.items()]:
            if await asyncio.shield(task):
                done.update(lease.handle for lease in part)
        unsure = {lease.handle for part in groups.values() for lease in part} - done
        return tuple(Settled(handle=handle, outcome=_outcome(handle, held, done, unsure)) for handle, held in found)

    def begin(self, group: Group, held: Sequence[Lease], verdict: Verdict) -> asyncio.Task[bool]:
        """Settle what has been taken out of the leases; the task returns True once the broker has read it."""
        task = asyncio.create_task(_settle(group, held, verdict))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def wait(self, seconds: float) -> None:
        """Return when all that was begun is done, or the time is over."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)


async def _settle(group: Group, held: Sequence[Lease], verdict: Verdict) -> bool:
    """The broker answers none of these; that it answers what follows on the same channel says that it has read them.

    It does not say that a quorum queue has written them: a broker that dies now may hand the message out once more.
    """
    channel = group.channel
    try:
        with translated(f"queue {group.queue!r}", sent=True):
            tags = sorted(lease.tag for lease in held)
            # All that is left on the channel, and nothing more comes: the last one's word is that of all.
            is_all = not group.is_receiving and len(held) == len(group.leases)
            for tag in tags[-1:] if is_all else tags:
                if verdict is Verdict.ACKNOWLEDGE:
                    await channel.basic_ack(tag, multiple=is_all, wait=False)
                else:
                    await channel.basic_nack(tag, multiple=is_all, requeue=verdict is Verdict.RETURN, wait=False)
            await channel.basic_qos(prefetch_count=group.prefetch)
    except (*DRIVER_ERRORS, CallError):
        return False
    for lease in held:
        group.remove(lease)
    return True


def _outcome(handle: str, held: object, done: set[str], unsure: set[str]) -> HandleOutcome:
    if handle in done:
        return HandleOutcome.DONE
    if handle in unsure:
        return HandleOutcome.UNKNOWN
    return HandleOutcome.UNKNOWN_HANDLE if isinstance(held, UnknownError) else HandleOutcome.LOST


def check_one(results: Sequence[Settled]) -> None:
    """Raise LeaseLostError if there was one handle only, and its message is not settled."""
    if len(results) != 1 or results[0].outcome is HandleOutcome.DONE:
        return
    if results[0].outcome is HandleOutcome.UNKNOWN:
        raise LeaseLostError(
            "the channel broke before the broker said that it had settled the message: it may come again",
            outcome_unknown=True,
        )
    raise LeaseLostError("the lease has ended meanwhile: the message comes again")
