"""How soon limits are kept by the kernel, the kubelet and the operator, from inside of agents on a real node."""

import time
from collections.abc import Iterator
from datetime import datetime

from bench.quota.cluster import Cluster
from bench.row import Row, at_most, for_comparison
from tests.e2e.kube import Body, RefusedError
from tests.e2e.world import AgentHandle, QuotaHandle, World, reason_of

AT_ONCE_MS = 100.0
MEBIBYTES, MILLICORES, DISK = 64, 500, 32
OVER = 1.2
"""Of a second's cores: the kernel deals them out in tenths, and one more may begin or end in it."""
POD_SECONDS, LATE_SECONDS = 10, 5.0
FORKS = 2_000
KILL = 9
SAMPLES, QUICK_SAMPLES = 10, 2
EVICTIONS, QUICK_EVICTIONS = 3, 1


def measure_node(bed: Cluster) -> Iterator[Row]:
    """Each row of the table that no call is needed for: one agent goes beyond its limit, and is seen to be stopped."""
    count, few = bed.count(SAMPLES, QUICK_SAMPLES), bed.count(EVICTIONS, QUICK_EVICTIONS)
    with World(bed.kube, "default") as world:
        quota = world.quota(
            _limit("memory", f"{MEBIBYTES}Mi"),
            _limit("cpu", f"{MILLICORES}m"),
            _limit("ephemeralStorage", f"{DISK}Mi"),
        )
        agent = world.agent(quotaRef=quota.ref, isolation="Basic")
        agent.until_ready()
        yield _memory(bed, agent, count)
        yield _cpu(bed, agent, count)
        # Each process takes memory, too: under the limit of 64 MiB, that would end first.
        roomy = world.agent("roomy", isolation="Basic")
        roomy.until_ready()
        yield from _pids(bed, world, roomy)
    yield _disk(bed, few)
    yield from _agents(bed, count)
    yield from _pod_seconds(bed, few)


def _limit(resource: str, most: str | int, **more: str) -> Body:
    return {"resource": resource, "max": most, **more}


def _memory(bed: Cluster, agent: AgentHandle, count: int) -> Row:
    found = [agent.pod.script("hog", 2 * MEBIBYTES, seconds=60) for _ in range(count)]
    bed.keep("memory", found)
    if any(each["signal"] != KILL for each in found):
        raise RuntimeError(f"the kernel did not kill what took more than it may: {found}")
    most, slowest = max(each["mebibytes"] for each in found), max(each["ms"] for each in found)
    said = f"it had {most} MiB at most; its limit is the container's, in which other processes were, too"
    what = f"memory, {MEBIBYTES}Mi: last MiB that was granted -> killed, slowest of {count}"
    return at_most(what, round(slowest, 1), AT_ONCE_MS, "ms", said)


def _cpu(bed: Cluster, agent: AgentHandle, count: int) -> Row:
    found = [agent.pod.script("burn", 2, 1) for _ in range(count)]
    bed.keep("cpu", found)
    most = max(each["cpu"] / each["seconds"] for each in found) / (MILLICORES / 1000)
    what = f"cpu, {MILLICORES}m: what two busy processes got of it in a second, the most of {count}"
    return at_most(what, round(most, 2), OVER, "x")


def _pids(bed: Cluster, world: World, agent: AgentHandle) -> Iterator[Row]:
    try:
        world.quota(_limit("pids", 100), name="pids")
        said = "taken"
    except RefusedError:
        said = "refused"
    yield Row("pids: a Quota that limits them, which nothing could keep", "refused", said, "", said == "refused")
    found = agent.pod.script("fork", FORKS, seconds=90)
    bed.keep("pids", found)
    note = f"after {found['forked']} forks, {found['error'] or 'no error'}"
    refused = found.get("ms", float("inf"))
    yield at_most("  podPidsLimit of the kubelet: fork -> refused", round(refused, 2), AT_ONCE_MS, "ms", note)


def _disk(bed: Cluster, count: int) -> Row:
    """The kubelet looks at disks at intervals, so this is as quick as it is."""
    seconds = []
    for _ in range(count):
        with World(bed.kube, "default") as world:
            quota = world.quota(_limit("ephemeralStorage", f"{DISK}Mi"))
            agent = world.agent(quotaRef=quota.ref, isolation="Basic")
            agent.until_ready()
            agent.pod.script("fill", "/var/tmp/flood", 2 * DISK)
            began = time.perf_counter()
            bed.kube.until(agent.pod.path, _is_evicted, seconds=140)
            seconds.append(round(time.perf_counter() - began, 1))
    bed.keep("ephemeralStorage", seconds)
    what = f"ephemeralStorage, {DISK}Mi: passed -> evicted, slowest of {count}"
    return for_comparison(what, max(seconds), "s", f"least {min(seconds)} s: by the kubelet's own intervals")


def _is_evicted(pod: Body | None) -> bool:
    return pod is None or pod["status"].get("reason") == "Evicted"


def _agents(bed: Cluster, count: int) -> Iterator[Row]:
    with World(bed.kube, "default") as world:
        quota = world.quota(_limit("agents", 1, scope="Shared"))
        world.agent("holder", quotaRef=quota.ref).until_ready()
        found, pods = _too_many(world, quota, count)
    bed.keep("agents", found)
    yield at_most("agents: pods made beyond the limit", pods, 0, "", f"{count} agents too many, one after the other")
    yield for_comparison("  create -> told that there is no place, slowest", max(found), "ms")


def _too_many(world: World, quota: QuotaHandle, count: int) -> tuple[list[float], int]:
    """Return milliseconds until each of so many further agents is told that it may not run, and how many have a pod."""
    found, made = [], []
    for number in range(count):
        began = time.perf_counter()
        agent = world.agent(f"late-{number}", quotaRef=quota.ref)
        agent.until_reason("QuotaExceeded")
        found.append(round((time.perf_counter() - began) * 1000, 1))
        made.append(agent)
    return found, sum(world.kube.get(each.pod.path) is not None for each in made)


def _pod_seconds(bed: Cluster, count: int) -> Iterator[Row]:
    lags, found, pods = [], [], 0
    for _ in range(count):
        with World(bed.kube, "default") as world:
            quota = world.quota(_limit("podSeconds", POD_SECONDS, window="Hour", scope="Shared"))
            agent = world.agent("first", quotaRef=quota.ref)
            agent.until_ready()
            started = datetime.fromisoformat(agent.pod.get()["status"]["startTime"]).timestamp()
            agent.until(lambda body: reason_of(body) == "QuotaExceeded")
            lags.append(round(time.time() - started - POD_SECONDS, 2))
            taken, made = _too_many(world, quota, 1)
            found += taken
            pods += made
    bed.keep("podSeconds", lags)
    note = "the start is known to the second, so up to one of it is that; the pod has its grace period besides"
    what = f"podSeconds, Shared, {POD_SECONDS}: used up -> told and ended, slowest of {count}"
    yield at_most(what, max(lags), LATE_SECONDS, "s", note)
    yield at_most("  pods made after that", pods, 0, "")
    yield for_comparison("  create -> told that there is nothing left, slowest", max(found), "ms")
