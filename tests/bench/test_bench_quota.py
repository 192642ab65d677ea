from collections import Counter

from bench.quota.exactness import rows_of
from bench.quota.pods import limit
from tests.sidecar.quotas.fleet import Book, _read

LIMITS = limit("apiCalls", 100), limit("rows", 600)


def verdicts(highest: dict[str, float], found: dict[str, float], book: Book) -> list[bool | None]:
    return [row.holds for row in rows_of(LIMITS, highest, found, book, note="")]


def test_what_was_used_and_said_is_exact() -> None:
    book = Book(settled=Counter(apiCalls=99, rows=500), unsure=Counter(apiCalls=1, rows=20), calls=99)

    assert verdicts({"apiCalls": 100, "rows": 600}, {"apiCalls": 100, "rows": 500}, book)[:4] == [True] * 4


def test_each_way_of_being_wrong_is_a_row_that_is_missed() -> None:
    book = Book(settled=Counter(apiCalls=99, rows=500), unsure=Counter(apiCalls=1, rows=20), calls=99)
    right = {"apiCalls": 100.0, "rows": 510.0}

    passed = verdicts({"rows": 601}, right, book)
    lost = verdicts({}, {**right, "rows": 499}, book)
    invented = verdicts({}, {**right, "rows": 521}, book)
    unused = verdicts({}, {**right, "apiCalls": 99}, book)

    assert [each[:4].index(False) for each in (passed, lost, invented, unused)] == [0, 1, 2, 3]
    assert [each[:4].count(False) for each in (passed, lost, invented, unused)] == [1, 1, 1, 1]


def test_what_a_killed_worker_was_saying_is_unsure() -> None:
    book = Book()

    _read(
        ['? {"apiCalls":1}', '= {"apiCalls":1}', '? {"apiCalls":1,"rows":7}', "- QuotaExceeded quota/team/rows"], book
    )

    assert (book.settled, +book.unsure, book.calls) == (Counter(apiCalls=1), Counter(apiCalls=1, rows=7), 1)
    assert book.refusals == Counter({"QuotaExceeded quota/team/rows": 1})
