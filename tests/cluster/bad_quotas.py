"""Quotas that the API server must refuse, one broken rule each; the matrix has a table of its own."""

# A table reads best with a row to a line, however long.
# ruff: noqa: E501
# fmt: off

from tests.cluster.rows import Bad, Body

WHOLE = "write a whole number, such as 100, 5k or 10Gi"
ABOVE_ZERO = "write a max above zero, such as 100, 500m or 10Gi"


def _limits(*limits: Body) -> Body:
    return {"limits": list(limits)}


def _limit(**fields: object) -> Body:
    return _limits({"resource": "queries", "max": 100, "window": "Hour", **fields})


def _held(resource: str, **fields: object) -> Body:
    return _limits({"resource": resource, "max": 1, **fields})


BAD_QUOTAS = (
    Bad("no limits", _limits(), "spec.limits", "should have at least 1 items"),
    Bad("too many limits", _limits(*[{"resource": "queries", "max": n + 1, "window": "Hour"} for n in range(33)]), "spec.limits", "must have at most 32 items"),
    Bad("a limit twice", _limits({"resource": "rows", "max": 1, "window": "Day"}, {"resource": "rows", "max": 2, "window": "Day"}), "spec.limits[1]", "Duplicate value"),
    Bad("an unknown resource", _held("gold"), "spec.limits[0].resource", "Unsupported value"),
    Bad("an unknown window", _limit(window="Week"), "spec.limits[0].window", "Unsupported value"),
    Bad("an unknown scope", _limit(scope="Cluster"), "spec.limits[0].scope", "Unsupported value"),
    Bad("an unknown enforcement", _limit(enforcement="Maybe"), "spec.limits[0].enforcement", "Unsupported value"),
    Bad("an unknown word for a store that is away", _limit(onStoreUnavailable="Panic"), "spec.limits[0].onStoreUnavailable", "Unsupported value"),
    Bad("an unknown alignment", _limit(alignment="Lunar"), "spec.limits[0].alignment", "Unsupported value"),
    Bad("pids", _held("pids"), "spec.limits[0].resource", "no pod can set how many processes it may have: set podPidsLimit in the kubelet's configuration"),
    Bad("no max", _limits({"resource": "queries", "window": "Hour"}), "spec.limits[0].max", "Required value"),
    Bad("a max of zero", _limit(max=0), "spec.limits[0].max", ABOVE_ZERO),
    Bad("a max below zero", _limit(max=-1), "spec.limits[0].max", ABOVE_ZERO),
    Bad("a max that is no quantity", _limit(max="lots"), "spec.limits[0].max", ABOVE_ZERO),
    Bad("half a query", _limit(max="1500m"), "spec.limits[0].max", WHOLE),
    Bad("half a byte", _held("memory", max="500m"), "spec.limits[0].max", WHOLE),
    Bad("memory that no container starts with", _held("memory", max="4194303"), "spec.limits[0].max", "no container starts with so little memory: write at least 4Mi"),
    Bad("bandwidth that no plug-in takes", _held("networkBandwidth", max=999), "spec.limits[0].max", "network plug-ins take no such bandwidth: write 1k to 1P, bits a second"),
    Bad("more bandwidth than a plug-in takes", _held("networkBandwidth", max="1001T"), "spec.limits[0].max", "network plug-ins take no such bandwidth"),
    Bad("alignment without a window", _held("concurrentCalls", alignment="Calendar"), "spec.limits[0].alignment", "without a window nothing is aligned: leave alignment out, or write a window"),
    Bad("a deadline where nothing queues", _limit(softDeadline="5s"), "spec.limits[0].softDeadline", "only a Soft limit queues: leave softDeadline out, or write enforcement Soft"),
    Bad("a deadline that is none", _limit(enforcement="Soft", softDeadline="soon"), "spec.limits[0].softDeadline", "write"),
    Bad("a store for what no sidecar counts", _held("memory", max="1Gi", onStoreUnavailable="Allow"), "spec.limits[0].onStoreUnavailable", "only what sidecars count is kept in the store: leave onStoreUnavailable out"),
    Bad("a warning of what nobody measures", _held("cpu", warnAt=[80]), "spec.limits[0].warnAt", "nobody measures the use of this resource as it happens: leave warnAt out"),
    Bad("the same warning twice", _limit(warnAt=[80, 80]), "spec.limits[0].warnAt", "write each percentage once"),
    Bad("a warning at nothing", _limit(warnAt=[0]), "spec.limits[0].warnAt[0]", "should be greater than or equal to 1"),
    Bad("a warning past the end", _limit(warnAt=[101]), "spec.limits[0].warnAt[0]", "should be less than or equal to 100"),
    Bad("too many warnings", _limit(warnAt=[10, 20, 30, 40, 50]), "spec.limits[0].warnAt", "must have at most 4 items"),
    Bad("a selector that compares with nothing", {"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}, **_limit()}, "spec.selector.matchExpressions[0]", "In and NotIn compare with values: write at least one"),
    Bad("a name with a dot", _limit(), "Quota", "write metadata.name with at most 63 lower-case letters, digits and -", name="a.b"),
    Bad("a name too long", _limit(), "Quota", "write metadata.name with at most 63 lower-case letters, digits and -", name="a" * 64),
)
