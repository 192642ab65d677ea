"""What is bound to the agent, as the configuration last said."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping

import msgspec
import structlog

from ringfence_sidecar.configuration import Configuration, EndpointHealth
from ringfence_sidecar.configuration import Connector as ConnectorConfiguration
from ringfence_sidecar.errors import NotOfferedError, UnavailableError
from ringfence_sidecar.holding import Holding
from ringfence_sidecar.routing.bound import Bound
from ringfence_sidecar.routing.kinds import UnusableConnectorError, load, make
from ringfence_sidecar.routing.session import LONGEST_DISCONNECT_SECONDS
from ringfence_sidecar.tracing import Tracer

_SIDE = ("generation", "limits", "cache", "health_check")
"""What of a configuration may change, and whatever calls have begun at the backend goes on."""

log = structlog.get_logger()


class Registry:
    """One Bound per configured connector. One that cannot be bound refuses its calls, and harms no other."""

    def __init__(
        self,
        *,
        draw: Callable[[], float] = random.random,
        tracer: Tracer | None = None,
        holding: Holding | None = None,
    ) -> None:
        self._draw = draw
        self._holding = holding or Holding()
        self._tracer = tracer or Tracer()
        self._bound: dict[str, Bound] = {}
        self._unusable: dict[str, tuple[ConnectorConfiguration, UnusableConnectorError]] = {}
        self._retiring: dict[asyncio.Task[None], Bound] = {}
        self._applying = asyncio.Lock()

    @property
    def bound(self) -> Mapping[str, Bound]:
        """Connectors that can serve, by name."""
        return self._bound

    @property
    def names(self) -> list[str]:
        """Every configured connector's name, sorted."""
        return sorted({*self._bound, *self._unusable})

    def has(self, name: str) -> bool:
        """Return True if a connector of that name is configured, usable or not."""
        return name in self._bound or name in self._unusable

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """Return the names of the connectors of a kind that can serve."""
        return tuple(name for name, bound in self._bound.items() if bound.configuration.kind == kind)

    def get(self, name: str) -> Bound:
        """Return the connector. Raises NotOfferedError, or UnavailableError for one that cannot be bound."""
        bound = self._bound.get(name)
        if bound is not None:
            return bound
        if name in self._unusable:
            problem = self._unusable[name][1]
            raise UnavailableError(f"connector {name} cannot be used: {problem.message}", code=problem.reason)
        names = ", ".join(self.names) or "none"
        raise NotOfferedError(f"no connector {name[:63]!r} is bound to this agent; bound: {names}")

    async def apply(self, configuration: Configuration) -> None:
        """Put a configuration in force. What has not changed keeps its sessions; what has is made anew.

        The one before ends the calls that it has begun. What cannot be bound any longer is not served by it either.
        Where nothing has changed but `_SIDE`, leases and open results stay what they are.
        """
        async with self._applying:
            wanted = {each.name: each for each in configuration.connectors}
            for name in [name for name in self._bound if name not in wanted]:
                self._retire(name)
                self._let_go(name)
            self._unusable = {name: kept for name, kept in self._unusable.items() if wanted.get(name) == kept[0]}
            changed = [each for name, each in wanted.items() if self._configured(name) != each]
            made: list[Bound] = []
            try:
                # Each as soon as its own driver is there: what takes a permission away must not wait for an import.
                ended = await asyncio.gather(*(self._bind(each, made) for each in changed), return_exceptions=True)
            finally:
                # Drivers are imported for the first look at an endpoint: until all are bound, that would hold them up.
                for bound in made:
                    bound.start()
            for error in filter(None, ended):
                raise error

    def health(self) -> tuple[EndpointHealth, ...]:
        """Return how each endpoint of each connector was found."""
        found = [health for bound in self._bound.values() for health in bound.health()]
        for configuration, problem in self._unusable.values():
            found += [
                EndpointHealth(
                    connector=configuration.name,
                    generation=configuration.generation,
                    endpoint=endpoint.name,
                    healthy=False,
                    reason=problem.reason,
                    message=problem.message,
                )
                for endpoint in configuration.endpoints
            ]
        return tuple(found)

    async def close(self, *, grace: float) -> None:
        """Retire all: calls that run have `grace` seconds to end, then their sessions are closed."""
        async with self._applying:
            for name in self.names:
                self._retire(name)
            for bound in self._retiring.values():
                bound.lingers = False
            retiring = dict(self._retiring)
            if retiring:
                await asyncio.wait(retiring, timeout=grace)
                for bound in retiring.values():
                    bound.hurry()
                await asyncio.wait(retiring, timeout=LONGEST_DISCONNECT_SECONDS)

    def _configured(self, name: str) -> ConnectorConfiguration | None:
        if name in self._bound:
            return self._bound[name].configuration
        return self._unusable[name][0] if name in self._unusable else None

    async def _bind(self, configuration: ConnectorConfiguration, made: list[Bound]) -> None:
        name = configuration.name
        bound = self._bound.get(name)
        if bound is not None and _is_same(bound.configuration, configuration, but=("generation",)):
            bound.connector.configuration = configuration
            return
        with contextlib.suppress(UnusableConnectorError):
            # Beside the event loop, which goes on serving; `make` raises the same again.
            await asyncio.to_thread(load, configuration.kind)
        before = self._retire(name)
        self._unusable.pop(name, None)
        try:
            bound = self._made(configuration)
        except UnusableConnectorError as problem:
            self._unusable[name] = configuration, problem
            self._let_go(name)
            log.warning("connector not bound", connector=name, kind=configuration.kind, reason=problem.reason)
            return
        if before is not None and _is_same(before.configuration, configuration, but=_SIDE):
            before.lingers = bound.connector.take_over(before.connector)
        else:
            self._let_go(name)
        self._bound[name] = bound
        made.append(bound)
        log.info("connector bound", connector=name, kind=configuration.kind, generation=configuration.generation)

    def _made(self, configuration: ConnectorConfiguration) -> Bound:
        connector = make(configuration)
        connector.holding = self._holding
        try:
            return Bound(connector, draw=self._draw, tracer=self._tracer)
        except Exception as error:
            raise UnusableConnectorError(
                "InvalidSettings", f"kind {configuration.kind} cannot serve these settings ({type(error).__name__})"
            ) from error

    def _retire(self, name: str) -> Bound | None:
        bound = self._bound.pop(name, None)
        if bound is not None:
            task = asyncio.create_task(bound.retire())
            self._retiring[task] = bound
            task.add_done_callback(self._retiring.pop)
        return bound

    def _let_go(self, name: str) -> None:
        """Have no session of those before kept for what lives on it."""
        for bound in self._retiring.values():
            if bound.configuration.name == name:
                bound.lingers = False


def _is_same(before: ConnectorConfiguration, after: ConnectorConfiguration, *, but: tuple[str, ...]) -> bool:
    return msgspec.structs.replace(before, **{field: getattr(after, field) for field in but}) == after
