"""The agent's own values, and cached functions, through a real sidecar: with a Redis and without."""

import pytest

import ringfence
from ringfence import cached
from ringfence.local import LOCAL
from tests.client.with_sidecar.sidecar import Sidecar

pytestmark = pytest.mark.backend


async def test_a_value_is_kept_until_it_is_deleted(either: Sidecar, name: str) -> None:
    async with ringfence.connect(either.url) as rf:
        missing = await rf.cache.get(name), await rf.cache.get(name, default=0)
        await rf.cache.set(name, {"a": [1, None]})
        there = await rf.cache.get(name)
        await rf.cache.delete(name)
        gone = await rf.cache.get(name)

    assert (missing, there, gone) == ((None, 0), {"a": [1, None]}, None)


async def test_nothing_that_is_kept_is_told_from_a_value_that_is_null(either: Sidecar, name: str) -> None:
    async with ringfence.connect(either.url) as rf:
        await rf.cache.set(name, None)

        assert (await rf.cache.get(name, default=0), await rf.cache.get(f"{name}-", default=0)) == (None, 0)


@pytest.mark.parametrize("key", ["a/b", "..", ".", "a b?c=d#e", "ü", "invalidate_tag", "%2F"])
async def test_a_key_may_be_anything(either: Sidecar, name: str, key: str) -> None:
    async with ringfence.connect(either.url) as rf:
        await rf.cache.set(key, name)

        assert await rf.cache.get(key) == name


async def test_a_tag_forgets_what_has_it(either: Sidecar, name: str) -> None:
    async with ringfence.connect(either.url) as rf:
        await rf.cache.set(f"{name}-1", 1, ttl=60, tags=[name])
        await rf.cache.set(f"{name}-2", 2, ttl=60)
        await rf.cache.invalidate_tag(name)

        assert (await rf.cache.get(f"{name}-1"), await rf.cache.get(f"{name}-2")) == (None, 2)


async def test_a_value_goes_when_its_time_is_over(alone: Sidecar, name: str) -> None:
    async with ringfence.connect(alone.url) as rf:
        await rf.cache.set(name, 1, ttl=0.001)

        assert await rf.cache.get(name) is None


async def test_what_a_function_answered_outlives_the_process_in_the_sidecar(either: Sidecar, name: str) -> None:
    asked = []

    @cached(ttl=60, tags=[name])
    async def ask(what: str) -> dict[str, int]:
        asked.append(what)
        return {"n": len(asked)}

    async with ringfence.connect(either.url):
        first = await ask(name)
        LOCAL.clear()  # as another process would begin
        second = await ask(name)

    assert first == second == {"n": 1}
    assert asked == [name]


async def test_without_a_connection_a_function_is_kept_here_alone(either: Sidecar, name: str) -> None:
    asked = []

    @cached(ttl=60)
    async def ask(what: str) -> int:
        asked.append(what)
        return len(asked)

    await ask(name)
    LOCAL.clear()
    async with ringfence.connect(either.url):
        within = await ask(name)

    assert within == 2


async def test_a_tag_forgets_answers_here_and_in_the_sidecar(either: Sidecar, name: str) -> None:
    asked = []

    @cached(ttl=60, tags=[name])
    async def ask(what: str) -> int:
        asked.append(what)
        return len(asked)

    async with ringfence.connect(either.url) as rf:
        await ask(name)
        await rf.cache.invalidate_tag(name)

        assert await ask(name) == 2


async def test_a_tag_that_somebody_else_has_invalidated_is_heard_of_after_the_local_time(
    either: Sidecar, name: str
) -> None:
    asked = []

    @cached(ttl=60, tags=[name], local_ttl=0)
    async def ask(what: str) -> int:
        asked.append(what)
        return len(asked)

    async with ringfence.connect(either.url) as rf:
        before = await ask(name), await ask(name)
        await rf._transport.call("POST", "/cache/invalidate_tag", {"tag": name})
        after = await ask(name)

    assert (before, after) == ((1, 1), 2)


async def test_a_function_is_asked_itself_while_the_sidecar_is_away(alone: Sidecar, name: str) -> None:
    asked = []

    @cached(ttl=60, local_ttl=0)
    async def ask(what: str) -> int:
        asked.append(what)
        return len(asked)

    async with ringfence.connect(alone.url):
        await ask(name)
        alone.kill()

        assert await ask(name) == 2


async def test_a_tag_forgets_what_is_here_though_the_sidecar_is_away(alone: Sidecar, name: str) -> None:
    asked = []

    @cached(ttl=60, tags=[name])
    async def ask(what: str) -> int:
        asked.append(what)
        return len(asked)

    async with ringfence.connect(alone.url) as rf:
        await ask(name)
        alone.kill()
        with pytest.raises(ringfence.UnreachableError):
            await rf.cache.invalidate_tag(name)

        assert await ask(name) == 2
