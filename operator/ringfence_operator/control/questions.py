"""Asking the operator what only it can know: this process has no way to the API server, and keeps no quotas."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

MOST_WAITING = 1_024
SECONDS = 10.0
"""How long an answer may take."""

Message = Mapping[str, Any]


class Questions:
    """Questions under way; `tell` takes them to the operator, whose answers carry the question's `id`."""

    def __init__(self, *, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell: Final = tell
        self._numbers: Final = count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}

    async def review(self, token: str) -> str | None:
        """Return the UID of the pod that the token is bound to, nothing if it is not good, None if nobody can tell."""
        answer = await self._ask("review", token=token)
        return None if answer is None or answer["podUid"] is None else str(answer["podUid"])

    async def standing(self, pod_uid: str) -> Any:
        """Return what is used of the limits that others than the pod's sidecar keep, None if nobody can tell."""
        answer = await self._ask("standingAsked", uid=pod_uid)
        return None if answer is None else answer["standing"]

    async def _ask(self, kind: str, **more: str) -> Message | None:
        if len(self._waiting) >= MOST_WAITING:
            return None
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._tell({"kind": kind, "id": number, **more})
        try:
            async with asyncio.timeout(SECONDS):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._waiting[number]

    def hear(self, message: Message) -> None:
        """Take an answer: `{"id", "podUid"}` or `{"id", "standing"}`, null if nobody can tell. Raises KeyError."""
        answer = self._waiting.get(message["id"])
        if answer is not None and not answer.done():
            answer.set_result(message)
