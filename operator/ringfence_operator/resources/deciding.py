"""Which quota decides where several limit the same; of what the node keeps, `quota_caps` says it."""

from collections import defaultdict
from collections.abc import Iterable

from ringfence_operator.api.agent_status import EffectiveValue, Source
from ringfence_operator.api.quantity import canonical_quantity, parse_quantity
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import MATRIX, Enforcement, Enforcer

MOST_ROWS = 48
"""What else is in `status.effective` has room besides."""


def deciding(quotas: Iterable[Quota]) -> tuple[EffectiveValue, ...]:
    """Return the strictest of the limits that several quotas set, by `Limit.id`; of equal ones, the first quota's.

    Limits on what is held and limits of different scopes are told apart; what only warns decides nothing.
    """
    found: defaultdict[str, list[tuple[Limit, str]]] = defaultdict(list)
    for quota in quotas:
        for limit in quota.spec.limits:
            if MATRIX[limit.resource].enforcer is not Enforcer.NODE and limit.enforcement is not Enforcement.WARN:
                found[limit.id].append((limit, quota.metadata.name))
    rows = []
    for name, limits in sorted(found.items()):
        if len(limits) > 1:
            limit, quota_name = min(limits, key=lambda it: parse_quantity(it[0].max))
            value = canonical_quantity(limit.max)
            rows.append(EffectiveValue(name=name, value=value, source=Source.QUOTA, object=quota_name))
    return tuple(rows[:MOST_ROWS])


def is_deciding(row: EffectiveValue) -> bool:
    """Return True for a row of `deciding`."""
    return "/" in row.name
