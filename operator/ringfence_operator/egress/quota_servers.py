"""The servers that hold the namespaces' counters: one Redis, the master of a Sentinel, or the nodes of a cluster."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from ringfence_operator.egress.redis_place import CLUSTER, SENTINEL, Place, RedisPlace, logged_in, master_of
from ringfence_operator.egress.resp import RefusedError, Resp

_LIMITED = re.compile(r"^maxmemory:[1-9]", re.MULTILINE)
_EVICTS = re.compile(r"^maxmemory_policy:(?!noeviction)(\S+)", re.MULTILINE)
_MOVES = 4
"""How often a namespace may have moved at one question."""
_SPARED_SECONDS = 3.0
"""For so long nobody asks a server again that could not be reached: there is a question for each namespace."""


class QuotaServers:
    """Connections of the administrator's, made when they are needed."""

    def __init__(self, place: RedisPlace, clock: Callable[[], float]) -> None:
        self._place: Final = place
        self._clock: Final = clock
        self._connections: dict[Place, Resp] = {}
        self._homes: dict[str, Place] = {}
        """Where a namespace's keys are, in a cluster."""
        self._master: Place | None = None
        self._entry = 0
        self._failed: dict[Place, float] = {}
        self._evicting: dict[Place, str] = {}
        """By what policy servers throw keys away, of those that do."""
        self._skew = 0.0

    def now(self) -> float:
        """Return the time by the server's clock, which is the counters', in seconds since the epoch."""
        return self._clock() + self._skew

    async def ask(self, namespace: str, commands: Sequence[Sequence[str]]) -> list[Any]:
        """Return the answers of the server that holds the namespace's keys.

        Raises OSErrors, after which the next question makes a new connection.
        """
        for _ in range(_MOVES):
            server = await self._home(namespace)
            try:
                connection = await self._connected(server)
                answers = await connection.ask_all(commands)
            except OSError:
                self._failed[server] = self._clock()
                self._drop(server)
                self._elsewhere(namespace)
                raise
            refused = next((each for each in answers if isinstance(each, RefusedError)), None)
            if refused is None:
                return answers
            if not self._follow(namespace, str(refused)):
                self._elsewhere(namespace)
                raise refused
        raise RefusedError("the cluster sends from one server to the next")

    def _elsewhere(self, namespace: str) -> None:
        """Begin the next question at another of the places that are known."""
        self._homes.pop(namespace, None)
        self._master = None
        self._entry = (self._entry + 1) % len(self._place.hosts)

    def _follow(self, namespace: str, refused: str) -> bool:
        kind, _, rest = refused.partition(" ")
        if kind != "MOVED":
            return False
        host, _, port = rest.rpartition(" ")[2].rpartition(":")
        self._homes[namespace] = (host or self._place.hosts[self._entry][0], int(port))
        return True

    async def _home(self, namespace: str) -> Place:
        if self._place.scheme == SENTINEL:
            self._master = self._master or await master_of(self._place)
            return self._master
        if self._place.scheme == CLUSTER and namespace in self._homes:
            return self._homes[namespace]
        return self._place.hosts[self._entry]

    async def _connected(self, server: Place) -> Resp:
        found = self._connections.get(server)
        if found is None:
            if self._clock() - self._failed.get(server, float("-inf")) < _SPARED_SECONDS:
                raise ConnectionError("it could not be reached a moment ago")
            found = self._connections[server] = await logged_in(server, self._place)
            seconds, micros = await found.ask("TIME")
            self._skew = int(seconds) + int(micros) / 1e6 - self._clock()
            await self._ask_what_goes(server, found)
        return found

    def evicts(self, namespace: str) -> str:
        """Return the policy by which the namespace's counters may be thrown away; empty if they are not."""
        known = {CLUSTER: self._homes.get(namespace), SENTINEL: self._master}.get(self._place.scheme)
        return self._evicting.get(known or self._place.hosts[self._entry], "")

    async def ask_again(self) -> None:
        """Ask those that throw keys away whether they do still."""
        for server in self._evicting.keys() & self._connections.keys():
            try:
                await self._ask_what_goes(server, self._connections[server])
            except OSError:
                self._drop(server)

    async def _ask_what_goes(self, server: Place, connection: Resp) -> None:
        try:
            memory = str(await connection.ask("INFO", "memory"))
        except RefusedError:
            memory = ""  # an administrator that may not ask: sidecars may
        found = _EVICTS.search(memory) if _LIMITED.search(memory) else None
        if found:
            self._evicting[server] = found[1]
        else:
            self._evicting.pop(server, None)

    def _drop(self, server: Place) -> None:
        connection = self._connections.pop(server, None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Let go of all."""
        for server in list(self._connections):
            self._drop(server)
