"""Runs the Autobahn|Testsuite, ported by port.py, and prints a line for each case.

usage: suite.py PART client URL     tests the server at URL
       suite.py PART server         tests clients; prints `port NUMBER` first, and ends when one asks
                                    for /updateReports?agent=NAME&shutdownOnComplete=true

PART is `compression`, or `plain` for all but that.

A case's line is `case ID BEHAVIOR BEHAVIOR_CLOSE`, in the words of the suite.
"""

import os
import socket
import sys

# The suite talks while it works; ours is the true standard output.
out, sys.stdout = sys.stdout, sys.stderr

from autobahn.twisted.websocket import WebSocketClientProtocol, WebSocketServerProtocol
from autobahntestsuite import fuzzing
from autobahntestsuite.case import Cases
from autobahntestsuite.octets import to_bytes, to_str
from twisted.internet import reactor

CASES = {
    "plain": {"cases": ["*"], "exclude-cases": ["12.*", "13.*"]},
    "compression": {"cases": ["12.*", "13.*"], "exclude-cases": []},
}

# Messages in a case of compression, of each of its sizes: the suite's own thousand take an hour.
MESSAGES = 100

# Seconds for all cases of a part together: several times what they take.
PATIENCE = {"plain": 200, "compression": 1200}


def say(*words):
    print(*words, file=out, flush=True)


class Border:
    """Where the suite, whose octets are `str`, meets the library, whose octets are `bytes`."""

    # Frames are counted, which cases need; what they held is for reports.
    createWirelog = property(lambda self: False, lambda self, value: None)

    def sendFrame(self, opcode, payload=b"", fin=True, rsv=0, mask=None, payload_len=None, **how):
        payload = to_bytes(payload)
        if payload_len is not None:
            # The library would repeat it a fraction of times.
            payload = (payload * (payload_len // len(payload) + 1))[:payload_len]
        super().sendFrame(opcode, payload, fin, rsv, to_bytes(mask), None, **how)

    def sendMessage(self, payload, *how, **more):
        super().sendMessage(to_bytes(payload), *how, **more)

    def sendMessageFrame(self, payload, *how, **more):
        return super().sendMessageFrame(to_bytes(payload), *how, **more)

    def sendMessageFrameData(self, payload, *how, **more):
        return super().sendMessageFrameData(to_bytes(payload), *how, **more)

    def sendPing(self, payload=None):
        super().sendPing(to_bytes(payload))

    def sendPong(self, payload=None):
        super().sendPong(to_bytes(payload))

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        super().sendCloseFrame(code, to_bytes(reasonUtf8), isReply)

    def onMessage(self, payload, binary):
        if self.runCase:
            # Those of compression have learned of bytes already.
            knows_bytes = hasattr(self.runCase, "TESTDATA")
            self.runCase.onMessage(payload if knows_bytes else to_str(payload), binary)

    def onPing(self, payload):
        if self.runCase:
            self.runCase.onPing(to_str(payload))

    def onPong(self, payload):
        if self.runCase:
            self.runCase.onPong(to_str(payload))

    def connectionLost(self, reason):
        self.library.connectionLost(self, reason)
        if self.runCase:
            self.runCase.onConnectionLost(self.failedByMe)
            case = self.factory.CaseSet.caseClasstoId(self.Case)
            say("case", case, self.runCase.behavior, self.runCase.behaviorClose)


class ServerProtocol(Border, fuzzing.FuzzingServerProtocol):
    library = WebSocketServerProtocol


class ClientProtocol(Border, fuzzing.FuzzingClientProtocol):
    library = WebSocketClientProtocol


class Factory:
    """Whose results are said as they come, so that no report is to be written."""

    def createReports(self):
        pass


class ServerFactory(Factory, fuzzing.FuzzingServerFactory):
    protocol = ServerProtocol


class ClientFactory(Factory, fuzzing.FuzzingClientFactory):
    def buildProtocol(self, address):
        protocol = ClientProtocol()
        protocol.factory = self
        protocol.caseAgent, protocol.case = self.agent, self.currentCaseIndex
        protocol.Case = self.CaseSet.Cases[self.currentCaseIndex - 1]
        protocol.runCase = protocol.Case(protocol)
        return protocol


def main(part, role, *url):
    for case in Cases:
        if hasattr(case, "TESTDATA"):
            case.COUNT = MESSAGES
    if role == "client":
        ClientFactory({"servers": [{"agent": "levada", "url": url[0]}], **CASES[part]})
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        port = listener.getsockname()[1]
        factory = ServerFactory({"url": f"ws://127.0.0.1:{port}", **CASES[part]})
        reactor.adoptStreamPort(listener.fileno(), listener.family, factory)
        say("port", port)
    # A case that never ends would take the others with it.
    reactor.callLater(PATIENCE[part], os._exit, 1)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
