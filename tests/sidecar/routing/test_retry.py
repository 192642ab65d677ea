from ringfence_sidecar.routing.retry import LONGEST_SECONDS, Budget, backoff


def test_the_longest_wait_doubles_with_each_turn_up_to_a_bound() -> None:
    longest = [backoff(turn, lambda: 1.0) for turn in (1, 2, 3, 20)]

    assert longest == [0.1, 0.2, 0.4, LONGEST_SECONDS]


def test_the_wait_is_drawn_from_nothing_up_to_the_longest() -> None:
    assert backoff(3, lambda: 0.0) == 0.0
    assert backoff(3, lambda: 0.5) == 0.2


def test_retries_are_a_share_of_calls_once_the_reserve_is_used_up() -> None:
    budget = Budget(ratio=0.2, reserve=5)
    while budget.withdraw():
        pass

    granted = 0
    for _ in range(100):
        budget.deposit()
        granted += budget.withdraw()

    assert 19 <= granted <= 20


def test_what_is_not_used_up_does_not_add_up_beyond_the_reserve() -> None:
    budget = Budget(ratio=1.0, reserve=5)
    for _ in range(100):
        budget.deposit()

    granted = sum(budget.withdraw() for _ in range(100))

    assert granted == 5
