"""How sotto itself speaks to an upstream when all is well."""

import struct
import threading

import pytest

from lib import dns_wire as wire
from lib.clients import TcpClient, UdpClient, ask, ask_many, assert_own_answer
from lib.faulty_dot import by_name, hold


def only_query(server, name):
    (query,) = server.queries_for(name + ".")
    return query


def test_tls13_alpn_dot_and_the_name_of_the_server(dot_server, forward):
    server = dot_server()
    assert_own_answer(ask(forward(server).address, "hello.test"), "hello.test")
    (conn,) = server.connections
    assert (conn.tls_version, conn.alpn, conn.sni) == ("TLSv1.3", "dot", "dot.test")


def test_the_connection_is_logged_with_version_and_identity(dot_server, forward):
    server = dot_server()
    sotto = forward(server)
    ask(sotto.address, "hello.test")
    line = sotto.wait_log(r"connected to tls://")
    assert server.url in line and "TLS1.3" in line and "verified dot.test" in line


@pytest.mark.parametrize("length", [1, 40, 60, 63])
@pytest.mark.parametrize("labels", [1, 3])
def test_queries_are_padded_to_blocks_of_128(dot_server, forward, length, labels):
    name = ".".join(["a" * length] * labels + ["test"])
    server = dot_server()
    assert_own_answer(ask(forward(server).address, name), name)
    query = only_query(server, name)
    assert len(query.wire) % 128 == 0
    assert wire.OPTION_PADDING in query.options
    assert set(query.options[wire.OPTION_PADDING]) <= {0}


def test_keepalive_is_asked_for_and_nothing_of_the_client_is_forwarded(dot_server, forward):
    """Client subnet, cookie and unknown options end here (EDNS is hop by hop)."""
    server = dot_server()
    sotto = forward(server)
    options = [
        (wire.OPTION_ECS, bytes.fromhex("00011800c00002")),
        (wire.OPTION_COOKIE, bytes(8)),
        (65001, b"secret"),
    ]
    with UdpClient(sotto.address) as client:
        client.exchange(wire.query("options.test", options=options, size=4096))
    query = only_query(server, "options.test")
    assert set(query.options) == {wire.OPTION_KEEPALIVE, wire.OPTION_PADDING}
    assert query.options[wire.OPTION_KEEPALIVE] == b""
    assert query.message.payload == 1232


@pytest.mark.parametrize("edns", [False, True])
def test_clients_without_edns_are_served_with_edns_upstream(dot_server, forward, edns):
    server = dot_server()
    reply = ask(forward(server).address, "edns.test", use_edns=0 if edns else False)
    assert_own_answer(reply, "edns.test")
    assert (reply.edns == 0) == edns
    assert only_query(server, "edns.test").has_edns


@pytest.mark.parametrize("do", [False, True])
@pytest.mark.parametrize("flags", [wire.RD, 0, wire.RD | wire.CD, wire.RD | wire.AD])
def test_flags_of_the_client_reach_the_upstream(dot_server, forward, flags, do):
    server = dot_server()
    with UdpClient(forward(server).address) as client:
        client.exchange(wire.query("flags.test", flags=flags, do=do))
    query = only_query(server, "flags.test")
    # AD is always asked for: the answer is for whoever asks next, too.
    assert query.flags == flags | wire.AD
    assert bool(query.message.ednsflags & 0x8000) == do


@pytest.mark.parametrize(
    "rdtype, rdclass", [(wire.AAAA, wire.IN), (wire.ANY, wire.IN), (65280, wire.IN), (wire.A, 4)]
)
def test_types_and_classes_pass_through(dot_server, forward, rdtype, rdclass):
    server = dot_server()
    with UdpClient(forward(server).address) as client:
        client.exchange(wire.query("type.test", rdtype, rdclass=rdclass))
    query = only_query(server, "type.test")
    assert (query.rdtype, query.rdclass) == (rdtype, rdclass)


def test_the_letter_case_goes_there_and_back(dot_server, forward):
    server = dot_server()
    assert_own_answer(ask(forward(server).address, "MiXeD.CaSe.TeSt"), "MiXeD.CaSe.TeSt")
    assert only_query(server, "mixed.case.test").qname == wire.name_wire("MiXeD.CaSe.TeSt")


def test_one_connection_carries_it_all(dot_server, forward):
    """One a worker, not one a query."""
    server = dot_server()
    sotto = forward(server)
    for number in range(20):
        name = f"one-{number}.test"
        assert_own_answer(ask(sotto.address, name, tcp=number % 2 == 1), name)
    tally = ask_many(sotto.address, (f"many-{number}.test" for number in range(500)), window=50)
    assert tally.right == 500
    assert len(server.connections) == sotto.count("connections opened") <= sotto.workers


def test_queries_are_pipelined_and_answered_out_of_order(dot_server, forward):
    server = dot_server(on_query=by_name(slow=hold))
    sotto = forward(server)
    with TcpClient(sotto.address) as client:
        client.send(wire.query("slow.test", ident=1))
        server.wait_queries(1)
        client.send(wire.query("quick.test", ident=2))
        assert client.receive()[:2] == b"\0\2"
        (slow,) = server.queries_for("slow.test.")
        slow.connection.answer(slow)
        assert client.receive()[:2] == b"\0\1"


def test_ids_are_random_and_not_the_clients(dot_server, forward):
    server = dot_server()
    sotto = forward(server)
    with UdpClient(sotto.address) as client:
        for number in range(200):
            client.exchange(wire.query(f"id-{number}.test", ident=number))
    idents = [query.ident for query in server.queries]
    assert sum(a == b for a, b in enumerate(idents)) < 5
    assert len(set(idents)) > 190
    steps = {(b - a) & 0xFFFF for a, b in zip(idents, idents[1:])}
    assert len(steps) > 150
    halves = struct.pack(f"!{len(idents)}H", *idents)
    assert len(set(halves[::2])) > 100 and len(set(halves[1::2])) > 100


def test_many_in_flight_get_a_second_connection_but_not_many(dot_server, forward):
    server = dot_server(on_query=by_name(held=hold))
    sotto = forward(server)
    names = [f"held-{number}.test" for number in range(400)]
    with UdpClient(sotto.address) as client:
        client.send_names(names)
        server.wait_for(lambda: len(server.queries_starting("held")) >= len(names), "all asked")
        for query in server.queries_starting("held"):
            query.connection.answer(query)
        client.receive_own(names)
    assert len(server.connections) <= 8 * sotto.workers


def test_max_connections_is_a_limit(dot_server, forward):
    server = dot_server(on_query=by_name(held=hold))
    sotto = forward(server, server_options={"max-connections": 1})
    answers = threading.Thread(
        target=lambda: [
            query.connection.answer(query)
            for query in server.wait_for(
                lambda: len(server.queries) >= 400 and server.queries_starting("held"), "all asked"
            )
        ]
    )
    answers.start()
    names = (f"held-{number}.test" for number in range(400))
    assert ask_many(sotto.address, names, window=400).right == 400
    answers.join()
    assert server.max_open <= sotto.workers


def test_ipv6_upstreams_work(dot_server, forward):
    server = dot_server(address="::1")
    assert_own_answer(ask(forward(server).address, "six.test"), "six.test")
