"""What an informer follows: one resource of the API server, narrowed by labels or fields."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from ringfence_operator.errors import ExpiredError, ForbiddenError, NotFoundError
from ringfence_operator.kube.client import PAGE_SIZE, Client, Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSource:
    """The objects at a collection's API path, such as /api/v1/pods, that the selectors select."""

    client: Client
    path: str
    label_selector: str | None = None
    field_selector: str | None = None
    page_size: int = PAGE_SIZE

    def pages(self) -> AsyncGenerator[tuple[list[Raw], str], None]:
        """Yield all objects in pages, each with the list's resourceVersion."""
        return self.client.list_pages(
            self.path,
            limit=self.page_size,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
        )

    def watch(self, version: str) -> AsyncGenerator[Raw, None]:
        """Yield the events after `version`."""
        return self.client.watch(
            self.path,
            version,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
        )


LOOK_SECONDS = 30.0
"""How often it is looked again for a kind that is not installed."""


class OptionalSource:
    """A resource whose kind may not be installed, or not be ours to read: then it is empty, and looked for again."""

    def __init__(
        self,
        source: ApiSource,
        *,
        on_change: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.missing = ""
        """What the server says where it cannot be had, or nothing."""
        self._was_found = False
        self._source = source
        self._on_change = on_change
        self._sleep = sleep

    async def pages(self) -> AsyncGenerator[tuple[list[Raw], str], None]:
        """Yield all objects in pages, each with the list's resourceVersion; none where there is no such kind."""
        try:
            async with aclosing(self._source.pages()) as pages:
                async for page in pages:
                    self._found("")
                    yield page
        except (NotFoundError, ForbiddenError) as error:
            # Who could read it a moment ago keeps what was read: such a refusal passes, or somebody mends it.
            if isinstance(error, ForbiddenError) and self._was_found:
                raise
            self._found(str(error) or error.reason)
            yield [], "0"

    async def watch(self, version: str) -> AsyncGenerator[Raw, None]:
        """Yield the events after `version`. Raises ExpiredError, after a while, where there is no such kind."""
        if self.missing:
            await self._sleep(LOOK_SECONDS)
            raise ExpiredError(self.missing)
        try:
            async with aclosing(self._source.watch(version)) as events:
                async for event in events:
                    yield event
        except NotFoundError as error:
            raise ExpiredError(str(error)) from error

    def _found(self, missing: str) -> None:
        self._was_found = not missing
        if missing != self.missing:
            self.missing = missing
            self._on_change()
