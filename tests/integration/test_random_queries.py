"""Random octets and broken queries in large numbers: never a crash, never a stall."""

import random
import socket
import struct

import pytest

from lib import dns_wire as wire
from lib.clients import Bystanders, TcpClient, UdpClient, assert_own_raw, ident_of
from lib.timing import within

BETWEEN_CHECKS = 500
CHECK_ID = 0xFACE

# Mostly names that never leave, so that it is the reading of queries that is put to the test.
SEEDS = [
    wire.query("www.localhost", wire.AAAA),
    wire.query("some.name.invalid", wire.TXT, do=True),
    wire.query("2.1.168.192.in-addr.arpa", 12, edns=False),
    wire.query(
        "a.onion", options=[(wire.OPTION_COOKIE, bytes(8)), (wire.OPTION_PADDING, bytes(60))]
    ),
    wire.query("version.bind", wire.TXT, rdclass=wire.CH),
    wire.query("_dns.resolver.arpa", wire.SVCB, options=[(wire.OPTION_ECS, b"\0\1\x18\0\1\2\3")]),
    wire.query("name.test", options=[(wire.OPTION_KEEPALIVE, b"")]),
    wire.message(7, wire.RD, [wire.question(b"\1a\0")] * 2, additional=[wire.opt_record()] * 2),
    wire.message(
        8, 0x2800, [wire.question(b"\4test\0", 6)], [], [wire.record(b"\xc0\x0c", 1, bytes(4))]
    ),
]


class Mutator:
    """Queries with something broken in them; the same ones for the same seed."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def next(self) -> bytes:
        dice = self.random.random()
        if dice < 0.1:
            return self.random.randbytes(self.random.randrange(0, 80))
        message = bytearray(self.random.choice(SEEDS))
        if dice < 0.2:
            del message[self.random.randrange(len(message)) :]
        elif dice < 0.3:
            message += self.random.randbytes(self.random.randrange(1, 20))
        elif dice < 0.4:
            start = self.random.randrange(len(message))
            message[start:start] = self.random.choice(SEEDS)[self.random.randrange(12) :]
        elif dice < 0.5:
            at = self.random.randrange(len(message) - 1)
            interesting = self.random.choice((0, 1, 0xC00C, 0x3F3F, 0xFFFF, 0x4041, 0x8000))
            struct.pack_into("!H", message, at, interesting)
        else:
            for _ in range(self.random.randrange(1, 4)):
                bit = self.random.randrange(8 * len(message))
                message[bit // 8] ^= 1 << bit % 8
        return bytes(message)


def check_alive(client: UdpClient, number: int) -> None:
    """A good query is answered, whatever came before it; replies to that are thrown away."""
    name = f"check-{number}.test"
    client.send(wire.query(name, ident=CHECK_ID))
    while True:
        reply = client.receive()
        if ident_of(reply) == CHECK_ID and wire.name_wire(name) in reply:
            return assert_own_raw(reply, name)


def send_mutants(sotto, count: int, seed: int) -> None:
    mutator = Mutator(seed)
    with UdpClient(sotto.address) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        for number in range(count):
            client.send(mutator.next())
            if number % BETWEEN_CHECKS == 0:
                check_alive(client, number)
        check_alive(client, count)


@pytest.mark.parametrize(
    "seed, count", [(1, 50_000), pytest.param(2, 1_000_000, marks=pytest.mark.slow)]
)
def test_random_and_flipped_queries_over_udp(forward, fast_dot, seed, count):
    """Q10"""
    sotto = forward(fast_dot, log={"level": "info"})
    with Bystanders(sotto.address, within=2.0):
        send_mutants(sotto, count, seed)
    counters = sotto.counters()
    assert counters["queries_udp"] >= count
    assert counters["queries_malformed"] > count / 10
    assert counters["queries_ignored"] > count / 20
    sotto.assert_not_spinning()


@pytest.mark.parametrize("seed", [3])
def test_random_and_flipped_queries_over_tcp(forward, fast_dot, seed):
    """Q10: frames with any content; only a length that no message has ends the connection."""
    sotto = forward(fast_dot, log={"level": "info"})
    mutator = Mutator(seed)
    sent = 0
    with Bystanders(sotto.address, within=2.0):
        while sent < 20_000:
            mutants = [m for m in (mutator.next() for _ in range(60)) if len(m) >= 12]
            with TcpClient(sotto.address) as client:
                client.send(*mutants, wire.query("check.test", ident=CHECK_ID))
                while reply := client.receive():
                    if ident_of(reply) == CHECK_ID and wire.name_wire("check.test") in reply:
                        break
                assert reply, "closed without the answer to a good query"
                sent += len(mutants)
    assert sotto.count("invalid clients") == 0
    assert sotto.counters()["queries_tcp"] >= sent


def test_random_octets_on_the_tcp_stream(forward, fast_dot):
    """Q10: frames that are none: each connection is closed or waits for its time-out."""
    sotto = forward(fast_dot, log={"level": "info"}, tcp={"message-timeout": "300ms"})
    noise = random.Random(4)
    with Bystanders(sotto.address, within=2.0):
        for _ in range(100):
            with TcpClient(sotto.address) as client, within(5.0):
                try:
                    client.send_octets(noise.randbytes(noise.randrange(1, 3000)))
                    client.sock.shutdown(socket.SHUT_WR)
                    while client.receive():
                        pass
                except ConnectionError:
                    pass
    assert sotto.count("connections accepted") >= 100
