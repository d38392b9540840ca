"""Replies that are no DNS messages, or the costliest messages there can be."""

import struct

import pytest

from lib import dns_wire as wire
from lib.clients import Bystanders, TcpClient, ask, assert_failed, assert_own_answer
from lib.faulty_dot import answering, by_name, reply_to
from lib.sotto_process import HEARD_BY
from lib.timing import within

OPT = wire.opt_record()
ADDRESS = bytes([192, 0, 2, 66])
LONG_LABEL = b"\x3f" + b"a" * 63


def own_record(query) -> bytes:
    rdata = wire.derived_rdata(query.qname, query.rdtype)
    return wire.record(wire.QUESTION_POINTER, query.rdtype, rdata)


def with_owner(owner: bytes):
    return lambda query: reply_to(query, answer=[wire.record(owner, wire.A, ADDRESS)])


def pointer_to(offset: int) -> bytes:
    return struct.pack("!H", 0xC000 | offset)


def after_question(query) -> int:
    return 12 + len(query.question)


def pointer_chain(query) -> bytes:
    """A name that is a chain of thousands of pointers, each to the one before."""
    start = after_question(query) + 11
    chain = wire.QUESTION_POINTER + b"".join(
        pointer_to(start + 2 * number) for number in range(4000)
    )
    filler = wire.record(b"\0", 65280, chain)
    end = start + len(chain) - 2
    return reply_to(query, answer=[filler, wire.record(pointer_to(end), wire.A, ADDRESS)])


MALFORMED = {
    "header-only": lambda query: reply_to(query)[:12],
    "cut-in-the-question": lambda query: reply_to(query)[:15],
    "cut-in-the-answer": lambda query: reply_to(query, edns=False)[:-3],
    "pointer-to-itself": lambda query: with_owner(pointer_to(after_question(query)))(query),
    "pointer-forward": lambda query: with_owner(pointer_to(after_question(query) + 30))(query),
    "pointer-beyond-the-end": with_owner(pointer_to(0x3FFF)),
    "pointer-loop-with-labels": lambda query: reply_to(
        query,
        answer=[
            wire.record(b"\x01a" + pointer_to(after_question(query)), wire.A, ADDRESS),
        ],
    ),
    "label-type-0x40": with_owner(b"\x41a\0"),
    "name-over-255": with_owner(LONG_LABEL * 4 + b"\0"),
    "more-answers-than-data": lambda query: reply_to(query, counts=(1, 65535, 0, 1)),
    "more-additional-than-data": lambda query: reply_to(query, counts=(1, 1, 0, 65535)),
    "rdlength-beyond-the-end": lambda query: reply_to(
        query, edns=False, answer=[own_record(query)[:-6] + b"\xff\xff" + ADDRESS]
    ),
    "two-opts": lambda query: reply_to(query, additional=[OPT], edns=True),
    "opt-with-an-owner": lambda query: reply_to(
        query, edns=False, additional=[wire.QUESTION_POINTER + OPT[1:]]
    ),
    "option-beyond-the-opt": lambda query: reply_to(
        query, edns=False, additional=[OPT[:-2] + b"\0\4" + struct.pack("!HH", 12, 400)]
    ),
}
# What may be passed on, as long as it is whole: a record after the OPT, octets after the end.
ODD = {
    "opt-before-other-records": lambda query: reply_to(
        query,
        edns=False,
        additional=[OPT, wire.record(wire.QUESTION_POINTER, wire.TXT, b"\1x")],
    ),
    "opt-in-the-answer": lambda query: reply_to(query, edns=False, answer=[own_record(query), OPT]),
    "trailing-octets": lambda query: reply_to(query) + b"trailing",
    "pointer-chain": pointer_chain,
}


def each(cases):
    return pytest.mark.parametrize("make", cases.values(), ids=cases.keys())


def sending(make):
    return by_name(bad=lambda conn, query: conn.send_message(make(query)))


@each(MALFORMED)
def test_malformed_replies_are_dropped_and_the_next_upstream_asked(dot_server, forward, make):
    """R5"""
    sotto = forward(dot_server(on_query=sending(make)), dot_server())
    with Bystanders(sotto.address):
        for number in range(3):
            name = f"bad-{number}.test"
            with within(HEARD_BY):
                assert_own_answer(ask(sotto.address, name), name)
    assert sotto.count("false replies") >= 1


@each(MALFORMED)
def test_malformed_replies_alone_are_a_failure(dot_server, forward, make):
    """R5"""
    server = dot_server(on_query=sending(make))
    sotto = forward(server)
    with Bystanders(sotto.address), within(HEARD_BY):
        assert_failed(ask(sotto.address, "bad.test"))
    assert len(server.queries_for("bad.test.")) <= 3


@each(ODD)
def test_odd_replies_are_passed_on_whole_or_not_at_all(dot_server, forward, make):
    """R5: what the client gets is well-formed, whatever came."""
    sotto = forward(dot_server(on_query=sending(make)))
    with Bystanders(sotto.address), within(HEARD_BY):
        reply = ask(sotto.address, "bad.test", tcp=True)
    assert reply.rcode() == wire.SERVFAIL or reply.question[0].name.to_text() == "bad.test."
    assert_own_answer(ask(sotto.address, "good.test"), "good.test")


def densest_compression(query) -> bytes:
    """65,535 octets of records whose owners all point into one another."""
    reply = bytearray(reply_to(query, edns=False, answer=[]))
    count, previous = 0, 12
    while len(reply) + 32 < 65535:
        owner = b"\1x" + pointer_to(previous) if len(reply) < 0x3000 and count % 60 else b"\xc0\x0c"
        if len(reply) < 0x3FFF:
            previous = len(reply) if count % 60 else 12
        reply += wire.record(owner, wire.TXT, b"\0")
        count += 1
    reply[6:8] = count.to_bytes(2, "big")
    return bytes(reply)


def chain_of_aliases(length: int):
    def make(query):
        owner, records = wire.QUESTION_POINTER, []
        for number in range(length):
            target = wire.name_wire(f"alias-{number}.test")
            records.append(wire.record(owner, wire.CNAME, target))
            owner = target
        return reply_to(query, answer=[*records, wire.record(owner, wire.A, ADDRESS)])

    return make


def big_rrset(count: int):
    def make(query):
        records = [
            wire.record(wire.QUESTION_POINTER, wire.A, struct.pack("!I", number))
            for number in range(count)
        ]
        return reply_to(query, answer=records)

    return make


COSTLY = {
    "densest-compression": densest_compression,
    "chain-of-500-aliases": chain_of_aliases(500),
    "rrset-of-4000": big_rrset(4000),
}


@each(COSTLY)
def test_costly_replies_take_bounded_time_and_memory(dot_server, forward, make):
    """R13: 200 of each through one worker, while others are served as fast as ever."""
    sotto = forward(dot_server(on_query=sending(make)))
    assert_own_answer(ask(sotto.address, "warm.test"), "warm.test")
    before = sotto.resident_kib()
    with TcpClient(sotto.address) as client, Bystanders(sotto.address, within=0.5):
        for number in range(200):
            client.send(wire.query(f"bad-{number}.test", ident=number))
            reply = client.receive()
            assert reply[3] & 15 == wire.SERVFAIL or len(reply) > 12000
    sotto.assert_not_grown(before, 30_000)


def test_truncated_by_the_client_size_not_by_the_costly_reply(dot_server, forward):
    """R13 over UDP"""
    sotto = forward(dot_server(on_query=sending(big_rrset(4000))))
    reply = ask(sotto.address, "bad.test", payload=1232)
    assert reply.flags & wire.TC and not reply.answer


def test_answers_with_nothing_in_them_are_passed_on(dot_server, forward):
    """R5: an empty but whole reply is an answer."""
    sotto = forward(dot_server(on_query=answering(answer=[], edns=False)))
    reply = ask(sotto.address, "empty.test")
    assert reply.rcode() == wire.NOERROR and not reply.answer
