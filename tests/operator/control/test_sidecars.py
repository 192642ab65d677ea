"""The control process's door for sidecars, over real TLS and the operator's real socket."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from ringfence_operator.control.allowance import MOST_OPEN, NEW_AT_ONCE, NEW_PER_SECOND, REQUESTS_AT_ONCE
from tests.operator.control.sidecar_side import HERE, POD, Door, configuration, door, token

OTHER = "127.0.0.77"


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Door]:
    async with door(tmp_path) as found:
        yield found


async def test_a_sidecar_is_served_what_the_operator_says_is_its(at: Door) -> None:
    at.publish(redis={"url": "redis://r", "username": "u", "password": "p", "prefix": "rf:{team}:"})

    reply = await at.poll(token())

    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    redis = {"url": "redis://r", "username": "u", "password": "p", "prefix": "rf:{team}:"}
    assert orjson.loads(reply.body) == configuration(redis=redis)


async def test_a_poll_waits_for_news_and_is_answered_within_a_second_of_it(at: Door) -> None:
    at.publish()
    line = await at.line()
    await line.poll(token())
    line.begin(token(), version="v1")
    await _reported(at)

    begin = time.monotonic()
    at.publish(version="v2")
    reply = await line.hear()

    assert time.monotonic() - begin < 1
    assert (reply.status, orjson.loads(reply.body)["version"]) == (200, "v2")


async def test_without_news_a_poll_is_answered_204_and_the_connection_is_kept(at: Door) -> None:
    at.publish()
    line = await at.line()

    first = await line.poll(token(), version="v1", waitSeconds=0)
    second = await line.poll(token(), version="v1", waitSeconds=0.05)

    assert (first.status, first.body, second.status) == (204, b"", 204)


async def test_a_sidecar_that_is_quicker_than_the_operators_watch_waits_for_it(at: Door) -> None:
    line = await at.line()
    line.begin(token())
    at.operator.say("sidecar", uid="another", address=OTHER, configuration=configuration())

    at.publish()
    reply = await line.hear()

    assert reply.status == 200


async def test_nothing_older_than_what_a_sidecar_has_is_served(at: Door) -> None:
    at.publish(version="old", connectors={"c": 4})
    line = await at.line()

    reply = await line.poll(token(), version="new", generations={"c": 5}, waitSeconds=0)
    line.begin(token(), version="new", generations={"c": 5})
    await _reported(at)
    at.publish(version="newer", connectors={"c": 6})

    assert reply.status == 204
    assert orjson.loads((await line.hear()).body)["version"] == "newer"


async def test_what_was_made_from_an_older_agent_is_not_served(at: Door) -> None:
    at.publish(version="old", agent=4)
    line = await at.line()

    reply = await line.poll(token(), version="new", generations={"agent": 5}, waitSeconds=0)
    at.publish(version="newer", agent=5)
    served = await line.poll(token(), version="new", generations={"agent": 5}, waitSeconds=0)

    assert reply.status == 204
    assert orjson.loads(served.body)["version"] == "newer"


async def test_a_connector_that_is_taken_away_is_news(at: Door) -> None:
    at.publish(version="without", connectors={})

    reply = await at.poll(token(), version="with", generations={"c": 5})

    assert orjson.loads(reply.body)["version"] == "without"


async def test_nobody_listens_before_the_operator_has_said_all(tmp_path: Path) -> None:
    async with door(tmp_path, is_synced=False) as at:
        at.publish()

        with pytest.raises(ConnectionRefusedError):
            await at.line()


async def test_an_operator_that_goes_takes_all_connections_with_it(at: Door) -> None:
    at.publish()
    line = await at.line()
    await line.poll(token())

    at.operator.close()

    assert await line.is_closed()
    with pytest.raises(OSError, match=r".*"):
        await at.line()


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"iss": "https://elsewhere"}, "another issuer"),
        ({"aud": ["https://kubernetes.default.svc"]}, "audience is not ringfence-control"),
        ({"exp": 1_000}, "has expired"),
        ({"nbf": int(time.time()) + 3_600}, "has expired, or does not hold yet"),
        ({"kubernetes.io": {"namespace": "team"}}, "not bound to a pod"),
    ],
)
async def test_a_token_that_cannot_be_good_is_refused_and_nobody_is_asked(
    at: Door, claims: dict[str, Any], says: str
) -> None:
    at.publish()
    line = await at.line()

    reply = await line.poll(token(**claims))

    assert (reply.status, at.reviews) == (401, [])
    assert says in orjson.loads(reply.body)["message"]
    assert await line.is_closed()


async def test_a_token_of_another_pod_than_it_comes_from_is_refused_and_nobody_is_asked(at: Door) -> None:
    at.publish()

    reply = await at.poll(token(), address=OTHER)

    assert (reply.status, at.reviews) == (403, [])


async def test_a_token_is_asked_about_once_whether_it_is_good_or_not(at: Door) -> None:
    at.publish()
    at.vouch = lambda bearer: POD if bearer == good else ""
    good, bad = token(), token(jti="forged")

    statuses = [(await at.poll(each, waitSeconds=0)).status for each in (good, bad, good, bad)]

    assert statuses == [200, 401, 200, 401]
    assert at.reviews == [good, bad]


async def test_what_the_api_server_vouches_for_as_another_pods_is_refused(at: Door) -> None:
    at.publish()
    at.vouch = lambda _: "another"

    reply = await at.poll(token())

    assert reply.status == 401


async def test_an_api_server_that_cannot_be_asked_makes_it_try_again(at: Door) -> None:
    at.publish()
    at.vouch = lambda _: None
    unknown = await at.poll(token())

    at.vouch = lambda _: POD
    known = await at.poll(token())

    assert (unknown.status, unknown.headers["retry-after"], known.status) == (503, "1", 200)


async def test_a_pod_may_have_few_new_tokens_asked_about(at: Door) -> None:
    at.publish()
    at.vouch = lambda _: ""

    statuses = [(await at.poll(token(jti=str(each)))).status for each in range(7)]

    assert statuses == [401] * 5 + [429] * 2
    assert len(at.reviews) == 5


async def test_a_pod_that_is_gone_is_served_no_more_although_its_token_was_good(at: Door) -> None:
    at.publish()
    line = await at.line()
    await line.poll(token())
    line.begin(token(), version="v1")
    await _reported(at)

    at.operator.say("sidecarGone", uid=POD)

    assert (await line.hear()).status == 503


async def test_a_pod_whose_address_is_another_now_is_served_there_alone(at: Door) -> None:
    at.publish()
    await at.poll(token())

    at.publish(address=OTHER, version="v2")
    there = await at.poll(token(), address=OTHER)
    here = await at.poll(token())

    assert (here.status, there.status) == (403, 200)


async def test_a_poll_that_waits_where_its_pod_no_longer_is_is_told_no_news(at: Door) -> None:
    at.publish()
    line = await at.line()
    await line.poll(token())
    line.begin(token(), version="v1")
    await _reported(at)

    at.publish(address=OTHER, version="v2")

    assert (await line.hear()).status == 403


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /v1/sidecar/poll HTTP/1.1\n\n", 405),
        ("POST / HTTP/1.1\n\n", 404),
        ("POST /v1/sidecar/poll HTTP/1.1\n\n", 401),
        ("POST /v1/sidecar/poll HTTP/1.0\n\n", 400),
        ("POST /v1/sidecar/poll HTTP/1.1\nno header\n\n", 400),
        ("POST /v1/sidecar/poll HTTP/1.1\nContent-Length: 1\ncontent-length: 2\n\n", 400),
        ("POST /v1/sidecar/poll HTTP/1.1\nAuthorization: Bearer {good}\n\n", 411),
        ("POST /v1/sidecar/poll HTTP/1.1\nAuthorization: Bearer {good}\nContent-Length: -1\n\n", 411),
        ("POST /v1/sidecar/poll HTTP/1.1\nAuthorization: Bearer {good}\nTransfer-Encoding: chunked\n\n", 411),
        ("POST /v1/sidecar/poll HTTP/1.1\nAuthorization: Bearer {good}\nContent-Length: 99999999\n\n", 413),
        ("POST /v1/sidecar/poll HTTP/1.1\nAuthorization: Bearer {good}\nContent-Length: 4\n\nnull", 400),
        ("POST /v1/sidecar/poll HTTP/1.1\nAuthorization: Bearer {good}\nContent-Length: 1\n\n{{", 400),
        ("POST /v1/sidecar/poll HTTP/1.1\nX: " + "x" * 20_000 + "\n\n", 431),
        ("POST /v1/sidecar/poll HTTP/1.1\nAuthorization: Bearer " + "x" * 9_000 + "\nContent-Length: 2\n\n{{}}", 401),
    ],
)
async def test_what_is_no_poll_is_refused_and_closed(at: Door, head: str, status: int) -> None:
    at.publish()
    line = await at.line()

    reply = await line.say(head.format(good=token()))

    assert reply.status == status
    assert await line.is_closed()
    assert at.reviews == []


async def test_one_address_has_few_connections_at_once_and_no_other_is_kept_waiting(at: Door) -> None:
    at.publish()

    begin = time.monotonic()
    outcomes = [await _outcome(at, OTHER) for _ in range(int(NEW_AT_ONCE) + 20)]
    seconds = time.monotonic() - begin
    reply = await at.poll(token())

    assert outcomes.count("open") <= NEW_AT_ONCE + NEW_PER_SECOND * seconds + 1
    assert reply.status == 200
    assert at.control.sidecar_connections <= MOST_OPEN + 2


async def test_connections_that_an_agent_holds_do_not_keep_its_sidecar_away(at: Door) -> None:
    at.publish()
    for _ in range(MOST_OPEN):
        await at.line()

    reply = await at.poll(token())

    assert reply.status == 200


async def test_a_sidecar_that_was_let_in_keeps_its_connection_whatever_its_agent_opens(at: Door) -> None:
    at.publish()
    line = await at.line()
    await line.poll(token())
    for _ in range(int(NEW_AT_ONCE) + 5):
        await _outcome(at, HERE)
    for _ in range(int(REQUESTS_AT_ONCE) - 2):
        at_most = await line.poll(token(), version="v1", waitSeconds=0)

    assert at_most.status == 204


async def test_a_sidecar_that_polls_too_often_is_answered_more_slowly(at: Door) -> None:
    at.publish()
    line = await at.line()
    begin = time.monotonic()

    for _ in range(int(REQUESTS_AT_ONCE) + 6):
        reply = await line.poll(token(), version="v1", waitSeconds=0)

    assert reply.status == 204
    assert time.monotonic() - begin > 0.3


async def test_what_sidecars_report_is_told_once_and_again_only_when_it_is_other(at: Door) -> None:
    at.publish()
    line = await at.line()
    health = {"connector": "c", "generation": 1, "endpoint": "e", "healthy": True, "latencyMs": 10.0}

    for latency in (10.0, 10.5, 11.0):
        await line.poll(token(), version="v1", waitSeconds=0, health=[{**health, "latencyMs": latency}])
    first = await at.seen()
    await line.poll(token(), version="v1", waitSeconds=0, health=[{**health, "latencyMs": 11.5}])
    await line.poll(token(), version="v1", waitSeconds=0, health=[{**health, "healthy": False, "reason": "Lost"}])
    second = await at.seen()

    assert (first["uid"], first["version"], first["health"][0]["healthy"]) == (POD, "v1", True)
    assert (second["health"][0]["healthy"], second["health"][0]["reason"]) == (False, "Lost")
    assert first["cacheReachable"] is None
    assert first["inside"] is None


async def test_how_a_sidecar_finds_its_network_is_told_and_again_when_it_is_other(at: Door) -> None:
    at.publish()
    line = await at.line()

    await line.poll(token(), version="v1", waitSeconds=0, inside={"closed": True})
    first = await at.seen()
    await line.poll(token(), version="v1", waitSeconds=0, inside={"closed": True, "wayOut": True, "more": 1})
    second = await at.seen()

    assert first["inside"] == {"closed": True, "wayOut": None}
    assert second["inside"] == {"closed": True, "wayOut": True}


async def test_when_something_of_a_limit_is_free_again_is_told_where_a_sidecar_says_it(at: Door) -> None:
    at.publish()
    line = await at.line()
    use = {"quotaUid": "q", "resource": "apiCalls", "window": "Hour", "shared": False, "used": 3}

    await line.poll(token(), version="v1", waitSeconds=0, uses=[{**use, "resetsAt": 1.8e9}, use])
    seen = await at.seen()
    replies = [
        await (await at.line()).poll(token(), version="v1", waitSeconds=0, uses=[{**use, "resetsAt": wrong}])
        for wrong in ("soon", -1, 1e12)
    ]

    assert [each.get("resetsAt") for each in seen["uses"]] == [1.8e9, None]
    assert [each.status for each in replies] == [400, 400, 400]


async def test_what_no_status_could_say_is_refused_or_cut_to_what_it_can(at: Door) -> None:
    at.publish()
    line = await at.line()
    use = {"quotaUid": "q", "resource": "apiCalls", "window": "Hour", "shared": False, "used": 3}
    health = {"connector": "c", "endpoint": "e", "generation": 1, "healthy": True, "latencyMs": 1e15}

    replies = [
        await (await at.line()).poll(token(), version="v1", waitSeconds=0, uses=[{**use, wrong: 1e12}])
        for wrong in ("refusedAt", "warnedAt")
    ]
    await line.poll(token(), version="v1", waitSeconds=0, uses=[{**use, "refusals": 2**40}], health=[health])
    seen = await at.seen()

    assert [each.status for each in replies] == [400, 400]
    assert seen["uses"][0]["refusals"] == seen["health"][0]["latencyMs"] == 2**31 - 1


async def test_what_sidecars_used_of_limits_is_told(at: Door) -> None:
    at.publish()
    line = await at.line()
    use = {"quotaUid": "q", "resource": "apiCalls", "window": "Hour", "shared": False, "used": 3, "refusals": 1}

    await line.poll(token(), version="v1", waitSeconds=0, uses=[{**use, "refusedAt": 5.5, "more": "ignored"}])
    first = await at.seen()
    await line.poll(token(), version="v1", waitSeconds=0, uses=[{**use, "used": 4}])
    second = await at.seen()

    never = {"refusedAt": 0.0, "warned": 0.0, "warnedAt": 0.0}
    assert first["uses"] == [{**use, **never, "used": 3.0, "refusedAt": 5.5}]
    assert second["uses"] == [{**use, **never, "used": 4.0}]


@pytest.mark.parametrize(
    "body",
    [
        {"protocol": 2},
        {"version": 1},
        {"health": {}},
        {"health": [{"connector": "c"}]},
        {"health": [{"connector": "c", "generation": 1, "endpoint": "e", "healthy": "yes"}]},
        {"cacheReachable": "yes"},
        {"inside": True},
        {"inside": {"closed": "yes"}},
        {"inside": {"closed": True, "wayOut": 1}},
        {"uses": {}},
        {"uses": [1]},
        {"uses": [{"quotaUid": "q", "resource": "apiCalls", "window": "Hour", "shared": False}]},
        {"uses": [{"quotaUid": "q", "resource": "apiCalls", "window": "Hour", "shared": False, "used": -1}]},
        {"uses": [{"quotaUid": "q", "resource": "apiCalls", "window": "Hour", "shared": False, "used": 1e300}]},
        {"generations": {"c": "1"}},
        {"waitSeconds": "1"},
    ],
)
async def test_a_poll_of_another_form_is_refused_and_says_why(at: Door, body: dict[str, Any]) -> None:
    at.publish()

    reply = await at.poll(token(), **body)

    assert reply.status == 400
    assert "the body is no poll" in orjson.loads(reply.body)["message"]


async def test_a_configuration_that_cannot_be_understood_keeps_nobody_else_from_being_served(
    at: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    at.operator.say("sidecar", uid="broken", address=OTHER, configuration={"password": "hidden"})
    at.publish()

    reply = await at.poll(token())

    assert reply.status == 200
    assert "hidden" not in "".join(capsys.readouterr())


async def test_a_certificate_that_is_renewed_serves_new_connections_and_cuts_none(at: Door) -> None:
    at.publish()
    line = await at.line()
    await line.poll(token())

    at.operator.identify(at.authority, "renewed.example")
    await at.until_unknown()
    reply = await line.poll(token(), version="v1", waitSeconds=0)

    assert reply.status == 204


async def test_a_sidecar_is_told_what_is_used_of_the_limits_that_others_keep_and_of_its_own_pod_alone(at: Door) -> None:
    at.publish()
    at.standings = {POD: {"used": [{"resource": "memory"}]}, "another": {"used": [{"resource": "agents"}]}}
    line = await at.line()

    reply = await line.standing(token())
    polled = await line.poll(token(), waitSeconds=0)

    assert (reply.status, orjson.loads(reply.body)) == (200, {"used": [{"resource": "memory"}]})
    assert polled.status == 200


@pytest.mark.parametrize(("address", "vouched", "status"), [(OTHER, POD, 403), (HERE, "", 401)])
async def test_whoever_may_not_poll_is_not_told_what_is_used(at: Door, address: str, vouched: str, status: int) -> None:
    at.publish()
    at.vouch = lambda _: vouched
    at.standings = {POD: {"used": []}}

    reply = await (await at.line(address)).standing(token())

    assert reply.status == status


async def test_an_operator_that_does_not_know_what_is_used_makes_it_try_again(at: Door) -> None:
    at.publish()

    reply = await (await at.line()).standing(token())

    assert (reply.status, reply.headers["retry-after"]) == (503, "1")


async def _outcome(at: Door, address: str) -> str:
    try:
        await at.line(address)
    except OSError:
        return "refused"
    return "open"


async def _reported(at: Door) -> None:
    """Wait until what the pod's sidecar says has been taken: by then its poll waits."""
    await at.seen(uid=POD)
