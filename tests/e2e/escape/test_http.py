"""Requests that two readers might read in two ways, and requests without an end, at the plain-HTTP listener.

The allowed name and the other one share an address, so that what is smuggled past the gateway would be answered. What a
real server outside does not fall for is tried with one that falls for everything.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.escape.seats import Seats, fetched
from tests.e2e.escape.ways import look_up

ALLOWED, OTHER, ADDRESS = "shop.cdn.test", "neighbour.cdn.test", "203.0.113.20"
GULLIBLE = "198.51.100.13"
HOST = f"Host: {ALLOWED}\r\n"
GET, POST = f"GET /first HTTP/1.1\r\n{HOST}", f"POST /first HTTP/1.1\r\n{HOST}"
SMUGGLED = f"GET /smuggled HTTP/1.1\r\nHost: {OTHER}\r\n\r\n"
LAST = f"GET /last HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"
END = "0\r\n\r\n"
COVERED = f"Content-Length: {len(END + SMUGGLED)}\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n"
H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
WORKING = {
    "pipelined": [f"{GET}\r\n{SMUGGLED}{LAST}"],
    "CL.TE": [f"{POST}{COVERED}Transfer-Encoding: chunked\r\n\r\n{END}{SMUGGLED}{LAST}"],
    "CL.TE, folded": [f"{POST}{COVERED}Transfer-Encoding:\r\n chunked\r\n\r\n{END}{SMUGGLED}{LAST}"],
    "behind a WebSocket's handshake": [f"{GET}{UPGRADE}{SMUGGLED}{LAST}"],
    "behind a WebSocket's handshake, later": [f"{GET}{UPGRADE}", SMUGGLED, LAST],
}
"""Those that the server outside falls for when nothing stands before it."""
OTHERS = {
    "TE.CL": [f"{POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{len(SMUGGLED):x}\r\n{SMUGGLED}\r\n{END}"],
    "two lengths": [f"{POST}Content-Length: 0\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n{SMUGGLED}{LAST}"],
    "a list of lengths": [f"{POST}Content-Length: 0, {len(SMUGGLED)}\r\n\r\n{SMUGGLED}{LAST}"],
    "a length with a sign": [f"{POST}Content-Length: +0\r\n\r\n{SMUGGLED}{LAST}"],
    "TE, space before the colon": [f"{POST}{COVERED}Transfer-Encoding : chunked\r\n\r\n{END}{SMUGGLED}{LAST}"],
    "TE, vertical tab": [f"{POST}{COVERED}Transfer-Encoding:\x0bchunked\r\n\r\n{END}{SMUGGLED}{LAST}"],
    "TE, unknown": [f"{POST}{COVERED}Transfer-Encoding: xchunked\r\n\r\n{END}{SMUGGLED}{LAST}"],
    "TE, two": [f"{POST}{COVERED}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{END}{SMUGGLED}"],
    "underscores": [f"{POST}Transfer_Encoding: chunked\r\n\r\n{END}{SMUGGLED}"],
    "chunk extension with a line feed": [f"{POST}Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n{END}{SMUGGLED}"],
    "chunk that is too large": [f"{POST}Transfer-Encoding: chunked\r\n\r\n{'f' * 17}\r\n{SMUGGLED}"],
    "trailer": [f"{POST}Transfer-Encoding: chunked\r\nTrailer: Host\r\n\r\n{END[:-2]}Host: {OTHER}\r\n\r\n{LAST}"],
    "Host, folded": [f"{GET} {OTHER}\r\n\r\n{LAST}"],
    "another header, folded": [f"{GET}X-Other: a\r\n Host: {OTHER}\r\n\r\n{LAST}"],
    "two Hosts": [f"{GET}Host: {OTHER}\r\n\r\n{LAST}"],
    "two Hosts, the other first": [f"GET /first HTTP/1.1\r\nHost: {OTHER}\r\n{HOST}\r\n{LAST}"],
    "Host, space before the colon": [f"{GET}Host : {OTHER}\r\n\r\n{LAST}"],
    "Host, a list": [f"GET /first HTTP/1.1\r\nHost: {ALLOWED}, {OTHER}\r\n\r\n{LAST}"],
    "Host, NUL": [f"GET /first HTTP/1.1\r\nHost: {OTHER}\0{ALLOWED}\r\n\r\n{LAST}"],
    "line feeds alone": [f"GET /first HTTP/1.1\nHost: {ALLOWED}\nHost: {OTHER}\r\n\r\n{LAST}"],
    "carriage return alone": [f"{GET}X-Other: a\rHost: {OTHER}\r\n\r\n{LAST}"],
    "user in an absolute form": [f"GET http://{ALLOWED}@{OTHER}/smuggled HTTP/1.1\r\n{HOST}\r\n{LAST}"],
    "backslash in an absolute form": [f"GET http://{OTHER}\\@{ALLOWED}/ HTTP/1.1\r\n{HOST}\r\n{LAST}"],
    "HTTP/1.0 without Host": ["GET /smuggled HTTP/1.0\r\n\r\n"],
    "HTTP/0.9": ["GET /smuggled\r\n"],
    "HTTP/2 at once": ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"],
    "HTTP/2 by upgrade": [f"{GET}{H2C}", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
}
ENDLESS = {
    "long": [f"{GET}X-Long: {'a' * 100_000}\r\n\r\n{LAST}"],
    "many": [f"{GET}{''.join(f'X-{number}: a{chr(13)}{chr(10)}' for number in range(500))}\r\n{LAST}"],
}


def exchanged(
    seats: Seats, pieces: list[str], *, seat: str = "narrow", name: str = ALLOWED, address: str = ADDRESS
) -> dict[str, list[str | int]]:
    """Return what came of it at the agent's gateway, or at the server itself from the pod that is free."""
    (server,) = fetched(seats.narrow, look_up(name))
    host = server["address"] if seat == "narrow" else address
    (found,) = getattr(seats, seat).script("exchange", host, 80, [pieces], seconds=60)
    return dict(found)


def odd(text: str) -> str:
    """Return it with the names that the gullible server has, which are as long."""
    return text.replace(".cdn.test", ".odd.test")


def is_nothing_smuggled(found: dict[str, list[str | int]], allowed: str = ALLOWED) -> bool:
    return set(found["hosts"]) <= {allowed} and set(found["paths"]) <= {"/first", "/last"}


@pytest.mark.parametrize("pieces", WORKING.values(), ids=WORKING)
def test_a_second_request_is_not_smuggled_past_the_gateway(seats: Seats, pieces: list[str]) -> None:
    found = exchanged(seats, pieces)
    shown = exchanged(seats, pieces, seat="free")

    assert "/smuggled" in shown["paths"]
    assert OTHER in shown["hosts"]
    assert is_nothing_smuggled(found), found


@pytest.mark.parametrize("pieces", OTHERS.values(), ids=OTHERS)
def test_no_request_is_read_in_two_ways(seats: Seats, pieces: list[str]) -> None:
    said, name = [odd(each) for each in pieces], odd(ALLOWED)
    found = exchanged(seats, said, name=name)
    shown = exchanged(seats, said, seat="free", address=GULLIBLE)

    assert not is_nothing_smuggled(shown, name), "the server has to fall for it, or nothing is shown"
    assert is_nothing_smuggled(found, name), found
    assert found["statuses"] != [], "the gateway has to say something, or nothing was tried"


@pytest.mark.parametrize("pieces", ENDLESS.values(), ids=ENDLESS)
def test_headers_without_end_are_refused(seats: Seats, pieces: list[str]) -> None:
    found = exchanged(seats, pieces)
    shown = exchanged(seats, pieces, seat="free")

    assert shown["statuses"][0] == 200
    assert found["statuses"] == [431]


def test_headers_that_come_slowly_are_cut_off(seats: Seats) -> None:
    (server,) = fetched(seats.narrow, look_up(ALLOWED))

    with ThreadPoolExecutor() as pool:
        shown = pool.submit(seats.free.script, "drip", ADDRESS, 80, 5, seconds=120)
        found = seats.narrow.script("drip", server["address"], 80, 50, seconds=120)

    assert shown.result()["cut"] == 0, "a server without a limit waits for them"
    assert found["cut"] == 50
