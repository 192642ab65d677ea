"""What is different between two JSON values, leaf by leaf."""

from typing import Any

Leaves = dict[str, Any]


def leaves(value: Any, path: str = "") -> Leaves:
    """Return each scalar, empty list and empty map by its path; elements of a list of objects go by their name."""
    if isinstance(value, dict) and value:
        return {p: leaf for key, each in value.items() for p, leaf in leaves(each, f"{path}.{key}".strip(".")).items()}
    if isinstance(value, list) and value:
        found: Leaves = {}
        for index, each in enumerate(value):
            name = each.get("mountPath", each.get("name", index)) if isinstance(each, dict) else index
            found |= leaves(each, f"{path}[{name}]")
        return found
    return {path: value}


def difference(before: Any, after: Any) -> Leaves:
    """Return the leaves of `after` that are not so in `before`; None for those that are gone."""
    old, new = leaves(before), leaves(after)
    gone = {path: None for path in old if path not in new}
    return gone | {path: value for path, value in new.items() if path not in old or old[path] != value}
