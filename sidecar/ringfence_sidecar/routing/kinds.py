"""Kinds of connector, found by entry point and imported when one is bound."""

from functools import cache
from typing import TYPE_CHECKING, Any

from ringfence_sidecar.configuration import Connector as Configuration
from ringfence_sidecar.connectors.base import Connector

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "ringfence.connectors"
OWN = "ringfence"


class UnusableConnectorError(Exception):
    """A connector that cannot be bound; `reason` is in CamelCase, for the Connector's condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def make(configuration: Configuration) -> Connector[Any]:
    """Return the connector that the configuration asks for. Imports its kind. Raises UnusableConnectorError."""
    kind = load(configuration.kind)
    if kind.settings_schema is not None:
        _check(configuration, dict(kind.settings_schema))
    try:
        return kind(configuration)
    except UnusableConnectorError:
        raise
    except Exception as error:
        raise UnusableConnectorError(
            "InvalidSettings", f"kind {configuration.kind} does not take these settings ({type(error).__name__})"
        ) from error


@cache
def load(kind: str) -> type[Connector[Any]]:
    """Return the class of a kind. Raises UnusableConnectorError if no installed package has it, or it cannot load."""
    entry = _entry(kind)
    try:
        found = entry.load()
    except Exception as error:
        raise UnusableConnectorError(
            "KindNotLoadable", f"the package of kind {kind} cannot be imported ({type(error).__name__})"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Connector)):
        raise UnusableConnectorError("KindNotLoadable", f"{entry.value} is no subclass of connectors.base.Connector")
    return found


def _entry(kind: str) -> "EntryPoint":
    from importlib.metadata import entry_points  # noqa: PLC0415 - a twentieth of the start, for what is bound after it

    found = entry_points(group=GROUP, name=kind)
    if not found:
        known = ", ".join(sorted(entry_points(group=GROUP).names))
        raise UnusableConnectorError("UnknownKind", f"no installed package has the kind {kind!r}; there are: {known}")
    # A package of a third party must not take the place of a kind of ours, nor of another's.
    own = [entry for entry in found if entry.dist is not None and entry.dist.name == OWN]
    distinct = {entry.value: entry for entry in own or found}
    if len(distinct) > 1:
        raise UnusableConnectorError("AmbiguousKind", f"several installed packages have the kind {kind!r}: keep one")
    return next(iter(distinct.values()))


def _check(configuration: Configuration, schema: dict[str, Any]) -> None:
    import jsonschema_rs  # noqa: PLC0415 - only kinds with a schema need it

    problems = [
        f"settings{''.join(f'.{part}' for part in error.instance_path)}: {error.message}"
        for error in jsonschema_rs.validator_for(schema).iter_errors(configuration.settings)
    ]
    if problems:
        raise UnusableConnectorError("InvalidSettings", "; ".join(problems[:5]))
