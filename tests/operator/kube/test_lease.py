import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from ringfence_operator.errors import AlreadyExistsError, ConflictError, NotFoundError, UnavailableError
from ringfence_operator.kube.lease import LeaderElector
from tests.operator.runtime.clock import FakeClock

Raw = dict[str, Any]
DURATION, RENEW, POLL, MARGIN = 10, 2.5, 1.0, 2.0


class FakeLeases:
    """One Lease behind the API server's rules; `down` makes every request fail."""

    def __init__(self) -> None:
        self.lease: Raw | None = None
        self.down = False
        self.version = 0
        self.lose_answers = False

    async def get(self, path: str) -> Raw:  # noqa: ARG002
        self._check()
        if self.lease is None:
            raise NotFoundError("no such lease")
        return {**self.lease, "metadata": dict(self.lease["metadata"])}

    async def create(self, path: str, body: Raw) -> Raw:  # noqa: ARG002
        self._check()
        if self.lease is not None:
            raise AlreadyExistsError("there is one")
        return self._put(body)

    async def merge_patch(self, path: str, body: Raw) -> Raw:  # noqa: ARG002
        self._check()
        assert self.lease is not None
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ConflictError("modified")
        return self._put({"spec": {**self.lease["spec"], **body["spec"]}})

    @property
    def spec(self) -> Raw:
        assert self.lease is not None
        spec: Raw = self.lease["spec"]
        return spec

    def _check(self) -> None:
        if self.down:
            raise UnavailableError("connection refused")

    def _put(self, lease: Raw) -> Raw:
        self.version += 1
        self.lease = {**lease, "metadata": {"resourceVersion": str(self.version)}}
        if self.lose_answers:
            raise UnavailableError("the answer got lost")
        return self.lease


class Replica:
    """An elector on a fake clock, what it called back, and its process."""

    def __init__(self, leases: FakeLeases, clock: FakeClock, identity: str) -> None:
        self.calls: list[str] = []
        self.elector = LeaderElector(
            leases,
            "ringfence-system",
            "ringfence",
            identity,
            duration=DURATION,
            renew=RENEW,
            poll=POLL,
            margin=MARGIN,
            clock=clock,
            now=lambda: datetime(2026, 1, 1, 12, 0, 0, 250, tzinfo=UTC),
            sleep=self._sleep,
        )
        self._clock = clock
        self._process: asyncio.Task[None] | None = None

    async def _sleep(self, seconds: float) -> None:
        awake = asyncio.get_running_loop().create_future()
        self._clock.call_later(seconds, lambda: None if awake.done() else awake.set_result(None))
        await awake

    async def start(self) -> None:
        self._process = asyncio.create_task(
            self.elector.run(on_gained=lambda: self.calls.append("gained"), on_lost=lambda: self.calls.append("lost"))
        )
        await turn()

    async def stop(self) -> None:
        assert self._process is not None
        self._process.cancel()
        await asyncio.gather(self._process, return_exceptions=True)

    async def kill(self) -> None:
        self.elector._seen = None  # nothing is released by a process that was killed
        await self.stop()


async def turn() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def let_pass(clock: FakeClock, seconds: float) -> None:
    for _ in range(round(seconds / 0.25)):
        clock.advance(0.25)
        await turn()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def leases() -> FakeLeases:
    return FakeLeases()


@pytest.fixture
def first(leases: FakeLeases, clock: FakeClock) -> Replica:
    return Replica(leases, clock, "first")


@pytest.fixture
def second(leases: FakeLeases, clock: FakeClock) -> Replica:
    return Replica(leases, clock, "second")


async def test_the_first_one_leads_and_the_second_stands_by(
    leases: FakeLeases, clock: FakeClock, first: Replica, second: Replica
) -> None:
    await first.start()
    await second.start()
    await let_pass(clock, 60)

    assert first.calls == ["gained"]
    assert second.calls == []
    assert second.elector.remaining() == 0
    assert leases.spec == {
        "holderIdentity": "first",
        "leaseDurationSeconds": DURATION,
        "acquireTime": "2026-01-01T12:00:00.000250Z",
        "renewTime": "2026-01-01T12:00:00.000250Z",
        "leaseTransitions": 0,
    }
    await first.stop()
    await second.stop()


async def test_the_term_ends_before_the_lease_does_and_a_renewal_extends_it(clock: FakeClock, first: Replica) -> None:
    await first.start()
    at_first = first.elector.remaining()
    await let_pass(clock, RENEW - 0.25)
    before_renewal = first.elector.remaining()
    await let_pass(clock, 0.25)

    assert at_first == DURATION - MARGIN
    assert before_renewal == DURATION - MARGIN - RENEW + 0.25
    assert first.elector.remaining() == DURATION - MARGIN
    await first.stop()


async def test_a_leader_that_stops_while_a_renewal_is_on_its_way_gives_the_lease_up(
    leases: FakeLeases, clock: FakeClock, first: Replica
) -> None:
    await first.start()
    leases.lose_answers = True
    await let_pass(clock, RENEW)
    leases.lose_answers = False

    await first.stop()

    assert leases.spec["holderIdentity"] == ""


async def test_a_killed_leader_is_followed_within_its_lease_and_one_poll(
    leases: FakeLeases, clock: FakeClock, first: Replica, second: Replica
) -> None:
    await first.start()
    await second.start()
    await let_pass(clock, 30)

    await first.kill()
    await let_pass(clock, DURATION - RENEW - 0.5)
    too_early = second.elector.is_leader
    await let_pass(clock, RENEW + 0.5 + POLL)

    assert not too_early
    assert second.elector.is_leader
    assert leases.spec["holderIdentity"] == "second"
    assert leases.spec["leaseTransitions"] == 1
    await second.stop()


async def test_a_leader_that_stops_is_followed_at_the_next_poll(
    clock: FakeClock, first: Replica, second: Replica
) -> None:
    await first.start()
    await second.start()

    await first.stop()
    await let_pass(clock, POLL)

    assert first.elector.remaining() == 0
    assert second.calls == ["gained"]
    await second.stop()


async def test_a_leader_that_cannot_renew_stops_writing_before_anybody_else_may(
    leases: FakeLeases, clock: FakeClock, first: Replica
) -> None:
    await first.start()

    leases.down = True
    await let_pass(clock, DURATION - MARGIN - 0.25)
    before = first.elector.is_leader
    await let_pass(clock, 0.25)

    assert before
    assert not first.elector.is_leader
    assert first.calls == ["gained", "lost"]
    await first.stop()


async def test_a_short_outage_costs_no_leadership(leases: FakeLeases, clock: FakeClock, first: Replica) -> None:
    await first.start()

    leases.down = True
    await let_pass(clock, 5)
    leases.down = False
    await let_pass(clock, 60)

    assert first.calls == ["gained"]
    await first.stop()


async def test_a_lost_leadership_comes_back_when_nobody_took_it(
    leases: FakeLeases, clock: FakeClock, first: Replica
) -> None:
    await first.start()

    leases.down = True
    await let_pass(clock, 20)
    leases.down = False
    await let_pass(clock, POLL)

    assert first.calls == ["gained", "lost", "gained"]
    await first.stop()


async def test_two_never_lead_at_once_when_the_leader_is_cut_off(
    leases: FakeLeases, clock: FakeClock, first: Replica, second: Replica
) -> None:
    cut_off = FakeLeases()
    cut_off.down = True
    await first.start()
    await second.start()

    first.elector._client = cut_off
    for _ in range(80):
        await let_pass(clock, 0.25)
        assert not (first.elector.is_leader and second.elector.is_leader)

    assert first.calls == ["gained", "lost"]
    assert second.calls == ["gained"]
    await first.stop()
    await second.stop()


async def test_a_renewal_whose_answer_got_lost_is_found_by_looking(
    leases: FakeLeases, clock: FakeClock, first: Replica
) -> None:
    await first.start()

    leases.lose_answers = True
    await let_pass(clock, RENEW)
    leases.lose_answers = False
    await let_pass(clock, 30)

    assert first.calls == ["gained"]
    assert first.elector.is_leader
    await first.stop()


async def test_somebody_who_takes_the_lease_by_force_is_noticed(
    leases: FakeLeases, clock: FakeClock, first: Replica
) -> None:
    await first.start()

    leases._put({"spec": {**leases.spec, "holderIdentity": "intruder"}})
    await let_pass(clock, RENEW + POLL)

    assert first.calls == ["gained", "lost"]
    await first.stop()
    assert leases.spec["holderIdentity"] == "intruder"


async def test_a_stale_lease_of_the_past_is_waited_for_once(
    leases: FakeLeases, clock: FakeClock, first: Replica
) -> None:
    leases._put({"spec": {"holderIdentity": "gone", "leaseDurationSeconds": DURATION, "leaseTransitions": 4}})

    await first.start()
    await let_pass(clock, DURATION - 0.25)
    too_early = first.elector.is_leader
    await let_pass(clock, POLL)

    assert not too_early
    assert first.elector.is_leader
    assert leases.spec["leaseTransitions"] == 5
    await first.stop()
