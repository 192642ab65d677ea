"""Warm pods on a real node: who gets one, what runs in it, and what it can reach."""

import json
from itertools import product

import pytest

from tests.e2e.escape.ways import look_up, tls, tunnel
from tests.e2e.kube import Body, Kube, RefusedError, address
from tests.e2e.pools.pools import HOLD, Claimed, claimant, claimed, lines, pool
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.tenant import tenant
from tests.e2e.world import NO_REGISTRY, SCRIPTS, PodHandle, World, condition

GUESS = """
import ssl, sys, time, urllib.error, urllib.request
https = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), https)
said = {"Authorization": "Bearer guess", "Content-Type": "application/json"}
for _ in range(40):  # of the operator's replicas only one serves
    try:
        print(opener.open(urllib.request.Request(sys.argv[1], b"{}", said), timeout=5).status)
    except urllib.error.HTTPError as error:
        print(error.code)
        break
    except OSError:
        time.sleep(0.1)
"""
OTHER_IMAGE = f"{NO_REGISTRY}/other"
SAYS = "echo uid=$(id -u); echo greeting=$GREETING; echo own=$OWN; cat /tmp/note; echo"


def test_an_agent_becomes_a_warm_pod_with_its_command_environment_and_files(world: World) -> None:
    of = pool(world, 1, env=[{"name": "GREETING", "value": "from the template"}])
    (warm,) = of.pods().items()

    got = claimed(
        world,
        of,
        SAYS,
        env=[{"name": "OWN", "value": "from the agent"}],
        files=[{"path": "/tmp/note", "content": "a note"}],
    )

    status = got.body["status"]
    assert (status["podName"], status["podUID"]) == warm
    assert "managedFields" not in got.pod.get()["metadata"]
    assert lines(got, 4) == [
        "uid=65532",
        "greeting=from the template",
        "own=from the agent",
        "a note",
    ]


def test_nothing_of_a_users_runs_in_a_warm_pod(world: World) -> None:
    of = pool(world, 1)
    (name,) = of.pods()
    listing = "import glob\nfor each in glob.glob('/proc/[0-9]*/cmdline'):\n  print(open(each).read().split('\\0')[0])"

    programs = set(of.handle(name).output("python3", "-c", listing, container="agent").split())

    assert programs == {"/run/ringfence/starter", "python3"}


def put_other_image(by: Kube, pod: PodHandle, place: str = "containers") -> Body:
    """Have another image in the pod's containers, as `kubectl set image` does; return the pod."""
    return by.merge(pod.path, {"spec": {place: [{**each, "image": OTHER_IMAGE} for each in pod.get()["spec"][place]]}})


def test_nobody_puts_another_image_into_a_pools_pod(world: World) -> None:
    somebody = tenant(world)
    of = pool(world, 2)
    got = claimed(world, of)
    (warm, *_) = of.pods()
    plain = world.pod("plain")

    for pod, place in product((of.handle(warm), got.pod), ("containers", "initContainers")):
        with pytest.raises(RefusedError, match="images of a pool's pod are the operator's"):
            put_other_image(somebody, pod, place)
    changed = put_other_image(somebody, plain)

    assert [each["image"] for each in changed["spec"]["containers"]] == [OTHER_IMAGE]


def test_the_pool_fills_up_and_a_claimed_pod_never_comes_back(world: World) -> None:
    of = pool(world, 2)
    before = of.pods()

    got = claimed(world, of)
    of.until_warm(2)
    after = of.pods()
    got.agent.delete()
    got.pod.until_gone()

    assert got.body["status"]["podUID"] in before.values()
    assert got.body["status"]["podUID"] not in after.values()
    assert len(after) == 2
    assert got.body["status"]["podUID"] not in of.pods().values()


def test_names_and_connections_of_a_claimed_pod_are_its_policys(world: World) -> None:
    policy = world.policy(network={"allowedDomains": [{"name": "api.test"}]})
    of = pool(world, 1, securityPolicyRef={"name": policy})
    (name,) = of.pods()
    ways = [each for host in ("api.test", "other.test") for each in (look_up(host), tls(host), tunnel(f"{host}:443"))]
    source = (SCRIPTS / "fetch.py").read_text()

    before = of.handle(name).script("fetch", [look_up("api.test"), tls("api.test")], container="agent")
    got = claimed(
        world,
        of,
        command=["sh", "-c", f'python3 /tmp/fetch.py "$0"; echo\n{HOLD}', json.dumps(ways)],
        files=[{"path": "/tmp/fetch.py", "content": source}],
        securityPolicyRef={"name": policy},
    )
    found = json.loads(lines(got)[0])
    allowed, refused = found[:3], found[3:]

    assert ["refused" in each for each in before] == [True, True], before
    assert ["refused" in each for each in allowed] == [False, False, False], allowed
    assert ["refused" in each for each in refused] == [True, True, True], refused


def test_an_agent_waits_for_the_next_warm_pod(world: World) -> None:
    of = pool(world, 1)
    of.empty()

    agent = claimant(world, of)
    agent.until_reason("NoWarmPod")
    of.change(size=1)

    agent.until_ready()


def test_an_agent_that_does_not_want_to_wait_starts_cold_or_fails(world: World) -> None:
    of = pool(world, 1)
    of.empty()

    cold = Claimed(agent := claimant(world, of, "echo cold", "cold", onMiss="Cold"), agent.until_ready())
    failed = claimant(world, of, name="fails", onMiss="Fail")
    failed.until_reason("NoWarmPod")

    assert cold.pod.name == agent.name
    assert lines(cold) == ["cold"]
    assert condition(failed.get(), "Stalled") is not None


def test_another_template_replaces_warm_pods_and_leaves_claimed_ones(world: World) -> None:
    of = pool(world, 2)
    got = claimed(world, of)
    of.until_warm(2)
    before = of.pods()

    of.change(template={"env": [{"name": "GREETING", "value": "new"}]})
    of.world.kube.until(of.path, lambda _: not before.items() & of.pods().items(), seconds=120)
    of.until_warm(2)
    new = claimed(world, of, "echo greeting=$GREETING", "new")

    assert got.agent.until_ready()["status"]["podUID"] == got.body["status"]["podUID"]
    assert lines(new) == ["greeting=new"]


def test_agents_outlive_their_pool(world: World) -> None:
    of = pool(world, 2)
    got = claimed(world, of)
    of.until_warm(2)
    warm = of.pods()

    world.kube.delete(of.path)
    for each in warm:
        of.handle(each).until_gone()

    assert got.agent.until_ready()["status"]["podUID"] == got.body["status"]["podUID"]


def test_a_warm_pod_that_dies_is_replaced(world: World) -> None:
    of = pool(world, 1)
    ((name, uid),) = of.pods().items()

    of.handle(name).delete(gracePeriodSeconds=0)
    of.world.kube.until(of.path, lambda _: uid not in of.pods().values())
    of.until_warm(1)

    assert list(of.pods().values()) != [uid]


def test_a_quotas_limits_are_in_force_before_the_command_runs(world: World) -> None:
    quota = world.quota({"resource": "memory", "max": "100Mi"}, {"resource": "cpu", "max": "150m"})
    of = pool(world, 1)
    script = {"path": "/tmp/limits.py", "content": (SCRIPTS / "limits.py").read_text()}

    got = claimed(world, of, "python3 /tmp/limits.py; echo", files=[script], quotaRef={"name": quota.name})

    assert json.loads(lines(got)[0]) == {"memory": 100 << 20, "millicores": 150}


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/run/ringfence/start.json', 'w')",
        "open('/etc/resolv.conf', 'w')",
        "open('/run/ringfence/starter', 'wb')",
        "open('/var/run/ringfence/token/token').read()",
        "__import__('os').kill(1, 0) or __import__('os').listdir('/proc/1/root/var/run/ringfence/token')",
    ],
)
def test_an_agent_changes_nothing_of_what_it_was_started_with_and_reads_no_token(world: World, attempt: str) -> None:
    got = claimed(world, pool(world, 1))

    tried = got.pod.exec("python3", "-c", attempt, container="agent")

    assert tried.code != 0
    assert any(word in tried.err for word in ("Permission", "Read-only", "No such file")), tried.err


def test_the_control_server_tells_an_agent_nothing(world: World) -> None:
    got = claimed(world, pool(world, 1))
    service = world.kube.get(address("Service", SYSTEM_NAMESPACE, "ringfence-sidecar-control"))
    assert service is not None
    place = f"https://{service['spec']['clusterIP']}:18443/v1/starter/poll"

    tried = got.pod.output("python3", "-c", GUESS, place, container="agent", seconds=60)

    assert tried.split() == ["401"]
