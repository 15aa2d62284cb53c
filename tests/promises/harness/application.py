"""An application of a TLS pool that does what its words say, one after another.

    application.py SOCKET NUMBER WORD...

Its control key is its number. What it learns it says, a line each.
"""

import signal
import socket
import struct
import sys

SUCCESS, STARTTLS, PINENTRY, PLAINTEXT_CONNECT = 0x0, 0x24, 0x29, 0x2A
LIDENTRY_REGISTER = 0x200
PAGE, OFFER, HANDBACK = 0xCC560001, 0xCC560002, 0xCC560004
HEADER, TLS = struct.Struct("<HHI"), struct.Struct("<IIBxH128s128s16s16sI76x")
ASKED, LINE = struct.Struct("<16sIIIH"), struct.Struct("<IHI256x")
DOCUMENTS = {"report": 2, "chain": 5}

path, number, *words = sys.argv[1:]
key = int(number).to_bytes(16, "little")
pool = socket.socket(socket.AF_UNIX)
pool.connect(path)
network = plain = question = None


def say(*what):
    print(*what, flush=True)


def send(command, body, *descriptors):
    packet = (HEADER.pack(1, 0, command) + body).ljust(388, b"\0")
    socket.send_fds(pool, [packet], [descriptor.fileno() for descriptor in descriptors])


def hear(*commands):
    packet = pool.recv(388, socket.MSG_WAITALL)
    assert len(packet) == 388, "the pool went away"
    command = HEADER.unpack_from(packet)[2]
    assert command in commands, (hex(command), packet[12:140].rstrip(b"\0"))
    return packet


def text(bytes):
    return bytes.split(b"\0")[0].decode()


def page(document, offset):
    send(PAGE, ASKED.pack(key, document, offset, 0, 0))
    _, _, _, total, length = ASKED.unpack_from(reply := hear(PAGE), 8)
    return total, reply[38 : 38 + length]


for word in words:
    name, *of = word.split(":")
    if name == "offer":
        protocol = of[0].encode()
        send(OFFER, key + struct.pack("<HB", len(protocol) + 1, len(protocol)) + protocol)
        hear(SUCCESS)
    elif name == "hand-back":
        send(HANDBACK, key)
        hear(SUCCESS)
    elif name == "dial":
        network = socket.create_connection(("127.0.0.1", int(of[0])))
    elif name == "accept":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            say(listener.getsockname()[1])
            network, _ = listener.accept()
    elif name == "starttls":
        flags, local, remote = int(of[0], 16), of[1].encode(), of[2].encode()
        send(STARTTLS, TLS.pack(flags, 0, 6, 0, local, remote, key, b"", 0), network)
        network.close()
    elif name == "question":
        question = hear(int(of[0], 16))
    elif name == "plain":
        question = hear(PLAINTEXT_CONNECT)
        plain, theirs = socket.socketpair(socket.AF_UNIX, getattr(socket, of[0]))
        socket.send_fds(pool, [question], [theirs.fileno()])
        theirs.close()
        body = TLS.unpack_from(hear(STARTTLS), 8)
        assert body[6] == key, "the session of another"
        say("protected", text(body[4]), text(body[5]))
    elif name == "talk":
        sent = of[0].encode() * int(of[1])
        plain.sendall(sent)
        assert plain.recv(len(sent), socket.MSG_WAITALL) == sent, "the words of another"
    elif name == "echo":
        plain.sendall(plain.recv(65536))
    elif name == "page":
        total, found = page(DOCUMENTS[of[0]], 0)
        say("page", len(found), "of", total)
    elif name in DOCUMENTS:
        whole, total = b"", 1
        while len(whole) < total:
            total, found = page(DOCUMENTS[name], len(whole))
            whole += found
        say(name, whole.hex())
    elif name == "pins":
        send(PINENTRY, struct.pack("<III", 0, 0, 600_000_000))
    elif name == "choices":
        send(LIDENTRY_REGISTER, LINE.pack(int(of[0], 16), 9, 600))
    elif name == "leave":
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(65536):
            pass
    elif name == "wait":
        sys.stdin.readline()
    elif name == "stop":
        say("stopped")
        signal.pause()
    else:
        raise ValueError(word)
