"""Quota: how much of the node, the cluster and the backends agents may use."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from ringfence_operator.api.custom_resource import Column, CustomResource
from ringfence_operator.api.duration import Duration
from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.names import DNS_LABEL
from ringfence_operator.api.network import LabelSelector
from ringfence_operator.api.quantity import Quantity
from ringfence_operator.api.quota_matrix import MATRIX, Enforcement, Enforcer, Resource, Scope, Window, resources_of
from ringfence_operator.api.quota_status import QuotaStatus
from ringfence_operator.api.rule import ListMap, Rule

SOFT_DEADLINE_SECONDS = 30


class Alignment(StrEnum):
    """Where windows begin."""

    SLIDING = "Sliding"
    """Any span of that length, a month being 30 days."""
    CALENDAR = "Calendar"
    """The second, minute, hour, day or month of the calendar, in UTC."""


class OnStoreUnavailable(StrEnum):
    """What happens to calls while the counters cannot be read."""

    DENY = "Deny"
    LOCAL = "Local"
    """Each pod may use its share of what was left."""
    ALLOW = "Allow"


def _names(resources: tuple[Resource, ...]) -> str:
    return "[" + ", ".join(f"'{each}'" for each in resources) + "]"


def _matrix_rules() -> tuple[Rule, ...]:
    """Return a rule for each row of the matrix and each of window, scope and enforcement: who reads it learns which."""
    rules = []
    for resource, row in MATRIX.items():
        if row.enforcer is Enforcer.NOTHING:
            continue
        for field, permitted, every in (
            ("window", row.windows, tuple(Window)),
            ("scope", row.scopes, tuple(Scope)),
            ("enforcement", row.enforcements, tuple(Enforcement)),
        ):
            if set(permitted) == set(every):
                continue
            choices = ", ".join(f"'{each}'" for each in permitted)
            words = " or ".join(permitted)
            rules.append(
                Rule(
                    f"self.resource != '{resource}' || self.{field} in [{choices}]",
                    f"{resource} goes with {field} {words}: write one of them",
                    f".{field}",
                )
            )
    return tuple(rules)


_WHOLE = tuple(resource for resource in MATRIX if resource not in {Resource.CPU, Resource.CREDITS})
_UNMEASURED = tuple(resource for resource, row in MATRIX.items() if not row.is_measured)
_MAX = "string(self.max)"
_FLOAT = f"quantity({_MAX}).asApproximateFloat()"
_IS_WHOLE = (
    f"quantity({_MAX}).isInteger()"
    # For isInteger, 1.5Gi is none.
    f" || (quantity({_MAX}).isLessThan(quantity('1E')) && double(int({_FLOAT})) == {_FLOAT})"
)


class Limit(Model):
    """The most of one resource."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.resource != 'pids'",
            "no pod can set how many processes it may have: set podPidsLimit in the kubelet's configuration, which"
            " holds for every pod of the node, and leave this limit out",
            ".resource",
        ),
        *_matrix_rules(),
        Rule(
            f"isQuantity({_MAX}) && quantity({_MAX}).isGreaterThan(quantity('0'))",
            "write a max above zero, such as 100, 500m or 10Gi",
            ".max",
        ),
        Rule(
            f"!(self.resource in {_names(_WHOLE)}) || !isQuantity({_MAX}) || {_IS_WHOLE}",
            "write a whole number, such as 100, 5k or 10Gi",
            ".max",
        ),
        Rule(
            f"self.resource != 'memory' || !isQuantity({_MAX}) || !quantity({_MAX}).isLessThan(quantity('4Mi'))",
            "no container starts with so little memory: write at least 4Mi",
            ".max",
        ),
        Rule(
            f"self.resource != 'networkBandwidth' || !isQuantity({_MAX})"
            f" || (!quantity({_MAX}).isLessThan(quantity('1k')) && !quantity({_MAX}).isGreaterThan(quantity('1P')))",
            "network plug-ins take no such bandwidth: write 1k to 1P, bits a second",
            ".max",
        ),
        Rule(
            "!has(self.alignment) || self.window != 'None'",
            "without a window nothing is aligned: leave alignment out, or write a window",
            ".alignment",
        ),
        Rule(
            "!has(self.softDeadline) || self.enforcement == 'Soft'",
            "only a Soft limit queues: leave softDeadline out, or write enforcement Soft",
            ".softDeadline",
        ),
        Rule(
            f"!has(self.onStoreUnavailable) || self.resource in {_names(resources_of(Enforcer.SIDECAR))}",
            "only what sidecars count is kept in the store: leave onStoreUnavailable out",
            ".onStoreUnavailable",
        ),
        Rule(
            f"!has(self.warnAt) || size(self.warnAt) == 0 || !(self.resource in {_names(_UNMEASURED)})",
            "nobody measures the use of this resource as it happens: leave warnAt out",
            ".warnAt",
        ),
    )

    resource: Resource
    """What is limited; the table of the reference says what goes with it."""

    max: Quantity
    """The most that may be used: a whole number, or a quantity for what is measured in bytes or cores."""

    window: Window = Window.NONE
    """Over which time use is added up; None for what is held at once."""

    alignment: Alignment | None = None
    """Sliding, which it is where it is not given, for any span as long as the window; Calendar for whole ones, UTC."""

    scope: Scope = Scope.PER_AGENT
    """PerAgent for a limit that each agent has to itself; Shared for one that all agents of the quota have together."""

    enforcement: Enforcement = Enforcement.HARD
    """Hard refuses, Soft lets calls wait up to softDeadline before it refuses, in their order within each pod; Warn
    serves and tells."""

    soft_deadline: Duration | None = None
    """How long a call may wait at a Soft limit; 30s where it is not given."""

    on_store_unavailable: OnStoreUnavailable | None = None
    """What happens while the shared counters are away: Deny refuses, Local lets each pod use its share of what was
    left, Allow lets everything through. Without it, Allow where enforcement is Warn; else Deny for what writes or
    costs, and Local for what reads."""

    warn_at: Annotated[
        Items[Annotated[int, Field(ge=1, le=100)]],
        Field(max_length=4),
        Rule("self.all(p, self.exists_one(q, q == p))", "write each percentage once"),
    ] = ()
    """Percentages of max at which an Event and a metric tell."""

    @property
    def id(self) -> str:
        """What tells the limit from the others of its quota."""
        return f"{self.resource}/{self.window}/{self.scope}"


class QuotaSpec(Model):
    """How much, and for which agents."""

    selector: LabelSelector | None = None
    """Labels of the Agents of this namespace that it holds for, besides those that name it by quotaRef; an empty
    selector, {}, means all of them."""

    limits: Annotated[Items[Limit], Field(min_length=1, max_length=32), ListMap(("resource", "window", "scope"))]
    """What is limited; all must agree before anything is used."""


class Quota(CustomResource):
    """How much agents may use: of their node, of the cluster, and of what is behind their connectors."""

    kind: ClassVar[str] = "Quota"
    plural: ClassVar[str] = "quotas"
    short_name: ClassVar[str] = "rfquota"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Tightest", ".status.tightest", "The limit nearest its end: used of max."),
        Column("Ready", ".status.conditions[?(@.type=='Ready')].status", "Whether all of it is enforced."),
        Column("Reason", ".status.conditions[?(@.type=='Ready')].reason", "Why it is or is not."),
        Column("Agents", ".status.agents", "How many agents it holds for.", type="integer"),
        Column("Age", ".metadata.creationTimestamp", "Time since the quota was created.", type="date"),
        Column("Message", ".status.conditions[?(@.type=='Ready')].message", "The reason as a sentence.", wide=True),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.metadata.name.matches('{DNS_LABEL}') && size(self.metadata.name) <= 63",
            "agents' pods carry the quota's name: write metadata.name with at most 63 lower-case letters, digits and -",
        ),
    )

    spec: QuotaSpec
    """How much, and for which agents."""

    status: QuotaStatus = QuotaStatus()
    """What the operator saw."""
