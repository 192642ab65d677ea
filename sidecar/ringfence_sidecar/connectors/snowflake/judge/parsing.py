"""From text to one tree, and back: the only module that starts the parser's machinery."""

import logging
import re
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError
from sqlglot.generator import Generator
from sqlglot.tokenizer_core import Token, TokenType

from ringfence_sidecar.connectors.snowflake.judge.refusal import invalid, refuse, shown
from ringfence_sidecar.connectors.snowflake.judge.text import MOST_DEPTH, MOST_TOKENS

# It writes the caller's statements to the log.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL + 1)

_DIALECT = Snowflake()
_OPENING = frozenset({"(", "[", "{"})
_CLOSING = frozenset({")", "]", "}"})
_NESTING = frozenset({"CASE", "NOT", "-", "+", "~", "PRIOR"})
_QUOTED = frozenset(
    {
        TokenType.STRING,
        TokenType.RAW_STRING,
        TokenType.HEX_STRING,
        TokenType.NATIONAL_STRING,
        TokenType.IDENTIFIER,
    }
)
_STATEMENTS = "SELECT WITH ( INSERT UPDATE DELETE MERGE TRUNCATE CREATE ALTER DROP SHOW DESCRIBE DESC EXPLAIN CALL"
_STARTS = frozenset(_STATEMENTS.split())
_USING = re.compile(r"\s*USING\s+(TABULAR|JSON|TEXT)\b", re.IGNORECASE | re.ASCII)
_RESERVED_BIND = re.compile(r":\s*rf[pn]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """One statement's tokens, without what stands before it."""

    text: str
    tokens: list[Token]
    prefix: str = ""
    """`EXPLAIN …` or `CALL`, which the parser does not know."""
    binds: int = 0
    """How many `?` there were."""

    def ends(self) -> set[int]:
        """Return where the tokens that have quotes end."""
        return {token.end for token in self.tokens if token.token_type in _QUOTED}


def read_source(sql: str) -> Source:
    """Return the only statement in the text. Refuses several, and words that start none that could be permitted."""
    tokens = _tokenize(sql)
    if all(token.token_type is TokenType.SEMICOLON for token in tokens):
        invalid("there is no statement: give one in `sql`")
    first = tokens[0].text.upper()
    if first not in _STARTS:
        refuse("sql.statements", f"a statement that starts with {shown(first)} is never permitted: start with SELECT")
    if first not in ("EXPLAIN", "CALL"):
        return _numbered(sql, tokens, "")
    rest = sql[tokens[0].end + 1 :]
    if first == "CALL":
        return _numbered("SELECT " + rest, _tokenize("SELECT " + rest), "CALL ")
    using = _USING.match(rest)
    if using is None:
        return _inner(rest, "EXPLAIN ")
    return _inner(rest[using.end() :], f"EXPLAIN USING {using[1].upper()} ")


def _inner(sql: str, prefix: str) -> Source:
    tokens = _tokenize(sql)
    if not tokens or tokens[0].text.upper() not in _STARTS - {"EXPLAIN", "CALL", "SHOW", "DESCRIBE", "DESC"}:
        refuse("sql.statements", "EXPLAIN is followed by a statement that is permitted, such as SELECT")
    return _numbered(sql, tokens, prefix)


def _numbered(sql: str, tokens: list[Token], prefix: str) -> Source:
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens = tokens[:-1]
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        refuse("sql.single", "there are several statements in the text: send one a call, or several by `batch`")
    _check_depth(tokens)
    marks = [token.start for token in tokens if token.token_type is TokenType.PLACEHOLDER]
    if _RESERVED_BIND.search(sql):
        refuse("sql.names", "binds whose names start with rfp or rfn are taken: choose other names")
    if not marks:
        return Source(sql, tokens, prefix)
    pieces: list[str] = []
    position = 0
    for number, start in enumerate(marks, start=1):
        pieces += [sql[position:start], f" :rfp{number} "]
        position = start + 1
    text = "".join((*pieces, sql[position : tokens[-1].end + 1]))
    return Source(text, _tokenize(text), prefix, len(marks))


def _tokenize(sql: str) -> list[Token]:
    try:
        tokens = _DIALECT.tokenize(sql)
    except SqlglotError:
        invalid("a string, a quoted name or a comment has no end: close it")
    if len(tokens) > MOST_TOKENS:
        refuse("sql.text", f"the statement has {len(tokens)} words: up to {MOST_TOKENS} are read, put data in binds")
    return tokens


def _check_depth(tokens: list[Token]) -> None:
    depth = deepest = run = longest = 0
    for token in tokens:
        word = token.text.upper()
        if token.token_type in _QUOTED:
            run = 0
            continue
        depth += (word in _OPENING) - (word in _CLOSING)
        run = run + 1 if word in _NESTING else 0
        deepest, longest = max(deepest, depth), max(longest, run)
    if max(deepest, longest) > MOST_DEPTH:
        refuse("sql.text", f"the statement is nested more than {MOST_DEPTH} deep: use common table expressions")


def parse(source: Source) -> exp.Expression:
    """Return the tree. Raises InvalidArgumentsError where there is none."""
    try:
        trees = _DIALECT.parser(error_level=ErrorLevel.IMMEDIATE).parse(source.tokens, source.text)
    except ParseError as error:
        where = error.errors[0] if error.errors else {}
        invalid(f"the SQL cannot be parsed near line {where.get('line', '?')}, column {where.get('col', '?')}")
    except (SqlglotError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        invalid("the SQL cannot be parsed: write it in a simpler way")
    if len(trees) != 1 or not isinstance(trees[0], exp.Expression):
        invalid("the SQL is not one statement")
    return trees[0]


def read_generated(text: str) -> Source:
    """Return the tokens of text that `generate` wrote."""
    return Source(text, _tokenize(text))


def generate(tree: exp.Expression) -> str:
    """Return the tree's text, on one line and without comments. Refuses what cannot be written."""
    generator: Generator = _DIALECT.generator(comments=False, unsupported_level=ErrorLevel.RAISE)
    try:
        return generator.generate(tree)
    except (SqlglotError, ValueError, TypeError, AttributeError, KeyError):
        refuse("sql.roundTrip", "the statement cannot be written back as it was read: write it in a simpler way")
