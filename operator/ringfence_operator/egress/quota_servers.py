"""The servers that hold the namespaces' counters: one Redis, the master of a Sentinel, or the nodes of a cluster."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from ringfence_operator.egress.redis_place import CLUSTER, SENTINEL, Place, RedisPlace, logged_in, master_of
from ringfence_operator.egress.resp import RefusedError, Resp

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
        return found

    def _drop(self, server: Place) -> None:
        connection = self._connections.pop(server, None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Let go of all."""
        for server in list(self._connections):
            self._drop(server)
