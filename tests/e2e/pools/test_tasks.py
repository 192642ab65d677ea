"""Agents from a pool that come to an end, and what of them stays."""

from tests.e2e.pools.pools import claimant, pool
from tests.e2e.world import World, is_true, message_of, reason_of

QUICK = {"limit": 1, "initialDelay": "1s", "maxDelay": "1s"}


def test_a_task_ends_in_the_pod_that_it_has_claimed_which_never_comes_back(world: World) -> None:
    of = pool(world, 1, restartPolicy="Never")
    ((name, uid),) = of.pods().items()

    agent = claimant(world, of, command=["sh", "-c", "echo done"], mode="Task")
    ended = agent.until_reason("Succeeded")
    of.until_warm(1)

    assert ended["status"]["state"] == "Succeeded"
    assert is_true(ended, "Complete")
    assert (ended["status"]["podName"], ended["status"]["podUID"]) == (name, uid)
    assert of.handle(name).logs() == "done\n"
    assert uid not in of.pods().values()


def test_a_task_that_fails_is_tried_again_in_another_pod(world: World) -> None:
    of = pool(world, 2, restartPolicy="Never")

    agent = claimant(world, of, command=["sh", "-c", "exit 3"], mode="Task", backoff=QUICK)
    ended = agent.until_reason("BackoffLimitExceeded", seconds=120)

    assert ended["status"]["failures"] == 2
    assert ended["status"]["lastExit"]["code"] == 3


def test_a_tasks_time_counts_from_the_claim_and_the_object_goes_after_its_end(world: World) -> None:
    of = pool(world, 1, restartPolicy="Never")

    agent = claimant(world, of, mode="Task", maxExecutionTime="5s", ttlAfterFinished="5s")
    agent.until_reason("DeadlineExceeded")

    agent.until_gone()


def test_a_service_that_is_to_end_well_ends(world: World) -> None:
    of = pool(world, 1, restartPolicy="OnFailure")

    agent = claimant(world, of, command=["true"], restartPolicy="OnFailure")

    agent.until_reason("Succeeded")


def test_a_task_takes_no_pod_that_would_be_started_again(world: World) -> None:
    of = pool(world, 1)
    warm = of.pods()

    agent = claimant(world, of, mode="Task")
    refused = agent.until_reason("PoolRestartsOtherwise")

    assert "write restartPolicy: Never in spec.template" in message_of(refused)
    assert of.pods() == warm
    assert reason_of(agent.get()) == "PoolRestartsOtherwise"
