import pytest
from envoy.data.accesslog.v3 import accesslog_pb2

from ringfence_gateway.entry import Request, read_http, read_tls, split_authority
from ringfence_gateway.names import Verdict
from tests.gateway.builders import port_set
from tests.gateway.entries import http_entry, tls_entry

PORT_SETS = {17: port_set(17)}


def test_a_connection_by_sni_is_told_by_its_log_and_its_port() -> None:
    standard = read_tls(tls_entry("Api.example.com", port=10_274), "allowed", PORT_SETS)
    further = read_tls(tls_entry("x.example.org", port=10_275), "audited", PORT_SETS)

    assert standard == Request(17, "api.example.com", 443, Verdict.ALLOWED, "tls")
    assert further == Request(17, "x.example.org", 8443, Verdict.AUDITED, "tls")


@pytest.mark.parametrize("sni", ["", "1.2.3.4", "a_b.example", "x" * 300])
def test_what_is_no_name_is_told_as_none(sni: str) -> None:
    assert read_tls(tls_entry(sni), "denied", PORT_SETS) == Request(17, None, 443, Verdict.DENIED, "tls")


def test_the_end_of_a_connection_counts_only_if_it_was_refused() -> None:
    end = tls_entry("api.example.com", kind=accesslog_pb2.TcpConnectionEnd)

    assert read_tls(end, "allowed", PORT_SETS) is None
    assert read_tls(end, "denied", PORT_SETS) is not None


@pytest.mark.parametrize(("log_name", "port"), [("other", 10_274), ("", 10_274), ("allowed", 10_290), ("allowed", 80)])
def test_an_entry_of_nothing_known_does_not_count(log_name: str, port: int) -> None:
    assert read_tls(tls_entry("api.example.com", port=port), log_name, PORT_SETS) is None


def test_a_request_is_told_by_its_route() -> None:
    plain = read_http(http_entry("Api.example.com", route="allowed"), PORT_SETS)
    denied = read_http(http_entry("b.example:8443", route="denied", method="CONNECT"), PORT_SETS)

    assert plain == Request(17, "api.example.com", 80, Verdict.ALLOWED, "http")
    assert denied == Request(17, "b.example", 8443, Verdict.DENIED, "connect")


@pytest.mark.parametrize("route", ["loop", ""])
def test_a_tunnel_and_what_has_no_route_do_not_count(route: str) -> None:
    assert read_http(http_entry("api.example.com:443", route=route, method="CONNECT"), PORT_SETS) is None


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("a.example", ("a.example", 80)),
        ("A.example.:443", ("a.example", 443)),
        ("1.2.3.4:443", (None, 443)),
        ("[::1]:443", (None, 443)),
        ("[::1]", (None, 0)),
        ("a.example:", (None, 0)),
        ("a.example:99999", (None, 0)),
        ("a.example:+443", (None, 0)),
        ("", (None, 80)),
    ],
)
def test_an_authority_is_name_and_port(authority: str, expected: tuple[str | None, int]) -> None:
    assert split_authority(authority) == expected
