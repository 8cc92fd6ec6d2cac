"""Clients of the gateway, and the echo server on this machine that stands behind it."""

import asyncio

from cluster import Failure
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

# What a client may meet when a handshake fails.
TROUBLE = (OSError, InvalidHandshake, ConnectionClosed, TimeoutError)


class World:
    """What later steps take from earlier ones."""

    url = ""
    key = ""


def dial(world, **more):
    # Beyond the cable there is no proxy.
    headers = {"Ocp-Apim-Subscription-Key": world.key} if world.key else {}
    return connect(world.url, additional_headers=headers, proxy=None, open_timeout=20, close_timeout=2, **more)


async def exchange(socket, text="hello"):
    await socket.send(text)
    answer = await asyncio.wait_for(socket.recv(), 10)
    if answer != text:
        raise Failure(f"the echo was {answer!r}")


async def echo(world):
    async with dial(world) as socket:
        await exchange(socket)


# A backend that gets this message is gone, without a Close.
VANISH = "vanish"


async def reflect(socket):
    async for message in socket:
        if message == VANISH:
            socket.transport.abort()
            return
        await socket.send(message)


class Newcomers:
    """Clients that dial all the time while something else happens; `failed` says how that went."""

    def __init__(self, world):
        self.world, self.failed, self.count = world, [], 0
        self.over = asyncio.Event()

    async def __aenter__(self):
        self.task = asyncio.create_task(self.come())
        return self

    async def __aexit__(self, *_):
        self.over.set()
        await self.task

    async def come(self):
        while not self.over.is_set():
            try:
                await echo(self.world)
            except TROUBLE as error:
                self.failed.append(f"{type(error).__name__}: {error}")
            self.count += 1
            await asyncio.sleep(0.05)

    def check(self):
        if self.failed:
            raise Failure(f"{len(self.failed)} of {self.count} handshakes failed: {self.failed[:3]}")
