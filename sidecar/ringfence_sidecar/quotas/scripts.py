"""The scripts that count in Redis, as it is given them. What each takes is said where `Store` packs it."""

from hashlib import sha1
from pathlib import Path
from typing import Final

_COMMON = "common"
NAMES: Final = ("reserve", "tell", "join", "leave")


def _text(name: str) -> str:
    return Path(__file__).with_name(f"{name}.lua").read_text(encoding="utf-8")


TEXTS: Final = {name: f"{_text(_COMMON)}\n{_text(name)}".encode() for name in NAMES}
"""Name → text."""

DIGESTS: Final = {name: sha1(text, usedforsecurity=False).hexdigest().encode() for name, text in TEXTS.items()}
"""Name → what EVALSHA calls it by."""
