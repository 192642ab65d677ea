"""Cases of alerts that concern agents, their sidecars and their quotas."""

from tests.monitoring.case import fires, quiet

_AGENTS = 'ringfence_agents{namespace="team",state="%s",instance="%s"}'
_NETWORK = 'ringfence_network_enforced{instance="%s"}'
_UNKNOWN = " ".join(["NaN"] * 11)
_HEALTHY = 'ringfence_endpoint_healthy{namespace="team",connector="sales",endpoint="%s",agent="%s"}'
_BREAKER = 'ringfence_endpoint_breaker{namespace="team",connector="sales",endpoint="main",agent="a",state="%s"}'
_CALLS = 'ringfence_sidecar_calls_total{namespace="team",connector="sales",agent="a",status="%s"}'
_REACHABLE = 'ringfence_sidecar_cache_reachable{namespace="team",agent="%s"}'
_AUDIT = 'ringfence_sidecar_audit_refused_total{namespace="team",agent="a"}'
_LEADER = 'leader_election_master_status{name="ringfence-operator",instance="%s"}'
_LIMIT = {"namespace": "team", "quota": "base", "resource": "queries", "window": "Day", "scope": "Shared"}
_SERIES = ",".join(f'{name}="{value}"' for name, value in _LIMIT.items())
_USED = f'ringfence_quota_used_ratio{{{_SERIES},instance="%s"}}'
_EACH_SECOND = _USED.replace("Day", "Second")
_IN_POOL = 'ringfence_pool_pods{namespace="team",pool="python",state="%s",instance="%s"}'
_WAITING = 'ringfence_pool_waiting_agents{namespace="team",pool="python",instance="%s"}'
_OF_POOL = {"namespace": "team", "pool": "python"}
_REFUSED = f"ringfence_quota_refusals_total{{{_SERIES}}}"

AGENTS = (
    fires(
        "RingfenceNetworkNotEnforced",
        10,
        {_NETWORK % "a": "0x10", _NETWORK % "b": _UNKNOWN},
        "A pod that may reach nothing reached something. Agents are not closed in; new ones are refused.",
    ),
    quiet("RingfenceNetworkNotEnforced", "nobody knows yet", 10, {_NETWORK % "a": "1x10", _NETWORK % "b": _UNKNOWN}),
    fires(
        "RingfenceAgentsNotReady",
        20,
        {
            _AGENTS % ("Pending", "a"): "1x20",
            _AGENTS % ("Running", "a"): "2x20",
            _AGENTS % ("Pending", "b"): "1x20",
            _AGENTS % ("Running", "b"): "2x20",
        },
        "33.33% of the agents in team that are to run have not run for 15 minutes.",
        namespace="team",
    ),
    quiet(
        "RingfenceAgentsNotReady",
        "one in ten, and many that are not to run",
        20,
        {
            _AGENTS % ("Starting", "a"): "1x20",
            _AGENTS % ("Running", "a"): "9x20",
            _AGENTS % ("Suspended", "a"): "50x20",
        },
    ),
    fires(
        "RingfenceAgentsFailed",
        10,
        {_AGENTS % ("Failed", "a"): "2x10", _AGENTS % ("Failed", "b"): "2x10"},
        "2 agents in team have ended badly and are still there.",
        namespace="team",
    ),
    quiet("RingfenceAgentsFailed", "agents that ended well", 10, {_AGENTS % ("Succeeded", "a"): "5x10"}),
)

POOLS = (
    fires(
        "RingfencePoolEmpty",
        10,
        {_WAITING % "a": "3x10", _IN_POOL % ("warm", "a"): "0x10", _IN_POOL % ("warm", "b"): "0x10"},
        "AgentPool team/python has had no warm pod for 5 minutes, and 3 agents wait for one.",
        **_OF_POOL,
    ),
    quiet(
        "RingfencePoolEmpty",
        "a burst that the refill serves, and an empty pool for which nobody waits",
        20,
        {_WAITING % "a": "9 9 4 0x20", _IN_POOL % ("warm", "a"): "0x30"},
    ),
    fires(
        "RingfencePoolPodsFailing",
        15,
        {_IN_POOL % ("failed", "a"): "2x20", _IN_POOL % ("failed", "b"): "2x20", _IN_POOL % ("warm", "a"): "5x20"},
        "2 pods of AgentPool team/python have failed or cannot start.",
        **_OF_POOL,
    ),
    quiet("RingfencePoolPodsFailing", "one that was replaced", 15, {_IN_POOL % ("failed", "a"): "1 1 1 0x20"}),
)

_MAIN = {"namespace": "team", "connector": "sales", "endpoint": "main"}
SIDECARS = (
    fires(
        "RingfenceAuditRefusing",
        10,
        {_AUDIT: "0+1x10"},
        "Sidecars in team refused 5 calls in 5 minutes, since their audit queue is full.",
        namespace="team",
    ),
    quiet("RingfenceAuditRefusing", "long ago", 10, {_AUDIT: "7x10"}),
    fires(
        "RingfenceCacheAway",
        10,
        {_REACHABLE % "a": "0x10", _REACHABLE % "b": "0x10", _REACHABLE % "c": "1x10"},
        "Only 33.33% of the sidecars in team reach the Redis that they share.",
        namespace="team",
    ),
    quiet("RingfenceCacheAway", "one sidecar of two", 10, {_REACHABLE % "a": "0x10", _REACHABLE % "b": "1x10"}),
    fires(
        "RingfenceEndpointUnhealthy",
        10,
        {_HEALTHY % ("main", "a"): "0x10", _HEALTHY % ("main", "b"): "0x10", _HEALTHY % ("spare", "a"): "1x10"},
        "Endpoint main of Connector team/sales is healthy for 0% of the sidecars only.",
        **_MAIN,
    ),
    quiet(
        "RingfenceEndpointUnhealthy",
        "one sidecar of two",
        10,
        {_HEALTHY % ("main", "a"): "0x10", _HEALTHY % ("main", "b"): "1x10"},
    ),
    fires(
        "RingfenceConnectorDown",
        5,
        {_HEALTHY % ("main", "a"): "0x10", _HEALTHY % ("spare", "a"): "0x10"},
        "No sidecar reaches any endpoint of Connector team/sales.",
        namespace="team",
        connector="sales",
    ),
    quiet(
        "RingfenceConnectorDown",
        "the spare one serves",
        5,
        {_HEALTHY % ("main", "a"): "0x10", _HEALTHY % ("spare", "a"): "1x10"},
    ),
    fires(
        "RingfenceBreakerOpen",
        12,
        {_BREAKER % "open": "1 _ 1 _ 1 _ 1 _ 1 _ 1 _ 1", _BREAKER % "halfOpen": "_ 1 _ 1 _ 1 _ 1 _ 1 _ 1 _"},
        "A sidecar has sent nothing to endpoint main of Connector team/sales for 5 minutes: it fails, or is far slower "
        "than it was.",
        **_MAIN,
    ),
    quiet("RingfenceBreakerOpen", "for a minute", 12, {_BREAKER % "open": "1 1 _x20", _BREAKER % "closed": "_ _ 1x20"}),
    fires(
        "RingfenceCallsFailing",
        30,
        {_CALLS % "unavailable": "0+1x30", _CALLS % "ok": "0+4x30"},
        "20% of the calls to Connector team/sales found no backend, took too long, or broke.",
        namespace="team",
        connector="sales",
    ),
    quiet(
        "RingfenceCallsFailing", "refused by permissions", 30, {_CALLS % "refused": "0+9x30", _CALLS % "ok": "0+1x30"}
    ),
)

QUOTAS = (
    fires(
        "RingfenceQuotaNearlyUsed",
        10,
        {_USED % "a": "0.95x10", _LEADER % "a": "1x10", _LEADER % "b": "0x10"},
        "95% of queries in Quota team/base are used (window Day, scope Shared).",
        **_LIMIT,
    ),
    quiet(
        "RingfenceQuotaNearlyUsed",
        "what a replica that led before remembers, and a limit for a second",
        10,
        {
            _USED % "a": "0.2x10",
            _USED % "b": "0.99x10",
            _EACH_SECOND % "a": "1x10",
            _LEADER % "a": "1x10",
            _LEADER % "b": "0x10",
        },
    ),
    fires(
        "RingfenceQuotaRefusing",
        20,
        {_REFUSED: "0+1x20"},
        "Quota team/base refused 10 times in 10 minutes, at its limit on queries.",
        namespace="team",
        quota="base",
        resource="queries",
    ),
    quiet("RingfenceQuotaRefusing", "long ago", 20, {_REFUSED: "10x20"}),
)
