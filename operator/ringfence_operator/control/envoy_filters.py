"""Parts that listeners of all kinds are made of: the address check, the entries of the access log."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.access_loggers.grpc.v3 import als_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2
from google.protobuf import any_pb2

from ringfence_operator.control.gateway import collapsed
from ringfence_operator.control.verdict import Verdict
from ringfence_operator.resources.public import PUBLIC

ALS_CLUSTER = "als"
"""In the gateway's bootstrap: the responder, on a Unix socket."""
HTTP_LOG = "http"
"""Log name of HTTP entries, whose verdict is the route's name; entries of TLS have their verdict as the log's name."""

UPSTREAM_ADDRESS = "envoy.stream.upstream_address"
"""Where the filters that resolve names keep the address for those that come after them."""
VALID_NAME = r"(?i)[a-z0-9_][a-z0-9._-]*\.[a-z][a-z0-9-]*"
"""What Audit lets through: names, and no addresses in any of the forms that resolvers take for one."""


def packed(message: Any) -> any_pb2.Any:
    """Return the message as Any, always with the same bytes."""
    found = any_pb2.Any()
    found.Pack(message, deterministic=True)
    return found


def address_of(host: str, port: int) -> dict[str, Any]:
    """Return Envoy's Address; on `::`, it takes IPv4 as well."""
    return {"socket_address": {"address": host, "port_value": port, "ipv4_compat": host == "::"}}


@lru_cache(maxsize=8)
def only_public(closed: tuple[str, ...] | None) -> rbac_pb2.RBAC:
    """Return the rules that let through what leads to a public address outside `closed`, and nothing else.

    They are said positively, so that nothing passes whose address is not known. None lets everything through.
    """
    if closed is None:
        return _allowing(rbac_pb2.Permission(any=True), rbac_pb2.Principal(any=True))
    public = collapsed(PUBLIC)
    rules = [_leads_to(public)]
    # What is outside of these is closed already, and each range costs 260 bytes for each name of each policy.
    inside = [each for each in collapsed(closed) if any(each.overlaps(around) for around in public)]
    if inside:
        rules.append(rbac_pb2.Principal(not_id=_leads_to(inside)))
    principal = rbac_pb2.Principal(and_ids=rbac_pb2.Principal.Set(ids=rules))
    return _allowing(rbac_pb2.Permission(any=True), principal)


@lru_cache(maxsize=8)
def address_check(closed: tuple[str, ...] | None) -> Filter:
    """Return the filter of connections that lets through what `only_public` does."""
    config = network_rbac_pb2.RBAC(stat_prefix="address", rules=only_public(closed))
    return Filter(name="address", typed_config=packed(config))


@lru_cache(maxsize=1)
def only_names() -> rbac_pb2.RBAC:
    """Return the rules that let through connections whose SNI is a name."""
    is_name = rbac_pb2.Permission(requested_server_name={"safe_regex": {"regex": VALID_NAME}})
    return _allowing(is_name, rbac_pb2.Principal(any=True))


@lru_cache(maxsize=8)
def tcp_log(verdict: Verdict) -> accesslog_pb2.AccessLog:
    """Return the log of connections: one entry each, for those let through at their start."""
    config = als_pb2.TcpGrpcAccessLogConfig(common_config=_common(verdict.value))
    only_start = {"log_type_filter": {"types": ["TcpUpstreamConnected"]}}
    return accesslog_pb2.AccessLog(
        name="als", filter=None if verdict is Verdict.DENIED else only_start, typed_config=packed(config)
    )


@lru_cache(maxsize=1)
def http_log() -> accesslog_pb2.AccessLog:
    """Return the log of requests: one entry each, at its end."""
    config = als_pb2.HttpGrpcAccessLogConfig(common_config=_common(HTTP_LOG))
    return accesslog_pb2.AccessLog(name="als", typed_config=packed(config))


def _common(log_name: str) -> als_pb2.CommonGrpcAccessLogConfig:
    # One stream per name and worker: the block is told by the port, or there would be thousands.
    return als_pb2.CommonGrpcAccessLogConfig(
        log_name=log_name,
        transport_api_version="V3",
        grpc_service={"envoy_grpc": {"cluster_name": ALS_CLUSTER}},
        buffer_flush_interval={"seconds": 1},
    )


def _allowing(permission: rbac_pb2.Permission, principal: rbac_pb2.Principal) -> rbac_pb2.RBAC:
    policy = rbac_pb2.Policy(permissions=[permission], principals=[principal])
    return rbac_pb2.RBAC(action=rbac_pb2.RBAC.ALLOW, policies={"policy": policy})


def _leads_to(networks: Iterable[IPv4Network | IPv6Network]) -> rbac_pb2.Principal:
    ranges = [
        {"address_prefix": str(each.network_address), "prefix_len": {"value": each.prefixlen}} for each in networks
    ]
    # One matcher for all ranges: each chain has its own, and RBAC's matcher of upstream addresses takes one range.
    return rbac_pb2.Principal(filter_state={"key": UPSTREAM_ADDRESS, "address_match": {"ranges": ranges}})
