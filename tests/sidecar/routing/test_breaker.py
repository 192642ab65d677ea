import pytest

from ringfence_sidecar.routing.breaker import Breaker, State, Thresholds, Verdict

IS = Thresholds()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock, lambda: 0.5, IS)


def attempts(breaker: Breaker, verdict: Verdict, count: int, *, seconds: float = 0.01, work: str = "get") -> None:
    for _ in range(count):
        permit = breaker.begin()
        if permit is not None:
            breaker.record(permit, verdict, work, seconds)


def test_it_opens_when_half_of_the_attempts_of_late_were_lost(breaker: Breaker) -> None:
    attempts(breaker, Verdict.SERVED, 5)
    attempts(breaker, Verdict.LOST, 4)
    before = breaker.state

    attempts(breaker, Verdict.LOST, 1)

    assert before is State.CLOSED
    assert breaker.state is State.OPEN
    assert breaker.begin() is None


def test_a_few_losses_among_many_answers_do_not_open_it(breaker: Breaker) -> None:
    for _ in range(10):
        attempts(breaker, Verdict.SERVED, 3)
        attempts(breaker, Verdict.LOST, 1)

    assert breaker.state is State.CLOSED


def test_losses_of_long_ago_do_not_count(breaker: Breaker, clock: Clock) -> None:
    attempts(breaker, Verdict.LOST, 4)
    clock.now += IS.window + 1

    attempts(breaker, Verdict.LOST, 4)

    assert breaker.state is State.CLOSED


def test_an_error_of_the_calls_own_says_that_the_endpoint_lives(breaker: Breaker) -> None:
    attempts(breaker, Verdict.REFUSED, 100)

    assert breaker.state is State.CLOSED


def test_it_opens_on_latency_far_above_the_endpoints_own(breaker: Breaker) -> None:
    attempts(breaker, Verdict.SERVED, 20, seconds=0.1)

    attempts(breaker, Verdict.SERVED, 25, seconds=0.8)

    assert breaker.state is State.OPEN
    assert breaker.is_slow


def test_what_was_always_slow_is_not_slow_for_this_endpoint(breaker: Breaker) -> None:
    attempts(breaker, Verdict.SERVED, 100, seconds=8.0)

    assert breaker.state is State.CLOSED


def test_small_latencies_may_vary_as_they_like(breaker: Breaker) -> None:
    attempts(breaker, Verdict.SERVED, 20, seconds=0.001)

    attempts(breaker, Verdict.SERVED, 40, seconds=0.1)

    assert breaker.state is State.CLOSED


def test_each_kind_of_work_is_compared_with_itself(breaker: Breaker) -> None:
    attempts(breaker, Verdict.SERVED, 20, seconds=0.1, work="get")

    attempts(breaker, Verdict.SERVED, 40, seconds=5.0, work="report")

    assert breaker.state is State.CLOSED


def test_work_that_may_wait_for_something_to_come_is_never_slow(breaker: Breaker) -> None:
    attempts(breaker, Verdict.SERVED, 20, seconds=0.001, work="")

    attempts(breaker, Verdict.SERVED, 40, seconds=20.0, work="")

    assert breaker.state is State.CLOSED


def test_no_more_baselines_are_kept_than_some(breaker: Breaker) -> None:
    for number in range(10_000):
        attempts(breaker, Verdict.SERVED, 1, work=f"query {number}")

    assert len(breaker._baselines) == 256


def test_calls_that_nobody_waited_for_any_longer_count_as_slow_if_they_were(breaker: Breaker) -> None:
    attempts(breaker, Verdict.SERVED, 20, seconds=0.1)
    attempts(breaker, Verdict.ABANDONED, 30, seconds=0.01)
    before = breaker.state

    attempts(breaker, Verdict.ABANDONED, 25, seconds=0.8)

    assert before is State.CLOSED
    assert breaker.state is State.OPEN


def test_after_a_while_one_probe_at_a_time_is_let_through(breaker: Breaker, clock: Clock) -> None:
    attempts(breaker, Verdict.LOST, 5)
    clock.now += IS.first_open + 0.01

    first, second = breaker.begin(), breaker.begin()

    assert first is not None
    assert second is None
    assert breaker.state is State.HALF_OPEN


def test_probes_that_are_served_close_it(breaker: Breaker, clock: Clock) -> None:
    attempts(breaker, Verdict.LOST, 5)
    clock.now += IS.first_open + 0.01

    attempts(breaker, Verdict.SERVED, IS.probes)

    assert breaker.state is State.CLOSED


def test_a_lost_probe_opens_it_for_longer_up_to_a_bound(breaker: Breaker, clock: Clock) -> None:
    attempts(breaker, Verdict.LOST, 5)
    opened = []
    for _ in range(8):
        opened.append(breaker.opens_in)
        clock.now += breaker.opens_in
        attempts(breaker, Verdict.LOST, 1)

    assert opened[:4] == pytest.approx([1, 2, 4, 8])
    assert breaker.opens_in == pytest.approx(IS.longest_open)


def test_a_probe_that_was_given_up_makes_room_for_the_next(breaker: Breaker, clock: Clock) -> None:
    attempts(breaker, Verdict.LOST, 5)
    clock.now += IS.first_open + 0.01
    permit = breaker.begin()
    assert permit is not None

    breaker.abandon(permit)

    assert breaker.begin() is not None


def test_an_attempt_from_before_it_opened_says_nothing_of_the_probe(breaker: Breaker, clock: Clock) -> None:
    early = breaker.begin()
    assert early is not None
    attempts(breaker, Verdict.LOST, 5)
    clock.now += IS.first_open + 0.01
    probe = breaker.begin()

    breaker.record(early, Verdict.LOST)

    assert probe is not None
    assert breaker.state is State.HALF_OPEN


def test_a_health_check_lets_probes_through_early_and_a_dead_endpoint_none(breaker: Breaker) -> None:
    breaker.trip()
    tripped = breaker.state

    breaker.revive()

    assert tripped is State.OPEN
    assert breaker.state is State.HALF_OPEN


def test_an_endpoint_that_is_only_slow_may_serve_as_the_last_resort(breaker: Breaker) -> None:
    attempts(breaker, Verdict.SERVED, 20, seconds=0.1)
    attempts(breaker, Verdict.SERVED, 25, seconds=0.8)

    assert breaker.begin() is None
    assert breaker.begin(last_resort=True) is not None


def test_an_endpoint_that_is_dead_is_no_last_resort(breaker: Breaker) -> None:
    attempts(breaker, Verdict.LOST, 5)

    assert breaker.begin(last_resort=True) is None
