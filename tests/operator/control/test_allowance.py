import pytest

from ringfence_operator.control import allowance
from ringfence_operator.control.allowance import MOST_STRANGE, NEW_AT_ONCE, NEW_PER_SECOND, Allowance, Bucket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def it(clock: Clock) -> Allowance:
    return Allowance(clock=clock, is_known=lambda address: address.startswith("10."))


def test_an_address_opens_some_at_once_and_then_so_many_a_second(it: Allowance, clock: Clock) -> None:
    def burst() -> int:
        opened = [it.open("10.0.0.1") for _ in range(100)]
        for each in opened:
            if each is not None:
                it.close("10.0.0.1", is_known=each)
        return sum(each is not None for each in opened)

    first = burst()
    clock.now = 1.0
    second = burst()

    assert (first, second) == (NEW_AT_ONCE, NEW_PER_SECOND)


def test_one_address_takes_nothing_from_another(it: Allowance) -> None:
    for _ in range(100):
        it.open("10.0.0.1")

    assert it.open("10.0.0.2") is True


def test_strangers_share_what_those_that_are_known_have_besides(it: Allowance) -> None:
    opened = [it.open(f"192.0.{number // 250}.{number % 250}") for number in range(MOST_STRANGE + 10)]

    assert opened.count(False) == MOST_STRANGE
    assert it.open("10.0.0.1") is True


def test_a_stranger_that_goes_makes_room(it: Allowance) -> None:
    for number in range(MOST_STRANGE):
        it.open(f"192.0.{number // 250}.{number % 250}")
    before = it.open("192.1.0.1")

    it.close("192.0.0.0", is_known=False)

    assert (before, it.open("192.1.0.1")) == (None, False)


def test_what_is_remembered_is_bounded_and_what_is_open_is_never_forgotten(
    it: Allowance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "MOST_ADDRESSES", 4)
    it.open("10.0.0.1")

    for number in range(2, 20):
        it.request(f"10.0.0.{number}")

    assert len(it._sources) == 4
    it.close("10.0.0.1", is_known=True)
    assert it.connections == 0


def test_what_is_borrowed_has_to_be_waited_for() -> None:
    bucket = Bucket(rate=10.0, most=1.0, tokens=1.0, at=0.0)

    assert [round(bucket.borrow(0.0), 3) for _ in range(3)] == [0.0, 0.1, 0.2]
    assert bucket.borrow(10.0) == 0.0
