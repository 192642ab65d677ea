"""What a Connector permits."""

from collections.abc import Iterator

from ringfence_kube.objects import Raw

_LISTS = {
    "statements": "statements",
    "tables": "reads",
    "writableTables": "writes",
    "functions": "calls functions",
    "procedures": "calls procedures",
}


def permissions(connector: Raw) -> Iterator[str]:
    """Yield what agents may do through a connector."""
    spec = connector["spec"]
    if "snowflake" in spec:
        yield from _snowflake(spec["snowflake"].get("permissions") or {})
    elif "rabbitmq" in spec:
        yield from _rabbitmq(spec["rabbitmq"].get("permissions") or {})
    else:
        kind = (spec.get("plugin") or {}).get("kind", "a plugin")
        yield f"what its package permits: kind {kind}"


def _snowflake(given: Raw) -> Iterator[str]:
    found = [f"{words} {', '.join(given[name])}" for name, words in _LISTS.items() if given.get(name)]
    yield from found or ["nothing: no permission is given"]


def _rabbitmq(given: Raw) -> Iterator[str]:
    found = [
        f"{kind} {each['pattern']}: {', '.join(each['verbs'])}"
        for kind in ("exchanges", "queues")
        for each in given.get(kind) or ()
    ]
    yield from found or ["nothing: no permission is given"]
