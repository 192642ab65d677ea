"""`warehouse_usage`: what the Connector's own warehouse has used and how busy it was."""

import time
from collections.abc import Sequence
from typing import Any

from ringfence_sidecar.call import Context
from ringfence_sidecar.connectors.base import Effect, Operation, Outcome, Prepared
from ringfence_sidecar.connectors.snowflake.answers import Hour, WarehouseUsage
from ringfence_sidecar.connectors.snowflake.arguments import UsageArguments
from ringfence_sidecar.connectors.snowflake.bound import Action
from ringfence_sidecar.connectors.snowflake.judge.names import split_name
from ringfence_sidecar.connectors.snowflake.session import Session, Statement, failures
from ringfence_sidecar.connectors.snowflake.settings import account_of

OPERATION = Operation(
    name="warehouse_usage",
    title="Usage of the Snowflake warehouse",
    description=(
        "Answers by hour the credits that this connector's warehouse used, and how many queries ran and waited. "
        "Snowflake's figures are up to three hours behind."
    ),
    effect=Effect.READ,
    arguments=UsageArguments,
    result=WarehouseUsage,
)
_METERING = """
SELECT DATE_TRUNC('hour', START_TIME), SUM(CREDITS_USED), SUM(CREDITS_USED_COMPUTE), SUM(CREDITS_USED_CLOUD_SERVICES)
FROM SNOWFLAKE.ACCOUNT_USAGE.WAREHOUSE_METERING_HISTORY
WHERE WAREHOUSE_NAME = ? AND START_TIME >= DATEADD('hour', ?, CURRENT_TIMESTAMP())
GROUP BY 1 ORDER BY 1 LIMIT 1000
"""
_LOAD = """
SELECT DATE_TRUNC('hour', START_TIME), AVG(AVG_RUNNING), AVG(AVG_QUEUED_LOAD + AVG_QUEUED_PROVISIONING)
FROM SNOWFLAKE.ACCOUNT_USAGE.WAREHOUSE_LOAD_HISTORY
WHERE WAREHOUSE_NAME = ? AND START_TIME >= DATEADD('hour', ?, CURRENT_TIMESTAMP())
GROUP BY 1 ORDER BY 1 LIMIT 1000
"""


class Usage(Action):
    """See OPERATION."""

    operation = OPERATION

    def prepare(self, arguments: UsageArguments, context: Context) -> Prepared:
        """Nothing of it is the agent's text."""
        return Prepared(
            operation=OPERATION,
            effect=Effect.READ,
            payload=(arguments.hours, self.bound.timeout(arguments.timeout_seconds)),
            rule="settings.warehouseUsage",
            summary=f"usage of {arguments.hours} hours",
            estimate={
                "queries": 2,
                "rows": arguments.hours,
                "querySeconds": self.bound.seconds(arguments.timeout_seconds, context, 2),
            },
        )

    async def run(self, session: Session, payload: tuple[int, float], context: Context) -> Outcome:
        """Ask for credits and load, and put them together by hour."""
        hours, timeout = payload
        started = time.monotonic()
        (warehouse,) = split_name(account_of(session.endpoint).warehouse)
        binds = (warehouse, -hours)
        metering = Statement(sql=_METERING, binds=binds, timeout_seconds=timeout)
        metered, query_id = await _rows(session, metering, context)
        load, _ = await _rows(session, Statement(sql=_LOAD, binds=binds, timeout_seconds=timeout), context)
        hourly = _by_hour(metered, load)
        shown = hourly[: context.grants.whole("rows", len(hourly))]
        is_cut = len(shown) < len(hourly)
        answer = WarehouseUsage(warehouse=warehouse, credits=float(sum(row[1] for row in metered)), hours=shown)
        return Outcome(
            data=answer,
            backend_id=query_id,
            warnings=(context.grants.notice("rows"),) if is_cut else (),
            partial=is_cut,
            used={"queries": 2, "rows": len(shown), "querySeconds": time.monotonic() - started},
            cacheable=False,
        )


async def _rows(session: Session, statement: Statement, context: Context) -> tuple[Sequence[Sequence[Any]], str | None]:
    cursor = await session.run(statement, context)
    try:
        with failures():
            rows: Sequence[Sequence[Any]] = await cursor.fetchall()
        return rows, cursor.sfqid
    finally:
        cursor.close()


def _by_hour(metered: Sequence[Sequence[Any]], load: Sequence[Sequence[Any]]) -> list[Hour]:
    used = {row[0]: row[1:] for row in metered}
    busy = {row[0]: row[1:] for row in load}
    return [
        Hour(
            start=at.isoformat(),
            credits=_figure(used, at, 0),
            credits_compute=_figure(used, at, 1),
            credits_cloud_services=_figure(used, at, 2),
            running=_figure(busy, at, 0),
            queued=_figure(busy, at, 1),
        )
        for at in sorted(used.keys() | busy.keys())
    ]


def _figure(rows: dict[Any, Sequence[Any]], at: Any, place: int) -> float | None:
    value = rows[at][place] if at in rows else None
    return None if value is None else float(value)
