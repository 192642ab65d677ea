"""`execute`: one statement that changes something."""

import time
from collections.abc import Iterable

from ringfence_sidecar.call import Context
from ringfence_sidecar.connectors.base import Effect, Operation, Outcome, Prepared
from ringfence_sidecar.connectors.snowflake.answers import ExecuteAnswer
from ringfence_sidecar.connectors.snowflake.arguments import ExecuteArguments
from ringfence_sidecar.connectors.snowflake.bound import READING_KINDS, Action, bind, spoils
from ringfence_sidecar.connectors.snowflake.session import Session, Statement, failures
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import InvalidArgumentsError
from ringfence_sidecar.quota import SCANNED

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

    def prepare(self, arguments: ExecuteArguments, context: Context) -> Prepared:
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
            estimate={
                "queries": 1,
                "bytesReturned": 0 if verdict.kind in _COUNTING else self.bound.limits.bytes,
                SCANNED: self.bound.scans.estimate,
                "querySeconds": self.bound.seconds(arguments.timeout_seconds, context),
            },
            invalidates=spoils(verdict),
            lasts_seconds=statement.timeout_seconds,
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
        text = str(row[0]).encode() if row and row[0] is not None else b""
        read = await self.bound.scans.of(session, [cursor.sfqid], context, since=started, wrote=True)
        shown, warnings = self._cut(text, context)
        return Outcome(
            data=ExecuteAnswer(statement=kind, rows_affected=affected, message=shown.decode(errors="ignore")),
            warnings=warnings,
            partial=bool(warnings),
            backend_id=cursor.sfqid,
            used={"queries": 1, "bytesReturned": len(shown), "querySeconds": time.monotonic() - started, **read},
        )

    def _cut(self, text: bytes, context: Context) -> tuple[bytes, tuple[Notice, ...]]:
        most = context.grants.whole("bytesReturned", self.bound.limits.bytes)
        if len(text) <= most:
            return text, ()
        if context.grants.is_short("bytesReturned"):
            return text[:most], (context.grants.notice("bytesReturned"),)
        return text[:most], (Notice("BytesCut", f"what the statement answers is more than {most} bytes"),)
