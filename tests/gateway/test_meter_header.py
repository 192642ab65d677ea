import socket
import struct

import pytest

from ringfence_gateway.meter.header import LONGEST, SIGNATURE, read_header


def header(source: str, port: int, *, family: int = 0x11, extra: bytes = b"") -> bytes:
    kind = socket.AF_INET if family == 0x11 else socket.AF_INET6
    addresses = socket.inet_pton(kind, source) + socket.inet_pton(kind, "127.0.0.1" if family == 0x11 else "::1")
    body = addresses + struct.pack("!HH", 40_000, port) + extra
    return SIGNATURE + bytes([0x21, family]) + struct.pack("!H", len(body)) + body


def test_source_and_port_are_read_and_what_follows_is_left() -> None:
    data = header("10.1.2.3", 10_018, extra=b"\x04\x00\x00") + b"hello"

    found = read_header(data)

    assert found is not None
    assert (found.source, found.port, data[found.length :]) == ("10.1.2.3", 10_018, b"hello")


@pytest.mark.parametrize(("source", "is_read_as"), [("fd00::7", "fd00::7"), ("::ffff:10.1.2.3", "10.1.2.3")])
def test_ipv4_has_one_form_however_it_came(source: str, is_read_as: str) -> None:
    found = read_header(header(source, 10_018, family=0x21))

    assert found is not None
    assert found.source == is_read_as


def test_one_that_is_not_whole_is_waited_for() -> None:
    data = header("10.1.2.3", 10_018)

    assert {read_header(data[:length]) for length in range(len(data))} == {None}


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        SIGNATURE + bytes([0x20, 0x11, 0, 12]) + bytes(12),
        SIGNATURE + bytes([0x21, 0x31, 0, 12]) + bytes(12),
        SIGNATURE + bytes([0x21, 0x11]) + struct.pack("!H", LONGEST),
    ],
    ids=["none", "of the proxy itself", "of another family", "endless"],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="header"):
        read_header(data)
