import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from ringfence_sidecar.cache.entry import Generations
from ringfence_sidecar.cache.generations import TRUSTED_SECONDS, TagGenerations
from ringfence_sidecar.cache.store import Store, StoreAwayError
from ringfence_sidecar.configuration import Redis
from ringfence_sidecar.errors import UnavailableError, UnknownError
from tests.backends import redis_sentinel
from tests.backends.certificates import Issued, issue
from tests.backends.redis_sentinel import running_sentinel
from tests.backends.redis_server import ADMINISTRATOR, RedisServer, running_redis
from tests.backends.waiting import eventually, until
from tests.ports import free_port
from tests.sidecar.cache.pods import Backend, Pods

pytestmark = pytest.mark.backend

USER, PASSWORD = "rf-team-a", "namespace-password"
RIGHTS = (
    *("resetkeys", "resetchannels", "~rf:{team-a}:*", "-@all"),
    *("+get", "+set", "+mget", "+del", "+eval", "+exists", "+incr", "+expire", "+pexpire", "+time"),
)


@pytest.fixture
def limited(redis_server: RedisServer) -> Redis:
    """The configuration that a sidecar of team-a has: a user that may touch its namespace's keys only."""
    with redis_server.client() as client:
        _raw(client, "ACL", "SETUSER", USER, "on", f">{PASSWORD}", *RIGHTS)
    return redis_server.configuration(username=USER, password=PASSWORD)


async def test_a_namespaces_user_is_enough_for_all_that_the_cache_does(limited: Redis, pods: Pods) -> None:
    one, other = pods.pod(limited), pods.pod(limited)
    backend = Backend()
    await one.ask(backend)
    await one.answers.invalidate("sales", frozenset({"DB.S.T"}))
    await one.ask(backend)
    await one.values.set("a", b"1", tags=("t",))
    await one.values.invalidate_tag("t")
    await one.values.delete("a")

    found = await other.ask(backend)

    assert (found.info.layer, found.warnings, backend.asked) == ("redis", (), 2)


async def test_a_namespaces_user_reaches_no_other_namespaces_keys(limited: Redis, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set("rf:{team-b}:e:1", b"a secret")
    with redis.Redis(port=redis_server.port, username=USER, password=PASSWORD) as client:
        assert client.set("rf:{team-a}:e:1", b"own")

        for forbidden in (
            ("GET", "rf:{team-b}:e:1"),
            ("EVAL", "return redis.call('GET', KEYS[1])", "1", "rf:{team-b}:e:1"),
            ("EVAL", "return redis.call('GET', 'rf:{team-b}:e:1')", "0"),
            ("KEYS", "*"),
            ("SCAN", "0"),
            ("CONFIG", "GET", "*"),
            ("SUBSCRIBE", "x"),
        ):
            with pytest.raises(redis.RedisError):
                _raw(client, *forbidden)


async def test_a_redis_that_falters_again_while_it_is_told_what_it_missed_is_back_in_the_end(
    redis_server: RedisServer,
) -> None:
    told = 0

    async def back() -> None:
        nonlocal told
        told += 1
        if told == 1:
            await falter()

    async def falter() -> None:
        redis_server.freeze()
        with pytest.raises(StoreAwayError):
            await store.read(["rf:{team-a}:x"])
        redis_server.thaw()

    store = Store(redis_server.configuration(), on_back=back)

    await falter()
    await eventually(lambda: told > 1 and store.is_reachable, what="Redis is back")

    assert await store.read(["rf:{team-a}:x"]) == [None]
    await store.close()


async def test_what_is_told_to_a_redis_may_fail_and_it_is_looked_for_all_the_same(redis_server: RedisServer) -> None:
    told = 0

    async def back() -> None:
        nonlocal told
        told += 1
        if told == 1:
            redis_server.freeze()
            try:
                await store.read(["rf:{team-a}:x"])
            finally:
                redis_server.thaw()

    store = Store(redis_server.configuration(), on_back=back)

    await eventually(lambda: told > 1 and store.is_reachable, what="Redis is back")
    await store.close()


async def test_an_agent_sees_its_write_while_redis_is_still_to_be_told_of_it(redis_server: RedisServer) -> None:
    key = "rf:{team-a}:g:table"
    seen: list[Generations] = []

    async def back() -> None:
        seen.append(await generations.current([key]))
        await generations.settle()

    # With more patience than by default: on a busy machine Redis may take its 40 ms.
    store = Store(redis_server.configuration(), on_back=back, patience=0.5)
    generations = TagGenerations(store)
    # The first thing that it does is to look whether Redis is there.
    await eventually(lambda: bool(seen), what="Redis is there")
    before = await generations.current([key])
    seen.clear()

    redis_server.freeze()
    with pytest.raises(StoreAwayError):
        await generations.raise_all([key], whole="rf:{team-a}:g:all")
    redis_server.thaw()
    await eventually(lambda: bool(seen) and not generations.owed, what="Redis is told")

    assert seen[0] != before
    assert await generations.current([key]) not in (before, seen[0])
    await store.close()


async def test_what_redis_is_owed_takes_up_no_more_than_its_bound(
    redis_server: RedisServer, pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod, other = (pods.pod(redis_server.configuration(), agent=agent) for agent in ("bot", "other"))
    names = [f"v{number}" for number in range(30)]
    for name in names:
        await pod.values.set(name, b"1")
    await other.values.set("plan", b"1")
    monkeypatch.setattr("ringfence_sidecar.cache.generations._MOST", 10)

    redis_server.freeze()
    for name in names:
        await pod.values.delete(name)
    owed = pod.shared.of_values.owed
    redis_server.thaw()
    await eventually(lambda: not pod.shared.of_values.owed, what="Redis is told")

    assert owed <= 10
    for name in names:
        with pytest.raises(UnknownError):
            await pods.pod(redis_server.configuration()).values.get(name)
    assert (await other.values.get("plan")).body == b"1"


async def test_a_write_is_seen_everywhere_although_redis_has_no_memory_left(
    redis_server: RedisServer, pods: Pods
) -> None:
    one, other = pods.pod(redis_server.configuration()), pods.pod(redis_server.configuration())
    backend = Backend()
    await one.ask(backend)
    kept = await other.ask(backend)
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        backend.content = "second"

        warnings = await one.answers.invalidate("sales", frozenset({"DB.S.T"}))
        await asyncio.sleep(TRUSTED_SECONDS)
        found = [await pod.ask(backend) for pod in (one, other)]

        assert kept.info.layer == "redis"
        assert [each.body for each in found] == [b"second", b"second"]
        assert (warnings, found[0].warnings, one.shared.is_reachable) == ((), (), True)
        with pytest.raises(UnavailableError) as full:
            await one.values.set("plan", b"1")
        assert full.value.reason == "CacheFull"

        client.config_set("maxmemory", 0)
        await one.ask(backend)
        assert (await other.ask(backend)).info.hit


@pytest.mark.parametrize(
    ("policy", "memory", "told"),
    [
        ("allkeys-lru", "100mb", "allkeys-lru"),
        ("allkeys-lru", "0", ""),
        ("volatile-lru", "100mb", ""),
        ("noeviction", "100mb", ""),
    ],
)
async def test_it_is_known_whether_redis_may_throw_counters_away_once_that_changes(
    redis_server: RedisServer, pods: Pods, monkeypatch: pytest.MonkeyPatch, *, policy: str, memory: str, told: str
) -> None:
    monkeypatch.setattr("ringfence_sidecar.cache.store.LOOK_SECONDS", 0.01)
    other = "" if told else "allkeys-random"
    with redis_server.client() as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", other or "noeviction")
        pod = pods.pod(redis_server.configuration())
        await eventually(lambda: pod.shared.evicts == other, what="what is so at first is known")

        client.config_set("maxmemory", memory)
        client.config_set("maxmemory-policy", policy)

        await eventually(lambda: pod.shared.evicts == told, what="what is so now is known")


async def test_a_user_that_may_not_ask_what_redis_throws_away_has_a_cache_all_the_same(
    limited: Redis, pods: Pods
) -> None:
    pod = pods.pod(limited)
    backend = Backend()

    for _ in range(2):
        await pod.ask(backend)

    assert (pod.shared.evicts, pod.shared.is_reachable, backend.asked) == ("", True, 1)


async def test_without_a_password_redis_says_nothing(redis_server: RedisServer) -> None:
    store = Store(redis_server.configuration(password=""))

    with pytest.raises(StoreAwayError):
        await store.read(["rf:{team-a}:e:1"])

    await store.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Issued:
    """A certificate for 127.0.0.1, with its authority."""
    return issue(tmp_path, "127.0.0.1")


@pytest.fixture
def over_tls(tmp_path: Path, certificate: Issued) -> Iterator[RedisServer]:
    """A Redis that speaks TLS as well."""
    port = free_port()
    lines = (
        f"tls-port {port}",
        f"tls-cert-file {certificate.certificate}",
        f"tls-key-file {certificate.key}",
        f"tls-ca-cert-file {certificate.authority}",
        "tls-auth-clients no",
    )
    with running_redis(tmp_path, *lines) as server:
        server.tls_port = port
        yield server


async def test_over_tls_the_server_must_have_a_certificate_of_the_authority(
    over_tls: RedisServer, certificate: Issued, tmp_path: Path, pods: Pods
) -> None:
    url = f"rediss://127.0.0.1:{over_tls.tls_port}"
    other = issue(tmp_path / "other", "127.0.0.1")
    trusting = pods.pod(over_tls.configuration(url=url, authority=certificate.authority.read_text()))
    doubting = pods.pod(over_tls.configuration(url=url, authority=other.authority.read_text()))

    trusted, doubted = await trusting.ask(Backend()), await doubting.ask(Backend())

    assert trusted.warnings == ()
    assert [each.code for each in doubted.warnings] == ["CacheUnreachable"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis Cluster of three."""
    lines = ("cluster-enabled yes", f"masterauth {ADMINISTRATOR}", "cluster-node-timeout 5000")
    with ExitStack() as stack:
        nodes = []
        for number in range(3):
            directory = tmp_path / str(number)
            directory.mkdir()
            port_of_bus = free_port()
            nodes.append(stack.enter_context(running_redis(directory, *lines, f"cluster-port {port_of_bus}")))
        places = [f"127.0.0.1:{node.port}" for node in nodes]
        argv = ["redis-cli", "-a", ADMINISTRATOR, "--no-auth-warning", "--cluster", "create", *places, "--cluster-yes"]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
        for node in nodes:
            until(lambda node=node: _is_whole(node), what="the cluster is whole")  # type: ignore[misc]
        yield f"redis+cluster://{','.join(places)}"


def _is_whole(node: RedisServer) -> bool:
    with node.client() as client:
        said: object = _raw(client, "CLUSTER", "INFO")
        return "ok" in str(said)


async def test_on_a_cluster_each_namespace_lives_on_one_shard(cluster: str, pods: Pods) -> None:
    redis_of = {
        name: Redis(url=cluster, username="", password=ADMINISTRATOR, prefix=f"rf:{{{name}}}:")
        for name in ("team-a", "team-b", "team-c")
    }
    for name, configuration in redis_of.items():
        backend = Backend(name)
        one = pods.pod(configuration, namespace=name)
        await one.ask(backend, tags=frozenset({"A", "B", "C"}))
        await one.answers.invalidate("sales", frozenset({"A", "B"}))
        await one.ask(backend, tags=frozenset({"A", "B", "C"}))

        found = await pods.pod(configuration, namespace=name).ask(backend, tags=frozenset({"A", "B", "C"}))

        assert (found.body, found.info.layer, found.warnings, backend.asked) == (name.encode(), "redis", (), 2)


async def test_on_a_cluster_the_shard_that_has_the_namespace_is_asked_what_it_throws_away(
    cluster: str, pods: Pods
) -> None:
    configuration = Redis(url=cluster, username="", password=ADMINISTRATOR, prefix="rf:{team-a}:")
    port = int(cluster.rpartition(":")[2])
    with redis.RedisCluster(host="127.0.0.1", port=port, password=ADMINISTRATOR) as client:
        home = client.get_node_from_key(configuration.prefix)
        assert home is not None
        client.config_set("maxmemory", "100mb", target_nodes=home)
        client.config_set("maxmemory-policy", "allkeys-lru", target_nodes=home)

    pod = pods.pod(configuration)

    await eventually(lambda: pod.shared.evicts == "allkeys-lru", what="the shard has been asked")


def _raw(client: Any, *words: str) -> object:
    """Return the server's answer to a command; the library's types stop before `execute_command`."""
    return client.execute_command(*words)


async def test_a_sentinel_says_who_is_master_to_who_may_ask(
    redis_server: RedisServer, tmp_path: Path, pods: Pods
) -> None:
    with running_sentinel(tmp_path, redis_server) as port:
        configuration = redis_server.configuration(
            url=f"redis+sentinel://127.0.0.1:{port}/main/0",
            sentinel_username=redis_sentinel.USER,
            sentinel_password=redis_sentinel.PASSWORD,
        )
        knowing = await pods.pod(configuration).ask(Backend())
        stranger = await pods.pod(msgspec.structs.replace(configuration, sentinel_password="")).ask(Backend())

    with redis_server.client() as client:
        assert list(client.scan_iter("rf:*:e:*"))
    assert knowing.warnings == ()
    assert [each.code for each in stranger.warnings] == ["CacheUnreachable"]


@pytest.mark.parametrize(
    "words",
    [
        ("SENTINEL", "FAILOVER", "main"),
        ("SENTINEL", "SET", "main", "quorum", "9"),
        ("SENTINEL", "REMOVE", "main"),
        ("SENTINEL", "MONITOR", "main", "127.0.0.2", "6379", "1"),
    ],
)
def test_a_sentinel_as_the_docs_have_it_names_no_other_master_for_anybody_that_reaches_it(
    redis_server: RedisServer, tmp_path: Path, words: tuple[str, ...]
) -> None:
    known: dict[str, Any] = {"username": redis_sentinel.USER, "password": redis_sentinel.PASSWORD}
    with running_sentinel(tmp_path, redis_server) as port:
        for who in ({}, known):
            client = redis.Redis(port=port, protocol=2, driver_info=None, **who)
            with client, pytest.raises(redis.RedisError):
                _raw(client, *words)
