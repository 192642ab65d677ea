"""How soon limits on the network are kept: on bytes and connections at the gateway, on bandwidth by the node."""

import json
import time
from collections.abc import Iterator

from bench.quantile import quantile
from bench.quota.cluster import Cluster
from bench.row import Row, at_most, for_comparison
from tests.e2e.quotas.network.team import MEGA, Team, on_bytes, on_connections, until_open
from tests.e2e.quotas.test_node_bandwidth import BURST, RATE, SENDING
from tests.e2e.world import SCRIPTS, AgentHandle, World

COUNT, QUICK = 20, 3
ASKED = 5.0
"""Seconds from over-use to the cut."""
WAIT_SECONDS = 60.0
MOST, TRIES = 4, 24
CONNECTION_MS = 100.0
BANDWIDTH_OVER = 1.1


def measure_network(bed: Cluster) -> Iterator[Row]:
    """Bytes, then connections, then bandwidth."""
    yield from _bytes(bed)
    yield from _connections(bed)
    yield _bandwidth(bed)


def _bytes(bed: Cluster) -> list[Row]:
    """One agent uses up what two share: its own connection is cut to the byte, the other's when that has got about."""
    lags, beyond = [], []
    with bed.progress.step("limits used up", announce=True):
        for number in range(bed.count(COUNT, QUICK)):
            with World(bed.kube, "default") as world:
                lag, over = _use_up(world)
            lags.append(lag)
            beyond.append(over)
            bed.progress.note(f"{number + 1}: {lag:.2f} s, {over} bytes")
    bed.keep("networkBytes", [{"seconds": lag, "beyond": over} for lag, over in zip(lags, beyond, strict=True)])
    what = "networkBytes, Shared: used up by one agent -> an open connection of another cut"
    return [
        for_comparison(f"{what}, p50 of {len(lags)}", round(quantile(lags, 0.5), 2), "s"),
        at_most(f"{what}, the longest", round(max(lags), 2), ASKED, "s"),
        for_comparison("  received beyond the limit by who used it up, the most", max(beyond), "bytes"),
    ]


def _use_up(world: World) -> tuple[float, int]:
    """Return the seconds from the first agent's cut to the other's, and the bytes that the first got beyond."""
    team = Team(world, [on_bytes(20 * MEGA, scope="Shared")])
    one = team.agent("one")
    keep = (SCRIPTS / "keep.py").read_text()
    other = team.agent("other", command=["python3", "-c", keep, "api.test"])
    until_open(one)
    _until_logged(other, "open")
    found = one.pod.script("fetch_bytes", "api.test", 100 * MEGA, seconds=90)
    return max(0.0, _until_logged(other, "cut") - found["at"]), max(0, found["received"] - 20 * MEGA)


def _until_logged(agent: AgentHandle, state: str) -> float:
    """Return when the agent's own connection came to that state, in Unix seconds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        for line in agent.pod.logs().splitlines():
            at, _, what = json.loads(line)
            if what == state:
                return float(at)
        time.sleep(0.2)
    raise RuntimeError(f"the connection was not {state} within {WAIT_SECONDS:g} s")


def _connections(bed: Cluster) -> list[Row]:
    """One agent opens more than it may, over two ports of two replicas, and keeps what it gets."""
    with World(bed.kube, "default") as world:
        one = Team(world, [on_connections(MOST)]).agent("one")
        until_open(one)
        found = [one.pod.script("hold", "api.test", TRIES, seconds=90) for _ in range(bed.count(5, 1))]
    bed.keep("networkConnections", found)
    over = max(each["open"] for each in found) - MOST
    refused = [ms for each in found for ms in each["refused"]]
    slowest = max(refused, default=float("inf"))
    return [
        at_most(f"networkConnections, {MOST}: open beyond the limit", over, 0, "", f"{len(refused)} were refused"),
        at_most("  one too many -> refused, slowest", round(slowest, 1), CONNECTION_MS, "ms"),
    ]


def _bandwidth(bed: Cluster) -> Row:
    """A visitor pulls from an agent, whose node lets a burst through at full speed before the limit is felt."""
    with World(bed.kube, "default") as world:
        visitor = world.pod("visitor", labels={"role": f"friend-{world.tag}"})
        rule = {"from": [{"podSelector": {"matchLabels": {"role": f"friend-{world.tag}"}}}], "ports": [{"port": 8080}]}
        policy = world.policy(network={"ingress": [rule]})
        quota = world.quota({"resource": "networkBandwidth", "max": f"{RATE * 8:.0f}"})
        agent = world.agent(command=SENDING, quotaRef=quota.ref, securityPolicyRef={"name": policy})
        agent.until_ready()
        course = visitor.script("pull", agent.pod.ips()[0], 8080, seconds=200)["course"]
    bed.keep("networkBandwidth", course)
    began, had = next((seconds, count) for seconds, count in course if count >= BURST)
    second = next((seconds, count) for seconds, count in course if seconds >= began + 1.0)
    ratio = (second[1] - had) / (second[0] - began) / RATE
    said = f"{BURST / 2**20:.0f} MiB came in {began:.1f} s before"
    what = "networkBandwidth, 200M: rate in the second after the node's burst, of the limit"
    return at_most(what, round(ratio, 2), BANDWIDTH_OVER, "x", said)
