"""A peer of WebSockets over HTTP/2 (RFC 8441) that shares nothing with ours: h2 and wsproto.

    peer.py ask PORT CA PATH STREAMS BYTES RESET OFFER
        opens STREAMS WebSockets on one connection at localhost (under TLS that CA vouches for; "-" is
        plain), which are compressed if OFFER is "deflate", echoes BYTES on each at once, resets number
        RESET on the way, and closes the others
    peer.py stay PORT CA PATH BYTES
        opens a WebSocket as above, goes on with it when the server says GOAWAY, asks for another one behind
        that, echoes BYTES and closes the first, and waits for the end of the connection
    peer.py serve IDENTITY SETTING
        serves WebSockets (under TLS with this identity; "-" is plain), with extended CONNECT if SETTING
        is "on", compressed where that is offered. /echo sends back what comes; other paths end the stream at the first message:
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
from wsproto.extensions import PerMessageDeflate

SIZES = (1, 125, 126, 65535, 65536, 200000)


def say(**words):
    print(json.dumps(words), flush=True)


class Http(h2.connection.H2Connection):
    """h2 takes a GOAWAY for the end, but streams go on behind it (RFC 9113 section 6.8)."""

    def _receive_goaway_frame(self, frame):
        event = h2.events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]


class Wire:
    """An HTTP/2 connection, and what waits for its windows."""

    def __init__(self, sock, client):
        self.sock = sock
        config = h2.config.H2Configuration(client_side=client, header_encoding="utf-8")
        self.http = Http(config)
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


def dial(port, ca):
    sock = socket.create_connection(("localhost", port), timeout=30)
    if ca != "-":
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["h2"])
        # An end without close_notify is an error.
        sock = context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)
        assert sock.selected_alpn_protocol() == "h2"
    wire = Wire(sock, True)
    wire.http.initiate_connection()
    wire.flush()
    return wire


def request(wire, ca, path, extensions=()):
    """Asks for a WebSocket: the number of its stream."""
    stream = wire.http.get_next_available_stream_id()
    offers = [f"{extension.name}; {extension.offer()}" for extension in extensions]
    wire.http.send_headers(stream, [
        (":method", "CONNECT"), (":protocol", "websocket"),
        (":scheme", "http" if ca == "-" else "https"), (":path", path),
        (":authority", "localhost"), ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "binary"),
        *(("sec-websocket-extensions", offer) for offer in offers),
    ])
    return stream


def ask(port, ca, path, streams, count, reset, offer):
    wire = dial(port, ca)
    sockets, got, sent, done, offered = {}, {}, {}, set(), {}
    for event in wire.events():
        if isinstance(event, h2.events.RemoteSettingsChanged) and not sockets:
            assert wire.http.remote_settings.enable_connect_protocol == 1
            for number in range(streams):
                extensions = [PerMessageDeflate()] if offer == "deflate" else []
                stream = request(wire, ca, path, extensions)
                sockets[stream], offered[stream] = None, extensions
                sent[stream], got[stream] = pattern(number, count), b""
        elif isinstance(event, h2.events.ResponseReceived):
            headers = dict(event.headers)
            if headers[":status"] != "200":
                say(refused=headers[":status"])
                return
            assert headers["sec-websocket-protocol"] == "binary"
            extensions = offered[event.stream_id]
            for extension in extensions:
                extension.finalize(headers["sec-websocket-extensions"])
            sockets[event.stream_id] = Connection(ConnectionType.CLIENT, extensions)
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


def stay(port, ca, path, count):
    wire = dial(port, ca)
    stream, last, got, sent = None, None, b"", pattern(0, count)
    end = Connection(ConnectionType.CLIENT)
    for event in wire.events():
        if isinstance(event, h2.events.RemoteSettingsChanged) and stream is None:
            stream = request(wire, ca, path)
        elif isinstance(event, h2.events.ResponseReceived):
            assert event.stream_id == stream, "it is answered behind the last GOAWAY"
            assert dict(event.headers)[":status"] == "200"
            wire.write(stream, end.send(BytesMessage(sent[:1])))
        elif isinstance(event, h2.events.ConnectionTerminated):
            say(goaway=event.error_code, last=event.last_stream_id)
            if last is None:
                # The server waits for the answer to its ping, and then says which stream was the last.
                last = event.last_stream_id
            else:
                request(wire, ca, path)
                wire.write(stream, end.send(BytesMessage(sent[1:])))
        elif isinstance(event, h2.events.DataReceived) and event.data:
            assert event.stream_id == stream
            end.receive_data(event.data)
            for message in end.events():
                if isinstance(message, BytesMessage):
                    got += message.data
                    if len(got) == 1:
                        say(open=stream)
                    if got == sent:
                        wire.write(stream, end.send(CloseConnection(code=4000, reason="enough")))
                elif isinstance(message, CloseConnection):
                    say(echoed=len(got), code=message.code)
                    wire.write(stream, b"", True)
        elif isinstance(event, h2.events.StreamReset):
            say(reset=event.stream_id, code=event.error_code)
    # Whoever says something behind the server's end finds it there still: a reset could overtake that end.
    wire.http.ping(b"are you?")
    wire.flush()
    say(ended=wire.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


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
            offer, extensions, fields = headers.get("sec-websocket-extensions"), [], []
            if offer:
                extensions = [PerMessageDeflate()]
                accepted = "; ".join(filter(None, [PerMessageDeflate.name, extensions[0].accept(offer)]))
                fields = [("sec-websocket-extensions", accepted)]
            sockets[stream] = Connection(ConnectionType.SERVER, extensions)
            paths[stream] = headers[":path"]
            status = "404" if paths[stream] == "/nowhere" else "200"
            answer = [(":status", status), *fields]
            wire.http.send_headers(stream, answer, end_stream=status == "404")
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
                        # What is still on its way here would make a reset of TCP of it.
                        sock.shutdown(socket.SHUT_WR)
                        while sock.recv(65536):
                            pass
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
    ask(int(sys.argv[2]), *sys.argv[3:5], *map(int, sys.argv[5:8]), sys.argv[8])
elif sys.argv[1] == "stay":
    stay(int(sys.argv[2]), *sys.argv[3:5], int(sys.argv[5]))
else:
    serve(*sys.argv[2:4])
