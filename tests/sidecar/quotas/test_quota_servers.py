"""Every kind of Redis that a configuration may name."""

import asyncio
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from tests.backends.certificates import issue
from tests.backends.redis_server import ADMINISTRATOR, running_redis
from tests.backends.waiting import until
from tests.ports import free_port
from tests.sidecar.quotas.pods import Pods, limit, refused, use, used

pytestmark = pytest.mark.backend


async def test_over_tls_only_a_server_of_the_authority_is_told_anything(tmp_path: Path, pods: Pods) -> None:
    good, other = issue(tmp_path / "good", "127.0.0.1"), issue(tmp_path / "other", "127.0.0.1")
    port = free_port()
    lines = (f"tls-port {port}", f"tls-cert-file {good.certificate}", f"tls-key-file {good.key}", "tls-auth-clients no")
    with running_redis(tmp_path, *lines, f"tls-ca-cert-file {good.authority}") as server:
        url = f"rediss://127.0.0.1:{port}"
        doubting = server.configuration(url=url, authority=other.authority.read_text())
        trusting = server.configuration(url=url, authority=good.authority.read_text())

        one = await pods.pod(trusting, limit(most=5))
        await use(one, queries=2)
        two = await pods.pod(doubting, limit(most=5), joins=False)

        assert (await refused(two, queries=1)).reason == "QuotaStoreUnavailable"
        assert await used(one) == {"queries": 2}
        await pods.close()


async def test_a_sentinel_says_which_server_it_is(tmp_path: Path, pods: Pods) -> None:
    port = free_port()
    with running_redis(tmp_path) as server:
        configuration = tmp_path / "sentinel.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
            f"sentinel monitor main 127.0.0.1 {server.port} 1\nsentinel auth-pass main {ADMINISTRATOR}\n"
        )
        process = subprocess.Popen(["redis-server", configuration, "--sentinel"], stdout=subprocess.DEVNULL)  # noqa: ASYNC220
        try:
            with redis.Redis(port=port) as client:
                await asyncio.to_thread(until, lambda: _answers(client), what="the sentinel answers")
            pod = await pods.pod(server.configuration(url=f"redis+sentinel://127.0.0.1:{port}/main/0"), limit(most=5))

            await use(pod, queries=2)

            assert await used(pod) == {"queries": 2}
            with server.client() as client:
                assert client.exists("rf:{team-a}:quota:epoch")
            await pods.close()
        finally:
            process.kill()
            process.wait(10)


async def test_in_a_cluster_the_node_is_asked_that_has_the_namespace(tmp_path: Path, pods: Pods) -> None:
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

        each = [
            await pods.pod(node.configuration(url=f"redis+cluster://{place}"), limit(most=5), agent=f"agent-{number}")
            for number, (node, place) in enumerate(zip(nodes, places, strict=True))
        ]
        for pod in each:
            await use(pod, queries=1)

        assert [await used(pod) for pod in each] == [{"queries": 3}] * 3
        await pods.close()


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
