"""A row of what a value of the chart does, and how to look at what is rendered."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.chart.chart import Body

Look = Callable[[list[Body]], object]
OPERATOR, GATEWAY = "Deployment/ringfence-operator", "Deployment/ringfence-gateway"
POD = ("spec", "template", "spec")
DIGEST = f"sha256:{'0' * 63}f"


NOTHING: Mapping[str, object] = MappingProxyType({})


class Row(NamedTuple):
    """With `value` as `given`, beside the values `also`, `look` finds `expected`, and something else without."""

    value: str
    given: object
    look: Look
    expected: object
    also: Mapping[str, object] = NOTHING


def at(what: str, *path: str | int, namespace: str | None = None) -> Look:
    """Return how to look at a part of the object `Kind/name`; None is found where there is none."""

    def look(bodies: list[Body]) -> object:
        kind, name = what.split("/")
        found: Any = next(
            (
                body
                for body in bodies
                if (body["kind"], body["metadata"]["name"]) == (kind, name)
                and namespace in (None, body["metadata"].get("namespace"))
            ),
            None,
        )
        for step in path:
            if found is None:
                return None
            found = _part(found, step)
        return found

    return look


def _part(whole: Any, step: str | int) -> Any:
    """Return an entry of a mapping, or of a list: by its place, or by its name."""
    if isinstance(whole, dict):
        return whole.get(step)
    if isinstance(step, int):
        return whole[step] if len(whole) > step else None
    return next((each for each in whole if each["name"] == step), None)


def in_container(deployment: str, container: str, *path: str | int) -> Look:
    """Return how to look at a part of a container."""
    return at(deployment, *POD, "containers", container, *path)


def variable(name: str, deployment: str = OPERATOR, container: str = "operator") -> Look:
    """Return how to look at the value of an environment variable."""
    return in_container(deployment, container, "env", name, "value")


def setting(name: str) -> Look:
    """Return how to look at a setting of the operator."""
    return variable(f"RINGFENCE_OPERATOR_{name}")
