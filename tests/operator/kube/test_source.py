import asyncio
from typing import Any, cast

import pytest

from ringfence_operator.errors import ExpiredError, ForbiddenError, KubeError, NotFoundError
from ringfence_operator.kube.informer import Informer
from ringfence_operator.kube.source import LOOK_SECONDS, ApiSource, OptionalSource
from tests.operator.kube.sources import FakeSource, body, event

Raw = dict[str, Any]
GONE = NotFoundError("the server could not find the requested resource")
DENIED = ForbiddenError("may not list")


class Optional:
    """An optional source over scripts, and what it told of."""

    def __init__(self, listings: list[Any], watches: list[Any] | None = None) -> None:
        self.scripts = FakeSource(listings, watches)
        self.told: list[str] = []
        self.slept: list[float] = []
        self.source = OptionalSource(cast("ApiSource", self.scripts), on_change=self._tell, sleep=self._sleep)

    def _tell(self) -> None:
        self.told.append(self.source.missing)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def pages(self) -> list[Raw]:
        return [raw async for page, _ in self.source.pages() for raw in page]


async def test_a_kind_that_is_there_is_read_as_any_other() -> None:
    optional = Optional([(5, [body("a", 1)])], [[event("ADDED", body("b", 6))]])

    names = [raw["metadata"]["name"] for raw in await optional.pages()]
    events = [each["object"]["metadata"]["name"] async for each in optional.source.watch("5")]

    assert (names, events, optional.told, optional.scripts.watched_from) == (["a"], ["b"], [], ["5"])


@pytest.mark.parametrize("error", [GONE, DENIED])
async def test_a_kind_that_is_not_there_is_empty_and_looked_for_again(error: KubeError) -> None:
    optional = Optional([(0, [error])])

    found = await optional.pages()
    with pytest.raises(ExpiredError):
        await anext(optional.source.watch("0"))

    assert (found, optional.told, optional.slept) == ([], [str(error)], [LOOK_SECONDS])
    assert optional.scripts.watched_from == []


async def test_a_refusal_after_it_was_read_passes_and_takes_nothing_away() -> None:
    optional = Optional([(5, []), (0, [DENIED])], [[DENIED]])
    await optional.pages()

    with pytest.raises(ForbiddenError):
        await anext(optional.source.watch("5"))
    with pytest.raises(ForbiddenError):
        await optional.pages()

    assert optional.told == []


async def test_a_kind_that_goes_during_the_watch_is_looked_for() -> None:
    optional = Optional([(5, [])], [[GONE]])
    await optional.pages()

    with pytest.raises(ExpiredError):
        await anext(optional.source.watch("5"))


async def test_an_informer_is_synced_without_the_kind_and_follows_it_once_it_is_installed() -> None:
    optional = Optional([(0, [GONE]), (7, [body("a", 6)])])
    names: list[str] = []

    async def sleep(_: float) -> None: ...

    informer = Informer(
        optional.source, slim=lambda raw: str(raw["metadata"]["name"]), on_change=lambda it: names.append(it.key.name),
        sleep=sleep,
    )  # fmt: skip

    task = asyncio.create_task(informer.run())
    async with asyncio.timeout(5):
        await optional.scripts.idle.wait()
    task.cancel()

    assert informer.synced.is_set()
    assert names == ["a"]
    assert optional.told == [str(GONE), ""]
