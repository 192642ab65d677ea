import pytest

from ringfence_sidecar.connectors.snowflake.judge import KINDS, Defaults, Judge, Permissions, Verdict, judge
from ringfence_sidecar.errors import InvalidArgumentsError, RefusedError
from tests.sidecar.connectors.snowflake.judge.cases import ALL, DEFAULTS, READ


def verdict(sql: str, *, permissions: Permissions = READ, row_cap: int | None = 100) -> Verdict:
    return judge(sql, permissions, DEFAULTS, row_cap=row_cap)


@pytest.mark.parametrize(
    ("sql", "run"),
    [
        ("SELECT 1", "SELECT 1 LIMIT 101"),
        ("SELECT 1 LIMIT 5", "SELECT 1 LIMIT 5"),
        ("SELECT 1 LIMIT 101", "SELECT 1 LIMIT 101"),
        ("SELECT 1 LIMIT 5000 OFFSET 7", "SELECT 1 LIMIT 101 OFFSET 7"),
        ("SELECT 1 LIMIT NULL", "SELECT 1 LIMIT 101"),
        ("SELECT 1 LIMIT ''", "SELECT 1 LIMIT 101"),
        ("SELECT TOP 9 1", "SELECT 1 LIMIT 9"),
        ("SELECT 1 FETCH FIRST 900 ROWS ONLY", "SELECT 1 LIMIT 101"),
        ("SELECT 1 UNION ALL SELECT 2", "SELECT 1 UNION ALL SELECT 2 LIMIT 101"),
        ("(SELECT 1 LIMIT 5000)", "(SELECT 1 LIMIT 5000) LIMIT 101"),
        (
            "WITH c AS (SELECT 1 LIMIT 5000) SELECT * FROM c",
            "WITH c AS (SELECT 1 LIMIT 5000) SELECT * FROM c LIMIT 101",
        ),
    ],
)
def test_query_answers_one_row_above_the_cap_at_most(sql: str, run: str) -> None:
    assert verdict(sql).sql == run


def test_query_without_a_cap_keeps_its_own_limit() -> None:
    assert verdict("SELECT 1 LIMIT 5000", row_cap=None).sql == "SELECT 1 LIMIT 5000"
    assert verdict("SELECT 1", row_cap=None).sql == "SELECT 1"


def test_what_is_run_has_full_names_and_no_comments() -> None:
    permitted = verdict("SELECT /* why */ a -- because\nFROM t", row_cap=None)

    assert permitted.sql == 'SELECT a FROM "DB"."S".t'


def test_name_of_a_table_expression_stays_bare_where_it_hides_a_table() -> None:
    permitted = verdict("WITH t AS (SELECT * FROM t) SELECT * FROM t", row_cap=None)

    assert permitted.sql == 'WITH t AS (SELECT * FROM "DB"."S".t) SELECT * FROM t'


def test_binds_follow_the_order_of_the_text_that_is_run() -> None:
    assert verdict("SELECT CHARINDEX(?, a), ? FROM t").binds == (0, 1)
    assert verdict("SELECT DATEADD(DAY, ?, ?)").binds == (0, 1)
    assert verdict("SELECT :x, :y, :x").binds == ("x", "y", "x")
    assert verdict("SELECT '?', \"a?b\", ? FROM t -- ?").binds == (0,)


def test_question_marks_in_text_are_no_binds() -> None:
    permitted = verdict("SELECT '? :rf' || a FROM t WHERE b = ?", row_cap=None)

    assert permitted.sql == 'SELECT \'? :rf\' || a FROM "DB"."S".t WHERE b = ?'
    assert permitted.binds == (0,)


def test_fingerprint_holds_no_literal() -> None:
    sql = (
        "SELECT a, 'secret''s', $$x$$, 12.5e3, v:k1::NUMBER(9, 2) FROM t WHERE b IN (1, -2) AND t1 = ? AND \"C 7\" = 7"
    )

    printed = verdict(sql).fingerprint

    assert "secret" not in printed
    assert "12.5" not in printed
    assert printed == (
        'SELECT a, ?, ?, ?, CAST(GET_PATH(v, ?) AS DECIMAL(?, ?)) FROM "DB"."S".t '
        'WHERE b IN (?, -?) AND t1 = ? AND "C 7" = ? LIMIT ?'
    )


def test_cache_key_tells_binds_apart_that_the_text_does_not() -> None:
    first, second = verdict("SELECT :a, :b"), verdict("SELECT :b, :a")

    assert first.sql == second.sql
    assert first.canonical != second.canonical


def test_cache_key_is_the_same_for_texts_that_differ_in_space_and_comments() -> None:
    assert verdict("select a from t").canonical == verdict("SELECT  a -- x\nFROM DB.S.t").canonical.replace(
        "DB.S.", '"DB"."S".'
    )


def test_messages_name_what_is_permitted_and_not_what_was_written_in_literals() -> None:
    with pytest.raises(RefusedError) as refusal:
        verdict("SELECT 'confidential' FROM secret")

    assert "DB.S.SECRET" in refusal.value.message
    assert "DB.S.T" in refusal.value.message
    assert "confidential" not in refusal.value.message
    assert refusal.value.reason == "TableNotPermitted"
    assert refusal.value.field == "arguments.sql"


def test_unparsable_text_is_not_repeated() -> None:
    with pytest.raises(InvalidArgumentsError) as refusal:
        verdict("SELECT 'confidential' FROM FROM")

    assert "confidential" not in refusal.value.message
    assert "line 1" in refusal.value.message


def test_parser_logs_no_statement(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level("DEBUG"), pytest.raises(RefusedError):
        verdict("CREATE TASK x AS SELECT 'confidential'", permissions=ALL)

    assert "confidential" not in caplog.text
    assert "confidential" not in "".join(capsys.readouterr())


def test_names_resolve_against_defaults_that_need_quotes() -> None:
    defaults = Defaults('"my db"', '"odd""schema"')
    permissions = Permissions(statements=("Select",), tables=('"my db"."odd""schema".T',))

    permitted = judge("SELECT * FROM t", permissions, defaults, row_cap=None)

    assert permitted.sql == 'SELECT * FROM "my db"."odd""schema".t'
    assert permitted.reads == {'"my db"."odd""schema".T'}


def test_users_functions_and_procedures_are_called_by_their_full_names() -> None:
    called = verdict("SELECT score(UPPER(a)), s.score(1) FROM t", permissions=ALL, row_cap=None)
    procedure = verdict("CALL refresh(?)", permissions=ALL)

    assert called.sql == 'SELECT "DB"."S".score(UPPER(a)), "DB"."S".score(1) FROM "DB"."S".t'
    assert procedure.sql == 'CALL "DB"."S".refresh(?)'


@pytest.mark.parametrize("sql", ["SELECT IDENTIFIER('a')", "SELECT SEARCH((a), 'x') FROM t", "SELECT a -> b FROM t"])
def test_list_opens_no_function_that_the_parser_knows_as_something_else(sql: str) -> None:
    permissions = Permissions(
        statements=("Select",), tables=("DB.S.T",), functions=("IDENTIFIER", "DYNAMIC_IDENTIFIER", "SEARCH")
    )

    with pytest.raises(RefusedError):
        verdict(sql, permissions=permissions)


def test_dropped_argument_refuses_the_statement() -> None:
    with pytest.raises(RefusedError) as refusal:
        verdict("SELECT SQUARE(a, 'b1') FROM t")

    assert refusal.value.rule == "sql.roundTrip"


def test_judge_remembers_verdicts_and_refusals_and_forgets_the_oldest() -> None:
    remembering = Judge(READ, DEFAULTS, most=2)

    first = remembering("SELECT 1", row_cap=10)
    with pytest.raises(RefusedError) as refusal:
        remembering("SELECT * FROM secret", row_cap=10)

    assert remembering("SELECT 1", row_cap=10) is first
    with pytest.raises(RefusedError) as again:
        remembering("SELECT * FROM secret", row_cap=10)
    assert again.value is not refusal.value
    assert (again.value.message, again.value.rule) == (refusal.value.message, refusal.value.rule)
    assert remembering("SELECT 1", row_cap=20).sql == "SELECT 1 LIMIT 21"
    assert remembering("SELECT 1", row_cap=10) is not first


def test_every_kind_can_be_permitted_by_its_name() -> None:
    permitted = Permissions(statements=KINDS, tables=("*.*.*",))

    assert judge("SELECT 1", permitted, DEFAULTS, row_cap=None).kind in KINDS
