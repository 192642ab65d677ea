"""What an agent's sidecar is told: the JSON that `ringfence_sidecar.configuration` decodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.connector_auth import SnowflakeAuth
from ringfence_operator.api.connector_endpoint import Endpoint
from ringfence_operator.api.connector_limits import Cache, HealthCheck, Limits
from ringfence_operator.api.plugin import Plugin, PluginEndpoint
from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.rabbitmq import RabbitMQ, RabbitMQEndpoint, RabbitMQLimits
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.api.snowflake import Snowflake, SnowflakeEndpoint, SnowflakeLimits
from ringfence_operator.resources.observed import Service, digest

SECRETS = "/var/run/ringfence/connectors"
IDENTITIES = "/var/run/ringfence/identity"
TOKEN_FILE = "token"  # noqa: S105 - the name of a file
SNOWFLAKE_PORT, AMQPS_PORT = 443, 5671


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """HTTP CONNECT on a connector's port set, and the credential that only sidecars hold."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A connector's way out of the cluster: its port set on the egress gateway."""

    block: int
    service: str
    """Name of the port set's Service, in the gateway's namespace."""
    address: str
    """The Service's address."""
    proxy: Proxy | None = None
    """For endpoints that speak HTTP."""
    listeners: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """For others: name of the endpoint → address and port of the TCP listener that leads to its host alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A connector that an agent names and may use, and how its endpoints are reached."""

    connector: Connector
    services: Mapping[tuple[str, str], Service] = field(default_factory=dict)
    """The Services that its endpoints name, and that can be reached."""
    way: Way | None = None


def default_port(endpoint: Endpoint) -> int:
    """Return the port of an endpoint's host: the one given, or the kind's usual one."""
    if endpoint.port is not None:
        return endpoint.port
    return AMQPS_PORT if isinstance(endpoint, RabbitMQEndpoint) else SNOWFLAKE_PORT


def build_sidecar_configuration(
    agent: Agent,
    bound: Sequence[Bound],
    *,
    policy: SecurityPolicy | None = None,
    redis: Mapping[str, Any] | None = None,
    telemetry: Mapping[str, Any] | None = None,
    limits: Sequence[Mapping[str, Any]] = (),
    others: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return what the sidecar of `agent` is to have; `redis` is the namespace's shared cache, with its credentials.

    `telemetry` says where audit lines and traces go, and what is shown there; `limits` are those of the quotas that
    hold and that the sidecar keeps, `others` those that it only tells of (`sidecar_limits`).
    An endpoint that cannot be reached, since its Service or its way out is not there, is left out. `version` tells one
    content from another.
    """
    meta = agent.metadata
    found: dict[str, Any] = {
        "agent": {"namespace": meta.namespace, "name": meta.name, "uid": meta.uid, "generation": meta.generation},
        "connectors": [_connector(each) for each in sorted(bound, key=lambda it: it.connector.metadata.name)],
        **({"redis": dict(redis)} if redis else {}),
        **(_cache_of(policy) if policy else {}),
        **(telemetry or {}),
        **({"others": [dict(each) for each in others]} if others else {}),
    }
    return with_limits(found, limits)


def with_limits(configuration: Mapping[str, Any], limits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the configuration with these limits in place of those that it has."""
    found = {name: value for name, value in configuration.items() if name not in ("limits", "version")}
    if limits:
        found["limits"] = [dict(each) for each in limits]
    return found | {"version": digest(found)}


def _cache_of(policy: SecurityPolicy) -> dict[str, Any]:
    """What the policy says about the in-process layer, and about what agents keep for themselves."""
    cache = policy.spec.cache
    return {
        "localCache": {"eviction": cache.eviction, "maxBytes": _size(cache.local_size)},
        "values": {
            "enabled": cache.values.enabled,
            "sharedAs": cache.values.shared_as,
            "maxBytes": _size(cache.values.max_size),
            "maxTtlSeconds": cache.values.max_ttl,
        },
    }


def _connector(bound: Bound) -> dict[str, Any]:
    connector = bound.connector
    meta, backend = connector.metadata, connector.backend
    found: dict[str, Any] = {
        "name": meta.name,
        "uid": meta.uid,
        "generation": meta.generation,
        "kind": connector.backend_kind,
        "endpoints": [wire for each in connector.endpoints if (wire := _endpoint(each, bound)) is not None],
        "auth": _auth(connector),
        "limits": _limits(backend.limits),
        "healthCheck": _health_check(backend.health_check),
    }
    if not isinstance(backend, Plugin):
        found["permissions"] = backend.permissions.to_body()
    if isinstance(backend, Snowflake):
        found["settings"] = _session(backend)
        # Without this list, whatever may be read could be written.
        found["permissions"] = {"writableTables": [], **backend.permissions.to_body()}
    elif isinstance(backend, Plugin):
        found["settings"] = backend.settings
    if not isinstance(backend, RabbitMQ):
        found["cache"] = _cache(backend.cache)
    if bound.way and bound.way.proxy:
        proxy = bound.way.proxy
        found["proxy"] = {
            "host": proxy.host,
            "port": proxy.port,
            "username": proxy.username,
            "password": proxy.password,
        }
    return found


def _session(backend: Snowflake) -> dict[str, Any]:
    role = {"role": backend.role} if backend.role else {}
    usage = backend.warehouse_usage
    return {"database": backend.database, "schema": backend.schema_, **role, "warehouseUsage": usage}


def _endpoint(endpoint: Endpoint, bound: Bound) -> dict[str, Any] | None:
    place = _inside(endpoint, bound) if endpoint.service else _outside(endpoint, bound)
    if place is None:
        return None
    return place | {
        "name": endpoint.name,
        "tls": endpoint.tls,
        "priority": endpoint.priority,
        "weight": endpoint.weight,
        "settings": _endpoint_settings(endpoint),
    }


def _inside(endpoint: Endpoint, bound: Bound) -> dict[str, Any] | None:
    named = endpoint.service
    if named is None:
        return None
    namespace = named.namespace or bound.connector.metadata.namespace
    service = bound.services.get((namespace, named.name))
    if service is None:
        return None
    return {"host": f"{named.name}.{namespace}.svc", "port": named.port, "address": service.address}


def _outside(endpoint: Endpoint, bound: Bound) -> dict[str, Any] | None:
    if bound.way is None:
        return None
    place: dict[str, Any] = {"host": endpoint.host, "port": default_port(endpoint)}
    listener = bound.way.listeners.get(endpoint.name)
    if listener is not None:
        return place | {"address": listener[0], "addressPort": listener[1]}
    return place if bound.way.proxy else None


def _endpoint_settings(endpoint: Endpoint) -> dict[str, Any]:
    match endpoint:
        case SnowflakeEndpoint():
            rate = {} if endpoint.credits_per_hour is None else {"creditsPerHour": endpoint.credits_per_hour}
            return {"account": endpoint.account, "warehouse": endpoint.warehouse, **rate}
        case RabbitMQEndpoint():
            return {"virtualHost": endpoint.virtual_host}
        case PluginEndpoint():
            return endpoint.settings
        case _:
            return {}


def _auth(connector: Connector) -> dict[str, Any]:
    auth, name = connector.auth, connector.metadata.name
    if auth is None:
        return {"method": "none"}
    if isinstance(auth, SnowflakeAuth) and (identity := auth.workload_identity):
        return {
            "method": "workloadIdentity",
            "directory": f"{IDENTITIES}/{name}",
            "files": {"token": TOKEN_FILE},
            "settings": {"user": identity.user, "audience": identity.audience},
        }
    body = auth.to_body()
    shared = {key: body[key] for key in ("authority",) if key in body}
    (method,) = body.keys() - {"secretName", *shared}
    given = body[method] | shared
    files = {key: value for key, value in given.items() if key in _FILES}
    settings = {key: value for key, value in given.items() if key not in _FILES}
    if "scopes" in settings:
        settings["scope"] = " ".join(settings.pop("scopes"))
    return {"method": method, "directory": f"{SECRETS}/{name}", "files": files, "settings": settings}


def secret_keys(connector: Connector) -> list[str]:
    """Return the keys that the connector's Secret is to have."""
    return sorted(set(_auth(connector).get("files", {}).values())) if connector.secret else []


_FILES = ("privateKey", "passphrase", "password", "clientSecret", "token", "authority")


def _limits(limits: Limits) -> dict[str, Any]:
    found: dict[str, Any] = {"timeoutSeconds": limits.timeout, "concurrency": limits.concurrency}
    if isinstance(limits, SnowflakeLimits):
        found |= {
            "rows": limits.rows,
            "bytes": _size(limits.bytes),
            "statementTimeoutSeconds": limits.statement_timeout,
            "batchStatements": limits.batch,
            "sampleRows": limits.sample_rows,
            "openResults": limits.open_results,
            "openResultSeconds": limits.open_result_timeout,
        }
    if isinstance(limits, RabbitMQLimits):
        found |= {
            "prefetch": limits.prefetch,
            "messageBytes": _size(limits.message_size),
            "leaseSeconds": limits.lease,
            "maxLeaseSeconds": limits.max_lease,
            "leases": limits.leases,
            "batch": limits.batch,
            "subscriptions": limits.subscriptions,
        }
    return found


def _cache(cache: Cache) -> dict[str, Any]:
    return {
        "ttlSeconds": cache.ttl,
        "staleWhileRevalidateSeconds": cache.stale_while_revalidate,
        "staleIfErrorSeconds": cache.stale_if_error,
        "maxEntryBytes": _size(cache.max_entry_size),
    }


def _health_check(check: HealthCheck) -> dict[str, Any]:
    return {"intervalSeconds": check.interval, "timeoutSeconds": check.timeout}


def _size(quantity: str) -> int:
    return int(parse_quantity(quantity))
