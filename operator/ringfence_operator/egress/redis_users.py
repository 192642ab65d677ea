"""A user for each namespace in the Redis that sidecars share: it reaches its own namespace's keys, and no others.

Users live on each server alone: neither a replica nor another shard has them from elsewhere, and one that starts empty
has lost them. So they are made on every server, and again on each new connection.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

import structlog

from ringfence_operator.egress.redis_place import CLUSTER, SENTINEL, Place, RedisPlace, logged_in, prefix_of, told_by
from ringfence_operator.egress.resp import Resp, RespError

LOOK_SECONDS = 1.0
"""How often servers are asked whether they are still there."""
LONGEST_SECONDS = 15.0
"""How seldom, at most, one is tried that cannot be reached."""

COMMANDS = (
    *("get", "set", "mget", "del", "exists", "expire", "pexpire", "ttl", "pttl", "incr", "incrby"),
    *("hget", "hmget", "hgetall", "hscan", "hset", "hdel", "hincrby", "hincrbyfloat"),
    *("sadd", "srem", "scard", "zadd", "zrem", "zscore", "zrange", "zrangebyscore", "zrevrange"),
    *("persist", "time", "info|server", "info|persistence", "info|memory"),
    *("eval", "evalsha", "script|load", "script|exists", "subscribe", "unsubscribe", "publish"),
    *("ping", "client|setname", "client|id", "command", "readonly", "asking"),
    *("cluster|slots", "cluster|shards", "cluster|nodes", "cluster|info", "cluster|myid"),
)
"""What a namespace's user may do; AUTH and HELLO need no permission. Of INFO, what tells nothing of others' keys."""
LATER_COMMANDS = ("client|setinfo",)
"""Likewise, where the server knows them: Redis refuses a user with a command that it does not know."""

Credential = Callable[[str], tuple[str, str] | None]
"""Returns user and password of a namespace; None while they are not known."""

log = structlog.get_logger()


def rights_of(namespace: str, password: str) -> list[str]:
    """Return what a namespace's user is made of, its password as a digest."""
    own = f"{prefix_of(namespace)}*"
    digest = sha256(password.encode()).hexdigest()
    return ["reset", "on", f"#{digest}", f"~{own}", f"&{own}", "-@all", *(f"+{each}" for each in COMMANDS)]


class RedisUsers:
    """Makes users while this replica leads: `run` it then. `configuration` is what a namespace's sidecars are told.

    `on_change` hears when that is another credential for Sentinel than before.
    """

    def __init__(
        self, place: RedisPlace, credential: Credential, *, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._place: Final = place
        self._credential: Final = credential
        self._on_change: Final = on_change
        self._lacks_sentinel = False
        self._sentinel = self._read_sentinel()
        self._wanted: dict[str, None] = {}
        self._news: Final = asyncio.Event()
        self._servers: dict[Place, _Server] = {}

    def configuration(self, namespace: str) -> Mapping[str, Any] | None:
        """Return the namespace's Redis as the sidecar decodes it, and have its user made; None while it has none."""
        credential = self._credential(namespace)
        if credential is None or (self._place.scheme == SENTINEL and not self._sentinel):
            return None
        if namespace not in self._wanted:
            self._wanted[namespace] = None
            self._news.set()
        user, password = credential
        return {
            "url": self._place.url,
            "username": user,
            "password": password,
            "prefix": prefix_of(namespace),
            "authority": self._place.authority,
            **({"sentinelUsername": self._sentinel[0]} if len(self._sentinel) > 1 else {}),
            **({"sentinelPassword": self._sentinel[-1]} if self._sentinel else {}),
        }

    async def run(self) -> None:
        """Have every namespace's user on every server until cancelled."""
        try:
            while True:
                self._news.clear()
                await self._look()
                try:
                    await asyncio.wait_for(self._news.wait(), LOOK_SECONDS)
                except TimeoutError:
                    continue
        finally:
            for server in self._servers.values():
                server.close()
            self._servers.clear()

    def _read_sentinel(self) -> list[str]:
        """Return who may ask Sentinel; nobody if the file cannot be read, since its Secret may come later."""
        try:
            found = self._place.sentinel_credentials()
        except OSError as error:
            if not self._lacks_sentinel:
                log.warning("redis.sentinel_credential_unreadable", error=type(error).__name__)
            self._lacks_sentinel = True
            return []
        self._lacks_sentinel = False
        return found

    async def _look(self) -> None:
        fresh = await asyncio.to_thread(self._read_sentinel)
        if fresh != self._sentinel:
            self._sentinel = fresh
            self._on_change()
        places = await self._places()
        for gone in self._servers.keys() - places:
            self._servers.pop(gone).close()
        for place in places - self._servers.keys():
            self._servers[place] = _Server(place, self._place)
        rights = {}
        for namespace in self._wanted:
            credential = self._credential(namespace)
            if credential is not None:
                rights[credential[0]] = rights_of(namespace, credential[1])
        await asyncio.gather(*(server.have(rights) for server in self._servers.values()))

    async def _places(self) -> set[Place]:
        """Return where the servers are; the ones that were known, if nobody tells."""
        if self._place.scheme not in (SENTINEL, CLUSTER):
            return set(self._place.hosts)
        for host in [*self._place.hosts, *self._servers]:
            try:
                found = await told_by(host, self._place)
            except OSError as error:
                log.debug("redis.does_not_tell", error=type(error).__name__)
                continue
            if found:
                return found
        return set(self._servers) or (set(self._place.hosts) if self._place.scheme == CLUSTER else set())


class _Server:
    """One server, and which users it has."""

    def __init__(self, address: Place, place: RedisPlace) -> None:
        self._address: Final = address
        self._place: Final = place
        self._connection: Resp | None = None
        self._made: dict[str, list[str]] = {}
        self._failures = 0
        self._next = 0.0

    async def have(self, rights: Mapping[str, list[str]]) -> None:
        """Have these users there; what cannot be done now is done later."""
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return
        try:
            if self._connection is None:
                self._connection = await logged_in(self._address, self._place)
                self._made.clear()
                log.info("redis.connected", host=self._address[0], port=self._address[1])
            await self._make(self._connection, rights)
        except OSError as error:
            self.close()
            self._failures += 1
            self._next = now + min(LONGEST_SECONDS, LOOK_SECONDS * 2 ** min(self._failures - 1, 8))
            if self._failures == 1:
                said = str(error) if isinstance(error, RespError) else type(error).__name__
                log.warning("redis.away", host=self._address[0], port=self._address[1], error=said)
        else:
            self._failures, self._next = 0, 0.0

    async def _make(self, connection: Resp, rights: Mapping[str, list[str]]) -> None:
        there = set(await connection.ask("ACL", "USERS"))
        for user, wanted in rights.items():
            if user not in there or self._made.get(user) != wanted:
                await connection.ask("ACL", "SETUSER", user, *wanted)
                for command in LATER_COMMANDS:
                    with suppress(RespError):
                        await connection.ask("ACL", "SETUSER", user, f"+{command}")
                self._made[user] = wanted
                log.info("redis.user_made", user=user, host=self._address[0], port=self._address[1])

    def close(self) -> None:
        """Let go of it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
