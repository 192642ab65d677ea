"""Envoy's routes for HTTP: which authority is let through, which CONNECT is led to which listener, what is refused."""

from collections.abc import Iterable
from typing import Any

from envoy.config.route.v3 import route_pb2
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost

from ringfence_operator.control.envoy_cluster import LOOP_CLUSTER, proxy_headers
from ringfence_operator.control.envoy_filters import VALID_NAME
from ringfence_operator.control.envoy_plain import AUDITED_CHAIN, mark, plain_chain, plain_name
from ringfence_operator.control.gateway import GatewaySettings
from ringfence_operator.control.verdict import Verdict, judge
from ringfence_operator.resources.port_set import HTTP, HTTP_PORT, TLS, TLS_PORT, PortSet, block_name, first_port

MARK = "mark"
"""Name of the HTTP filter that notes by which chain a request is to go out."""
LOOP_ROUTE = "loop"
"""Name of the routes that lead back: what is inside has an entry of its own in the log."""
_TARGET = "x-envoy-original-dst-host"


def build_routes(port_set: PortSet, settings: GatewaySettings) -> route_pb2.RouteConfiguration:
    """Return the policy's routes; each carries its verdict as its name."""
    deny = _, deny_rest = _denied(port_set.policy)
    http = judge(port_set, HTTP_PORT)
    plain = [_loop(port_set, HTTP), *_forward(port_set, settings, Verdict.ALLOWED)]
    hosts = [
        _host(chain, _authorities([each.name]), plain, chain=chain)
        for each in http
        if each.verdict is Verdict.ALLOWED and (chain := plain_chain(each))
    ]
    others = ["*", *_authorities(_of(http, Verdict.DENIED, Verdict.AUDITED))]
    for port, offset in tls_ports(port_set).items():
        names = judge(port_set, port)
        back = [_loop(port_set, offset), deny_rest]
        hosts.append(_host(f"tls-{port}", _with_port(_of(names, Verdict.ALLOWED), port), back))
        rest = _with_port(_of(names, Verdict.DENIED, Verdict.AUDITED), port)
        if port_set.is_audit:
            audited = [_loop(port_set, offset, only=_any_name(port)), *deny]
            hosts.append(_host(f"audit-{port}", [f"*:{port}", *rest], audited))
        else:
            others += rest
    audit = []
    if port_set.is_audit:
        name = _any_name(HTTP_PORT)
        audit = [_loop(port_set, HTTP, only=name), *_forward(port_set, settings, Verdict.AUDITED, only=name)]
    hosts.append(_host("other", others, [*audit, *deny], chain=AUDITED_CHAIN if audit else None))
    return route_pb2.RouteConfiguration(
        name=block_name(port_set.block),
        virtual_hosts=[each for each in hosts if each.domains],
        # Envoy tells the next hop how a request came; nobody outside has a use for that.
        request_headers_to_remove=["x-forwarded-proto"],
    )


def tls_ports(port_set: PortSet) -> dict[int, int]:
    """Return the ports that are served by SNI, and the offset of each in the block."""
    return {TLS_PORT: TLS, **port_set.further}


def _of(names: Iterable[Any], *verdicts: Verdict) -> list[str]:
    return [each.name for each in names if each.verdict in verdicts]


def _authorities(names: Iterable[str]) -> list[str]:
    return [authority for name in names for authority in (name, f"{name}:{HTTP_PORT}")]


def _with_port(names: Iterable[str], port: int) -> list[str]:
    return [f"{name}:{port}" for name in names]


def _host(name: str, domains: list[str], routes: list[Route], *, chain: str | None = None) -> VirtualHost:
    filters = {MARK: mark(chain)} if chain else {}
    return VirtualHost(name=name, domains=domains, routes=routes, typed_per_filter_config=filters)


def _loop(port_set: PortSet, offset: int, *, only: dict[str, Any] | None = None) -> Route:
    """Return the route of CONNECT to the block's listener at `offset`, on this very gateway."""
    target = {"key": _TARGET, "value": f"127.0.0.1:{first_port(port_set.block) + offset}"}
    return Route(
        name=LOOP_ROUTE,
        match={"connect_matcher": {}, "headers": [only] if only else []},
        route={
            "cluster": LOOP_CLUSTER,
            "timeout": {},
            "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
        },
        request_headers_to_add=[{"header": target, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
    )


def _forward(
    port_set: PortSet, settings: GatewaySettings, verdict: Verdict, *, only: dict[str, Any] | None = None
) -> list[Route]:
    """Return the route of plain requests to where their name leads."""
    proxy = settings.proxy
    route = Route(
        name=verdict.value,
        match={"prefix": "/", "headers": [only] if only else []},
        route={"cluster": plain_name(port_set.block), "timeout": {}},
        request_headers_to_add=proxy_headers(proxy) if proxy else [],
    )
    return [route]


def _denied(policy: str) -> tuple[Route, Route]:
    """Return the routes that refuse whatever comes: one for CONNECT, which has no path, and one for the rest."""
    text = (
        f"Ringfence: SecurityPolicy {policy} does not let %REQ(:AUTHORITY)% through. "
        f"To allow it, add it to `spec.network.allowedDomains` of SecurityPolicy {policy}. "
        "What its `blockedDomains` cover stays refused; a port is named under `ports`, an address under "
        "`spec.network.cidrs`.\n"
    )
    answer = {
        "status": 403,
        "body_format": {"text_format_source": {"inline_string": text}, "content_type": "text/plain"},
    }
    everything: tuple[dict[str, Any], ...] = ({"connect_matcher": {}}, {"prefix": ""})
    connect, rest = (
        Route(
            name=Verdict.DENIED.value,
            match=match,
            direct_response=answer,
        )
        for match in everything
    )
    return connect, rest


def _any_name(port: int) -> dict[str, Any]:
    port_part = f"(:{port})?" if port == HTTP_PORT else f":{port}"
    return {"name": ":authority", "string_match": {"safe_regex": {"regex": f"{VALID_NAME}{port_part}"}}}
