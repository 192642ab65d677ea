"""Files from ConfigMaps for agents from pools: read at the claim, since nothing can be mounted any more."""

from base64 import b64decode
from collections.abc import Mapping

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.conditions import Reason
from ringfence_operator.errors import ForbiddenError, NotFoundError
from ringfence_operator.reconcile.ports import CORE, Kube, Raw, path
from ringfence_operator.reconcile.refusal import Refusal

MOST_BYTES = 1 << 20
"""Of all files of an agent that come from ConfigMaps. They pass through the operator, which has many agents."""
MOST_FILES = 512

ConfigMaps = Mapping[str, Mapping[str, bytes]]
"""What an agent's ConfigMaps hold, by name and key."""


class GivenFiles:
    """Keeps what was read for an agent that has claimed a pod until its command runs, and no longer."""

    def __init__(self) -> None:
        self._kept: dict[str, ConfigMaps] = {}

    def keep(self, agent: Agent, found: ConfigMaps) -> None:
        """Keep this for the agent, which has a claimed pod."""
        self._kept[agent.metadata.uid] = found

    def of(self, agent: Agent) -> ConfigMaps | None:
        """Return what was read for the agent; None if nothing was, and something has to be."""
        return self._kept.get(agent.metadata.uid, None if config_maps_of(agent) else {})

    def forget(self, uid: str) -> None:
        """The agent's command runs, or never will in this pod; or the agent is gone."""
        self._kept.pop(uid, None)

    def clear(self) -> None:
        """Another replica may have led meanwhile."""
        self._kept.clear()


def config_maps_of(agent: Agent) -> list[str]:
    """Return the names of the ConfigMaps that the agent's files come from."""
    return sorted({each.config_map.name for each in agent.spec.files if each.config_map})


async def read_files(agent: Agent, kube: Kube) -> ConfigMaps | Refusal:
    """Return what the ConfigMaps of the agent's files hold, or why it cannot have that."""
    found: dict[str, dict[str, bytes]] = {}
    for name in config_maps_of(agent):
        try:
            raw = await kube.get(path(CORE, agent.metadata.namespace, "configmaps", name))
        except NotFoundError:
            message = f"ConfigMap {name} does not exist: create it, or correct spec.files"
            return Refusal(Reason.CONFIG_NOT_FOUND, message, is_stalled=False)
        except ForbiddenError:
            message = f"the operator may not read ConfigMap {name}: allow it to get configmaps, or write onMiss: Cold"
            return Refusal(Reason.NOT_GIVEN_WARM, message, is_stalled=False)
        found[name] = _content(raw, _keys_of(agent, name))
        if too_much := _too_much([len(each) for held in found.values() for each in held.values()]):
            # What is left is not worth a read: others' files have to lie in memory, too.
            return too_much
    return _lacking(agent, found) or found


def _keys_of(agent: Agent, name: str) -> set[str] | None:
    """Return the keys of the ConfigMap that the agent's files name; None where one of them is all that it holds."""
    keys = {each.config_map.key for each in agent.spec.files if each.config_map and each.config_map.name == name}
    named = {each for each in keys if each is not None}
    return named if len(named) == len(keys) else None


def _content(raw: Raw, keys: set[str] | None) -> dict[str, bytes]:
    """Return what is asked for, and no more: it is kept until the command runs."""
    given, binary = raw.get("data") or {}, raw.get("binaryData") or {}
    text = {key: value.encode() for key, value in given.items() if keys is None or key in keys}
    return text | {key: b64decode(value) for key, value in binary.items() if keys is None or key in keys}


def _lacking(agent: Agent, found: ConfigMaps) -> Refusal | None:
    sizes: list[int] = []
    for each in agent.spec.files:
        if each.config_map is None:
            continue
        name, key, held = each.config_map.name, each.config_map.key, found[each.config_map.name]
        if key is not None and key not in held:
            message = f"ConfigMap {name} has no key {key}: add it, or correct spec.files"
            return Refusal(Reason.CONFIG_NOT_FOUND, message, is_stalled=False)
        sizes += [len(held[key])] if key is not None else map(len, held.values())
    return _too_much(sizes)


def _too_much(sizes: list[int]) -> Refusal | None:
    if sum(sizes) <= MOST_BYTES and len(sizes) <= MOST_FILES:
        return None
    message = (
        f"its ConfigMaps hold {len(sizes)} files with {sum(sizes)} bytes, and a warm pod is given {MOST_FILES} with "
        f"{MOST_BYTES} at most: name keys that are needed, or write onMiss: Cold"
    )
    return Refusal(Reason.NOT_GIVEN_WARM, message, is_stalled=False)
