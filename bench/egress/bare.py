"""Envoy without anything of ours, in the gateway's place: what a hop through it costs whatever it is told to do."""

import json

from bench.egress.bed import ADDRESS, Bed
from tests.e2e.kube import Body, address
from tests.e2e.world import RESTRICTED, is_pod_ready

NAME = "bare"
HTTP, TLS = 8080, 8443
_TYPES = "type.googleapis.com/envoy.extensions.filters"


def bare_envoy(bed: Bed, namespace: str) -> str:
    """Start it; return the address of its Service, which has the ports of a port set and leads to one server."""
    labels = {"app": NAME}
    container = {
        "name": "envoy",
        "image": bed.gateway_image,
        "command": ["/usr/local/bin/envoy", "--config-yaml", json.dumps(bare_config()), "--concurrency", "2"],
        "args": ["--disable-hot-restart", "--log-level", "warning"],
        "securityContext": RESTRICTED,
        "readinessProbe": {"tcpSocket": {"port": TLS}, "periodSeconds": 1},
    }
    meta = {"namespace": namespace, "name": NAME, "labels": labels}
    spec = {"automountServiceAccountToken": False, "containers": [container]}
    bed.kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    ports = [
        {"name": f"port-{port}", "port": port, "targetPort": target}
        for port, target in ((80, HTTP), (443, TLS), (3128, HTTP))
    ]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": labels, "ports": ports}}
    made = bed.kube.create(service)
    bed.kube.until(address("Pod", namespace, NAME), is_pod_ready, seconds=60)
    return str(made["spec"]["clusterIP"])


def bare_config() -> Body:
    """Return its configuration: bytes, requests and tunnels all go to the one server; nothing is judged or logged."""
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "upgrade_configs": [{"upgrade_type": "CONNECT"}],
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": _routes()}]},
    }
    proxy = {"@type": f"{_TYPES}.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tls", "cluster": "tls"}
    return {
        "static_resources": {
            "listeners": [_listener("http", HTTP, manager), _listener("tls", TLS, proxy)],
            "clusters": [_cluster("http", 80), _cluster("tls", 443)],
        }
    }


def _routes() -> list[Body]:
    tunnel = {"cluster": "tls", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}
    return [
        {"match": {"connect_matcher": {}}, "route": tunnel},
        {"match": {"prefix": "/"}, "route": {"cluster": "http"}},
    ]


def _listener(name: str, port: int, config: Body) -> Body:
    filters = [{"name": name, "typed_config": config}]
    return {"name": name, "address": _address("::", port), "filter_chains": [{"filters": filters}]}


def _cluster(name: str, port: int) -> Body:
    endpoint = {"endpoint": {"address": _address(ADDRESS, port)}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", "load_assignment": assignment}


def _address(host: str, port: int) -> Body:
    return {"socket_address": {"address": host, "port_value": port, "ipv4_compat": host == "::"}}
