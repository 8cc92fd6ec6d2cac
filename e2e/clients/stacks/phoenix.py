"""A server of Phoenix' channels that nobody here wrote: PyView, which serves LiveViews to Phoenix' own client.

usage: python phoenix.py

Prints one JSON line with the token that a channel on the topic "lv:harbour" must show, then "listening on PORT".
"""

import asyncio
import json
import socket

import uvicorn
from pyview import LiveView, PyView
from pyview.csrf import generate_csrf_token


class Rendered:
    """The state as the one dynamic part of a page."""

    def __init__(self, state):
        self.state = state

    def tree(self, socket=None):
        return {"s": ["<p>", "</p>"], "0": str(self.state["shown"])}

    def text(self, socket=None):
        return f"<p>{self.state['shown']}</p>"


class Harbour(LiveView):
    async def mount(self, socket, session):
        socket.context = {"shown": "mounted"}

    async def handle_event(self, event, payload, socket):
        if event == "echo":
            socket.context = {"shown": payload["text"]}
        if event == "later":
            socket.schedule_info_once("a push of the server")

    async def handle_info(self, event, socket):
        socket.context = {"shown": event}

    async def render(self, assigns, meta):
        return Rendered(assigns)


async def main():
    app = PyView()
    app.add_live_view("/harbour", Harbour)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(json.dumps({"token": generate_csrf_token("lv:harbour")}), flush=True)
    print(f"listening on {listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, log_level="warning", ws="websockets-sansio", ws_max_size=8 << 20)
    await uvicorn.Server(config).serve(sockets=[listener])


asyncio.run(main())
