"""Asking the API server about tokens: the operator does it, since this process has no way to the API server."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

MOST_WAITING = 1_024
SECONDS = 10.0
"""How long an answer may take."""


class Reviews:
    """Questions under way; `tell` takes them to the operator, which asks about a few at a time."""

    def __init__(self, *, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell: Final = tell
        self._numbers: Final = count(1)
        self._waiting: dict[int, asyncio.Future[str | None]] = {}

    async def ask(self, token: str) -> str | None:
        """Return the UID of the pod that the token is bound to, nothing if it is not good, None if nobody can tell."""
        if len(self._waiting) >= MOST_WAITING:
            return None
        number = next(self._numbers)
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._tell({"kind": "review", "id": number, "token": token})
        try:
            async with asyncio.timeout(SECONDS):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._waiting[number]

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take an answer: `{"id", "podUid"}`, with null if nobody could tell. Raises KeyError."""
        answer = self._waiting.get(message["id"])
        uid = message["podUid"]
        if answer is not None and not answer.done():
            answer.set_result(None if uid is None else str(uid))
