"""Finds the server that has the namespace's keys, and asks it what has to be known before anything is counted there."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import SplitResult, urlsplit

from ringfence_sidecar.configuration import Redis
from ringfence_sidecar.quotas.scripts import TEXTS
from ringfence_sidecar.quotas.wire import RedisError, Wire, packed

T = TypeVar("T")

CONNECT_SECONDS: Final = 1.0
_SENTINEL, _CLUSTER = "redis+sentinel", "redis+cluster"
_REDIRECTIONS = 3
_RUN = re.compile(rb"^run_id:(\w+)", re.MULTILINE)
_KEEPS = re.compile(rb"^aof_enabled:1", re.MULTILINE)
_LIMITED = re.compile(rb"^maxmemory:[1-9]", re.MULTILINE)
_EVICTS = re.compile(rb"^maxmemory_policy:(?!noeviction)(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Server:
    """A server, as long as the connection to it lasts."""

    wire: Wire
    run: bytes
    """Its run id: another one for each start of a server."""
    keeps: bool
    """Whether it writes each command to its disk: then what it has after a restart is what it had."""
    evicts: str = ""
    """The policy by which it throws keys away when its memory is full; empty if it does not."""


async def connected(redis: Redis, on_lost: Callable[[Wire], None]) -> Server:
    """Return a connection to the server that has the keys. Raises OSError, TimeoutError."""
    url = urlsplit(redis.url)
    context = _context(redis, url)
    async with asyncio.timeout(CONNECT_SECONDS):
        places = _places(url)
        if url.scheme == _SENTINEL:
            places = [await _first(places, lambda *place: _master(redis, place, url, context))]
        return await _first(places, lambda *place: _opened(redis, place, url, context, on_lost))


async def _first(places: list[tuple[str, int]], ask: Callable[[str, int], Awaitable[T]]) -> T:
    last: OSError = OSError("no place to connect to")
    for place in places:
        try:
            return await ask(*place)
        except OSError as error:
            last = error
    raise last


async def _opened(
    redis: Redis,
    place: tuple[str, int],
    url: SplitResult,
    context: ssl.SSLContext | None,
    on_lost: Callable[[Wire], None],
) -> Server:
    for _ in range(_REDIRECTIONS):
        wire = await _connect(place, context, on_lost)
        try:
            await _log_in(wire, redis.username, redis.password)
            await _select(wire, url)
            told = await _where(wire, redis)
            if told is None:
                return await _asked(wire)
            wire.close()
            place = told[0] or place[0], told[1]
        except BaseException:
            wire.close()
            raise
    raise RedisError("the cluster sends from one node to the next")


async def _connect(
    place: tuple[str, int], context: ssl.SSLContext | None, on_lost: Callable[[Wire], None] = lambda _: None
) -> Wire:
    loop = asyncio.get_running_loop()
    name = place[0] if context is not None else None
    _, wire = await loop.create_connection(lambda: Wire(on_lost), *place, ssl=context, server_hostname=name)
    return wire


async def _log_in(wire: Wire, username: str, password: str) -> None:
    if password:
        user = (username.encode(),) if username else ()
        await wire.ask(packed(b"AUTH", *user, password.encode()))


async def _select(wire: Wire, url: SplitResult) -> None:
    database = url.path.rpartition("/")[2] if url.scheme != _CLUSTER else ""
    if database.isdigit() and int(database):
        await wire.ask(packed(b"SELECT", database.encode()))


async def _where(wire: Wire, redis: Redis) -> tuple[str, int] | None:
    """Return the node of a cluster that has the keys; None if it is this one."""
    try:
        await wire.ask(packed(b"EXISTS", f"{redis.prefix}quota:epoch".encode()))
    except RedisError as error:
        kind, _, place = str(error).partition(" ")
        if kind != "MOVED":
            raise
        host, _, port = place.rpartition(" ")[2].rpartition(":")
        return host, int(port)
    return None


async def _asked(wire: Wire) -> Server:
    about = [wire.ask(packed(b"INFO", section)) for section in (b"server", b"persistence", b"memory")]
    loads = [wire.ask(packed(b"SCRIPT", b"LOAD", text)) for text in TEXTS.values()]
    server, persistence, memory, *_ = await asyncio.gather(*about, *loads)
    run = _RUN.search(server)
    if run is None:
        raise RedisError("INFO server has no run_id")
    evicts = _EVICTS.search(memory) if _LIMITED.search(memory) else None
    return Server(wire, run[1], _KEEPS.search(persistence) is not None, evicts[1].decode() if evicts else "")


async def _master(
    redis: Redis, place: tuple[str, int], url: SplitResult, context: ssl.SSLContext | None
) -> tuple[str, int]:
    name = url.path.strip("/").partition("/")[0]
    wire = await _connect(place, context)
    try:
        await _log_in(wire, redis.sentinel_username, redis.sentinel_password)
        found = await wire.ask(packed(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", name.encode()))
    finally:
        wire.close()
    if not found:
        raise RedisError(f"the sentinel knows no {name!r}")
    return found[0].decode(), int(found[1])


def _context(redis: Redis, url: SplitResult) -> ssl.SSLContext | None:
    if url.scheme != "rediss" and url.query != "tls":
        return None
    return ssl.create_default_context(cadata=redis.authority or None)


def _places(url: SplitResult) -> list[tuple[str, int]]:
    usual = 26_379 if url.scheme == _SENTINEL else 6_379
    parts = [part.rpartition(":") if ":" in part else (part, ":", str(usual)) for part in url.netloc.split(",")]
    return [(host.strip("[]") or "localhost", int(port)) for host, _, port in parts]
