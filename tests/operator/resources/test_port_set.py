import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.resources.port_set import (
    BLOCKS,
    FIRST_PORT,
    FURTHER,
    MOST_FURTHER,
    PORTS,
    Domain,
    PortSet,
    block_name,
    first_port,
)

DOMAINS = st.lists(
    st.builds(Domain, st.sampled_from(["a.io", "*.a.io"]), st.lists(st.integers(1, 65535), max_size=3).map(tuple)),
    max_size=3,
).map(tuple)


@pytest.mark.parametrize(
    ("entry", "name", "expected"),
    [
        ("a.io", "a.io", True),
        ("a.io", "b.a.io", False),
        ("*.a.io", "a.io", False),
        ("*.a.io", "b.a.io", True),
        ("*.a.io", "c.b.a.io", True),
        ("*.a.io", "xa.io", False),
        ("*.a.io", "*.a.io", True),
        ("*.a.io", "*.b.a.io", True),
        ("*.b.a.io", "*.a.io", False),
        ("b.a.io", "*.a.io", False),
    ],
)
def test_a_wildcard_covers_every_depth_below_its_name_and_not_the_name(entry: str, name: str, expected: bool) -> None:
    assert Domain(entry).covers(name) is expected


def test_blocks_lie_side_by_side_and_below_the_gateways_own_ports() -> None:
    firsts = [first_port(block) for block in range(BLOCKS)]

    assert firsts[0] == FIRST_PORT
    assert {after - before for before, after in itertools.pairwise(firsts)} == {PORTS}
    assert firsts[-1] + PORTS <= 40_000
    assert FURTHER + MOST_FURTHER <= PORTS


def test_a_blocks_name_sorts_as_its_number() -> None:
    names = [block_name(block) for block in (0, 9, 10, 100, BLOCKS - 1)]

    assert names == sorted(names)
    assert block_name(17) == "p-00017"


@given(
    port_set=st.builds(
        PortSet,
        block=st.integers(0, BLOCKS - 1),
        policy=st.just("team/p"),
        version=st.text(max_size=4),
        address=st.just("10.96.0.9"),
        is_audit=st.booleans(),
        allowed=DOMAINS,
        blocked=DOMAINS,
        services=st.dictionaries(st.sampled_from(["db.data", "x.y"]), st.just("10.96.0.1")),
        further=st.dictionaries(st.integers(1, 65535), st.integers(FURTHER, PORTS - 2), max_size=3),
    )
)
def test_what_goes_over_the_socket_comes_out_as_it_went_in(port_set: Any) -> None:
    assert PortSet.from_wire(orjson.loads(orjson.dumps(port_set.to_wire()))) == port_set
