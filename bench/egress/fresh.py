"""How soon a gateway that starts with nothing has a thousand policies: Envoy by itself, and a pod that comes."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from bench.egress.bed import PORTS, Bed
from bench.egress.gateway import GatewayPod
from bench.egress.killed import OLD_SECONDS, await_two
from bench.row import Row, at_most
from devcluster.process import start_time
from ringfence_gateway.admin import ask
from tests.e2e.installation import GATEWAY
from tests.e2e.kube import RefusedError, address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import PodHandle

FRESH, QUICK_FRESH = 3, 1
TICKS = 100.0
QUIET = 0.4
"""Cores that the cluster may use while it is said to be quiet."""
QUIET_SECONDS = 120
_LISTENERS = "/stats?filter=listener_manager.total_listeners"


def measure_fresh(bed: Bed, namespace: str, policies: int) -> Iterator[Row]:
    """Envoy that loads in a pod that stays is one thing; what Kubernetes makes of a pod that comes is another."""
    ways: tuple[tuple[str, Callable[[], float]], ...] = (
        (
            f"Envoy alone, started anew with {policies:,} policies: process started -> all listeners active",
            lambda: _one_loaded(bed),
        ),
        (
            f"a fresh gateway pod with {policies:,} policies: processes started -> ready with all",
            lambda: _one_fresh(bed, namespace),
        ),
    )
    for what, once in ways:
        loads = []
        before, began = bed.busy(), time.monotonic()
        for _ in range(bed.count(FRESH, QUICK_FRESH)):
            loads.append(once())
            bed.progress.note(f"{what}: {loads[-1]:.2f} s")
        note = f"{', '.join(f'{each:g}' for each in loads)} s; "
        note += bed.busy().since(before, seconds=time.monotonic() - began)
        bed.keep(what, loads)
        yield at_most(f"{what}, the slowest of {len(loads)}", round(max(loads), 2), 3, "s", note)


def _one_loaded(bed: Bed) -> float:
    """End one Envoy, which its keeper starts again: nothing becomes different for Kubernetes, so nothing competes."""
    await_two(bed)
    bed.eventually(lambda: all(_is_old(each.envoy) for each in bed.gateways()), "both Envoys have run for a while")
    # A machine that others use may never be; the row says how busy it was.
    with suppress(TimeoutError):
        bed.eventually(lambda: _is_quiet(bed), "the cluster is quiet", timeout=QUIET_SECONDS)
    victim = bed.gateways()[0]
    all_of_them = _listeners(victim.envoy)
    victim.kill([victim.envoy])
    bed.eventually(lambda: _envoy_of(bed, victim) not in {0, victim.envoy}, "Envoy is started again", step=0.02)
    envoy = _envoy_of(bed, victim)
    # Not asked more often: each time, Envoy goes through all that it counts, and does not load meanwhile.
    bed.eventually(lambda: _listeners(envoy) == all_of_them, "all listeners are active", step=0.25)
    return round(time.time() - _started(envoy), 2)


def _envoy_of(bed: Bed, pod: GatewayPod) -> int:
    return next((each.envoy for each in bed.gateways() if each.uid == pod.uid), 0)


def _listeners(envoy: int) -> int:
    """Return how many listeners are active, 0 while any is not yet or Envoy does not say."""
    admin = Path(f"/proc/{envoy}/root/run/ringfence/admin.sock")
    text = asyncio.run(ask(admin, _LISTENERS, seconds=2.0)) or ""
    counts = {name.rpartition("_")[2]: int(count) for name, _, count in (x.partition(": ") for x in text.splitlines())}
    return 0 if counts.get("warming", 1) else counts["active"]


def _is_quiet(bed: Bed, *, seconds: float = 2.0) -> bool:
    before = bed.busy().ours
    time.sleep(seconds)
    return sum(cpu - before.get(name, cpu) for name, cpu in bed.busy().ours.items()) < QUIET * seconds


def _is_old(pid: int) -> bool:
    return bool(pid) and time.time() - _started(pid) > OLD_SECONDS


def _one_fresh(bed: Bed, namespace: str) -> float:
    await_two(bed)
    # Which replicas there are is told half a minute later: the writes of one replica's death are no part of the next's.
    bed.eventually(lambda: _are_told(bed, namespace), "all policies name both replicas", timeout=180, step=1.0)
    bed.rest(5)
    pods = bed.gateways()
    bed.kube.delete(address("Pod", SYSTEM_NAMESPACE, pods[0].name), gracePeriodSeconds=0)
    fresh = _newcomer(bed, {each.uid for each in pods})
    bed.eventually(lambda: _is_ready(bed, fresh), f"the new replica {fresh.name} is ready", timeout=120, step=0.02)
    ready = time.time()
    pod = GatewayPod.of(fresh.get())
    seconds = ready - max(_started(pid) for pid in (pod.envoy, pod.names) if pid)
    await_two(bed)
    return round(seconds, 2)


def _are_told(bed: Bed, namespace: str) -> bool:
    names = sorted(each.name for each in bed.gateways())
    gateways = (each["status"].get("gateway") or {} for each in bed.kube.items(address("SecurityPolicy", namespace)))
    return all([replica["name"] for replica in each.get("replicas", ())] == names for each in gateways)


def _newcomer(bed: Bed, before: set[str]) -> PodHandle:
    found: list[PodHandle] = []

    def has_come() -> bool:
        pods = bed.kube.items(address("Pod", SYSTEM_NAMESPACE), labelSelector=f"app.kubernetes.io/name={GATEWAY}")
        new = [each for each in pods if each["metadata"]["uid"] not in before]
        running = [each for each in new if GatewayPod.of(each).envoy]
        found[:] = [PodHandle(bed.kube, SYSTEM_NAMESPACE, each["metadata"]["name"]) for each in running]
        return bool(found)

    bed.eventually(has_come, "a new replica runs", timeout=120, step=0.05)
    return found[0]


def _is_ready(bed: Bed, pod: PodHandle) -> bool:
    try:
        return "ok" in bed.page(pod, "/readyz", port=PORTS["names"])
    except RefusedError:
        return False


def _started(pid: int) -> float:
    """Return when the process was started, in Unix seconds."""
    with open("/proc/uptime", encoding="ascii") as file:  # noqa: PTH123 - one number
        booted = time.time() - float(file.read().split()[0])
    return booted + (start_time(pid) or 0) / TICKS
