"""Who calls a sidecar all the time, each call another than the last, and remembers what came of it."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.sidecar.client import Answer
from bench.sidecar.process import Sidecar

QUEUE = "bench-orders"
READ = 'SELECT id, name FROM "SALES"."PUBLIC".items WHERE id < ?'
MOST_ROWS, MOST_MESSAGES = 20, 3
_KINDS = ("cheap", "cheap", "cheap", "cheap", "cheap", "query", "query", "query", "publish", "publish")
_PAUSE_SECONDS = 0.06
_REFUSED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """One call: its path and arguments, and what it may use at most."""

    method: str
    path: str
    arguments: dict[str, Any] | None
    most: Mapping[str, float]


@dataclass(slots=True)
class Diary:
    """What became of an agent's calls, by the id of their request."""

    served: dict[str, dict[str, float]] = field(default_factory=dict)
    """What the agent was given, as it counts itself."""
    most: dict[str, Mapping[str, float]] = field(default_factory=dict)
    """Of all calls that came to a sidecar: what each could use."""
    lost: set[str] = field(default_factory=set)
    """Whose sidecar ended before it answered."""
    refused: Counter[str] = field(default_factory=Counter)
    """By the problem's code."""


class Callers:
    """The callers of one agent."""

    def __init__(self, sidecar: Sidecar, agent: str, *, count: int) -> None:
        self.sidecar, self.agent = sidecar, agent
        self.diary = Diary()
        self.kills = 0
        """How often the sidecar was killed."""
        self._numbers = itertools.count(1)
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._call(random.Random(f"{agent}-{number}"))) for number in range(count)]

    async def stop(self) -> None:
        """Begin no more calls, and wait for those under way."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _call(self, chance: random.Random) -> None:
        client, diary = self.sidecar.client, self.diary
        pause = 0.0
        while not self._stop.is_set():
            await asyncio.sleep(pause * chance.random())
            wanted, name = _drawn(chance), f"{self.agent}-{next(self._numbers)}"
            pause = _REFUSED_SECONDS
            request = client.rest(wanted.method, wanted.path, wanted.arguments, f"X-Request-Id: {name}")
            try:
                answer = await client.send(request)
            except ConnectionRefusedError:
                continue
            except (OSError, TimeoutError):
                diary.lost.add(name)
                diary.most[name] = wanted.most
                continue
            diary.most[name] = wanted.most
            if answer.is_served:
                pause = _PAUSE_SECONDS
                diary.served[name] = _given(wanted, answer)
            else:
                diary.refused[str(answer.envelope.get("code"))] += 1


def _drawn(chance: random.Random) -> Wanted:
    kind = chance.choice(_KINDS)
    if kind == "query":
        arguments = {"sql": READ, "binds": [chance.randint(0, MOST_ROWS)], "limit": MOST_ROWS}
        most = {"apiCalls": 1, "rows": MOST_ROWS}
        return Wanted("POST", "/v1/connectors/warehouse/query", arguments, most)
    if kind == "publish":
        count = chance.randint(1, MOST_MESSAGES)
        messages = [{"exchange": "", "routingKey": QUEUE, "payload": "x"}] * count
        most = {"apiCalls": 1, "messagesPublished": count}
        return Wanted("POST", "/v1/connectors/events/publish", {"messages": messages}, most)
    return Wanted("GET", "/v1/schemas", None, {"apiCalls": 1})


def _given(wanted: Wanted, answer: Answer) -> dict[str, float]:
    data = answer.envelope["data"]
    if "rows" in wanted.most:
        return {"apiCalls": 1, "rows": len(data["rows"])}
    if "messagesPublished" in wanted.most:
        return {"apiCalls": 1, "messagesPublished": data["routed"]}
    return {"apiCalls": 1}
