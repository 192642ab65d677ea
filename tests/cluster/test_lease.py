import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ringfence_operator.errors import NotLeaderError
from ringfence_operator.kube.client import Client
from ringfence_operator.kube.lease import LeaderElector
from tests.cluster.wire import credentials_from, wire_to

pytestmark = pytest.mark.cluster

FAILOVER_SECONDS = 15


class Candidate:
    """An elector in this process and the moments at which it gained and lost."""

    def __init__(self, client: Client, namespace: str, name: str, identity: str) -> None:
        self.elector = LeaderElector(client, namespace, name, identity)
        self.gained, self.lost = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Candidate"]:
        task = asyncio.create_task(self.elector.run(on_gained=self.gained.set, on_lost=self.lost.set))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def lease() -> str:
    return f"lease-{secrets.token_hex(4)}"


@pytest.fixture
async def client(kubeconfig: Path) -> AsyncIterator[Client]:
    async with Client(credentials_from(kubeconfig)) as client:
        yield client


async def test_a_killed_leader_is_followed_in_time(
    kubeconfig: Path, namespace: str, client: Client, lease: str
) -> None:
    command = [sys.executable, "-m", "tests.cluster.lease_holder", str(kubeconfig), namespace, lease]
    leader = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert leader.stdout is not None
    assert await asyncio.wait_for(leader.stdout.readline(), 15) == b"gained\n"
    follower = Candidate(client, namespace, lease, "follower")

    async with follower.running():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(follower.gained.wait(), 4)  # longer than a renewal takes
        leader.kill()
        await leader.wait()
        killed = time.monotonic()
        await asyncio.wait_for(follower.gained.wait(), FAILOVER_SECONDS)
        took = time.monotonic() - killed

    assert took > 5, "the lease was not respected"


async def test_a_leader_that_stops_hands_over_at_once(namespace: str, client: Client, lease: str) -> None:
    first = Candidate(client, namespace, lease, "first")
    second = Candidate(client, namespace, lease, "second")

    async with first.running():
        await asyncio.wait_for(first.gained.wait(), 5)
    async with second.running():
        await asyncio.wait_for(second.gained.wait(), 2)


async def test_a_leader_cut_off_from_the_server_stops_writing_before_the_next_one_starts(
    kubeconfig: Path, namespace: str, client: Client, lease: str
) -> None:
    async with wire_to(credentials_from(kubeconfig)) as (wire, over_wire), Client(over_wire) as cut_off:
        first = Candidate(cut_off, namespace, lease, "first")
        second = Candidate(client, namespace, lease, "second")
        async with first.running():
            await asyncio.wait_for(first.gained.wait(), 5)
            async with second.running():
                await wire.cut()
                await asyncio.wait_for(first.lost.wait(), FAILOVER_SECONDS)
                second_had_begun = second.gained.is_set()
                await asyncio.wait_for(second.gained.wait(), FAILOVER_SECONDS)

    assert not second_had_begun


async def test_only_the_leader_writes(kubeconfig: Path, namespace: str, client: Client, lease: str) -> None:
    candidate = Candidate(client, namespace, lease, "only")
    collection = f"/api/v1/namespaces/{namespace}/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": lease}}

    async with Client(credentials_from(kubeconfig), fence=candidate.elector.remaining) as fenced:
        with pytest.raises(NotLeaderError):
            await fenced.create(collection, body)
        async with candidate.running():
            await asyncio.wait_for(candidate.gained.wait(), 5)
            await fenced.create(collection, body)
        with pytest.raises(NotLeaderError):
            await fenced.delete(f"{collection}/{lease}")

    assert (await client.get(f"{collection}/{lease}"))["metadata"]["name"] == lease
