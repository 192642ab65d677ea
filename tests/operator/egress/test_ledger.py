from collections.abc import Sequence
from typing import Any

import pytest

from ringfence_operator.egress.ledger import Ledger
from ringfence_operator.egress.seen_names import MOST_NAMES
from ringfence_operator.reconcile.gateway import Force, Seen
from ringfence_operator.resources.port_set import PortSet

P = "team/p"
ONE, TWO = ["g1"], ["g1", "g2"]


def port_set(version: str = "v1", *, block: int = 3, policy: str = P) -> PortSet:
    return PortSet(
        block=block,
        policy=policy,
        version=version,
        address="10.96.0.9",
        is_audit=False,
        allowed=(),
        blocked=(),
        services={},
        further={},
    )


class Book:
    """A ledger, the clock that it reads, and what it told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.changed: list[str] = []
        self.seen: list[str] = []
        self.ledger = Ledger(on_change=self.changed.append, on_seen=self.seen.append, clock=lambda: self.now)

    def hear(self, kind: str, replica: str = "g1", **fields: Any) -> None:
        self.ledger.hear({"kind": kind, "replica": replica, **fields})

    def in_force(self, version: str = "v1", replica: str = "g1", block: int = 3) -> None:
        self.hear("inForce", replica, block=block, version=version)

    def refuse(self, version: str = "v1", replica: str = "g1") -> None:
        self.hear("refused", replica, block=3, version=version, message="no such thing")

    def join(self, *replicas: str) -> None:
        for each in replicas:
            self.hear("joined", each)

    def see(self, *names: tuple[str, int, str, int], block: int = 3) -> None:
        told = [
            {"block": block, "name": name, "port": port, "verdict": verdict, "count": count, "last": 1.0}
            for name, port, verdict, count in names
        ]
        self.hear("seen", names=told, other=[])

    def force(self, replicas: Sequence[str] = ONE, policy: str = P) -> Force:
        return self.ledger.standing(policy, replicas).force

    def generations(self, replicas: Sequence[str] = TWO) -> list[tuple[str, int]]:
        return [(each.name, each.generation) for each in self.ledger.standing(P, replicas).replicas]


@pytest.fixture
def book() -> Book:
    found = Book()
    found.ledger.publish(port_set(), generation=1)
    return found


def test_a_port_set_is_in_force_once_every_ready_replica_has_acknowledged_it(book: Book) -> None:
    book.join("g1", "g2")
    before = book.force(TWO)
    book.in_force()
    half = book.force(TWO)
    book.in_force(replica="g2")

    assert [before, half, book.force(TWO)] == [Force.PENDING, Force.PENDING, Force.IN_FORCE]
    assert book.changed == [P, P]


def test_an_answer_about_an_overtaken_version_counts_for_nothing(book: Book) -> None:
    book.join("g1")
    book.ledger.publish(port_set("v2"), generation=2)

    book.in_force("v1")

    assert (book.force(), book.changed) == (Force.PENDING, [])


def test_the_same_port_set_is_told_once_and_a_later_generation_of_it_is_in_force_at_once(book: Book) -> None:
    book.join("g1")
    book.in_force()

    is_told = book.ledger.publish(port_set(), generation=2)

    assert not is_told
    assert book.generations() == [("g1", 2)]


def test_a_changed_port_set_shows_the_generation_that_each_replica_still_has(book: Book) -> None:
    book.join("g1", "g2")
    for replica in TWO:
        book.in_force(replica=replica)
    book.ledger.publish(port_set("v2"), generation=2)
    book.in_force("v2")

    assert book.generations() == [("g1", 2), ("g2", 1)]
    assert book.force(TWO) is Force.PENDING


def test_a_refusal_is_told_with_its_reason_until_there_is_another_version(book: Book) -> None:
    book.join("g1")
    book.refuse()
    refused = book.ledger.standing(P, ONE)
    book.ledger.publish(port_set("v2"), generation=2)

    assert (refused.force, refused.message) == (Force.REFUSED, "no such thing")
    assert book.force() is Force.PENDING


def test_a_replica_that_refused_and_left_refuses_no_more(book: Book) -> None:
    book.join("g1", "g2")
    book.in_force()
    book.refuse(replica="g2")
    before = book.force()

    book.hear("left", "g2")

    assert (before, book.force()) == (Force.REFUSED, Force.IN_FORCE)
    assert book.changed == [P, P, P]


def test_a_replica_that_left_has_nothing_in_force(book: Book) -> None:
    book.join("g1", "g2")
    for replica in TWO:
        book.in_force(replica=replica)

    book.hear("left", "g2")

    assert book.force(TWO) is Force.PENDING
    assert book.force(ONE) is Force.IN_FORCE
    assert book.generations() == [("g1", 1)]


def test_a_replica_that_went_while_nobody_listened_is_not_shown(book: Book) -> None:
    book.in_force(replica="g-old")
    book.ledger.forget_replicas()
    book.in_force()

    assert book.generations(ONE) == [("g1", 1)]


def test_a_lost_control_process_changes_nothing_for_what_is_in_force(book: Book) -> None:
    book.join("g1")
    book.in_force()
    book.ledger.forget_replicas()
    kept = book.force()
    book.ledger.publish(port_set("v2"), generation=2)

    assert (kept, book.force()) == (Force.IN_FORCE, Force.UNAVAILABLE)


def test_without_a_ready_replica_the_gateway_is_unavailable_from_then_on(book: Book) -> None:
    book.join("g1")
    book.in_force()
    book.now = 100.0
    first = book.ledger.standing(P, [])
    book.now = 107.0
    second = book.ledger.standing(P, [])
    book.ledger.standing(P, ONE)
    book.now = 200.0
    again = book.ledger.standing(P, [])

    assert [first.force, second.force] == [Force.UNAVAILABLE] * 2
    assert [first.seconds, second.seconds, again.seconds] == [0.0, 7.0, 0.0]


def test_a_policy_that_was_not_published_is_pending(book: Book) -> None:
    assert book.force(policy="team/other") is Force.PENDING
    assert (book.ledger.is_published(P), book.ledger.is_published("team/other")) == (True, False)


def test_a_block_is_released_once_every_replica_has_said_so(book: Book) -> None:
    is_told = book.ledger.withdraw(3)
    before = book.ledger.is_released(3, TWO)
    book.hear("released", "g1", block=3)
    half = book.ledger.is_released(3, TWO)
    book.hear("released", "g2", block=3)

    assert is_told
    assert [before, half, book.ledger.is_released(3, TWO)] == [False, False, True]
    assert book.ledger.holder(3) == ""


def test_a_withdrawal_is_told_once_and_again_to_the_next_control_process(book: Book) -> None:
    told = [book.ledger.withdraw(3), book.ledger.withdraw(3)]
    book.ledger.forget_replicas()

    assert told == [True, False]
    assert book.ledger.withdrawn == [3]


def test_an_old_release_of_a_block_that_was_published_again_counts_for_nothing(book: Book) -> None:
    book.ledger.withdraw(3)
    book.ledger.publish(port_set(), generation=1)
    book.hear("released", "g1", block=3)

    is_told = book.ledger.withdraw(3)

    assert is_told
    assert not book.ledger.is_released(3, ONE)


def test_a_block_that_goes_to_another_policy_is_not_in_force_for_the_first(book: Book) -> None:
    book.join("g1")
    book.in_force()

    book.ledger.publish(port_set(policy="team/q"), generation=1)
    book.in_force()

    assert (book.force(), book.force(policy="team/q")) == (Force.PENDING, Force.IN_FORCE)
    assert book.ledger.holder(3) == "team/q"


def test_a_new_leader_knows_nothing(book: Book) -> None:
    book.join("g1")
    book.in_force()
    book.see(("a.example", 443, "allowed", 1))

    book.ledger.reset()

    assert (book.force(), book.ledger.seen(P), book.ledger.published) == (Force.PENDING, Seen(), {})


@pytest.mark.parametrize(("verdict", "observed", "denied"), [("allowed", 2, 0), ("denied", 0, 2), ("audited", 2, 2)])
def test_names_are_counted_by_their_verdict(book: Book, verdict: str, observed: int, denied: int) -> None:
    book.see(("a.example", 443, verdict, 1))
    book.see(("a.example", 443, verdict, 1))

    seen = book.ledger.seen(P)
    assert sum(each.count for each in seen.observed) == observed
    assert sum(each.count for each in seen.denied) == denied
    assert book.seen == [P, P]


def test_what_has_been_told_is_not_told_again_and_what_came_meanwhile_is(book: Book) -> None:
    book.see(("a.example", 443, "allowed", 3), ("b.example", 443, "allowed", 1))
    told = book.ledger.seen(P)
    book.see(("a.example", 443, "allowed", 2))

    book.ledger.told(P, told)

    assert [(each.name, each.count) for each in book.ledger.seen(P).observed] == [("a.example", 2)]


def test_so_many_names_are_kept_and_no_more(book: Book) -> None:
    book.see(*((f"n{number}.example", 443, "denied", 1) for number in range(MOST_NAMES + 50)))

    assert len(book.ledger.seen(P).denied) == MOST_NAMES


def test_names_of_a_block_that_nobody_has_are_dropped(book: Book) -> None:
    book.see(("a.example", 443, "denied", 1), block=9)

    assert book.seen == []


def test_a_message_that_is_none_is_an_error(book: Book) -> None:
    with pytest.raises(ValueError, match="dance"):
        book.hear("dance")
    with pytest.raises(KeyError):
        book.ledger.hear({"kind": "joined"})


def test_a_replica_that_lost_it_is_behind_since_then_and_not_since_it_was_published(book: Book) -> None:
    book.join("g1", "g2")
    book.ledger.publish(port_set(), generation=1)
    book.in_force(replica="g1")
    book.in_force(replica="g2")
    book.ledger.standing(P, TWO)
    book.now = 3600.0

    book.hear("left", "g2")
    lost = book.ledger.standing(P, TWO)
    book.now += 7
    later = book.ledger.standing(P, TWO)
    book.join("g2")
    book.in_force(replica="g2")
    again = book.ledger.standing(P, TWO)
    book.hear("left", "g2")
    once_more = book.ledger.standing(P, TWO)

    assert [(each.force, each.seconds) for each in (lost, later, once_more)] == [
        (Force.PENDING, 0.0),
        (Force.PENDING, 7.0),
        (Force.PENDING, 0.0),
    ]
    assert again.force is Force.IN_FORCE


def test_what_is_no_valid_name_or_beyond_the_bound_is_a_count_until_it_is_told() -> None:
    book = Book()
    book.ledger.publish(port_set(), generation=1)
    others = [{"block": 3, "verdict": verdict, "count": count} for verdict, count in VERDICTS.items()]
    book.hear("seen", names=[], other=[*others, {"block": 9, "verdict": "denied", "count": 7}])
    book.see(*((f"n{number}.io", 443, "denied", 2) for number in range(MOST_NAMES + 1)))

    seen = book.ledger.seen(P)
    book.ledger.told(P, seen)

    assert (seen.observed_others, seen.denied_others) == (1 + 20, 20 + 300 + 2)
    assert book.ledger.seen(P) == Seen()
    assert book.seen == [P, P]


VERDICTS = {"allowed": 1, "audited": 20, "denied": 300}
