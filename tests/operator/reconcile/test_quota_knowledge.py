from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.reconcile.quota_knowledge import MOST_SERIES, QuotaKnowledge, share_of

CALLS = ("apiCalls", "Hour", "Shared")


@given(st.integers(min_value=0, max_value=100_000))
def test_a_quota_is_shared_out_among_a_few_more_than_hold_it_and_never_among_less(agents: int) -> None:
    share = share_of(agents)

    assert max(1, agents) <= share <= max(1, agents) * 1.125


def test_agents_that_come_one_by_one_change_the_share_seldom() -> None:
    assert len({share_of(agents) for agents in range(5_000)}) < 100


def test_metrics_tell_of_so_many_limits_and_of_the_tightest() -> None:
    known = QuotaKnowledge()
    for number in range(MOST_SERIES + 10):
        known.used["team", f"q{number}"] = {CALLS: number / MOST_SERIES}
    known.warn(("team", f"q{MOST_SERIES}"), CALLS)
    known.refusals["team", f"q{MOST_SERIES}"] = {CALLS: 4}

    found = {labels: (used, warned, refused) for labels, used, warned, refused in known.series()}

    assert len(found) == MOST_SERIES
    assert ("team", "q0", *CALLS) not in found
    assert found["team", f"q{MOST_SERIES}", *CALLS] == (1.0, 1, 4)


def test_nothing_is_kept_of_a_quota_that_is_gone() -> None:
    known = QuotaKnowledge()
    known.used["team", "q"] = {CALLS: 1.0}
    known.shares["team", "q"] = 3
    known.refusals["team", "q"] = {CALLS: 1}
    known.warn(("team", "q"), CALLS)

    known.forget(("team", "q"))

    assert known == QuotaKnowledge()
