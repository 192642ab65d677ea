"""The volume that an agent works in."""

from enum import StrEnum
from typing import ClassVar

from ringfence_operator.api.model import Model
from ringfence_operator.api.names import MountPath, ObjectName
from ringfence_operator.api.quantity import Bytes
from ringfence_operator.api.rule import Rule


class ReclaimPolicy(StrEnum):
    """What becomes of the workspace when its agent is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"


class Workspace(Model):
    """A volume of the agent's own, kept across its pods."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.size) || has(self.claimName)",
            "write a size such as 10Gi, or claimName to adopt an existing claim",
        ),
        Rule(
            "!(has(self.claimName) && (has(self.size) || has(self.storageClassName)))",
            "an adopted claim has its size and storage class already: leave out size and storageClassName",
        ),
        Rule(
            "!(has(self.size) && has(oldSelf.size) && isQuantity(string(self.size)))"
            " || quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) == 0",
            "a volume's size cannot change: put the old one back, or make a new Agent",
            ".size",
        ),
        Rule(
            "!(has(self.size) && has(oldSelf.size)) || has(self.storageClassName) == has(oldSelf.storageClassName)"
            " && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
            "a volume's storage class cannot change: put the old one back, or make a new Agent",
            ".storageClassName",
        ),
    )

    size: Bytes | None = None
    """Size of the volume; needed unless claimName is given."""

    storage_class_name: ObjectName | None = None
    """Storage class of the volume; without it, the cluster's default class."""

    mount_path: MountPath = "/workspace"
    """Where the volume is in the agent's container."""

    reclaim_policy: ReclaimPolicy = ReclaimPolicy.DELETE
    """Whether the volume is deleted with the agent or kept; one adopted by claimName is always kept."""

    claim_name: ObjectName | None = None
    """Name of an existing PersistentVolumeClaim to use, such as one that an earlier agent left behind."""
