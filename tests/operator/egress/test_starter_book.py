from typing import Any

import pytest

from ringfence_operator.egress.starters import StarterBook
from ringfence_operator.reconcile.sidecars import Inside
from ringfence_operator.reconcile.starters import Heard

A, P = ("team", "a"), ("team", "p")
ORDER = {"version": "o1", "agent": {"uid": "a-uid"}}


class Book:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.heard: list[tuple[str, str]] = []
        self.fitness: list[tuple[str, str]] = []
        self.book = StarterBook(send=self.sent.append, on_heard=self.heard.append, on_fitness=self.fitness.append)

    def say(self, **more: Any) -> None:
        usual = {"uid": "u", "agentUid": "", "started": False, "refused": "", "inside": None}
        self.book.hear({"kind": "starterSeen", **usual, **more})


@pytest.fixture
def at() -> Book:
    return Book()


def test_what_does_not_differ_is_said_once(at: Book) -> None:
    for _ in range(2):
        at.book.admit("u", "10.0.0.1")
    for _ in range(2):
        at.book.order("u", "10.0.0.1", A, ORDER)

    assert at.sent == [
        {"kind": "starter", "uid": "u", "address": "10.0.0.1", "order": None},
        {"kind": "starter", "uid": "u", "address": "10.0.0.1", "order": ORDER},
    ]


def test_a_control_process_that_comes_back_is_told_all(at: Book) -> None:
    at.book.admit("u", "10.0.0.1")
    at.book.order("v", "10.0.0.2", A, ORDER)

    assert [(each["uid"], each["order"]) for each in at.book.messages()] == [("u", None), ("v", ORDER)]


def test_the_agent_is_looked_at_when_its_starter_says_something_else(at: Book) -> None:
    at.book.order("u", "10.0.0.1", A, ORDER)

    for _ in range(2):
        at.say(agentUid="a-uid", started=True, inside={"closed": True, "wayOut": False})

    assert at.heard == [A]
    assert at.book.heard("u") == Heard(agent_uid="a-uid", started=True, inside=Inside(closed=True, way_out=False))


def test_what_a_warm_pods_starter_says_is_kept_and_concerns_no_agent(at: Book) -> None:
    at.book.admit("u", "10.0.0.1")

    at.say()

    assert at.book.heard("u") == Heard()
    assert at.heard == []


@pytest.mark.parametrize("said", [{"inside": {"closed": False, "wayOut": None}}, {"refused": "no"}, {"agentUid": "x"}])
def test_the_pool_is_looked_at_when_a_warm_pod_comes_to_be_unfit_and_when_it_is_fit_again(
    at: Book, said: dict[str, Any]
) -> None:
    at.book.admit("u", "10.0.0.1", pool=P)
    at.say()
    at.say(inside={"closed": True, "wayOut": None})
    fit = list(at.fitness)

    at.say(**said)
    unfit = list(at.fitness)
    at.say(inside={"closed": True, "wayOut": None})

    assert (fit, unfit, at.fitness) == ([], [P], [P, P])


def test_of_a_pod_that_is_gone_nothing_is_kept(at: Book) -> None:
    at.book.admit("u", "10.0.0.1")
    at.say()
    at.book.withdraw("u")
    at.book.withdraw("u")
    at.say(started=True)

    assert at.sent[1:] == [{"kind": "starterGone", "uid": "u"}]
    assert at.book.heard("u") is None


def test_what_an_agents_starter_is_told_stays_while_a_watch_still_shows_the_pod_as_warm(at: Book) -> None:
    at.book.order("u", "10.0.0.1", A, ORDER)
    at.say(agentUid="a-uid")

    at.book.admit("u", "10.0.0.1")
    at.book.withdraw_warm("u")

    assert at.sent == [{"kind": "starter", "uid": "u", "address": "10.0.0.1", "order": ORDER}]
    assert at.book.heard("u") == Heard(agent_uid="a-uid")


def test_a_warm_pod_that_is_gone_is_told_nothing(at: Book) -> None:
    at.book.admit("u", "10.0.0.1")

    at.book.withdraw_warm("u")

    assert at.sent[1:] == [{"kind": "starterGone", "uid": "u"}]


def test_a_replica_that_comes_to_lead_begins_anew(at: Book) -> None:
    at.book.admit("u", "10.0.0.1")
    at.say()

    at.book.reset()

    assert (list(at.book.messages()), at.book.heard("u")) == ([], None)
