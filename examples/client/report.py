"""Sums up what was sold by region, and tells who waits for it. Asks the warehouse at most every ten minutes."""

import asyncio
import json

import ringfence
from ringfence import Snowflake, cached


@cached(ttl=600, tags=["orders"], key=lambda _, region: region)
async def sold(sales: Snowflake, region: str) -> float:
    """Return what was sold in a region."""
    result = await sales.query("SELECT SUM(amount) AS amount FROM orders WHERE region = ?", [region])
    return float(result.rows[0][0] or 0)


async def main() -> None:
    """Make the report."""
    retry = ringfence.Retry(attempts=5)  # where the sidecar says that a call may be made again, and after how long
    async with ringfence.connect(retry=retry) as rf:
        sales = rf.snowflake("sales")
        with rf.trace("report") as span:
            report = {region: await sold(sales, region) for region in ("north", "south")}
            await rf.rabbitmq("events").publish(report, "reports", message_id=span.trace_id)
            span.set(regions=len(report))
        print(json.dumps(rf.normalize(report, message="published").as_json()))


asyncio.run(main())
