"""What is read on a real cluster: by `get`, `top`, `explain` and `logs`, and to complete a name."""

from tests.e2e.cli.program import Program
from tests.e2e.world import World


def test_explain_names_the_object_that_each_limit_comes_from(alone: World, ringfence: Program) -> None:
    quota = alone.quota({"resource": "memory", "max": "64Mi"})
    policy = alone.policy(maxExecutionTime="1h", network={"cidrs": [{"cidr": "203.0.113.0/24"}]})
    agent = alone.agent(securityPolicyRef={"name": policy}, quotaRef=quota.ref)
    agent.until_ready()

    found = ringfence.run("explain", agent.name, "-o", "json").document()

    limits = {each["name"]: (each["value"], each["source"]) for each in found["limits"]}
    assert limits["memory"] == ("64Mi", f"Quota {quota.name}")
    assert limits["maxExecutionTime"] == ("1h", f"SecurityPolicy {policy}")
    assert limits["readOnlyRoot"] == ("true", "isolation Container")
    assert [each["value"] for each in found["network"]] == ["203.0.113.0/24 on every port"]
    assert found["quotas"][0]["source"] == f"Quota {quota.name}"
    assert (found["state"], found["unseen"]) == ("Running", [])


def test_get_and_top_show_how_much_of_a_limit_is_used(alone: World, ringfence: Program) -> None:
    quota = alone.quota({"resource": "agents", "max": "4", "scope": "Shared"})
    agent = alone.agent(quotaRef=quota.ref)
    agent.until_ready()
    quota.until(lambda it: bool(it and it["status"]["limits"][0].get("used") == "1"))

    (row,) = ringfence.run("top", quota.name, "-o", "json").document()
    listed = ringfence.run("get", "agents").out.splitlines()

    assert (row["resource"], row["used"], row["percent"]) == ("agents", "1", 25)
    (line,) = [each for each in listed if each.startswith(agent.name)]
    assert "agents 1/4 (25%)" in line


def test_top_goes_on_until_it_is_interrupted(alone: World, ringfence: Program) -> None:
    alone.quota({"resource": "memory", "max": "64Mi"})

    with ringfence.start("top", "--watch", "--interval", "0.5") as process:
        assert process.stdout is not None
        heads = 0
        while heads < 2:
            heads += process.stdout.readline().startswith("QUOTA")
        process.send_signal(2)
        process.stdout.read()

    assert process.returncode == 0


def test_logs_of_a_task_end_with_it(alone: World, ringfence: Program) -> None:
    task = alone.agent(mode="Task", command=["sh", "-c", "echo one; sleep 2; echo two"])
    task.until(lambda it: bool(it and it.get("status", {}).get("state") == "Running"))

    ran = ringfence.run("logs", task.name, "--follow")

    assert (ran.code, ran.out) == (0, "one\ntwo\n")


def test_names_are_completed_from_the_cluster(alone: World, ringfence: Program) -> None:
    agent = alone.agent("completed", suspend=True)
    asking = {
        "_RINGFENCE_COMPLETE": "bash_complete",
        "COMP_WORDS": f"ringfence --namespace {alone.namespace} explain complet",
        "COMP_CWORD": "4",
    }

    ran = Program(ringfence.kubeconfig, ringfence.namespace, asking).run()

    assert ran.out.split() == [f"plain,{agent.name}"]


def test_doctor_names_an_agent_whose_policy_is_missing(alone: World, ringfence: Program) -> None:
    agent = alone.agent(securityPolicyRef={"name": "no-such-policy"})
    agent.until_reason("PolicyNotFound")

    ran = ringfence.run("doctor", "-o", "json")

    told = [each["sentence"] for each in ran.document() if each["check"] == "agents" and each["level"] == "broken"]
    assert ran.code == 1
    assert any(f"{agent.name}: PolicyNotFound" in each for each in told), told
