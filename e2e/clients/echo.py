"""Echoes text and binary through a WebSocket URL with the `websockets` library.

usage: echo.py URL [SUBPROTOCOL]

Prints one JSON line: what came back, the subprotocol, and the close code.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect


async def main() -> None:
    url, subprotocols = sys.argv[1], sys.argv[2:] or None
    async with asyncio.timeout(20), connect(url, subprotocols=subprotocols) as socket:
        await socket.send("grüße")
        text = await socket.recv()
        blob = bytes(range(256)) * 400
        await socket.send(blob)
        binary = await socket.recv()
        pong = await socket.ping()
        await pong
    print(
        json.dumps(
            {
                "text": text,
                "binary": isinstance(binary, bytes) and binary == blob,
                "subprotocol": socket.subprotocol,
                "deflate": bool(socket.protocol.extensions),
                "close": socket.close_code,
            }
        )
    )


asyncio.run(main())
