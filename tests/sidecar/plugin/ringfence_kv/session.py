"""One connection, many requests at once."""

import asyncio
import itertools

from ringfence_sidecar.errors import BackendError, BackendLostError


class Session:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._task = asyncio.create_task(self._read())
        self.is_lost = False
        self.last = ""

    async def ask(self, *words: str, traceparent: str = "-") -> str:
        if self.is_lost:
            raise BackendLostError("the connection is gone")
        self.last = number = str(next(self._numbers))
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._writer.write(f"{number} {traceparent} {' '.join(words)}\n".encode())
        try:
            return await answer
        except asyncio.CancelledError:
            self._writer.write(f"{number} - CANCEL\n".encode())
            raise
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        self._task.cancel()
        self._end()

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                number, state, *words = line.decode().split()
                answer = self._waiting.get(number)
                if answer is None or answer.done():
                    continue
                if state == "OK":
                    answer.set_result(" ".join(words))
                else:
                    answer.set_exception(BackendError(" ".join(words)))
        except OSError:
            pass
        self._end()

    def _end(self) -> None:
        self.is_lost = True
        self._writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(BackendLostError("the connection broke", outcome_unknown=True))
