"""Write the audit's chain of one pod, as a RabbitMQ stream has it, to a file; print its lines as JSON.

Takes the broker's URL, the stream, the pod and the file, and runs in the sidecar's image, which has a driver. It ends
with the chain's last line.
"""

import asyncio
import json
import sys
from pathlib import Path

import aio_pika

URL, STREAM, POD, FILE = sys.argv[1:5]


async def chain() -> list[bytes]:
    found: dict[str, list[bytes]] = {}
    ended: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        line = json.loads(message.body)
        found.setdefault(line["chain"], []).append(message.body)
        await message.ack()
        its = found[line["chain"]]
        if line["event"] == "end" and json.loads(its[0])["who"]["pod"] == POD and not ended.done():
            ended.set_result(its)

    async with await aio_pika.connect(URL) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        stream = await channel.declare_queue(STREAM, passive=True)
        await stream.consume(take, arguments={"x-stream-offset": "first"})
        return await asyncio.wait_for(ended, 30)


lines = asyncio.run(chain())
Path(FILE).write_bytes(b"\n".join(lines) + b"\n")
json.dump([json.loads(line) for line in lines], sys.stdout)
