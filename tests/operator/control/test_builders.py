from typing import Any

import pytest
import yaml
from envoy.config.listener.v3 import listener_pb2
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as manager_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf.duration_pb2 import Duration

from ringfence_operator.control.envoy import build_resources, build_shared
from ringfence_operator.control.gateway import GatewaySettings, Wiring
from ringfence_operator.control.resource import CLUSTER, LISTENER, PORT_SET, ROUTES, SETTINGS, Key, block_of
from ringfence_operator.control.server import OPTIONS
from ringfence_operator.resources.port_set import PortSet
from tests.operator.control.envoy_process import BOOTSTRAP
from tests.operator.control.port_sets import port_set


def settings(**more: Any) -> GatewaySettings:
    return GatewaySettings.from_wire({"reserved": [], "resolvers": ["192.0.2.1"], **more})


def versions(found: PortSet, **more: Any) -> dict[Key, str]:
    return {each.key: each.version for each in build_resources(found, settings(**more), Wiring())}


def changed(before: dict[Key, str], after: dict[Key, str]) -> set[Key]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def test_a_port_set_is_its_clusters_its_listeners_its_routes_and_itself() -> None:
    found = versions(port_set(17, "a.example", further={8443: 3}))

    assert list(found) == [
        (CLUSTER, "p-00017"),
        (CLUSTER, "p-00017-plain"),
        (LISTENER, "p-00017-plain"),
        (LISTENER, "p-00017-http"),
        (LISTENER, "p-00017-tls-443"),
        (LISTENER, "p-00017-tls-8443"),
        (ROUTES, "p-00017"),
        (PORT_SET, "p-00017"),
    ]


def test_the_same_content_has_the_same_version_in_any_order() -> None:
    one = versions(port_set(17, "a.example", "b.example"))
    two = versions(port_set(17, "b.example", "a.example"))

    assert changed(one, two) <= {(PORT_SET, "p-00017"), (ROUTES, "p-00017")}
    assert one == versions(port_set(17, "a.example", "b.example"))


def test_another_name_changes_neither_the_http_listener_nor_the_cluster() -> None:
    one, two = versions(port_set(17, "a.example")), versions(port_set(17, "a.example", "b.example"))

    listeners = {(LISTENER, "p-00017-plain"), (LISTENER, "p-00017-tls-443")}
    assert changed(one, two) == {*listeners, (ROUTES, "p-00017"), (PORT_SET, "p-00017")}


def test_there_is_no_way_out_for_plain_http_where_no_name_has_port_80() -> None:
    closed, audited = versions(port_set(17, "a.example:443")), versions(port_set(17, "a.example:443", is_audit=True))

    assert (LISTENER, "p-00017-plain") not in closed
    assert (LISTENER, "p-00017-plain") in audited


def test_audit_does_not_change_the_http_listener() -> None:
    one, two = versions(port_set(17, "a.example")), versions(port_set(17, "a.example", is_audit=True))

    assert (LISTENER, "p-00017-http") not in changed(one, two)


def test_reserved_addresses_change_the_listeners_that_lead_out_and_nothing_else() -> None:
    one, two = versions(port_set(17, "a.example")), versions(port_set(17, "a.example"), reserved=["203.0.113.1/32"])

    assert changed(one, two) == {(LISTENER, "p-00017-plain"), (LISTENER, "p-00017-tls-443")}


def test_reserved_addresses_that_are_closed_without_being_named_change_no_listener() -> None:
    reserved = ["10.96.0.0/16", "fd00:96::/112", "::1/128", "fe80::/10"]
    one, two = versions(port_set(17, "a.example")), versions(port_set(17, "a.example"), reserved=reserved)

    assert changed(one, two) == set()


def test_what_is_shared_belongs_to_no_block() -> None:
    with_proxy = build_shared(settings(upstreamProxy="https://p.example:3128"))

    assert [each.key for each in with_proxy] == [(CLUSTER, "loop"), (CLUSTER, "upstream-proxy"), (SETTINGS, "settings")]
    assert {each.block for each in with_proxy} == {None}


@pytest.mark.parametrize(
    ("name", "block"),
    [("p-00017", 17), ("p-00017-tls-443", 17), ("p-0017", None), ("loop", None), ("p-abcde", None), ("q-00017", None)],
)
def test_a_resources_name_tells_its_block(name: str, block: int | None) -> None:
    assert block_of(name) == block


def test_a_listener_takes_one_connection_before_a_worker_looks_at_the_others() -> None:
    found = build_resources(port_set(17, "a.example", further={8443: 3}), settings(), Wiring())
    listeners = [listener_pb2.Listener.FromString(each.body) for each in found if each.type_url == LISTENER]
    listeners = [each for each in listeners if not each.HasField("internal_listener")]

    assert [each.max_connections_to_accept_per_socket_event.value for each in listeners] == [1, 1, 1]


def test_an_http_listener_waits_for_its_routes_however_late_they_are() -> None:
    found = build_resources(port_set(17, "a.example"), settings(), Wiring())
    listener = next(listener_pb2.Listener.FromString(each.body) for each in found if each.name == "p-00017-http")
    manager = manager_pb2.HttpConnectionManager()

    assert listener.filter_chains[0].filters[-1].typed_config.Unpack(manager)
    source = manager.rds.config_source
    # Without it, Envoy waits for 15 s, and then answers 404 to names that are allowed.
    assert source.HasField("initial_fetch_timeout")
    assert source.initial_fetch_timeout.ToTimedelta().total_seconds() == 0


def test_nothing_ends_a_stream_because_it_is_long_or_idle() -> None:
    """Envoy's own defaults would: 15 s for a request, 5 minutes for an idle one, an hour for an idle connection."""
    found = build_resources(port_set(17, "a.example", is_audit=True), settings(), Wiring())
    limits = []
    for each in found:
        if each.type_url == LISTENER:
            listener = listener_pb2.Listener.FromString(each.body)
            for chain in (*listener.filter_chains, listener.default_filter_chain):
                limits += [_limit_of(part) for part in chain.filters if part.name in {"tcp", "http"}]
        elif each.type_url == ROUTES:
            hosts = route_pb2.RouteConfiguration.FromString(each.body).virtual_hosts
            ways = (way.route for host in hosts for way in host.routes if way.HasField("route"))
            limits += [each.timeout if each.HasField("timeout") else None for each in ways]

    assert len(limits) > 6
    assert {each.ToNanoseconds() if each is not None else None for each in limits} == {0}


def _limit_of(part: Filter) -> Duration | None:
    if part.name == "http":
        manager = manager_pb2.HttpConnectionManager.FromString(part.typed_config.value)
        return manager.stream_idle_timeout if manager.HasField("stream_idle_timeout") else None
    proxy = tcp_proxy_pb2.TcpProxy.FromString(part.typed_config.value)
    return proxy.idle_timeout if proxy.HasField("idle_timeout") else None


def test_neither_end_cuts_off_an_envoy_that_reads_nothing_while_it_loads() -> None:
    cluster = yaml.safe_load((BOOTSTRAP / "bootstrap.yaml").read_text())["static_resources"]["clusters"][0]
    (protocol,) = cluster["typed_extension_protocol_options"].values()
    its_end = protocol["explicit_http_config"]["http2_protocol_options"]["connection_keepalive"]["timeout"]

    assert dict(OPTIONS)["grpc.keepalive_timeout_ms"] >= 30_000
    assert float(its_end.removesuffix("s")) >= 30
