"""Sessions of the stand-in: tokens of its own over fakesnow's, so that they can expire when a test wants it."""

import itertools
import secrets
from dataclasses import dataclass, field

SESSION_EXPIRED = ("390112", "Session token has expired. Please renew it.")
MASTER_EXPIRED = ("390114", "Authentication token has expired. The user must authenticate again.")
GONE = ("390111", "Session no longer exists. New login required to access the service.")
_numbers = itertools.count(100_001)


@dataclass
class Session:
    """One login."""

    inner: str
    """fakesnow's own token."""
    user: str
    role: str
    warehouse: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    master: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    number: int = field(default_factory=lambda: next(_numbers))
    token_expired: bool = False
    master_expired: bool = False
    gone: bool = False


class Sessions:
    """All that are logged in."""

    def __init__(self) -> None:
        self._all: list[Session] = []

    def add(self, session: Session) -> None:
        """Keep a session."""
        self._all.append(session)

    def of_token(self, token: str) -> Session | None:
        """Return the session with that token, expired or not."""
        return next((each for each in self._all if each.token == token), None)

    def of_master(self, token: str) -> Session | None:
        """Return the session with that master token."""
        return next((each for each in self._all if each.master == token), None)

    def remove(self, session: Session) -> None:
        """Forget a session."""
        self._all.remove(session)

    def expire(self, what: str) -> int:
        """Let all expire: `session` tokens, `master` tokens too, or `gone`. Returns how many there were."""
        for each in self._all:
            each.token_expired = True
            each.master_expired = each.master_expired or what == "master"
            each.gone = each.gone or what == "gone"
        return len(self._all)

    def __len__(self) -> int:
        return len(self._all)


def refusal(session: Session | None) -> tuple[str, str] | None:
    """Return code and message if the session may not ask, else None."""
    if session is None or session.gone:
        return GONE
    return SESSION_EXPIRED if session.token_expired else None
