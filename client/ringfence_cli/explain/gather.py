"""Asks for all that has to do with one agent; what we may not see is said, not fatal."""

from collections.abc import Callable
from typing import TypeVar

from ringfence_cli.audit import Entry, read_entry
from ringfence_cli.explain.account import Known
from ringfence_cli.explain.network import Rule
from ringfence_kube.api import Api
from ringfence_kube.errors import ForbiddenError, RefusedError
from ringfence_kube.log import read_log
from ringfence_kube.objects import Raw, collection, core, name_of, status_of

T = TypeVar("T")
_CLUSTER_POLICY = "ringfence.dev/cluster-policy"
_LINES = "500"


def gather(api: Api, namespace: str, name: str) -> Known:
    """Return what is known of an agent. Raises NotFoundError if there is no such agent."""
    agent = api.get(f"{collection('agents', namespace)}/{name}")
    look = _Look(api, namespace)
    # A pod that was claimed from a pool has a name of its own.
    pod_name = status_of(agent).get("podName") or name
    pod = look.allowed(lambda: api.find(f"{core('pods', namespace)}/{pod_name}"), None, "its pod")
    rule = look.rule(agent, pod)
    has_connectors = bool(agent["spec"].get("connectors"))
    return Known(
        agent={"kind": "Agent", **agent},
        rule=rule,
        pod=pod,
        pool=look.pool(agent),
        quotas=tuple(look.allowed(lambda: api.items(collection("quotas", namespace)), [], "Quotas")),
        connectors=look.connectors() if has_connectors else (),
        audit=look.allowed(lambda: look.audit(agent), (), "what was refused by its sidecar") if pod else (),
        unseen=tuple(look.unseen),
    )


class _Look:
    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self.unseen: list[str] = []

    def allowed(self, ask: Callable[[], T], empty: T, what: str) -> T:
        """Return the answer; `empty` where we may not ask."""
        try:
            return ask()
        except ForbiddenError as error:
            self.unseen.append(f"{what}: {error}")
            return empty

    def rule(self, agent: Raw, pod: Raw | None) -> Rule:
        """Return which policy holds for an agent."""
        wanted = (agent["spec"].get("securityPolicyRef") or {}).get("name")
        if wanted:
            path = f"{collection('securitypolicies', self._namespace)}/{wanted}"
            before = len(self.unseen)
            found = self.allowed(lambda: self._api.find(path), None, f"SecurityPolicy {wanted}")
            return Rule(wanted, found, is_unseen=len(self.unseen) > before)
        default = ((pod or {"metadata": {}})["metadata"].get("labels") or {}).get(_CLUSTER_POLICY)
        if not default:
            return Rule()
        # The label does not say the namespace, which is the operator's to choose.
        ask = {"fieldSelector": f"metadata.name={default}"}
        every = collection("securitypolicies")
        named: list[Raw] = self.allowed(lambda: self._api.items(every, **ask), [], f"SecurityPolicy {default}")
        only = named[0] if len(named) == 1 else None
        return Rule(default, only, is_unseen=only is None, is_default=True)

    def pool(self, agent: Raw) -> Raw | None:
        """Return the AgentPool that the agent names, if there is one."""
        wanted = (agent["spec"].get("poolRef") or {}).get("name")
        if not wanted:
            return None
        path = f"{collection('agentpools', self._namespace)}/{wanted}"
        return self.allowed(lambda: self._api.find(path), None, f"AgentPool {wanted}")

    def connectors(self) -> tuple[Raw, ...]:
        """Return the namespace's connectors."""
        path = collection("connectors", self._namespace)
        return tuple(self.allowed(lambda: self._api.items(path), [], "Connectors"))

    def audit(self, agent: Raw) -> tuple[Entry, ...]:
        """Return the calls among the last lines of the agent's sidecar; none where it has no sidecar."""
        pod = status_of(agent).get("podName") or name_of(agent)
        try:
            lines = read_log(self._api, self._namespace, pod, container="sidecar", tailLines=_LINES)
        except ForbiddenError:
            raise
        except RefusedError:
            return ()  # without a sidecar, or before it began, the server says that the request is wrong
        return tuple(entry for line in lines if (entry := read_entry(line)))
