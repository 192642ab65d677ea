import pytest

from ringfence_sidecar.connectors.snowflake.judge.text import Text, check_text
from ringfence_sidecar.errors import CallError


def test_text_is_read_by_snowflakes_quotes() -> None:
    text = Text.read("""SELECT 'it''s', 'a\\'b', "x""y", 1""")

    assert text.pieces == ("SELECT ", "'it''s'", ", ", "'a\\'b'", ", ", '"x""y"', ", 1")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'a",
        "SELECT 'a\\'",
        'SELECT "a',
        "SELECT 1; SELECT 2",
        "SELECT 1 -- x",
        "SELECT 1 // x",
        "SELECT 1 /* x */",
        "SELECT $$x$$",
        "SELECT $x",
        "SELECT v:a",
        "SELECT `a`",
        "SELECT a\\b",
        "SELECT \u00e9",
        "SELECT 1\nFROM t",
        "SELECT @x//y",
        "SELECT @~",
    ],
)
def test_text_that_a_judged_tree_never_makes_is_refused(text: str) -> None:
    with pytest.raises(CallError):
        Text.read(text)


def test_strings_that_the_parser_sees_elsewhere_are_refused() -> None:
    text = Text.read("SELECT 'a', \"b\"")
    text.check_quotes({9, 14})

    for ends in ({9}, {9, 13}, {9, 14, 15}, set[int]()):
        with pytest.raises(CallError):
            text.check_quotes(ends)


@pytest.mark.parametrize("sql", ["", " \n", "SELECT \x1b", "SELECT \x7f", "SELECT '\udfff'", "x" * 65_537])
def test_text_that_is_not_worth_parsing_is_not(sql: str) -> None:
    with pytest.raises(CallError):
        check_text(sql)
