import asyncio
from typing import Any

import pytest

from ringfence_operator.egress.token_review import AT_ONCE, TokenReviewer
from ringfence_operator.errors import ForbiddenError, InvalidError, OperatorError, UnavailableError

GOOD: dict[str, Any] = {
    "authenticated": True,
    "audiences": ["ringfence-control"],
    "user": {"extra": {"authentication.kubernetes.io/pod-uid": ["pod-1"]}},
}


class Server:
    """Answers TokenReviews; nothing else is asked of it."""

    def __init__(self, answer: dict[str, Any] | OperatorError) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.under_way = self.most = 0

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((path, body["spec"]))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if isinstance(self.answer, OperatorError):
            raise self.answer
        return {"status": self.answer}


async def ask(server: Server, token: str = "t") -> str | None:
    return await TokenReviewer(server).review(token)  # type: ignore[arg-type]


async def test_the_pod_that_a_token_is_bound_to_comes_from_the_api_server() -> None:
    server = Server(GOOD)

    uid = await ask(server)

    assert uid == "pod-1"
    assert server.asked == [
        ("/apis/authentication.k8s.io/v1/tokenreviews", {"token": "t", "audiences": ["ringfence-control"]})
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"authenticated": False},
        {"audiences": ["https://kubernetes.default.svc"]},
        {"audiences": None},
        {"user": {}},
        {"user": {"extra": {"authentication.kubernetes.io/pod-uid": ["a", "b"]}}},
    ],
)
async def test_what_is_not_vouched_for_whole_is_not_good(change: dict[str, Any]) -> None:
    assert await ask(Server(GOOD | change)) == ""


@pytest.mark.parametrize(
    ("error", "answer"),
    [(UnavailableError("down"), None), (ForbiddenError("no"), None), (InvalidError("too long"), "")],
)
async def test_who_cannot_be_asked_does_not_say_no(error: OperatorError, answer: str | None) -> None:
    assert await ask(Server(error)) == answer


async def test_few_are_asked_about_at_once() -> None:
    server = Server(GOOD)
    reviewer = TokenReviewer(server)  # type: ignore[arg-type]

    await asyncio.gather(*(reviewer.review(str(number)) for number in range(50)))

    assert (len(server.asked), server.most) == (50, AT_ONCE)


async def test_no_token_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    await ask(Server(UnavailableError("down")), "hidden")

    assert "hidden" not in "".join(capsys.readouterr())
