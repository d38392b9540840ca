"""The same raw messages over UDP and over TCP.

`connect(address, transport)` gives a client with `send`, `receive` and `exchange`, whichever it is.
"""

from . import dns_wire as wire
from .clients import PATIENCE, Address, TcpClient, UdpClient, assert_own_raw, ident_of

TRANSPORTS = ["udp", "tcp"]

BARRIER_ID = 0xBEEF
BARRIER_NAME = "barrier.test"


class _TcpExchange(TcpClient):
    def exchange(self, message: bytes, timeout: float = PATIENCE) -> bytes:
        self.send(message)
        return self.receive(timeout)


def connect(server: Address, transport: str, **options) -> UdpClient | TcpClient:
    return (UdpClient if transport == "udp" else _TcpExchange)(server, **options)


def assert_no_answer_yet(client) -> None:
    """What was sent before is met with silence: the answer to a later query comes first.

    The program turns bad queries away at once, while this one goes to the upstream and back.
    """
    reply = client.exchange(wire.query(BARRIER_NAME, ident=BARRIER_ID))
    assert ident_of(reply) == BARRIER_ID, f"an answer to what deserves none: {reply!r}"
    assert_own_raw(reply, BARRIER_NAME)
