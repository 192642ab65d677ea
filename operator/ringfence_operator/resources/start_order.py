"""What the starter of a claimed pod is told: the agent's command, and what it finds around it."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import PoolTemplate
from ringfence_operator.api.environment import File
from ringfence_operator.resources.observed import digest
from ringfence_operator.resources.pod import NOWHERE
from ringfence_operator.resources.way_out import WayOut

FILE_MODE = 0o444


def build_start_order(
    agent: Agent, template: PoolTemplate, way_out: WayOut | None, config_maps: Mapping[str, Mapping[str, bytes]]
) -> dict[str, Any]:
    """Return the order as it goes over the wire (docs/design/2026-11-30-pools.md), but for its version.

    `agent` is as its author wrote it. `config_maps` has what those of its files hold, by name and key. The template's
    variables are in the container already; of ours, it gets those that neither of the two sets, as a pod has them that
    is made for its agent.
    """
    spec, meta = agent.spec, agent.metadata
    set_already = {each.name for each in (*template.env, *spec.env)}
    ours = way_out.environment() if way_out else []
    return {
        "agent": {"namespace": meta.namespace, "name": meta.name, "uid": meta.uid},
        "command": list(spec.command),
        "args": list(spec.args),
        "workingDir": spec.working_dir or "",
        "env": [
            *(each for each in ours if each["name"] not in set_already),
            *({"name": each.name, "value": each.value or ""} for each in spec.env),
        ],
        "files": [
            {"path": path, "mode": FILE_MODE, "content": b64encode(content).decode()}
            for each in spec.files
            for path, content in _files(each, config_maps)
        ],
        "resolvConf": resolv_conf((way_out or NOWHERE).dns_config()),
        "wayOut": f"http://{way_out.proxy}" if way_out and way_out.has_proxy else "",
    }


def _files(file: File, config_maps: Mapping[str, Mapping[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    if file.config_map is None:
        yield file.path, (file.content or "").encode()
        return
    held, key = config_maps[file.config_map.name], file.config_map.key
    if key is not None:
        yield file.path, held[key]
    else:
        yield from ((f"{file.path}/{name}", content) for name, content in sorted(held.items()))


def versioned(order: dict[str, Any]) -> dict[str, Any]:
    """Return the order with its version, which another order does not have."""
    return {"version": digest(order), **order}


def resolv_conf(dns_config: dict[str, Any]) -> str:
    """Return the file that the kubelet makes of a pod's dnsConfig."""
    searches = dns_config.get("searches", ())
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {each}" for each in dns_config["nameservers"]]
    return "\n".join(lines) + "\n"
