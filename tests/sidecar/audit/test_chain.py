import hashlib

import msgspec
import pytest

from ringfence_sidecar.audit.chain import ZERO, split
from ringfence_sidecar.audit.record import digest
from tests.sidecar.audit.records import lines


def test_each_line_is_json_that_names_its_chain_its_sequence_and_its_predecessors_hash() -> None:
    made = [msgspec.json.decode(line) for line in lines(2)]

    assert [line["sequence"] for line in made] == [1, 2, 3, 4]
    assert [line["event"] for line in made] == ["start", "call", "call", "end"]
    assert [line["previous"] for line in made] == [ZERO, *(line["hash"] for line in made[:-1])]
    assert {line["chain"] for line in made} == {"c-1"}
    assert made[0]["time"] == "2027-01-15T08:00:00.000Z"


def test_the_hash_is_of_the_line_without_its_hash() -> None:
    line = lines(1)[1]

    body, named = split(line)

    assert hashlib.sha256(body).hexdigest() == named == msgspec.json.decode(line)["hash"]


def test_a_line_without_a_hash_at_its_end_is_none() -> None:
    with pytest.raises(ValueError, match="does not end in its hash"):
        split(lines(1)[1][:-1])


def test_the_same_arguments_have_the_same_hash_whatever_their_order() -> None:
    first, size = digest({"sql": "select 1", "limit": 5})
    second, _ = digest({"limit": 5, "sql": "select 1"})
    other, _ = digest({"limit": 6, "sql": "select 1"})

    assert first == second != other
    assert size == len('{"limit":5,"sql":"select 1"}')


def test_arguments_that_are_no_json_have_no_hash() -> None:
    assert digest({"key": object()}) == ("", 0)
