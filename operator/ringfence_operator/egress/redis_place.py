"""Where the Redis is that sidecars share, how it is logged in to, and how a namespace's keys begin there."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ringfence_operator.egress.resp import Resp

SENTINEL, CLUSTER = "redis+sentinel", "redis+cluster"
SCHEMES = ("redis", "rediss", SENTINEL, CLUSTER)
_PORTS = {SENTINEL: 26_379}
_PORT = 6_379
_NAME_WORDS = 2
"""Of `name.namespace.svc`, those before the last."""

Place = tuple[str, int]


def prefix_of(namespace: str) -> str:
    """Return how the namespace's keys and channels begin; the braces keep them on one shard of Redis Cluster."""
    return f"rf:{{{namespace}}}:"


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
    sentinel: Path | None = None
    """A file with who may ask the Sentinel, likewise."""
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
        """Return the administrator's arguments of AUTH, none without a password. Raises OSError."""
        return _credentials(self.administrator)

    def sentinel_credentials(self) -> list[str]:
        """Return those that Sentinel asks for. Raises OSError."""
        return _credentials(self.sentinel) if self.sentinel else []


def _credentials(file: Path) -> list[str]:
    user, colon, password = file.read_text().strip().partition(":")
    return [user, password] if colon else [user] if user else []


async def logged_in(address: Place, place: RedisPlace) -> Resp:
    """Return a connection on which the administrator is logged in. Raises OSError."""
    return await _logged_in(address, place, place.credentials)


async def _at_sentinel(address: Place, place: RedisPlace) -> Resp:
    return await _logged_in(address, place, place.sentinel_credentials)


async def _logged_in(address: Place, place: RedisPlace, read: Callable[[], list[str]]) -> Resp:
    connection = await Resp.connect(*address, context=place.context())
    try:
        credentials = read()
        if credentials:
            await connection.ask("AUTH", *credentials)
    except BaseException:
        connection.close()
        raise
    return connection


async def master_of(place: RedisPlace) -> Place:
    """Return the server that Sentinel calls the master. Raises OSError."""
    last: OSError = ConnectionError("no Sentinel answers")
    for host in place.hosts:
        try:
            connection = await _at_sentinel(host, place)
            try:
                found = await connection.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", place.master)
            finally:
                connection.close()
        except OSError as error:
            last = error
            continue
        if found:
            return str(found[0]), int(found[1])
    raise last


async def told_by(host: Place, place: RedisPlace) -> set[Place]:
    """Return the servers that a Sentinel, or a node of a cluster, knows of. Raises OSError."""
    is_cluster = place.scheme == CLUSTER
    connection = await (logged_in(host, place) if is_cluster else _at_sentinel(host, place))
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
