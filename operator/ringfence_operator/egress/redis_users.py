"""A user for each namespace in the Redis that sidecars share: it reaches its own namespace's keys, and no others.

Users live on each server alone: neither a replica nor another shard has them from elsewhere, and one that starts empty
has lost them. So they are made on every server, and again on each new connection.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from ringfence_operator.egress.resp import Resp, RespError

LOOK_SECONDS = 1.0
"""How often servers are asked whether they are still there."""
LONGEST_SECONDS = 15.0
"""How seldom, at most, one is tried that cannot be reached."""
SENTINEL, CLUSTER = "redis+sentinel", "redis+cluster"
SCHEMES = ("redis", "rediss", SENTINEL, CLUSTER)
_PORTS = {SENTINEL: 26_379}
_PORT = 6_379
_NAME_WORDS = 2
"""Of `name.namespace.svc`, those before the last."""

COMMANDS = (
    *("get", "set", "mget", "del", "exists", "expire", "pexpire", "ttl", "pttl", "incr", "incrby"),
    *("eval", "evalsha", "script|load", "script|exists", "subscribe", "unsubscribe", "publish"),
    *("ping", "client|setname", "client|id", "command", "readonly", "asking"),
    *("cluster|slots", "cluster|shards", "cluster|nodes", "cluster|info", "cluster|myid"),
)
"""What a namespace's user may do; AUTH and HELLO need no permission."""
LATER_COMMANDS = ("client|setinfo",)
"""Likewise, where the server knows them: Redis refuses a user with a command that it does not know."""

Place = tuple[str, int]
Credential = Callable[[str], tuple[str, str] | None]
"""Returns user and password of a namespace; None while they are not known."""

log = structlog.get_logger()


def prefix_of(namespace: str) -> str:
    """Return how the namespace's keys and channels begin; the braces keep them on one shard of Redis Cluster."""
    return f"rf:{{{namespace}}}:"


def rights_of(namespace: str, password: str) -> list[str]:
    """Return what a namespace's user is made of, its password as a digest."""
    own = f"{prefix_of(namespace)}*"
    digest = sha256(password.encode()).hexdigest()
    return ["reset", "on", f"#{digest}", f"~{own}", f"&{own}", "-@all", *(f"+{each}" for each in COMMANDS)]


def with_addresses(url: str, address_of: Callable[[str, str], str]) -> str | None:
    """Return `url` with the address of each Service in place of its name; None if one has no address.

    `address_of` takes a Service's namespace and name.
    """
    parts = urlsplit(url)
    hosts = []
    for part in parts.netloc.split(","):
        host, colon, port = part.partition(":")
        words = host.split(".")
        if len(words) > _NAME_WORDS and words[2] == "svc":
            host = address_of(words[1], words[0])
            if not host:
                return None
        hosts.append(f"{host}{colon}{port}")
    return parts._replace(netloc=",".join(hosts)).geturl()


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisPlace:
    """Where the Redis is, and who may make users there."""

    url: str
    """Of one of SCHEMES, without credentials; the query `tls` has Sentinel and Cluster speak TLS."""
    administrator: Path
    """A file: user, colon and password, or the password of the default user alone; read at each connection."""
    authority: str = ""
    """PEM of the authority that certificates come from; empty means those that the system trusts."""

    @property
    def scheme(self) -> str:
        """One of SCHEMES."""
        return urlsplit(self.url).scheme

    @property
    def hosts(self) -> list[Place]:
        """The places that the URL names."""
        usual = _PORTS.get(self.scheme, _PORT)
        parts = urlsplit(self.url).netloc.split(",")
        found = [part.rpartition(":") if ":" in part else (part, ":", str(usual)) for part in parts]
        return [(host.strip("[]"), int(port)) for host, _, port in found]

    @property
    def master(self) -> str:
        """How Sentinel calls the server."""
        return urlsplit(self.url).path.strip("/").partition("/")[0]

    def context(self) -> ssl.SSLContext | None:
        """Return what TLS is made with, None without."""
        if self.scheme != "rediss" and urlsplit(self.url).query != "tls":
            return None
        return ssl.create_default_context(cadata=self.authority or None)

    def credentials(self) -> list[str]:
        """Return the arguments of AUTH, none without a password. Raises OSError."""
        user, colon, password = self.administrator.read_text().strip().partition(":")
        return [user, password] if colon else [user] if user else []


class RedisUsers:
    """Makes users while this replica leads: `run` it then. `configuration` is what a namespace's sidecars are told."""

    def __init__(self, place: RedisPlace, credential: Credential) -> None:
        self._place: Final = place
        self._credential: Final = credential
        self._wanted: dict[str, None] = {}
        self._news: Final = asyncio.Event()
        self._servers: dict[Place, _Server] = {}

    def configuration(self, namespace: str) -> Mapping[str, Any] | None:
        """Return the namespace's Redis as the sidecar decodes it, and have its user made; None while it has none."""
        credential = self._credential(namespace)
        if credential is None:
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

    async def _look(self) -> None:
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
                found = await _told_by(host, self._place)
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
                self._connection = await _logged_in(self._address, self._place)
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


async def _logged_in(address: Place, place: RedisPlace) -> Resp:
    connection = await Resp.connect(*address, context=place.context())
    try:
        credentials = place.credentials()
        if credentials:
            await connection.ask("AUTH", *credentials)
    except BaseException:
        connection.close()
        raise
    return connection


async def _told_by(host: Place, place: RedisPlace) -> set[Place]:
    """Return the servers that a Sentinel, or a node of a cluster, knows of. Raises OSError."""
    is_cluster = place.scheme == CLUSTER
    connection = await (_logged_in(host, place) if is_cluster else Resp.connect(*host, context=place.context()))
    try:
        if is_cluster:
            return _nodes(str(await connection.ask("CLUSTER", "NODES")), host)
        master = await connection.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", place.master)
        replicas = await connection.ask("SENTINEL", "REPLICAS", place.master)
    finally:
        connection.close()
    pairs = [dict(zip(each[::2], each[1::2], strict=False)) for each in replicas or ()]
    found = {(str(each["ip"]), int(each["port"])) for each in pairs if "down" not in each.get("flags", "")}
    return found | ({(str(master[0]), int(master[1]))} if master else set())


def _nodes(text: str, host: Place) -> set[Place]:
    """Return the places that CLUSTER NODES tells of; a node that does not know its own address is `host`."""
    found = set()
    for line in text.splitlines():
        words = line.split(" ")
        flags = words[2].split(",")
        if "fail" in flags or "noaddr" in flags or "handshake" in flags:
            continue
        address, _, port = words[1].partition("@")[0].rpartition(":")
        found.add((address or host[0], int(port)))
    return found
