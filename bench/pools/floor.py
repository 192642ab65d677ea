"""What three writes take by themselves: the load generator makes, without an operator, those of a claim."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from bench.bed import finished
from bench.generator import Steps
from bench.manifests import AGENTS, PODS, Raw
from bench.pools.account import AGENT
from bench.pools.bed import CONDITION, PoolBed
from bench.pools.claims import POOL, RATE, SECONDS, scaled
from bench.pools.manifests import claimant
from bench.row import Row, for_comparison

SAMPLE = "sample"
_MERGE, _JSON = "application/merge-patch+json", "application/json"


def measure_floor(bed: PoolBed) -> Iterator[Row]:
    """The claims of `rate`, whose pods and status the generator writes one after the other itself."""
    size, count = scaled(bed, POOL), int(RATE * scaled(bed, SECONDS))
    namespace, prefix = bed.namespace(), "floor"
    with bed.operating():
        bed.fill(namespace, size)
        bed.create(AGENTS.format(namespace), claimant(), SAMPLE)
        bed.eventually(lambda: _is_assigned(bed.api.get(f"{AGENTS.format(namespace)}/{SAMPLE}")), "a claimed pod")
        bed.until_warm(namespace, size)
    agent = bed.api.get(f"{AGENTS.format(namespace)}/{SAMPLE}")
    assert agent is not None
    steps = steps_of(agent, bed.pods(namespace), [f"{prefix}-{number:05d}" for number in range(count)])
    bed.rest()
    before, began = bed.busy(), time.monotonic()
    load = finished(bed.start_claims(namespace, prefix=prefix, count=count, rate=RATE, steps=steps))
    after, seconds = bed.busy(), time.monotonic() - began
    bed.keep(prefix, [(each.sent, each.acked, each.ready) for each in load.samples])
    bed.clear(namespace)
    what = f"the same three writes, {RATE:g}/s, without an operator"
    note = after.since(before, seconds=seconds, load=load.cpu)
    yield for_comparison(f"{what}: created -> Assigned, p50", round(load.ready(0.5), 1), "ms", note)
    yield for_comparison("  p99", round(load.ready(0.99), 1), "ms")
    cpu = after.machine - before.machine - load.cpu
    yield for_comparison("  CPU per 1,000: machine", round(cpu / count * 1000, 1), "s")


def steps_of(agent: Raw, pods: Sequence[Raw], names: Sequence[str]) -> Steps:
    """Return what the operator wrote for `agent`, to be written for agents of these names: a warm pod for each."""
    mine = next(each for each in pods if each["metadata"]["labels"].get(AGENT) == agent["metadata"]["name"])
    warm = [each for each in pods if AGENT not in each["metadata"]["labels"]][: len(names)]
    found = zip(names, warm, strict=True)
    return {name: [_claim(mine, pod, name), _status(agent, mine, pod, name)] for name, pod in found}


def _claim(mine: Raw, pod: Raw, name: str) -> dict[str, Any]:
    old, new = pod["metadata"], mine["metadata"]
    owner = {**new["ownerReferences"][0], "name": name, "uid": "{uid}"}
    body = {
        "uid": old["uid"],
        "resourceVersion": old["resourceVersion"],
        "ownerReferences": [owner],
        "labels": _added(old["labels"], new["labels"]) | {AGENT: name},
        "annotations": _added(old["annotations"], new["annotations"]),
        "managedFields": [{}],
    }
    return _step("PATCH", f"{PODS.format(old['namespace'])}/{old['name']}", _MERGE, {"metadata": body})


def _status(agent: Raw, mine: Raw, pod: Raw, name: str) -> dict[str, Any]:
    meta, status = agent["metadata"], dict(agent["status"])
    for field, value in status.items():
        if value in (mine["metadata"]["name"], mine["metadata"]["uid"]):
            key = "name" if value == mine["metadata"]["name"] else "uid"
            status[field] = pod["metadata"][key]
    body = {
        "apiVersion": agent["apiVersion"],
        "kind": agent["kind"],
        "metadata": {"name": name, "namespace": meta["namespace"], "uid": "{uid}", "resourceVersion": "{version}"},
        "status": status,
    }
    return _step("PUT", f"{AGENTS.format(meta['namespace'])}/{name}/status", _JSON, body)


def _step(method: str, path: str, kind: str, body: Raw) -> dict[str, Any]:
    return {"method": method, "path": path, "type": kind, "body": body}


def _added(old: Raw, new: Raw) -> Raw:
    return {name: value for name, value in new.items() if old.get(name) != value}


def _is_assigned(agent: Raw | None) -> bool:
    conditions = (agent or {}).get("status", {}).get("conditions", [])
    return any(each["type"] == CONDITION and each["status"] == "True" for each in conditions)
