"""`execute`: one statement that changes something."""

import time
from collections.abc import Iterable

from ringfence_sidecar.call import Context
from ringfence_sidecar.connectors.base import Effect, Operation, Outcome, Prepared
from ringfence_sidecar.connectors.snowflake.answers import ExecuteAnswer
from ringfence_sidecar.connectors.snowflake.arguments import ExecuteArguments
from ringfence_sidecar.connectors.snowflake.bound import READING_KINDS, Action, bind
from ringfence_sidecar.connectors.snowflake.session import Session, Statement, failures
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import InvalidArgumentsError

OPERATION = Operation(
    name="execute",
    title="Change something in Snowflake",
    description=(
        "Runs one permitted statement that changes data or objects, and answers how many rows it touched. It takes "
        "effect at once; use batch for several that belong together. Give values as binds."
    ),
    effect=Effect.WRITE,
    destructive=True,
    arguments=ExecuteArguments,
    result=ExecuteAnswer,
)
_COUNTING = frozenset({"Insert", "Update", "Delete", "Merge"})


class Execute(Action):
    """See OPERATION."""

    operation = OPERATION

    def texts(self, arguments: ExecuteArguments) -> Iterable[tuple[str, int]]:
        """See Action."""
        return ((arguments.sql, self.bound.limits.rows),)

    def prepare(self, arguments: ExecuteArguments, context: Context) -> Prepared:  # noqa: ARG002 - the base's
        """Judge the statement."""
        verdict = self.bound.judge(arguments.sql, rows=self.bound.limits.rows)
        if verdict.kind in READING_KINDS:
            raise InvalidArgumentsError(f"execute changes something, and {verdict.kind} does not: use query")
        statement = Statement(
            sql=verdict.sql,
            binds=bind(verdict, arguments.binds, field="arguments.binds"),
            timeout_seconds=self.bound.timeout(arguments.timeout_seconds),
            writes=True,
        )
        return Prepared(
            operation=OPERATION,
            effect=verdict.effect,
            payload=(verdict.kind, statement),
            rule=verdict.rule,
            summary=verdict.fingerprint,
            estimate={"queries": 1},
            invalidates=verdict.writes,
        )

    async def run(self, session: Session, payload: tuple[str, Statement], context: Context) -> Outcome:
        """Run it, in a transaction of its own."""
        kind, statement = payload
        started = time.monotonic()
        cursor = await session.run(statement, context)
        with failures(writes=True):
            try:
                affected = cursor.rowcount if kind in _COUNTING else None
                row = None if kind in _COUNTING else await cursor.fetchone()
            finally:
                cursor.close()
        text, most = str(row[0]) if row and row[0] is not None else "", self.bound.limits.bytes
        is_cut = len(text.encode()) > most
        return Outcome(
            data=ExecuteAnswer(
                statement=kind, rows_affected=affected, message=text.encode()[:most].decode(errors="ignore")
            ),
            warnings=(Notice("BytesCut", f"what the statement answers is more than {most} bytes"),) if is_cut else (),
            partial=is_cut,
            backend_id=cursor.sfqid,
            used={"queries": 1, "seconds": time.monotonic() - started},
        )
