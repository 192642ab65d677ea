"""What the operator says of a Quota: where each limit stands, and whether all of it is kept."""

from typing import Annotated

from pydantic import Field

from ringfence_operator.api.agent_status import Conditions, Count, Short
from ringfence_operator.api.model import Items, Model, Timestamp
from ringfence_operator.api.quantity import Quantity
from ringfence_operator.api.quota_matrix import Resource, Scope, Window
from ringfence_operator.api.rule import ListMap
from ringfence_operator.api.run_time import SharedRunTime


class AgentUse(Model):
    """What one agent has used."""

    name: Short
    """Name of the agent."""

    used: Quantity
    """How much."""


class Refusal(Model):
    """The last time that the limit refused."""

    agent: Short
    """Name of the agent."""

    time: Timestamp
    """When it was."""


class LastWarning(Model):
    """The last time that use came to a percentage of warnAt."""

    percent: Count
    """Which of them."""

    agent: Short = ""
    """Name of the agent by whose use it did, where that is known."""

    time: Timestamp
    """When it was."""


class LimitStatus(Model):
    """Where a limit stands."""

    resource: Resource
    """What is limited."""

    window: Window
    """Over which time use is added up."""

    scope: Scope
    """PerAgent: the figures are those of the agent that has used most."""

    max: Quantity
    """The most that may be used."""

    used: Quantity | None = None
    """What is used, as of the last look; absent where nobody measures it, or has yet."""

    remaining: Quantity | None = None
    """What is left."""

    percent: Count | None = None
    """Used of max."""

    warned: Count = 0
    """The highest of warnAt that use is at or above."""

    resets_at: Timestamp | None = None
    """When something of it is free again: at the end of a calendar window; as the oldest use leaves a sliding one."""

    refusals: Count = 0
    """How often it has refused, as far as is known."""

    last_refusal: Refusal | None = None
    """The last time that it refused."""

    last_warning: LastWarning | None = None
    """The last time that use came to one of warnAt, for however short a time it was there."""

    top_agents: Annotated[Items[AgentUse], Field(max_length=5), ListMap(("name",))] = ()
    """The agents that have used most."""


class QuotaStatus(Model):
    """What the operator saw when it last looked at the quota; written at most once in ten seconds, and on change."""

    observed_generation: Annotated[int, Field(ge=-1)] = -1
    """Generation of the spec that this status is about; -1 before the operator has looked."""

    conditions: Conditions = ()
    """What holds and what does not, in the form that kubectl wait, Argo CD and Flux read."""

    agents: Count = 0
    """How many agents it holds for."""

    tightest: Short = ""
    """The limit that is nearest its end, such as queries 80/100 per Hour."""

    run_time: SharedRunTime | None = None
    """How long its agents' pods ran, where it has a Shared limit on that."""

    limits: Annotated[Items[LimitStatus], Field(max_length=32), ListMap(("resource", "window", "scope"))] = ()
    """Every limit, and where it stands."""
