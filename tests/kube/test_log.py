"""Following a container's log over connections that are cut."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from ringfence_kube.api import Api
from ringfence_kube.errors import UnreachableError
from ringfence_kube.log import follow_log
from tests.cli.cluster import Cluster

FIRST = b"2026-11-29T12:00:00.500000000Z one"
SECOND = b"2026-11-29T12:00:01.700000000Z two"
LATE = b"2026-11-29T12:00:01.200000000Z written later, stamped earlier"
TWICE = b"2026-11-29T12:00:01.700000000Z two"
THIRD = b"2026-11-29T12:00:02.000000000Z three"


class Cut(Cluster):
    """Answers each connection with the next of `streams`; None in one of them cuts it."""

    def __init__(self, *streams: list[bytes | None]) -> None:
        super().__init__({}, {})
        self._streams = iter(streams)

    def stream(self, path: str, query: object) -> Iterator[bytes]:
        super().stream(path, query)  # type: ignore[arg-type]
        return self._lines(next(self._streams))

    @staticmethod
    def _lines(stream: list[bytes | None]) -> Iterator[bytes]:
        for line in stream:
            if line is None:
                raise UnreachableError("cut")
            yield line


def follow(cluster: Cut, *, connections: int, **query: str) -> list[bytes]:
    answers = iter([False] * (connections - 1) + [True])
    return list(follow_log(Api(cluster), "lab", "it", container="agent", has_ended=lambda: next(answers), **query))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_a_cut_connection_loses_no_line_and_doubles_none() -> None:
    cluster = Cut([FIRST, SECOND, None], [SECOND, LATE, THIRD])

    lines = follow(cluster, connections=2)

    assert lines == [b"one", b"two", b"written later, stamped earlier", b"three"]


def test_equal_lines_are_told_as_often_as_they_were_written() -> None:
    cluster = Cut([SECOND, TWICE, None], [SECOND, TWICE, TWICE])

    assert follow(cluster, connections=2) == [b"two"] * 3


def test_after_a_cut_the_last_second_is_asked_for_and_nothing_of_what_was_asked_first() -> None:
    cluster = Cut([SECOND, None], [])

    follow(cluster, connections=2, tailLines="5")

    first, again = (parse_qs(urlsplit(each).query) for each in cluster.asked)
    assert first["tailLines"] == ["5"]
    assert again["sinceTime"] == ["2026-11-29T12:00:01Z"]
    assert "tailLines" not in again


def test_without_a_line_yet_the_same_is_asked_again() -> None:
    cluster = Cut([None], [FIRST])

    assert follow(cluster, connections=2, tailLines="5") == [b"one"]
    assert all("tailLines=5" in each for each in cluster.asked)


def test_what_was_cut_is_read_to_its_end_although_the_container_has_ended() -> None:
    cluster = Cut([FIRST, None], [SECOND])

    lines = list(follow_log(Api(cluster), "lab", "it", container="agent", has_ended=lambda: True))

    assert lines == [b"one", b"two"]
