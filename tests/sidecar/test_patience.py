"""How long a call waits for Redis: by the time that its own process has had, and not by the clock."""

import asyncio
import time

import pytest

from ringfence_sidecar.cache.store import PATIENCE_SECONDS, Store, _Patience
from ringfence_sidecar.quotas.link import _Expiry

STARVED_SECONDS = 3 * PATIENCE_SECONDS


async def _late(answering: "asyncio.Future[str]") -> None:
    """Answer a moment after the whole process got no processor for longer than anybody waits."""
    await asyncio.sleep(0)
    time.sleep(STARVED_SECONDS)  # noqa: ASYNC251 - that is it
    await asyncio.sleep(0.002)
    answering.set_result("answer")


async def test_the_cache_does_not_take_redis_to_be_away_for_what_its_own_process_waited() -> None:
    asking = asyncio.get_running_loop().create_future()
    answering = asyncio.create_task(_late(asking))

    answer = await Store._answer(asking, _Patience(PATIENCE_SECONDS))

    await answering
    assert answer == "answer"


async def test_nor_do_quotas() -> None:
    asking = asyncio.get_running_loop().create_future()
    answering = asyncio.create_task(_late(asking))
    _Expiry(asking, PATIENCE_SECONDS)

    answer = await asking

    await answering
    assert answer == "answer"


async def test_a_redis_that_says_nothing_is_away() -> None:
    silent, unheard = (asyncio.get_running_loop().create_future() for _ in range(2))
    _Expiry(unheard, PATIENCE_SECONDS)

    with pytest.raises(TimeoutError):
        await Store._answer(silent, _Patience(PATIENCE_SECONDS))
    with pytest.raises(TimeoutError):
        await unheard
