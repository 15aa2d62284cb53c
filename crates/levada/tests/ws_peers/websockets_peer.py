"""Python's websockets as the other end, asked as main.rs of these tests says: `serve`, or `connect URL`."""

import asyncio
import os
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 4 << 20]
PATTERN = bytes(range(256)) * 8192


def say(*words):
    print(*words, flush=True)


async def client(url):
    async with connect(url + "/echo", subprotocols=["unknown", "binary"], max_size=None) as socket:
        assert socket.subprotocol == "binary"
        messages = [os.urandom(size) for size in SIZES]
        whole = b"".join(messages)

        async def send():
            for message in messages:
                await socket.send(message)
                await (await socket.ping())
            # One message in fragments, of which one is empty.
            await socket.send([whole[:1000], b"", whole[1000:]])

        async def receive():
            echo = bytearray()
            while len(echo) < 2 * len(whole):
                echo += await socket.recv()
            assert echo == whole + whole

        await asyncio.gather(send(), receive())
        await socket.close(4001, "genug für heute")
    async with connect(url + "/bye") as socket:
        data = bytearray()
        try:
            while True:
                data += await socket.recv()
        except ConnectionClosed as closed:
            assert data == PATTERN
            say("closed", closed.rcvd.code, closed.rcvd.reason)


async def answer(socket):
    if socket.request.path == "/bye":
        await socket.send([PATTERN[:5], PATTERN[5:70000], PATTERN[70000:]])
        # Waits for the pong.
        await (await socket.ping(b"are you there"))
        await socket.close(4003, "müde")
    else:
        try:
            while True:
                await socket.send(await socket.recv())
        except ConnectionClosed:
            pass
        say("closed", socket.close_code, socket.close_reason)


async def server():
    async with serve(answer, "127.0.0.1", 0, subprotocols=["binary"], max_size=None) as listening:
        say("port", listening.sockets[0].getsockname()[1])
        await listening.serve_forever()


asyncio.run(client(sys.argv[2]) if sys.argv[1] == "connect" else server())
