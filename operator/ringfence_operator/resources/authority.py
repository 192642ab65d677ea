"""The control server's authority, as sidecars find it: a ConfigMap in each namespace that has some."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringfence_operator import labels
from ringfence_operator.resources.observed import Meta, digest

FILE = "ca.crt"


@dataclass(frozen=True, slots=True)
class Authority:
    """One of those ConfigMaps, ours or in the way of ours."""

    meta: Meta
    is_ours: bool
    digest: str


def observe_authority(raw: Mapping[str, Any]) -> Authority:
    """Read one."""
    is_ours = raw["metadata"].get("labels", {}).get(labels.MANAGED_BY) == labels.MANAGER
    return Authority(Meta.of(raw), is_ours, authority_digest(raw))


def authority_digest(raw: Mapping[str, Any]) -> str:
    """Return the digest of what a ConfigMap holds."""
    return digest([raw.get("data", {}), raw.get("binaryData", {})])


def build_authority(namespace: str, authority: str) -> dict[str, Any]:
    """Return the ConfigMap; `authority` is PEM, of one certificate or, while it rotates, of two."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": labels.AUTHORITY,
            "namespace": namespace,
            "labels": {labels.MANAGED_BY: labels.MANAGER},
        },
        "data": {FILE: authority},
    }
