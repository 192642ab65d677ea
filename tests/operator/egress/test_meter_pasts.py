"""What a meter had counted before it was gone, which lives on in the meters that are there."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from ringfence_operator.api.quota import Limit
from ringfence_operator.egress.meters import TOLD_TURNS
from ringfence_operator.reconcile.network_use import LONGEST
from tests.operator.egress.test_meter_book import MEGA, Book, limit, metered
from tests.operator.reconcile.test_network_use import NOW

A, B = "gateway-0/a", "gateway-0/b"


def given(made: Book) -> list[dict[str, Any]]:
    """Return what gateways are given to keep, in the form in which they tell it."""
    pasts = [each for each in made.sent if each["kind"] == "meterPast"]
    return [
        {"meter": count["meter"], "isPast": True, "agents": [{"agent": each["agent"], **count}]}
        for each in pasts
        for count in each["counts"]
    ]


def replaced(made: Book, *, total: int = MEGA) -> None:
    """Have a meter count, and another one take its place."""
    made.book.publish(metered(limit()))
    made.hear(total, meter=A, cut=2)
    made.hear(0, meter=B)
    made.look_at(NOW)


def leads_anew(made: Book, told: Iterable[dict[str, Any]]) -> None:
    """Have another replica lead, which is told only what the meters know that are there."""
    made.book.reset()
    made.book.publish(metered(limit()))
    made.hear(0, meter=B)
    for each in told:
        made.book.hear(each)
    made.book.look()


def test_what_a_meter_counted_that_is_gone_is_used_for_an_operator_that_begins() -> None:
    made = Book()
    replaced(made)

    leads_anew(made, given(made))

    assert made.sent[-1]["left"] == 0
    assert made.use(limit()).used == MEGA


def test_an_operator_that_was_told_gives_it_on_to_gateways_that_come() -> None:
    made = Book()
    replaced(made)
    told = given(made)
    made.sent.clear()

    leads_anew(made, told)
    made.look_at(NOW)

    assert given(made) == told
    assert [each["kind"] for each in made.book.messages()] == ["meter", "meterPast"]


def test_how_often_it_refused_is_not_counted_again() -> None:
    made = Book()
    replaced(made)
    before = made.use(limit())

    leads_anew(made, given(made))
    after = made.use(limit())

    assert (before.refusals, before.seen_refusals) == (after.refusals, after.seen_refusals) == (2, 2)


def test_a_replica_that_has_left_gives_its_own_and_takes_it_back_when_it_is_there_again() -> None:
    made = Book()
    made.book.publish(metered(limit()))
    made.hear(MEGA // 2, meter=A)

    made.book.left("gateway-0")
    made.look_at(NOW)
    early = given(made)
    made.hear(MEGA, meter=A)
    made.look_at(NOW)
    for each in early:
        made.book.hear(each)

    assert len(early) == 1
    assert made.sent[-1] == {"kind": "meterPastGone", "agent": "one"}
    assert made.use(limit()).used == MEGA, "what was given too early is older than what is known"


def test_what_is_open_at_a_meter_that_is_there_stays_open() -> None:
    made = Book()
    made.book.publish(metered(limit()))
    made.hear(MEGA, meter=A)
    made.book.left("gateway-0")
    made.look_at(NOW)
    made.hear(MEGA, meter=A, open=2)

    for each in given(made):
        made.book.hear(each)

    connections = Limit.model_validate({"resource": "networkConnections", "max": "3"})
    assert made.use(connections).used == 2


def test_a_replica_that_goes_while_nobody_listens_is_gone() -> None:
    made = Book()
    made.book.publish(metered(limit()))
    made.hear(MEGA, meter=A)

    made.book.disconnected()
    made.hear(0, meter="gateway-1/c")
    made.look_at(NOW)

    assert [each["meter"] for each in given(made)] == [A]


def test_what_does_not_change_is_given_once() -> None:
    made = Book()
    replaced(made)
    before = len(given(made))

    made.hear(5, meter="gateway-1/c")
    made.look_at(NOW)

    assert before == len(given(made)) == 1


def test_a_meter_whose_count_has_left_every_window_is_forgotten() -> None:
    made = Book()
    replaced(made)
    months = int(NOW.timestamp()) // 129_600
    made.book.hear({"meter": A, "isPast": True, "agents": [past(total=MEGA + 1, month=months)]})
    found = []

    for later in (LONGEST - timedelta(days=3), LONGEST + timedelta(days=3)):
        made.now = NOW + later
        made.book.hear({"meter": B, "agents": [past(total=5, month=months + 21)]})
        for _ in range(2 * TOLD_TURNS):
            made.book.look()
        found.append([each["kind"] for each in made.book.messages()])

    assert found == [["meter", "meterPast"], ["meter"]]


def past(*, total: int, month: int) -> dict[str, Any]:
    """Return what a meter tells of an agent, all of it of one slot."""
    return {"agent": "one", "total": total, "open": 0, "refused": 0, "cut": 0, "slots": {"Month": {str(month): total}}}
