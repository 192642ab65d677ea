"""A broker as an agent finds it that speaks AMQP by hand."""

import struct

from tests.e2e.world import AgentHandle

HELLO = b"AMQP\x00\x00\x09\x01"
TUNE = (10, 30)
"""Class and method of what a broker says to whom it lets in (AMQP 0-9-1)."""


def knock(agent: AgentHandle, host: str, port: int, *said: bytes) -> bytes | str:
    """Return what the address answered to the agent's container, or the name of what went wrong."""
    answer = agent.pod.script("say", host, port, [each.hex() for each in said], seconds=60, container="agent")
    try:
        return bytes.fromhex(answer)
    except ValueError:
        return str(answer)


def start_ok(user: str, password: str) -> bytes:
    """Return the frame by which a client logs in."""
    response = f"\0{user}\0{password}".encode()
    body = struct.pack(">HHI", 10, 11, 0) + b"\x05PLAIN" + struct.pack(">I", len(response)) + response + b"\x05en_US"
    return struct.pack(">BHI", 1, 0, len(body)) + body + b"\xce"


def method_of(answer: bytes | str) -> tuple[int, int] | None:
    """Return class and method of a frame."""
    if not isinstance(answer, bytes) or len(answer) < 11 or answer[0] != 1:
        return None
    found: tuple[int, int] = struct.unpack(">HH", answer[7:11])
    return found
