"""A process that calls as a sidecar does, until it is told to end or is killed; writes down what came of each call.

python -m tests.sidecar.quotas.worker FILE: the file is a Setting as JSON. Lines go to its `log`: `?` and what a call is
about to say that it used, `=` once that is said, `-` for a refusal.
"""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import msgspec

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.configuration import Agent, Limit, Redis
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.quota import Ask
from ringfence_sidecar.quotas.quota import Quotas
from ringfence_sidecar.quotas.store import Times


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker does."""

    redis: Redis
    limits: tuple[Limit, ...]
    agent: str
    log: str
    callers: int = 5
    seed: int = 0
    patience: float = 3.0
    lease: float = 2.0
    beat: float = 0.5
    work_seconds: float = 0.02
    """How long a call takes at its backend, at most."""
    pause_seconds: float = 0.02
    """How long a caller waits between calls, at most."""


async def run(setting: Setting) -> None:
    """Call until SIGTERM."""
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    quotas = Quotas(Times(patience=setting.patience, lease=setting.lease, beat=setting.beat))
    agent = Agent(namespace="team-a", name=setting.agent, uid=f"uid-{setting.agent}")
    await quotas.apply(setting.limits, agent, setting.redis)
    async with asyncio.TaskGroup() as group:
        for number in range(setting.callers):
            group.create_task(_call(quotas, setting, random.Random(f"{setting.seed}-{number}"), end))
    await quotas.close()


async def _call(quotas: Quotas, setting: Setting, chance: random.Random, end: asyncio.Event) -> None:
    log = os.open(setting.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while not end.is_set():
        await asyncio.sleep(chance.random() * setting.pause_seconds)
        asked = chance.choice(
            [
                {"apiCalls": 1.0},
                {"apiCalls": 1.0, "rows": float(chance.randint(1, 50))},
                {"apiCalls": 1.0, "messagesPublished": float(chance.randint(1, 4))},
            ]
        )
        try:
            reservation = await quotas.reserve(Ask(amounts=asked, writes=True, deadline=Deadline.after(10)))
        except LimitedError as error:
            _write(log, f"- {error.reason} {error.rule}")
            continue
        await asyncio.sleep(chance.random() * setting.work_seconds)
        used = dict(asked)
        if "rows" in used:
            used["rows"] = float(chance.randint(0, int(reservation.grants["rows"])))
        line = msgspec.json.encode(used).decode()
        _write(log, f"? {line}")
        await reservation.settle(used)
        _write(log, f"= {line}")


def _write(log: int, line: str) -> None:
    os.write(log, f"{line}\n".encode())


if __name__ == "__main__":
    asyncio.run(run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Setting)))
