"""DNS messages of the responder: reading a query, writing an answer (RFC 1035, 2308, 6891). Pure.

An answer is the question and one record more, an address or an SOA, so that no query is worth sending for its answer.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

A, AAAA, SOA, OPT = 1, 28, 6, 41
IN = 1
TTL_SECONDS = 5
"""Short, so that a change of the policy is seen."""
MOST_ADDED = 33
"""Octets by which an answer is larger than its query at most: the SOA record's."""
LONGEST_LABEL, LONGEST_WIRE_NAME = 63, 255
_HEADER = struct.Struct("!HHHHHH")
_TYPE_CLASS = struct.Struct("!HH")
_OPT_FIXED = struct.Struct("!BHHBBHH")
_ADDRESS_FIXED = struct.Struct("!HHIH")
_QR, _OPCODE, _AA, _RD = 0x8000, 0x7800, 0x0400, 0x0100
_DO = 0x8000
_UDP_PAYLOAD = 512
_OWNER_IS_QUESTION = b"\xc0\x0c"
# Of the root, and without a host: nothing behind this responder is to be found out.
_SOA_RECORD = (
    b"\x00" + struct.pack("!HHIH", SOA, IN, TTL_SECONDS, 22) + b"\x00\x00" + struct.pack("!IIIII", 1, *[5] * 4)
)


class Rcode(IntEnum):
    """Response codes (RFC 1035, 4.1.1; RFC 6891, 9)."""

    NOERROR = 0
    FORMERR = 1
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


@dataclass(frozen=True, slots=True)
class Query:
    """A question that can be answered."""

    ident: int
    flags: int
    question: bytes
    """As it came, in the letters' case that it came in."""
    name: str | None
    """As text, in lower case; None if a label holds what no host name does."""
    rtype: int
    rclass: int
    edns: tuple[int, int] | None
    """Version and flags of the query's OPT record."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something that gets an error, or nothing at all if `reply` is None."""

    reply: bytes | None


def parse_query(data: bytes) -> Query | Malformed:
    """Return the query in `data`. Never raises."""
    if len(data) < _HEADER.size:
        return Malformed(None)
    ident, flags, *counts = _HEADER.unpack_from(data)
    if flags & _QR:
        return Malformed(None)
    if flags & _OPCODE:
        return Malformed(_bare(ident, flags, Rcode.NOTIMP))
    query = _read_query(data, ident, flags, has_opt=counts[3] == 1) if counts in ([1, 0, 0, 0], [1, 0, 0, 1]) else None
    return query or Malformed(_bare(ident, flags, Rcode.FORMERR))


def build_answer(query: Query, *, address: bytes | None = None, rcode: Rcode = Rcode.NOERROR) -> bytes:
    """Return an authoritative answer with `address` (4 or 16 octets), or an empty one with an SOA record."""
    if query.edns is not None and query.edns[0]:
        rcode, address = Rcode.BADVERS, None
    if address is not None:
        kind = A if len(address) == 4 else AAAA  # noqa: PLR2004
        counts = (1, 0)
        record = _OWNER_IS_QUESTION + _ADDRESS_FIXED.pack(kind, IN, TTL_SECONDS, len(address)) + address
    elif rcode in {Rcode.NOERROR, Rcode.NXDOMAIN}:
        counts = (0, 1)
        record = _SOA_RECORD
    else:
        counts = (0, 0)
        record = b""
    flags = _QR | _AA | (query.flags & _RD) | (rcode & 0xF)
    header = _HEADER.pack(query.ident, flags, 1, *counts, query.edns is not None)
    if query.edns is None:
        return header + query.question + record
    opt = _OPT_FIXED.pack(0, OPT, _UDP_PAYLOAD, rcode >> 4, 0, query.edns[1] & _DO, 0)
    return header + query.question + record + opt


def _bare(ident: int, flags: int, rcode: Rcode) -> bytes:
    return _HEADER.pack(ident, _QR | (flags & (_OPCODE | _RD)) | rcode, 0, 0, 0, 0)


def _read_query(data: bytes, ident: int, flags: int, *, has_opt: bool) -> Query | None:
    name_end, labels = _read_name(data)
    end = name_end + _TYPE_CLASS.size
    if not name_end or len(data) < end:
        return None
    rtype, rclass = _TYPE_CLASS.unpack_from(data, name_end)
    edns = _read_opt(data, end) if has_opt else None
    if edns is None and (has_opt or len(data) != end):
        return None
    return Query(ident, flags, data[_HEADER.size : end], _text(labels), rtype, rclass, edns)


def _read_name(data: bytes) -> tuple[int, list[bytes]]:
    """Return where the name after the header ends, 0 if it does not, and its labels."""
    at, size = _HEADER.size, len(data)
    labels: list[bytes] = []
    while at < size:
        length = data[at]
        if not length:
            at += 1
            return (at, labels) if at - _HEADER.size <= LONGEST_WIRE_NAME else (0, labels)
        if length > LONGEST_LABEL:  # a pointer: there is nothing before a question to point to
            break
        labels.append(data[at + 1 : at + 1 + length])
        at += 1 + length
    return 0, labels


def _text(labels: list[bytes]) -> str | None:
    joined = b".".join(labels)
    if joined.count(b".") >= max(len(labels), 1) or not joined.isascii():
        return None
    return joined.decode("ascii").lower()


def _read_opt(data: bytes, at: int) -> tuple[int, int] | None:
    """Return version and flags of the OPT record that is all of `data` from `at` on; None if it is something else."""
    if len(data) < at + _OPT_FIXED.size:
        return None
    root, rtype, _, _, version, flags, length = _OPT_FIXED.unpack_from(data, at)
    if root or rtype != OPT or len(data) != at + _OPT_FIXED.size + length:
        return None
    return version, flags
