"""What an execution is made of: a manifest as people have it for kubectl."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ringfence.errors import ExecutionError

Template = Mapping[str, Any] | str | os.PathLike[str]
_LONGEST = 56
"""An agent's name has at most 63 characters, of which we add seven."""


def manifest_of(template: Template | None) -> Mapping[str, Any]:
    """Return the Agent that a template is, or the only one in the YAML file that it names. Raises ValueError."""
    if template is None:
        return {}
    found = [template] if isinstance(template, Mapping) else _documents(Path(template))
    agents = [each for each in found if isinstance(each, Mapping) and each.get("kind") == "Agent"]
    if len(agents) != 1:
        raise ValueError(f"a template is one manifest of kind Agent: {len(agents)} found; write the others elsewhere")
    return agents[0]


def name_for(manifest: Mapping[str, Any]) -> str:
    """Return a name that no other execution of this template has."""
    name = (manifest.get("metadata") or {}).get("name") or "execution"
    return f"{str(name)[:_LONGEST].rstrip('-')}-{secrets.token_hex(3)}"


def _documents(path: Path) -> list[Any]:
    try:
        from yaml import YAMLError, safe_load_all  # noqa: PLC0415 - inside of an agent, it is not there
    except ImportError as error:
        raise ExecutionError(f"what reads YAML is not installed: pip install 'ringfence[outside]' ({error})") from error
    try:
        return list(safe_load_all(path.read_text(encoding="utf-8")))
    except YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
