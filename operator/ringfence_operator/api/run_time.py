"""How long pods ran, as statuses keep it."""

from typing import Annotated

from pydantic import Field

from ringfence_operator.api.model import Items, Model, Timestamp
from ringfence_operator.api.rule import ListMap

_MOST = 2**53


class RanSlot(Model):
    """Seconds that pods ran in one slot of a window."""

    frame: Annotated[str, Field(min_length=1, max_length=32)]
    """The window, and its alignment, such as Hour/Sliding."""

    slot: Annotated[int, Field(ge=0, le=_MOST)]
    """Of a sliding window, the number of its twentieth since 1970; of a calendar window, the second that it began."""

    seconds: Annotated[int, Field(ge=0, le=_MOST)]
    """How long."""


RanSlots = Annotated[Items[RanSlot], Field(max_length=160), ListMap(("frame", "slot"))]


class RunTime(Model):
    """How long the agent's pods ran, where a Quota limits that for each agent."""

    pod_uid: Annotated[str, Field(max_length=253)] | None = Field(None, alias="podUID")
    """UID of the pod that ran last."""

    since: Timestamp | None = None
    """Since when it runs; absent once its time is among the slots."""

    slots: RanSlots = ()
    """The pods before it."""


class SharedRunTime(Model):
    """How long the pods of a quota's agents ran together, up to a moment."""

    as_of: Timestamp
    """The moment; pods that run still have run since then, too."""

    slots: RanSlots = ()
    """Until then."""
