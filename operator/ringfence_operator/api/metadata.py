"""The part of an object's metadata that the operator reads."""

from pydantic import Field

from ringfence_operator.api.model import Model, Timestamp

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
    finalizers: tuple[str, ...] = ()
