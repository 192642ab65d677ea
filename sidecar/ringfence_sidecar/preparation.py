"""Where calls are judged: on the event loop, or beside it if that takes so long that other calls would wait."""

import asyncio
from typing import TYPE_CHECKING, Any

from ringfence_sidecar.call import Context
from ringfence_sidecar.connectors.base import Connector, Operation, Prepared
from ringfence_sidecar.errors import DeadlineError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class Preparation:
    """Calls `Connector.prepare`. Long judgements have one thread: more of them would leave the loop fewer turns."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    async def prepared(
        self, connector: Connector[Any], operation: Operation, arguments: Any, context: Context
    ) -> Prepared:
        """Return the call as policy lets it through. Raises as `Connector.prepare`, and DeadlineError."""
        if not connector.is_long(operation, arguments):
            return connector.prepare(operation, arguments, context)
        if self._thread is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most agents never ask so much at once

            self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge")
        judging = asyncio.get_running_loop().run_in_executor(
            self._thread, connector.prepare, operation, arguments, context
        )
        try:
            async with asyncio.timeout(context.deadline.remaining):
                return await judging
        except TimeoutError:
            raise DeadlineError(
                "the call's deadline passed while it was judged: give it longer, or ask for less at once"
            ) from None

    def close(self) -> None:
        """Judge nothing more; what is being judged ends by itself, and nobody waits for it."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
