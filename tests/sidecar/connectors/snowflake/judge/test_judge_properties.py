"""What holds for every statement, wherever in it something stands."""

from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringfence_sidecar.connectors.snowflake.judge import Verdict, judge
from ringfence_sidecar.connectors.snowflake.judge.text import Text
from ringfence_sidecar.errors import CallError
from tests.sidecar.connectors.snowflake.judge.cases import ALL, CASES, DEFAULTS

HARMLESS = (
    ("a", ""),
    ("1", ""),
    ("'it''s'", ""),
    ("'a\\\\'", ""),
    ("'; -- /*'", ""),
    ("$$ ';$$", ""),
    ('"odd "" ; name"', ""),
    ("v:a.b", ""),
    ("CURRENT_DATE", ""),
    ("score(a)", ""),
    ("(SELECT MAX(a) FROM u)", "DB.S.U"),
    ("(SELECT MAX(a) FROM db.open.x1)", "DB.OPEN.X1"),
    ('(SELECT MAX(a) FROM "Mixed")', 'DB.S."Mixed"'),
    ("(WITH secret AS (SELECT 1 AS a) SELECT MAX(a) FROM secret)", ""),
)
FORBIDDEN = (
    "(SELECT MAX(a) FROM secret)",
    "(SELECT MAX(a) FROM other.s.t)",
    '(SELECT MAX(a) FROM "t")',
    "(SELECT MAX(a) FROM (WITH z AS (SELECT 1) SELECT * FROM z), z)",
    "(SELECT 1 FROM TABLE(RESULT_SCAN('x')))",
    "(SELECT 1 FROM TABLE(?))",
    "(SELECT 1 FROM IDENTIFIER('t'))",
    "(SELECT $1 FROM @other)",
    "SYSTEM$WAIT(1)",
    "AI_COMPLETE('m', 'x')",
    "AI_AGG('m', 'x')",
    "snowflake.cortex.complete('m', 'x')",
    "db.s.other(1)",
    "GET_DDL('TABLE', 'secret')",
    "IDENTIFIER('a')",
    "s.nextval",
    "$x",
    "CAST(a AS FILE)",
    "CURRENT_USER()",
)
AROUND_EXPRESSIONS = (
    "({} + 1)",
    "(- {})",
    "UPPER({})",
    "COALESCE(NULL, {})",
    "CASE WHEN {} = 1 THEN 1 ELSE 2 END",
    "CASE a WHEN 1 THEN {} END",
    "IFF({} = 1, 1, 2)",
    "(SELECT MAX({}) FROM t)",
    "(SELECT 1 FROM t WHERE {} = 1)",
    "(WITH c# AS (SELECT {} AS x) SELECT MAX(x) FROM c#)",
    "SUM({}) OVER (PARTITION BY a)",
    "SUM(a) OVER (PARTITION BY {} ORDER BY {})",
    "LISTAGG({}, ',') WITHIN GROUP (ORDER BY {})",
    "CAST({} AS VARCHAR)",
    "[1, {}][0]",
    "v[{}]",
    "OBJECT_CONSTRUCT('k', {})",
    "FILTER([1], x -> x = {})",
    "(({}, 1) IN ((1, 1)))",
    "(a IN (1, {}))",
    "(a IN (SELECT {} FROM t))",
    "(a BETWEEN 1 AND {})",
    "(a LIKE ANY ('x', {}))",
    "EXISTS (SELECT {})",
    "(NOT {} IS NULL)",
    "DATEADD(DAY, {}, a)",
    "({} || 'x')",
)
QUERIES = (
    "SELECT {} FROM t",
    "SELECT DISTINCT {} AS x FROM t",
    "SELECT 1 FROM t WHERE {} = 1",
    "SELECT 1 FROM t GROUP BY {}",
    "SELECT 1 FROM t GROUP BY GROUPING SETS ((a), ({}))",
    "SELECT 1 FROM t GROUP BY a HAVING {} = 1",
    "SELECT 1 FROM t QUALIFY {} = 1",
    "SELECT 1 FROM t ORDER BY {} DESC",
    "SELECT 1 FROM t JOIN u ON {} = 1",
    "SELECT 1 FROM t, LATERAL FLATTEN(INPUT => {}) f",
    "SELECT 1 FROM t, LATERAL (SELECT {}) f",
    "SELECT 1 FROM t PIVOT (SUM(a) FOR b IN (SELECT {}))",
    "SELECT 1 FROM t START WITH {} = 1 CONNECT BY PRIOR a = b",
    "SELECT 1 FROM t AT (OFFSET => {})",
    "SELECT 1 FROM (SELECT {} FROM t)",
    "SELECT 1 UNION ALL SELECT {}",
    "(SELECT {}) EXCEPT (SELECT 1)",
    "WITH r AS (SELECT {} AS x) SELECT * FROM r",
    "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r WHERE {} = 1) SELECT * FROM r",
)
STIFF_QUERIES = (
    "SELECT 1 FROM VALUES (1), ({})",
    "SELECT 1 FROM TABLE(FLATTEN({}))",
    "SELECT 1 FROM t ASOF JOIN u MATCH_CONDITION (t.a >= {})",
    "SELECT 1 FROM TABLE(spread({}))",
)
"""Not everything harmless can stand there."""
STATEMENTS = (
    ("{}", "Select"),
    ("INSERT INTO log {}", "Insert"),
    ("INSERT OVERWRITE INTO log (a) {}", "Insert"),
    ("CREATE TABLE open.n AS {}", "CreateTable"),
    ("CREATE OR REPLACE VIEW v AS {}", "CreateView"),
    ("DELETE FROM t WHERE a IN ({})", "Delete"),
    ("UPDATE t SET a = 1 WHERE EXISTS ({})", "Update"),
    ("MERGE INTO t USING ({}) x ON TRUE WHEN MATCHED THEN DELETE", "Merge"),
    ("EXPLAIN USING JSON {}", "Explain"),
    ("CALL refresh(({}))", "Call"),
)


def nested(seed: str, around: Sequence[str], query: str) -> str:
    for depth, context in enumerate(around):
        seed = context.replace("#", str(depth)).replace("{}", seed)
    return query.replace("{}", seed)


def verdict(sql: str) -> Verdict | None:
    try:
        return judge(sql, ALL, DEFAULTS, row_cap=100)
    except CallError:
        return None


contexts = st.lists(st.sampled_from(AROUND_EXPRESSIONS), max_size=4)


@settings(deadline=None, max_examples=120)
@given(st.sampled_from(HARMLESS), contexts, st.sampled_from(QUERIES), st.sampled_from(STATEMENTS))
def test_harmless_is_permitted_wherever_it_stands_and_again_after_a_round_trip(
    seed: tuple[str, str], around: list[str], query: str, statement: tuple[str, str]
) -> None:
    text, kind = statement

    permitted = judge(text.replace("{}", nested(seed[0], around, query)), ALL, DEFAULTS, row_cap=100)
    again = judge(permitted.sql, ALL, DEFAULTS, row_cap=100)

    assert permitted.kind == again.kind == kind
    assert set(seed[1].split()) <= permitted.reads
    assert permitted.reads == again.reads
    assert permitted.writes == again.writes
    assert permitted.sql == again.sql


@settings(deadline=None, max_examples=120)
@given(st.sampled_from(FORBIDDEN), contexts, st.sampled_from(QUERIES + STIFF_QUERIES), st.sampled_from(STATEMENTS))
def test_forbidden_is_refused_wherever_it_stands(
    seed: str, around: list[str], query: str, statement: tuple[str, str]
) -> None:
    permitted = verdict(statement[0].replace("{}", nested(seed, around, query)))

    assert permitted is None


WORDS = sorted(
    {word for case in CASES if len(case.sql) < 400 for word in case.sql.split()}
    | {"'", '"', "''", '""', "\\", "\\'", "$$", "--", "//", "/*", "*/", "\n", ";", "@", "$x", "?", ":x", "(", ")", ","}
)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(lambda words: "SELECT " + " ".join(words)))
@example("SELECT 'a\\' ; DELETE FROM t -- '")
def test_soup_of_words_is_judged_or_refused_and_never_breaks_the_judge(sql: str) -> None:
    permitted = verdict(sql)

    if permitted is None:  # most are; to assume otherwise is more than can be drawn
        return
    code = "".join(piece for piece in Text.read(permitted.canonical).pieces if piece[0] not in "'\"")
    assert ";" not in code
    assert permitted.kind == "Select"
    assert permitted.reads <= {"DB.S.T", "DB.S.U", "DB.S.V", 'DB.S."Mixed"', "DB.INFORMATION_SCHEMA.TABLES"} | {
        name for name in permitted.reads if name.startswith("DB.OPEN.")
    }


@settings(deadline=None, max_examples=120)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
@example("\\")
@example("'")
@example("\\'; DROP TABLE t; --")
@example("$$")
@example("\t\n\\n")
def test_string_of_any_letters_stays_one_string(text: str) -> None:
    literal = "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

    permitted = judge(f"SELECT {literal} FROM t", ALL, DEFAULTS, row_cap=None)

    pieces = [piece for piece in Text.read(permitted.canonical).pieces if piece[0] == "'"]
    assert len(pieces) == 1
    assert permitted.fingerprint == 'SELECT ? FROM "DB"."S".t'
