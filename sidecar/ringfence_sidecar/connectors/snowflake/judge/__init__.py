"""Judges SQL by its whole tree: what is not known to be harmless and permitted is refused.

The parser is imported by the first judgement, or by `load` before it: never before a Connector needs it.
"""

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable

from ringfence_sidecar.connectors.snowflake.judge.names import Defaults
from ringfence_sidecar.connectors.snowflake.judge.permissions import KINDS, Permissions
from ringfence_sidecar.connectors.snowflake.judge.verdict import Verdict
from ringfence_sidecar.errors import CallError

__all__ = ["KINDS", "Defaults", "Judge", "Permissions", "Verdict", "is_loaded", "judge", "load"]

Text = Callable[[str, Permissions, Defaults, int | None], Verdict]


@functools.cache
def load() -> Text:
    """Return what judges a text. The first time that is an import of 0.2 s: nobody should wait for it who need not."""
    from ringfence_sidecar.connectors.snowflake.judge.judging import judge_text  # noqa: PLC0415 - see above

    return judge_text


def is_loaded() -> bool:
    """Return True once a judgement takes no import."""
    return load.cache_info().currsize > 0


def judge(sql: str, permissions: Permissions, defaults: Defaults, *, row_cap: int | None) -> Verdict:
    """Return the verdict on a text; a query answers at most `row_cap` + 1 rows.

    Raises RefusedError, whose `code` and `rule` are stable, or InvalidArgumentsError for what cannot be parsed.
    """
    return load()(sql, permissions, defaults, row_cap)


class Judge:
    """One Connector's judge, which remembers what it has said. Made anew with each generation of the permissions.

    Threads may share it.
    """

    def __init__(self, permissions: Permissions, defaults: Defaults, *, most: int = 512) -> None:
        self.permissions = permissions
        self.defaults = defaults
        self._most = most
        self._known: OrderedDict[tuple[str, int | None], Verdict | CallError] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, sql: str, *, row_cap: int | None) -> bool:
        """Return True if the verdict is remembered."""
        return (sql, row_cap) in self._known

    def __call__(self, sql: str, *, row_cap: int | None) -> Verdict:
        """Return the verdict, as `judge` does. A remembered refusal is raised as a new error."""
        key = (sql, row_cap)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
        if known is None:
            known = self._ask(sql, row_cap)
            self._remember(key, known)
        if isinstance(known, CallError):
            raise type(known)(known.message, code=known.reason, rule=known.rule, field=known.field)
        return known

    def _remember(self, key: tuple[str, int | None], said: Verdict | CallError) -> None:
        if len(key[0]) > _LONGEST_KNOWN:
            return
        with self._lock:
            self._known[key] = said
            if len(self._known) > self._most:
                self._known.popitem(last=False)

    def _ask(self, sql: str, row_cap: int | None) -> Verdict | CallError:
        try:
            return load()(sql, self.permissions, self.defaults, row_cap)
        except CallError as error:
            return error.with_traceback(None)


_LONGEST_KNOWN = 4_096
"""Characters of a text that is worth remembering: 512 of them are at most a few MiB."""
