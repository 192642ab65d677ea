"""Quotas that the API server must accept, and the defaults that it must add."""

# A table reads best with a row to a line, however long.
# ruff: noqa: E501
# fmt: off

from tests.cluster.rows import Body, Good

USUAL: Body = {"window": "None", "scope": "PerAgent", "enforcement": "Hard"}


def _limits(*limits: Body) -> Body:
    return {"limits": [{**USUAL, **each} for each in limits]}


GOOD_QUOTAS = (
    Good("memory for every agent", {"selector": {}, **_limits({"resource": "memory", "max": "512Mi", "warnAt": [80, 95]})}),
    Good("one and a half gibibytes", _limits({"resource": "memory", "max": "1.5Gi"})),
    Good("as little memory as there may be", _limits({"resource": "memory", "max": "4Mi"})),
    Good("as little bandwidth as there may be", _limits({"resource": "networkBandwidth", "max": "1k"})),
    Good("as much bandwidth as there may be", _limits({"resource": "networkBandwidth", "max": "1P"})),
    Good("half a core", _limits({"resource": "cpu", "max": "500m"})),
    Good("calls with everything", {"selector": {"matchLabels": {"team": "red"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["free"]}]}, **_limits({"resource": "queries", "max": 100, "window": "Hour", "alignment": "Calendar", "scope": "Shared", "enforcement": "Soft", "softDeadline": "5s", "onStoreUnavailable": "Local", "warnAt": [50, 100]})}),
    Good("one resource in two windows and two scopes", _limits({"resource": "apiCalls", "max": 10, "window": "Second"}, {"resource": "apiCalls", "max": "10k", "window": "Day"}, {"resource": "apiCalls", "max": "100k", "window": "Day", "scope": "Shared"})),
    Good("a large number as people write it", _limits({"resource": "bytesReturned", "max": "1Ti", "window": "Month", "enforcement": "Warn"})),
    Good("as many limits as there may be", _limits(*[{"resource": resource, "max": 5, "window": window, "scope": scope} for resource in ("apiCalls", "toolCalls", "queries", "rows") for window in ("Second", "Minute", "Hour", "Day") for scope in ("PerAgent", "Shared")])),
    Good("a name as long as may be", _limits({"resource": "agents", "max": 3, "scope": "Shared"}), name="a" * 63),
)
