"""What the reconcilers need from the outside, as Protocols: an API server to write to and caches to read from."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)
Raw = dict[str, Any]


class Kube(Protocol):
    """Requests to the API server (see `kube.client.Client`, which raises the errors of `KubeError`)."""

    async def get(self, path: str) -> Raw:
        """Return the object at `path`. For what the caches cannot know; never on the usual way."""

    async def create(self, path: str, body: Raw) -> Raw:
        """Create `body` in the collection at `path`."""

    async def replace(self, path: str, body: Raw) -> Raw:
        """Replace the object at `path`, or its status, if it is at `body`'s resourceVersion, whoever set its fields."""

    async def merge_patch(self, path: str, body: Raw) -> Raw:
        """Merge `body` into the object at `path`."""

    async def strategic_patch(self, path: str, body: Raw) -> Raw:
        """Merge `body` into the object at `path`, its lists by the keys of their items."""

    async def delete(
        self,
        path: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
    ) -> Raw:
        """Delete the object at `path`, if it has this UID and version."""


class Table(Protocol[T_co]):
    """The objects of one resource as they were last seen (see `kube.informer.Informer`)."""

    @property
    def cache(self) -> Mapping[Any, T_co]:
        """All objects; each key is a tuple of namespace and name."""

    def get(self, namespace: str, name: str) -> T_co | None:
        """Return one object, or None."""

    def keys_by(self, index: str, value: Hashable) -> Collection[tuple[str, str]]:
        """Return the keys of the objects that an index has under `value`."""

    def beside(self, namespace: str, name: str) -> Sequence[T_co]:
        """Return what else is there under the key of an object; only where objects are kept under others' names."""

    def show(self, namespace: str, name: str, uid: str) -> None:
        """Have `get` return the one with this UID, if it is among them."""

    def store(self, raw: Raw, *, wakes: bool = True) -> None:
        """Put the answer to a write in at once; `wakes` False spares the pass that it would cause."""


class Task(NamedTuple):
    """What the queue holds: an object to reconcile. A namespace's default deny has kind Namespace and no name."""

    kind: str
    namespace: str
    name: str


CORE = "/api/v1"
NETWORKING = "/apis/networking.k8s.io/v1"
CILIUM = "/apis/cilium.io/v2"
RINGFENCE = "/apis/ringfence.dev/v1alpha1"


def path(prefix: str, namespace: str, plural: str, *name: str) -> str:
    """Return the API path of a collection, of an object in it, or of the object's subresource."""
    return "/".join((prefix, "namespaces", namespace, plural, *name))
