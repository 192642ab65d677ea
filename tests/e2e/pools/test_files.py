"""Files from ConfigMaps in pods that have started before anybody named them."""

from base64 import b64encode
from typing import Any

from tests.e2e.kube import Body
from tests.e2e.pools.pools import Claimed, claimant, claimed, lines, pool
from tests.e2e.world import World, condition, message_of


def config_map(world: World, name: str = "code", **content: Any) -> Body:
    found: Body = world.named("ConfigMap", name, **content)
    return found


def test_a_key_and_a_whole_config_map_are_files_of_the_claimed_pod(world: World) -> None:
    code = config_map(
        world, data={"a.txt": "from a", "b.txt": "from b"}, binaryData={"c.bin": b64encode(b"\x00\x01\x02").decode()}
    )["metadata"]["name"]
    of = pool(world, 1)
    (warm,) = of.pods().values()

    got = claimed(
        world,
        of,
        "cat /tmp/one; echo; ls /tmp/all | tr '\\n' ' '; echo; cat /tmp/all/b.txt; echo; wc -c < /tmp/all/c.bin",
        files=[
            {"path": "/tmp/one", "configMap": {"name": code, "key": "a.txt"}},
            {"path": "/tmp/all", "configMap": {"name": code}},
        ],
    )

    assert got.body["status"]["podUID"] == warm
    assert [each.strip() for each in lines(got, 4)] == ["from a", "a.txt b.txt c.bin", "from b", "3"]


def test_a_large_config_map_arrives_whole(world: World) -> None:
    size = 900_000
    code = config_map(world, data={"large": "x" * size})["metadata"]["name"]

    got = claimed(world, pool(world, 1), "wc -c < /tmp/large", files=[{"path": "/tmp/large", "configMap": {"name": code, "key": "large"}}])  # fmt: skip  # noqa: E501

    assert [each.strip() for each in lines(got)] == [str(size)]


def test_a_config_map_that_comes_later_is_waited_for_and_no_pod_is_taken_meanwhile(world: World) -> None:
    of = pool(world, 1)
    warm = of.pods()
    name = f"later-{world.tag}"

    agent = claimant(world, of, "cat /tmp/x; echo", files=[{"path": "/tmp/x", "configMap": {"name": name, "key": "k"}}])
    refused = agent.until_reason("ConfigNotFound")
    meanwhile = of.pods()
    config_map(world, "later", data={"k": "here"})
    got = Claimed(agent, agent.until_ready())

    assert f"ConfigMap {name} does not exist" in message_of(refused)
    assert meanwhile == warm
    assert lines(got) == ["here"]


def test_more_than_a_warm_pod_is_given_starts_cold_where_the_agent_says_so(world: World) -> None:
    names = [config_map(world, f"part-{each}", data={"k": "x" * 600_000})["metadata"]["name"] for each in "ab"]
    files = [{"path": f"/tmp/{name}", "configMap": {"name": name, "key": "k"}} for name in names]
    of = pool(world, 1)
    warm = of.pods()

    refused = claimant(world, of, name="refused", files=files)
    refused.until_reason("NotGivenWarm")
    cold = claimant(world, of, "cat /tmp/part* | wc -c", "cold", files=files, onMiss="Cold")
    got = Claimed(cold, cold.until_ready())

    assigned = condition(got.body, "Assigned")
    assert assigned is not None
    assert assigned["reason"] == "StartedCold"
    assert [each.strip() for each in lines(got)] == ["1200000"]
    assert of.pods() == warm
