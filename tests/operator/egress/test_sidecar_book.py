from typing import Any

import pytest

from ringfence_operator.egress.sidecars import SidecarBook
from ringfence_operator.reconcile.sidecars import Inside

Raw = dict[str, Any]


class Book:
    def __init__(self) -> None:
        self.sent: list[Raw] = []
        self.changed: list[tuple[str, str]] = []
        self.looked: list[tuple[str, str]] = []
        self.used: list[str] = []
        self.it = SidecarBook(
            send=self.sent.append,
            on_change=self.changed.append,
            on_inside=self.looked.append,
            on_use=self.used.append,
        )

    def publish(self, uid: str, *, version: str = "v1", address: str = "10.0.0.1", namespace: str = "team") -> None:
        agent = {"namespace": namespace, "name": "a", "uid": "u"}
        self.it.publish(uid, address, {"version": version, "agent": agent})

    def report(
        self,
        uid: str,
        *health: Raw,
        version: str = "v1",
        reachable: bool | None = None,
        evicts: str = "",
        inside: Raw | None = None,
        uses: tuple[Raw, ...] = (),
    ) -> None:
        said = {"version": version, "cacheReachable": reachable, "cacheEvicts": evicts, "health": health}
        self.it.hear({"kind": "sidecarSeen", "uid": uid, **said, "inside": inside, "uses": list(uses)})


def test_other_limits_are_served_with_all_else_as_it_was(book: Book) -> None:
    book.publish("p")

    for limits in ([{"max": 7.0}], [{"max": 7.0}], []):
        book.it.limit("p", limits)
    book.it.limit("unknown", [{"max": 7.0}])

    served = [each["configuration"] for each in book.sent]
    assert [each.get("limits") for each in served] == [None, [{"max": 7.0}], None]
    assert [each["agent"] for each in served] == [served[0]["agent"]] * 3
    assert len({each["version"] for each in served}) == 3


@pytest.fixture
def book() -> Book:
    return Book()


def seen(endpoint: str = "e", *, healthy: bool = True, ms: float = 10.0, connector: str = "c", **more: Any) -> Raw:
    usual = {"generation": 1, "reason": "", "message": ""}
    return {"connector": connector, "endpoint": endpoint, "healthy": healthy, "latencyMs": ms, **usual, **more}


def test_a_warm_pods_sidecar_is_let_in_once_and_told_nothing(book: Book) -> None:
    for _ in range(2):
        book.it.admit("a", "10.0.0.1")

    assert book.sent == [{"kind": "sidecar", "uid": "a", "address": "10.0.0.1", "configuration": None}]
    assert list(book.it.messages()) == book.sent


def test_one_that_an_agent_has_is_warm_no_more_whichever_watch_is_behind(book: Book) -> None:
    book.it.admit("a", "10.0.0.1")
    book.publish("a")
    book.it.admit("a", "10.0.0.1")
    book.it.withdraw_warm("a")

    assert [each.get("configuration", {}) is None for each in book.sent] == [True, False]
    assert [each["configuration"]["version"] for each in book.it.messages()] == ["v1"]


@pytest.mark.parametrize("end", ["withdraw_warm", "withdraw"])
def test_a_warm_pod_that_is_gone_is_not_let_in_any_more(book: Book, end: str) -> None:
    book.it.admit("a", "10.0.0.1")

    getattr(book.it, end)("a")

    assert book.sent[1:] == [{"kind": "sidecarGone", "uid": "a"}]
    assert list(book.it.messages()) == []


def test_what_does_not_differ_is_said_once(book: Book) -> None:
    for version in ("v1", "v1", "v2"):
        book.publish("a", version=version)

    assert [each["configuration"]["version"] for each in book.sent] == ["v1", "v2"]


def test_another_address_is_said(book: Book) -> None:
    for address in ("10.0.0.1", "10.0.0.2"):
        book.publish("a", address=address)

    assert [each["address"] for each in book.sent] == ["10.0.0.1", "10.0.0.2"]


def test_a_control_process_that_comes_back_is_told_all_that_is_there(book: Book) -> None:
    book.publish("a")
    book.publish("b")
    book.it.withdraw("a")

    assert [each["uid"] for each in book.it.messages()] == ["b"]
    assert [each["kind"] for each in book.sent] == ["sidecar", "sidecar", "sidecarGone"]


def test_a_pod_that_was_never_published_is_withdrawn_without_a_word(book: Book) -> None:
    book.it.withdraw("a")

    assert book.sent == []


def test_health_counts_who_reaches_an_endpoint_and_says_what_most_of_the_others_say(book: Book) -> None:
    for uid in ("a", "b", "c", "d"):
        book.publish(uid)
    book.report("a", seen(ms=10), seen("f", healthy=False, reason="Lost", message="gone"))
    book.report("b", seen(ms=30), seen("f", healthy=False, reason="Refused"))
    book.report("c", seen(ms=20), seen("f", healthy=False, reason="Lost", message="gone"))

    found = book.it.health(("team", "c"), 1)

    well, ill = found.endpoints["e"], found.endpoints["f"]
    assert (well.healthy, well.unhealthy, well.latency_ms) == (3, 0, 20)
    assert (ill.healthy, ill.unhealthy, ill.reason, ill.message) == (0, 3, "Lost", "gone")


def test_reports_of_another_generation_namespace_or_connector_do_not_count(book: Book) -> None:
    book.publish("a")
    book.publish("b", namespace="other")
    book.report("a", seen(generation=1), seen(connector="d"))
    book.report("b", seen(generation=2))

    assert book.it.health(("team", "c"), 2).endpoints == {}
    assert list(book.it.health(("team", "c"), 1).endpoints) == ["e"]
    assert book.it.health(("third", "c"), 1).endpoints == {}


@pytest.mark.parametrize(
    ("reachable", "expected"), [((None, None), None), ((True, None), True), ((True, False), False), ((), None)]
)
def test_the_cache_is_reached_if_every_sidecar_that_has_one_reaches_it(
    book: Book, reachable: tuple[bool | None, ...], expected: bool | None
) -> None:
    for number, each in enumerate(reachable):
        book.publish(str(number))
        book.report(str(number), seen(), reachable=each)

    assert book.it.health(("team", "c"), 1).cache_reachable is expected


def test_a_report_tells_of_the_connectors_that_it_names_and_of_those_it_named(book: Book) -> None:
    book.publish("a")
    book.report("a", seen(), seen(connector="d"))
    book.report("a", seen(connector="d"))
    book.it.withdraw("a")

    assert book.changed == [("team", "c"), ("team", "d"), ("team", "c"), ("team", "d"), ("team", "d")]
    assert book.it.health(("team", "d"), 1).endpoints == {}


def test_who_was_not_published_is_not_believed(book: Book) -> None:
    book.report("a", seen())

    assert book.changed == []


def test_a_new_leader_knows_nothing(book: Book) -> None:
    book.publish("a")
    book.report("a", seen())

    book.it.reset()

    assert list(book.it.messages()) == []
    assert book.it.health(("team", "c"), 1).endpoints == {}


def test_an_endpoint_that_a_sidecar_has_not_looked_at_yet_is_neither_healthy_nor_ill(book: Book) -> None:
    for uid in ("a", "b"):
        book.publish(uid)
    book.report("a", seen(healthy=False, reason="BackendLost"))
    book.report("b", seen(reason="NotChecked"), reachable=True)

    found = book.it.health(("team", "c"), 1)

    assert (found.endpoints["e"].healthy, found.endpoints["e"].unhealthy) == (0, 1)
    assert found.cache_reachable is True


def test_how_a_pod_finds_its_network_is_known_once_its_sidecar_has_said_so(book: Book) -> None:
    book.publish("a")
    unheard = (book.it.has_reported("a"), book.it.inside("a"))

    book.report("a", inside={"closed": True, "wayOut": False})

    assert unheard == (False, None)
    assert book.it.has_reported("a")
    assert book.it.inside("a") == Inside(closed=True, way_out=False)


def test_an_agent_hears_of_its_pods_network_when_it_is_another_and_not_each_time(book: Book) -> None:
    book.publish("a")

    for closed in (True, True, False):
        book.report("a", inside={"closed": closed, "wayOut": None})

    assert book.looked == [("team", "a"), ("team", "a")]


def test_a_sidecar_that_does_not_look_has_reported_all_the_same(book: Book) -> None:
    book.publish("a")
    book.report("a")

    assert book.it.has_reported("a")
    assert book.it.inside("a") is None


def use(used: float, quota: str = "q") -> Raw:
    return {"quotaUid": quota, "resource": "apiCalls", "window": "Hour", "shared": False, "used": used}


def test_what_a_sidecar_used_is_kept_and_told_when_it_is_other(book: Book) -> None:
    book.publish("a")

    for each in (use(1), use(1), use(2), use(2, "other")):
        book.report("a", uses=(each,))

    assert book.used == ["q", "q", "other", "q"]
    assert book.it.uses("a") == (use(2, "other"),)


def test_a_pod_that_is_gone_has_used_nothing(book: Book) -> None:
    book.publish("a")
    book.report("a", uses=(use(1),))
    book.used.clear()

    book.it.withdraw("a")

    assert (book.used, book.it.uses("a")) == (["q"], ())
