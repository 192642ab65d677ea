"""A throw-away agent: its manifest, what it waits for, and how it ended. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ringfence_kube.objects import Raw, condition, is_true, status_of

NOT_RUN = 125
"""Exit code where it is not the command's own, as with `docker run`: it could not be run, or was taken away."""
TIMED_OUT = 124
"""Exit code where the command ran for longer than it may, as with `timeout`."""
INTERRUPTED = 128
"""Plus a signal's number: what ended us."""
MARK = "ringfence-run"
"""Annotation: which run of this program made the agent."""
_BEGUN = ("Running", "Restarting", "Succeeded", "Failed")
_MISSING = ("PolicyNotFound", "QuotaNotFound", "ConnectorNotFound", "ConfigNotFound", "ImageNotFound")
"""The operator waits for what is missing; who started a throw-away agent would rather know."""
_NEVER_STARTED = ("StartError", "ContainerCannotRun")
LASTS = "1h"
"""How long the agent runs if we are killed and cannot delete it; how long at most, in any case."""
LEFT_FOR = "5m"
"""How long the object is kept after that."""
_WAITING = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be run: a manifest's, with what is given besides in place of what that says."""

    image: str | None = None
    command: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    policy: str | None = None
    quota: str | None = None
    connectors: Sequence[str] = ()
    labels: Mapping[str, str] | None = None
    isolation: str | None = None
    cpu: str | None = None
    memory: str | None = None
    timeout: str | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended; a `sentence` says what the exit code does not."""

    code: int
    sentence: str = ""


def agent_body(wish: Wish, name: str, namespace: str, *, mark: str) -> Raw:
    """Return the Agent, which bears `mark`: what no other has, so that we never delete somebody else's of that name.

    It runs once; if nobody deletes it, it ends at its timeout and goes a little later.
    """
    spec = {
        "maxExecutionTime": LASTS,
        "ttlAfterFinished": LEFT_FOR,
        **(wish.manifest.get("spec") or {}),
        **_given(wish),
        "mode": "Task",
        "restartPolicy": "Never",
        "backoff": {"limit": 0},
    }
    theirs = wish.manifest.get("metadata") or {}
    annotations = {**(theirs.get("annotations") or {}), MARK: mark}
    metadata: Raw = {"name": name, "namespace": namespace, "annotations": annotations}
    if labels := {**(theirs.get("labels") or {}), **(wish.labels or {})}:
        metadata["labels"] = labels
    return {"apiVersion": "ringfence.dev/v1alpha1", "kind": "Agent", "metadata": metadata, "spec": spec}


def waiting_body(body: Raw) -> Raw:
    """Return the Agent with a command that waits to be told to stop, if it has none: others are begun in it."""
    spec = body["spec"]
    has_command = spec.get("command") or spec.get("args")
    return body if has_command else {**body, "spec": {**spec, "command": list(_WAITING)}}


def _given(wish: Wish) -> Raw:
    limits = {key: text for key, text in (("cpu", wish.cpu), ("memory", wish.memory)) if text}
    theirs = (wish.manifest.get("spec") or {}).get("resources") or {}
    given = {
        "image": wish.image,
        "command": list(wish.command),
        "env": [{"name": key, "value": text} for key, text in (wish.env or {}).items()],
        "securityPolicyRef": {"name": wish.policy} if wish.policy else None,
        "quotaRef": {"name": wish.quota} if wish.quota else None,
        "connectors": [{"name": each} for each in wish.connectors],
        "isolation": wish.isolation,
        "resources": {**theirs, "limits": {**(theirs.get("limits") or {}), **limits}} if limits else None,
        "maxExecutionTime": wish.timeout,
    }
    return {key: value for key, value in given.items() if value}


def is_same(made: Raw, found: Raw) -> bool:
    """Return True if the agent that was found is the one that a manifest made."""
    return bool((found["metadata"].get("annotations") or {}).get(MARK) == made["metadata"]["annotations"][MARK])


def has_begun(agent: Raw) -> bool:
    """Return True once the agent's command has begun, and so may have written something."""
    return status_of(agent).get("state") in _BEGUN


def outcome(agent: Raw) -> Outcome | None:
    """Return how the agent ended; None while it has not."""
    ended = condition(agent, "Complete")
    if ended is not None:
        return _ended(agent, ended)
    ready = condition(agent, "Ready") or {}
    if not has_begun(agent) and (is_true(agent, "Stalled") or ready.get("reason") in _MISSING):
        return Outcome(NOT_RUN, f"it cannot run: {ready.get('reason')}, {ready.get('message')}")
    return None


def waiting_for(agent: Raw) -> str:
    """Return what keeps the agent from having begun, as the operator says it."""
    ready = condition(agent, "Ready") or {}
    message = ready.get("message") or "the operator to look at it"
    return f"waiting for Agent {agent['metadata']['name']}: {message}"


def _ended(agent: Raw, ended: Raw) -> Outcome:
    last = status_of(agent).get("lastExit") or {}
    code, reason = last.get("code"), ended.get("reason", "")
    if ended["status"] == "True":
        return Outcome(int(code or 0))
    if reason == "DeadlineExceeded":
        return Outcome(TIMED_OUT, f"it ran for longer than it may: {ended.get('message', '')}")
    if last.get("reason") in _NEVER_STARTED:
        return Outcome(NOT_RUN, f"its command cannot be started: {last.get('message') or ended.get('message', '')}")
    if last.get("oomKilled"):
        limit = (last.get("memoryLimit") or {}).get("value", "its limit")
        return Outcome(int(code or NOT_RUN), f"killed by the kernel for using more memory than {limit}")
    if code:
        return Outcome(int(code))
    return Outcome(NOT_RUN, f"{reason}: {ended.get('message', '')}")
