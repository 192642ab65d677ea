import json

from ringfence_gateway.names import Verdict
from ringfence_gateway.tally import MOST_IN_REPORT, MOST_NAMES, Tally

ALLOWED, DENIED = Verdict.ALLOWED, Verdict.DENIED


def test_requests_are_counted_by_name_port_and_verdict_with_the_last_time() -> None:
    tally = Tally()

    for now in (5, 9, 7):
        tally.add(17, "a.example", 443, ALLOWED, now=now)
    tally.add(17, "a.example", 80, DENIED, now=1)
    tally.add(17, None, 0, DENIED, now=1)

    assert json.loads(json.dumps(tally.to_wire())) == {
        "names": [
            {"block": 17, "name": "a.example", "port": 443, "verdict": "allowed", "count": 3, "last": 9},
            {"block": 17, "name": "a.example", "port": 80, "verdict": "denied", "count": 1, "last": 1},
        ],
        "other": [{"block": 17, "verdict": "denied", "count": 1}],
    }


def test_beyond_the_bound_only_a_number_is_kept() -> None:
    tally = Tally()

    for number in range(MOST_NAMES + 50):
        tally.add(17, f"n{number}.example", 443, DENIED, now=1)
    tally.add(17, "n0.example", 443, DENIED, now=2)
    tally.add(18, "n0.example", 443, DENIED, now=2)

    assert (len(tally.names[17]), len(tally.names[18])) == (MOST_NAMES, 1)
    assert tally.other == {(17, DENIED): 50}
    assert tally.names[17]["n0.example", 443, DENIED].count == 2


def test_what_was_not_sent_is_counted_with_what_came_since() -> None:
    earlier, tally = Tally(), Tally()
    earlier.add(17, "a.example", 443, ALLOWED, now=9)
    earlier.add(17, None, 0, DENIED, now=9)
    tally.add(17, "a.example", 443, ALLOWED, now=3)

    for _ in range(2):
        tally.merge(earlier)

    assert tally.names[17]["a.example", 443, ALLOWED].count == 3
    assert tally.names[17]["a.example", 443, ALLOWED].last == 9
    assert tally.other == {(17, DENIED): 2}


def test_merging_does_not_grow_beyond_the_bound() -> None:
    tally = Tally()

    for turn in range(5):
        earlier = Tally()
        for number in range(MOST_NAMES):
            earlier.add(17, f"n{turn}-{number}.example", 443, DENIED, now=1)
        tally.merge(earlier)

    assert len(tally.names[17]) == MOST_NAMES
    assert tally.other == {(17, DENIED): 4 * MOST_NAMES}


def test_parts_hold_everything_once_and_none_is_too_large() -> None:
    tally = Tally()
    for block in range(100):
        for number in range(MOST_NAMES):
            tally.add(block, f"n{number}.example", 443, DENIED, now=1)
        tally.add(block, None, 0, DENIED, now=1)

    parts = [part.to_wire() for part in tally.parts()]

    assert sum(len(part["names"]) for part in parts) == 100 * MOST_NAMES
    assert sum(len(part["other"]) for part in parts) == 100
    assert max(len(part["names"]) for part in parts) <= MOST_IN_REPORT
    assert list(Tally().parts()) == []
