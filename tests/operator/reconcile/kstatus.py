"""How kubectl, Argo CD and Flux read a status: kstatus' generic rules, and no plug-in for our kinds.

Source: sigs.k8s.io/cli-utils/pkg/kstatus, `checkGenericProperties`, then `GetLegacyConditionsFn`'s Ready check.
"""

from typing import Any

Raw = dict[str, Any]


def kstatus(generation: int, status: Raw) -> str:
    """Return InProgress, Failed or Current."""
    conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
    if "observedGeneration" in status and status["observedGeneration"] != generation:
        return "InProgress"
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if conditions.get("Ready", "True") != "True":
        return "InProgress"
    return "Current"
