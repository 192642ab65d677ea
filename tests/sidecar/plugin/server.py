"""The backend of the example kind: a real server on loopback, which can be killed, slowed down and made to hang.

Run as a program, which needs nothing but this file, it serves every address: `server.py PORT PASSWORD`.
"""

import asyncio
import contextlib
import ssl
import sys
from collections.abc import AsyncIterator, Callable


class Server:
    """Keys and values. `store` may be shared with another server."""

    def __init__(
        self, store: dict[str, str] | None = None, *, host: str | None = "127.0.0.1", port: int | None = None
    ) -> None:
        self.host = host
        self.port = _free_port() if port is None else port
        self.store = {} if store is None else store
        self.password = "-"
        self.context: ssl.SSLContext | None = None
        """What it speaks TLS with, if it does."""
        self.delay = 0.0
        self.hangs = False
        """True to let log-in and health checks through, and answer nothing else."""
        self.is_deaf = False
        """True to take connections and answer nothing at all."""
        self.drops = False
        """True to do what is asked, and cut the connection instead of answering."""
        self.forgets = False
        """True to cut every connection of before at its next request, as a firewall that has forgotten it."""
        self.may_answer = asyncio.Event()
        """Not set to let what is asked wait, until it is."""
        self.may_answer.set()
        self.pieces = 3
        self.asked: list[str] = []
        """Verbs and words, without PING and AUTH."""
        self.parents: list[str] = []
        self.cancelled: list[str] = []
        self.pings = 0
        self.opened = 0
        self.at_work = 0
        self.most_at_work = 0
        self._watched = 0
        self._changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def sessions(self) -> int:
        return len(self._writers)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.context)

    async def kill(self) -> None:
        """Stop as a process does that is killed: every connection breaks at once."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for _ in range(5):
            # What was accepted just before has its transport a few turns later.
            for writer in list(self._writers):
                writer.transport.abort()
            await asyncio.sleep(0)
        await self.until(lambda: not self._writers)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Return once the condition holds; it is looked at whenever something happens here."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.opened += 1
        self._changed.set()
        requests: dict[str, asyncio.Task[None]] = {}
        is_old = not self.forgets
        try:
            while line := await reader.readline():
                if self.forgets and is_old:
                    writer.transport.abort()
                    break
                number, parent, verb, *words = line.decode().split()
                if verb == "CANCEL":
                    if number in requests:
                        requests[number].cancel()
                    self.cancelled.append(number)
                    self._changed.set()
                    continue
                task = asyncio.create_task(self._answer(writer, number, parent, verb, words))
                requests[number] = task
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            self._changed.set()
            writer.close()

    async def _answer(
        self, writer: asyncio.StreamWriter, number: str, parent: str, verb: str, words: list[str]
    ) -> None:
        if verb in {"PING", "AUTH"}:
            if self.is_deaf:
                await asyncio.Event().wait()
            writer.write(f"{number} {self._done(verb, words)}\n".encode())
            self._changed.set()
            return
        self.asked.append(" ".join([verb, *words]))
        self.parents.append(parent)
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        self._changed.set()
        try:
            if self.hangs or self.is_deaf:
                await asyncio.Event().wait()
            await self.may_answer.wait()
            await asyncio.sleep(self.delay)
            answer = self._done(verb, words)
        finally:
            self.at_work -= 1
            self._changed.set()
        if self.drops:
            writer.transport.abort()
        elif not writer.is_closing():
            writer.write(f"{number} {answer}\n".encode())

    def _done(self, verb: str, words: list[str]) -> str:
        match verb, words:
            case "AUTH", [password] if password != self.password:
                return "ERR the login is refused"
            case "PING", []:
                self.pings += 1
            case "PUT", [key, value]:
                self.store[key] = value
            case "APPEND", [key, value]:
                self.store[key] = self.store.get(key, "") + value
            case "WATCH", [_]:
                self._watched += 1
                if self._watched > self.pieces:
                    return "OK end"
        return f"OK {self.store.get(words[0], '') if words else ''}"


@contextlib.asynccontextmanager
async def running(*servers: Server) -> AsyncIterator[None]:
    """Run the servers."""
    for server in servers:
        await server.start()
    try:
        yield
    finally:
        for server in servers:
            await server.kill()


async def serve(port: int, password: str) -> None:
    """Serve until the process is ended."""
    server = Server(host=None, port=port)
    server.password = password
    await server.start()
    await asyncio.Event().wait()


def _free_port() -> int:
    from tests.ports import free_port  # noqa: PLC0415 - in a pod, there is nothing beside this file

    return free_port()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
