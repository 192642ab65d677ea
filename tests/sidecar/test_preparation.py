import asyncio
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from ringfence_sidecar.call import Context, Deadline
from ringfence_sidecar.configuration import Endpoint
from ringfence_sidecar.connectors.base import Connector, Effect, Operation, Outcome, Prepared
from ringfence_sidecar.errors import DeadlineError, RefusedError
from ringfence_sidecar.preparation import Preparation
from ringfence_sidecar.tracing import start
from tests.sidecar.plugin.bed import AGENT
from tests.sidecar.plugin.bed import connector as configured

SECONDS = 10.0


class Slow(Connector[None]):
    """Judges whatever is longer than a word in a thread, and takes as long over it as the test lets it."""

    kind: ClassVar[str] = "slow"

    def __init__(self) -> None:
        super().__init__(configured())
        self.go_on = threading.Event()
        self.begun: list[str] = []
        self.threads: dict[str, int] = {}

    def operations(self) -> tuple[Operation, ...]:
        return ()

    def is_long(self, operation: Operation, arguments: Any) -> bool:  # noqa: ARG002 - the base's
        return " " in arguments

    def prepare(self, operation: Operation, arguments: Any, context: Context) -> Prepared:  # noqa: ARG002 - the base's
        self.begun.append(arguments)
        self.threads[arguments] = threading.get_ident()
        if self.is_long(operation, arguments):
            assert self.go_on.wait(SECONDS)
        if "no" in arguments:
            raise RefusedError("no")
        return Prepared(operation=operation, effect=Effect.READ, payload=arguments, rule="", summary="")

    async def connect(self, endpoint: Endpoint) -> None:
        raise NotImplementedError

    async def disconnect(self, session: None) -> None:
        raise NotImplementedError

    async def health_check(self, session: None) -> None:
        raise NotImplementedError

    async def execute(self, session: None, prepared: Prepared, context: Context) -> Outcome:
        raise NotImplementedError


@pytest.fixture
def connector() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.go_on.set()


@pytest.fixture
def preparation() -> Iterator[Preparation]:
    made = Preparation()
    yield made
    made.close()


async def judge(preparation: Preparation, connector: Slow, text: str, *, seconds: float = SECONDS) -> Prepared:
    operation: Any = None
    context = Context(agent=AGENT, request_id="r-1", trace=start(), deadline=Deadline.after(seconds))
    return await preparation.prepared(connector, operation, text, context)


async def test_what_takes_no_time_is_judged_at_once(preparation: Preparation, connector: Slow) -> None:
    prepared = await judge(preparation, connector, "short")

    assert prepared.payload == "short"
    assert connector.threads == {"short": threading.get_ident()}


async def test_others_are_judged_while_a_long_one_is(preparation: Preparation, connector: Slow) -> None:
    long = asyncio.create_task(judge(preparation, connector, "rather long"))
    await asyncio.sleep(0)

    short = await judge(preparation, connector, "short")
    was_done = long.done()
    connector.go_on.set()

    assert short.payload == "short"
    assert not was_done
    assert (await long).payload == "rather long"
    assert connector.threads["rather long"] != threading.get_ident()


async def test_long_ones_are_judged_one_after_the_other(preparation: Preparation, connector: Slow) -> None:
    texts = [f"number {number}" for number in range(3)]
    tasks = [asyncio.create_task(judge(preparation, connector, text)) for text in texts]
    await asyncio.sleep(0)

    begun = list(connector.begun)
    connector.go_on.set()
    await asyncio.gather(*tasks)

    assert len(begun) <= 1
    assert connector.begun == texts
    assert len(set(connector.threads.values())) == 1


async def test_a_refusal_of_a_long_one_is_raised(preparation: Preparation, connector: Slow) -> None:
    connector.go_on.set()

    with pytest.raises(RefusedError):
        await judge(preparation, connector, "no way")


async def test_a_judgement_that_outlasts_its_call_is_given_up(preparation: Preparation, connector: Slow) -> None:
    with pytest.raises(DeadlineError):
        await judge(preparation, connector, "rather long", seconds=0.01)

    assert not connector.go_on.is_set()
