"""An echo server made with the `websockets` library, for use as a backend.

Prints `listening on PORT` and serves until its standard input ends.
"""

import asyncio
import sys

from websockets.asyncio.server import serve


async def echo(socket) -> None:
    async for message in socket:
        await socket.send(message)


async def main() -> None:
    async with serve(echo, "127.0.0.1", 0, subprotocols=["chat.v2", "chat.v1"]) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on {port}", flush=True)
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
