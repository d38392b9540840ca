"""Answers from the cache: the upstream is asked once, and each client gets what is right for it."""

import itertools
import time

import dns.flags
import pytest

from lib import dns_wire as wire
from lib.caching import (
    EDE_CACHED_ERROR,
    TICK,
    address_record,
    answer_numbered,
    errors,
    exchange,
    let_pass,
    negative,
    number_of,
    numbered,
    ttls,
)
from lib.clients import TcpClient, UdpClient, ask, assert_failed, assert_own_answer, assert_own_raw
from lib.faulty_dot import answering, by_name
from lib.timing import wait_until
from lib.transports import connect

NEGATIVE = pytest.mark.parametrize("rcode", [wire.NXDOMAIN, wire.NOERROR], ids=["name", "type"])
WEEK = 7 * 86400


# Asked once


def test_the_second_answer_comes_from_the_cache(server, forward):
    """Whoever asks, over whatever transport."""
    sotto = forward(server, cache={})
    for tcp in (False, True, True, False):
        assert_own_answer(ask(sotto.address, "once.test", tcp=tcp), "once.test")
    assert len(server.queries) == 1
    counters = sotto.counters()
    assert (counters["cache_hits"], counters["cache_misses"]) == (3, 1)
    assert counters["cache_inserts"] == counters["queries_forwarded"] == 1


def test_all_workers_have_the_same_cache(server, forward):
    """Clients spread over the workers by their port."""
    sotto = forward(server, cache={}, process={"workers": 2})
    for number in range(40):
        tcp = number % 4 == 0
        assert_own_answer(ask(sotto.address, "shared.test", tcp=tcp), "shared.test")
    assert len(server.queries) == 1
    assert sotto.count("cache hits") == 39


@pytest.mark.parametrize(
    ("size", "arguments", "kept"),
    [(0, [], False), ("1MiB", ["--cache-size", "0"], False), (0, ["--cache-size", "1MiB"], True)],
    ids=["none", "none-by-option", "some-by-option"],
)
def test_the_size_says_whether_there_is_a_cache(server, forward, size, arguments, kept):
    sotto = forward(server, cache={"size": size}, process={"arguments": arguments})
    for _ in range(3):
        assert_own_answer(ask(sotto.address, "name.test"), "name.test")
    assert len(server.queries) == (1 if kept else 3)
    assert sotto.count("answers kept") == (1 if kept else 0)


# TTLs


def test_the_ttl_counts_down_to_its_end(dot_server, forward):
    """And then the upstream is asked again."""
    server = dot_server(on_query=numbered(ttl=2))
    sotto = forward(server, cache={"prefetch": False})
    first = ask(sotto.address, "ttl.test")
    kept_at = time.monotonic()
    seen = [(number_of(first), *ttls(first))]

    def is_asked_again():
        asked_at = time.monotonic()
        reply = ask(sotto.address, "ttl.test")
        seen.append((number_of(reply), *ttls(reply)))
        if number_of(reply) == 1:
            assert asked_at - kept_at <= 2 + TICK, "kept for longer than its TTL"
        return number_of(reply) == 2

    wait_until(is_asked_again, 5, "it is asked again")
    assert time.monotonic() - kept_at >= 2 - 2 * TICK, "not kept as long as its TTL"
    assert [pair for pair, _ in itertools.groupby(seen)] == [(1, 2), (1, 1), (2, 2)]
    assert len(server.queries) == 2


def test_records_count_down_by_themselves_and_end_together(dot_server, forward):
    """The lowest TTL of all records is the answer's, wherever it is."""

    def differing(conn, query):
        authority = [wire.record(b"\0", wire.NS, wire.name_wire("ns.test"), 2)]
        additional = [address_record(9, WEEK, wire.name_wire("ns.test"))]
        answer_numbered(query, 300, authority=authority, additional=additional)

    server = dot_server(on_query=differing)
    sotto = forward(server, cache={"prefetch": False, "max-ttl": "30d"})
    seen = []

    def is_asked_again():
        reply = ask(sotto.address, "differing.test")
        seen.append((number_of(reply), *ttls(reply)))
        return number_of(reply) == 2

    wait_until(is_asked_again, 5, "it is asked again")
    assert [each for each, _ in itertools.groupby(seen)] == [
        (1, 300, 2, WEEK),
        (1, 299, 1, WEEK - 1),
        (2, 300, 2, WEEK),
    ]


def test_ttls_are_shown_within_their_bounds(dot_server, forward):
    """To the first client as well as to the next; TTL 0 and negative answers are not raised."""
    no_name = answering(**negative(wire.NXDOMAIN, minimum=5, ttl=5))
    scripts = {"low": answering(ttl=1), "high": answering(ttl=WEEK), "no": no_name}
    server = dot_server(on_query=by_name(answering(ttl=0), **scripts))
    sotto = forward(server, cache={"min-ttl": "30s", "max-ttl": "60s", "prefetch": False})
    for name, lowest, highest in [("low", 20, 30), ("high", 50, 60), ("no", 1, 5), ("zero", 0, 0)]:
        for _ in range(2):
            (ttl,) = ttls(ask(sotto.address, f"{name}.test"))
            assert lowest <= ttl <= highest, name
    let_pass(1)
    ask(sotto.address, "low.test")
    assert [len(server.queries_for(f"{name}.test.")) for name in ("low", "high", "zero")] == [
        1,
        1,
        2,
    ]


def test_the_highest_ttl_is_the_end(dot_server, forward):
    server = dot_server(on_query=numbered(ttl=300))
    sotto = forward(server, cache={"max-ttl": "1s", "prefetch": False})
    for number in (1, 2):
        reply = ask(sotto.address, "high.test")
        assert (number_of(reply), *ttls(reply)) == (number, 1)
        if number == 1:
            let_pass(1)


# What makes it another question, and what does not


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_letter_case_is_the_clients(server, forward, transport):
    """0x20: one answer for all spellings, each given back as it came."""
    sotto = forward(server, cache={})
    with connect(sotto.address, transport) as client:
        for number, name in enumerate(["MiXeD.test", "mixed.test", "MIXED.TEST", "mIxEd.TeSt"]):
            reply = client.exchange(wire.query(name, ident=0x100 + number))
            assert_own_raw(reply, name)
            assert reply[:2] == (0x100 + number).to_bytes(2, "big")
    assert len(server.queries) == 1


def test_do_and_cd_have_answers_of_their_own(dot_server, forward):
    """RFC 4035 section 4.7: who did not ask for signatures or for unchecked data gets none."""
    server = dot_server(on_query=numbered())
    sotto = forward(server, cache={})
    ways = list(itertools.product([False, True], [0, wire.CD]))
    for number, (do, cd) in [*enumerate(ways, 1)] * 2:
        reply = exchange(sotto.address, "way.test", do=do, flags=wire.RD | cd)
        assert number_of(reply) == number
        assert reply.flags & wire.CD == cd and bool(reply.ednsflags & dns.flags.DO) == do
    asked = [(bool(q.message.ednsflags & dns.flags.DO), q.flags & wire.CD) for q in server.queries]
    assert asked == ways


def test_types_have_answers_of_their_own(server, forward):
    sotto = forward(server, cache={})
    for rdtype in ["A", "AAAA", "TXT", "NS"] * 2:
        assert_own_answer(ask(sotto.address, "type.test", rdtype), "type.test", rdtype)
    assert [query.rdtype for query in server.queries] == [wire.A, wire.AAAA, wire.TXT, wire.NS]


def test_a_name_is_not_its_parent_nor_its_child(server, forward):
    sotto = forward(server, cache={})
    names = ["a.b.test", "b.test", "a.a.b.test", "ab.test", "test", "a.b.test.test"]
    for name in names * 2:
        assert_own_answer(ask(sotto.address, name), name)
    assert len(server.queries) == len(names)


@pytest.mark.parametrize("first_ad", [0, wire.AD])
def test_ad_is_for_those_who_understand_it(dot_server, forward, first_ad):
    """RFC 6840 section 5.7: whoever was the first to ask."""
    server = dot_server(on_query=answering(flags=wire.QR | wire.RA | wire.RD | wire.AD))
    sotto = forward(server, cache={})
    for ad in (first_ad, 0, wire.AD, 0):
        reply = exchange(sotto.address, "ad.test", flags=wire.RD | ad)
        assert reply.flags & dns.flags.AD == ad
    assert len(server.queries) == 1


def test_no_ad_that_the_upstream_did_not_give(server, forward):
    sotto = forward(server, cache={})
    for _ in range(2):
        reply = exchange(sotto.address, "ad.test", flags=wire.RD | wire.AD)
        assert not reply.flags & dns.flags.AD


def test_an_answer_from_the_cache_is_not_authoritative(dot_server, forward):
    """RFC 1035 section 4.1.1; recursion is available, and RD comes back."""
    server = dot_server(on_query=answering(flags=wire.QR | wire.AA))
    sotto = forward(server, cache={})
    exchange(sotto.address, "aa.test")
    reply = exchange(sotto.address, "aa.test")
    assert reply.flags & 0xFFFF == wire.QR | wire.RD | wire.RA


def test_without_rd_the_cache_is_not_looked_into(dot_server, forward):
    """Nobody learns what others have looked up; and what comes of it is not kept."""
    server = dot_server(on_query=numbered())
    sotto = forward(server, cache={})
    for number, flags in enumerate([0, wire.RD, 0, 0], 1):
        reply = exchange(sotto.address, "rd.test", flags=flags)
        assert number_of(reply) == number and reply.flags & wire.RD == flags
    assert number_of(exchange(sotto.address, "rd.test")) == 2
    assert [query.flags & wire.RD for query in server.queries] == [0, wire.RD, 0, 0]
    assert sotto.count("answers kept") == 1


# EDNS is hop by hop


def test_edns_is_made_for_each_client(dot_server, forward):
    """RFC 6891 section 6.1.1: of the upstream's options nothing is kept."""
    options = [
        (wire.OPTION_EDE, b"\0\0said once"),
        (wire.OPTION_PADDING, bytes(100)),
        (wire.OPTION_KEEPALIVE, b"\0\1"),
        (wire.OPTION_COOKIE, bytes(16)),
        (3, b"upstream"),
        (65001, b"private"),
    ]
    sotto = forward(dot_server(on_query=answering(options=options)), cache={})
    first = exchange(sotto.address, "edns.test")
    assert [option.otype for option in first.options] == [wire.OPTION_EDE]
    plain = exchange(sotto.address, "edns.test")
    assert not plain.options and plain.payload == 1232 and plain.answer == first.answer
    assert exchange(sotto.address, "edns.test", edns=False).edns == -1

    padding = [(wire.OPTION_PADDING, bytes(7))]
    with UdpClient(sotto.address) as client:
        padded = client.exchange(wire.query("edns.test", options=padding))
    assert len(padded) == 468
    assert [option.otype for option in wire.parse(padded).options] == [wire.OPTION_PADDING]

    keepalive = [(wire.OPTION_KEEPALIVE, b"")]
    (option,) = exchange(sotto.address, "edns.test", "tcp", options=keepalive).options
    assert (option.otype, option.to_wire()) == (wire.OPTION_KEEPALIVE, b"\0\x64")
    assert sotto.count("cache hits") == 4


def test_a_client_without_edns_may_be_the_first(server, forward):
    sotto = forward(server, cache={})
    for edns in (False, True, False):
        reply = exchange(sotto.address, "first.test", edns=edns)
        assert_own_answer(reply, "first.test")
        assert (reply.edns >= 0) == edns
    assert len(server.queries) == 1


def test_records_in_all_sections_are_kept_as_they_came(dot_server, forward):
    """But for the OPT, which may stand before the end of them only if nothing follows."""
    authority = [wire.record(b"\0", wire.NS, wire.name_wire("ns.test"))]
    additional = [address_record(n, 300, wire.name_wire(f"ns{n}.test")) for n in (1, 2)]
    server = dot_server(on_query=numbered(authority=authority, additional=additional))
    sotto = forward(server, cache={})
    first, second = (exchange(sotto.address, "sections.test") for _ in range(2))
    assert [len(section) for section in second.sections] == [1, 1, 1, 2]
    assert first.sections == second.sections
    assert len(server.queries) == 1


# Answers that there is nothing


def assert_kept_twice(sotto, server, names, ttl: int) -> None:
    """Asked again and again while they are kept, and once more after their end."""
    for count in (1, 2):
        for name, tcp in itertools.product(names, (False, True)):
            reply = ask(sotto.address, f"{name}.test", tcp=tcp)
            assert not reply.answer and 1 <= ttls(reply)[0] <= ttl, name
            assert reply.rcode() == (wire.NXDOMAIN if name.startswith("name") else wire.NOERROR)
            assert len(server.queries_for(f"{name}.test.")) == count
        if count == 1:
            let_pass(ttl)


def test_negative_answers_are_kept_as_the_soa_says(dot_server, forward):
    """RFC 2308 section 5: for the lower of its TTL and its MINIMUM, which is the TTL shown."""
    scripts = {
        "name-minimum": answering(**negative(wire.NXDOMAIN, minimum=2, ttl=300)),
        "type-minimum": answering(**negative(wire.NOERROR, minimum=2, ttl=300)),
        "name-ttl": answering(**negative(wire.NXDOMAIN, minimum=300, ttl=2)),
        "type-ttl": answering(**negative(wire.NOERROR, minimum=300, ttl=2)),
    }
    server = dot_server(on_query=by_name(**scripts))
    sotto = forward(server, cache={"prefetch": False})
    assert_kept_twice(sotto, server, scripts, ttl=2)


def test_negative_answers_are_kept_no_longer_than_configured(dot_server, forward):
    scripts = {
        "name": answering(**negative(wire.NXDOMAIN)),
        "type": answering(**negative(wire.NOERROR)),
    }
    server = dot_server(on_query=by_name(**scripts))
    sotto = forward(server, cache={"negative-max-ttl": "2s", "prefetch": False})
    assert_kept_twice(sotto, server, scripts, ttl=2)


def test_negative_answers_can_be_left_out(dot_server, forward):
    server = dot_server(on_query=answering(**negative(wire.NXDOMAIN)))
    sotto = forward(server, cache={"negative-max-ttl": "0s"})
    for _ in range(3):
        assert ask(sotto.address, "none.test").rcode() == wire.NXDOMAIN
    assert len(server.queries) == 3


@NEGATIVE
def test_nothing_is_known_of_the_type_by_the_name(dot_server, forward, rcode):
    """One type that is not there says nothing of others."""
    server = dot_server(on_query=answering(**negative(rcode)))
    sotto = forward(server, cache={})
    assert not ask(sotto.address, "none.test", "A").answer
    server.on_query = answering()
    assert_own_answer(ask(sotto.address, "none.test", "AAAA"), "none.test", "AAAA")
    assert not ask(sotto.address, "none.test", "A").answer


# Failures


def test_a_failure_is_remembered_for_a_moment(dot_server, forward):
    """RFC 9520: and the client is told so; then the upstream is asked again."""
    server = dot_server(on_query=answering(rcode=wire.SERVFAIL))
    sotto = forward(server, cache={"failure-ttl": "1s"})
    first = ask(sotto.address, "failing.test")
    assert first.rcode() == wire.SERVFAIL and EDE_CACHED_ERROR not in errors(first)
    asked = len(server.queries)
    for transport, edns in itertools.product(["udp", "tcp"], [True, False]):
        reply = exchange(sotto.address, "failing.test", transport, edns=edns)
        assert_failed(reply)
        assert errors(reply) == ([EDE_CACHED_ERROR] if edns else [])
    assert len(server.queries) == asked
    server.on_query = numbered()
    let_pass(1)
    assert number_of(ask(sotto.address, "failing.test")) == asked + 1


def test_failures_can_be_left_out(dot_server, forward):
    server = dot_server(on_query=answering(rcode=wire.SERVFAIL))
    sotto = forward(server, cache={"failure-ttl": "0s"})
    ask(sotto.address, "failing.test")
    server.on_query = answering()
    assert_own_answer(ask(sotto.address, "failing.test"), "failing.test")


def test_a_silent_upstream_is_not_remembered_as_a_failure(server, forward):
    """What no upstream said is not kept: it may be back at any moment."""
    sotto = forward(server, cache={"failure-ttl": "1m"})
    server.go_down()
    assert_failed(ask(sotto.address, "away.test"))
    server.come_back()
    wait_until(lambda: not ask(sotto.address, "away.test").rcode(), 3, "it is answered")


# What is not kept

NOT_KEPT = {
    "ttl-0": {"ttl": 0},
    "one-ttl-0": {"additional": [address_record(9, 0, wire.name_wire("ns.test"))]},
    "truncated": {"flags": wire.QR | wire.RA | wire.RD | wire.TC},
    "refused": {"rcode": wire.REFUSED},
    "not-implemented": {"rcode": wire.NOTIMP},
    "yxdomain": {"rcode": 6},
    "extended-rcode": {"rcode": 23},
    "nothing-at-all": {"answer": []},
    "no-name-without-soa": {"rcode": wire.NXDOMAIN, "answer": []},
    "no-name-with-ttl-0": negative(wire.NXDOMAIN, ttl=0),
    "no-name-with-minimum-0": negative(wire.NXDOMAIN, minimum=0),
    "referral": {"answer": [], "authority": [wire.record(b"\0", wire.NS, b"\2ns\4test\0")]},
}


@pytest.mark.parametrize("changes", NOT_KEPT.values(), ids=NOT_KEPT.keys())
def test_answers_that_are_not_kept(dot_server, forward, changes):
    server = dot_server(on_query=answering(**changes))
    sotto = forward(server, cache={})
    for count in (1, 2):
        ask(sotto.address, "unkept.test", tcp=True)
        assert len(server.queries) == count
    assert sotto.count("answers kept") == 0


@pytest.mark.parametrize(
    "asked",
    [
        {"rdclass": wire.CH, "rdtype": wire.TXT},
        {"rdtype": wire.ANY},
        {"rdtype": 248},
        {"rdtype": 128},
    ],
    ids=["chaos", "any", "type-248", "type-128"],
)
def test_questions_whose_answers_are_not_kept(server, forward, asked):
    sotto = forward(server, cache={})
    for count in (1, 2):
        assert exchange(sotto.address, "meta.test", **asked).answer
        assert len(server.queries) == count
    assert sotto.count("answers kept") == 0


# Large answers and chains


def texts(count: int):
    record = wire.record(wire.QUESTION_POINTER, wire.TXT, b"\xff" + b"x" * 255)
    return answering(answer=[record] * count)


@pytest.mark.parametrize("first_tcp", [False, True], ids=["udp-first", "tcp-first"])
@pytest.mark.parametrize("count", [10, 240])
def test_a_large_answer_is_whole_over_tcp_and_truncated_over_udp(
    dot_server, forward, count, first_tcp
):
    """From the cache as from the upstream, for clients that take more and less."""
    server = dot_server(on_query=texts(count))
    sotto = forward(server, cache={})
    query = wire.query("large.test", wire.TXT)
    with UdpClient(sotto.address) as udp, TcpClient(sotto.address) as tcp:
        for over_tcp in (first_tcp, not first_tcp, first_tcp, not first_tcp):
            if over_tcp:
                tcp.send(query)
                reply = tcp.receive()
                assert int.from_bytes(reply[6:8], "big") == count and not reply[2] & 2
                assert reply.count(b"x" * 255) == count
            else:
                reply = udp.exchange(query)
                assert reply[2] & 2 and reply[6:8] == b"\0\0" and len(reply) < 64
    assert len(server.queries) == 1
    assert sotto.count("truncated replies") == 2


def test_who_takes_more_over_udp_gets_more(dot_server, forward):
    """By the client's size, whoever asked first."""
    server = dot_server(on_query=texts(3))
    sotto = forward(server, cache={})
    for size, fits in [(512, False), (1232, True), (None, False), (1232, True)]:
        edns = {"size": size} if size else {"edns": False}
        reply = exchange(sotto.address, "size.test", rdtype=wire.TXT, **edns)
        assert bool(reply.answer) == fits and bool(reply.flags & wire.TC) != fits
    assert len(server.queries) == 1


def alias(owner: bytes, target: str, ttl=300) -> bytes:
    return wire.record(owner, wire.CNAME, wire.name_wire(target), ttl)


CHAINS = {
    "cname": [
        alias(wire.QUESTION_POINTER, "middle.test"),
        alias(wire.name_wire("middle.test"), "end.example"),
        address_record(7, 300, wire.name_wire("END.example")),
    ],
    "dname": [
        wire.record(b"\4test\0", 39, wire.name_wire("example")),
        alias(wire.QUESTION_POINTER, "chain.example"),
        address_record(7, 300, wire.name_wire("chain.example")),
    ],
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
def test_a_chain_of_aliases_is_kept_as_it_came(dot_server, forward, chain):
    """Order and all; its members are not answers to other questions."""
    server = dot_server(on_query=by_name(chain=answering(answer=chain)))
    sotto = forward(server, cache={})
    replies = [exchange(sotto.address, "chain.test", transport=t) for t in ("udp", "tcp", "udp")]
    assert len(server.queries_for("chain.test.")) == 1
    for reply in replies:
        assert [rrset.to_text() for rrset in reply.answer] == [
            rrset.to_text() for rrset in replies[0].answer
        ]
        assert len(reply.answer) == 3
    for name in ("middle.test", "end.example"):
        assert_own_answer(ask(sotto.address, name), name)


def test_an_alias_to_nothing_is_a_negative_answer(dot_server, forward):
    """RFC 2308 section 2.2: for the SOA of the zone where it ends."""
    chain = [alias(wire.QUESTION_POINTER, "nothing.example", 50)]
    soa = wire.soa_record(wire.name_wire("example"), minimum=40)
    scripts = {
        "type": answering(answer=chain, authority=[soa]),
        "name": answering(rcode=wire.NXDOMAIN, answer=chain, authority=[soa]),
        "open": answering(answer=chain),
    }
    server = dot_server(on_query=by_name(**scripts))
    sotto = forward(server, cache={})
    for name, count in [("type", 1), ("name", 1), ("open", 2)]:
        for _ in range(2):
            assert len(ask(sotto.address, f"{name}.test").answer) == 1
        assert len(server.queries_for(f"{name}.test.")) == count, name
