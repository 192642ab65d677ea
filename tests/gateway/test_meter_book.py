from dataclasses import replace
from typing import Any

import pytest

from ringfence_gateway.meter.book import MOST_OPEN, Book
from ringfence_gateway.meter.orders import Orders

METER = "gateway-0/a"


def orders(name: str = "one", **more: Any) -> Orders:
    usual: dict[str, Any] = {"left": None, "totals": {}, "connections": None, "replicas": ("gateway-0",)}
    wire = {"uid": f"pod-{name}", "agent": name, "address": "10.0.0.1", **usual, "words": "", "retryAfter": 0, **more}
    return Orders.from_wire(wire)


def test_what_passes_is_cut_to_what_is_left() -> None:
    spent: list[str] = []
    book = Book(METER, spent.append)
    book.put(orders(left=100))

    passed = [book.pass_on("pod-one", each) for each in (60, 60, 1)]

    assert passed == [60, 40, 0]
    assert book.accounts["one"].total == 100
    assert spent[0] == "pod-one"


def test_without_a_limit_all_of_it_passes_and_is_counted() -> None:
    book = Book(METER)
    book.put(orders())

    assert book.pass_on("pod-one", 10**12) == 10**12
    assert book.accounts["one"].total == 10**12


def test_what_this_meter_had_counted_before_is_not_taken_off_twice() -> None:
    book = Book(METER)
    book.put(orders())
    book.pass_on("pod-one", 500)

    book.put(orders(left=100, totals={METER: 450, "gateway-1/b": 9_999}))

    assert book.room(orders(left=100, totals={METER: 450})) == 50


def test_orders_that_leave_nothing_cut_at_once() -> None:
    spent: list[str] = []
    book = Book(METER, spent.append)
    book.put(orders())
    book.pass_on("pod-one", 500)

    book.put(orders(left=0, totals={METER: 500}))

    assert spent == ["pod-one"]


def test_orders_of_an_operator_that_has_heard_nothing_yet_cut_nobody_and_give_no_more_than_was_left() -> None:
    spent: list[str] = []
    book = Book(METER, spent.append)
    book.put(orders(left=1_000))
    book.pass_on("pod-one", 900)
    # A window has passed since: all of it is there again.
    book.put(orders(left=1_000, totals={METER: 900}))
    book.pass_on("pod-one", 800)

    book.put(orders(left=1_000))
    passed = [book.pass_on("pod-one", 150), book.pass_on("pod-one", 150)]
    cut = list(spent)
    book.put(orders(left=700, totals={METER: 1_900}))

    assert passed == [150, 50]
    assert cut == ["pod-one"]
    assert book.pass_on("pod-one", 1_000) == 700


def test_a_meter_that_counted_nothing_is_not_given_by_such_an_operator_what_others_have_used() -> None:
    book = Book(METER)
    book.put(orders(left=200, totals={"gateway-1/b": 800}))

    book.put(orders(left=1_000))
    before = book.pass_on("pod-one", 50), book.room(book.at("10.0.0.1") or orders())
    book.put(orders(left=180, totals={"gateway-1/b": 820}))
    book.put(orders(left=120, totals={"gateway-1/b": 830, METER: 50}))

    assert before == (50, 150)
    assert book.pass_on("pod-one", 1_000) == 120


def test_a_pod_that_comes_while_the_operator_has_heard_nothing_is_held_to_what_was_left_to_the_one_before() -> None:
    book = Book(METER)
    book.put(orders(left=1_000, totals={METER: 0}))
    book.pass_on("pod-one", 900)
    book.remove("pod-one")

    book.put(replace(orders(left=5_000), uid="pod-two", address="10.0.0.2"))

    assert book.pass_on("pod-two", 1_000) == 100


def test_such_an_operator_is_believed_where_it_leaves_less() -> None:
    book = Book(METER)
    book.put(orders(left=1_000, totals={METER: 0}))

    book.put(orders(left=0))

    assert book.pass_on("pod-one", 10) == 0


def test_a_second_pod_of_an_agent_goes_on_where_the_first_one_ended() -> None:
    book = Book(METER)
    book.put(orders(left=100))
    book.pass_on("pod-one", 70)

    book.remove("pod-one")
    book.put(replace(orders(left=100), uid="pod-two", address="10.0.0.2"))

    assert book.pass_on("pod-two", 70) == 30


def test_a_pod_that_has_the_address_of_another_takes_its_place() -> None:
    spent: list[str] = []
    book = Book(METER, spent.append)
    book.put(orders("one"))

    book.put(orders("two"))

    found = book.at("10.0.0.1")
    assert found is not None
    assert found.agent == "two"
    assert spent == ["pod-one"]
    assert book.pass_on("pod-one", 10) == 0


@pytest.mark.parametrize(
    ("most", "replicas", "shares"),
    [
        (5, ("gateway-0", "gateway-1"), {"gateway-0": 3, "gateway-1": 2}),
        (1, ("gateway-1", "gateway-0"), {"gateway-0": 1, "gateway-1": 0}),
        (4, ("gateway-1",), {"gateway-0": 0, "gateway-1": 4}),
    ],
)
def test_replicas_share_connections_so_that_there_are_never_more(
    most: int, replicas: tuple[str, ...], shares: dict[str, int]
) -> None:
    made = orders(connections=most, replicas=replicas)

    assert {replica: made.share(replica) for replica in shares} == shares


def test_connections_are_let_in_up_to_the_share_and_again_when_one_has_ended() -> None:
    book = Book(METER)
    made = orders(connections=2)
    book.put(made)

    first = [book.open(made) for _ in range(3)]
    book.close("one", is_cut=False)
    again = book.open(made)

    assert (first, again) == ([True, True, False], True)
    assert book.accounts["one"].refused == 1


def test_an_agent_without_a_limit_has_one_that_keeps_it_from_filling_the_meter() -> None:
    book = Book(METER)
    made = orders()
    book.put(made)

    opened = [book.open(made) for _ in range(MOST_OPEN + 1)]

    assert opened.count(False) == 1


def test_only_what_has_changed_is_told_unless_all_is_asked_for() -> None:
    book = Book(METER)
    book.put(orders())
    book.pass_on("pod-one", 10)

    first = book.report(now=1_000.0, is_whole=False)
    nothing = book.report(now=1_001.0, is_whole=False)
    whole = book.report(now=1_002.0, is_whole=True)

    assert first[0]["slots"]["Minute"] == {333: 10}
    assert nothing == []
    assert whole[0]["slots"] == first[0]["slots"]


def test_orders_that_lack_something_are_refused() -> None:
    with pytest.raises(ValueError, match="not a meter's orders"):
        Orders.from_json(b'{"uid": "pod"}')
