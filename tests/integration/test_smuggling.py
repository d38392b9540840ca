"""What a client puts behind, beside or inside the EDNS options: bounded work, none of it leaves."""

import struct

import pytest

from lib import dns_wire as wire
from lib.clients import TcpClient
from lib.timing import within
from lib.transports import TRANSPORTS, connect

QUESTION = wire.question(wire.name_wire("name.test"))
OURS = {wire.OPTION_KEEPALIVE, wire.OPTION_PADDING}
NSID = 3
CANARY = b"canary-octets"


def assert_nothing_smuggled(query) -> None:
    """What the upstream got is a question and our own OPT record, to the last octet."""
    assert query.wire[4:12] == bytes.fromhex("0001000000000001")
    assert query.wire[12 : 12 + len(query.question)] == query.question
    opt = query.wire[12 + len(query.question) :]
    assert opt[:3] == b"\0\0\x29"
    assert struct.unpack_from("!H", opt, 9)[0] == len(opt) - 11, "octets behind the OPT"
    assert set(query.options) <= OURS
    assert len(query.wire) % 128 == 0
    assert CANARY not in query.wire


def ask_with(sotto, transport, *records: bytes):
    query = wire.header(1, wire.RD, [1, 0, 0, len(records)]) + QUESTION + b"".join(records)
    with connect(sotto.address, transport) as client, within(1.0):
        return wire.parse(client.exchange(query))


@pytest.mark.parametrize("count", [10_000, 16_000])
def test_thousands_of_empty_options(sotto, server, count):
    """Q12: read once, not copied anywhere."""
    before = sotto.cpu_seconds()
    with TcpClient(sotto.address) as client, within(2.0):
        for number in range(20):
            client.send(wire.query(f"name-{number}.test", options=[(65001, b"")] * count))
        for _ in range(20):
            assert client.receive()[3] & 15 == 0
    assert sotto.cpu_seconds() - before < 2.0
    assert len(server.queries) == 20
    for query in server.queries:
        assert_nothing_smuggled(query)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "option", [(wire.OPTION_COOKIE, CANARY[:8]), (NSID, b""), (wire.OPTION_PADDING, bytes(40))]
)
def test_repeated_options(sotto, server, transport, option):
    """Q12: sizes of the reply do not add up with them (unbound CVE-2026-42944)."""
    reply = ask_with(sotto, transport, wire.opt_record([option] * 60))
    assert reply.rcode() == 0 and len(reply.answer) == 1
    assert len(reply.options) <= 1 and len(reply.to_wire()) <= 1232
    assert_nothing_smuggled(server.queries[0])


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "subnet",
    [
        b"\0\1\x18\0\xc6\x33\x64",
        b"\0\1\xff\xff" + CANARY,
        b"\0\1\x20\0",
        b"\0\2\x81\0" + bytes(17),
        b"\0\x63\1\0\1",
        b"",
        b"\0",
    ],
)
def test_client_subnet_never_leaves(sotto, server, transport, subnet):
    """Q12: neither a good one nor one with a bad prefix; it is no reason for an error either."""
    reply = ask_with(sotto, transport, wire.opt_record([(wire.OPTION_ECS, subnet)]))
    assert reply.rcode() == 0 and len(reply.answer) == 1 and not reply.options
    assert_nothing_smuggled(server.queries[0])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_signatures_are_not_forwarded(sotto, server, transport):
    """Q12: TSIG and SIG(0) are between two hops, and we have no key."""
    tsig = wire.record(wire.name_wire("key.test"), 250, b"\x08hmac-md5\0" + CANARY, 0, 255)
    sig0 = wire.record(b"\0", 24, bytes(18) + CANARY, 0, 255)
    for signature in (tsig, sig0):
        reply = ask_with(sotto, transport, wire.opt_record(), signature)
        assert reply.rcode() == 0 and len(reply.answer) == 1
        assert not reply.additional and reply.tsig is None
    for query in server.queries:
        assert_nothing_smuggled(query)
    assert len(server.queries) == 2


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_records_beside_the_opt_do_not_leave(sotto, server, transport):
    """Q12: records of a query's additional section are for nobody (dnsdist CVE-2018-14663)."""
    extra = wire.record(b"\0", 65280, CANARY)
    for records in ([extra, wire.opt_record()], [wire.opt_record(), extra], [extra] * 8):
        assert ask_with(sotto, transport, *records).rcode() == 0
    for query in server.queries:
        assert_nothing_smuggled(query)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_octets_behind_the_message_do_not_leave(sotto, server, transport):
    """Q12: not even to be looked at."""
    for tail in (CANARY, b"\0", wire.opt_record([(65001, CANARY)])):
        with connect(sotto.address, transport) as client:
            assert client.exchange(wire.query("name.test") + tail)[3] & 15 == wire.FORMERR
    assert not server.queries
