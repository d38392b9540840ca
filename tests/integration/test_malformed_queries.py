"""Queries that are wrong: an error code if they can be answered, else silence."""

import struct

import pytest

from lib import dns_wire as wire
from lib.clients import Bystanders, TcpClient, UdpClient, assert_own_raw, ident_of
from lib.timing import within
from lib.transports import TRANSPORTS, assert_no_answer_yet, connect

QUESTION = wire.question(wire.name_wire("name.test"))
COOKIE = [(wire.OPTION_COOKIE, bytes(8))]
ONE_QUESTION = [1, 0, 0, 0]

LABEL_64 = b"\x40" + b"x" * 64
LABEL_63 = b"\x3f" + b"x" * 63


def query(body: bytes, counts=None, flags=wire.RD, ident=0x4321) -> bytes:
    """Any octets behind a header."""
    return wire.header(ident, flags, counts or ONE_QUESTION) + body


def with_record(record: bytes, section: int) -> bytes:
    counts = [1, 0, 0, 0]
    counts[section] = 1
    return query(QUESTION + record, counts)


def with_additional(*records: bytes) -> bytes:
    return query(QUESTION + b"".join(records), [1, 0, 0, len(records)])


def pointer(offset: int) -> bytes:
    return struct.pack("!H", 0xC000 | offset)


def pointer_chain(links: int) -> bytes:
    """A record owner that is a pointer to a pointer to a pointer …, behind the question."""
    start = 12 + len(QUESTION) + 1 + 10
    rdata = b"".join(pointer(start + 2 * i - 2 if i else 12) for i in range(links))
    first = b"\0" + struct.pack("!HHIH", 65280, 1, 0, len(rdata)) + rdata
    second = pointer(start + 2 * links - 2) + struct.pack("!HHIH", 65280, 1, 0, 0)
    return with_additional(first, second)


def assert_formerr(sotto, cases: dict[str, bytes], transport: str) -> None:
    """Each is answered with FORMERR, and counted; a good query between them is answered."""
    with connect(sotto.address, transport) as client:
        for what, message in cases.items():
            with within(1.0):
                reply = client.exchange(message)
            ident, flags = struct.unpack_from("!HH", reply)
            assert ident == 0x4321 and flags & wire.QR, what
            assert flags & 15 == wire.FORMERR, f"{what}: {reply!r}"
            assert reply[6:10] == bytes(4), f"{what}: records in {reply!r}"
            assert len(reply) <= max(len(message), 12 + 11), f"{what}: larger than the query"
        assert_own_raw(client.exchange(wire.query("good.test")), "good.test")
    assert sotto.count("malformed queries") == len(cases)


# Q1


def test_nothing_shorter_than_a_header_is_answered_over_udp(sotto, server):
    """Q1"""
    with UdpClient(sotto.address) as client:
        for length in range(12):
            client.send(wire.query("name.test")[:length])
        assert_no_answer_yet(client)
    assert sotto.count("ignored queries") == 12
    assert len(server.queries) == 1


@pytest.mark.parametrize("length", [0, 1, 11])
def test_a_length_no_message_has_closes_the_tcp_connection(sotto, length):
    """Q1: there is no telling what the octets behind it are."""
    with Bystanders(sotto.address), TcpClient(sotto.address) as client:
        client.send_octets(wire.framed(wire.query("name.test")[:length]))
        try:
            assert client.receive() == b""
        except ConnectionResetError:
            pass
    assert sotto.count("invalid clients") == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_responses_are_met_with_silence(sotto, server, transport):
    """Q1: whatever else is right or wrong with them."""
    responses = [
        wire.query("name.test", flags=wire.QR | wire.RD),
        wire.message(1, wire.QR | wire.RA, [QUESTION], [wire.record(b"\xc0\x0c", 1, bytes(4))]),
        wire.header(1, wire.QR, [0, 0, 0, 0]),
        wire.header(1, wire.QR | wire.FORMERR, [0, 0, 0, 0]),
        wire.header(1, wire.QR | 0x2800, [65535, 65535, 65535, 65535]),
        query(LABEL_64 + bytes(5), flags=wire.QR),
    ]
    with connect(sotto.address, transport) as client:
        for response in responses:
            client.send(response)
        assert_no_answer_yet(client)
    assert sotto.count("ignored queries") == len(responses)
    assert len(server.queries) == 1


# Q2 to Q5: the question and the counts


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_question_and_no_other_number(sotto, server, transport):
    """Q2"""
    cases = {
        "header only": query(b"", [0, 0, 0, 0]),
        "no question, but EDNS": query(wire.opt_record(), [0, 0, 0, 1]),
        "two questions": query(QUESTION * 2, [2, 0, 0, 0]),
        "two questions with EDNS": query(QUESTION * 2 + wire.opt_record(), [2, 0, 0, 1]),
        "65535 questions": query(QUESTION, [65535, 0, 0, 0]),
    }
    assert_formerr(sotto, cases, transport)
    assert len(server.queries) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_names_that_are_too_long_or_cut_short(sotto, server, transport):
    """Q3"""
    cases = {
        "label of 64": query(LABEL_64 + bytes(5)),
        "reserved label type 0x80": query(b"\x80abc" + bytes(5)),
        "name of 256": query(LABEL_63 * 3 + b"\x3e" + b"x" * 62 + b"\1a" + bytes(5)),
        "name of thousands": query(LABEL_63 * 60 + bytes(5)),
        "name without an end": query(b"\3www\4test"),
        "name cut in a label": query(b"\3ww"),
        "label length only": query(b"\x3f"),
        "no name": query(b""),
        "no type": query(wire.name_wire("name.test")),
        "half a type": query(wire.name_wire("name.test") + b"\0"),
        "no class": query(wire.name_wire("name.test") + b"\0\1"),
        "half a class": query(wire.name_wire("name.test") + b"\0\1\0"),
    }
    assert_formerr(sotto, cases, transport)
    assert len(server.queries) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_compression_pointers_in_the_question(sotto, server, transport):
    """Q4: in bounded time; there is nothing before the question to point to."""
    tail = struct.pack("!HH", wire.A, wire.IN)
    cases = {
        "to itself": query(pointer(12) + tail),
        "to itself behind a label": query(b"\1a" + pointer(12) + tail),
        "to the middle of the name": query(b"\3www" + pointer(13) + tail),
        "forward": query(pointer(18) + tail + wire.name_wire("name.test")),
        "into the header": query(pointer(4) + tail),
        "to the octet before": query(pointer(11) + tail),
        "beyond the end": query(pointer(0x3FFF) + tail),
        "half a pointer": query(b"\xc0"),
        "two that point at each other": query(pointer(14) + pointer(12) + tail),
        "a chain of thousands": pointer_chain(2000 if transport == "udp" else 8000),
    }
    assert_formerr(sotto, cases, transport)
    assert len(server.queries) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_counts_and_trailing_octets(sotto, server, transport):
    """Q5: everything that does not add up is FORMERR, so that nothing can hide in it."""
    record = wire.record(wire.QUESTION_POINTER, wire.A, bytes(4))
    cases = {
        "one octet behind": query(QUESTION + b"\0"),
        "a message behind": wire.query("name.test", ident=0x4321) + wire.query("other.test"),
        "an OPT behind, not counted": query(QUESTION + wire.opt_record()),
        "an answer counted, none there": query(QUESTION, [1, 1, 0, 0]),
        "65535 answers counted": query(QUESTION, [1, 65535, 0, 0]),
        "65535 of all counted": query(QUESTION, [1, 65535, 65535, 65535]),
        "additional counted, none there": query(QUESTION, [1, 0, 0, 1]),
        "a record in the answer": with_record(record, 1),
        "a record in the authority": with_record(record, 2),
        "RDLENGTH beyond the end": with_record(record[:-1], 3),
        "a record cut in its fields": with_record(record[:8], 3),
    }
    assert_formerr(sotto, cases, transport)
    assert len(server.queries) == 1


# Q6 and Q7: EDNS


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_opt_records_that_are_wrong(sotto, server, transport):
    """Q6"""
    opt = wire.opt_record()
    overrun = wire.option(10, bytes(8))
    cases = {
        "two OPT": with_additional(opt, opt),
        "two OPT, another between": with_additional(
            opt, wire.record(wire.QUESTION_POINTER, wire.A, bytes(4)), opt
        ),
        "owner not the root": with_additional(wire.name_wire("a") + opt[1:]),
        "owner a pointer to a root": with_additional(pointer(12 + 10) + opt[1:]),
        "in the answer": with_record(opt, 1),
        "in the authority": with_record(opt, 2),
        "option past RDLENGTH": with_additional(opt[:-2] + struct.pack("!HHH", 4, 10, 1)),
        "option past RDLENGTH by one": with_additional(
            opt[:-2] + struct.pack("!H", len(overrun) - 1) + overrun[:-1]
        ),
        "RDLENGTH past the end": with_additional(opt[:-2] + b"\0\4"),
        "half an option header": with_additional(opt[:-2] + b"\0\2\0\3"),
    }
    assert_formerr(sotto, cases, transport)
    assert len(server.queries) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_opt_among_other_records_is_found(sotto, server, transport):
    """Q6: additional records of a query mean nothing to us; the OPT may stand anywhere."""
    record = wire.record(wire.QUESTION_POINTER, wire.A, bytes(4))
    with connect(sotto.address, transport) as client:
        reply = client.exchange(with_additional(record, wire.opt_record(flags=0x8000), record))
    message = wire.parse(reply)
    assert message.rcode() == 0 and message.edns == 0
    (forwarded,) = server.queries
    assert [rrset.rdtype for rrset in forwarded.message.additional] == []
    assert forwarded.message.ednsflags == 0x8000


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("version", [1, 2, 255])
def test_later_versions_of_edns_get_badvers(sotto, server, transport, version):
    """Q7: with the version that we do speak, and the question back (RFC 6891 section 6.1.3)."""
    with connect(sotto.address, transport) as client:
        reply = wire.parse(client.exchange(with_additional(wire.opt_record(version=version))))
    assert (reply.rcode(), reply.edns) == (16, 0)
    assert len(reply.question) == 1 and not reply.answer
    assert sotto.count("bad EDNS versions") == 1 and not server.queries


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_unknown_options_and_flags_are_ignored(sotto, server, transport):
    """Q7: neither forwarded nor given back."""
    options = [(65001, b"hello"), (65002, b""), (3, b""), (5, b"\1\2\3"), (0, b"")]
    opt = wire.opt_record(options, flags=0x7FFF)
    with connect(sotto.address, transport) as client:
        reply = wire.parse(client.exchange(with_additional(opt)))
    assert reply.rcode() == 0 and reply.edns == 0
    assert not reply.options and reply.ednsflags == 0
    (forwarded,) = server.queries
    assert set(forwarded.options) <= {wire.OPTION_KEEPALIVE, wire.OPTION_PADDING}
    assert forwarded.message.ednsflags == 0


@pytest.mark.parametrize("size", [0, 1, 511, 65535])
def test_absurd_udp_sizes_are_clamped(dot_server, forward, size):
    """Q7: never below 512, never above our own limit."""
    sotto = forward(dot_server(on_query=lambda conn, query: conn.answer(query, answer=[text(400)])))
    with UdpClient(sotto.address) as client:
        fits = client.exchange(wire.query("name.test", wire.TXT, size=size))
    assert wire.parse(fits).answer and 400 < len(fits) <= 512


def test_the_largest_udp_size_is_not_believed(dot_server, forward):
    """Q7"""
    large = [text(250) for _ in range(6)]
    sotto = forward(dot_server(on_query=lambda conn, query: conn.answer(query, answer=large)))
    with UdpClient(sotto.address) as client:
        reply = client.exchange(wire.query("name.test", wire.TXT, size=65535))
    assert reply[2] & 2 and len(reply) < 100
    assert sotto.count("truncated replies") == 1


def text(length: int) -> bytes:
    strings = b"".join(
        bytes([min(200, length - at)]) + b"t" * min(200, length - at)
        for at in range(0, length, 200)
    )
    return wire.record(wire.QUESTION_POINTER, wire.TXT, strings)


# Q8, and C14: one policy for all transports


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_opcodes_but_query_are_not_implemented(sotto, server, transport):
    """Q8, C14: also where the rest makes no sense, as their formats are not ours to know."""
    update = query(
        wire.question(wire.name_wire("test"), 6)
        + wire.record(wire.name_wire("new.test"), wire.A, bytes(4)),
        [1, 0, 1, 0],
        flags=5 << 11,
    )
    with connect(sotto.address, transport) as client:
        for opcode in range(1, 16):
            flags = opcode << 11
            for message in (query(QUESTION, flags=flags), query(b"\xff", flags=flags)):
                reply = client.exchange(message)
                assert reply[3] & 15 == wire.NOTIMP and reply[2] >> 3 & 15 == opcode, opcode
        assert client.exchange(update)[3] & 15 == wire.NOTIMP
    assert sotto.count("queries not implemented") == 31 and not server.queries


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_zone_transfers_are_not_implemented(sotto, server, transport):
    """Q8, C14: IXFR comes with an SOA in the authority section (RFC 1995 section 3)."""
    axfr, ixfr = wire.name_wire("test"), wire.name_wire("other.test")
    soa = wire.soa_record(wire.QUESTION_POINTER)
    messages = [
        query(wire.question(axfr, 252)),
        query(wire.question(ixfr, 251)),
        query(wire.question(ixfr, 251) + soa, [1, 0, 1, 0]),
        query(wire.question(ixfr, 251) + soa + wire.opt_record(), [1, 0, 1, 1]),
        query(wire.question(axfr, 252, 255)),
    ]
    with connect(sotto.address, transport) as client:
        for message in messages:
            reply = client.exchange(message)
            assert reply[3] & 15 == wire.NOTIMP, f"{message!r}: {reply!r}"
    assert sotto.count("queries not implemented") == len(messages) and not server.queries


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_types_and_classes_that_are_no_data_are_refused(sotto, server, transport):
    """Q8, C14"""
    name = wire.name_wire("name.test")
    refused = [(rdtype, wire.IN) for rdtype in (wire.OPT, 249, 250, 253, 254)]
    refused += [(wire.A, 254), (wire.A, 255)]
    with connect(sotto.address, transport) as client:
        for rdtype, rdclass in refused:
            reply = client.exchange(query(wire.question(name, rdtype, rdclass)))
            assert reply[3] & 15 == wire.REFUSED, (rdtype, rdclass)
    assert sotto.count("refused queries") == len(refused) and not server.queries


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_any_and_unknown_types_and_classes_are_forwarded(sotto, server, transport):
    """Q8: what we do not know passes untouched (RFC 3597)."""
    questions = [(wire.ANY, 1), (65280, 1), (0, 1), (65535, 1), (wire.A, 3), (wire.A, 4)]
    questions += [(wire.A, 0), (wire.A, 65280), (128, 1), (256, 1)]
    with connect(sotto.address, transport) as client:
        for ident, (rdtype, rdclass) in enumerate(questions):
            reply = client.exchange(wire.query("name.test", rdtype, ident, rdclass=rdclass))
            assert ident_of(reply) == ident and reply[3] & 15 == 0, (rdtype, rdclass)
            assert reply[6:8] == b"\0\1"
    assert [(query.rdtype, query.rdclass) for query in server.queries] == questions
