"""Talks TLS by a TLS pool, with Python's standard library alone; no key is ever in here.

    python3 starttls.py /run/levada/pool.sock 127.0.0.1 443 localhost < request

Sends standard input to the server, and its answer to standard output.
"""

import socket
import struct
import sys

ERROR, STARTTLS, PLAINTEXT_CONNECT = 0x01, 0x24, 0x2A
CLIENT_TO_SERVER, TCP = 0x9, 6
# Request id, callback id and command, then the body: 388 bytes in all.
HEADER = struct.Struct("<HHI")
TLS = struct.Struct("<IIBxH128s128s16s16sI76x")


def start_tls(pool, network, name):
    """Passes a connected socket to the pool, and returns the plaintext socket."""
    body = TLS.pack(CLIENT_TO_SERVER, 0, TCP, 0, b"", name.encode(), bytes(16), b"", 0)
    socket.send_fds(pool, [HEADER.pack(0, 0, STARTTLS) + body], [network.fileno()])
    network.close()
    plain = None
    while True:
        packet = pool.recv(388, socket.MSG_WAITALL)
        if len(packet) != 388:
            raise ConnectionError("the pool went away")
        _, _, command = HEADER.unpack_from(packet)
        if command == ERROR:
            raise ConnectionError(packet[12:140].split(b"\0")[0].decode())
        if command == PLAINTEXT_CONNECT:
            plain, theirs = socket.socketpair()
            socket.send_fds(pool, [packet], [theirs.fileno()])
            theirs.close()
        if command == STARTTLS:
            peer = TLS.unpack_from(packet, HEADER.size)[5]
            print("protected, with", peer.split(b"\0")[0].decode(), file=sys.stderr)
            return plain


def main():
    path, address, port, name = sys.argv[1:]
    pool = socket.socket(socket.AF_UNIX)
    pool.connect(path)
    plain = start_tls(pool, socket.create_connection((address, int(port))), name)
    plain.sendall(sys.stdin.buffer.read())
    plain.shutdown(socket.SHUT_WR)
    while answer := plain.recv(65536):
        sys.stdout.buffer.write(answer)
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(str(error))
