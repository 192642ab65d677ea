import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ringfence_operator.errors import AlreadyExistsError, ExpiredError
from ringfence_operator.kube.client import Client
from ringfence_operator.kube.informer import Informer, Source
from ringfence_operator.kube.source import ApiSource
from tests.cluster.wire import Wire, credentials_from, wire_to

pytestmark = pytest.mark.cluster


@dataclass
class Scene:
    """ConfigMaps that only this test knows, written directly and watched over a wire that may be cut."""

    writer: Client
    reader: Client
    wire: Wire
    namespace: str
    mark: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps"

    @property
    def source(self) -> ApiSource:
        return ApiSource(client=self.reader, path=self.path, label_selector=f"test={self.mark}", page_size=2)

    async def write(self, name: str, text: str = "") -> dict[str, Any]:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{name}-{self.mark}", "labels": {"test": self.mark}},
            "data": {"text": text},
        }
        try:
            return await self.writer.create(self.path, body)
        except AlreadyExistsError:
            return await self.writer.merge_patch(f"{self.path}/{name}-{self.mark}", body)

    async def delete(self, name: str) -> None:
        await self.writer.delete(f"{self.path}/{name}-{self.mark}")


@pytest.fixture
async def scene(kubeconfig: Path, namespace: str) -> AsyncIterator[Scene]:
    credentials = credentials_from(kubeconfig)
    async with (
        wire_to(credentials) as (wire, over_wire),
        Client(credentials) as writer,
        Client(over_wire) as reader,
    ):
        yield Scene(writer, reader, wire, namespace)


class Follower:
    """What an informer holds of the scene, by short name, and what it reported."""

    def __init__(self, source: Source) -> None:
        self.told: list[str] = []
        self._changed = asyncio.Event()
        self.informer: Informer[str] = Informer(
            source, slim=lambda raw: str(raw["data"]["text"]), on_change=lambda change: self._tell(change.key.name)
        )

    def _tell(self, name: str) -> None:
        self.told.append(name.partition("-")[0])
        self._changed.set()

    @property
    def texts(self) -> dict[str, str]:
        return {key.name.partition("-")[0]: text for key, text in self.informer.cache.items()}

    async def wait_until(self, fulfilled: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not fulfilled():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def following(source: Source) -> AsyncIterator[Follower]:
    follower = Follower(source)
    task = asyncio.create_task(follower.informer.run())
    try:
        await asyncio.wait_for(follower.informer.synced.wait(), 15)
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Forgetful:
    """A source whose server has forgotten, by the second watch, everything since the first."""

    def __init__(self, source: ApiSource) -> None:
        self._source = source
        self._watches = 0

    def pages(self) -> AsyncGenerator[tuple[list[dict[str, Any]], str], None]:
        return self._source.pages()

    async def watch(self, version: str) -> AsyncGenerator[dict[str, Any], None]:
        self._watches += 1
        if self._watches == 2:
            raise ExpiredError("too old resource version")
        async with aclosing(self._source.watch(version)) as events:
            async for event in events:
                yield event


async def test_the_cache_follows_creation_change_and_deletion(scene: Scene) -> None:
    for name in "abc":
        await scene.write(name, "1")

    async with following(scene.source) as follower:
        listed = follower.texts
        await scene.write("a", "2")
        await scene.delete("b")
        await scene.write("d", "1")
        await follower.wait_until(lambda: "d" in follower.texts)

        assert listed == {"a": "1", "b": "1", "c": "1"}
        assert follower.texts == {"a": "2", "c": "1", "d": "1"}
        assert sorted(follower.told[:3]) == ["a", "b", "c"]
        assert follower.told[3:] == ["a", "b", "d"]


async def test_what_happens_while_the_server_is_out_of_reach_is_caught_up(scene: Scene) -> None:
    for name in "ab":
        await scene.write(name, "1")

    async with following(scene.source) as follower:
        await scene.wire.cut()
        await scene.delete("a")
        await scene.write("b", "2")
        await scene.wire.mend()
        await follower.wait_until(lambda: follower.texts == {"b": "2"})

        assert follower.told[2:] == ["a", "b"]


async def test_a_deletion_that_the_server_has_forgotten_is_reported(scene: Scene) -> None:
    for name in "ab":
        await scene.write(name, "1")

    async with following(Forgetful(scene.source)) as follower:
        await scene.wire.cut()
        await scene.delete("a")
        await scene.wire.mend()
        await follower.wait_until(lambda: "a" not in follower.texts)

        assert follower.told[2:] == ["a"]


async def test_an_object_recreated_while_out_of_reach_is_reported(scene: Scene) -> None:
    await scene.write("a", "1")

    async with following(Forgetful(scene.source)) as follower:
        await scene.wire.cut()
        await scene.delete("a")
        await scene.write("a", "1")
        await scene.wire.mend()
        await follower.wait_until(lambda: len(follower.told) > 1)

        assert follower.told == ["a", "a"]


async def test_an_object_that_loses_its_label_leaves_the_cache(scene: Scene) -> None:
    await scene.write("a", "1")

    async with following(scene.source) as follower:
        await scene.writer.merge_patch(f"{scene.path}/a-{scene.mark}", {"metadata": {"labels": {"test": None}}})
        await follower.wait_until(lambda: not follower.texts)

    assert follower.told == ["a", "a"]


async def test_the_answer_to_a_write_is_seen_at_once_and_reported_once(scene: Scene) -> None:
    async with following(scene.source) as follower:
        follower.informer.store(await scene.write("a", "1"))
        at_once = follower.texts
        await scene.write("b", "1")
        await follower.wait_until(lambda: "b" in follower.texts)

    assert at_once == {"a": "1"}
    assert follower.told == ["a", "b"]
