from typing import Any

import pytest

from ringfence_operator.api.agent import Isolation
from ringfence_operator.reconcile.decide import REFUSED_SECONDS, Decision, Step, decide
from ringfence_operator.resources.gateway import build_port_set_service
from ringfence_operator.resources.network_probe import Verdict
from ringfence_operator.settings import Settings
from tests.operator.reconcile.contexts import ago, context_of, counted, ended_pod, finished, running_pod, status
from tests.operator.resources.objects import (
    NOW,
    RUNNING,
    SETTINGS,
    container_status,
    node_body,
    pod_body,
    policy_body,
    terminated,
)

Raw = dict[str, Any]
TASK: Raw = {"mode": "Task"}
ONCE: Raw = {"mode": "Task", "restartPolicy": "Never"}
SUSPENDED: Raw = {"suspend": True}
PROBING = SETTINGS.model_copy(update={"probe_image": "operator:1"})
OPEN = Verdict(("pod",))
HOUR: Raw = {"maxExecutionTime": "1h"}
OTHERS = {"owner": "other-uid"}
LOST: Raw = {"nodes": []}
OLD = {"creationTimestamp": ago(3600)}
CRASH_LOOP = container_status({"waiting": {"reason": "CrashLoopBackOff"}}, restarts=3, last=terminated(1))
DISRUPTED = [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]
OOM: Raw = {"exit_reason": "OOMKilled"}


def old(pod: Raw) -> Raw:
    """Return the pod as one that was made long ago, whose node would be known by now."""
    pod["metadata"]["creationTimestamp"] = ago(3600)
    return pod


def case(name: str, spec: Raw, pod: Raw | None = None, known: Raw | None = None, **expected: Any) -> Any:
    options = {
        key: expected.pop(key) for key in ("nodes", "policies", "metadata", "settings", "network") if key in expected
    }
    return pytest.param(spec, pod, known, options, expected, id=name)


CASES = [
    # Without a pod.
    case("new agent", {}, step="CREATE", state="Starting", reason="Starting"),
    case("new task", TASK, step="CREATE", state="Starting", reason="Starting"),
    case("pod deleted by hand and gone", {}, None, status(), step="CREATE", reason="Starting"),
    case("pod deleted by hand and gone, of a task", TASK, None, status(TASK), step="CREATE", reason="Starting"),
    case("suspended", SUSPENDED, step="KEEP", state="Suspended", reason="Suspended", is_ready=False),
    case(
        "first retry after 10 s",
        TASK,
        None,
        counted(1, spec=TASK, seconds=4),
        step="KEEP",
        state="Restarting",
        reason="Restarting",
        look_again=6,
    ),
    case("the delay doubles", {}, None, counted(4, seconds=4), step="KEEP", look_again=76),
    case("and ends at maxDelay", {}, None, counted(40, seconds=4), step="KEEP", look_again=296),
    case("delay over", {}, None, counted(4, seconds=80), step="CREATE"),
    case(
        "own delays",
        {"backoff": {"initialDelay": "2s", "maxDelay": "3s"}},
        None,
        counted(2, spec={"backoff": {"initialDelay": "2s", "maxDelay": "3s"}}, seconds=1),
        step="KEEP",
        look_again=2,
    ),
    case("changed after a failure", {"image": "x:2"}, None, counted(5), step="CREATE"),
    case("execution time left", HOUR, None, status(HOUR, startedAt=ago(3599)), step="CREATE"),
    case(
        "execution time over",
        HOUR,
        None,
        status(HOUR, startedAt=ago(3600)),
        step="KEEP",
        state="Failed",
        reason="DeadlineExceeded",
        is_stalled=True,
        is_finished=True,
    ),
    case("execution time counts anew after a change", HOUR, None, status(startedAt=ago(9999)), step="CREATE"),
    # A living pod.
    case("pod just made", {}, pod_body(), step="KEEP", state="Starting", reason="Starting"),
    case("running", {}, running_pod(), step="KEEP", state="Running", reason="Running", is_ready=True),
    case(
        "running, not ready",
        {},
        running_pod(conditions=[]),
        step="KEEP",
        state="Starting",
        reason="NotReady",
        is_ready=False,
    ),
    case(
        "crash loop",
        {},
        running_pod(conditions=[], containerStatuses=CRASH_LOOP),
        step="KEEP",
        state="Restarting",
        reason="Crashed",
        is_ready=False,
        failures=None,
    ),
    case(
        "a container of a task has ended and its pod has not yet",
        TASK,
        running_pod(conditions=[], containerStatuses=container_status(terminated(1))),
        step="WAIT",
    ),
    case(
        "a container that is started again has ended",
        {},
        running_pod(conditions=[], containerStatuses=container_status(terminated(1))),
        step="KEEP",
        reason="Crashed",
    ),
    case(
        "a service on failure has ended well and its pod has not yet",
        {"restartPolicy": "OnFailure"},
        running_pod(conditions=[], containerStatuses=container_status(terminated(0))),
        step="WAIT",
    ),
    case(
        "suspended while running",
        SUSPENDED,
        running_pod(),
        step="DELETE",
        state="Terminating",
        reason="Stopping",
        is_ready=False,
    ),
    case(
        "suspended and stopping",
        SUSPENDED,
        running_pod(deleted=ago(1)),
        step="KEEP",
        state="Terminating",
        reason="Stopping",
    ),
    case("suspended with a failed pod", SUSPENDED, ended_pod(1), step="DELETE", reason="Stopping", failures=None),
    case("suspended on a node that is gone", SUSPENDED, old(running_pod()), **LOST, step="FORGET"),
    # Pods that have to go.
    case("spec changed", {}, running_pod(spec_hash="x"), step="DELETE", state="Restarting", reason="Replacing"),
    case("spec changed, pod on its way", {}, running_pod(spec_hash="x", deleted=ago(1)), step="KEEP"),
    case("spec changed after the end", TASK, ended_pod(0, spec_hash="x"), finished("Succeeded"), step="DELETE"),
    case(
        "policy changed",
        {"securityPolicyRef": {"name": "p"}},
        running_pod(spec_hash="old.old"),
        policies=[policy_body()],
        step="DELETE",
        reason="Replacing",
    ),
    case("deleted by hand", {}, running_pod(deleted=ago(1)), step="KEEP", state="Restarting", reason="Replacing"),
    case("node gone", {}, old(running_pod()), **LOST, step="FORGET", state="Restarting", reason="Replacing"),
    case("node gone, pod on its way", {}, old(running_pod(deleted=ago(9))), **LOST, step="FORGET"),
    case("node not in view yet", {}, running_pod(), **LOST, step="KEEP", is_ready=True),
    # A pod that ended well.
    case(
        "task succeeded",
        TASK,
        ended_pod(0),
        step="KEEP",
        state="Succeeded",
        reason="Succeeded",
        is_ready=True,
        is_finished=True,
    ),
    case("task succeeded, pod deleted", TASK, ended_pod(0, deleted=ago(1)), state="Succeeded", is_finished=True),
    case("task succeeded, node gone", TASK, old(ended_pod(0)), **LOST, state="Succeeded", is_finished=True),
    case("task failed, node gone", TASK, old(ended_pod(2)), **LOST, step="KEEP", failures=1),
    case(
        "task failed and counted, node gone",
        TASK,
        old(ended_pod(2)),
        counted(1, spec=TASK, seconds=10),
        **LOST,
        step="DELETE",
        failures=None,
    ),
    case(
        "task failed and counted, pod on its way, node gone",
        TASK,
        old(ended_pod(2, deleted=ago(9))),
        counted(1, spec=TASK, seconds=10),
        **LOST,
        step="FORGET",
        failures=None,
    ),
    case("service on failure succeeded", {"restartPolicy": "OnFailure"}, ended_pod(0), state="Succeeded"),
    case("service that never restarts succeeded", {"restartPolicy": "Never"}, ended_pod(0), state="Succeeded"),
    case("service ended", {}, ended_pod(0), step="DELETE", state="Restarting", reason="Replacing"),
    # A pod that failed.
    case(
        "task failed",
        TASK,
        ended_pod(2),
        step="KEEP",
        state="Restarting",
        reason="Crashed",
        failures=1,
        look_again=0,
        is_finished=False,
    ),
    case("task failed again", TASK, ended_pod(2, uid="pod-2"), counted(1, spec=TASK), step="KEEP", failures=2),
    case("task out of memory", TASK, ended_pod(137, **OOM), step="KEEP", reason="OutOfMemory", failures=1),
    case(
        "failure is counted: wait",
        TASK,
        ended_pod(2),
        counted(1, spec=TASK, seconds=4),
        step="KEEP",
        reason="Crashed",
        failures=None,
        look_again=6,
    ),
    case("failure is counted: go on", TASK, ended_pod(2), counted(1, spec=TASK, seconds=10), step="DELETE"),
    case(
        "failure is counted, pod on its way",
        TASK,
        ended_pod(2, deleted=ago(1)),
        counted(1, spec=TASK, seconds=10),
        step="KEEP",
        failures=None,
    ),
    case(
        "last retry failed",
        TASK,
        ended_pod(2, uid="pod-7"),
        counted(6, spec=TASK),
        step="KEEP",
        state="Failed",
        reason="BackoffLimitExceeded",
        failures=7,
        is_finished=True,
        is_stalled=True,
    ),
    case("one retry left", TASK, ended_pod(2, uid="pod-6"), counted(5, spec=TASK), failures=6, is_finished=False),
    case(
        "no retries allowed",
        TASK | {"backoff": {"limit": 0}},
        ended_pod(2),
        reason="BackoffLimitExceeded",
        failures=1,
        is_finished=True,
    ),
    case("task once failed", ONCE, ended_pod(2), state="Failed", reason="Failed", failures=1, is_finished=True),
    case("service once failed", {"restartPolicy": "Never"}, ended_pod(2), reason="Failed", is_finished=True),
    case("service failed", {}, ended_pod(2), step="KEEP", state="Restarting", failures=1, is_finished=False),
    case("a service is replaced for ever", {}, ended_pod(2, uid="x"), counted(90), failures=91, is_finished=False),
    case("a service that ran for long", {}, ended_pod(2, uid="x", ran=601), counted(90), failures=1),
    case("a task that ran for long", TASK, ended_pod(2, uid="x", ran=601), counted(3, spec=TASK), failures=4),
    case(
        "task drained off its node, obeying with exit code 0",
        TASK,
        ended_pod(0, conditions=DISRUPTED),
        step="DELETE",
        reason="Evicted",
        is_finished=False,
        failures=None,
    ),
    case(
        "evicted by its node",
        TASK,
        ended_pod(137, reason="Evicted", message="low on disk", containerStatuses=[]),
        step="KEEP",
        reason="Evicted",
        failures=1,
    ),
    case(
        "taken away by the cluster",
        TASK,
        ended_pod(137, conditions=DISRUPTED),
        step="DELETE",
        reason="Evicted",
        failures=None,
        is_finished=False,
    ),
    case("node shut down", ONCE, ended_pod(137, reason="NodeShutdown"), step="DELETE", reason="Evicted", failures=None),
    case(
        "beyond its deadline",
        HOUR,
        ended_pod(137, reason="DeadlineExceeded"),
        state="Failed",
        reason="DeadlineExceeded",
        is_finished=True,
        failures=None,
    ),
    case(
        "no time left for a retry",
        TASK | HOUR,
        ended_pod(2, uid="pod-1"),
        counted(1, spec=TASK | HOUR, seconds=99) | {"startedAt": ago(3600)},
        state="Failed",
        reason="DeadlineExceeded",
        is_finished=True,
    ),
    # Finished.
    case(
        "stays succeeded", TASK, None, finished("Succeeded", spec=TASK), step="KEEP", state="Succeeded", is_ready=True
    ),
    case(
        "stays failed",
        TASK,
        None,
        finished("Failed", spec=TASK, reason="BackoffLimitExceeded"),
        step="KEEP",
        state="Failed",
        reason="BackoffLimitExceeded",
        message="as it was",
        is_stalled=True,
        is_finished=True,
        look_again=None,
    ),
    case(
        "kept for a while",
        TASK | {"ttlAfterFinished": "60s"},
        None,
        finished("Succeeded", spec=TASK, seconds=20),
        step="KEEP",
        look_again=40,
    ),
    case(
        "kept for long enough",
        TASK | {"ttlAfterFinished": "60s"},
        ended_pod(0),
        finished("Succeeded", spec=TASK, seconds=60),
        step="EXPIRE",
    ),
    case(
        "not kept at all",
        TASK | {"ttlAfterFinished": "0s"},
        None,
        finished("Succeeded", spec=TASK, seconds=0),
        step="EXPIRE",
    ),
    case("finished, pod deleted by hand", TASK, None, finished("Succeeded", spec=TASK), step="KEEP", is_finished=True),
    case("finished, node gone", TASK, old(ended_pod(0)), finished("Succeeded", spec=TASK), **LOST, step="KEEP"),
    case(
        "finished and suspended",
        TASK | SUSPENDED,
        ended_pod(0),
        finished("Succeeded", spec=TASK),
        step="DELETE",
        state="Succeeded",
    ),
    case("changed after the end", TASK | {"image": "x:2"}, None, finished("Failed", spec=TASK), step="CREATE"),
    case("resumed after the end", TASK, None, finished("Failed", spec=TASK), step="KEEP", is_finished=True),
    # Somebody else's pod.
    case("name taken", {}, running_pod(**OTHERS), step="KEEP", state="Pending", reason="NameTaken", is_ready=False),
    case("name taken by nobody's pod", {}, running_pod(owner=""), step="KEEP", reason="NameTaken"),
    case("suspended, name taken", SUSPENDED, running_pod(**OTHERS), step="KEEP", state="Suspended"),
    case(
        "finished and suspended, name taken",
        TASK | SUSPENDED,
        running_pod(**OTHERS),
        finished("Succeeded", spec=TASK),
        step="KEEP",
        state="Succeeded",
    ),
    case("spec changed, name taken", {}, running_pod(**OTHERS, spec_hash="x"), step="KEEP", reason="NameTaken"),
    case("node gone, name taken", {}, old(running_pod(**OTHERS)), **LOST, step="KEEP", reason="NameTaken"),
    # Refused.
    case(
        "policy missing",
        {"securityPolicyRef": {"name": "p"}},
        step="KEEP",
        state="Pending",
        reason="PolicyNotFound",
        is_stalled=False,
    ),
    case(
        "policy missing, running as it was confined",
        {"securityPolicyRef": {"name": "p"}},
        running_pod(),
        step="KEEP",
        state="Running",
        reason="PolicyNotFound",
        is_ready=False,
        is_stalled=False,
    ),
    case("policy missing, crashed", {"securityPolicyRef": {"name": "p"}}, ended_pod(1), step="KEEP", reason="Crashed"),
    case("policy missing, suspended", {"securityPolicyRef": {"name": "p"}} | SUSPENDED, state="Suspended"),
    case(
        "label reserved, running",
        {},
        running_pod(),
        metadata={"labels": {"ringfence.dev/x": "y"}},
        step="DELETE",
        reason="LabelReserved",
        is_stalled=True,
    ),
    case(
        "label reserved, stopping",
        {},
        running_pod(deleted=ago(1)),
        metadata={"labels": {"ringfence.dev/x": "y"}},
        step="KEEP",
        reason="LabelReserved",
    ),
    case(
        "label reserved, name taken",
        {},
        running_pod(**OTHERS),
        metadata={"labels": {"ringfence.dev/x": "y"}},
        step="KEEP",
        reason="LabelReserved",
    ),
    case("network open", {}, settings=PROBING, network=OPEN, step="KEEP", reason="NetworkNotEnforced", is_stalled=True),
    case(
        "network open, running",
        {},
        running_pod(),
        settings=PROBING,
        network=OPEN,
        step="KEEP",
        state="Running",
        reason="NetworkNotEnforced",
        is_ready=False,
        is_stalled=True,
    ),
    case("network open, crashed", {}, ended_pod(1), settings=PROBING, network=OPEN, step="KEEP", reason="Crashed"),
    case("network not probed yet", {}, settings=PROBING, step="KEEP", reason="NetworkUnverified", is_stalled=False),
    case("network not probed yet, running", {}, running_pod(), settings=PROBING, is_ready=True, reason="Running"),
    case("secure without a sandbox", {"isolation": "Secure"} | HOUR, reason="RuntimeClassNotFound", is_stalled=True),
    case("secure without a sandbox, succeeded", {"isolation": "Secure"} | TASK | HOUR, ended_pod(0), state="Succeeded"),
]


@pytest.mark.parametrize(("spec", "pod", "known", "options", "expected"), CASES)
def test_the_decision(spec: Raw, pod: Raw | None, known: Raw | None, options: Raw, expected: Raw) -> None:
    context = context_of(spec, pod, known, **{"nodes": [node_body()], **options})

    found = decide(context)

    seen = {name: getattr(found, name) for name in expected}
    assert seen | {"step": found.step.name} == expected | {"step": expected.get("step", found.step.name)}


def test_a_pod_is_forgotten_only_when_its_node_had_time_to_be_seen() -> None:
    young, aged = running_pod(), old(running_pod())

    steps = [decide(context_of({}, pod, nodes=[])).step for pod in (young, aged)]

    assert steps == [Step.KEEP, Step.FORGET]


def test_messages_say_how_often_and_how_much() -> None:
    limited = TASK | {"backoff": {"limit": 1}}

    waiting = decide(context_of(TASK, None, counted(1, spec=TASK)))
    given_up = decide(context_of(limited, ended_pod(2, uid="x"), counted(1, spec=TASK)))
    over = decide(context_of(HOUR, None, status(HOUR, startedAt=ago(4000))))

    assert waiting.message == "waiting for the back-off delay after failure 1 of 6"
    assert given_up.message == (
        "failed 2 times, with backoff.limit 1; the last time: the command ended with exit code 2"
    )
    assert over.message == "ran for the 3600 s that maxExecutionTime (Agent) allows"


def test_a_deadline_from_the_policy_says_so() -> None:
    spec = {"securityPolicyRef": {"name": "p"}}

    found = decide(
        context_of(spec, None, status(startedAt=ago(99)), policies=[policy_body(maxExecutionTime="1m")], now=NOW)
    )

    assert isinstance(found, Decision)
    assert found.message == "ran for the 60 s that maxExecutionTime (SecurityPolicy) allows"


def test_a_container_that_runs_again_is_running() -> None:
    statuses = container_status(RUNNING, restarts=1, last=terminated(1))

    assert decide(context_of({}, running_pod(containerStatuses=statuses))).is_ready


def test_a_deleted_policy_does_not_replace_the_pods_that_run_under_it() -> None:
    spec = {"securityPolicyRef": {"name": "p"}}
    made_with = context_of(spec, policies=[policy_body(maxExecutionTime="1h")]).pod_hash

    assert decide(context_of(spec, running_pod(spec_hash=made_with))).step is Step.KEEP


UNDER_P: Raw = {"securityPolicyRef": {"name": "p"}}
NAMES: Raw = {"allowedDomains": [{"name": "a.io"}]}
ADDRESS = "10.96.0.9"


def port_set(address: str = ADDRESS) -> Raw:
    raw = build_port_set_service(3, ("team", "p"), namespace="ringfence-system", further={}, address=address)
    raw["metadata"] |= {"uid": "s", "resourceVersion": "1"}
    return raw


def with_name_server(address: str, **changes: Any) -> Raw:
    pod = running_pod(**changes)
    pod["metadata"]["annotations"]["ringfence.dev/gateway-address"] = address
    return pod


def under_gateway(pod: Raw | None, services: list[Raw], network: Raw, **spec: Any) -> Decision:
    options: Raw = {"policies": [policy_body(network=network)], "services": services}
    settings = Settings(minimum_isolation=Isolation.NONE)
    return decide(context_of(UNDER_P | spec, pod, settings=settings, **options))


@pytest.mark.parametrize("network", [NAMES, {}])
@pytest.mark.parametrize("services", [[], [port_set("None")]])
def test_a_pod_waits_for_the_port_set_that_is_its_name_server(services: list[Raw], network: Raw) -> None:
    found = under_gateway(None, services, network)

    assert (found.step, found.reason, found.is_stalled) == (Step.KEEP, "GatewayPending", False)
    assert found.look_again == REFUSED_SECONDS


@pytest.mark.parametrize(("services", "spec"), [([port_set()], {}), ([], {"isolation": "None"})])
def test_a_pod_is_made_once_its_port_set_is_there_or_without_one_it_does_not_need(
    services: list[Raw], spec: Raw
) -> None:
    assert under_gateway(None, services, NAMES, **spec).step is Step.CREATE


@pytest.mark.parametrize(
    ("had", "services", "network", "expected"),
    [
        (ADDRESS, [port_set()], NAMES, Step.KEEP),
        ("10.96.0.8", [port_set()], NAMES, Step.DELETE),
        ("10.96.0.8", [port_set()], {}, Step.KEEP),
        ("10.96.0.8", [], NAMES, Step.KEEP),
        ("10.96.0.8", [port_set("None")], NAMES, Step.KEEP),
        ("", [port_set()], NAMES, Step.DELETE),
        ("", [port_set()], {}, Step.KEEP),
    ],
)
def test_another_address_of_the_port_set_replaces_only_a_pod_that_needs_names(
    had: str, services: list[Raw], network: Raw, expected: Step
) -> None:
    assert under_gateway(with_name_server(had), services, network).step is expected


def test_a_pod_that_nothing_confines_keeps_its_name_server() -> None:
    assert under_gateway(with_name_server(""), [port_set()], NAMES, isolation="None").step is Step.KEEP
