"""WebSockets of Python `websockets`: ws.py PORT PATH COUNT [SUBPROTOCOL]; line protocol of README.md."""

import asyncio
import base64
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


def say(**members):
    print(json.dumps(members), flush=True)


async def receive(n, socket):
    """Prints every message, then how the socket ended."""
    try:
        while True:
            data = await socket.recv()
            if isinstance(data, bytes):
                say(n=n, what="message", base64=base64.b64encode(data).decode())
            else:
                say(n=n, what="message", text=data)
    except ConnectionClosed:
        say(n=n, what="close", code=socket.close_code, reason=socket.close_reason)


async def send(sockets):
    """Sends what the input says, until its end."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        binary = "base64" in command
        payload = base64.b64decode(command["base64"]) if binary else command["text"]
        try:
            await sockets[command["n"]].send(payload)
        except ConnectionClosed:
            pass  # receive() tells it


async def main(port, path, count, *protocol):
    sockets, receivers = [], []
    for n in range(int(count)):
        socket = await connect(f"ws://127.0.0.1:{port}{path}", subprotocols=protocol or None)
        sockets.append(socket)
        extensions = ", ".join(extension.name for extension in socket.protocol.extensions)
        say(n=n, what="open", extensions=extensions)
        receivers.append(asyncio.create_task(receive(n, socket)))
    await send(sockets)
    await asyncio.gather(*(socket.close() for socket in sockets))
    await asyncio.gather(*receivers)


asyncio.run(main(*sys.argv[1:]))
