"""The header in which Envoy says whose connection it hands on (PROXY protocol, version 2, binary). Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
FIXED = 16
LONGEST = 512
_PROXY = 0x21
_TCP4, _TCP6 = 0x11, 0x21
_SIZES = {_TCP4: 4, _TCP6: 16}


@dataclass(frozen=True, slots=True)
class Header:
    """Who connects, and to which of Envoy's ports."""

    source: str
    """Address; of IPv4 in its own form."""
    port: int
    length: int
    """Bytes that the header took."""


def read_header(data: bytes) -> Header | None:
    """Return the header that `data` begins with, None while it is not whole. Raises ValueError for anything else."""
    if data[: len(SIGNATURE)] != SIGNATURE[: len(data)]:
        raise ValueError("not a header of the PROXY protocol")
    if len(data) < FIXED:
        return None
    length = FIXED + int.from_bytes(data[14:16])
    if length > LONGEST:
        raise ValueError(f"a header of {length} bytes")
    if len(data) < length:
        return None
    size = _SIZES.get(data[13])
    if data[12] != _PROXY or size is None or length < FIXED + 2 * size + 4:
        raise ValueError("a header without addresses")
    source, port = data[FIXED : FIXED + size], data[FIXED + 2 * size + 2 : FIXED + 2 * size + 4]
    return Header(_address(source), int.from_bytes(port), length)


def _address(packed: bytes) -> str:
    if len(packed) == 4:  # noqa: PLR2004 - bytes of an IPv4 address
        return str(IPv4Address(packed))
    six = IPv6Address(packed)
    return str(six.ipv4_mapped or six)
