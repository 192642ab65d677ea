"""Why something may have no pod, and what to do about it."""

from dataclasses import dataclass

from ringfence_operator.api.conditions import Reason


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong, and what to do about it.

    `is_stalled`: only a change by somebody helps. `stops_pod`: a pod that runs already must go.
    """

    reason: Reason
    message: str
    is_stalled: bool = True
    stops_pod: bool = False
