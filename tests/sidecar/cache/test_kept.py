import asyncio

import pytest

from ringfence_sidecar.cache.room import Room
from ringfence_sidecar.configuration import Agent, Configuration, LocalCache, Redis
from ringfence_sidecar.kept import Kept
from tests.backends.redis_server import RedisServer
from tests.backends.waiting import eventually
from tests.sidecar.cache.pods import MINUTE, Backend

AGENT = Agent(namespace="team-a", name="alice", uid="a-1")
TAGS = frozenset({"DB.S.T"})


def configuration(*, redis: Redis | None = None, eviction: str = "LRU") -> Configuration:
    return Configuration(version=eviction, agent=AGENT, redis=redis, local_cache=LocalCache(eviction=eviction))


class Question:
    """A question that the backend answers when it is told to."""

    def __init__(self, kept: Kept, backend: Backend) -> None:
        self._backend = backend
        self._may_answer = asyncio.Event()
        backend.before = self._wait
        self.asked = asyncio.create_task(kept.fetch("sales", ("select 1",), TAGS, MINUTE, backend.load))

    async def _wait(self) -> None:
        await self._may_answer.wait()

    async def is_under_way(self) -> None:
        await eventually(lambda: self._backend.asked == 1, what="the backend is asked")

    async def answer(self) -> bytes:
        self._may_answer.set()
        return (await self.asked).body


async def test_a_change_of_the_cache_takes_no_answer_from_who_waits_for_it() -> None:
    room = Room()
    kept, backend = Kept(room), Backend()
    await kept.apply(configuration())
    question = Question(kept, backend)
    await question.is_under_way()

    await kept.apply(configuration(eviction="LFU"))
    answer = await question.answer()

    assert (answer, backend.asked, backend.cancelled) == (b"first", 1, 0)
    assert room.used == 0
    await kept.close()


@pytest.mark.backend
async def test_a_redis_that_is_left_is_let_go_of_once_the_last_answer_has_come(redis_server: RedisServer) -> None:
    kept, backend = Kept(), Backend()
    await kept.apply(configuration(redis=redis_server.configuration()))
    question = Question(kept, backend)
    await question.is_under_way()

    await kept.apply(configuration())
    answer = await question.answer()

    assert answer == b"first"
    with redis_server.client() as client:
        await eventually(lambda: len(client.client_list()) == 1, what="only this test is connected")
    await kept.close()


async def test_a_change_of_the_layer_for_answers_leaves_values_and_what_they_count() -> None:
    room = Room()
    kept = Kept(room)
    await kept.apply(configuration())
    await kept.values.set("plan", b'{"step":1}')

    await kept.apply(configuration(eviction="LFU"))

    assert (await kept.values.get("plan")).body == b'{"step":1}'
    assert room.used == len(b'{"step":1}')
    await kept.close()


async def test_what_is_still_asked_at_the_end_is_given_up() -> None:
    kept, backend = Kept(), Backend(seconds=600)
    await kept.apply(configuration())
    asked = asyncio.create_task(kept.fetch("sales", ("select 1",), TAGS, MINUTE, backend.load))
    await eventually(lambda: backend.asked == 1, what="the backend is asked")
    await kept.apply(configuration(eviction="LFU"))

    await kept.close()

    assert backend.cancelled == 1
    with pytest.raises(asyncio.CancelledError):
        await asked
