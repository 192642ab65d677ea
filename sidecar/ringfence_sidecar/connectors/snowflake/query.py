"""`query`: one reading statement, or the next page of an open result."""

import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ringfence_sidecar.call import Context
from ringfence_sidecar.connectors.base import Cacheable, Effect, Operation, Outcome, Prepared
from ringfence_sidecar.connectors.snowflake.answers import QueryAnswer
from ringfence_sidecar.connectors.snowflake.arguments import QueryArguments
from ringfence_sidecar.connectors.snowflake.bound import READING_KINDS, Action, bind
from ringfence_sidecar.connectors.snowflake.judge import Verdict
from ringfence_sidecar.connectors.snowflake.reading import Reading, page_of
from ringfence_sidecar.connectors.snowflake.session import Session, Statement
from ringfence_sidecar.errors import InvalidArgumentsError
from ringfence_sidecar.quota import SCANNED

OPERATION = Operation(
    name="query",
    title="Query Snowflake",
    description=(
        "Runs one SELECT (or SHOW, DESCRIBE, EXPLAIN, where permitted) and answers its columns and rows. Give values "
        "as binds. It uses the warehouse, so ask for the columns and rows that you need. For a large result give "
        "paged: true, and read on with the handle in details.page."
    ),
    effect=Effect.READ,
    arguments=QueryArguments,
    result=QueryAnswer,
    streams=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    """A statement to run."""

    statement: Statement
    rows: int
    """Of this answer."""
    most: int
    """Over all pages."""
    paged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """The next page of an open result."""

    handle: str
    rows: int


class Query(Action):
    """See OPERATION."""

    operation = OPERATION

    def texts(self, arguments: QueryArguments) -> Iterable[tuple[str, int]]:
        """See Action."""
        return ((arguments.sql, self._most(arguments)),) if arguments.sql else ()

    def prepare(self, arguments: QueryArguments, context: Context) -> Prepared:
        """Judge the statement, or find the open result."""
        if bool(arguments.sql) == bool(arguments.handle):
            raise InvalidArgumentsError("give either sql or handle", field="arguments.sql")
        return self._page(arguments, context) if arguments.handle else self._ask(arguments, context)

    async def run(self, session: Session, payload: _Ask | _Page, context: Context) -> Outcome:
        """Return the first, or the next page."""
        started = time.monotonic()
        pages = self.bound.pages
        if isinstance(payload, _Page):
            reading, session = pages.take(payload.handle)
            with pages.place():
                return await self._answer(reading, session, payload, context, started)
        # The place is taken before the statement runs: others may keep their results meanwhile.
        with pages.place() if payload.paged else contextlib.nullcontext():
            reading = await self._start(session, payload, context)
            return await self._answer(reading, session, payload, context, started)

    async def stream(self, session: Session, payload: _Ask | _Page, context: Context) -> AsyncIterator[Outcome]:
        """Yield the whole result, page by page; no page is held open for another call."""
        started = time.monotonic()
        if isinstance(payload, _Page):
            reading, session = self.bound.pages.take(payload.handle)
        else:
            reading = await self._start(session, payload, context.within(context.grants))
        try:
            more, queries = True, 0 if isinstance(payload, _Page) else 1
            while more:
                mine = context.within(context.grants)
                mine.deadline.check()
                answer, warnings = await page_of(reading, payload.rows, self.bound.limits.bytes, mine)
                more = reading.can_go_on
                # What a quota cuts of one page comes with the next, as long as it grants more.
                cut = () if more else tuple(each for each in warnings if each.code not in {"BytesCut", "QuotaCut"})
                read = await self._scanned(session, reading, context, started) if queries else {}
                took = time.monotonic() - started
                yield _outcome(answer, cut, reading, seconds=took, queries=queries, last=not more, more=read)
                started, queries = time.monotonic(), 0
        finally:
            reading.close()
            await session.let_go()

    async def _start(self, session: Session, ask: _Ask, context: Context) -> Reading:
        is_cap = ask.most == self.bound.limits.rows
        reading = await Reading.start(await session.run(ask.statement, context), rows=ask.most, is_cap=is_cap)
        session.hold()
        return reading

    async def _answer(
        self, reading: Reading, session: Session, payload: _Ask | _Page, context: Context, started: float
    ) -> Outcome:
        queries = 0 if isinstance(payload, _Page) else 1
        keep = False
        try:
            answer, warnings = await page_of(reading, payload.rows, self.bound.limits.bytes, context)
            read = await self._scanned(session, reading, context, started) if queries else {}
            keep = reading.can_go_on and (isinstance(payload, _Page) or payload.paged)
        finally:
            if not keep:
                reading.close()
                await session.let_go()
        details: dict[str, Any] = {}
        if keep:
            warnings = tuple(each for each in warnings if each.code != "BytesCut")
            handle = self.bound.pages.keep(reading, session)
            details["page"] = {"handle": handle, "expiresInSeconds": self.bound.limits.open_result_seconds}
        took = time.monotonic() - started
        return _outcome(answer, warnings, reading, seconds=took, queries=queries, details=details, more=read)

    async def _scanned(
        self, session: Session, reading: Reading, context: Context, started: float
    ) -> Mapping[str, float]:
        return await self.bound.scans.of(session, [reading.query_id], context, since=started)

    def _rows(self, arguments: QueryArguments) -> int:
        return min(arguments.limit or self.bound.limits.rows, self.bound.limits.rows)

    def _most(self, arguments: QueryArguments) -> int:
        return self.bound.limits.rows if arguments.paged else self._rows(arguments)

    def _ask(self, arguments: QueryArguments, context: Context) -> Prepared:
        limits = self.bound.limits
        rows = self._rows(arguments)
        most = self._most(arguments)
        verdict = self.bound.judge(arguments.sql, rows=most)
        if verdict.kind not in READING_KINDS:
            raise InvalidArgumentsError(f"query reads, and {verdict.kind} changes something: use execute or batch")
        binds = bind(verdict, arguments.binds, field="arguments.binds")
        timeout = self.bound.timeout(arguments.timeout_seconds)
        statement = Statement(sql=verdict.sql, binds=binds, timeout_seconds=timeout)
        return Prepared(
            operation=OPERATION,
            effect=Effect.READ,
            payload=_Ask(statement=statement, rows=rows, most=most, paged=arguments.paged),
            rule=verdict.rule,
            summary=verdict.fingerprint,
            estimate={
                "queries": 1,
                "rows": rows,
                "bytesReturned": limits.bytes,
                SCANNED: self.bound.scans.estimate,
                "querySeconds": self.bound.seconds(arguments.timeout_seconds, context),
            },
            cache=None if arguments.paged else self._cacheable(verdict, binds, rows),
        )

    def _page(self, arguments: QueryArguments, context: Context) -> Prepared:
        if arguments.binds is not None:
            raise InvalidArgumentsError("a handle goes on with its own query: leave binds out", field="arguments.binds")
        limits = self.bound.limits
        rows = self._rows(arguments)
        return Prepared(
            operation=OPERATION,
            # A page that was lost on its way cannot be had again.
            effect=Effect.WRITE,
            payload=_Page(handle=arguments.handle, rows=rows),
            rule="sql.page",
            summary="next page",
            estimate={
                "rows": rows,
                "bytesReturned": limits.bytes,
                "querySeconds": self.bound.seconds(arguments.timeout_seconds, context),
            },
            endpoint=self.bound.pages.endpoint(arguments.handle),
        )

    def _cacheable(self, verdict: Verdict, binds: tuple[Any, ...], rows: int) -> Cacheable | None:
        if not verdict.deterministic:
            return None
        return self.bound.cacheable(verdict.reads, verdict.canonical, msgspec.json.encode(binds).decode(), str(rows))


def _outcome(
    answer: QueryAnswer,
    warnings: tuple[Any, ...],
    reading: Reading,
    *,
    seconds: float,
    queries: int,
    details: Any = None,
    last: bool = False,
    more: Mapping[str, float],
) -> Outcome:
    return Outcome(
        data=answer,
        warnings=warnings,
        partial=bool(warnings),
        backend_id=reading.query_id,
        used={
            "queries": queries,
            "rows": answer.row_count,
            "bytesReturned": len(memoryview(answer.rows)),
            "querySeconds": seconds,
            **more,
        },
        details=details or {},
        cacheable=not warnings and not details,
        last=last,
    )
