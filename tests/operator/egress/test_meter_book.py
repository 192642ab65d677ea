from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.egress.meter_orders import LEAST_NEWS
from ringfence_operator.egress.meters import FREED_TURNS, REPEAT_SECONDS, TOLD_TURNS, MeterBook
from ringfence_operator.reconcile.meters import Metered
from ringfence_operator.reconcile.network_quota import Held
from ringfence_operator.reconcile.quota_use import Use
from tests.operator.reconcile.test_network_use import NOW, minute, report

MEGA = 1_000_000


def limit(most: int = MEGA, **more: Any) -> Limit:
    return Limit.model_validate({"resource": "networkBytes", "max": str(most), "window": "Minute", **more})


def metered(*limits: Limit, agent: str = "one", replicas: tuple[str, ...] = ("gateway-0",), **more: Any) -> Metered:
    held = tuple(Held("team", "net", "quota-1", each) for each in limits)
    usual = {"address": "10.0.0.1", "pod_uid": f"pod-{agent}", "created": NOW, **more}
    return Metered(agent_uid=agent, agent=("team", agent), limits=held, replicas=replicas, **usual)


def quota(*limits: Limit) -> Quota:
    meta = {"name": "net", "namespace": "team", "uid": "quota-1", "generation": 1, "resourceVersion": "1"}
    spec = {"selector": {}, "limits": [each.to_body() for each in limits]}
    return Quota.from_body({"apiVersion": "ringfence.dev/v1alpha1", "kind": "Quota", "metadata": meta, "spec": spec})


class Book:
    """A book that was begun long ago, and what came of it."""

    def __init__(self) -> None:
        self.now = NOW - timedelta(seconds=REPEAT_SECONDS)
        self.sent: list[dict[str, Any]] = []
        self.used: list[str] = []
        self.spent: list[tuple[str, str]] = []
        self.book = MeterBook(
            send=self.sent.append, on_use=self.used.append, on_spent=self.spent.append, clock=lambda: self.now
        )
        self.now = NOW

    def hear(self, total: int, *, meter: str = "gateway-0/a", agent: str = "one", **more: Any) -> None:
        """Take a report of bytes that passed at the beginning, and look at it."""
        self.book.hear(report(meter, agent, total=total, slots={"Minute": {minute(0): total}}, **more))
        self.book.look()

    def look_at(self, moment: datetime) -> None:
        """Look as often as time alone needs."""
        self.now = moment
        for _ in range(FREED_TURNS):
            self.book.look()

    def is_closed(self) -> bool:
        """Return whether ways past the gateway are to be closed to the agent."""
        left = self.book.allowed("one")
        return left is not None and left.is_spent and self.book.is_direct("one")

    def use(self, limit: Limit) -> Use:
        """Return where a limit of the quota stands."""
        return self.book.uses(quota(limit))[limit.id]


def test_a_pod_is_told_what_is_left_and_the_same_is_not_said_again() -> None:
    made = Book()

    for _ in range(2):
        made.book.publish(metered(limit()))

    assert [(each["kind"], each["uid"], each["agent"], each["left"]) for each in made.sent] == [
        ("meter", "pod-one", "one", MEGA)
    ]


def test_a_pod_without_limits_is_counted_and_not_limited() -> None:
    made = Book()

    made.book.publish(metered())

    assert (made.sent[0]["left"], made.sent[0]["connections"]) == (None, None)


def test_what_is_used_up_closes_and_the_end_of_the_window_opens() -> None:
    made = Book()
    made.book.publish(metered(limit()))

    made.hear(MEGA)
    closed, told = made.sent[-1], list(made.spent)
    made.look_at(NOW + timedelta(seconds=59))
    still = made.sent[-1]
    made.look_at(NOW + timedelta(seconds=64))

    assert (closed["left"], closed["totals"]) == (0, {"gateway-0/a": MEGA})
    assert told == [("team", "one")]
    assert still is closed
    assert made.sent[-1]["left"] == MEGA
    assert made.spent == [("team", "one")] * 2


def test_the_only_meter_needs_no_word_of_what_it_counted_itself() -> None:
    made = Book()
    made.book.publish(metered(limit()))
    made.hear(1)
    before = len(made.sent)

    made.hear(MEGA // 2)

    assert len(made.sent) == before


def test_a_meter_is_told_what_another_one_counted() -> None:
    made = Book()
    made.book.publish(metered(limit(), replicas=("gateway-0", "gateway-1")))

    made.hear(MEGA // 2, meter="gateway-0/a")
    made.hear(MEGA // 4, meter="gateway-1/b")

    assert made.sent[-1]["left"] == MEGA // 4
    assert made.sent[-1]["totals"] == {"gateway-0/a": MEGA // 2, "gateway-1/b": MEGA // 4}


def test_little_that_others_used_is_not_worth_a_message_before_the_end() -> None:
    made = Book()
    made.book.publish(metered(limit(), replicas=("gateway-0", "gateway-1")))
    made.hear(0)
    before = len(made.sent)

    made.hear(LEAST_NEWS - 1)

    assert len(made.sent) == before


def test_a_shared_limit_that_one_has_used_up_closes_all_and_a_limit_of_its_own_only_the_one() -> None:
    shared, own = Book(), Book()
    for made, scope in ((shared, "Shared"), (own, "PerAgent")):
        for agent, address in (("one", "10.0.0.1"), ("two", "10.0.0.2")):
            made.book.publish(metered(limit(scope=scope), agent=agent, address=address))
        made.hear(MEGA)

    left = [{each["agent"]: each["left"] for each in made.sent} for made in (shared, own)]
    assert left == [{"one": 0, "two": 0}, {"one": 0, "two": MEGA}]


def test_what_a_pod_that_is_gone_used_of_a_shared_limit_is_used() -> None:
    made = Book()
    made.book.publish(metered(limit(scope="Shared")))
    made.hear(MEGA)

    made.book.withdraw("pod-one")
    made.book.publish(metered(limit(scope="Shared"), agent="two", address="10.0.0.2"))

    assert made.sent[-2] == {"kind": "meterGone", "uid": "pod-one"}
    assert (made.sent[-1]["agent"], made.sent[-1]["left"]) == ("two", 0)


def test_a_control_process_that_knows_nothing_is_told_all_of_it() -> None:
    made = Book()
    made.book.publish(metered(limit()))
    made.hear(MEGA)

    assert list(made.book.messages()) == [made.sent[-1]]


def test_another_limit_is_told_at_once_and_what_was_used_stays_used() -> None:
    made = Book()
    made.book.publish(metered(limit()))
    made.hear(MEGA)

    made.book.publish(metered(limit(3 * MEGA)))

    assert made.sent[-1]["left"] == 2 * MEGA


def test_a_quota_is_told_who_used_what_and_when_there_is_more() -> None:
    made = Book()
    own, connections = limit(), Limit.model_validate({"resource": "networkConnections", "max": "3"})
    for agent, address in (("one", "10.0.0.1"), ("two", "10.0.0.2")):
        made.book.publish(metered(own, connections, agent=agent, address=address))
    made.hear(MEGA, cut=2, open=1)
    made.hear(7, agent="two", refused=4, open=3)

    uses = made.book.uses(quota(own, connections))

    of_bytes, of_connections = uses[own.id], uses[connections.id]
    assert (of_bytes.used, of_bytes.per_agent) == (MEGA, {"one": MEGA, "two": 7})
    assert (of_bytes.refusals, of_bytes.refused_agent, of_bytes.refused_at) == (2, "one", NOW)
    assert (of_bytes.seen_refusals, of_connections.seen_refusals) == (2, 4)
    assert (of_bytes.refused, of_connections.refused) == ({"one": NOW}, {"two": NOW})
    assert of_bytes.resets_at is not None
    assert NOW < of_bytes.resets_at <= NOW + timedelta(seconds=63)
    assert (of_connections.used, of_connections.refusals, of_connections.refused_agent) == (3, 4, "two")
    assert made.used == ["quota-1"] * 2


def test_a_shared_limit_is_used_by_all_together() -> None:
    made = Book()
    shared = limit(scope="Shared", enforcement="Warn")
    for agent, address in (("one", "10.0.0.1"), ("two", "10.0.0.2")):
        made.book.publish(metered(shared, agent=agent, address=address))
        made.hear(MEGA, agent=agent)

    assert made.book.uses(quota(shared))[shared.id].used == 2 * MEGA
    assert {each["left"] for each in made.sent} == {None}


def test_what_was_forgotten_is_told_again_by_meters() -> None:
    made = Book()
    made.book.publish(metered(limit()))
    made.hear(MEGA)

    made.book.reset()
    made.book.publish(metered(limit()))
    made.hear(MEGA)

    assert [each["left"] for each in made.sent] == [MEGA, 0, MEGA, 0]


def test_a_meter_is_told_once_more_what_is_left_when_it_was_heard_for_the_first_time() -> None:
    made = Book()
    made.book.publish(metered(limit()))

    for _ in range(2):
        made.hear(MEGA // 2)

    assert [(each["left"], each["totals"]) for each in made.sent] == [
        (MEGA, {}),
        (MEGA // 2, {"gateway-0/a": MEGA // 2}),
    ]


def test_an_agent_whose_quota_does_not_exist_gets_nothing_through() -> None:
    made = Book()
    made.book.publish(metered(limit(), missing="gone"))
    made.hear(7)
    left = made.book.allowed("one")

    assert [each["left"] for each in made.sent] == [0]
    assert left is not None
    assert left.words.startswith("Quota gone does not exist")


def test_what_a_pod_moves_past_the_gateway_counts_as_well_and_nothing_twice() -> None:
    made = Book()
    made.book.publish(metered(limit(), is_direct=True))
    made.hear(MEGA // 4, pods={"pod-one": MEGA // 4})

    # The kubelet tells late: less than meters know at first, and then what passed elsewhere, too.
    for moved in (0, MEGA // 4, MEGA // 2):
        made.book.measured("pod-one", moved)
    made.book.look()
    half = made.book.uses(quota(limit()))[limit().id].used
    made.book.measured("pod-one", MEGA)
    made.book.look()

    assert half == MEGA // 2
    assert made.sent[-1]["left"] == 0
    assert made.sent[-1]["totals"] == {"gateway-0/a": MEGA // 4}
    assert made.is_closed()


def test_what_an_old_pod_had_moved_before_counts_in_no_window_that_began_after_it() -> None:
    made, short, long = Book(), limit(), limit(window="Hour")
    made.book.publish(metered(short, long, is_direct=True, created=NOW - timedelta(minutes=30)))
    made.hear(0)

    for moved in (MEGA, MEGA + 5):
        made.book.measured("pod-one", moved)

    assert (made.use(short).used, made.use(long).used) == (5, MEGA + 5)


def test_an_operator_that_begins_asks_what_passed_elsewhere_once_all_meters_have_told_what_passed_there() -> None:
    made = Book()
    made.book.reset()
    made.book.publish(metered(limit(), is_direct=True, replicas=("gateway-0", "gateway-1")))

    made.book.measured("pod-one", 100)
    made.hear(60, pods={"pod-one": 60})
    made.book.measured("pod-one", 100)
    early = made.use(limit()).used
    made.hear(30, meter="gateway-1/b", pods={"pod-one": 30})
    made.book.measured("pod-one", 100)

    assert (early, made.use(limit()).used) == (60, 100)


def test_a_replica_that_is_never_heard_does_not_keep_what_passes_elsewhere_from_being_counted_for_ever() -> None:
    made = Book()
    made.book.reset()
    made.book.publish(metered(limit(), is_direct=True))

    made.now += timedelta(seconds=REPEAT_SECONDS)
    made.book.measured("pod-one", 100)

    assert made.use(limit()).used == 100


def test_what_an_agent_used_is_not_known_to_an_operator_that_begins_before_all_have_told_it() -> None:
    made = Book()
    replicas = ("gateway-0", "gateway-1")
    made.book.reset()
    made.book.publish(metered(limit(), is_direct=True, replicas=replicas))
    made.book.publish(metered(limit(), agent="two", address="10.0.0.2", replicas=replicas))
    found = []

    def note() -> None:
        found.append((made.book.is_known("one"), made.book.is_known("two")))

    note()
    for meter in ("gateway-0/a", "gateway-1/b"):
        for agent in ("one", "two"):
            made.hear(1, meter=meter, agent=agent)
        note()
    made.book.measured("pod-one", 2)
    note()

    assert found == [(False, False), (False, False), (False, True), (True, True)]


def test_until_all_meters_have_told_nobody_knows_what_is_used() -> None:
    made = Book()
    made.book.reset()
    made.book.publish(metered(limit()))

    def awaited() -> bool:
        return made.book.uses(quota(limit()))[limit().id].is_awaited

    before = awaited()
    made.book.look()
    made.used.clear()
    made.now += timedelta(seconds=REPEAT_SECONDS)
    made.book.look()

    assert (before, awaited(), made.used) == (True, False, ["quota-1"])


def test_after_a_while_what_nobody_has_told_is_not_waited_for() -> None:
    made = Book()
    made.book.reset()
    made.book.publish(metered(limit()))

    made.now += timedelta(seconds=REPEAT_SECONDS)

    assert made.book.is_known("one")
    made.book.look()
    made.used.clear()
    made.book.look()
    assert made.used == [], "its quota has been told that"


def test_refusals_that_meters_tell_an_operator_that_begins_are_no_new_ones() -> None:
    made = Book()
    made.book.publish(metered(limit()))
    made.hear(MEGA, cut=3)

    made.book.reset()
    made.book.publish(metered(limit()))
    made.hear(MEGA, cut=3)
    again = made.use(limit())
    made.hear(MEGA, cut=4)
    more = made.use(limit())

    assert (again.refusals, again.seen_refusals, again.refused_at) == (3, 3, None)
    assert (more.refusals, more.seen_refusals, more.refused_at) == (4, 4, NOW)


def test_an_agent_that_is_gone_is_forgotten_when_what_it_used_counts_no_more() -> None:
    made, shared = Book(), limit(scope="Shared")
    made.book.publish(metered(shared))
    made.hear(MEGA, cut=2)
    made.book.withdraw("pod-one")
    found = []

    for seconds in (60, 64):
        made.now = NOW + timedelta(seconds=seconds)
        for _ in range(TOLD_TURNS):
            made.book.look()
        found.append(made.use(shared).refusals)

    assert found == [2, 0], "of an agent that is forgotten nobody knows how often it was refused"
    assert made.use(shared).seen_refusals == 2


def test_only_agents_with_ways_past_the_gateway_have_them_closed() -> None:
    made = Book()
    made.book.publish(metered(limit()))
    made.hear(MEGA)

    assert not made.is_closed()
    assert made.book.direct() == {}


def test_what_was_moved_by_an_earlier_pod_is_not_taken_off_a_later_ones() -> None:
    made = Book()
    made.book.publish(metered(limit(), is_direct=True))
    made.hear(MEGA // 4, pods={"pod-one": MEGA // 4})
    made.book.withdraw("pod-one")
    made.book.publish(metered(limit(), is_direct=True, pod_uid="pod-two"))
    made.hear(MEGA // 4, pods={})

    made.book.measured("pod-two", MEGA // 8)

    assert made.book.uses(quota(limit()))[limit().id].used == MEGA // 4 + MEGA // 8


def test_the_quota_says_so_while_a_kubelet_does_not_tell_what_a_pod_moves() -> None:
    made = Book()
    made.book.publish(metered(limit(), is_direct=True))

    made.book.measured("pod-one", None)
    silent = made.book.uses(quota(limit()))[limit().id].trouble
    made.book.measured("pod-one", 5)
    told = made.book.uses(quota(limit()))[limit().id].trouble

    assert silent is not None
    assert silent[0] is Reason.NOT_SUPPORTED
    assert "agent one" in silent[1]
    assert told is None


def test_the_quota_says_that_connections_past_the_gateway_are_not_counted() -> None:
    few = limit(20, resource="networkConnections", window="None")
    made = Book()
    made.book.publish(metered(few))
    through = made.book.uses(quota(few))[few.id]
    made.book.publish(metered(few, is_direct=True))
    past = made.book.uses(quota(few))[few.id]

    made.used.clear()
    made.book.look()

    assert (through.caveat, past.trouble) == ("", None)
    assert "agent one" in past.caveat
    assert made.used == ["quota-1"]
    # Of connections no kubelet says anything.
    assert made.book.direct() == {}


def test_an_agent_that_was_made_anew_is_told_of_by_what_it_used_itself_unless_all_share_the_limit() -> None:
    own, shared = limit(most=MEGA), limit(most=MEGA, scope="Shared")
    at = Book()
    at.book.publish(metered(own, agent="zero"))
    at.hear(700, agent="zero")
    at.book.withdraw("pod-zero")
    fresh = metered(own, agent="one")
    at.book.publish(replace(fresh, agent=("team", "zero")))
    at.hear(20, agent="one")

    uses = at.book.uses(quota(own, shared))

    assert uses[own.id].per_agent == {"zero": 20.0}
    assert uses[shared.id].per_agent == {"zero": 720.0}


@pytest.mark.parametrize("alignment", ["Sliding", "Calendar"])
def test_an_agent_that_a_shared_quota_lets_go_counts_for_what_it_used_until_then(alignment: str) -> None:
    window = "Minute" if alignment == "Sliding" else "Minute/Calendar"
    shared, at = limit(scope="Shared", alignment=alignment), Book()
    present = minute(0) if alignment == "Sliding" else str(int(NOW.timestamp()) // 60)

    def hear(agent: str, total: int) -> None:
        at.book.hear(report(agent=agent, total=total, slots={window: {present: total}}))
        at.book.look()

    at.book.publish(metered(shared, agent="one"))
    at.book.publish(metered(shared, agent="two"))
    hear("one", 300)
    hear("two", 50)
    at.book.publish(metered(agent="one"))
    hear("one", 900_000)

    use = at.book.uses(quota(shared))[shared.id]
    left = at.book.allowed("two")
    assert (use.used, use.per_agent) == (350, {"one": 300.0, "two": 50.0})
    assert left is not None
    assert left.bytes == MEGA - 350
    assert at.book.allowed("one") is None


def test_an_agent_that_a_shared_quota_has_back_counts_for_all_that_it_used() -> None:
    shared, at = limit(scope="Shared"), Book()
    at.book.publish(metered(shared))
    at.hear(300)
    at.book.publish(metered())
    at.hear(500)

    at.book.publish(metered(shared))

    assert at.book.uses(quota(shared))[shared.id].used == 500


def test_what_an_agent_used_that_a_quota_let_go_is_forgotten_when_it_counts_no_more() -> None:
    shared, at = limit(scope="Shared"), Book()
    at.book.publish(metered(shared))
    at.hear(300)
    at.book.publish(metered())

    at.now = NOW + timedelta(minutes=3)
    for _ in range(TOLD_TURNS):
        at.book.look()

    assert at.book.uses(quota(shared))[shared.id] == Use(used=0)
    assert not at.book._pods.parted
    assert not at.book._pods.members


def test_a_new_pod_of_an_agent_without_the_quota_is_nothing_to_it() -> None:
    shared, at = limit(scope="Shared"), Book()
    at.book.publish(metered(shared))
    at.hear(300)
    at.book.withdraw("pod-one")

    at.book.publish(metered(pod_uid="pod-2"))
    at.hear(800)

    assert at.book.uses(quota(shared))[shared.id].used == 300
