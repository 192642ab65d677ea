"""Clients for each kind of Redis that a URL may name. Nothing is imported of the library where there is no Redis."""

from typing import Any, cast
from urllib.parse import urlsplit

from ringfence_sidecar.configuration import Redis

CONNECT_SECONDS = 1.0
_CONNECTIONS = 16
_SENTINEL, _CLUSTER = "redis+sentinel", "redis+cluster"


def connect(configuration: Redis) -> list[Any]:
    """Return a client for the URL's kind of Redis, and what is to be closed after it; nothing is sent yet."""
    url = urlsplit(configuration.url)
    common: dict[str, Any] = {
        "username": configuration.username or None,
        "password": configuration.password or None,
        "socket_connect_timeout": CONNECT_SECONDS,
        # Two round trips less for each connection, and two rights less for the namespace's user.
        "driver_info": None,
        "protocol": 2,
    }
    if url.scheme == "rediss" or url.query == "tls":
        common |= {"ssl": True, "ssl_ca_data": configuration.authority or None}
    database = int(url.path.rpartition("/")[2] or 0) if url.scheme != _CLUSTER else 0
    if url.scheme == _CLUSTER:
        return [_cluster(url.netloc, common)]
    if url.scheme == _SENTINEL:
        watchers = common | {
            "username": configuration.sentinel_username or None,
            "password": configuration.sentinel_password or None,
        }
        return _sentinel(url.netloc, url.path.strip("/").partition("/")[0], common, watchers)
    from redis.asyncio import Redis as Client  # noqa: PLC0415 - only where there is a Redis
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    place: dict[str, Any] = {"host": url.hostname or "localhost", "port": url.port or 6379, "db": database}
    return [Client(max_connections=_CONNECTIONS, retry=Retry(NoBackoff(), 0), **place, **common)]


async def evicting(client: Any, prefix: str) -> str:
    """Return the policy by which the server that has the keys throws away what has no end; empty if it does not.

    Raises as the library does, and if the user may not ask.
    """
    where = {}
    if hasattr(client, "get_node_from_key"):
        await client.initialize()
        where = {"target_nodes": client.get_node_from_key(prefix)}
    memory = await client.info("memory", **where)
    policy = str(memory.get("maxmemory_policy", ""))
    return policy if memory.get("maxmemory") and policy.startswith("allkeys-") else ""


def _cluster(netloc: str, common: dict[str, Any]) -> Any:
    from redis.asyncio.cluster import ClusterNode, RedisCluster  # noqa: PLC0415

    nodes = [ClusterNode(host, port) for host, port in _hosts(netloc, 6379)]
    return RedisCluster(startup_nodes=nodes, max_connections=_CONNECTIONS, **common)


def _sentinel(netloc: str, name: str, common: dict[str, Any], watchers: dict[str, Any]) -> list[Any]:
    from redis.asyncio.sentinel import Sentinel  # noqa: PLC0415

    sentinel: Any = cast("Any", Sentinel)(_hosts(netloc, 26379), sentinel_kwargs=watchers, **common)
    client = sentinel.master_for(name)
    return [client, client.connection_pool, *sentinel.sentinels]


def _hosts(netloc: str, port: int) -> list[tuple[str, int]]:
    found = [part.rpartition(":") if ":" in part else (part, ":", str(port)) for part in netloc.split(",")]
    return [(host, int(number)) for host, _, number in found]
