"""What a pool's template says, by itself and together with what an agent says that claims a pod of it."""

import functools
from collections.abc import Sequence
from typing import Any

from ringfence_operator.api.agent import Agent, AgentSpec, Isolation
from ringfence_operator.api.agent_pool import AgentPool, PoolTemplate
from ringfence_operator.api.agent_status import Source
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.metadata import Metadata
from ringfence_operator.api.scheduling import PodMetadata
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.resources.effective import Effective, at_least
from ringfence_operator.resources.observed import digest
from ringfence_operator.resources.pod import policy_fields
from ringfence_operator.resources.sidecar import credentials_of

# A pod's annotations hold 256 KiB in all: what may be large, and is not needed any more, stays out.
_NOT_RECORDED: Any = {"env": {"__all__": {"value"}}, "pod_metadata": {"annotations"}}


def template_hash(
    pool: AgentPool, policy: SecurityPolicy | None, holds: Effective, connectors: Sequence[Connector] = ()
) -> str:
    """Return the digest of what the pool's pods are made from: the pool's own, a dot, its policy's, the cluster's.

    Of the cluster that is the ceiling, where it is stricter than the template, and the RuntimeClass that the level
    found. Of the template's `connectors` it is the Secrets and tokens that the pods are made with. No other setting,
    nor another version, makes another hash.
    """
    template = pool.spec.template.model_dump(mode="json", exclude_defaults=True)
    asked, given = policy_fields(policy), _given_by_cluster(holds)
    confined = digest([asked, given] if given else asked)
    if connectors:
        confined = digest([asked, given, credentials_of(connectors)])
    return f"{digest([template, pool.spec.refill.priority_class_name])}.{confined}"


def _given_by_cluster(holds: Effective) -> dict[str, str]:
    """Return what neither template nor policy says and that makes the pods stricter or another sandbox's."""
    isolation, runtime = holds.isolation, holds.runtime_class
    found = {name: limit.value for name, limit in holds.limits.items() if limit.source is Source.CEILING}
    if isolation.source is Source.CEILING:
        found["isolation"] = isolation.value
    if runtime is not None and runtime.source is Source.ISOLATION:
        found["runtimeClass"] = runtime.value
    return found


def is_still_good(recorded: str, hashed: str, pool: AgentPool, wanted: str) -> bool:
    """Return True if a pod of an earlier template may be an agent's that knows the present one only.

    That is one that is confined alike, by the same policy with the same fields, which `hashed` and `wanted` say, counts
    alike for quotas, and is selected alike by whatever selects pods.
    """
    if hashed.partition(".")[2] != wanted.partition(".")[2]:
        return False
    try:
        before, now = recorded_template(recorded), pool.spec.template
    except ValueError:
        return False
    return _judged_by(before) == _judged_by(now)


def _judged_by(template: PoolTemplate) -> tuple[object, ...]:
    """Return what of a template decides whether an agent may have a pod of it."""
    return (
        *(template.isolation, template.security_policy_ref, template.restart_policy),
        *(template.resources, template.pod_metadata.labels, template.connectors),
    )


def record_template(template: PoolTemplate) -> str:
    """Return what a pod says of the template that it was made from; the values of variables are not in it."""
    return template.model_dump_json(by_alias=True, exclude_defaults=True, exclude=_NOT_RECORDED)


@functools.lru_cache(maxsize=256)
def recorded_template(text: str) -> PoolTemplate:
    """Return the template that a pod was made from, but for the values of variables. Raises ValueError."""
    return PoolTemplate.model_validate_json(text)


def with_template(agent: Agent, template: PoolTemplate) -> Agent:
    """Return `agent` with what the template gives it; of variables, labels and annotations the agent's own win."""
    spec, own = agent.spec, {each.name for each in agent.spec.env}
    shared, given = template.pod_metadata, agent.spec.pod_metadata
    metadata = PodMetadata(
        labels={**shared.labels, **given.labels}, annotations={**shared.annotations, **given.annotations}
    )
    fields = {
        "image": template.image,
        "image_pull_secrets": template.image_pull_secrets,
        "resources": template.resources,
        "isolation": template.isolation,
        "node_selector": template.node_selector,
        "tolerations": template.tolerations,
        "env": (*(each for each in template.env if each.name not in own), *spec.env),
        "pod_metadata": metadata,
    }
    return _with(agent, **fields)


def with_template_policy(agent: Agent, template: PoolTemplate) -> Agent:
    """Return `agent` under the policy that the template's pods are made for, whatever it names itself."""
    return _with(agent, security_policy_ref=template.security_policy_ref)


def confined_at_least(agent: Agent, level: Isolation) -> Agent:
    """Return `agent` with the stricter of its isolation and `level`."""
    return agent if at_least(agent.spec.isolation, level) else _with(agent, isolation=level)


def _with(agent: Agent, **fields: Any) -> Agent:
    return agent.model_copy(update={"spec": agent.spec.model_copy(update=fields)})


def member(pool: AgentPool, name: str = "") -> Agent:
    """Return the agent that runs nothing whose pod each warm one is."""
    meta = Metadata(name=name or pool.metadata.name, namespace=pool.metadata.namespace)
    template = pool.spec.template
    bare = Agent(metadata=meta, spec=AgentSpec(restart_policy=template.restart_policy))
    return with_template_policy(with_template(bare, template), template)
