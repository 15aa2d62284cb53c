"""A peer of WebSockets over HTTP/2 (RFC 8441) that shares nothing with ours: h2 and wsproto.

    peer.py ask PORT CA PATH STREAMS BYTES RESET
        opens STREAMS WebSockets on one connection at localhost (under TLS that CA vouches for; "-" is
        plain), echoes BYTES on each at once, resets number RESET on the way, and closes the others
    peer.py serve IDENTITY SETTING
        serves WebSockets (under TLS with this identity; "-" is plain), with extended CONNECT if SETTING
        is "on". /echo sends back what comes; other paths end the stream at the first message:
        /cancel and /internal by a reset, /end by END_STREAM, /goaway by a GOAWAY and the connection's end
"""

import hashlib
import json
import socket
import ssl
import sys
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping

SIZES = (1, 125, 126, 65535, 65536, 200000)


def say(**words):
    print(json.dumps(words), flush=True)


class Wire:
    """An HTTP/2 connection, and what waits for its windows."""

    def __init__(self, sock, client):
        self.sock = sock
        config = h2.config.H2Configuration(client_side=client, header_encoding="utf-8")
        self.http = h2.connection.H2Connection(config)
        self.waiting = {}

    def write(self, stream, data, end=False):
        queue, _ = self.waiting.get(stream, (b"", False))
        self.waiting[stream] = (queue + data, end)
        self.push()

    def push(self):
        for stream, (data, end) in list(self.waiting.items()):
            while data:
                room = self.http.local_flow_control_window(stream)
                room = min(room, self.http.max_outbound_frame_size, len(data))
                if room <= 0:
                    break
                self.http.send_data(stream, data[:room])
                data = data[room:]
            if data or not end:
                self.waiting[stream] = (data, end)
            if not data:
                del self.waiting[stream]
                if end:
                    self.http.end_stream(stream)
        self.flush()

    def flush(self):
        self.sock.sendall(self.http.data_to_send())

    def owes(self, stream):
        return stream in self.waiting

    def events(self):
        """What comes, until the connection's end; each DATA is acknowledged."""
        while True:
            data = self.sock.recv(65536)
            if not data:
                return
            for event in self.http.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    self.http.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                if isinstance(event, h2.events.StreamReset):
                    self.waiting.pop(event.stream_id, None)
                yield event
            self.push()


def pattern(number, count):
    return bytes((at * 7 + number) % 251 for at in range(count))


def ask(port, ca, path, streams, count, reset):
    sock = socket.create_connection(("localhost", port), timeout=30)
    if ca != "-":
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["h2"])
        sock = context.wrap_socket(sock, server_hostname="localhost")
        assert sock.selected_alpn_protocol() == "h2"
    wire = Wire(sock, True)
    wire.http.initiate_connection()
    wire.flush()
    sockets, got, sent, done = {}, {}, {}, set()
    for event in wire.events():
        if isinstance(event, h2.events.RemoteSettingsChanged) and not sockets:
            assert wire.http.remote_settings.enable_connect_protocol == 1
            for number in range(streams):
                stream = wire.http.get_next_available_stream_id()
                sockets[stream] = Connection(ConnectionType.CLIENT)
                sent[stream], got[stream] = pattern(number, count), b""
                wire.http.send_headers(stream, [
                    (":method", "CONNECT"), (":protocol", "websocket"),
                    (":scheme", "http" if ca == "-" else "https"), (":path", path),
                    (":authority", "localhost"), ("sec-websocket-version", "13"),
                    ("sec-websocket-protocol", "binary"),
                ])
        elif isinstance(event, h2.events.ResponseReceived):
            headers = dict(event.headers)
            if headers[":status"] != "200":
                say(refused=headers[":status"])
                return
            assert headers["sec-websocket-protocol"] == "binary"
            left, size = sent[event.stream_id], 0
            while left:
                part = left[:SIZES[size % len(SIZES)]]
                left, size = left[len(part):], size + 1
                wire.write(event.stream_id, sockets[event.stream_id].send(BytesMessage(part)))
        elif isinstance(event, h2.events.DataReceived):
            stream = event.stream_id
            if stream in done:
                continue
            sockets[stream].receive_data(event.data)
            for message in sockets[stream].events():
                if isinstance(message, BytesMessage):
                    got[stream] += message.data
                elif isinstance(message, Ping):
                    wire.write(stream, sockets[stream].send(message.response()))
                elif isinstance(message, CloseConnection):
                    assert got[stream] == sent[stream]
                    say(echoed=len(got[stream]), code=message.code,
                        sha256=hashlib.sha256(got[stream]).hexdigest())
                    wire.write(stream, b"", True)
                    done.add(stream)
            number = list(sockets).index(stream)
            if number == reset and stream not in done and len(got[stream]) >= count // 4:
                wire.waiting.pop(stream, None)
                wire.http.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
                say(reset=number)
                done.add(stream)
            elif len(got[stream]) == count and sockets[stream].state.name == "OPEN":
                wire.write(stream, sockets[stream].send(CloseConnection(code=4000, reason="enough")))
        elif isinstance(event, h2.events.StreamReset):
            assert event.stream_id in done, event
        if len(done) == streams and sockets:
            break
    assert len(done) == streams, done
    wire.http.close_connection()
    wire.flush()
    say(done=streams)


def attend(sock, setting):
    wire = Wire(sock, False)
    values = {h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1} if setting == "on" else {}
    wire.http.local_settings = h2.settings.Settings(client=False, initial_values=values)
    wire.http.initiate_connection()
    wire.flush()
    sockets, paths = {}, {}
    for event in wire.events():
        if isinstance(event, h2.events.RequestReceived):
            headers = dict(event.headers)
            say(**{name: headers.get(name) for name in (":method", ":protocol", ":path", ":authority")})
            assert headers["sec-websocket-version"] == "13"
            stream = event.stream_id
            sockets[stream], paths[stream] = Connection(ConnectionType.SERVER), headers[":path"]
            status = "404" if paths[stream] == "/nowhere" else "200"
            wire.http.send_headers(stream, [(":status", status)], end_stream=status == "404")
        elif isinstance(event, h2.events.DataReceived):
            stream, path = event.stream_id, paths[event.stream_id]
            if stream not in sockets:
                continue
            sockets[stream].receive_data(event.data)
            for message in sockets[stream].events():
                if isinstance(message, BytesMessage) and path == "/echo":
                    part = bytes(message.data)
                    wire.write(stream, sockets[stream].send(BytesMessage(part)))
                elif isinstance(message, BytesMessage):
                    del sockets[stream]
                    if path == "/end":
                        wire.write(stream, b"", True)
                    elif path == "/goaway":
                        wire.http.close_connection(h2.errors.ErrorCodes.INTERNAL_ERROR)
                        wire.flush()
                        sock.close()
                        return
                    else:
                        codes = h2.errors.ErrorCodes
                        code = codes.CANCEL if path == "/cancel" else codes.INTERNAL_ERROR
                        wire.http.reset_stream(stream, code)
                    break
                elif isinstance(message, CloseConnection):
                    say(closed=message.code)
                    wire.write(stream, sockets[stream].send(message.response()), True)
                    del sockets[stream]
                    break


def serve(identity, setting):
    listener = socket.create_server(("127.0.0.1", 0))
    context = None
    if identity != "-":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity)
        context.set_alpn_protocols(["h2", "http/1.1"])
    say(port=listener.getsockname()[1])

    def meet(sock):
        sock.settimeout(30)
        try:
            if context:
                sock = context.wrap_socket(sock, server_side=True)
                say(alpn=sock.selected_alpn_protocol())
                if sock.selected_alpn_protocol() != "h2":
                    request = sock.recv(65536)
                    say(request=request.split(b"\r\n")[0].decode())
                    sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    sock.close()
                    return
            attend(sock, setting)
        except OSError as error:
            say(error=str(error))

    while True:
        threading.Thread(target=meet, args=listener.accept()[:1], daemon=True).start()


if sys.argv[1] == "ask":
    ask(int(sys.argv[2]), *sys.argv[3:5], *map(int, sys.argv[5:8]))
else:
    serve(*sys.argv[2:4])
