"""Snowflake. The driver and the SQL parser are imported when they are first needed, and not with this package."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringfence_sidecar.connectors.snowflake.connector import Snowflake

__all__ = ["Snowflake"]


def __getattr__(name: str) -> Any:
    # The judge is below this package, and imports nothing of it: who only judges does not import the rest.
    if name != "Snowflake":
        raise AttributeError(name)
    from ringfence_sidecar.connectors.snowflake.connector import Snowflake  # noqa: PLC0415

    return Snowflake
