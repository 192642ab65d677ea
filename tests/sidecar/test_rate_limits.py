"""The headers that say where limits stand: worked out once as far as they can be, and never out of date."""

from collections.abc import Sequence

import pytest

from ringfence_sidecar.quota import Left, Policy
from ringfence_sidecar.rate_limits import fields_of


class Keeper:
    """Keeps limits that a test sets."""

    def __init__(self, *kept: tuple[Policy, Left]) -> None:
        self.keep(*kept)

    def keep(self, *kept: tuple[Policy, Left]) -> None:
        """Have others from now on."""
        self.policies = tuple(policy for policy, _ in kept)
        self._left = [left for _, left in kept]

    def left(self) -> Sequence[Left]:
        """Return where they stand."""
        return self._left


def policy(most: float = 4, *, resource: str = "apiCalls", window: str = "Hour") -> Policy:
    """Return a limit of one agent."""
    return Policy("team", resource, window, "PerAgent", most)


def test_a_change_of_the_limits_is_in_the_next_answers_headers() -> None:
    keeper = Keeper((policy(4), (3.0, 60.0)))
    fields = fields_of(keeper)

    before = dict(fields())
    keeper.keep((policy(9, window="Day"), (8.0, 60.0)))
    after = dict(fields())

    assert before == {
        b"ratelimit-policy": b'"team/apiCalls/Hour/PerAgent";q=4;w=3600',
        b"ratelimit": b'"team/apiCalls/Hour/PerAgent";r=3;t=60',
    }
    assert after == {
        b"ratelimit-policy": b'"team/apiCalls/Day/PerAgent";q=9;w=86400',
        b"ratelimit": b'"team/apiCalls/Day/PerAgent";r=8;t=60',
    }


def test_what_has_no_unit_or_no_window_is_left_out_and_the_others_keep_their_figures() -> None:
    kept = (
        (policy(resource="rows"), (1.0, 1.0)),
        (policy(), (2.0, 2.0)),
        (policy(resource="concurrentCalls", window="None"), (3.0, None)),
        (policy(resource="queries", window="Day"), (4.0, 4.0)),
    )

    fields = dict(fields_of(Keeper(*kept))())

    assert fields[b"ratelimit"] == b'"team/apiCalls/Hour/PerAgent";r=2;t=2, "team/queries/Day/PerAgent";r=4;t=4'


@pytest.mark.parametrize(
    ("remaining", "seconds", "said"),
    [
        (2.9, 59.1, "r=2;t=60"),
        (0.0, 60.0000004, "r=0;t=60"),
        (1e18, 60.001, "r=999999999999999;t=61"),
        (1.0, 0.0, "r=1;t=0"),
        (1.0, -5.0, "r=1;t=0"),
    ],
)
def test_what_remains_is_whole_and_seconds_are_rounded_up_from_milliseconds(
    remaining: float, seconds: float, said: str
) -> None:
    fields = dict(fields_of(Keeper((policy(), (remaining, seconds))))())

    assert fields[b"ratelimit"].decode() == f'"team/apiCalls/Hour/PerAgent";{said}'
