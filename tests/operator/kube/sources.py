import asyncio
from collections.abc import AsyncGenerator
from typing import Any

Raw = dict[str, Any]


def body(name: str, version: int, *, uid: str = "", namespace: str = "ns", **content: Any) -> Raw:
    metadata = {"namespace": namespace, "name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, **content}


def event(kind: str, raw: Raw) -> Raw:
    return {"type": kind, "object": raw}


def bookmark(version: int) -> Raw:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


class FakeSource:
    """Answers each listing and each watch by the next script; a script's exceptions are raised.

    `idle` is set when the scripts have run out and a watch would wait for ever.
    """

    def __init__(
        self, listings: list[tuple[int, list[Raw | Exception]]], watches: list[list[Raw | Exception]] | None = None
    ) -> None:
        self.listings = listings
        self.watches = watches or []
        self.watched_from: list[str] = []
        self.idle = asyncio.Event()
        self.page_size = 2

    async def pages(self) -> AsyncGenerator[tuple[list[Raw], str], None]:
        version, script = self.listings.pop(0)
        page: list[Raw] = []
        for step in script:
            if isinstance(step, Exception):
                raise step
            page.append(step)
            if len(page) == self.page_size:
                yield page, str(version)
                page = []
        yield page, str(version)

    async def watch(self, version: str) -> AsyncGenerator[Raw, None]:
        self.watched_from.append(version)
        if not self.watches:
            self.idle.set()
            await asyncio.Event().wait()
        for step in self.watches.pop(0):
            if isinstance(step, Exception):
                raise step
            yield step
