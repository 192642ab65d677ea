"""Any connector: its operations by name. Kinds that have a class of their own are made from this one."""

from collections.abc import Mapping
from typing import Any

from ringfence.envelope import Envelope
from ringfence.transport import Transport, segment


class Connector:
    """A connector that the agent names in its `spec.connectors`."""

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self.name = name

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is told to the sidecar, which ends the call
        fresh: bool = False,
        idempotency_key: str = "",
    ) -> Envelope:
        """Return the envelope of a call that was served. Raises CallError, UnreachableError.

        `arguments` are named as in the reference (camelCase). `fresh` has the back end asked though a kept answer is
        there; `idempotency_key` is for operations that take one.
        """
        path = f"/connectors/{segment(self.name)}/{segment(operation)}"
        return await self._transport.call(
            "POST", path, arguments or {}, timeout=timeout, fresh=fresh, idempotency_key=idempotency_key
        )


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that were given: None stands for one that was not."""
    return {name: value for name, value in arguments.items() if value is not None}
