"""Whether what was read is still there in what will be run.

The parser knows many dialects, and now and then it leaves out an argument that this one does not have. A SELECT would
answer something else then, and a DELETE would take other rows.
"""

from collections.abc import Iterator

from sqlglot.dialects.snowflake import Snowflake
from sqlglot.tokenizer_core import Token, TokenType

from ringfence_sidecar.connectors.snowflake.judge.refusal import refuse, shown

_COUNTED = frozenset(
    {TokenType.STRING, TokenType.RAW_STRING, TokenType.NUMBER, TokenType.IDENTIFIER, TokenType.VAR, TokenType.PARAMETER}
)
_BEFORE_A_LIMIT = frozenset({"LIMIT", "TOP", "FIRST", "NEXT", "FETCH"})
_REPLACED = frozenset({"BYTEINT", "IDENTITY", "LAST", "MODIFY", "NULLS", "ONLY", "STRING", "TOP"})
"""Words that the generator says in another way."""
_PARTS = frozenset(Snowflake.DATE_PART_MAPPING)
"""Units of time, which are written out."""


def check_nothing_lost(before: list[Token], after: list[Token]) -> None:
    """Refuse if a literal, a column or the like is gone."""
    kept = {_spelling(token.text) for token in after}
    kept |= {word.rpartition(".")[2] for word in kept}
    kept |= {word[3:] for word in kept if word.startswith(("RFP", "RFN"))}
    strings = "\n".join(token.text for token in after if token.token_type is TokenType.STRING).upper()
    for text in _needed(before):
        if _spelling(text) not in kept and text.upper() not in strings:
            refuse(
                "sql.roundTrip", f"{shown(text)} would be lost: leave it out, or write the expression in another way"
            )


def _spelling(text: str) -> str:
    return text.upper().lstrip("0")


def _needed(tokens: list[Token]) -> Iterator[str]:
    previous = ""
    for index, token in enumerate(tokens):
        word = token.text.upper()
        following = tokens[index + 1].token_type if index + 1 < len(tokens) else None
        called = token.token_type is TokenType.VAR and following is TokenType.L_PAREN
        limit = token.token_type in (TokenType.NUMBER, TokenType.STRING) and previous in _BEFORE_A_LIMIT
        if token.token_type in _COUNTED and not called and not limit and word not in _PARTS | _REPLACED:
            yield token.text
        previous = word
