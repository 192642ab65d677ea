import pytest

from ringfence_sidecar.connectors.base import Effect
from ringfence_sidecar.connectors.snowflake.judge import judge
from ringfence_sidecar.errors import CallError
from tests.sidecar.connectors.snowflake.judge.cases import CASES, DEFAULTS, Case

REFUSED = [case for case in CASES if not case.rule.startswith("sql.statements.")]
PERMITTED = [case for case in CASES if case.rule.startswith("sql.statements.")]


def name_of(case: Case) -> str:
    return case.sql[:80].encode("ascii", "backslashreplace").decode()


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_statement_is_refused_by_the_rule_that_the_table_says(case: Case) -> None:
    with pytest.raises(CallError) as refusal:
        judge(case.sql, case.permissions, DEFAULTS, row_cap=100)

    assert refusal.value.rule == case.rule, f"{case.why}: {refusal.value.message}"
    assert refusal.value.http in (400, 403)
    assert refusal.value.message


@pytest.mark.parametrize("case", PERMITTED, ids=name_of)
def test_statement_is_permitted_and_touches_what_the_table_says(case: Case) -> None:
    verdict = judge(case.sql, case.permissions, DEFAULTS, row_cap=100)

    assert verdict.rule == case.rule, case.why
    assert verdict.reads == frozenset(case.reads.split()), case.why
    assert verdict.writes == frozenset(case.writes.split()), case.why
    assert verdict.deterministic == case.steady, case.why
    if case.binds:
        assert verdict.binds == case.binds, case.why
    assert verdict.effect is (Effect.WRITE if verdict.writes or verdict.kind == "Call" else Effect.READ)


@pytest.mark.parametrize("case", [case for case in PERMITTED if "Explain" not in case.rule], ids=name_of)
def test_text_that_is_run_is_judged_alike(case: Case) -> None:
    verdict = judge(case.sql, case.permissions, DEFAULTS, row_cap=100)

    again = judge(verdict.sql, case.permissions, DEFAULTS, row_cap=100)

    assert (again.kind, again.reads, again.writes) == (verdict.kind, verdict.reads, verdict.writes)
    assert again.sql == verdict.sql


def test_table_of_cases_is_as_long_as_it_was_promised_and_has_no_row_twice() -> None:
    rows = [(case.sql, case.permissions) for case in CASES]

    assert len(rows) >= 170
    assert all(rows.count(row) == 1 for row in rows)
    assert all(case.why for case in CASES)
