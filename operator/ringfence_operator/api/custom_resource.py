"""What every kind of the group has in common."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import ValidationError

from ringfence_operator.api.metadata import Metadata
from ringfence_operator.api.model import Model
from ringfence_operator.errors import InvalidSpecError


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; one with `wide` shows under `-o wide` only."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the scale subresource finds its fields."""

    spec: str
    status: str
    selector: str


class CustomResource(Model):
    """A namespaced object of the group ringfence.dev."""

    kind: ClassVar[str]
    plural: ClassVar[str]
    short_name: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    selectable_fields: ClassVar[tuple[str, ...]] = ()
    scale: ClassVar[Scale | None] = None

    metadata: Metadata

    @classmethod
    def from_body(cls, body: dict[str, Any]) -> Self:
        """Return the object that the API server sent as `body`; raises InvalidSpecError where it does not fit."""
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            raise InvalidSpecError(_sentence(error)) from error

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.metadata.namespace, self.metadata.name


def _sentence(error: ValidationError) -> str:
    # Values are left out: a message travels to the status, and a field may hold what should not.
    problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False))
    return "; ".join(problems)
