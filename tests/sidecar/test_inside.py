import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ringfence_sidecar.configuration import Inside
from ringfence_sidecar.inside import Look
from tests.backends.waiting import eventually

NOBODY = "127.0.0.1:9"
"""The discard port: nothing listens there."""


@asynccontextmanager
async def listening() -> AsyncIterator[str]:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


@asynccontextmanager
async def looking(look: Look) -> AsyncIterator[None]:
    task = asyncio.create_task(look.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_canary_that_is_reached_means_that_the_pod_is_not_closed() -> None:
    async with listening() as server:
        for canary, closed in ((server, False), (NOBODY, True)):
            look = Look(canary=canary, way_out="")
            await look.look_for_canary()
            assert look.finding == Inside(closed=closed)


async def test_a_way_out_that_opens_later_is_found_open_and_told() -> None:
    heard = []
    async with listening() as server:
        port = server.rpartition(":")[2]
    look = Look(canary=NOBODY, way_out=f"127.0.0.1:{port}")
    look.on_change = lambda: heard.append(look.finding)

    async with looking(look):
        await eventually(lambda: look.finding is not None, what="looked")
        later = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", int(port))
        async with later:
            await eventually(lambda: look.finding == Inside(closed=True, way_out=True), what="open")

    assert heard == [Inside(closed=True, way_out=False), Inside(closed=True, way_out=True)]


async def test_a_way_out_that_misses_once_is_not_told_to_be_closed() -> None:
    async with listening() as server:
        look = Look(canary=NOBODY, way_out=server)
        await look.look_for_canary()
        await look.look_for_way_out()
    seen = []
    for _ in range(3):
        await look.look_for_way_out()
        seen.append(look.finding)

    assert [each.way_out for each in seen if each] == [True, True, False]


async def test_without_a_canary_nothing_is_looked_at() -> None:
    look = Look(canary="", way_out=NOBODY)

    await look.run()

    assert look.finding is None
