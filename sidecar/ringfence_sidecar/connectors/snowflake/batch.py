"""`batch`: statements of one transaction, all or nothing."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ringfence_sidecar.call import Context, Deadline
from ringfence_sidecar.connectors.base import Effect, Operation, Outcome, Prepared
from ringfence_sidecar.connectors.snowflake.answers import BatchAnswer, StatementAnswer
from ringfence_sidecar.connectors.snowflake.arguments import BatchArguments, BatchStatement
from ringfence_sidecar.connectors.snowflake.bound import TRANSACTIONAL_KINDS, Action, bind, spoils
from ringfence_sidecar.connectors.snowflake.judge import Verdict
from ringfence_sidecar.connectors.snowflake.reading import Reading, page_of
from ringfence_sidecar.connectors.snowflake.session import Session, Statement
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import CallError, InvalidArgumentsError
from ringfence_sidecar.quota import SCANNED

OPERATION = Operation(
    name="batch",
    title="Change several things in Snowflake, all or nothing",
    description=(
        "Runs SELECT, INSERT, UPDATE, DELETE and MERGE statements in order, in one transaction: if one fails, none has "
        "had an effect. Answers each statement's row count, and rows for a SELECT."
    ),
    effect=Effect.WRITE,
    destructive=True,
    arguments=BatchArguments,
    result=BatchAnswer,
)
_ROLLBACK_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    kind: str
    statement: Statement


class Batch(Action):
    """See OPERATION."""

    operation = OPERATION

    def texts(self, arguments: BatchArguments) -> Iterable[tuple[str, int]]:
        """See Action."""
        return ((each.sql, self.bound.limits.rows) for each in arguments.statements)

    def prepare(self, arguments: BatchArguments, context: Context) -> Prepared:
        """Judge all statements."""
        most = self.bound.limits.batch_statements
        if len(arguments.statements) > most:
            raise InvalidArgumentsError(f"a batch has at most {most} statements: make several")
        verdicts = [self._judge(at, each) for at, each in enumerate(arguments.statements)]
        timeout = self.bound.timeout(arguments.timeout_seconds)
        parts = tuple(
            self._part(at, verdict, each, timeout)
            for at, (verdict, each) in enumerate(zip(verdicts, arguments.statements, strict=True))
        )
        writes = frozenset().union(*(verdict.writes for verdict in verdicts))
        return Prepared(
            operation=OPERATION,
            effect=Effect.WRITE if writes else Effect.READ,
            payload=parts,
            rule=verdicts[0].rule if len(verdicts) == 1 else "sql.batch",
            summary="; ".join(verdict.fingerprint for verdict in verdicts),
            estimate=self._estimate(parts, arguments.timeout_seconds, context),
            invalidates=frozenset().union(*map(spoils, verdicts)),
            lasts_seconds=self.bound.timeout(None),
        )

    async def run(self, session: Session, payload: tuple[_Part, ...], context: Context) -> Outcome:
        """Run them between BEGIN and COMMIT."""
        started = time.monotonic()
        await self._control(session, "BEGIN", context)
        answers: list[StatementAnswer] = []
        warnings: list[Notice] = []
        try:
            for at, part in enumerate(payload):
                read = _read(answers)
                left = replace(context, grants=context.grants.less(read))
                most = self.bound.limits.bytes - int(read["bytesReturned"])
                answers.append(await self._run(session, part, left, most, warnings, at))
        except BaseException as error:
            await self._roll_back(session, context)
            if isinstance(error, CallError):
                _explain(error, len(answers), len(payload))
            raise
        query_id = await self._commit(session, context)
        queries = [each.query_id for each in answers]
        scan = await self.bound.scans.of(session, queries, context, since=started, wrote=True)
        return Outcome(
            data=BatchAnswer(statements=answers),
            warnings=tuple(warnings),
            partial=bool(warnings),
            backend_id=query_id,
            used={"queries": len(answers), "querySeconds": time.monotonic() - started, **_read(answers), **scan},
        )

    def _judge(self, at: int, each: BatchStatement) -> Verdict:
        try:
            verdict = self.bound.judge(each.sql, rows=self.bound.limits.rows)
        except CallError as error:
            error.field = f"arguments.statements[{at}].sql"
            raise
        if verdict.kind not in TRANSACTIONAL_KINDS:
            raise InvalidArgumentsError(
                f"{verdict.kind} cannot be taken back, so it is in no batch: use execute",
                field=f"arguments.statements[{at}].sql",
            )
        return verdict

    def _estimate(self, parts: Sequence[_Part], timeout: float | None, context: Context) -> dict[str, float]:
        reading = sum(part.kind == "Select" for part in parts)
        return {
            "queries": len(parts),
            "rows": reading * self.bound.limits.rows,
            "bytesReturned": self.bound.limits.bytes if reading else 0,
            SCANNED: len(parts) * self.bound.scans.estimate,
            "querySeconds": self.bound.seconds(timeout, context, len(parts)),
        }

    def _part(self, at: int, verdict: Verdict, each: BatchStatement, timeout: float) -> _Part:
        binds = bind(verdict, each.binds, field=f"arguments.statements[{at}].binds")
        return _Part(kind=verdict.kind, statement=Statement(sql=verdict.sql, binds=binds, timeout_seconds=timeout))

    async def _run(  # noqa: PLR0917 - what is left after the statements before
        self, session: Session, part: _Part, context: Context, most_bytes: int, warnings: list[Notice], at: int
    ) -> StatementAnswer:
        cursor = await session.run(part.statement, context, reopen=False)
        try:
            if part.kind != "Select":
                return StatementAnswer(statement=part.kind, query_id=cursor.sfqid or "", rows_affected=cursor.rowcount)
            reading = await Reading.start(cursor, rows=self.bound.limits.rows)
            # Where those before have taken the room, the write that comes after must not fail for it.
            may_be_empty = most_bytes < self.bound.limits.bytes
            rows = self.bound.limits.rows
            answer, cut = await page_of(reading, rows, most_bytes, context, may_be_empty=may_be_empty)
        finally:
            cursor.close()
        warnings += [Notice(each.code, f"statement {at + 1}: {each.message}") for each in cut]
        return StatementAnswer(
            statement=part.kind,
            query_id=cursor.sfqid or "",
            columns=answer.columns,
            rows=answer.rows,
            row_count=answer.row_count,
        )

    async def _control(self, session: Session, sql: str, context: Context, *, writes: bool = False) -> str | None:
        timeout = self.bound.timeout(None)
        statement = Statement(sql=sql, timeout_seconds=timeout, writes=writes)
        cursor = await session.run(statement, context, reopen=sql == "BEGIN")
        cursor.close()
        query_id: str | None = cursor.sfqid
        return query_id

    async def _commit(self, session: Session, context: Context) -> str | None:
        try:
            return await self._control(session, "COMMIT", context, writes=True)
        except BaseException:
            # It may have been committed or not: only a new session knows nothing of it.
            session.broken = True
            raise

    async def _roll_back(self, session: Session, context: Context) -> None:
        """Take back what was done; a session that cannot be told is closed, and Snowflake takes it back then."""
        session.broken = True
        last = Context(
            agent=context.agent,
            request_id=context.request_id,
            trace=context.trace,
            deadline=Deadline.after(_ROLLBACK_SECONDS),
        )
        task = asyncio.ensure_future(self._control(session, "ROLLBACK", last))
        done, _ = await asyncio.wait({task}, timeout=_ROLLBACK_SECONDS)
        if done and task.exception() is None:
            session.broken = False
        elif not done:
            task.cancel()


def _explain(error: CallError, done: int, statements: int) -> None:
    error.message = f"statement {done + 1} of {statements} failed, and all were taken back: {error.message}"
    error.field = error.field or f"arguments.statements[{done}]"


def _read(answers: list[StatementAnswer]) -> dict[str, float]:
    read = [each for each in answers if each.rows is not None]
    size = sum(len(memoryview(each.rows)) for each in read if each.rows is not None)
    return {"rows": sum(each.row_count or 0 for each in read), "bytesReturned": size}
