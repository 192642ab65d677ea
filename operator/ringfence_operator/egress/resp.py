"""A connection to Redis, for the few commands that the operator sends (RESP2)."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any, Final, Self

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 2.0
LONGEST_LINE = 1_048_576
MOST_ITEMS = 100_000


class RespError(OSError):
    """Redis says no, or does not speak RESP; the text is its own, and holds no argument of the command."""


class RefusedError(RespError):
    """Redis says no; the connection is as good as before."""


class Resp:
    """One connection; errors are OSErrors, after which it is of no use any more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader: Final = reader
        self._writer: Final = writer

    @classmethod
    async def connect(cls, host: str, port: int, *, context: ssl.SSLContext | None) -> Self:
        """Connect. Raises OSError."""
        async with asyncio.timeout(CONNECT_SECONDS):
            return cls(*await asyncio.open_connection(host, port, ssl=context, limit=LONGEST_LINE))

    async def ask(self, *words: str) -> Any:
        """Return the answer to a command: text, number, None or a list. Raises RespError and other OSErrors."""
        await self._send(_packed(words))
        return await self._answer(words[0])

    async def _send(self, encoded: bytes) -> None:
        self._writer.write(encoded)
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._writer.drain()

    async def _answer(self, command: str) -> Any:
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                return await self._read()
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
                raise RespError(f"the answer to {command} is none: {type(error).__name__}") from error

    async def ask_all(self, commands: Sequence[Sequence[str]]) -> list[Any]:
        """Return the answers to many commands, sent together; one that Redis refuses is a RespError in its place.

        Raises OSErrors other than that.
        """
        await self._send(b"".join(_packed(words) for words in commands))
        answers: list[Any] = []
        for words in commands:
            try:
                answers.append(await self._answer(words[0]))
            except RefusedError as error:
                answers.append(error)
        return answers

    def close(self) -> None:
        """Close the connection."""
        self._writer.transport.abort()

    async def _read(self) -> Any:
        line = (await self._reader.readuntil(b"\r\n"))[:-2].decode(errors="replace")
        kind, rest = line[:1], line[1:]
        match kind:
            case "+":
                return rest
            case "-":
                raise RefusedError(rest[:256])
            case ":":
                return int(rest)
            case "$":
                length = int(rest)
                if length < 0:
                    return None
                return (await self._reader.readexactly(length + 2))[:-2].decode(errors="replace")
            case "*":
                count = int(rest)
                if count > MOST_ITEMS:
                    raise ValueError("too many items")
                return None if count < 0 else [await self._read() for _ in range(count)]
            case _:
                raise ValueError("no type of RESP2")


def _packed(words: Sequence[str]) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in encoded)
