import asyncio
from typing import Any

import pytest

from ringfence_sidecar.cache.store import PATIENCE_SECONDS
from ringfence_sidecar.errors import InvalidArgumentsError, UnknownError
from tests.backends.redis_server import RedisServer
from tests.backends.waiting import eventually
from tests.sidecar.cache.pods import Pod, Pods

pytestmark = pytest.mark.backend


async def _has(pod: Pod, key: str) -> bytes | None:
    try:
        return (await pod.values.get(key)).body
    except UnknownError:
        return None


async def test_a_value_is_there_until_its_time_is_up(redis_server: RedisServer, pods: Pods) -> None:
    pod = pods.pod(redis_server.configuration())
    await pod.values.set("plan", b'{"step":1}', ttl_seconds=0.2)

    assert await _has(pod, "plan") == b'{"step":1}'

    await asyncio.sleep(0.25)
    assert await _has(pod, "plan") is None


async def test_a_value_outlives_its_pod_and_is_the_agents_own(redis_server: RedisServer, pods: Pods) -> None:
    await pods.pod(redis_server.configuration()).values.set("plan", b"1")

    assert await _has(pods.pod(redis_server.configuration()), "plan") == b"1"
    assert await _has(pods.pod(redis_server.configuration(), agent="other"), "plan") is None


async def test_agents_share_values_under_a_name_if_they_are_told_to(redis_server: RedisServer, pods: Pods) -> None:
    one = pods.pod(redis_server.configuration(), agent="one", shared_as="crew")
    other = pods.pod(redis_server.configuration(), agent="other", shared_as="crew")
    await one.values.set("plan", b"1")
    assert await _has(other, "plan") == b"1"

    await other.values.set("plan", b"2")
    await asyncio.sleep(0.11)

    assert await _has(one, "plan") == b"2"


async def test_a_tag_drops_the_values_that_have_it_and_no_others(redis_server: RedisServer, pods: Pods) -> None:
    pod = pods.pod(redis_server.configuration())
    await pod.values.set("a", b"1", tags=("draft",))
    await pod.values.set("b", b"2", tags=("final",))

    await pod.values.invalidate_tag("draft")

    assert (await _has(pod, "a"), await _has(pod, "b")) == (None, b"2")


async def test_one_agents_tag_drops_no_other_agents_values(redis_server: RedisServer, pods: Pods) -> None:
    one, other = (pods.pod(redis_server.configuration(), agent=name) for name in ("one", "other"))
    await one.values.set("a", b"1", tags=("draft",))

    await other.values.invalidate_tag("draft")

    assert await _has(one, "a") == b"1"


async def test_a_deleted_value_is_gone_everywhere(redis_server: RedisServer, pods: Pods) -> None:
    one, other = (pods.pod(redis_server.configuration(), shared_as="crew") for _ in range(2))
    await one.values.set("a", b"1")
    await _has(other, "a")

    await one.values.delete("a")

    assert await _has(other, "a") is None


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"key": ""}, "key"),
        ({"key": "k" * 513}, "key"),
        ({"body": b"x" * 1001}, "value"),
        ({"ttl_seconds": 0}, "ttlSeconds"),
        ({"ttl_seconds": 86_401}, "ttlSeconds"),
        ({"tags": ("",)}, "tags"),
        ({"tags": tuple(map(str, range(33)))}, "tags"),
    ],
)
async def test_what_does_not_fit_is_refused_by_the_field(arguments: dict[str, Any], field: str, pods: Pods) -> None:
    given = {"key": "a", "body": b"1", **arguments}

    with pytest.raises(InvalidArgumentsError) as caught:
        await pods.pod().values.set(given.pop("key"), given.pop("body"), **given)

    assert caught.value.field == field


async def test_redis_away_keeps_values_in_the_pod_and_says_so(redis_server: RedisServer, pods: Pods) -> None:
    pod = pods.pod(redis_server.configuration(), patience=PATIENCE_SECONDS)
    await pod.values.set("a", b"old")
    redis_server.freeze()

    warnings = await pod.values.set("a", b"new")

    assert [each.code for each in warnings] == ["CacheUnreachable"]
    assert await _has(pod, "a") == b"new"
    redis_server.thaw()
    await eventually(lambda: pod.answers.is_reachable is True, what="Redis is back")
    assert await _has(pod, "a") != b"old"
