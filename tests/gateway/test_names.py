import pytest

from ringfence_gateway.names import NameList, is_allowed, normalize, service_names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("api.example.com", "api.example.com"),
        ("API.Example.COM.", "api.example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        ("3com.example", "3com.example"),
        ("1.2.3.example", "1.2.3.example"),
    ],
)
def test_a_name_is_known_in_any_case_and_with_a_trailing_dot(text: str, name: str) -> None:
    assert normalize(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "example.com..",
        ".example.com",
        "a..b",
        "-a.example",
        "a-.example",
        "under_score.example",
        "*.example.com",
        "a b.example",
        "bücher.example",
        "a\n",
        "example.com\n",
        "a" * 64 + ".example",
        ".".join(["a" * 49] * 6),
        "1.2.3.4",
        "2130706433",
        "[::1]",
        "::1",
    ],
)
def test_what_is_no_dns_name_is_told_apart(text: str) -> None:
    assert normalize(text) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("exact.example", True),
        ("below.exact.example", False),
        ("example", False),
        ("a.wild.example", True),
        ("a.b.c.wild.example", True),
        ("wild.example", False),
        ("notwild.example", False),
        ("bad.wild.example", False),
        ("below.bad.wild.example", True),
        ("x.worse.wild.example", False),
        ("worse.wild.example", True),
        ("half.example", True),
        ("closed.example", False),
    ],
)
def test_what_is_blocked_wins_over_a_wildcard(name: str, expected: bool) -> None:
    allowed = NameList.of(
        [
            ("exact.example", [443]),
            ("*.wild.example", [80, 443]),
            ("half.example", [80, 443]),
            ("closed.example", [443]),
        ]
    )
    blocked = NameList.of(
        [("bad.wild.example", []), ("*.worse.wild.example", []), ("half.example", [80]), ("closed.example", [443, 80])]
    )

    assert is_allowed(name, allowed=allowed, blocked=blocked) is expected


@pytest.mark.parametrize(("port", "expected"), [(443, True), (80, False), (8443, False)])
def test_a_name_is_judged_for_a_port(port: int, expected: bool) -> None:
    allowed, blocked = NameList.of([("a.example", [80, 443])]), NameList.of([("*.example", [80])])

    assert is_allowed("a.example", allowed=allowed, blocked=blocked, port=port) is expected


def test_a_name_without_ports_is_allowed_on_all_of_them() -> None:
    allowed, blocked = NameList.of([("a.example", [])]), NameList.of([("a.example", [80])])

    assert is_allowed("a.example", allowed=allowed, blocked=blocked)
    assert is_allowed("a.example", allowed=allowed, blocked=blocked, port=9)
    assert not is_allowed("a.example", allowed=allowed, blocked=blocked, port=80)


def test_a_list_refuses_what_is_no_name() -> None:
    with pytest.raises(ValueError, match="write a DNS name"):
        NameList.of([("*.*.example.com", [443])])


@pytest.mark.parametrize(
    ("namespace", "names"),
    [
        ("team", {"db", "db.team", "db.team.svc", "db.team.svc.cluster.local"}),
        ("other", {"db.team", "db.team.svc", "db.team.svc.cluster.local"}),
    ],
)
def test_a_service_has_its_short_name_in_its_own_namespace_only(namespace: str, names: set[str]) -> None:
    assert set(service_names("db.team", namespace=namespace, cluster_domain="cluster.local")) == names
