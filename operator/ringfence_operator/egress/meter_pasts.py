"""What meters had counted that are gone: given to those that are there, so that an operator that begins is told it."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from ringfence_operator.egress.meter_orders import Message
from ringfence_operator.reconcile.network_use import NetworkUse


class MeterPasts:
    """Each gateway keeps all of it, and repeats it to whoever it comes to (`NetworkUse.hear`).

    Nothing of it changes once a meter is gone, so what it costs is a message for each agent and gateway then.
    """

    def __init__(self, use: NetworkUse, send: Callable[[Message], None]) -> None:
        self._use: Final = use
        self._send: Final = send
        self._turnover = use.turnover
        self._told: dict[str, Message] = {}

    def clear(self) -> None:
        """Forget what was given: gateways keep it."""
        self._told.clear()

    def look(self) -> None:
        """Give gateways what they have not, if a meter may be gone since the last look."""
        if self._turnover == self._use.turnover:
            return
        self._turnover = self._use.turnover
        present = {agent: _message(agent, counts) for agent, counts in self._use.gone() if counts}
        before, self._told = self._told, present
        for agent in before.keys() - present.keys():
            self._send({"kind": "meterPastGone", "agent": agent})
        for agent, message in present.items():
            if message != before.get(agent):
                self._send(message)

    def messages(self) -> Iterator[Message]:
        """Yield what a control process has to be told that knows nothing yet."""
        yield from self._told.values()


def _message(agent: str, counts: dict[str, dict[str, Any]]) -> Message:
    return {"kind": "meterPast", "agent": agent, "counts": [{"meter": name, **each} for name, each in counts.items()]}
