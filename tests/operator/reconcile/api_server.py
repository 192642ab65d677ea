"""An API server in memory: the semantics that the reconcilers rely on, a log of writes, and a fuse that blows."""

from collections.abc import Callable
from copy import deepcopy
from datetime import datetime
from typing import Any

from ringfence_operator.api.model import format_timestamp
from ringfence_operator.errors import AlreadyExistsError, ConflictError, InvalidError, KubeError, NotFoundError

Raw = dict[str, Any]
Place = tuple[str, str, str]


class CrashError(Exception):
    """The operator's process ended."""


def place_of(path: str) -> Place:
    """Return plural, namespace and name (empty for a collection)."""
    namespace, plural, *name = path.partition("/namespaces/")[2].split("/")
    return plural, namespace, name[0] if name else ""


def subresource_of(path: str) -> str:
    """Return the last part of a path such as …/agents/a/status, or an empty string."""
    return "".join(path.partition("/namespaces/")[2].split("/")[3:])


class FakeApiServer:
    """Implements the port `Kube`. `fuse` is the number of the write that fails, whether it still takes effect, how."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.objects: dict[Place, Raw] = {}
        self.log: list[tuple[str, str, Raw]] = []
        self.writes: list[str] = []
        self.reads: list[str] = []
        self.fuse: tuple[int, bool, Exception] | None = None
        self.refuse: dict[str, KubeError] = {}
        self.issuer = ""
        """Who its discovery document says issues its tokens; without one, it has no such document."""
        self._clock = clock
        self._version = 0

    # What the operator calls.

    async def get(self, path: str) -> Raw:
        self.reads.append(path)
        if "/namespaces/" not in path:
            if self.issuer:
                return {"issuer": self.issuer}
            raise NotFoundError(path)
        plural, namespace, name = place_of(path.partition("?")[0])
        if not name:
            return {"items": [deepcopy(raw) for place, raw in self.objects.items() if place[:2] == (plural, namespace)]}
        return deepcopy(self._find((plural, namespace, name)))

    async def create(self, path: str, body: Raw) -> Raw:
        plural, namespace, _ = place_of(path)
        return self._write(f"create {plural}", lambda: self.add(plural, body | {}, namespace))

    async def replace(self, path: str, body: Raw) -> Raw:
        place, part = place_of(path), subresource_of(path)
        verb = f"replace {place[0]}/{part}" if part else f"replace {place[0]}"
        return self._write(verb, lambda: self._replace(place, body, part))

    async def merge_patch(self, path: str, body: Raw) -> Raw:
        place = place_of(path)
        return self._write(f"patch {place[0]}", lambda: self._merge(place, body))

    async def strategic_patch(self, path: str, body: Raw) -> Raw:
        """Only of containers' resources, as `pods/resize` takes it."""
        place, part = place_of(path), subresource_of(path)
        return self._write(f"patch {place[0]}/{part}", lambda: self._resize(place, body))

    async def delete(
        self,
        path: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
    ) -> Raw:
        place = place_of(path)
        if resource_version is not None and self._find(place)["metadata"]["resourceVersion"] != resource_version:
            raise ConflictError(f"{place[2]} has changed")
        return self._write(f"delete {place[0]}", lambda: self.remove(place, uid=uid, grace_seconds=grace_seconds))

    # What the world does.

    def add(self, plural: str, body: Raw, namespace: str = "") -> Raw:
        place = (plural, namespace, body["metadata"]["name"])
        if place in self.objects:
            raise AlreadyExistsError(f"{plural} {place[2]} already exists")
        raw = deepcopy(body)
        raw["metadata"] |= {
            "uid": body["metadata"].get("uid") or f"{plural}-{self._version + 1}",
            "generation": 1,
            "creationTimestamp": format_timestamp(self._clock()),
        }
        if plural == "pods":
            raw.setdefault("status", {"phase": "Pending"})
        if plural == "services":
            self._give_address(raw)
        return self._keep("ADDED", place, raw)

    def _give_address(self, raw: Raw) -> None:
        taken = {each["spec"].get("clusterIP") for place, each in self.objects.items() if place[0] == "services"}
        if raw["spec"].get("clusterIP", "None") != "None" and raw["spec"]["clusterIP"] in taken:
            raise InvalidError("spec.clusterIPs: failed to allocate IP: provided IP is already allocated")
        raw["spec"].setdefault("clusterIP", f"10.96.{self._version // 250}.{self._version % 250 + 1}")

    def change(self, place: Place, edit: Callable[[Raw], None], *, is_spec: bool = False) -> Raw:
        """Edit an object in place; a spec's change counts as a new generation."""
        raw = deepcopy(self._find(place))
        edit(raw)
        if raw == self.objects[place]:
            return raw
        if is_spec:
            raw["metadata"]["generation"] += 1
        return self._keep("MODIFIED", place, raw)

    def remove(self, place: Place, *, uid: str | None = None, grace_seconds: int | None = None) -> Raw:
        raw = deepcopy(self._find(place))
        if uid is not None and raw["metadata"]["uid"] != uid:
            raise ConflictError("the UID in the precondition does not match")
        has_ended = raw.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if place[0] == "pods" and raw["spec"].get("nodeName") and not has_ended and grace_seconds != 0:
            raw["metadata"].setdefault("deletionTimestamp", format_timestamp(self._clock()))
            return self._keep("MODIFIED", place, raw)
        if place[0] == "pods":
            raw["metadata"].setdefault("deletionTimestamp", format_timestamp(self._clock()))
        del self.objects[place]
        self._version += 1
        raw["metadata"]["resourceVersion"] = str(self._version)
        self.log.append(("DELETED", place[0], raw))
        return deepcopy(raw)

    def _find(self, place: Place) -> Raw:
        found = self.objects.get(place)
        if found is None:
            raise NotFoundError(f"{place[0]} {place[2]} not found")
        return found

    def _keep(self, kind: str, place: Place, raw: Raw) -> Raw:
        self._version += 1
        raw["metadata"]["resourceVersion"] = str(self._version)
        self.objects[place] = raw
        self.log.append((kind, place[0], deepcopy(raw)))
        return deepcopy(raw)

    def _write(self, verb: str, effect: Callable[[], Raw]) -> Raw:
        if verb in self.refuse:
            raise self.refuse[verb]
        if self.fuse is not None:
            left, takes_effect, error = self.fuse
            self.fuse = None if left == 0 else (left - 1, takes_effect, error)
            if left == 0:
                if takes_effect:
                    effect()
                raise error
        self.writes.append(verb)
        return effect()

    def _replace(self, place: Place, body: Raw, part: str) -> Raw:
        have = self._find(place)["metadata"]
        for field in ("uid", "resourceVersion"):
            if body["metadata"].get(field, have[field]) != have[field]:
                raise ConflictError(f"{field} does not match")
        if part:
            return self.change(place, lambda raw: raw.update({part: deepcopy(body[part])}))
        whole = deepcopy(body) | {"metadata": have | body["metadata"]}
        if place[0] == "services":
            whole["spec"].setdefault("clusterIP", self.objects[place]["spec"]["clusterIP"])
        return self.change(place, lambda raw: raw.update(whole))

    def _resize(self, place: Place, body: Raw) -> Raw:
        if body["metadata"]["uid"] != self._find(place)["metadata"]["uid"]:
            raise ConflictError("uid does not match")

        def edit(raw: Raw) -> None:
            for patch in body["spec"]["containers"]:
                container = next(each for each in raw["spec"]["containers"] if each["name"] == patch["name"])
                for kind, amounts in patch["resources"].items():
                    container["resources"][kind] = container["resources"].get(kind, {}) | amounts

        return self.change(place, edit)

    def _merge(self, place: Place, body: Raw) -> Raw:
        have = self._find(place)["metadata"]
        identity = ("uid", "resourceVersion")
        for field in identity:
            if body["metadata"].get(field, have[field]) != have[field]:
                raise ConflictError(f"{field} does not match")

        def edit(raw: Raw) -> None:
            raw["spec"].update(body.get("spec", {}))
            for field, value in body["metadata"].items():
                if field in identity:
                    continue
                merged = (raw["metadata"].get(field, {}) | value) if isinstance(value, dict) else value
                kept = {k: v for k, v in merged.items() if v is not None} if isinstance(merged, dict) else merged
                raw["metadata"][field] = kept

        return self.change(place, edit)
