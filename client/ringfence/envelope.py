"""The envelope: what every call answers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

SERVED = frozenset({"ok", "partial"})
_HUMP = re.compile(r"_([a-z])")
_Part = TypeVar("_Part", bound="Problem | Notice | CacheInfo | Metadata")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that went wrong."""

    code: str
    """Stable, in CamelCase."""
    message: str
    retryable: bool = False
    retry_after_seconds: float | None = None
    rule: str = ""
    """Which rule of policy or quota decided."""
    field: str = ""
    """The argument at fault, as a path such as `arguments.sql`."""
    index: int | None = None
    """Which part of a batch."""
    quota: str = ""
    """Name of the Quota that refused; so it is with those below."""
    resource: str = ""
    limit: float | None = None
    used: float | None = None
    window: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know although the call was served, such as `RowsCut`."""

    code: str
    message: str
    quota: str = ""
    resource: str = ""


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """Whether the answer came from a cache, and how old it is."""

    hit: bool = False
    age_seconds: float = 0.0
    layer: str = "none"
    """`none`, `local` or `redis`."""
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known about the call besides its answer."""

    request_id: str = ""
    trace_id: str = ""
    connector: str = ""
    operation: str = ""
    endpoint: str = ""
    duration_ms: float = 0.0
    cache: CacheInfo | None = None
    attempts: int = 0
    backend_id: str | None = None
    """The back end's own name for what it did, such as Snowflake's query id."""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Envelope:
    """An answer. Served if `status` is `ok`, or `partial`: then warnings or errors say what is missing."""

    status: str
    data: Any = None
    message: str = ""
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Notice, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def is_served(self) -> bool:
        """True for `ok` and `partial`."""
        return self.status in SERVED

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Envelope":
        """Return what an envelope or a problem document says. Raises ValueError if it is neither.

        Members that this version does not know are passed over: sidecars may be newer.
        """
        try:
            return cls._read(found)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("neither an envelope nor a problem document of Ringfence") from error

    @classmethod
    def _read(cls, found: Mapping[str, Any]) -> "Envelope":
        status, metadata = found.get("outcome", found.get("status")), found["metadata"]
        if not isinstance(status, str):
            raise TypeError("a status is a word")
        cache = metadata.get("cache")
        made = {**metadata, "cache": _part(CacheInfo, cache) if cache else None}
        return cls(
            status=status,
            data=found.get("data"),
            message=found.get("message", ""),
            errors=tuple(_part(Problem, each) for each in found.get("errors", ())),
            warnings=tuple(_part(Notice, each) for each in found.get("warnings", ())),
            metadata=_part(Metadata, made),
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as the sidecar would write it."""
        cache = self.metadata.cache
        metadata = _said(self.metadata) | ({"cache": _said(cache)} if cache else {})
        return {
            "status": self.status,
            "data": self.data,
            "message": self.message,
            "errors": [_said(each) for each in self.errors],
            "warnings": [_said(each) for each in self.warnings],
            "metadata": metadata,
        }


def camel(name: str) -> str:
    """Return a Python name as JSON has it."""
    return _HUMP.sub(lambda found: found[1].upper(), name)


def _part(kind: type[_Part], found: Mapping[str, Any]) -> _Part:
    said = {each.name: found[camel(each.name)] for each in fields(kind) if found.get(camel(each.name)) is not None}
    return kind(**said)


def _said(part: Problem | Notice | CacheInfo | Metadata) -> dict[str, Any]:
    values = ((each.name, getattr(part, each.name)) for each in fields(part))
    return {camel(name): value for name, value in values if value not in (None, "", {})}
