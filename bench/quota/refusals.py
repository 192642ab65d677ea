"""How soon a real sidecar refuses what another one has used up, for each resource that sidecars count."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from bench.quantile import quantile
from bench.quota.cases import CASES, EMPTY_QUEUE, QUEUE, SLOW_SECONDS, Case
from bench.quota.pods import limit
from bench.row import Row, at_most, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.client import Answer
from bench.sidecar.driver import make_items
from bench.sidecar.process import Sidecar
from ringfence_sidecar.configuration import Configuration, Connector, Limit
from tests.backends.snowflake_server import SnowflakeServer

COUNT, QUICK = 20, 2
LIMIT_MS = 100.0
WAIT_SECONDS = 30.0
TRIES = 5
BASE = limit("apiCalls", 1e12, quota="base", quota_uid="uid-base")
"""Holds all the time, so that the counters are new only once, and calls show when they are so no more."""


class AwayError(RuntimeError):
    """Redis was too slow, as it is on a machine that is too busy: what came of it is no refusal of a limit's."""


@dataclass
class Found:
    """Milliseconds from over-use to the refusal; calls served meanwhile; how late statements were ended."""

    refused: list[float] = field(default_factory=list)
    served: int = 0
    late: list[float] = field(default_factory=list)
    away: int = 0
    """Samples that were taken anew, since Redis was too slow."""


class Pair:
    """Two sidecars of one namespace, with a warehouse, a broker and a Redis."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self._server: SnowflakeServer = bed.snowflake()[0]
        self._server.faults(slow={"slow_count": SLOW_SECONDS})
        self._redis = bed.redis().configuration()
        self._events = bed.broker(bed.rabbitmq())
        self._warehouse = bed.warehouse(self._server)
        self._version = 0
        self.one, self.other = [bed.sidecar(self._configuration(name, self._warehouse)) for name in ("one", "other")]

    @property
    def warehouse(self) -> str:
        """Name of the Connector to the warehouse."""
        return self._warehouse.name

    async def open(self) -> None:
        """Return once both serve, and count."""
        await make_items(self._warehouse)
        for each in (self.one, self.other):
            await each.ready()
            await each.bound(self._warehouse.name, self._events.name)
        for each in (self.one, self.other):
            await _until(partial(_is_counting, each))
        for queue in (QUEUE, EMPTY_QUEUE):
            served(await self.one.client.call("events", "declare", queue={"name": queue}))

    async def limited(self, *limits: Limit, is_fresh: bool = False) -> None:
        """Have both keep these limits, one after the other, and no others besides that which always holds."""
        if is_fresh:
            self._warehouse = self._bed.warehouse(self._server, name=f"warehouse-{self._version}")
        for sidecar, name in ((self.one, "one"), (self.other, "other")):
            sidecar.configure(self._configuration(name, self._warehouse, *limits))
            await sidecar.bound(self._warehouse.name)
            await _until(partial(_keeps, sidecar, {BASE.quota, *(each.quota for each in limits)}))
            if is_fresh and sidecar is self.one:
                # The first one has to have its session before the second looks for one.
                served(await sidecar.client.call(self.warehouse, "query", sql="SELECT 1"))

    def _configuration(self, name: str, warehouse: Connector, *limits: Limit) -> Configuration:
        self._version += 1
        made = configuration(warehouse, self._events, agent=name, redis=self._redis)
        return msgspec.structs.replace(made, version=str(self._version), limits=(BASE, *limits))


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await is_so():  # noqa: ASYNC110 - a sidecar tells nobody
            await asyncio.sleep(0.01)


async def _is_counting(sidecar: Sidecar) -> bool:
    request = sidecar.client.rest("PUT", "/v1/cache/k", {"value": 1})
    return (await sidecar.client.send(request)).is_served


async def _keeps(sidecar: Sidecar, quotas: set[str]) -> bool:
    return {found["quota"] for found in await budgets(sidecar)} == quotas


async def _has_used(sidecar: Sidecar, quota: str) -> bool:
    return any(each["quota"] == quota and each["used"] for each in await budgets(sidecar))


async def budgets(sidecar: Sidecar) -> list[dict[str, Any]]:
    """Return where the limits of the sidecar's agent stand."""
    answer = await sidecar.client.send(sidecar.client.rest("GET", "/v1/quota"))
    return list(served(answer).envelope["limits"])


def served(answer: Answer) -> Answer:
    """Return the answer. Raises RuntimeError if it is a refusal, AwayError if that is Redis's fault."""
    _look_for_redis(answer)
    if not answer.is_served:
        raise RuntimeError(f"not served: {answer.body[:500].decode()}")
    return answer


def _look_for_redis(answer: Answer) -> None:
    if b'"QuotaStoreUnavailable"' in answer.body:
        raise AwayError(answer.body[:500].decode())


def is_refused(answer: Answer, quota: str) -> bool:
    """Return True if it is a refusal by this quota, over REST or MCP. Raises RuntimeError for any other one."""
    _look_for_redis(answer)
    said = answer.envelope
    errors = said.get("result", {}).get("structuredContent", said).get("errors") or ()
    if errors and errors[0].get("quota") != quota:
        raise RuntimeError(f"refused, and not by {quota}: {answer.body[:500].decode()}")
    return bool(errors)


async def measure_refusals(bed: Bed) -> list[Row]:
    """Each time with a limit of its own: one sidecar uses it up, and the other one is asked until it refuses."""
    found = {case.resource: Found() for case in CASES}
    pair = Pair(bed)
    await pair.open()
    interval = bed.busy()
    for number in range(bed.count(COUNT, QUICK)):
        for case in CASES:
            await _until_counted(pair, case, f"{case.resource.lower()}-{number}", found[case.resource])
        bed.progress.note(f"round {number + 1}")
    note = interval.note()
    bed.keep("refusals", {resource: [each.refused, each.late] for resource, each in found.items()})
    return [*rows_of(found), for_comparison("  the machine meanwhile", "", "", note)]


async def _until_counted(pair: Pair, case: Case, quota: str, found: Found) -> None:
    """Take one sample, anew where Redis was away meanwhile. Raises AwayError if it always was."""
    for attempt in range(TRIES):
        try:
            return await _once(pair, case, f"{quota}-{attempt}", found)
        except AwayError as error:
            found.away += 1
            last = error
            await asyncio.sleep(1)
    raise last


async def _once(pair: Pair, case: Case, quota: str, found: Found) -> None:
    if case.before:
        await pair.limited()
    for each in case.before:
        served(await pair.one.client.send(each(pair.one.client, pair.warehouse)))
    made = limit(
        case.resource,
        case.most,
        window=case.window,
        shared=case.is_shared,
        quota=quota,
        quota_uid=f"uid-of-{quota}",
    )
    await pair.limited(made, is_fresh=case.is_fresh)
    under_way = await _begin(pair, case, quota)
    answers = [await _use(pair, case, index, quota, found) for index in range(len(case.use))]
    refusing = pair.other if case.is_shared else pair.one
    request = case.over(refusing.client, pair.warehouse)
    began = time.perf_counter()
    while not is_refused(await refusing.client.send(request), quota):
        found.served += 1
        if time.perf_counter() - began > WAIT_SECONDS:
            raise TimeoutError(f"{case.resource}: nothing is refused")
    found.refused.append((time.perf_counter() - began) * 1000)
    if under_way is not None:
        served(await under_way)
    await _settle(pair, answers)


async def _begin(pair: Pair, case: Case, quota: str) -> "asyncio.Task[Answer] | None":
    """Begin the call that is under way meanwhile, if there is one, and return once it is counted."""
    if case.during is None:
        return None
    client = pair.one.client
    task = asyncio.create_task(client.send(case.during(client, pair.warehouse)))
    await _until(partial(_has_used, pair.other, quota))
    return task


async def _use(pair: Pair, case: Case, index: int, quota: str, found: Found) -> Answer:
    client, began = pair.one.client, time.perf_counter()
    answer = await client.send(case.use[index](client, pair.warehouse))
    if case.is_cut:
        assert is_refused(answer, quota), answer.body
        found.late.append((time.perf_counter() - began - case.most) * 1000)
        return answer
    return served(answer)


async def _settle(pair: Pair, answers: list[Answer]) -> None:
    """Acknowledge what was received, so that nothing of it is held under the next limit."""
    for answer in answers:
        data = answer.envelope.get("data")
        messages = data.get("messages") if isinstance(data, dict) else None
        if messages and "handle" in messages[0]:
            served(await pair.one.client.call("events", "ack", handles=[each["handle"] for each in messages]))


def rows_of(found: dict[str, Found]) -> list[Row]:
    """Return a row for each resource, and how many calls were served beyond the limits."""
    rows = []
    for resource, each in found.items():
        said = f"p50 {quantile(each.refused, 0.5):.2f} ms of {len(each.refused)}"
        said += f"; {each.away} more in which Redis was away" if each.away else ""
        words = f"{resource}: used up by one sidecar -> refused by another"
        if resource == "cacheBytes":
            words = f"{resource}: used up by an agent -> refused"
        rows.append(at_most(f"{words}, slowest", round(max(each.refused), 2), LIMIT_MS, "ms", said))
        if each.late:
            rows.append(at_most("  a statement's end after its last second", round(max(each.late), 1), LIMIT_MS, "ms"))
    total = sum(each.served for each in found.values())
    return [*rows, at_most("  calls served beyond these limits", total, 0, "")]
