"""Names of Snowflake's objects as they are once folded and resolved; nothing of the parser is needed here."""

import re
from dataclasses import dataclass

SIMPLE = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*", re.ASCII)
LONGEST = 255
"""Characters in an identifier: Snowflake's own bound."""

_PART = re.compile(r'"(?:[^"]|"")*"|[^."]+')
_FOLDED = re.compile(r"[A-Z_][A-Z0-9_$]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What names resolve against, and who runs the statement; the session must be pinned to the same."""

    database: str
    schema: str
    role: str = ""
    warehouse: str = ""

    def __post_init__(self) -> None:
        for what, name in (("database", self.database), ("schema", self.schema)):
            if len(split_name(name)) != 1 or name == "*":
                raise ValueError(f"the default {what} is one name, such as ANALYTICS, and not {name!r}")


def fold(text: str, *, quoted: bool) -> str:
    """Return the identifier as Snowflake stores it. Raises ValueError for one that it would not take unquoted."""
    if not text or len(text) > LONGEST:
        raise ValueError(f"an identifier has 1 to {LONGEST} characters")
    if quoted:
        return text
    if not SIMPLE.fullmatch(text):
        raise ValueError("an unquoted identifier has letters of ASCII, digits, _ and $ only: put it in double quotes")
    return text.upper()


def canonical(*parts: str) -> str:
    """Return stored identifiers as one name; a part that needs quotes has them, so that no two names look alike."""
    return ".".join(part if _FOLDED.fullmatch(part) else '"' + part.replace('"', '""') + '"' for part in parts)


def split_name(name: str) -> tuple[str, ...]:
    """Return the parts of a written name as Snowflake stores them, `*` as it is. Raises ValueError."""
    parts: list[str] = []
    position = 0
    while True:
        match = _PART.match(name, position)
        if match is None:
            raise ValueError(f"{name!r} is not a name: write DB.SCHEMA.NAME, with double quotes where case matters")
        parts.append(_part(match.group()))
        position = match.end()
        if position == len(name):
            return tuple(parts)
        if name[position] != ".":
            raise ValueError(f"{name!r} is not a name: its parts are separated by dots")
        position += 1


def _part(text: str) -> str:
    if text == "*":
        return text
    if text.startswith('"'):
        inner = text[1:-1].replace('""', '"')
        if inner == "*":
            raise ValueError('"*" is no name that can be listed')
        return fold(inner, quoted=True)
    return fold(text, quoted=False)


@dataclass(frozen=True, slots=True)
class Pattern:
    """DB.SCHEMA.NAME, in which `*` stands for a whole part.

    `*` never stands for INFORMATION_SCHEMA, nor for the database SNOWFLAKE: they show what others own and run, so they
    are named or closed.
    """

    parts: tuple[str, str, str]

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Return the pattern. Raises ValueError."""
        parts = split_name(text)
        if len(parts) != 3:  # noqa: PLR2004 - database, schema, name
            raise ValueError(f"{text!r} has {len(parts)} parts: write DB.SCHEMA.NAME, with * for any")
        return cls(parts)

    def covers(self, name: tuple[str, str, str]) -> bool:
        """Return True if the name, or a wider `*` in its place, is within the pattern."""
        database, schema, last = self.parts
        if database != name[0] and (database != "*" or name[0] == "SNOWFLAKE"):
            return False
        if schema != name[1] and (schema != "*" or name[1] == "INFORMATION_SCHEMA"):
            return False
        return last in ("*", name[2])
