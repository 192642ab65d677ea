"""Where the pod of an agent with poolRef comes from, and how its pool stands: a pure function of the objects."""

from collections.abc import Iterator

from ringfence_cli.explain.line import Line
from ringfence_cli.standing import Standing
from ringfence_kube.objects import Raw, condition, name_of

_POOL, _CLAIMED_AT = "ringfence.dev/pool", "ringfence.dev/claimed-at"
_MISS = {
    "Wait": "waits for the next one, the oldest agent first",
    "Cold": "starts cold, in a pod of its own",
    "Fail": "fails",
}


def pool_lines(agent: Raw, pod: Raw | None, pool: Raw | None) -> Iterator[Line]:
    """Yield what there is to say of an agent's pool; without a pod, what it waits for."""
    source = f"AgentPool {agent['spec']['poolRef']['name']}"
    own = f"Agent {name_of(agent)}"
    yield Line("pod", _pod(agent, pod), f"Pod {name_of(pod)}" if pod else own)
    yield Line("without a warm pod", _MISS[agent["spec"].get("onMiss", "Wait")], own)
    if pool is None:
        yield Line("pool", "nothing: it does not exist, or cannot be seen", source)
        return
    standing = Standing.of(pool)
    ready = condition(pool, "Ready") or {}
    hits = f", {standing.share_of_hits} of its agents found a warm pod at once" if standing.share_of_hits else ""
    words = f"{standing.warm} of {standing.size} pods warm, {standing.claimed} claimed{hits}"
    yield Line("pool", words, source)
    if ready.get("status") != "True":
        yield Line(
            "pool", f"{ready.get('reason', 'not looked at yet')}: {ready.get('message', '')}".rstrip(": "), source
        )


def _pod(agent: Raw, pod: Raw | None) -> str:
    if pod is None:
        is_waiting = (condition(agent, "Ready") or {}).get("reason") == "NoWarmPod"
        return "none: no pod of the pool was warm" if is_waiting else "none yet"
    meta = pod["metadata"]
    claimed = (meta.get("annotations") or {}).get(_CLAIMED_AT)
    if claimed:
        return f"warm, from pool {(meta.get('labels') or {}).get(_POOL, '')}, claimed at {claimed}"
    return "made for it alone: it started cold"
