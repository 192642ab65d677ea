"""All objects of a cluster, of whatever kind it has."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.e2e.kube import Body, Kube

PASSING = frozenset({"events"})
"""Of these, the API server itself forgets each after an hour."""


class Thing(NamedTuple):
    """One object; `resource` is its plural with its group, as in `deployments.apps`."""

    resource: str
    namespace: str
    name: str


def inventory(kube: Kube) -> frozenset[Thing]:
    """Return all objects that can be listed."""
    return frozenset(thing for path, resource in _collections(kube) for thing in _things(kube, path, resource))


def _collections(kube: Kube) -> Iterator[tuple[str, str]]:
    """Yield path and name of each resource, in the version that its group prefers."""
    groups = kube.request("GET", "/apis")["groups"]
    roots = {"/api/v1": "", **{f"/apis/{group['preferredVersion']['groupVersion']}": group["name"] for group in groups}}
    for root, group in roots.items():
        # A kind that was just deleted is named a while longer.
        for resource in (kube.get(root) or {"resources": []})["resources"]:
            if "list" in resource["verbs"] and resource["name"] not in PASSING:
                yield f"{root}/{resource['name']}", f"{resource['name']}.{group}".rstrip(".")


def _things(kube: Kube, path: str, resource: str) -> Iterator[Thing]:
    body: Body
    for body in (kube.get(path) or {"items": []})["items"]:
        yield Thing(resource, body["metadata"].get("namespace", ""), body["metadata"]["name"])
