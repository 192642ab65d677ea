"""Parts that listeners of all kinds are made of: the address check, the entries of the access log."""

from functools import lru_cache
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.access_loggers.grpc.v3 import als_pb2
from envoy.extensions.rbac.matchers.upstream_ip_port.v3 import upstream_ip_port_matcher_pb2
from google.protobuf import any_pb2

from ringfence_operator.control.gateway import PUBLIC, closed_networks
from ringfence_operator.control.verdict import Verdict

ALS_CLUSTER = "als"
"""In the gateway's bootstrap: the responder, on a Unix socket."""
HTTP_LOG = "http"
"""Log name of HTTP entries, whose verdict is the route's name; entries of TLS have their verdict as the log's name."""

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
def only_public(closed: tuple[str, ...]) -> rbac_pb2.Permission:
    """Return the permission that holds for connections to public addresses outside `closed`, and for nothing else.

    It is said positively, so that it also fails if no address has been found.
    """
    public = _any_of([_leads_to(each) for each in PUBLIC])
    not_public = _any_of([_leads_to(str(each)) for each in closed_networks(closed)])
    rules = [public, rbac_pb2.Permission(not_rule=not_public)] if closed else [public]
    return rbac_pb2.Permission(and_rules=rbac_pb2.Permission.Set(rules=rules))


def allowing(*permissions: rbac_pb2.Permission) -> rbac_pb2.RBAC:
    """Return the rules that let through what has all of the permissions."""
    permission = rbac_pb2.Permission(and_rules=rbac_pb2.Permission.Set(rules=permissions))
    anybody = rbac_pb2.Principal(any=True)
    policy = rbac_pb2.Policy(permissions=[permission], principals=[anybody])
    return rbac_pb2.RBAC(action=rbac_pb2.RBAC.ALLOW, policies={"public": policy})


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


def _leads_to(cidr: str) -> rbac_pb2.Permission:
    prefix, _, length = cidr.partition("/")
    upstream = upstream_ip_port_matcher_pb2.UpstreamIpPortMatcher(
        upstream_ip={"address_prefix": prefix, "prefix_len": {"value": int(length)}}
    )
    return rbac_pb2.Permission(matcher={"name": "address", "typed_config": packed(upstream)})


def _any_of(permissions: list[rbac_pb2.Permission]) -> rbac_pb2.Permission:
    return rbac_pb2.Permission(or_rules=rbac_pb2.Permission.Set(rules=permissions))
