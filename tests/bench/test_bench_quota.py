from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from bench.quota import evidence
from bench.quota.callers import Diary
from bench.quota.evidence import Agent, Audit
from bench.quota.pods import limit
from bench.quota.store import rows_of
from ringfence_sidecar.audit.chain import Chain
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


def test_an_audit_that_agrees_with_counters_and_agents_holds() -> None:
    assert verdicts_of(spared(), killed()) == [True] * 6


def test_each_way_in_which_audit_and_counters_differ_is_a_row_that_is_missed() -> None:
    unlined = verdicts_of(spared(counted={"apiCalls": 2}), killed())
    beyond = verdicts_of(spared(), killed(counted={"apiCalls": 3, "messagesPublished": 5}))
    uncounted = verdicts_of(spared(), killed(counted={"apiCalls": 1, "messagesPublished": 1}))
    wrong = verdicts_of(spared(given={"apiCalls": 1, "rows": 5}), killed())
    unheard = verdicts_of(spared(), killed(), arrived=6)
    gap = verdicts_of(spared(broken=1), killed())

    assert [each.count(False) for each in (unlined, beyond, uncounted, wrong, unheard, gap)] == [1, 1, 2, 1, 1, 1]
    assert [each.index(False) for each in (unlined, beyond, uncounted, wrong, unheard, gap)] == [0, 1, 1, 3, 4, 5]


def test_lines_are_read_up_to_the_one_that_a_killed_process_was_writing(tmp_path: Path) -> None:
    chain, file = Chain("c"), tmp_path / "audit"
    lines = [chain.link("call", {"requestId": f"r-{number}", "used": {"apiCalls": 1}}) for number in range(3)]
    file.write_bytes(b"\n".join(lines)[:-1])

    audit = Audit.of([file])

    assert (audit.sum(), audit.torn, audit.broken) == ({"apiCalls": 2}, 1, 0)


def test_a_line_that_is_missing_in_between_breaks_a_chain(tmp_path: Path) -> None:
    chain, file = Chain("c"), tmp_path / "audit"
    first, _, third = (chain.link("call", {"requestId": f"r-{number}"}) for number in range(3))
    file.write_bytes(first + b"\n" + third + b"\n")

    assert Audit.of([file]).broken == 1


def spared(*, broken: int = 0, **changes: dict[str, float]) -> Agent:
    """An agent whose sidecar was never killed: one call, of seven rows."""
    used = {"apiCalls": 1.0, "rows": 7.0}
    diary = Diary(served={"a-1": changes.get("given", used)}, most={"a-1": {"apiCalls": 1, "rows": 20}})
    return Agent(diary, Audit({"a-1": used}, broken=broken), changes.get("counted", used), kills=0)


def killed(counted: Mapping[str, float] | None = None) -> Agent:
    """An agent whose sidecar was killed as it published three messages; two have been published before."""
    used: dict[str, float] = {"apiCalls": 1, "messagesPublished": 2}
    diary = Diary(
        served={"b-1": used}, most={"b-1": used, "b-2": {"apiCalls": 1, "messagesPublished": 3}}, lost={"b-2"}
    )
    return Agent(diary, Audit({"b-1": used}), counted or used, kills=1)


def verdicts_of(*agents: Agent, arrived: float = 4) -> list[bool | None]:
    return [row.holds for row in evidence.rows_of(agents, arrived) if row.holds is not None]
