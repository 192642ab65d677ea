import math

import pytest

from bench.audit import Write
from bench.egress.bed import is_enforced
from bench.egress.samples import Attempt, Change, added, in_force, outage, per_gigabyte
from bench.egress.writes import most_of_one


def attempt(began: float, *, succeeded: bool, ended: float | None = None, name: str = "api.test") -> Attempt:
    return Attempt(began, began + 0.01 if ended is None else ended, "sni", name, "" if succeeded else "closed")


def test_a_change_is_in_force_from_the_first_attempt_after_which_none_goes_otherwise() -> None:
    attempts = [
        attempt(10.1, succeeded=False),
        attempt(10.2, succeeded=True),  # one replica has it, the other one not yet
        attempt(10.3, succeeded=False),
        attempt(10.4, succeeded=True),
        attempt(10.5, succeeded=True),
    ]

    assert in_force(attempts, Change(10.0, is_open=True), until=20) == pytest.approx(0.41)


def test_a_refusal_that_is_slow_to_come_does_not_hide_a_quicker_one() -> None:
    attempts = [attempt(10.1, succeeded=False, ended=11.1), attempt(10.2, succeeded=False, ended=10.21)]

    assert in_force(attempts, Change(10.0, is_open=False), until=20) == pytest.approx(0.21)


def test_what_began_before_the_write_or_had_not_ended_at_the_next_one_does_not_count() -> None:
    attempts = [attempt(9.9, succeeded=True), attempt(10.1, succeeded=False), attempt(19.9, succeeded=True, ended=20.1)]

    assert in_force(attempts, Change(10.0, is_open=False), until=20) == pytest.approx(0.11)


@pytest.mark.parametrize("attempts", [[], [attempt(10.1, succeeded=True)]], ids=["nothing tried", "still open"])
def test_a_change_that_was_never_seen_took_for_ever(attempts: list[Attempt]) -> None:
    assert in_force(attempts, Change(10.0, is_open=False), until=20) == math.inf


def test_an_outage_lasts_from_the_kill_to_the_last_failure_of_an_allowed_name() -> None:
    attempts = [
        attempt(9.5, succeeded=False),
        attempt(9.9, succeeded=False, ended=10.2),  # under way when the replica was killed
        attempt(10.6, succeeded=False, ended=10.7),
        attempt(10.8, succeeded=True, ended=11.5),
        attempt(11.0, succeeded=False, name="web.example"),
    ]

    found = outage(attempts, 10.0, refused="web.example")

    assert (found.seconds, found.slowest) == pytest.approx((0.6, 0.7))
    assert (found.failed, found.let_through, found.total) == (2, 0, 5)


def test_a_refused_name_that_is_reached_is_counted_whenever_it_was() -> None:
    attempts = [attempt(1.0, succeeded=True, name="web.example"), attempt(10.0, succeeded=True)]

    found = outage(attempts, 5.0, refused="web.example")

    assert (found.let_through, found.seconds) == (1, 0.0)


def test_what_the_gateway_adds_is_the_difference_of_the_quantiles() -> None:
    samples = {"sni": [1.5, 2.5, 9.0], "direct": [1.0, 2.0, 4.0]}

    assert (added(samples, "sni", "direct", 0.5), added(samples, "sni", "direct", 0.99)) == (0.5, 5.0)


def test_cpu_is_told_for_each_gigabyte() -> None:
    assert (per_gigabyte(1.5, 500_000_000), per_gigabyte(1.5, 0)) == (3.0, math.inf)


def test_the_policy_that_was_written_most_often_counts() -> None:
    def write(resource: str, name: str) -> Write:
        return Write("ringfence-operator", "", "update", resource, "team", name, 200, 0, 0)

    writes = [write("securitypolicies/status", "a")] * 2 + [
        write("securitypolicies/status", "b"),
        write("services", "a"),
    ]

    assert (most_of_one(writes), most_of_one([])) == (2, 0)


@pytest.mark.parametrize(("generations", "expected"), [([2, 2], True), ([2, 1], False), ([2], False)])
def test_a_policy_is_in_force_once_both_replicas_have_its_generation(generations: list[int], expected: bool) -> None:
    replicas = [{"name": f"gateway-{number}", "generation": each} for number, each in enumerate(generations)]
    conditions = [{"type": "Enforced", "status": "True"}]
    status = {"conditions": conditions, "gateway": {"replicas": replicas}}

    assert is_enforced({"metadata": {"generation": 2}, "status": status}) is expected
