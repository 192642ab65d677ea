"""The part of an object's metadata that the operator reads."""

from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError

from ringfence_operator.api.model import Model, Timestamp
from ringfence_operator.errors import InvalidSpecError

GROUP = "ringfence.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class Metadata(Model):
    """A slice of `metav1.ObjectMeta`."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Resource(Model):
    """A namespaced object of our group."""

    kind: ClassVar[str]
    plural: ClassVar[str]

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
