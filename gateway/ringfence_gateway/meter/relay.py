"""Hands connections on from Envoy to Envoy, counting what passes, and cuts them when nothing is left.

Envoy's own counters come when a connection ends or at intervals, and nothing in it closes one agent's connections. So a
policy under such quotas has its connections led through here, once they have come in and before a name is judged.
"""

import asyncio
from collections import defaultdict

from ringfence_gateway.meter.book import Book
from ringfence_gateway.meter.end import MOST_BYTES, End
from ringfence_gateway.meter.header import read_header
from ringfence_gateway.meter.orders import Orders
from ringfence_gateway.port_set import BLOCKS, FIRST_PORT, PORTS

HTTP = 1
"""Offset from the first port of a block."""
MOST_CONNECTIONS = 2_048
UNKNOWN_SECONDS = 10.0
"""How long a connection waits for word of the pod that it comes from."""
HEADER_SECONDS = 3.0
GOODBYE_SECONDS = 1.0


class Passage:
    """One connection, from its header to its end."""

    def __init__(self, relay: "Relay") -> None:
        self._relay = relay
        self._data = bytearray()
        self.orders: Orders | None = None
        self.inner, self.outer = End(), End()
        self.outer.other, self.inner.other = self.inner, self.outer
        self.outer.on_data, self.inner.on_data = self._head, self._answered
        self.outer.on_lost = self.inner.on_lost = self._lost
        self._is_counted = False
        self._is_over = False
        self._timer = asyncio.get_running_loop().call_later(HEADER_SECONDS, self.outer.cut)
        self._source, self._port = "", 0

    def _head(self, data: bytes) -> None:
        self._data += data
        try:
            header = read_header(bytes(self._data))
            if header is None:
                return
            _check_port(header.port)
        except ValueError:
            self.outer.cut()
            return
        del self._data[: header.length]
        self._source, self._port = header.source, header.port
        self._timer.cancel()
        self.outer.on_data = self._early
        self._relay.when_known(self)

    @property
    def source(self) -> str:
        """Where it comes from."""
        return self._source

    def _early(self, data: bytes) -> None:
        self._data += data
        if len(self._data) >= MOST_BYTES:
            self.outer.pause()

    def begin(self, orders: Orders | None) -> None:
        """Let it in if `orders` do; None refuses it."""
        if self._is_over:
            return
        self.orders = orders
        if orders is None or not self._relay.book.open(orders):
            self._refuse(orders)
            return
        self._is_counted = True
        self._relay.passages[orders.uid].add(self)
        self._relay.start(self._connect())

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.inner, "127.0.0.1", self._port)
        except OSError:
            self.outer.cut()
            return
        if self._is_over:
            self.inner.cut()
            return
        self.outer.on_data = self._said
        early = bytes(self._data)
        self._data.clear()
        if early:
            self._said(early)
        if self.outer.is_ended:
            self.inner.finish()
        self.outer.resume()

    def _said(self, data: bytes) -> None:
        self._pass_on(data, self.inner)

    def _answered(self, data: bytes) -> None:
        self._pass_on(data, self.outer)

    def _pass_on(self, data: bytes, to: End) -> None:
        if self.orders is None or self._is_over:
            return
        passing = self._relay.book.pass_on(self.orders.uid, len(data))
        if not self._is_over:
            to.write(data if passing == len(data) else data[:passing])

    def _refuse(self, orders: Orders | None) -> None:
        if orders is None or (self._port - FIRST_PORT) % PORTS != HTTP:
            self.outer.cut()
            return
        self.outer.on_data = lambda _: None
        self.outer.write(_too_many(orders))
        self.outer.finish()
        self.outer.resume()
        self._timer = asyncio.get_running_loop().call_later(GOODBYE_SECONDS, self.outer.cut)

    def cut(self) -> None:
        """End it for what its agent has used."""
        self._end(is_cut=True)

    def _lost(self) -> None:
        """One side is gone; it is open, and counted, until the other one has taken what is unsent."""
        rest = [end for end in (self.outer, self.inner) if end.transport is not None]
        for end in rest:
            end.close()
        if not rest:
            self._end(is_cut=False)

    def _end(self, *, is_cut: bool) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._timer.cancel()
        self._relay.ended(self)
        if self._is_counted and self.orders is not None:
            self._relay.book.close(self.orders.agent, is_cut=is_cut)
        for end in (self.outer, self.inner):
            end.cut()


class Relay:
    """Listens for Envoy; `book` says who may."""

    def __init__(self, book: Book) -> None:
        self.book = book
        book.on_spent = self.cut
        self.passages: defaultdict[str, set[Passage]] = defaultdict(set)
        self._waiting: defaultdict[str, dict[Passage, asyncio.TimerHandle]] = defaultdict(dict)
        self._all: set[Passage] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, path: str) -> None:
        """Listen on the Unix socket `path`. Raises OSError."""
        self._server = await asyncio.get_running_loop().create_unix_server(self._accept, path, backlog=512)

    async def stop(self) -> None:
        """Stop listening, and cut everything."""
        if self._server is not None:
            self._server.close()
        for passage in list(self._all):
            passage.outer.cut()
        for task in self._tasks:
            task.cancel()

    def _accept(self) -> End:
        passage = Passage(self)
        if len(self._all) >= MOST_CONNECTIONS:
            passage.outer.on_data = lambda _: passage.outer.cut()
        self._all.add(passage)
        return passage.outer

    def start(self, work: "asyncio._CoroutineLike[None]") -> None:
        """Run what a passage waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def when_known(self, passage: Passage) -> None:
        """Begin it as soon as it is known whose pod has its address, or refuse it."""
        orders = self.book.at(passage.source)
        if orders is not None:
            passage.begin(orders)
            return
        timer = asyncio.get_running_loop().call_later(UNKNOWN_SECONDS, self._give_up, passage)
        self._waiting[passage.source][passage] = timer

    def put(self, orders: Orders) -> None:
        """Take new orders, and let in who waited for them."""
        self.book.put(orders)
        for passage, timer in self._waiting.pop(orders.address, {}).items():
            timer.cancel()
            passage.begin(self.book.at(passage.source))

    def cut(self, uid: str) -> None:
        """Cut all connections of a pod."""
        for passage in list(self.passages.get(uid, ())):
            passage.cut()

    def ended(self, passage: Passage) -> None:
        """Forget it."""
        self._all.discard(passage)
        waiting = self._waiting.get(passage.source, {}).pop(passage, None)
        if waiting is not None:
            waiting.cancel()
        if not self._waiting.get(passage.source):
            self._waiting.pop(passage.source, None)
        if passage.orders is not None:
            found = self.passages.get(passage.orders.uid)
            if found is not None:
                found.discard(passage)
                if not found:
                    del self.passages[passage.orders.uid]

    def _give_up(self, passage: Passage) -> None:
        passage.begin(None)


def _check_port(port: int) -> None:
    if not FIRST_PORT <= port < FIRST_PORT + PORTS * BLOCKS:
        raise ValueError(f"{port} is no port of a port set")


def _too_many(orders: Orders) -> bytes:
    body = f"Ringfence: {orders.words}\n".encode()
    retry = f"Retry-After: {orders.retry_after}\r\n" if orders.retry_after else ""
    head = (
        f"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\n{retry}"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
