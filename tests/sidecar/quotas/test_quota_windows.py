"""Windows as the scripts count them."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.quotas import scripts
from ringfence_sidecar.quotas.quota import Quotas
from ringfence_sidecar.quotas.windows import MILLISECONDS, Shape
from tests.backends.redis_server import RedisServer
from tests.sidecar.quotas.pods import Pods, ask, limit

pytestmark = pytest.mark.backend

MOMENTS = [
    datetime(*moment, tzinfo=UTC)  # type: ignore[misc]
    for moment in (
        (1970, 1, 1),
        (2000, 2, 29, 23, 59, 59),
        (2026, 11, 28, 10, 5, 7),
        (2026, 12, 31, 23, 59, 59),
        (2027, 1, 1),
        (2028, 2, 29, 12),
        (2028, 3, 1),
        (2100, 2, 28, 23, 59, 59),
        (2100, 3, 1),
    )
]
SHAPES = [Shape("Month", calendar=True), Shape("Day", calendar=True), Shape("Second"), Shape("Month")]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.code)
@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_scripts_find_the_same_slot_as_the_process(redis_server: RedisServer, shape: Shape, moment: datetime) -> None:
    now = int(moment.timestamp() * 1000)
    common = Path(scripts.__file__).with_name("common.lua").read_text()
    clock = "local clock = call('TIME')"
    assert clock in common
    script = common.replace(clock, "local clock = {ARGV[1], '0'}")
    script += "local found = place(ARGV[2]) return {found.kind, found.slot, found.length}"
    with redis_server.client() as client:
        # At the root's and the run's place among the arguments.
        found: Any = client.eval(script, 0, str(now // 1000), shape.code, "", "", "", "", "10000")

    kind, slot, length = found
    assert slot == shape.slot(now)
    end = (slot + 21) * length if kind == b"S" else length
    assert end == shape.free_at(slot)


async def test_no_span_as_long_as_a_sliding_window_holds_more_than_the_limit(
    redis_server: RedisServer, pods: Pods
) -> None:
    most, brief = 20, limit("apiCalls", 20, window="Second")
    two = [await pods.pod(redis_server.configuration(), brief, agent=name) for name in ("a", "b")]
    granted: list[tuple[float, float]] = []
    refused: list[float] = []

    async def call(pod: Quotas) -> None:
        end = time.monotonic() + 4
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                reservation = await pod.reserve(ask(apiCalls=1))
            except LimitedError as error:
                refused.append(error.retry_after or 0)
                await asyncio.sleep(0.005)
                continue
            await reservation.settle({"apiCalls": 1.0})
            granted.append((began, time.monotonic()))

    await asyncio.gather(*(call(pod) for pod in two for _ in range(3)))

    for _, end in granted:
        # Those that were certainly within the same second.
        assert sum(end - 1 < began and ended <= end for began, ended in granted) <= most
    # Nor is it held back for more than a slot longer than it says: that would be 60, if nothing took time.
    assert len(granted) > 40
    assert max(refused) <= 1.05


async def test_a_bucket_keeps_no_slots_that_count_no_more(redis_server: RedisServer, pods: Pods) -> None:
    pod = await pods.pod(redis_server.configuration(), limit("apiCalls", 1_000, window="Second"))
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        reservation = await pod.reserve(ask(apiCalls=1))
        await reservation.settle({"apiCalls": 1.0})
        await asyncio.sleep(0.01)

    with redis_server.client() as client:
        fields: Any = client.hkeys("rf:{team-a}:quota:uid-team:apiCalls:Second:Shared")
        kept: Any = client.pttl("rf:{team-a}:quota:uid-team:apiCalls:Second:Shared")

    assert 1 < sum(each.startswith(b"s:") for each in fields) <= 21
    assert 0 < kept <= 2 * MILLISECONDS["Second"] + MILLISECONDS["Day"]


async def test_a_soft_limit_is_waited_for_whichever_pod_frees_it(redis_server: RedisServer, pods: Pods) -> None:
    soft = limit("concurrentCalls", 1, window="None", enforcement="Soft")
    one = await pods.pod(redis_server.configuration(), soft, agent="a")
    other = await pods.pod(redis_server.configuration(), soft, agent="b")
    first = await one.reserve(ask(concurrentCalls=1))
    waiting = asyncio.create_task(other.reserve(ask(30, concurrentCalls=1)))
    await asyncio.sleep(0.2)
    assert not waiting.done()

    await first.settle({})

    assert (await waiting).grants == {"concurrentCalls": 1}
    with redis_server.client() as client:
        refusals: Any = client.hget("rf:{team-a}:quota:uid-team:concurrentCalls:None:Shared", "n")
    # Who waits and is served was not refused.
    assert refusals is None
