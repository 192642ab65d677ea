"""The control process's door for starters, over real TLS and the operator's real socket."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from ringfence_operator.control.reports import BadPollError
from ringfence_operator.control.sidecars import STRANGER_SECONDS
from ringfence_operator.control.starters import PATH, starter_poll_of
from tests.operator.control.sidecar_side import HERE, POD, Door, Line, door, token

ORDER: dict[str, Any] = {"version": "o1", "agent": {"uid": "a-uid"}, "command": ["run"]}
NO_ORDER: dict[str, Any] = {"version": "none", "agent": None}
OTHER_POD = "22222222-2222-2222-2222-222222222222"


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Door]:
    async with door(tmp_path) as found:
        yield found


def ask(line: Line, bearer: str = "", **body: Any) -> None:
    line.begin(bearer or token(), path=PATH, **{"protocol": 1, "version": "", **body})


async def test_a_starter_waits_and_is_told_within_a_moment_of_the_claim(at: Door) -> None:
    at.order(None)
    line = await at.line()
    ask(line)
    first = await at.seen(uid=POD)

    begin = time.monotonic()
    at.order(ORDER)
    reply = await line.hear()

    assert (first["kind"], first["started"], first["agentUid"]) == ("starterSeen", False, "")
    assert (reply.status, orjson.loads(reply.body)) == (200, ORDER)
    assert time.monotonic() - begin < 0.5


async def test_a_warm_starter_is_told_nothing(at: Door) -> None:
    at.order(None)
    line = await at.line()

    ask(line, waitSeconds=0)

    reply = await line.hear()
    assert (reply.status, reply.body) == (204, b"")


async def test_a_starter_that_holds_an_order_is_told_at_once_that_there_is_none_any_more(at: Door) -> None:
    at.order(ORDER)
    line = await at.line()
    ask(line, version="o1")
    await at.seen(uid=POD)

    at.order(None)
    reply = await line.hear()

    assert (reply.status, orjson.loads(reply.body)) == (200, NO_ORDER)


async def test_an_order_that_was_taken_back_while_nobody_asked_is_taken_back_from_who_asks_next(at: Door) -> None:
    at.order(None)
    line = await at.line()

    ask(line, version="o1")

    assert orjson.loads((await line.hear()).body) == NO_ORDER


@pytest.mark.parametrize("held", [{"version": "none"}, {"version": "o1", "started": True, "agentUid": "a-uid"}])
async def test_who_has_taken_an_order_back_or_carried_it_out_is_not_told_that_there_is_none(
    at: Door, held: dict[str, Any]
) -> None:
    at.order(None)
    line = await at.line()

    ask(line, waitSeconds=0, **held)

    assert (await line.hear()).status == 204


async def test_an_order_that_comes_again_after_it_was_taken_back_is_told_again(at: Door) -> None:
    at.order(None)
    line = await at.line()
    ask(line, version="none")
    await at.seen(uid=POD)

    at.order(ORDER)

    assert orjson.loads((await line.hear()).body) == ORDER


async def test_a_starter_of_before_that_refuses_to_have_no_order_has_refused_nothing(at: Door) -> None:
    at.order(None)
    line = await at.line()

    ask(line, version="none", refused="the order is malformed: agent.uid is not a UID", waitSeconds=0)

    assert (await at.seen(uid=POD))["refused"] == ""


async def test_who_holds_the_order_of_a_pod_that_is_gone_hears_so_before_it_would_wait_for_a_new_pod(
    at: Door,
) -> None:
    line = await at.line()
    begin = time.monotonic()

    ask(line, version="o1")
    reply = await line.hear()

    assert reply.status == 503
    assert time.monotonic() - begin < STRANGER_SECONDS / 2


async def test_what_a_starter_has_it_is_not_told_again(at: Door) -> None:
    at.order(ORDER)
    line = await at.line()

    ask(line, version="o1", waitSeconds=0)

    assert (await line.hear()).status == 204


async def test_that_it_has_handed_over_is_told_at_once_and_once(at: Door) -> None:
    at.order(ORDER)
    line = await at.line()
    done: dict[str, Any] = {
        "version": "o1",
        "agentUid": "a-uid",
        "started": True,
        "inside": {"closed": True, "wayOut": None},
    }

    begin = time.monotonic()
    for _ in range(2):
        ask(line, waitSeconds=0, **done)
        await line.hear()
    report = await at.seen(uid=POD)

    assert time.monotonic() - begin < 0.5
    assert (report["agentUid"], report["started"], report["inside"]) == ("a-uid", True, done["inside"])
    await asyncio.sleep(0)
    assert at.reports.empty()


async def test_a_refusal_reaches_the_operator(at: Door) -> None:
    at.order(ORDER)
    line = await at.line()

    ask(line, refused="another agent's", agentUid="b-uid", waitSeconds=0)

    assert (await at.seen(uid=POD))["refused"] == "another agent's"


async def test_a_pod_that_is_gone_is_told_nothing(at: Door) -> None:
    at.order(None)
    line = await at.line()
    ask(line)
    await at.seen(uid=POD)

    at.operator.say("starterGone", uid=POD)

    assert (await line.hear()).status == 503


@pytest.mark.parametrize("address", ["127.0.0.77", "127.0.0.78"])
async def test_a_token_counts_from_its_pods_address_only(at: Door, address: str) -> None:
    at.order(ORDER)
    line = await at.line(address)

    ask(line)

    assert (await line.hear()).status == 403


async def test_a_token_that_the_api_server_does_not_vouch_for_is_refused(at: Door) -> None:
    at.vouch = lambda _: OTHER_POD
    at.order(ORDER)
    line = await at.line()

    ask(line)

    assert (await line.hear()).status == 401


async def test_a_pod_may_have_both_and_each_is_told_its_own(at: Door) -> None:
    at.order(None)
    at.operator.say("sidecar", uid=POD, address=HERE, configuration=None)
    starter, sidecar = await at.line(), await at.line()
    ask(starter)
    await at.seen(kind="starterSeen")
    warm = await sidecar.poll(token(), waitSeconds=0)
    sidecar.begin(token())

    at.publish()
    configured = await sidecar.hear()
    at.order(ORDER)
    ordered = await starter.hear()

    assert warm.status == 204
    assert (configured.status, orjson.loads(configured.body)["version"]) == (200, "v1")
    assert (ordered.status, orjson.loads(ordered.body)) == (200, ORDER)


async def test_what_is_withdrawn_of_one_of_both_is_the_others_still(at: Door) -> None:
    at.order(ORDER)
    at.publish()

    at.operator.say("sidecarGone", uid=POD)
    line = await at.line()
    ask(line, waitSeconds=0)
    starter, sidecar = await line.hear(), await at.poll(token())

    assert (starter.status, sidecar.status) == (200, 503)


@pytest.mark.parametrize("is_starter", [True, False])
async def test_starter_and_sidecar_are_not_told_what_is_the_others_and_may_try_again(
    at: Door, is_starter: bool
) -> None:
    line = await at.line()
    if is_starter:
        at.order(ORDER)
        line.begin(token())
    else:
        at.publish()
        ask(line)

    reply = await line.hear()

    assert reply.status == 503
    assert at.reports.empty()


async def test_an_order_that_cannot_be_understood_keeps_nobody_else_from_being_served(at: Door) -> None:
    at.order({"no": "version"}, pod=OTHER_POD)
    at.order(ORDER)
    line = await at.line()

    ask(line)

    assert (await line.hear()).status == 200


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"protocol": 2},
        {"waitSeconds": "1"},
        {"waitSeconds": True},
        {"started": "yes"},
        {"refused": 1},
        {"agentUid": None},
        {"version": 1},
        {"inside": {"closed": 1}},
    ],
)
def test_a_poll_of_another_form_is_refused(body: Any) -> None:
    with pytest.raises(BadPollError):
        starter_poll_of(body, longest=25)


def test_a_poll_waits_as_long_as_it_says_within_bounds() -> None:
    found = [starter_poll_of({"waitSeconds": each}, longest=25).wait_seconds for each in (None, -1, 3, 99)]

    assert found == [25, 0, 3, 25]


def test_texts_are_cut_to_what_a_status_has_room_for() -> None:
    assert len(starter_poll_of({"refused": "x" * 9999}, longest=1).report["refused"]) == 1024
