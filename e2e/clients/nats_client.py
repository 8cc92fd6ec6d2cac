"""Publishes, subscribes and requests over NATS on a WebSocket URL, with `nats-py`.

usage: nats_client.py URL

Prints one JSON line with what came back.
"""

import asyncio
import json
import sys

import nats


async def main() -> None:
    client = await nats.connect(
        sys.argv[1], connect_timeout=10, allow_reconnect=False, max_reconnect_attempts=0
    )
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def on_tide(message) -> None:
        answered.set_result(message.data.decode())

    async def on_question(message) -> None:
        await message.respond(message.data.upper())

    await client.subscribe("tide", cb=on_tide)
    await client.subscribe("question", cb=on_question)
    await client.flush(timeout=10)
    await client.publish("tide", b"high")
    heard = await asyncio.wait_for(answered, 10)
    reply = await client.request("question", b"how deep?" * 10000, timeout=10)
    await client.drain()
    print(json.dumps({"heard": heard, "reply": reply.data.decode()[:9], "bytes": len(reply.data)}))


asyncio.run(asyncio.wait_for(main(), 30))
