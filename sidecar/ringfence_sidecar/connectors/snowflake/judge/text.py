"""Text before it is parsed, and text before it is executed. The reader here knows nothing of the parser's.

Quoting is where two readers of one text part ways, and where injected text hides. So what the parser's generator wrote
is read once more by the few rules that Snowflake has for quotes, and both must see the same pieces.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from ringfence_sidecar.connectors.snowflake.judge.refusal import invalid, refuse

MOST_CHARACTERS = 65_536
MOST_TOKENS = 4_000
MOST_DEPTH = 40
"""Of brackets: the parser tries several readings of one, so that time may double with each level."""

_BIND = re.compile(r":rf(?:p([0-9]+)|n([A-Za-z0-9_]+))\b", re.ASCII)
_CODE = re.compile(r"[A-Za-z0-9_ .,()\[\]<>=!+\-*/%|:$]*", re.ASCII)
_COMMENT = re.compile(r"--|//|/\*|\*/")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DOLLAR = re.compile(r"(?<![A-Za-z0-9_$])\$(?![0-9])", re.ASCII)
_NUMBER = re.compile(r"(?<![A-Za-z0-9_$])[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_PIECE = re.compile(r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"]|"")*"|[^'"]+""", re.DOTALL)
_STAGE = re.compile(r"@[A-Za-z0-9_$.]+(?:/[A-Za-z0-9_.=/-]*)?", re.ASCII)


def check_text(sql: str) -> None:
    """Refuse text that is too long, or has characters that no statement needs."""
    if not sql.strip():
        invalid("there is no statement: give one in `sql`")
    if len(sql) > MOST_CHARACTERS:
        refuse("sql.text", f"the text has {len(sql)} characters: up to {MOST_CHARACTERS} are read, put data in binds")
    if _CONTROL.search(sql) or not _is_encodable(sql):
        refuse("sql.text", "the text has control characters or half a character: write them as escapes in a string")


def _is_encodable(sql: str) -> bool:
    try:
        sql.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Text:
    """Executable text, in pieces: code, strings and quoted identifiers in turn."""

    pieces: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> "Text":
        """Return the pieces. Refuses what Snowflake would read in another way than as one statement."""
        pieces = tuple(match.group() for match in _PIECE.finditer(text))
        if "".join(pieces) != text:
            refuse("sql.roundTrip", "the statement's quotes cannot be told apart: write it in a simpler way")
        for piece in pieces:
            if piece[0] not in "'\"":
                _check_code(piece)
        return cls(pieces)

    def ends(self) -> set[int]:
        """Return the position of each closing quote."""
        ends: set[int] = set()
        position = 0
        for piece in self.pieces:
            position += len(piece)
            if piece[0] in "'\"":
                ends.add(position - 1)
        return ends

    def check_quotes(self, ends: Collection[int]) -> None:
        """Refuse if the parser sees strings and quoted identifiers elsewhere."""
        if self.ends() != set(ends):
            refuse("sql.roundTrip", "the statement's quotes cannot be told apart: write it in a simpler way")

    def with_binds(self) -> tuple[str, tuple[int | str, ...]]:
        """Return the text with `?` for binds, and whose turn it is at each."""
        binds: list[int | str] = []

        def replace(match: re.Match[str]) -> str:
            binds.append(int(match[1]) - 1 if match[1] else match[2])
            return "?"

        return "".join(_in_code(self.pieces, lambda code: _BIND.sub(replace, code))), tuple(binds)

    def fingerprint(self) -> str:
        """Return the text with `?` for literals and binds."""
        redacted = ("?" if piece[0] == "'" else piece for piece in self.pieces)
        return "".join(_in_code(redacted, lambda code: _NUMBER.sub("?", _BIND.sub("?", code))))


def _in_code(pieces: Iterable[str], change: Callable[[str], str]) -> Iterable[str]:
    return (piece if piece[0] in "'\"" else change(piece) for piece in pieces)


def _check_code(code: str) -> None:
    bare = _STAGE.sub("", _BIND.sub("", code))
    if ":" in bare or not _CODE.fullmatch(bare) or _COMMENT.search(code) or _DOLLAR.search(bare):
        refuse("sql.constructs", "the statement has characters that no permitted construct needs: leave them out")
