"""A port set as Envoy takes it, and as the gateway's responder takes it."""

from collections.abc import Iterator

import orjson

from ringfence_operator.control.envoy_cluster import build_cluster, build_loop, build_proxy
from ringfence_operator.control.envoy_doors import build_doors
from ringfence_operator.control.envoy_http import build_http_listener
from ringfence_operator.control.envoy_plain import build_plain_cluster, build_plain_listener
from ringfence_operator.control.envoy_routes import build_routes, tls_ports
from ringfence_operator.control.envoy_tls import build_tls_listener
from ringfence_operator.control.gateway import GatewaySettings, Wiring
from ringfence_operator.control.resource import (
    CLUSTER,
    LISTENER,
    PORT_SET,
    ROUTES,
    SETTINGS,
    Resource,
    message_resource,
    resource_of,
)
from ringfence_operator.resources.port_set import PortSet, block_name


def build_resources(port_set: PortSet, settings: GatewaySettings, wiring: Wiring) -> list[Resource]:
    """Return all resources of a port set: cluster, listeners, routes, and of a policy's itself, for the responder."""
    if port_set.doors is not None:
        return build_doors(port_set, port_set.doors, settings, wiring)
    name = block_name(port_set.block)
    wire = orjson.dumps(port_set.to_wire(), option=orjson.OPT_SORT_KEYS)
    return [*_envoy_resources(port_set, settings, wiring), resource_of(PORT_SET, name, wire)]


def build_shared(settings: GatewaySettings) -> list[Resource]:
    """Return the resources that no policy has to itself."""
    loop = build_loop()
    shared = [message_resource(CLUSTER, loop.name, loop)]
    if settings.proxy is not None:
        proxy = build_proxy(settings.proxy, settings)
        shared.append(message_resource(CLUSTER, proxy.name, proxy))
    wire = orjson.dumps(settings.wire, option=orjson.OPT_SORT_KEYS)
    return [*shared, resource_of(SETTINGS, "settings", wire)]


def _envoy_resources(port_set: PortSet, settings: GatewaySettings, wiring: Wiring) -> Iterator[Resource]:
    cluster = build_cluster(port_set.block, wiring)
    yield message_resource(CLUSTER, cluster.name, cluster)
    lead = build_plain_cluster(port_set.block, settings)
    yield message_resource(CLUSTER, lead.name, lead)
    plain = build_plain_listener(port_set, settings, wiring)
    if plain is not None:
        yield message_resource(LISTENER, plain.name, plain)
    http = build_http_listener(port_set.block, is_metered=port_set.is_metered)
    yield message_resource(LISTENER, http.name, http)
    for port, offset in tls_ports(port_set).items():
        tls = build_tls_listener(port_set, port, offset, settings, wiring)
        yield message_resource(LISTENER, tls.name, tls)
    routes = build_routes(port_set, settings)
    yield message_resource(ROUTES, routes.name, routes)
