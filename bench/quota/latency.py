"""What the quota step adds to a call."""

import asyncio
import random
import socket
import time
from collections.abc import Awaitable
from urllib.parse import urlsplit

from bench.quantile import quantile
from bench.quota.pods import READY_SECONDS, ask, counting, limit
from bench.row import Row, at_most, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.process import Sidecar
from ringfence_sidecar.configuration import Limit, Redis
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.quotas.quota import Quotas
from ringfence_sidecar.quotas.wire import packed

COUNT, QUICK = 4_000, 500
WARM = 50
BUCKETS = (0, 1, 4, 8)
P50, P99 = 0.3, 1.0
WINDOWS = (("Day", False), ("Hour", False), ("Minute", False), ("None", False))
MORE = (("Month", False), ("Day", True), ("Hour", True), ("Minute", True))
PATH = "/v1/schemas"
"""A call that needs no backend, and no cache: what it takes is the sidecar's own."""
Samples = dict[str, list[float]]


async def measure_latency(bed: Bed) -> list[Row]:
    """The same call of sidecars with so many limits, and of one with none, one of each in turn."""
    redis = bed.redis().configuration()
    sidecars = {
        buckets: bed.sidecar(configuration(redis=redis, limits=_limits(buckets), agent=f"agent-{buckets}"))
        for buckets in BUCKETS
    }
    for sidecar in sidecars.values():
        await sidecar.ready()
        await _until_served(sidecar)
    await _calls(sidecars, WARM)
    interval = bed.busy()
    calls = await _calls(sidecars, bed.count(COUNT, QUICK))
    note = interval.note()
    steps = await _steps(redis, bed.count(COUNT, QUICK))
    bed.keep("latency", {**calls, **steps})
    return _rows(calls, steps, note)


def _limits(buckets: int) -> tuple[Limit, ...]:
    """Return so many limits that each call takes of."""
    return tuple(
        limit("concurrentCalls" if window == "None" else "apiCalls", 1e12, window=window, calendar=calendar)
        for window, calendar in (*WINDOWS, *MORE)[:buckets]
    )


async def _until_served(sidecar: Sidecar) -> None:
    """Wait until the store is counted on."""
    async with asyncio.timeout(READY_SECONDS):
        request = sidecar.client.rest("GET", PATH)
        while not (await sidecar.client.send(request)).is_served:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.1)


async def _calls(sidecars: dict[int, Sidecar], count: int) -> Samples:
    """Return milliseconds of whole calls, by number of buckets; who comes first in a turn is drawn.

    On a machine so busy that Redis comes too late, calls are refused: they count with what they took, below `refused`,
    too, and the next ones wait until the store is counted on again.
    """
    samples: Samples = {f"call {buckets}": [] for buckets in sidecars}
    samples["refused"] = []
    order = [(f"call {buckets}", each, each.client.rest("GET", PATH)) for buckets, each in sidecars.items()]
    for _ in range(count):
        random.shuffle(order)
        for name, sidecar, request in order:
            began = time.perf_counter()
            answer = await sidecar.client.send(request)
            samples[name].append((time.perf_counter() - began) * 1000)
            if not answer.is_served:
                samples["refused"].append(samples[name][-1])
                await _until_served(sidecar)
    return samples


async def _steps(redis: Redis, count: int) -> Samples:
    """Return milliseconds of what a call waits for, of what comes after its answer, and of questions by themselves."""
    pods = {
        buckets: await counting(redis, _limits(buckets), agent=f"steps-{buckets}") for buckets in BUCKETS if buckets
    }
    samples: Samples = {"settle": [], "ping": [], "bare": [], **{f"reserve {buckets}": [] for buckets in pods}}
    most = pods[max(pods)]
    bare, order = Bare(redis), list(pods.items())
    for _ in range(count):
        random.shuffle(order)
        try:
            for buckets, pod in order:
                taken, settled = await _lot(pod)
                samples[f"reserve {buckets}"].append(taken)
                if pod is most:
                    samples["settle"].append(settled)
            samples["ping"].append(await _timed(_ping(most)))
            began = time.perf_counter()
            bare.ask(_reservation(most))
            samples["bare"].append((time.perf_counter() - began) * 1000)
        except (LimitedError, OSError):
            await asyncio.sleep(0.1)  # Redis came too late
    bare.close()
    for pod in pods.values():
        await pod.close()
    return samples


async def _lot(pod: Quotas) -> tuple[float, float]:
    """Take a lot and settle it; return the milliseconds of each."""
    began = time.perf_counter()
    reservation = await pod.reserve(ask(apiCalls=1, concurrentCalls=1))
    taken = time.perf_counter()
    return (taken - began) * 1000, await _timed(reservation.settle({"apiCalls": 1}))


async def _timed(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1000


class Bare:
    """A socket that waits, and nothing else: the least that a question can take."""

    def __init__(self, redis: Redis) -> None:
        place = urlsplit(redis.url)
        self._socket = socket.create_connection((place.hostname, place.port), timeout=READY_SECONDS)
        self.ask(packed(b"AUTH", redis.password.encode()))

    def ask(self, command: bytes) -> None:
        """Return once it is answered, in one piece on loopback. Raises OSError."""
        self._socket.sendall(command)
        answer = self._socket.recv(65_536)
        if answer[:1] not in b"+$":
            raise ConnectionError(answer[:100])

    def close(self) -> None:
        """End it."""
        self._socket.close()


def _reservation(pod: Quotas) -> bytes:
    """Return the command by which the pod takes a lot of all buckets."""
    assert pod._store is not None  # noqa: SLF001 - what it is compared with
    asked = pod._asked({"apiCalls": 1, "concurrentCalls": 1})  # noqa: SLF001
    return pod._store.link.packer.reserve("bare", asked, final=False)  # noqa: SLF001


async def _ping(pod: Quotas) -> None:
    """Ask what costs Redis nothing, on the same connection."""
    assert pod._store is not None  # noqa: SLF001 - as above
    server = pod._store.link._server  # noqa: SLF001
    if server is None:
        raise ConnectionError
    await server.wire.ask(packed(b"PING"))


def _rows(calls: Samples, steps: Samples, note: str) -> list[Row]:
    rows = []
    for buckets in BUCKETS[1:]:
        name = f"the quota step adds to a call, {buckets} bucket{'s' if buckets > 1 else ''}"
        for share, called, most in ((0.5, "p50", P50), (0.99, "p99", P99)):
            whole, alone = (quantile(calls[f"call {each}"], share) for each in (buckets, 0))
            said = f"with it {whole:.3f}, without {alone:.3f} ms; of {len(calls['call 0']):,}"
            rows.append(at_most(f"{name}, {called}", round(whole - alone, 3), most, "ms", said))
        for share, called, most in ((0.5, "p50", P50), (0.99, "p99", P99)):
            took = quantile(steps[f"reserve {buckets}"], share)
            rows.append(at_most(f"  what a call waits for in it, {called}", round(took, 3), most, "ms"))
    names = {
        "bare": "  a bare EVALSHA of the same over a socket that waits, p50",
        "settle": "  its settlement, which no answer waits for, p50",
        "ping": "  PING on the same connection, p50",
    }
    rows += [
        for_comparison(name, round(quantile(steps[step], 0.5), 3), "ms", f"p99 {quantile(steps[step], 0.99):.3f} ms")
        for step, name in names.items()
    ]
    return [*rows, for_comparison("  calls refused because Redis came too late", len(calls["refused"]), "", note)]
