import itertools
from typing import Any

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_gateway.message import MOST_ADDED, Malformed, Query, Rcode, build_answer, parse_query

LABEL = st.binary(min_size=1, max_size=63)


def _query(name: str = "API.example.com", rtype: str = "A", **options: Any) -> bytes:
    return dns.message.make_query(name, rtype, **options).to_wire()


def _parsed(data: bytes) -> Query:
    query = parse_query(data)
    assert isinstance(query, Query)
    return query


def test_an_answer_is_what_another_library_expects() -> None:
    sent = dns.message.make_query("API.example.com", "A", use_edns=0)

    answer = dns.message.from_wire(build_answer(_parsed(sent.to_wire()), address=b"\x0a\x60\x00\x11"))

    assert sent.is_response(answer)
    assert answer.flags & (dns.flags.AA | dns.flags.RD | dns.flags.RA) == dns.flags.AA | dns.flags.RD
    assert answer.question[0].name.to_text() == "API.example.com."
    assert answer.answer[0].to_text() == "API.example.com. 5 IN A 10.96.0.17"
    assert (answer.edns, answer.options) == (0, ())


def test_an_empty_answer_carries_an_soa() -> None:
    query = _parsed(_query(rtype="AAAA"))

    answer = dns.message.from_wire(build_answer(query))
    denied = dns.message.from_wire(build_answer(query, rcode=Rcode.NXDOMAIN))

    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
    assert denied.rcode() == dns.rcode.NXDOMAIN
    assert [each.authority[0].rdtype for each in (answer, denied)] == [dns.rdatatype.SOA] * 2


def test_options_of_a_query_are_not_answered() -> None:
    sent = dns.message.make_query("a.example", "A", use_edns=0, want_dnssec=True)
    sent.use_edns(0, dns.flags.DO, options=[dns.edns.CookieOption(b"12345678", b"")])

    answer = dns.message.from_wire(build_answer(_parsed(sent.to_wire())))

    assert (answer.options, answer.ednsflags & dns.flags.DO) == ((), dns.flags.DO)


def test_another_version_of_edns_is_told_so() -> None:
    answer = dns.message.from_wire(build_answer(_parsed(_query(use_edns=1)), address=b"\x0a\x60\x00\x11"))

    assert (answer.rcode(), answer.answer) == (dns.rcode.BADVERS, [])


def _with(data: bytes, at: int, octets: bytes) -> bytes:
    return data[:at] + octets + data[at + len(octets) :]


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (_with(_query(), 2, b"\x21\x00"), Rcode.NOTIMP),
        (_with(_query(), 2, b"\x10\x00"), Rcode.NOTIMP),
        (_with(_query(), 4, b"\x00\x00"), Rcode.FORMERR),
        (_with(_query(), 4, b"\x00\x02"), Rcode.FORMERR),
        (_with(_query(), 6, b"\x00\x01"), Rcode.FORMERR),
        (_with(_query(), 8, b"\x00\x01"), Rcode.FORMERR),
        (_with(_query(), 10, b"\x00\x01"), Rcode.FORMERR),
        (_with(_query(), 12, b"\xc0\x0c"), Rcode.FORMERR),
        (_with(_query(), 12, b"\x40"), Rcode.FORMERR),
        (_query()[:-1], Rcode.FORMERR),
        (_query() + b"\x00", Rcode.FORMERR),
        (_query(use_edns=0) + b"\x00", Rcode.FORMERR),
        (_query()[:12], Rcode.FORMERR),
        (_query()[:12] + b"\x3fa" * 5, Rcode.FORMERR),
        (_query()[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\x00\x00\x01\x00\x01", Rcode.FORMERR),
    ],
    ids=itertools.count(),  # what is drawn anew in each process is no name
)
def test_what_is_no_query_gets_an_error_and_nothing_of_it_back(data: bytes, rcode: Rcode) -> None:
    found = parse_query(data)

    assert isinstance(found, Malformed)
    assert found.reply is not None
    assert len(found.reply) == 12
    assert found.reply[:2] == data[:2]
    assert found.reply[3] & 0xF == rcode


@pytest.mark.parametrize("data", [b"", b"\x00" * 11, _with(_query(), 2, b"\x81\x00")], ids=itertools.count())
def test_what_could_be_an_answer_gets_none(data: bytes) -> None:
    assert parse_query(data) == Malformed(None)


@given(st.binary(max_size=600))
def test_no_octets_make_it_crash_or_answer_at_length(data: bytes) -> None:
    query = parse_query(data)

    if isinstance(query, Query):
        for rcode in Rcode:
            assert len(build_answer(query, rcode=rcode)) <= len(data) + MOST_ADDED
        assert len(build_answer(query, address=b"\x00" * 16)) <= len(data) + MOST_ADDED
    else:
        assert query.reply is None or len(query.reply) <= len(data)


@given(st.lists(LABEL, max_size=8), st.integers(0, 65535), st.integers(0, 65535), st.booleans(), st.integers(0, 65535))
def test_a_query_reads_as_another_library_reads_it(
    labels: list[bytes], ident: int, rtype: int, has_edns: bool, payload: int
) -> None:
    try:
        name = dns.name.Name([*labels, b""])
    except dns.name.NameTooLong:
        return
    if rtype == dns.rdatatype.OPT:
        return
    sent = dns.message.make_query(
        name, dns.rdatatype.RdataType.make(rtype), id=ident, use_edns=0 if has_edns else -1, payload=payload
    )

    query = parse_query(sent.to_wire())

    assert isinstance(query, Query)
    assert (query.ident, query.rtype, query.edns is not None) == (ident, rtype, has_edns)
    is_text = all(label.isascii() and b"." not in label for label in labels)
    assert query.name == (b".".join(labels).decode().lower() if is_text else None)
    answer = dns.message.from_wire(build_answer(query, address=b"\x01\x02\x03\x04"))
    assert answer.question[0].name.labels == name.labels
    assert sent.is_response(answer)


@given(st.binary(min_size=12, max_size=80), st.integers(0, 1))
def test_it_takes_nothing_that_another_library_refuses(tail: bytes, additional: int) -> None:
    data = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00" + bytes([additional]) + tail

    query = parse_query(data)

    if isinstance(query, Query) and not additional:
        assert dns.message.from_wire(data).question[0].rdtype == query.rtype
