"""The harness tested on itself: the faults are real, seen through clients that are not ours."""

import socket
import ssl
import struct
import subprocess

import dns.message
import dns.query
import pytest

from lib import dns_wire as wire
from lib import peers, tls_records
from lib.certs import DAY
from lib.clients import Address, assert_own_answer, kdig
from lib.faulty_dot import (
    TlsSettings,
    accept_and_freeze,
    answering,
    answering_from,
    by_name,
    hold,
    in_pieces,
    serve,
    serving,
)
from lib.net_namespace import NetNamespace
from lib.net_namespace import available as namespaces_available
from lib.timing import scaled


class DotClient:
    """A plain, correct DoT client on Python's ssl."""

    def __init__(self, server, authority, session=None, timeout=5.0):
        self.context = ssl.create_default_context(cafile=str(authority.ca_path))
        self.context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        self.context.set_alpn_protocols(["dot"])
        self.connect(server, session, timeout)

    def connect(self, server, session=None, timeout=5.0):
        raw = socket.create_connection((server.address, server.port), scaled(timeout))
        self.sock = self.context.wrap_socket(
            raw, server_hostname="dot.test", session=session, suppress_ragged_eofs=False
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, *names):
        messages = [wire.query(name, ident=number) for number, name in enumerate(names)]
        self.sock.sendall(b"".join(map(wire.framed, messages)))

    def receive(self) -> dns.message.Message:
        return dns.message.from_wire(self.receive_octets())

    def receive_octets(self) -> bytes:
        (length,) = struct.unpack("!H", self._exactly(2))
        return self._exactly(length)

    def _exactly(self, count):
        octets = b""
        while len(octets) < count:
            more = self.sock.recv(count - len(octets))
            if not more:
                raise EOFError
            octets += more
        return octets

    def exchange(self, name):
        self.send(name)
        return self.receive()


@pytest.fixture
def dot_client(authority):
    clients = []

    def connect(server, **options):
        clients.append(DotClient(server, authority, **options))
        return clients[-1]

    yield connect
    for client in clients:
        client.sock.close()


def kdig_tls(server, authority, *arguments):
    tls = [f"+tls-ca={authority.ca_path}", "+tls-hostname=dot.test"]
    return kdig(Address(server.address, server.port), *tls, *arguments)


def gnutls_cli(server, authority, *arguments):
    command = ["gnutls-cli", "--x509cafile", authority.ca_path, "--verify-hostname", "dot.test"]
    command += ["--port", str(server.port), *arguments, server.address]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout + done.stderr


# The proper server


def test_kdig_gets_the_derived_answer_over_verified_tls(dot_server, authority):
    server = dot_server()
    output = kdig_tls(server, authority, "+padding", "www.example.test", "A")
    assert "TLS1.3" in output and "NOERROR" in output
    rdata = wire.derived_rdata(wire.name_wire("www.example.test"), wire.A)
    assert socket.inet_ntoa(rdata) in output
    (query,) = server.wait_queries(1)
    assert query.name == "www.example.test." and len(query.wire) % 128 == 0
    (conn,) = server.connections
    assert (conn.tls_version, conn.sni) == ("TLSv1.3", "dot.test")
    assert server.wait_closed(conn) in ("close_notify", "fin")


def test_gnutls_cli_sees_certificate_alpn_and_version(dot_server, authority):
    server = dot_server(tls=TlsSettings(maximum=ssl.TLSVersion.TLSv1_2))
    output = gnutls_cli(server, authority, "--alpn", "dot")
    assert "Status: The certificate is trusted" in output and "(TLS1.2" in output
    assert server.connections[0].alpn == "dot"


def test_resumption_is_seen_and_ended_by_key_rotation(dot_server, dot_client):
    server = dot_server()
    client = dot_client(server)
    client.exchange("one.test")
    session = client.sock.session
    client.sock.close()
    client.connect(server, session)
    client.exchange("two.test")
    assert [conn.resumed for conn in server.connections] == [False, True]
    server.rotate_ticket_keys()
    client.connect(server, session)
    client.exchange("three.test")
    assert [conn.resumed for conn in server.connections] == [False, True, False]


def test_thousands_of_queries_a_second(dot_server, dot_client):
    server = dot_server()
    client = dot_client(server)
    names = [f"name-{number}.test" for number in range(4000)]
    started = server.connections[0].opened_at
    # In one thread, a part at a time: OpenSSL's connections are for one thread only.
    for first in range(0, len(names), 200):
        part = names[first : first + 200]
        client.send(*part)
        for _ in part:
            client.receive_octets()
    rate = len(names) / (server.queries[-1].at - started)
    assert rate > 2000 / scaled(1)


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(names=["other.test"]), "does not match"),
        (dict(self_signed=True), "issuer is unknown"),
        (dict(valid_from=-40 * DAY), "expired"),
        (dict(valid_from=DAY), "not yet"),
    ],
    ids=["name", "self-signed", "expired", "future"],
)
def test_wrong_certificates_are_wrong_to_gnutls(dot_server, authority, settings, words):
    assert words in gnutls_cli(dot_server(authority.issue(**settings)), authority)


# Faults


def test_reset_is_a_reset(dot_server):
    def reset_after_reading(conn):
        conn.read_cipher()
        conn.reset()

    server = dot_server(on_connection=reset_after_reading)
    with socket.create_connection((server.address, server.port)) as sock:
        sock.send(b"anything")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_reset_from_another_thread_while_the_script_reads(dot_server):
    server = dot_server(on_connection=accept_and_freeze)
    with socket.create_connection((server.address, server.port)) as sock:
        server.wait_connections(1)[0].reset()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_close_is_clean_and_fin_is_not(dot_server, dot_client):
    server = dot_server(on_query=lambda conn, query: conn.close())
    with pytest.raises(EOFError):
        dot_client(server).exchange("x.test")
    server.on_query = lambda conn, query: conn.fin()
    with pytest.raises(ssl.SSLError, match="EOF"):
        dot_client(server).exchange("x.test")


def test_query_and_idle_limits(dot_server, dot_client):
    server = dot_server(on_connection=serving(max_queries=2))
    client = dot_client(server)
    client.exchange("a.test"), client.exchange("b.test")
    assert client.sock.recv(1) == b""
    server.on_connection = serving(idle=0.05)
    assert dot_client(server).sock.recv(1) == b""


def test_held_queries_can_be_answered_later_in_any_order(dot_server, dot_client):
    server = dot_server(on_query=by_name(held=hold))
    client = dot_client(server)
    client.send("held-1.test", "held-2.test", "free.test")
    assert client.receive().question[0].name.to_text() == "free.test."
    queries = server.wait_queries(3)
    for query in reversed(queries[:2]):
        query.connection.answer(query)
    assert [client.receive().id for _ in range(2)] == [1, 0]


def test_one_octet_at_a_time(dot_server, dot_client):
    def slow(conn):
        conn.output = in_pieces(1)
        serve(conn)

    server = dot_server(on_connection=slow)
    assert_own_answer(dot_client(server).exchange("x.test"), "x.test")


def test_frozen_server_takes_the_connection_and_says_nothing(dot_server, dot_client):
    server = dot_server(on_connection=accept_and_freeze)
    with pytest.raises(TimeoutError):
        dot_client(server, timeout=0.3)
    assert server.connections[0].handshaken_at is None


def test_first_flight_can_be_cut(dot_server, dot_client):
    def half_a_flight(conn):
        flight = conn.first_flight()
        conn.send_cipher(flight[: len(flight) // 2])
        conn.wait_peer_closed()

    server = dot_server(on_connection=half_a_flight)
    with pytest.raises(TimeoutError):
        dot_client(server, timeout=0.3)


def test_black_hole_does_not_even_acknowledge(dot_server, dot_client):
    server = dot_server()
    client = dot_client(server)
    client.exchange("a.test")
    server.connections[0].black_hole()
    client.send("b.test")
    assert unacknowledged(client.sock) > 0
    client.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.receive()
    assert unacknowledged(client.sock) > 0 and len(server.queries) == 1


def unacknowledged(sock) -> int:
    """tcpi_unacked of TCP_INFO."""
    return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)[0]


def test_server_goes_down_and_comes_back_on_its_port(dot_server, dot_client):
    server = dot_server()
    client = dot_client(server)
    client.exchange("a.test")
    server.go_down()
    with pytest.raises((ConnectionResetError, ssl.SSLError)):
        client.exchange("b.test")
    with pytest.raises(ConnectionRefusedError):
        client.connect(server)
    server.come_back()
    client.connect(server)
    client.exchange("c.test")


def test_changed_replies(dot_server, dot_client):
    server = dot_server(on_query=answering(ident=99, flags=0, counts=(1, 500, 0, 0)))
    client = dot_client(server)
    client.send("x.test")
    ident, flags, _, answers = struct.unpack_from("!HHHH", client.receive_octets())
    assert (ident, flags, answers) == (99, 0, 500)


def test_extended_rcode_and_options(dot_server, dot_client):
    server = dot_server(on_query=answering(rcode=23, options=[(wire.OPTION_KEEPALIVE, b"\0\1")]))
    reply = dot_client(server).exchange("x.test")
    assert reply.rcode() == 23 and reply.options[0].otype == wire.OPTION_KEEPALIVE


def test_plaintext_on_the_tls_port(dot_server, authority):
    server = dot_server(on_connection=lambda conn: conn.send_cipher(b"HTTP/1.1 400 Bad\r\n\r\n"))
    assert "Received record packet of unknown type" in gnutls_cli(server, authority)


# Hand-made records


@pytest.fixture
def hand_made(dot_server, tmp_path):
    """Start a server whose answer to each query is preceded by records of the test's making."""

    def start(make_records, settings=tls_records.settings):
        def script(conn):
            conn.handshake()
            tls_records.take_over(conn)
            while query := conn.read_query():
                make_records(conn.record_writer)
                conn.answer(query)

        return dot_server(on_connection=script, tls=settings(tmp_path))

    return start


@pytest.mark.parametrize(
    "make_records",
    [
        lambda writer: None,
        lambda writer: writer.key_update(),
        lambda writer: writer.key_update(ask_peer=True),
        lambda writer: writer.record(b""),
        lambda writer: writer.record(b"", padding=1000),
    ],
    ids=["nothing", "key-update", "key-update-both", "empty", "only-padding"],
)
def test_legal_records_are_understood(hand_made, dot_client, make_records):
    server = hand_made(make_records)
    client = dot_client(server)
    for name in ("a.test", "b.test", "c.test"):
        assert_own_answer(client.exchange(name), name)


@pytest.mark.parametrize(
    "make_records, error",
    [
        (lambda writer: writer.record(b"x", spoil_tag=True), "bad record mac"),
        (lambda writer: writer.record(bytes(tls_records.MAX_PLAINTEXT + 300)), "too long"),
        (lambda writer: writer.alert(tls_records.FATAL, 80), "internal error"),
    ],
    ids=["bad-tag", "oversized", "alert"],
)
def test_illegal_records_are_refused(hand_made, dot_client, make_records, error):
    server = hand_made(make_records)
    with pytest.raises(ssl.SSLError, match=error):
        dot_client(server).exchange("a.test")


def test_renegotiation_is_asked_for_in_tls12(hand_made, authority):
    server = hand_made(lambda writer: writer.hello_request(), tls_records.settings_tls12)
    output = kdig_tls(server, authority, "a.test", "A")
    assert "TLS1.2" in output and "NOERROR" in output


# The other tools of the harness


def test_slow_link_takes_its_time(dot_server, dot_client, slow_link):
    server = dot_server()
    link = slow_link(server.port, rtt=0.1)
    link.address = "127.0.0.1"
    client = dot_client(link)
    client.exchange("a.test")
    conn = server.connections[0]
    assert conn.handshaken_at - conn.opened_at > 0.09


def test_table_of_addresses(dot_server, dot_client):
    server = dot_server(on_query=answering_from({"dot.test": ["127.0.0.1", "::1"]}))
    client = dot_client(server)
    assert client.exchange("dot.test").answer[0][0].address == "127.0.0.1"
    assert client.exchange("no.test").rcode() == wire.NXDOMAIN


@pytest.mark.skipif(not namespaces_available(), reason="needs network namespaces")
def test_namespace_is_unreachable_until_it_has_an_address():
    namespace = NetNamespace()
    try:
        with namespace.socket() as sock, pytest.raises(OSError, match="unreachable"):
            sock.connect(("10.53.0.1", 853))
        namespace.ip("addr", "add", "10.53.0.1/32", "dev", "lo")
        with namespace.socket() as sock, pytest.raises(ConnectionRefusedError):
            sock.connect(("10.53.0.1", 853))
    finally:
        namespace.close()


def test_quick_server_follows_the_same_rule(fast_dot, dot_client):
    fast_dot.address = "127.0.0.1"
    client = dot_client(fast_dot)
    names = [f"Name-{number}.test" for number in range(1000)]
    client.send(*names)
    for name in names:
        assert_own_answer(client.receive(), name)


@pytest.mark.parametrize("kind", peers.ALL, ids=lambda kind: kind.program)
def test_real_peers_serve_the_zone(kind, tmp_path, identity, authority):
    if not kind.installed():
        pytest.skip(f"{kind.program} is not installed")
    peer = kind(tmp_path, identity)
    peer.address = "127.0.0.1"
    try:
        peer.start()
        assert "198.51.100.10" in kdig_tls(peer, authority, "host.peer.example", "A")
        assert "NXDOMAIN" in kdig_tls(peer, authority, "missing.peer.example", "A")
        assert "said softly" in kdig_tls(peer, authority, "text.peer.example", "TXT")
        assert "019xxx" in kdig_tls(peer, authority, "big.peer.example", "TXT")
        alias = kdig_tls(peer, authority, "alias.peer.example", "A")
        assert "CNAME" in alias and "198.51.100.10" in alias
    finally:
        peer.stop()
