"""Limits that others keep: whom the sidecar asks for them, and how often."""

from ringfence_sidecar.configuration import Limit, Standing, Used
from ringfence_sidecar.elsewhere import SECONDS, Elsewhere

MEMORY = Limit(quota="q", quota_uid="q-1", resource="memory", max=100)


class Operator:
    def __init__(self) -> None:
        self.now = 0.0
        self.used: float | None = 40
        self.asked = 0
        self.elsewhere = Elsewhere(clock=lambda: self.now)
        self.elsewhere.ask = self.ask

    async def ask(self) -> Standing | None:
        self.asked += 1
        if self.used is None:
            return None
        used = Used(quota_uid="q-1", resource="memory", window="None", shared=False, used=self.used, as_of="now")
        return Standing(used=(used,))

    async def look(self, *, after: float = 0.0) -> tuple[float | None, float | None]:
        self.now += after
        (found,) = await self.elsewhere.standing()
        return found.used, found.remaining


async def test_the_operator_is_asked_when_somebody_looks_and_not_again_for_a_while() -> None:
    operator = Operator()
    operator.elsewhere.apply((MEMORY,))

    first = await operator.look()
    operator.used = 120
    again = await operator.look(after=SECONDS / 2)
    later = await operator.look(after=SECONDS / 2)

    assert (first, again, later) == ((40, 60), (40, 60), (120, 0))
    assert operator.asked == 2


async def test_while_the_operator_does_not_answer_its_last_word_holds_and_nobody_waits_each_time() -> None:
    operator = Operator()
    operator.elsewhere.apply((MEMORY,))
    await operator.look()
    operator.used = None

    found = await operator.look(after=SECONDS)
    await operator.look()

    assert (found, operator.asked) == ((40, 60), 2)


async def test_where_no_such_limit_holds_nobody_is_asked() -> None:
    operator = Operator()

    assert await operator.elsewhere.standing() == ()
    assert operator.asked == 0
