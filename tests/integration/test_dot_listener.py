"""DNS over TLS for clients (RFC 7858): what plain TCP gives, inside TLS."""

import socket
import ssl
import time

import dns.edns
import dns.message
import dns.query
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from lib import dns_wire as wire
from lib.certs import certificate_files
from lib.clients import (
    Address,
    Bystanders,
    TcpClient,
    TlsClient,
    assert_own_answer,
    assert_own_raw,
    ident_of,
    tls_context,
)
from lib.faulty_dot import answering
from lib.timing import scaled, within


@pytest.fixture
def sotto(server, forward, encrypted):
    return forward(server, **encrypted)


def is_closed(client: TcpClient) -> bool:
    try:
        return client.receive() == b""
    except (ConnectionError, ssl.SSLError):
        return True


def test_a_query_and_its_answer(sotto, place, authority):
    with TlsClient(place, authority) as client:
        client.send(wire.query("www.example.test"))
        assert_own_raw(client.receive(), "www.example.test")
        assert client.sock.selected_alpn_protocol() == "dot"
    assert sotto.count("TLS queries") == 1 and sotto.count("TCP queries") == 0
    assert sotto.count("handshakes") == 1


def test_many_queries_at_once_answered_as_the_answers_come(
    dot_server, forward, encrypted, authority
):
    """RFC 7766 section 6.2.1.1: out of order."""
    server = dot_server(
        on_query=lambda conn, query: conn.later(
            0.4 if query.name.startswith("slow") else 0, conn.answer, query
        )
    )
    sotto = forward(server, **encrypted)
    names = ["slow.test", *(f"fast{number}.test" for number in range(50))]
    with TlsClient(sotto.listener("tls"), authority) as client:
        client.send(*(wire.query(name, ident=ident) for ident, name in enumerate(names)))
        replies = [client.receive() for _ in names]
    for reply in replies:
        assert_own_raw(reply, names[ident_of(reply)])
    assert len({ident_of(reply) for reply in replies}) == len(names)


def test_keepalive_and_padding(sotto, place, authority):
    """RFC 7828 and RFC 8467: the reply says our idle time-out, and is padded as the query was."""
    query = dns.message.make_query("padded.test", "A", use_edns=0, pad=128)
    query.use_edns(0, options=[dns.edns.GenericOption(11, b"")], pad=128)
    with TlsClient(place, authority) as client:
        client.send(query.to_wire())
        raw = client.receive()
    reply = dns.message.from_wire(raw)
    assert len(raw) % 468 == 0
    assert {option.otype for option in reply.options} >= {11, 12}
    keepalive = next(option for option in reply.options if option.otype == 11)
    assert int.from_bytes(keepalive.to_wire(), "big") == 100  # ten seconds


@pytest.mark.parametrize("padding, padded", [("auto", False), ("always", True), ("off", False)])
def test_padding_of_replies_to_those_who_did_not_ask(
    server, forward, encrypted, authority, padding, padded
):
    sotto = forward(server, padding=padding, **encrypted)
    query = dns.message.make_query("www.example.test", "A", use_edns=0).to_wire()
    with TlsClient(sotto.listener("tls"), authority) as client:
        client.send(query)
        assert (len(client.receive()) % 468 == 0) == padded
    with TcpClient(sotto.address) as client:
        client.send(query)
        assert len(client.receive()) % 468 != 0, "nobody is deceived by padding in the clear"


def test_a_large_answer_comes_whole(dot_server, forward, encrypted, authority):
    record = wire.record(wire.QUESTION_POINTER, wire.TXT, b"\xc8" + bytes(200))
    sotto = forward(dot_server(on_query=answering(answer=[record] * 290)), **encrypted)
    with TlsClient(sotto.listener("tls"), authority) as client:
        client.send(wire.query("big.test", wire.TXT))
        assert len(client.receive()) > 60_000


def test_a_client_that_has_said_all_still_gets_its_answers(sotto, place, authority):
    """C4: close_notify is no hurry (RFC 8446 section 6.1)."""
    with TlsClient(place, authority) as client:
        client.send(wire.query("www.example.test"))
        client.sock.settimeout(scaled(5))
        # unwrap() sends close_notify and waits for the other's; what comes before it is lost to
        # this library, so only the program's side is looked at.
        client.close()
    assert sotto.wait_count("TLS queries") == 1
    assert sotto.count("slow clients") == 0


# Resumption


def resumed_session(place, authority, context):
    with TlsClient(place, context=context) as client:
        client.send(wire.query("first.test"))
        client.receive()  # tickets come with the first octets that are read
        session = client.sock.session
        client.close()
    assert session is not None and session.has_ticket
    return session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed(sotto, place, authority, version):
    """With any worker: the key of the tickets is theirs together."""
    context = tls_context(authority)
    context.minimum_version = context.maximum_version = version
    session = resumed_session(place, authority, context)
    for number in range(4):
        with TlsClient(place, context=context, session=session) as client:
            client.send(wire.query(f"again{number}.test"))
            assert_own_raw(client.receive(), f"again{number}.test")
            assert client.sock.session_reused
    assert sotto.count("handshakes resumed") == 4


# Certificates


def shown_names(place, name, context=None) -> set[str]:
    """The names in the certificate that a client is shown who asks for this one."""
    context = context or tls_context()
    with TlsClient(place, name=name, context=context) as client:
        der = client.sock.getpeercert(binary_form=True)
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return set(names.value.get_values_for_type(x509.DNSName))


def test_the_certificate_is_chosen_by_the_name_that_the_client_asks_for(server, forward, authority):
    first = authority.issue(names=["first.test"])
    second = authority.issue(names=["second.test", "*.wild.test"], key="rsa")
    sotto = forward(
        server,
        listen=["tls://127.0.0.1:0"],
        tls={"certificates": [certificate_files(first), certificate_files(second)]},
    )
    place = sotto.listener("tls")
    assert "first.test" in shown_names(place, "first.test")
    assert "second.test" in shown_names(place, "second.test")
    assert "second.test" in shown_names(place, "some.wild.test")
    assert "first.test" in shown_names(place, "unknown.test")
    assert "first.test" in shown_names(place, None)


def test_each_listener_may_have_its_own_certificate(server, forward, identity, authority):
    own = authority.issue(names=["own.test"])
    sotto = forward(
        server,
        listen=[
            {"url": "tls://127.0.0.1:0", "certificates": [certificate_files(own)]},
            "tls://[::1]:0",
        ],
        tls={"certificates": [certificate_files(identity)]},
    )
    places = [address for scheme, address in sotto.listeners if scheme == "tls"]
    assert ["own.test" in shown_names(place, None) for place in places] == [True, False]


def test_certificate_and_key_in_one_file(server, forward, identity, authority, tmp_path):
    both = tmp_path / "both.pem"
    both.write_bytes(identity.chain_path.read_bytes() + identity.key_path.read_bytes())
    sotto = forward(server, listen=["tls://127.0.0.1:0"], tls={"certificates": [str(both)]})
    with TlsClient(sotto.listener("tls"), authority) as client:
        client.send(wire.query("www.example.test"))
        assert_own_raw(client.receive(), "www.example.test")


def test_from_the_command_line(start_sotto, server, authority, identity):
    sotto = start_sotto(
        arguments=[
            *("-l", "dns://127.0.0.1:0", "-l", "tls://127.0.0.1:0"),
            *("--cert", identity.chain_path, "--key", identity.key_path),
            *("-u", server.url, "--ca-file", authority.ca_path),
        ]
    )
    with TlsClient(sotto.listener("tls"), authority) as client:
        client.send(wire.query("www.example.test"))
        assert_own_raw(client.receive(), "www.example.test")


# Clients with certificates


def test_only_clients_with_a_certificate_of_the_authority(
    server, forward, encrypted, authority, other_authority
):
    encrypted["listen"][1] = {"url": "tls://127.0.0.1:0", "client-ca-file": str(authority.ca_path)}
    sotto = forward(server, **encrypted)
    place = sotto.listener("tls")

    def ask_with(identity) -> bool:
        context = tls_context(authority)
        if identity:
            context.load_cert_chain(identity.chain_path, identity.key_path)
        try:
            with TlsClient(place, context=context) as client:
                client.send(wire.query("www.example.test"))
                return client.receive() != b""
        except (ssl.SSLError, ConnectionError):
            return False

    assert ask_with(authority.issue(names=["client.test"], purpose=ExtendedKeyUsageOID.CLIENT_AUTH))
    assert not ask_with(None)
    assert not ask_with(
        other_authority.issue(names=["client.test"], purpose=ExtendedKeyUsageOID.CLIENT_AUTH)
    )
    assert not ask_with(authority.issue(names=["client.test"]))
    assert sotto.count("TLS queries") == 1
    assert sotto.wait_count("handshakes failed", 3) == 3
    sotto.wait_log("TLS with 127.0.0.1:.* failed")


def test_a_client_that_does_not_trust_us_is_in_the_log(sotto, place, other_authority):
    """Each library has its way to say so."""
    with pytest.raises(ssl.SSLCertVerificationError):
        TlsClient(place, other_authority)
    sotto.wait_log("TLS with 127.0.0.1:.* failed: .*may not trust the certificate")


# Those who come to the wrong door, or do not come in


@pytest.mark.parametrize(
    "octets",
    [
        wire.framed(wire.query("plain.test")),
        b"GET /dns-query HTTP/1.1\r\nHost: dot.test\r\n\r\n",
        bytes(64),
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"\x16\x03\x01\xff\xff" + bytes(1000),
    ],
    ids=["plain DNS", "HTTP", "zeros", "a ClientHello of nothing", "an oversized record"],
)
def test_what_is_not_tls_is_refused(sotto, place, octets):
    """C9"""
    with Bystanders(sotto.address), TcpClient(place) as client:
        client.send_octets(octets)
        client.sock.settimeout(scaled(8))
        try:
            while client.sock.recv(4096):
                pass
        except ConnectionError:
            pass
    assert sotto.count("handshakes") == 0
    sotto.wait_count("handshakes failed")
    assert sotto.count("TLS queries") == 0


def test_another_protocol_is_refused(place, authority):
    """RFC 7301 section 3.2; whoever names none at all is welcome."""
    with pytest.raises(ssl.SSLError, match="(?i)no application protocol"):
        TlsClient(place, context=tls_context(authority, alpn=["h2", "http/1.1"]))
    with TlsClient(place, context=tls_context(authority, alpn=["h2", "dot"])) as client:
        assert client.sock.selected_alpn_protocol() == "dot"
    context = ssl.create_default_context(cafile=str(authority.ca_path))
    with TlsClient(place, context=context) as client:
        client.send(wire.query("www.example.test"))
        assert_own_raw(client.receive(), "www.example.test")


def test_a_name_of_nonsense(place):
    """C9: SNI is only a wish."""
    for name in ["x" * 63 + ".test", "xn--nonsense.test", "a.b.c.d.e.f"]:
        with TlsClient(place, name=name, context=tls_context()) as client:
            client.send(wire.query("www.example.test"))
            assert_own_raw(client.receive(), "www.example.test")


def test_a_handshake_has_its_time(server, forward, encrypted, authority):
    """C1, C9: silence, and one octet at a time."""
    encrypted["tls"]["handshake-timeout"] = "500ms"
    sotto = forward(server, **encrypted)
    place = sotto.listener("tls")
    with Bystanders(sotto.address):
        with TcpClient(place) as silent, TcpClient(place) as slow, within(4):
            started = time.monotonic()
            slow.sock.settimeout(0.05)
            for octet in b"\x16\x03\x01\x02\x00" + bytes(40):
                try:
                    slow.sock.send(bytes([octet]))
                    if slow.sock.recv(100) == b"":
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            assert is_closed(silent)
            assert time.monotonic() - started >= 0.4
    assert sotto.wait_count("handshakes too slow", 2) == 2
    with TlsClient(place, authority) as client:
        client.send(wire.query("www.example.test"))
        assert_own_raw(client.receive(), "www.example.test")


def test_a_client_that_says_nothing_after_the_handshake(server, forward, encrypted, authority):
    """C1: its time is that of any idle connection, however much a handshake may take."""
    sotto = forward(server, **encrypted, tcp={"idle-timeout": "500ms"})
    with TlsClient(sotto.listener("tls"), authority) as client, within(3):
        started = time.monotonic()
        assert is_closed(client)
        assert time.monotonic() - started >= 0.4
    assert sotto.count("idle clients") == 1


def test_many_who_shake_hands_do_not_keep_others_waiting(server, forward, encrypted):
    """C9: queries over UDP are answered all the while, and those who wait get their turn."""
    sotto = forward(server, **encrypted, tcp={"max-connections": 400})
    place = sotto.listener("tls")
    context = tls_context()
    with Bystanders(sotto.address, within=2.0):
        for _ in range(3):
            connections = []
            for _ in range(60):
                connections.append(socket.create_connection(tuple(place)))
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                with pytest.raises(ssl.SSLWantReadError):
                    context.wrap_bio(incoming, outgoing, server_hostname="dot.test").do_handshake()
                connections[-1].send(outgoing.read())
            for connection in connections:
                connection.settimeout(scaled(8))
                assert connection.recv(65536), "no ServerHello"
                connection.close()
    assert sotto.count("handshakes") == 0


def test_a_new_client_takes_the_place_of_the_longest_idle(server, forward, encrypted, authority):
    """C3: also of one in the middle of its handshake."""
    limits = {"max-connections": 3}
    sotto = forward(server, **encrypted, tcp=limits, process={"workers": 1})
    place = sotto.listener("tls")
    with TcpClient(place) as silent:
        sotto.wait_count("connections accepted")
        clients = [TlsClient(place, authority) for _ in range(3)]
        assert is_closed(silent)
        for number, client in enumerate(clients):
            client.send(wire.query(f"n{number}.test"))
            assert_own_raw(client.receive(), f"n{number}.test")
            client.close()
    assert sotto.count("evicted clients") == 1


# The end, and reloads


def test_connections_survive_a_reload(sotto, place, authority):
    with TlsClient(place, authority) as client:
        for number in range(3):
            client.send(wire.query(f"n{number}.test"))
            assert_own_raw(client.receive(), f"n{number}.test")
            sotto.reload()


def test_a_listener_that_goes_closes_its_connections(sotto, place, authority):
    plain = {**sotto.config, "listen": ["dns://127.0.0.1:0"]}
    with TlsClient(place, authority) as client, TcpClient(sotto.address) as other:
        client.send(wire.query("www.example.test"))
        assert_own_raw(client.receive(), "www.example.test")
        sotto.reload(plain)
        assert is_closed(client)
        other.send(wire.query("www.example.test"))
        assert_own_raw(other.receive(), "www.example.test")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(tuple(place))


def test_an_answer_on_its_way_is_still_given_at_the_end(dot_server, forward, encrypted, authority):
    server = dot_server(on_query=lambda conn, query: conn.later(0.5, conn.answer, query))
    sotto = forward(server, **encrypted)
    with TlsClient(sotto.listener("tls"), authority) as client:
        client.send(wire.query("last.test"))
        server.wait_queries(1)
        sotto.signal(15)
        assert_own_raw(client.receive(), "last.test")
        assert is_closed(client)
    sotto.expect_exit(0)


def test_the_same_port_for_tls_instead_of_tcp(server, forward, encrypted, authority):
    """A reload that encrypts what was plain."""
    sotto = forward(server, listen=["dns://127.0.0.1:0", "tcp://127.0.0.1:0"])
    port = sotto.listener("tcp").port
    listen = ["dns://127.0.0.1:0", f"tls://127.0.0.1:{port}"]
    sotto.reload({**sotto.config, "listen": [listen[0], f"tcp://127.0.0.1:{port}"]})
    sotto.reload({**sotto.config, "listen": listen, "tls": encrypted["tls"]})
    with TlsClient(Address("127.0.0.1", port), authority) as client:
        client.send(wire.query("www.example.test"))
        assert_own_raw(client.receive(), "www.example.test")


def test_dnspython(sotto, place, authority):
    query = dns.message.make_query("www.example.test", "A", use_edns=0)
    reply = dns.query.tls(
        query,
        place.host,
        scaled(5),
        place.port,
        ssl_context=tls_context(authority),
        server_hostname="dot.test",
    )
    assert_own_answer(reply, "www.example.test")
