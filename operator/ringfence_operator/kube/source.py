"""What an informer follows: one resource of the API server, narrowed by labels."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from ringfence_operator.kube.client import PAGE_SIZE, Client, Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSource:
    """The objects at a collection's API path, such as /api/v1/pods, that the selector selects."""

    client: Client
    path: str
    label_selector: str | None = None
    page_size: int = PAGE_SIZE

    def pages(self) -> AsyncGenerator[tuple[list[Raw], str], None]:
        """Yield all objects in pages, each with the list's resourceVersion."""
        return self.client.list_pages(
            self.path,
            limit=self.page_size,
            label_selector=self.label_selector,
        )

    def watch(self, version: str) -> AsyncGenerator[Raw, None]:
        """Yield the events after `version`."""
        return self.client.watch(
            self.path,
            version,
            label_selector=self.label_selector,
        )
