"""All resources that are to be served, by type and by block."""

from collections.abc import Collection, Iterable, Mapping

from ringfence_operator.control.resource import DNS_TYPES, ENVOY_TYPES, Key, Resource


class Store:
    """What gateways are to have. Shared resources are those of block None."""

    def __init__(self) -> None:
        self._of_type: dict[str, dict[str, Resource]] = {each: {} for each in (*ENVOY_TYPES, *DNS_TYPES)}
        self._of_block: dict[int | None, dict[Key, Resource]] = {}
        self._versions: dict[int, str] = {}
        self._withdrawn: set[int] = set()
        self._faults: dict[int, str] = {}

    def of_type(self, type_url: str) -> Mapping[str, Resource]:
        """Return the resources of a type by name; they change with the store."""
        return self._of_type[type_url]

    def of_block(self, block: int | None) -> Collection[Resource]:
        """Return the resources of a block."""
        return self._of_block.get(block, {}).values()

    def version(self, block: int) -> str | None:
        """Return the version of the block's port set, or None if it has none."""
        return self._versions.get(block)

    def fault(self, block: int) -> str | None:
        """Return why the block's port set cannot be served at all, or None."""
        return self._faults.get(block)

    def blocks(self) -> list[int]:
        """Return all blocks that have, or had, a port set."""
        return [*self._versions, *self._withdrawn]

    def put(self, block: int, version: str, resources: Iterable[Resource]) -> list[Key]:
        """Hold the port set; return what is different now."""
        self._versions[block] = version
        self._withdrawn.discard(block)
        self._faults.pop(block, None)
        return self.replace(block, resources)

    def refuse(self, block: int, version: str, message: str) -> None:
        """Hold that this version of the port set cannot be served; what was there of the block stays."""
        self._versions[block] = version
        self._withdrawn.discard(block)
        self._faults[block] = message

    def withdraw(self, block: int) -> list[Key]:
        """Forget the block's port set; return what is different now."""
        self._versions.pop(block, None)
        self._faults.pop(block, None)
        self._withdrawn.add(block)
        return self.replace(block, ())

    def hold(self, resource: Resource) -> list[Key]:
        """Hold a resource that is no policy's and not shared, such as what a meter is told of one pod."""
        present = self._of_type[resource.type_url].get(resource.name)
        self._of_type[resource.type_url][resource.name] = resource
        return [] if _version(present) == resource.version else [resource.key]

    def drop(self, key: Key) -> list[Key]:
        """Forget what `hold` was given."""
        type_url, name = key
        return [key] if self._of_type[type_url].pop(name, None) is not None else []

    def replace(self, block: int | None, resources: Iterable[Resource]) -> list[Key]:
        """Hold these resources of the block and no others; return what is different now."""
        before = self._of_block.pop(block, {})
        after = {each.key: each for each in resources}
        if after:
            self._of_block[block] = after
        for type_url, name in before.keys() - after.keys():
            del self._of_type[type_url][name]
        for (type_url, name), resource in after.items():
            self._of_type[type_url][name] = resource
        keys = dict.fromkeys([*before, *after])
        return [key for key in keys if _version(before.get(key)) != _version(after.get(key))]


def _version(resource: Resource | None) -> str | None:
    return resource.version if resource else None
