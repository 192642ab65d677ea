"""Whatever a pool's pods are, its plan leads to as many as asked for, and spares no warm one on the way."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence_operator.api.model import format_timestamp
from ringfence_operator.reconcile.pool_index import is_claimable
from ringfence_operator.reconcile.pool_plan import Wanted, plan_pool
from ringfence_operator.resources.observed_pod import Pod
from tests.operator.reconcile.test_pool_order import make_pod
from tests.operator.resources.objects import NOW

MAX_IDLE = 1000
LONG_AGO = "2026-11-20T00:00:00Z"
ROUNDS, ROUND_SECONDS = 60, 5
STATES = st.tuples(
    st.sampled_from(["h", "good", "bad"]), st.sampled_from(["warm", "starting", "failed"]), st.sampled_from([30, 2000])
)
WANTED = st.builds(
    Wanted,
    size=st.integers(0, 12),
    template_hash=st.just("h"),
    still_good=st.sampled_from([frozenset[str](), frozenset({"good"})]),
    most=st.sampled_from([None, 1, 3]),
    max_idle=st.sampled_from([None, MAX_IDLE]),
    waiting=st.sampled_from([0, 0, 2, 30]),
)


def pod_of(number: int, state: tuple[str, str, int]) -> Pod:
    hashed, phase, age = state
    created = format_timestamp(NOW - timedelta(seconds=age))
    pod = replace(make_pod(f"p{number}"), template_hash=hashed, created=LONG_AGO, ready=False)
    if phase == "warm":
        return made_ready(pod, NOW - timedelta(seconds=age))
    return replace(pod, created=created, phase="Failed") if phase == "failed" else pod


def made_ready(pod: Pod, when: datetime) -> Pod:
    return pod if pod.ready else replace(pod, ready=True, ready_since=format_timestamp(when))


def warm(pods: dict[str, Pod], wanted: Wanted) -> int:
    hashes = {wanted.template_hash, *wanted.still_good}
    return sum(is_claimable(pod) and pod.template_hash in hashes for pod in pods.values())


@given(st.lists(STATES, max_size=15), WANTED)
@settings(deadline=None)
def test_a_plan_comes_to_rest_at_what_is_wanted_and_never_leaves_less_warm_than_it_must(
    states: list[tuple[str, str, int]], wanted: Wanted
) -> None:
    pods = {pod.meta.name: pod for pod in (pod_of(number, state) for number, state in enumerate(states))}
    now, number = NOW, len(pods)
    for _ in range(ROUNDS):
        plan = plan_pool(pods.values(), wanted, is_handed_out=lambda _: False, is_lost=lambda _: False, now=now)
        before = warm(pods, wanted)
        for each in plan.delete:
            del pods[each.meta.name]  # fails for one that is to go twice
        assert warm(pods, wanted) >= min(before, wanted.size)
        assert wanted.most is None or plan.create <= wanted.most
        now += timedelta(seconds=ROUND_SECONDS)
        pods = {name: pod if pod.phase == "Failed" else made_ready(pod, now) for name, pod in pods.items()}
        for _ in range(plan.create):
            number += 1
            made = replace(make_pod(f"p{number}"), created=format_timestamp(now), ready=False, template_hash="h")
            pods[made.meta.name] = made

    assert len(pods) == warm(pods, wanted) == wanted.size
    if wanted.max_idle is not None:
        assert all(pod.ready_since > format_timestamp(NOW - timedelta(seconds=MAX_IDLE)) for pod in pods.values())


@given(st.lists(STATES, max_size=15), WANTED)
def test_a_pool_that_may_make_nothing_gives_no_warm_pod_away(
    states: list[tuple[str, str, int]], wanted: Wanted
) -> None:
    held = replace(wanted, most=0)
    pods = {pod.meta.name: pod for pod in (pod_of(number, state) for number, state in enumerate(states))}
    before = warm(pods, held)

    plan = plan_pool(pods.values(), held, is_handed_out=lambda _: False, is_lost=lambda _: False, now=NOW)
    left = {name: pod for name, pod in pods.items() if pod not in plan.delete}

    assert plan.create == 0
    assert warm(left, held) >= min(before, held.size)
