from dataclasses import replace

import pytest

from ringfence_operator.reconcile.network_verdict import Known, NetworkKnowledge, learn, why_open
from ringfence_operator.resources.network_probe import ProbePod, Verdict
from ringfence_operator.resources.observed import Meta

GOOD, BAD = Verdict(()), Verdict(("pod",))
TARGET = ProbePod(
    meta=Meta("sys", "target", "t", "1"),
    image="x:1",
    is_ready=True,
    is_deleting=False,
    addresses=("10.0.0.5",),
    has_ended=False,
    ended="",
    verdict=None,
    problem="",
)
AWAY = replace(TARGET, is_ready=False)


def prober(uid: str, verdict: Verdict | None = None, *, ended: bool = True) -> ProbePod:
    meta = Meta("sys", "prober", uid, "1")
    return replace(TARGET, meta=meta, is_ready=False, has_ended=ended, ended="2026-11-23T12:00:00Z", verdict=verdict)


def after(*seen: tuple[ProbePod | None, ProbePod | None]) -> Known:
    known = Known()
    for probing, target in seen:
        known = learn(known, probing, target)
    return known


@pytest.mark.parametrize("verdict", [GOOD, BAD])
def test_the_first_verdict_holds(verdict: Verdict) -> None:
    found = after((prober("1", ended=False), TARGET), (prober("1", verdict), TARGET))

    assert (found.verdict, found.is_void, found.is_doubted) == (verdict, False, False)


@pytest.mark.parametrize("verdict", [GOOD, BAD])
def test_the_record_of_a_probe_that_ended_before_us_holds_without_its_target(verdict: Verdict) -> None:
    assert after((prober("1", verdict), None)).verdict == verdict


@pytest.mark.parametrize("target", [None, AWAY, replace(TARGET, is_deleting=True)])
def test_a_prober_that_had_nothing_to_reach_says_nothing(target: ProbePod | None) -> None:
    found = after((prober("1", ended=False), TARGET), (prober("1", GOOD), target))

    assert (found.verdict, found.is_void) == (None, True)


def test_a_prober_that_reached_something_says_so_although_its_target_went() -> None:
    assert after((prober("1", ended=False), TARGET), (prober("1", BAD), None)).verdict == BAD


def test_a_prober_that_ended_without_a_verdict_changes_nothing() -> None:
    found = after((prober("1", GOOD), None), (prober("2"), TARGET))

    assert (found.verdict, found.is_void) == (GOOD, True)


def test_one_bad_verdict_after_a_good_one_is_doubted_and_the_second_counts() -> None:
    once = after((prober("1", GOOD), None), (prober("2", BAD), TARGET))
    twice = learn(once, prober("3", BAD), TARGET)

    assert (once.verdict, once.is_doubted) == (GOOD, True)
    assert (twice.verdict, twice.is_doubted) == (BAD, False)


def test_a_glitch_is_forgotten() -> None:
    found = after((prober("1", GOOD), None), (prober("2", BAD), TARGET), (prober("3", GOOD), TARGET))

    assert (found.verdict, found.is_doubted) == (GOOD, False)


def test_a_probe_that_could_not_run_clears_no_doubt() -> None:
    doubted = after((prober("1", GOOD), None), (prober("2", BAD), TARGET), (prober("3"), TARGET))

    assert (doubted.verdict, doubted.is_doubted, doubted.is_void) == (GOOD, True, True)
    assert learn(doubted, prober("4", BAD), TARGET).verdict == BAD


def test_the_same_prober_is_judged_once() -> None:
    doubted = after((prober("1", GOOD), None), (prober("2", BAD), TARGET))

    assert learn(doubted, prober("2", BAD), TARGET) == doubted


def test_a_good_verdict_after_a_bad_one_counts_at_once() -> None:
    assert after((prober("1", BAD), None), (prober("2", GOOD), TARGET)).verdict == GOOD


def test_what_is_known_stays_when_the_pods_go() -> None:
    knowledge = NetworkKnowledge()
    unknown = knowledge.enforced()

    knowledge.learn(prober("1", GOOD), None)
    knowledge.learn(None, None)

    assert (unknown, knowledge.enforced()) == (None, True)


def test_what_to_do_is_said_only_where_nothing_is_enforced() -> None:
    assert (why_open(None), why_open(GOOD)) == ("", "")
    assert "reached the kubelet of its node. Install" in why_open(Verdict(("kubelet",)))
