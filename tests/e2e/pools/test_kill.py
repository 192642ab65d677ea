"""Operators from source are killed (-9) at each write of a claim, some hundred times, and the real API server is, too.

No process runs in the pods: what is claimed, and by whom, is for the API server to say; so hundreds cost little.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import cycle, islice, product
from pathlib import Path

import pytest

from bench.control.server import Ports, control_server
from bench.pools.account import standing
from devcluster.cluster import find_cluster
from tests.cluster.wire import credentials_from
from tests.e2e.kube import Body, Kube, address
from tests.e2e.operator_slot import OperatorSlot
from tests.e2e.pools.api_server import ApiServer
from tests.e2e.pools.forks import Forks
from tests.e2e.pools.relay import Moment, Relay, Strike
from tests.e2e.pools.witness import Witness
from tests.e2e.replica import LOGS, PREFIX, SYSTEM_NAMESPACE
from tests.e2e.world import IMAGE, World
from tests.ports import free_port

STEPS = ("PATCH pods", "PUT agents/status", "POST pods", "PUT agentpools/status")
"""The two writes of a claim, and what comes after it: refill, and the pool's own status."""
WAYS = tuple(product(STEPS, Moment))
KILLS, MANY_KILLS = 10 * len(WAYS), 30 * len(WAYS)
SERVER_WAYS = ((STEPS[0], Moment.BEFORE), (STEPS[0], Moment.LOST), (STEPS[1], Moment.LOST))
"""Where the API server is killed; each time it takes seconds until it is back."""
SIZE, AGENTS_EACH = 6, 2
STRUCK_SECONDS = 2.0
"""A write that another operator has done already does not come."""
CLAIMED_SECONDS = 30
"""Nobody else does the writes of one that is alone."""
SETTLED_SECONDS = 120
CONTROL = "ringfence-sidecar-control"
OPERATORS = pytest.mark.parametrize(
    "lags", [pytest.param((0.0,), id="one"), pytest.param((0.1, 0.1), id="two-that-lead-at-once")]
)
"""How many seconds late each one's watches are."""


class Crowd:
    """A pool, those who claim from it, and operators that are killed."""

    def __init__(self, world: World, forks: Forks, scratch: Path) -> None:
        self.world = world
        self.kube = world.kube
        self.kills = 0
        self._forks = forks
        self._scratch = scratch
        self._relays: list[Relay] = []
        self._ports: list[int] = []
        self._pids: dict[int, int] = {}
        self._made = 0

    def add(self, relay: Relay) -> None:
        """Have one more operator, which goes by that relay."""
        self._relays.append(relay)
        self._ports.append(free_port())

    def pool(self) -> None:
        """Create the pool; none of its pods finds a node."""
        template = {"image": IMAGE, "nodeSelector": {"rf-e2e": "nowhere"}}
        self.world.named("AgentPool", "pool", api="ringfence.dev/v1alpha1", spec={"size": SIZE, "template": template})

    def claim(self, count: int) -> None:
        """Create so many agents that claim."""
        for _ in range(count):
            self._made += 1
            meta = {"name": f"agent-{self._made:04}", "namespace": self.world.namespace}
            spec = {"poolRef": {"name": f"pool-{self.world.tag}"}, "command": ["sleep", "3600"]}
            # They go with their namespace.
            self.kube.create({"apiVersion": "ringfence.dev/v1alpha1", "kind": "Agent", "metadata": meta, "spec": spec})

    def start(self, number: int) -> None:
        """Start the operator of that number, unless it runs."""
        if number not in self._pids:
            self._pids[number] = self._forks.start(self._environment(number))

    def strike(self, number: int, step: str, moment: Moment) -> None:
        """Have agents claim, and the operator end at that write, or soon where the write does not come."""
        relay = self._relays[number]
        self.start(number)
        relay.arm(Strike(step, moment, self._pids[number]))
        self.claim(AGENTS_EACH)
        self.kills += relay.struck.wait(STRUCK_SECONDS)
        relay.disarm()
        self._forks.kill(self._pids.pop(number))

    def strike_server(self, server: ApiServer, step: str, moment: Moment) -> None:
        """Have more agents claim than there are pods, and the API server end at that write; return once it is back.

        The operator finds them in line, and lives on.
        """
        self._kill_all()
        self.claim(SIZE + AGENTS_EACH)
        relay = self._relays[0]
        relay.arm(Strike(step, moment, server.pid))
        try:
            self.start(0)
            assert relay.struck.wait(CLAIMED_SECONDS), f"no {step}"
        finally:
            relay.disarm()
            if relay.struck.is_set():
                server.start_again()

    def settle(self) -> tuple[list[Body], list[Body]]:
        """Have one operator alone until everything is as it should be; return agents and pods."""
        self._kill_all()
        self.start(0)
        return self.until_settled()

    def until_settled(self) -> tuple[list[Body], list[Body]]:
        """Wait until everything is as it should be; return agents and pods."""
        deadline = time.monotonic() + SETTLED_SECONDS
        while True:
            agents = self.kube.items(address("Agent", self.world.namespace))
            pods = self.kube.items(address("Pod", self.world.namespace))
            found = standing(agents, pods)
            if not any((found.unserved, found.doubled, found.misled, found.stray)) and len(pods) - len(agents) == SIZE:
                return agents, pods
            assert time.monotonic() < deadline, f"{len(pods)} pods of {len(agents)} agents: {found}"
            time.sleep(0.5)

    def _kill_all(self) -> None:
        for number in list(self._pids):
            self._forks.kill(self._pids.pop(number))

    def _environment(self, number: int) -> dict[str, str]:
        settings = {
            "namespace": SYSTEM_NAMESPACE,
            "identity": f"killed-{number}",
            "http_port": str(self._ports[number]),
            # Each leads at once, and beside any other: nothing but the API server keeps them apart.
            "leader_elect": "false",
            "egress_backend": "none",
            "starter_image": "docker.io/ringfence/starter:none",
            # The second one has no control process, which serves only one.
            "control_socket": str(self._scratch / ("control.sock" if number == 0 else "none.sock")),
        }
        kubeconfig = self._scratch / f"{number}.kubeconfig"
        kubeconfig.write_text(json.dumps(_kubeconfig(self._relays[number].port)))
        kubeconfig.chmod(0o600)
        return {**{PREFIX + name.upper(): text for name, text in settings.items()}, "KUBECONFIG": str(kubeconfig)}


def _kubeconfig(port: int) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "relay", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "relay", "user": {"token": "given by the relay"}}],
        "contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "relay"}}],
        "current-context": "relay",
    }


@pytest.fixture
def crowd(kube: Kube, kubeconfig: Path, operator_slot: OperatorSlot) -> Iterator[Callable[..., Crowd]]:
    """Make a crowd with an operator for each `lag`: how many seconds late its watches are."""
    operator_slot.stop()
    LOGS.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        world = stack.enter_context(World(kube, ""))
        world.namespace = world.new_namespace("kill")
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringfence-")))
        _control_service(world)
        ports = Ports.beside(scratch)
        stack.enter_context(control_server(ports, LOGS / f"control-{world.tag}.log"))

        def make(*lags: float) -> Crowd:
            forks = stack.enter_context(Forks(LOGS / f"killed-{world.tag}.log").running())
            made = Crowd(world, forks, scratch)
            for lag in lags:
                made.add(stack.enter_context(Relay(credentials_from(kubeconfig), lag=lag).running()))
            return made

        yield make


@pytest.fixture
def server(kube: Kube, kubeconfig: Path) -> ApiServer:
    """The API server of the bare-machine cluster that the tests have."""
    found = find_cluster(os.environ.get("RINGFENCE_CLUSTER") or kubeconfig.stem)
    if found is None or found.server != credentials_from(kubeconfig).server:
        pytest.skip("the API server is another cluster's, and not ours to kill")
    return ApiServer(found, kube)


def _control_service(world: World) -> None:
    """Pools' pods are told its address; nobody in this test asks there."""
    path = address("Service", SYSTEM_NAMESPACE, CONTROL)
    if world.kube.get(path) is None:
        body = {"metadata": {"name": CONTROL, "namespace": SYSTEM_NAMESPACE}, "spec": {"ports": [{"port": 18443}]}}
        world.make({"apiVersion": "v1", "kind": "Service", **body})


def kill_over_and_over(crowd: Crowd, operators: int, count: int) -> Witness:
    """Kill by turns at each write and moment; return what was seen of the pods."""
    with Witness(crowd.kube, crowd.world.namespace).following() as witness:
        crowd.pool()
        for number in range(operators):
            crowd.start(number)
        for turn, (step, moment) in enumerate(islice(cycle(WAYS), count)):
            # The other one goes on meanwhile.
            for number in range(operators):
                crowd.start(number)
            # The next time round, the other one dies at this write.
            crowd.strike((turn + turn // len(WAYS)) % operators, step, moment)
        agents, pods = crowd.settle()
    assert len(agents) == count * AGENTS_EACH
    assert {pod["metadata"]["uid"] for pod in pods} <= witness.owners.keys()
    return witness


def assert_one_for_each(crowd: Callable[..., Crowd], lags: tuple[float, ...], count: int) -> None:
    made = crowd(*lags)

    witness = kill_over_and_over(made, len(lags), count)

    assert [owners for owners in witness.owners.values() if len(owners) > 1] == []
    assert witness.returned == set()
    # With two, the other one often has done the write that was waited for.
    assert made.kills >= count // (2 * len(lags)), f"only {made.kills} kills at a write; see {LOGS}"


@pytest.mark.timeout(280)
@OPERATORS
def test_each_agent_has_one_pod_and_each_pod_one_agent_wherever_operators_are_killed(
    crowd: Callable[..., Crowd], lags: tuple[float, ...]
) -> None:
    assert_one_for_each(crowd, lags, KILLS)


@pytest.mark.long
@pytest.mark.timeout(1800)
@OPERATORS
def test_so_it_is_when_they_are_killed_many_times_more(crowd: Callable[..., Crowd], lags: tuple[float, ...]) -> None:
    assert_one_for_each(crowd, lags, MANY_KILLS)


@pytest.mark.timeout(280)
# The API server that it starts outlives it.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_so_it_is_where_the_api_server_is_killed_amid_claims_and_the_operator_lives_on(
    crowd: Callable[..., Crowd], server: ApiServer
) -> None:
    made = crowd(0.0)
    witness = Witness(made.kube, made.world.namespace)
    made.pool()
    made.start(0)

    for step, moment in SERVER_WAYS:
        with witness.following():
            made.until_settled()
            made.strike_server(server, step, moment)
    with witness.following():
        made.until_settled()
        agents, pods = made.settle()

    assert len(agents) == len(SERVER_WAYS) * (SIZE + AGENTS_EACH)
    assert {pod["metadata"]["uid"] for pod in pods} <= witness.owners.keys()
    assert [owners for owners in witness.owners.values() if len(owners) > 1] == []
    assert witness.returned == set()
