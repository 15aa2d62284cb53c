"""Says what wsproto understands of byte streams, each on its own.

Standard input has a stream a line: `client HEX` or `server HEX`, by who sends it. For each comes a
line of words: `text:HEX`, `binary:HEX`, `ping:HEX`, `pong:HEX`, and at the end perhaps
`close:CODE:HEX` or, for a breach of the protocol, `fail:CODE`.
"""

import sys

from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

KIND = {Opcode.TEXT: "text", Opcode.BINARY: "binary", Opcode.PING: "ping", Opcode.PONG: "pong"}


def words(sender, wire):
    receiver = FrameProtocol(client=sender == "server", extensions=[])
    receiver.receive_bytes(wire)
    message = b""
    try:
        for frame in receiver.received_frames():
            payload = frame.payload
            if frame.opcode is Opcode.CLOSE:
                code, reason = payload
                # 1005 is how it says that there was no code.
                yield f"close:{'' if code == 1005 else int(code)}:{(reason or '').encode().hex()}"
                return
            payload = payload.encode() if isinstance(payload, str) else bytes(payload)
            if frame.opcode.iscontrol():
                yield f"{KIND[frame.opcode]}:{payload.hex()}"
                continue
            message += payload
            if frame.message_finished:
                yield f"{KIND[frame.opcode]}:{message.hex()}"
                message = b""
    except ParseFailed as failed:
        yield f"fail:{int(failed.code)}"


for line in sys.stdin:
    sender, _, wire = line.strip().partition(" ")
    print(*words(sender, bytes.fromhex(wire)), flush=True)
