"""Where audit lines go."""

from typing import Protocol


class Exporter(Protocol):
    """Takes lines to where they outlive the pod."""

    name: str

    async def export(self, lines: list[bytes]) -> None:
        """Return once they are kept. Raises whatever it likes: the same lines come again, so a reader may see two."""

    async def close(self) -> None:
        """Give back what it holds."""
