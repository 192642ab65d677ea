"""Every kind of Redis that a configuration may name."""

import asyncio
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.backends import redis_sentinel
from tests.backends.certificates import issue
from tests.backends.redis_sentinel import running_sentinel
from tests.backends.redis_server import ADMINISTRATOR, running_redis
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


async def test_a_sentinel_says_which_server_it_is_to_who_may_ask(tmp_path: Path, pods: Pods) -> None:
    with running_redis(tmp_path) as server, running_sentinel(tmp_path, server) as port:
        url = f"redis+sentinel://127.0.0.1:{port}/main/0"
        who = {"sentinel_username": redis_sentinel.USER, "sentinel_password": redis_sentinel.PASSWORD}
        pod = await pods.pod(server.configuration(url=url, **who), limit(most=5))
        stranger = await pods.pod(server.configuration(url=url), limit(most=5), joins=False)

        await use(pod, queries=2)

        assert await used(pod) == {"queries": 2}
        assert (await refused(stranger, queries=1)).reason == "QuotaStoreUnavailable"
        with server.client() as client:
            assert client.exists("rf:{team-a}:quota:epoch")
        await pods.close()


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
