"""Contexts for the pure steps: one agent in a world of which a test says only what it cares about."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.model import format_timestamp
from ringfence_operator.reconcile.context import Context, build_context
from ringfence_operator.reconcile.network_verdict import Known
from ringfence_operator.resources.network_probe import Verdict
from ringfence_operator.resources.pod import spec_hash
from ringfence_operator.settings import Settings
from tests.operator.reconcile.tables import view_of
from tests.operator.resources.objects import (
    NOW,
    READY,
    RUNNING,
    agent_body,
    container_status,
    node_body,
    pod_body,
    terminated,
)

Raw = dict[str, Any]


def ago(seconds: float) -> str:
    return format_timestamp(NOW - timedelta(seconds=seconds))


def status(spec: Raw | None = None, **fields: Any) -> Raw:
    """Return the status of an agent that has been looked at, with the hash of its present `spec`."""
    agent = Agent.from_body(agent_body(**(spec or {})))
    return {"observedGeneration": 1, "specHash": spec_hash(agent)} | fields


def finished(state: str, *, spec: Raw | None = None, seconds: float = 10, reason: str = "") -> Raw:
    ready = "True" if state == "Succeeded" else "False"
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": reason or state,
        "message": "as it was",
        "lastTransitionTime": ago(seconds),
    }
    return status(spec, state=state, finishedAt=ago(seconds), conditions=[condition])


def counted(failures: int, *, spec: Raw | None = None, pod: str = "pod-1", seconds: float = 0) -> Raw:
    return status(spec, failures=failures, lastFailure={"podUID": pod, "time": ago(seconds)})


def context_of(
    spec: Raw | None = None,
    pod: Raw | None = None,
    known: Raw | None = None,
    *,
    settings: Settings | None = None,
    policies: list[Raw] | None = None,
    others: list[Raw] | None = None,
    claims: list[Raw] | None = None,
    services: list[Raw] | None = None,
    nodes: list[Raw] | None = None,
    runtime_classes: list[str] | None = None,
    namespace: str = "team",
    metadata: Raw | None = None,
    network: Verdict | None = None,
    now: datetime = NOW,
) -> Context:
    """Return the context of agent `a` with `spec`, its `pod` and its `known` status.

    A pod with no spec_hash of its own is one that was made from the agent as it is.
    """
    body = agent_body(namespace=namespace, status=known, **(spec or {}))
    body["metadata"] |= metadata or {}
    agent = Agent.from_body(body)
    view = view_of(
        settings,
        agents=[body, *(others or [])],
        pods=[pod] if pod else [],
        securitypolicies=policies or [],
        persistentvolumeclaims=claims or [],
        services=services or [],
        nodes=nodes if nodes is not None else [node_body()],
        runtimeclasses=[
            {"metadata": {"name": name, "uid": name, "resourceVersion": "1"}} for name in runtime_classes or []
        ],
    )
    view.network.known = Known(verdict=network)
    context = build_context(agent, view, now=now)
    if context.pod is not None and not context.pod.spec_hash:
        context = replace(context, pod=replace(context.pod, spec_hash=context.pod_hash))
    return context


def running_pod(**changes: Any) -> Raw:
    base: Raw = {
        "node": "n1",
        "phase": "Running",
        "startTime": ago(5),
        "conditions": READY,
        "containerStatuses": container_status(RUNNING),
    }
    return pod_body(**base | changes)


def ended_pod(code: int, *, ran: float = 5, exit_reason: str = "", **changes: Any) -> Raw:
    """Return a pod whose container ended now after `ran` seconds; its phase follows the exit code."""
    base: Raw = {
        "node": "n1",
        "phase": "Failed" if code else "Succeeded",
        "startTime": ago(ran),
        "containerStatuses": container_status(terminated(code, reason=exit_reason, at=format_timestamp(NOW))),
    }
    return pod_body(**base | changes)
