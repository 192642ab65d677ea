from asyncio import CancelledError

import pytest

from ringfence_operator.quota_watches import repeat
from tests.operator.runtime.clock import FakeClock


async def test_looks_begin_so_many_seconds_apart_however_long_they_take() -> None:
    clock, begun = FakeClock(0.0), list[float]()

    async def look() -> None:
        begun.append(clock.now)
        if len(begun) == 6:
            raise CancelledError
        clock.advance(4.0 if len(begun) != 3 else 12.0)

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    with pytest.raises(CancelledError):
        await repeat(look, 5.0, clock=clock, sleep=sleep)

    assert begun == [0.0, 5.0, 10.0, 22.0, 27.0, 32.0], "after one that took too long, the next begins at once"
