"""Takes orders from a queue into the warehouse, without asyncio. An order is gone from the queue once it is written."""

from ringfence import BackendError, sync


def main() -> None:
    """Work until the queue is empty."""
    with sync.connect() as rf:
        sales = rf.snowflake("sales")
        with rf.rabbitmq("events").consume("orders", until_empty=True) as orders:
            for order in orders:
                with rf.trace("order", parent=order.traceparent, message=order.message_id):
                    try:
                        row = [order.payload["region"], order.payload["amount"]]
                        sales.execute("INSERT INTO orders (region, amount) VALUES (?, ?)", row)
                    except (BackendError, KeyError):
                        orders.nack(requeue=False)  # it will never fit: the dead letters are for people to look at
                    else:
                        rf.cache.invalidate_tag("orders")


main()
