"""What the operator's control server hands to a sidecar: JSON, decoded and checked here once, immutable after."""

from pathlib import Path
from typing import Any

import msgspec


class _Wire(msgspec.Struct, frozen=True, rename="camel"):
    """JSON in camelCase. Unknown fields are ignored: the operator may be a minor version ahead."""


class Agent(_Wire, frozen=True, kw_only=True):
    """The agent whose pod this is."""

    namespace: str
    name: str
    uid: str
    generation: int = 0


class Endpoint(_Wire, frozen=True, kw_only=True):
    """One place where a backend can be had."""

    name: str
    host: str
    """What the backend calls itself: for TLS, for Host, for CONNECT."""
    port: int
    address: str = ""
    """Where to connect instead of resolving `host`: a Service's address, or the gateway's TCP listener.

    Where it is empty, the way is CONNECT through the Connector's `proxy`.
    """
    address_port: int = 0
    """Port at `address`; 0 means `port`."""
    tls: bool = True
    priority: int = 0
    """Lower is tried first."""
    weight: int = 1
    """Share among the endpoints of one priority."""
    settings: dict[str, Any] = {}
    """The kind's own: `account` and `warehouse` for Snowflake, `virtualHost` for RabbitMQ."""


class Auth(_Wire, frozen=True, kw_only=True):
    """How to log in. Secrets are files: `directory` is the mounted Secret, `files` maps a purpose to a key of it."""

    method: str
    """keyPair, password, oauthClientCredentials, programmaticAccessToken, workloadIdentity, or none."""
    directory: str = ""
    files: dict[str, str] = {}
    settings: dict[str, Any] = {}
    """What is no secret, such as `user` and `tokenUrl`."""

    def read(self, purpose: str) -> bytes:
        """Return the file's bytes as they are now: a Secret rotates in place. Raises OSError, KeyError."""
        return (Path(self.directory) / self.files[purpose]).read_bytes()


class CachePolicy(_Wire, frozen=True, kw_only=True):
    """How long a connector's answers are kept, in seconds; a ttl of 0 keeps none."""

    ttl_seconds: float = 0
    stale_while_revalidate_seconds: float = 0
    stale_if_error_seconds: float = 0
    max_entry_bytes: int = 1_048_576


class HealthCheck(_Wire, frozen=True, kw_only=True):
    """How often each endpoint is looked at, in seconds."""

    interval_seconds: float = 10
    timeout_seconds: float = 5


class Proxy(_Wire, frozen=True, kw_only=True):
    """The port set of the connector on the egress gateway: HTTP CONNECT, with a credential only sidecars hold."""

    host: str
    port: int
    username: str
    password: str


class Connector(_Wire, frozen=True, kw_only=True):
    """One backend, as bound to this agent."""

    name: str
    uid: str
    generation: int
    kind: str
    """`snowflake`, `rabbitmq`, or the name of a third party's entry point."""
    endpoints: tuple[Endpoint, ...]
    auth: Auth
    settings: dict[str, Any] = {}
    permissions: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    """Besides the kind's own: `timeoutSeconds` (longest call), `concurrency` (calls at once)."""
    cache: CachePolicy = CachePolicy()
    health_check: HealthCheck = HealthCheck()
    proxy: Proxy | None = None


class Redis(_Wire, frozen=True, kw_only=True):
    """The shared cache. The user may touch keys under `prefix` only."""

    url: str
    """redis://, rediss://, redis+sentinel:// or redis+cluster://, without credentials."""
    username: str
    password: str
    prefix: str
    """`rf:{namespace}:`: the braces keep a namespace's keys on one shard of Redis Cluster."""
    authority: str = ""
    """PEM of the CA for rediss."""
    sentinel_username: str = ""
    """Who asks Sentinel, which knows users of its own; empty for its default user."""
    sentinel_password: str = ""


class LocalCache(_Wire, frozen=True, kw_only=True):
    """The in-process layer."""

    eviction: str = "LRU"
    """LRU, LFU or TTL."""
    max_bytes: int = 16_777_216


class Values(_Wire, frozen=True, kw_only=True):
    """What agents may keep in the cache for themselves."""

    enabled: bool = True
    shared_as: str = ""
    """Agents with the same name here, in one namespace, share their values; empty means the agent's own."""
    max_bytes: int = 1_048_576
    max_ttl_seconds: float = 86_400


class AuditStream(_Wire, frozen=True, kw_only=True):
    """The RabbitMQ stream that audit lines go to, where the pod was made to send them to one."""

    address: str
    """Empty while the operator does not know it."""
    port: int
    virtual_host: str
    name: str
    username: str
    password: str


class Limit(_Wire, frozen=True, kw_only=True):
    """A limit of a Quota that holds for the agent and that sidecars keep."""

    quota: str
    """Name of the Quota."""
    quota_uid: str
    """Empty for a Quota that the agent names and that does not exist: nothing may be used then."""
    resource: str
    max: float
    window: str = "None"
    """None, Second, Minute, Hour, Day or Month."""
    calendar: bool = False
    """True for whole windows of the calendar in UTC; False for any span as long."""
    shared: bool = False
    """True for one that all agents of the quota have together."""
    enforcement: str = "Hard"
    """Hard, Soft or Warn."""
    soft_deadline_seconds: float = 30
    on_store_unavailable: str = ""
    """Deny, Local or Allow; empty for Deny where a call writes or costs, Local where it reads, Allow for Warn."""
    warn_at: tuple[int, ...] = ()
    """Percentages of `max`."""
    agents: int = 1
    """How many agents the quota holds for: a pod's share while the store is away."""


class Configuration(_Wire, frozen=True, kw_only=True):
    """All that a sidecar has from the operator."""

    version: str
    """Opaque; what the next long poll is to differ from."""
    agent: Agent
    connectors: tuple[Connector, ...] = ()
    redis: Redis | None = None
    local_cache: LocalCache = LocalCache()
    values: Values = Values()
    collector_token: str = ""
    """Shown to the collector of traces and audit lines."""
    audit_stream: AuditStream | None = None
    limits: tuple[Limit, ...] = ()
    """By quota's name, resource, window."""
    others: tuple[Limit, ...] = ()
    """Those that hold for the agent as well, and that node, operator and gateway keep."""


class Inside(_Wire, frozen=True, kw_only=True):
    """What the pod's network is like from inside."""

    closed: bool
    """True if the canary, which nothing permits, could not be reached."""
    way_out: bool | None = None
    """Whether the policy's port set on the egress gateway answers; None without one."""


class LimitUse(_Wire, frozen=True, kw_only=True):
    """What this pod has used of a limit, for a status where no shared store says it."""

    quota_uid: str
    resource: str
    window: str
    shared: bool
    used: float
    """In the present window, or held."""
    resets_at: float | None = None
    """Seconds since the epoch at which something of it is free again; None for what is held, or if nothing is used."""
    refusals: int = 0
    """Since the sidecar started."""
    refused_at: float = 0
    """Seconds since the epoch of the last one; 0 for never."""
    warned: int = 0
    """The percentage of `warnAt` that use came to last."""
    warned_at: float = 0
    """When that was."""


class Used(_Wire, frozen=True, kw_only=True):
    """What is used of one of `Configuration.others`."""

    quota_uid: str
    resource: str
    window: str
    shared: bool
    used: float
    as_of: str
    """RFC 3339."""
    resets_at: float | None = None
    """Seconds since the epoch at which something of it is free again, where that is known."""


class Standing(_Wire, frozen=True, kw_only=True):
    """The answer to `POST /v1/sidecar/standing`; what nobody knows is not in it."""

    used: tuple[Used, ...]


class EndpointHealth(_Wire, frozen=True, kw_only=True):
    """How a sidecar finds one endpoint."""

    connector: str
    generation: int
    endpoint: str
    healthy: bool
    latency_ms: float = 0
    reason: str = ""
    message: str = ""


class Poll(_Wire, frozen=True, kw_only=True):
    """The body of `POST /v1/sidecar/poll`: what the sidecar has, and what it sees."""

    version: str = ""
    protocol: int = 1
    sidecar_version: str = ""
    health: tuple[EndpointHealth, ...] = ()
    cache_reachable: bool | None = None
    """None without Redis."""
    cache_evicts: str = ""
    """The policy by which Redis may throw the cache's counters away; empty if it does not."""
    inside: Inside | None = None
    """None until it has been looked at."""
    uses: tuple[LimitUse, ...] = ()
    """Without Redis only: with it, the operator reads the counters there."""
    generations: dict[str, int] = {}
    """UID of the agent and of each connector → the generation that `version` was made from: nothing older is sent."""
    wait_seconds: float | None = None
    """How long the answer may wait for news; None leaves it to the server."""


_DECODER = msgspec.json.Decoder(Configuration)


def decode(body: bytes) -> Configuration:
    """Return the configuration that `body` says. Raises msgspec.ValidationError."""
    return _DECODER.decode(body)
