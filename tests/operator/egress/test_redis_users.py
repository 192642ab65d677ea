"""The namespaces' users, on real servers."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ringfence_operator.egress.derived import Derived
from ringfence_operator.egress.redis_place import RedisPlace, master_of, with_addresses
from ringfence_operator.egress.redis_users import RedisUsers
from tests.backends import redis_sentinel
from tests.backends.certificates import issue
from tests.backends.redis_sentinel import running_sentinel
from tests.backends.redis_server import ADMINISTRATOR, RedisServer, running_redis
from tests.backends.waiting import eventually
from tests.ports import free_port

pytestmark = pytest.mark.backend


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as found:
        yield found


def place(folder: Path, url: str, *, administrator: str = ADMINISTRATOR, authority: str = "") -> RedisPlace:
    file = folder / "administrator"
    file.write_text(f"{administrator}\n")
    return RedisPlace(url=url, administrator=file, authority=authority)


@asynccontextmanager
async def users(
    where: RedisPlace, *, seed: str = "s" * 64, on_change: Callable[[], None] = lambda: None
) -> AsyncIterator[RedisUsers]:
    derived = Derived()
    derived.know(seed)
    found = RedisUsers(where, derived.redis, on_change=on_change)
    running = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=5)


def login(told: Any, port: int) -> "redis.Redis":
    once = Retry(NoBackoff(), 0)
    user, password = told["username"], told["password"]
    return redis.Redis(port=port, username=user, password=password, socket_timeout=5, protocol=2, retry=once)


async def there(told: Any, port: int) -> None:
    """Wait until the user can log in."""
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(_logs_in, told, port):  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.02)


def _logs_in(told: Any, port: int) -> bool:
    with login(told, port) as client:
        return can(client, "PING")


def can(client: "redis.Redis", *words: str) -> bool:
    """Return True if the command is served; a wrong login or a permission that lacks is False."""
    run: Any = client.execute_command
    try:
        run(*words)
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError, redis.ConnectionError):
        return False
    return True


async def test_a_namespaces_user_does_what_the_cache_needs_under_its_own_prefix(
    server: RedisServer, tmp_path: Path
) -> None:
    async with users(place(tmp_path, server.url)) as them:
        told = them.configuration("team")
        client = login(told, server.port)
        await there(told, server.port)

        key = "rf:{team}:k"
        commands = [
            ("SET", key, "1", "PX", "1000"),
            ("GET", key),
            ("MGET", key, f"{key}2"),
            ("INCR", key),
            ("EXPIRE", key, "5"),
            ("PEXPIRE", key, "500"),
            ("PTTL", key),
            ("EXISTS", key),
            ("EVAL", "return redis.call('INCR', KEYS[1])", "1", key),
            ("SCRIPT", "LOAD", "return 1"),
            ("PUBLISH", "rf:{team}:c", "m"),
            ("DEL", key),
            ("CLIENT", "SETNAME", "x"),
        ]
        refused = [words for words in commands if not can(client, *words)]

    assert refused == []


async def test_a_namespaces_user_does_what_quotas_need_under_its_own_prefix(
    server: RedisServer, tmp_path: Path
) -> None:
    async with users(place(tmp_path, server.url)) as them:
        told = them.configuration("team")
        client = login(told, server.port)
        await there(told, server.port)

        bucket, members, pods = (f"rf:{{team}}:quota:{each}" for each in ("b", "touched", "pods"))
        commands = [
            ("HSET", bucket, "s:1", "1"),
            ("HINCRBY", bucket, "n", "1"),
            ("HINCRBYFLOAT", bucket, "s:1", "0.5"),
            ("HGET", bucket, "s:1"),
            ("HMGET", bucket, "s:1", "r"),
            ("HGETALL", bucket),
            ("HDEL", bucket, "s:1"),
            ("PEXPIRE", bucket, "5000"),
            ("PERSIST", bucket),
            ("SADD", members, bucket),
            ("SCARD", members),
            ("SREM", members, bucket),
            ("ZADD", pods, "1", "p"),
            ("ZSCORE", pods, "p"),
            ("ZRANGE", pods, "0", "-1"),
            ("ZRANGEBYSCORE", pods, "-inf", "+inf", "LIMIT", "0", "4"),
            ("ZREVRANGE", pods, "0", "0", "WITHSCORES"),
            ("ZREM", pods, "p"),
            ("TIME",),
            ("INFO", "server"),
            ("INFO", "persistence"),
            ("INFO", "memory"),
        ]
        refused = [words for words in commands if not can(client, *words)]

    assert refused == []


async def test_it_reaches_no_other_namespace_and_nothing_of_the_servers(server: RedisServer, tmp_path: Path) -> None:
    async with users(place(tmp_path, server.url)) as them:
        told = them.configuration("team")
        client = login(told, server.port)
        await there(told, server.port)

        tried = [
            ("GET", "rf:{team2}:k"),
            ("GET", "rf:{tea}:k"),
            ("GET", "rf:team:k"),
            ("SET", "other", "1"),
            ("EVAL", "return redis.call('GET', 'rf:{other}:k')", "0"),
            ("EVAL", "return 1", "1", "rf:{other}:k"),
            ("SUBSCRIBE", "rf:{other}:c"),
            ("PUBLISH", "rf:{other}:c", "m"),
            ("KEYS", "*"),
            ("SCAN", "0"),
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("ACL", "LIST"),
            ("ACL", "SETUSER", "me", "on", "nopass", "+@all", "~*"),
            ("DEBUG", "SLEEP", "0"),
            ("MONITOR",),
            ("CLIENT", "LIST"),
            ("SCRIPT", "FLUSH"),
            ("SELECT", "1"),
            ("INFO",),
            ("INFO", "everything"),
            ("INFO", "keyspace"),
            ("INFO", "clients"),
            ("INFO", "commandstats"),
            ("HGETALL", "rf:{other}:quota:b"),
            ("SPOP", "rf:{other}:quota:touched"),
        ]
        allowed = [words for words in tried if _is_served(client, *words)]

    assert allowed == []


def _is_served(client: "redis.Redis", *words: str) -> bool:
    run: Any = client.execute_command
    try:
        run(*words)
    except redis.ResponseError:
        return False
    return True


async def test_the_password_of_one_namespace_is_not_anothers(server: RedisServer, tmp_path: Path) -> None:
    async with users(place(tmp_path, server.url)) as them:
        one, other = them.configuration("one"), them.configuration("other")
        assert one is not None
        assert other is not None
        await there(other, server.port)

        crossed = login({**one, "username": other["username"]}, server.port)

        assert not can(crossed, "PING")


async def test_a_redis_that_comes_back_empty_has_its_users_again(server: RedisServer, tmp_path: Path) -> None:
    async with users(place(tmp_path, server.url)) as them:
        told = them.configuration("team")
        await there(told, server.port)

        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)

        await there(told, server.port)


async def test_a_user_that_somebody_deleted_comes_back(server: RedisServer, tmp_path: Path) -> None:
    async with users(place(tmp_path, server.url)) as them:
        told = them.configuration("team")
        await there(told, server.port)
        assert told is not None

        with server.client() as administrator:
            administrator.acl_deluser(told["username"])

        await there(told, server.port)


async def test_another_seed_is_another_password_for_the_same_user(server: RedisServer, tmp_path: Path) -> None:
    async with users(place(tmp_path, server.url)) as them:
        before = them.configuration("team")
        await there(before, server.port)

    async with users(place(tmp_path, server.url), seed="o" * 64) as them:
        after = them.configuration("team")
        await there(after, server.port)

        assert not can(login(before, server.port), "PING")


async def test_users_are_made_once_a_redis_can_be_reached_and_no_password_is_logged(
    server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = place(tmp_path, server.url, administrator="wrong")
    async with users(where) as them:
        told = them.configuration("team")
        await asyncio.sleep(0.1)
        assert not can(login(told, server.port), "PING")

        where.administrator.write_text(f"default:{ADMINISTRATOR}")

        await there(told, server.port)
    logs = "".join(capsys.readouterr())
    assert told is not None
    assert told["password"] not in logs
    assert ADMINISTRATOR not in logs


async def test_over_tls_only_a_server_of_the_authority_is_told_anything(tmp_path: Path) -> None:
    good, other = issue(tmp_path / "good", "127.0.0.1"), issue(tmp_path / "other", "127.0.0.1")
    port = free_port()
    lines = (f"tls-port {port}", f"tls-cert-file {good.certificate}", f"tls-key-file {good.key}", "tls-auth-clients no")
    url = f"rediss://127.0.0.1:{port}"
    with running_redis(tmp_path, *lines, f"tls-ca-cert-file {good.authority}") as server:
        async with users(place(tmp_path, url, authority=other.authority.read_text())) as them:
            told = them.configuration("team")
            await asyncio.sleep(0.3)
            doubted = can(login(told, server.port), "PING")

        async with users(place(tmp_path, url, authority=good.authority.read_text())) as them:
            told = them.configuration("team")
            await there(told, server.port)

    assert not doubted


async def test_every_node_of_a_cluster_has_the_users(tmp_path: Path) -> None:
    lines = ("cluster-enabled yes", f"masterauth {ADMINISTRATOR}")
    with ExitStack() as stack:
        nodes = []
        for number in range(3):
            directory = tmp_path / str(number)
            directory.mkdir()
            nodes.append(stack.enter_context(running_redis(directory, *lines, f"cluster-port {free_port()}")))
        places = [f"127.0.0.1:{node.port}" for node in nodes]
        argv = ["redis-cli", "-a", ADMINISTRATOR, "--no-auth-warning", "--cluster", "create", *places, "--cluster-yes"]
        await asyncio.to_thread(subprocess.run, argv, check=True, capture_output=True, timeout=60)

        async with users(place(tmp_path, f"redis+cluster://{places[0]}")) as them:
            told = them.configuration("team")
            for node in nodes:
                await there(told, node.port)


@pytest.fixture
def sentinel(server: RedisServer, tmp_path: Path) -> Iterator[RedisPlace]:
    with running_sentinel(tmp_path, server) as port:
        file = tmp_path / "sentinel"
        file.write_text(f"{redis_sentinel.USER}:{redis_sentinel.PASSWORD}\n")
        yield replace(place(tmp_path, f"redis+sentinel://127.0.0.1:{port}/main/0"), sentinel=file)


async def test_a_sentinels_master_has_the_users(server: RedisServer, sentinel: RedisPlace) -> None:
    async with users(sentinel) as them:
        told = them.configuration("team")

        await there(told, server.port)

    assert told is not None
    assert (told["sentinelUsername"], told["sentinelPassword"]) == (redis_sentinel.USER, redis_sentinel.PASSWORD)


async def test_quotas_are_read_where_the_sentinel_says(server: RedisServer, sentinel: RedisPlace) -> None:
    assert await master_of(sentinel) == ("127.0.0.1", server.port)


async def test_until_it_is_known_who_may_ask_the_sentinel_no_sidecar_is_told_of_it(sentinel: RedisPlace) -> None:
    assert sentinel.sentinel is not None
    known = sentinel.sentinel.read_text()
    sentinel.sentinel.unlink()
    changes: list[None] = []

    async with users(sentinel, on_change=lambda: changes.append(None)) as them:
        before = them.configuration("team")
        sentinel.sentinel.write_text(known)
        await eventually(lambda: bool(changes), what="the credential is seen")
        after = them.configuration("team")

    assert before is None
    assert after is not None


def test_without_a_credential_a_namespace_has_no_redis(tmp_path: Path) -> None:
    them = RedisUsers(place(tmp_path, "redis://127.0.0.1"), lambda _: None)

    assert them.configuration("team") is None


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://redis.data.svc:6379", "redis://10.0.0.9:6379"),
        ("rediss://redis.data.svc.cluster.local:6379/2", "rediss://10.0.0.9:6379/2"),
        (
            "redis+sentinel://redis.data.svc:26379,10.1.1.1:26379/main?tls",
            "redis+sentinel://10.0.0.9:26379,10.1.1.1:26379/main?tls",
        ),
        ("redis://redis.example.com:6379", "redis://redis.example.com:6379"),
        ("redis://other.data.svc:6379", None),
    ],
)
def test_a_services_name_becomes_its_address_since_sidecars_have_no_names(url: str, told: str | None) -> None:
    addresses = {("data", "redis"): "10.0.0.9"}

    assert with_addresses(url, lambda *key: addresses.get(key, "")) == told
