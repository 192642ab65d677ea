"""Asking the real resolvers: with a random port, identity and letters' case, over TCP where UDP does not do."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

SECONDS_PER_TRY = 1.5
ROUNDS = 2
_UDP_PAYLOAD = 1_232
_FINAL = {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}


class UnansweredError(Exception):
    """No resolver gave an answer."""


class Upstream(Protocol):
    """Who knows the answers."""

    async def ask(self, name: dns.name.Name, rtype: dns.rdatatype.RdataType) -> dns.message.Message:
        """Return a whole answer, or that there is no such name. Raises UnansweredError."""


class Resolvers:
    """DNS servers, asked in turn; `servers` are addresses, each with an optional `#port`."""

    def __init__(self, servers: Sequence[str], *, seconds: float = SECONDS_PER_TRY) -> None:
        self._servers = [_endpoint(server) for server in servers]
        self._seconds = seconds
        self._random = random.SystemRandom()

    async def ask(self, name: dns.name.Name, rtype: dns.rdatatype.RdataType) -> dns.message.Message:
        """Return a whole answer, or that there is no such name. Raises UnansweredError."""
        faults = []
        for host, port in self._servers * ROUNDS:
            query = self._query(name, rtype)
            try:
                answer = await self._ask_one(query, host, port)
            except (dns.exception.DNSException, OSError, EOFError) as error:
                faults.append(f"{host}: {type(error).__name__}")
                continue
            if answer.rcode() in _FINAL:
                return answer
            faults.append(f"{host}: {dns.rcode.to_text(answer.rcode())}")
        raise UnansweredError("; ".join(faults) or "no resolver is known")

    async def _ask_one(self, query: dns.message.Message, host: str, port: int) -> dns.message.Message:
        # What does not fit the question is passed over, and not an end of the wait: it may be forged.
        answer = await dns.asyncquery.udp(query, host, self._seconds, port, ignore_unexpected=True, ignore_errors=True)
        if answer.flags & dns.flags.TC or not _is_same_case(query, answer):
            answer = await dns.asyncquery.tcp(query, host, self._seconds, port)
        return answer

    def _query(self, name: dns.name.Name, rtype: dns.rdatatype.RdataType) -> dns.message.QueryMessage:
        """Return a query whose letters' case is one more thing that a forger has to guess."""
        labels = [bytes(self._flip(octet) for octet in label) for label in name.labels]
        return dns.message.make_query(dns.name.Name(labels), rtype, use_edns=0, payload=_UDP_PAYLOAD)

    def _flip(self, octet: int) -> int:
        is_letter = 0x41 <= octet & 0xDF <= 0x5A  # noqa: PLR2004 - A to Z without the bit of the case
        return octet ^ 0x20 if is_letter and self._random.getrandbits(1) else octet


def system_resolvers(path: Path = Path("/etc/resolv.conf")) -> list[str]:
    """Return the name servers of the pod; none if the file cannot be read."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [each[1] for each in words if len(each) > 1 and each[0] == "nameserver"]


def _endpoint(server: str) -> tuple[str, int]:
    host, _, port = server.partition("#")
    return host, int(port or 53)


def _is_same_case(query: dns.message.Message, answer: dns.message.Message) -> bool:
    return [q.name.labels for q in query.question] == [q.name.labels for q in answer.question]
