"""For each alert, a case in which it fires and one in which it does not."""

from tests.monitoring.case import Case, fires, quiet
from tests.monitoring.cases_of_agents import AGENTS, POOLS, QUOTAS, SIDECARS

_LEADER = 'leader_election_master_status{name="ringfence-operator",instance="%s"}'
_A, _B = _LEADER % "a", _LEADER % "b"
_PASSES = 'controller_runtime_reconcile_total{controller="ringfence",result="%s"}'
_FAILED = 'controller_runtime_reconcile_errors_total{controller="ringfence"}'
_WAITED = 'workqueue_queue_duration_seconds_bucket{name="ringfence",le="%s"}'
_OLDEST = 'workqueue_longest_running_processor_seconds{name="ringfence"}'
_ASKED = 'rest_client_requests_total{pod="%s",method="GET",code="%s"}'
_US = "ringfence-operator-7d9-x"
_PROCESS = f'{{namespace="sys",pod="{_US}",container="operator"}}'
_OF_PROCESS = {"namespace": "sys", "pod": _US, "container": "operator"}
_ANSWERS = 'ringfence_control_sidecar_answers_total{code="%s"}'
_GATEWAY = 'ringfence_gateway_resolver_refused_total{pod="%s"}'
_CONNECTED = 'ringfence_control_gateways{pod="%s"}'
_OF_POLICY = {"policy": "team/web"}

_OPERATOR = (
    fires(
        "RingfenceOperatorAbsent",
        6,
        {},
        "Prometheus has had no metrics of the operator for 5 minutes. Either it does not run, and then nobody looks "
        "after agents, or Prometheus does not reach it.",
        name="ringfence-operator",
    ),
    quiet("RingfenceOperatorAbsent", "one replica is enough", 20, {_A: "0x20"}),
    fires(
        "RingfenceNoLeader",
        5,
        {_A: "0x10", _B: "0x10"},
        "Replicas of the operator run, but none has led for 2 minutes, so nobody writes.",
    ),
    quiet("RingfenceNoLeader", "leadership goes over", 5, {_A: "1 1 0 0 0 0", _B: "0 0 0 1 1 1"}),
    fires(
        "RingfenceTwoLeaders",
        5,
        {_A: "1x10", _B: "1x10"},
        "2 replicas of the operator lead at the same time, and write against one another.",
    ),
    quiet("RingfenceTwoLeaders", "two scrapes of one handover", 5, {_A: "1 1 1 0 0 0", _B: "0 0 1 1 1 1"}),
    fires(
        "RingfenceReconcilesFailing",
        40,
        {_FAILED: "0+1x40", _PASSES % "error": "0+1x40", _PASSES % "success": "0+4x40"},
        "20% of the operator's passes end in an error.",
    ),
    quiet(
        "RingfenceReconcilesFailing",
        "one in a hundred",
        40,
        {_FAILED: "0+1x40", _PASSES % "error": "0+1x40", _PASSES % "success": "0+99x40"},
    ),
    fires("RingfenceReconcileStuck", 15, {_OLDEST: "0+60x20"}, "A pass of the operator has been under way for 15m 0s."),
    quiet("RingfenceReconcileStuck", "passes that end in time", 15, {_OLDEST: "60 100 140 1 60 100 140 1 60 100x20"}),
    fires(
        "RingfenceQueueBehind",
        30,
        {_WAITED % "10.0": "0x40", _WAITED % "30.0": "0+60x40", _WAITED % "+Inf": "0+60x40"},
        "One change in a hundred waits longer than 29.8s for the operator.",
    ),
    quiet(
        "RingfenceQueueBehind",
        "milliseconds",
        30,
        {_WAITED % "0.005": "0+60x40", _WAITED % "30.0": "0+60x40", _WAITED % "+Inf": "0+60x40"},
    ),
    fires(
        "RingfenceApiServerErrors",
        40,
        {_ASKED % (_US, "200"): "0+9x40", _ASKED % (_US, "<error>"): "0+1x40"},
        "10% of the operator's requests to the API server fail.",
    ),
    quiet(
        "RingfenceApiServerErrors",
        "conflicts, and another controller's errors",
        40,
        {_ASKED % (_US, "409"): "0+9x40", _ASKED % ("others-1", "500"): "0+9x40"},
    ),
    fires(
        "RingfenceRestarting",
        8,
        {f"process_start_time_seconds{_PROCESS}": "0 100 100 200 200 300 300 300 300"},
        f"operator in sys/{_US} was started 3 times in 30 minutes.",
        **_OF_PROCESS,
    ),
    quiet("RingfenceRestarting", "once", 8, {f"process_start_time_seconds{_PROCESS}": "0 0 100x20"}),
    fires(
        "RingfenceFilesNearLimit",
        20,
        {f"process_open_fds{_PROCESS}": "900x20", f"process_max_fds{_PROCESS}": "1000x20"},
        f"operator in sys/{_US} has opened 90% of the file descriptors that it may.",
        **_OF_PROCESS,
    ),
    quiet(
        "RingfenceFilesNearLimit",
        "half of them",
        20,
        {f"process_open_fds{_PROCESS}": "500x20", f"process_max_fds{_PROCESS}": "1000x20"},
    ),
    fires(
        "RingfenceSidecarsRefused",
        20,
        {_ANSWERS % "401": "0+60x20", _ANSWERS % "200": "0+60x20"},
        "The control server answers 1 requests in a second with 401 (0: the connection was refused).",
        code="401",
    ),
    quiet(
        "RingfenceSidecarsRefused",
        "sidecars that are quicker than the operator's watch",
        20,
        {_ANSWERS % "503": "0+60x20", _ANSWERS % "200": "0+600x20"},
    ),
)

_EGRESS = (
    fires(
        "RingfenceGatewayAbsent",
        6,
        {},
        "Prometheus has had no metrics of the egress gateway for 5 minutes. Either it does not run, and then nothing "
        "leaves by name, or Prometheus does not reach it.",
    ),
    quiet("RingfenceGatewayAbsent", "one pod is enough", 20, {_GATEWAY % "a": "0x20"}),
    fires(
        "RingfenceGatewayNotConnected",
        15,
        {_GATEWAY % "a": "0x20", _GATEWAY % "b": "0x20", _CONNECTED % "x": "1x20", _CONNECTED % "y": "0x20"},
        "Only 1 pods of the egress gateway are connected to the operator. The others go on with what they had, and "
        "changes of policies are not in force there.",
    ),
    quiet(
        "RingfenceGatewayNotConnected",
        "both at the leader",
        15,
        {_GATEWAY % "a": "0x20", _GATEWAY % "b": "0x20", _CONNECTED % "x": "2x20", _CONNECTED % "y": "0x20"},
    ),
    fires(
        "RingfenceDnsDropped",
        20,
        {'ringfence_gateway_dns_dropped_total{policy="team/web"}': "0+120x20"},
        "2 DNS queries in a second of agents with SecurityPolicy team/web are dropped.",
        **_OF_POLICY,
    ),
    quiet("RingfenceDnsDropped", "a few", 20, {'ringfence_gateway_dns_dropped_total{policy="team/web"}': "0+6x20"}),
    fires(
        "RingfenceConnectionsLimited",
        20,
        {'ringfence_gateway_connections_limited_total{policy="team/web",limit="new"}': "0+60x20"},
        "1 connections in a second of agents with SecurityPolicy team/web are closed at the limit on new ones.",
        **_OF_POLICY,
        limit="new",
    ),
    quiet(
        "RingfenceConnectionsLimited",
        "a burst that is over",
        20,
        {'ringfence_gateway_connections_limited_total{policy="team/web",limit="new"}': "0 600 600x20"},
    ),
    fires(
        "RingfenceNamesRefused",
        30,
        {'ringfence_gateway_requests_total{policy="team/web",verdict="denied",via="dns"}': "0+120x30"},
        "2 requests in a second of agents with SecurityPolicy team/web are refused.",
        **_OF_POLICY,
    ),
    quiet(
        "RingfenceNamesRefused",
        "what is allowed or audited",
        30,
        {
            'ringfence_gateway_requests_total{policy="team/web",verdict="allowed",via="tls"}': "0+600x30",
            'ringfence_gateway_requests_total{policy="team/web",verdict="audited",via="tls"}': "0+600x30",
        },
    ),
    fires(
        "RingfenceNamesLeadInside",
        20,
        {_GATEWAY % "a": "0+1x20"},
        "In 15 minutes, 15 look-ups of names that a policy lists gave private addresses only. Nobody was led there.",
    ),
    quiet("RingfenceNamesLeadInside", "long ago", 20, {_GATEWAY % "a": "5x20"}),
)

CASES: tuple[Case, ...] = (*_OPERATOR, *AGENTS, *POOLS, *_EGRESS, *SIDECARS, *QUOTAS)
