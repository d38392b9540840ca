"""C12: behind load balancers, who tell by a PROXY header (version 2) who really asks.

On loopback every address of 127.0.0.0/8 is ours: BALANCER is named in proxy-from, and nobody else.
"""

import socket
import ssl
import time

import dns.flags
import dns.rcode
import pytest

from lib import dns_wire as wire
from lib.caching import negative
from lib.certs import certificate_files
from lib.clients import (
    Address,
    TcpClient,
    UdpClient,
    assert_failed,
    assert_own_raw,
    bound_to,
    tls_context,
)
from lib.faulty_dot import answer, answering, by_name, hold
from lib.net_namespace import NetNamespace
from lib.net_namespace import available as namespaces_available
from lib.timing import scaled

needs_namespace = pytest.mark.skipif(not namespaces_available(), reason="needs a network namespace")

BALANCER, STRANGER, OTHER_BALANCER = "127.0.0.2", "127.0.0.3", "127.0.0.4"
FRIEND, FRIEND6 = "192.0.2.7", "2001:db8::7"
FOE, FOE6 = "192.0.2.8", "2001:db8::8"
CLIENTS = {"allow": [f"{FRIEND}/32", f"{FRIEND6}/128"]}

TRANSPORTS = ["udp", "tcp", "tls"]

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
UNSPEC, TCP4, UDP4, TCP6, UNIX = 0x00, 0x11, 0x12, 0x21, 0x31


def raw_header(command: int, family: int, payload: bytes, length: int | None = None) -> bytes:
    length = len(payload) if length is None else length
    return SIGNATURE + bytes([command, family]) + length.to_bytes(2, "big") + payload


def addresses(source: str) -> bytes:
    """From there to an address of the same family."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    destination = "2001:db8::53" if family == socket.AF_INET6 else "192.0.2.53"
    hosts = b"".join(socket.inet_pton(family, host) for host in (source, destination))
    return hosts + (4660).to_bytes(2, "big") + (53).to_bytes(2, "big")


def header(source: str, tlvs: bytes = b"", transport: str = "tcp") -> bytes:
    family = (0x20 if ":" in source else 0x10) | (2 if transport == "udp" else 1)
    return raw_header(PROXY, family, addresses(source) + tlvs)


def as_message(first: bytes) -> bytes:
    """A header, and as much more as a message has whose length is the header's first octets."""
    return first + bytes(2 + 0x0D0A - len(first))


def assert_malformed(reply: bytes) -> None:
    assert wire.parse(reply).rcode() in (dns.rcode.FORMERR, dns.rcode.NOTIMP)


class Client:
    """A client over any transport that first says this, in the clear, and then asks."""

    def __init__(self, sotto, transport, first=b"", source=BALANCER, authority=None, at=None):
        self.transport = transport
        self.first = first
        address = at or sotto.listener("tls" if transport == "tls" else "dns")
        kind = UdpClient if transport == "udp" else TcpClient
        self.client = kind(address, make_socket=bound_to(source))
        if transport != "udp" and first:
            self.client.send_octets(first)
        if transport == "tls":
            context = tls_context(authority)
            name = "dot.test" if authority else None
            self.client.sock = context.wrap_socket(self.client.sock, server_hostname=name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.sock.close()

    def exchange(self, message: bytes) -> bytes:
        """Empty: the connection was closed."""
        try:
            self.client.send(self.first + message if self.transport == "udp" else message)
            return self.client.receive()
        except ConnectionError:
            return b""


@pytest.fixture
def start(server, forward, encrypted):
    """The program behind BALANCER, on a dns:// and a tls:// address."""

    def start(clients=CLIENTS, proxies=(BALANCER,), tls=None, **options):
        listen = [{"url": url, "proxy-from": list(proxies)} for url in encrypted["listen"]]
        tls = {**encrypted["tls"], **(tls or {})}
        return forward(server, listen=listen, tls=tls, clients=clients, **options)

    return start


@pytest.fixture
def ask(authority):
    def ask(sotto, transport, first=b"", name="name.test", **options) -> bytes:
        with Client(sotto, transport, first, authority=authority, **options) as client:
            return client.exchange(wire.query(name))

    return ask


def assert_refused(reply: bytes) -> None:
    assert_failed(wire.parse(reply), dns.rcode.REFUSED)


def assert_dropped(sotto, transport, first, refused=1, send_query=True) -> None:
    """Over UDP there is silence, else the connection is closed; and it is counted."""
    before = sotto.count("PROXY headers refused")
    client = (UdpClient if transport == "udp" else TcpClient)(
        sotto.listener("tls" if transport == "tls" else "dns"), make_socket=bound_to(BALANCER)
    )
    with client:
        message = wire.query("name.test")
        if transport == "udp":
            client.send(first + (message if send_query else b""))
        else:
            client.send_octets(first + (wire.framed(message) if send_query else b""))
            try:
                assert client.sock.recv(4096) == b""
            except ConnectionError:
                pass
        sotto.wait_count("PROXY headers refused", before + refused)
        if transport == "udp":
            with pytest.raises(TimeoutError):
                client.receive(0.2)
    assert sotto.count("PROXY headers refused") == before + refused


# Who asks


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("friend, foe", [(FRIEND, FOE), (FRIEND6, FOE6)], ids=["IPv4", "IPv6"])
def test_the_rule_is_about_the_client_that_the_header_names(start, ask, transport, friend, foe):
    """The balancer itself is not among those allowed."""
    sotto = start()
    assert_own_raw(ask(sotto, transport, header(friend, transport=transport)), "name.test")
    assert_refused(ask(sotto, transport, header(foe, transport=transport)))
    assert sotto.count("PROXY headers") == 2 and sotto.count("PROXY headers refused") == 0
    assert sotto.count("queries not allowed") == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_ipv4_client_written_as_ipv6_is_the_same(start, ask, transport):
    sotto = start(clients={"allow": [FRIEND]})
    assert_own_raw(ask(sotto, transport, header(f"::ffff:{FRIEND}")), "name.test")
    assert_refused(ask(sotto, transport, header(f"::ffff:{FOE}")))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_local_is_the_balancer_itself(start, ask, transport):
    """As for a health check; whatever is said besides is skipped."""
    sotto = start(clients={"allow": [FRIEND]})
    locals = [
        raw_header(LOCAL, UNSPEC, b""),
        raw_header(LOCAL, TCP4, addresses(FRIEND)),
        raw_header(LOCAL, UNIX, b"x" * 216),
    ]
    for first in locals:
        assert_refused(ask(sotto, transport, first))
    sotto.reload(sotto.config | {"clients": {"allow": [BALANCER]}})
    for first in locals:
        assert_own_raw(ask(sotto, transport, first), "name.test")
    assert sotto.count("PROXY headers") == 6


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_transport_in_the_header_is_that_of_the_client(start, ask, transport):
    """Balancers pass on over UDP what came over TCP or HTTPS, and the other way round."""
    sotto = start()
    for said in ["tcp", "udp"]:
        assert_own_raw(ask(sotto, transport, header(FRIEND, transport=said)), "name.test")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_tlvs_are_skipped(start, ask, transport):
    sotto = start()
    authority, unique = b"\x02\0\x08dot.test", b"\x05\0\x04\1\2\3\4"
    whole = b"\x04" + (536 - 12 - 3).to_bytes(2, "big") + bytes(536 - 12 - 3)
    for tlvs in [authority + unique, whole]:
        assert_own_raw(ask(sotto, transport, header(FRIEND, tlvs)), "name.test")


def test_each_datagram_has_its_own_header(start):
    """Nothing is remembered of the one before."""
    sotto = start()
    with Client(sotto, "udp") as client:
        for source in [FRIEND, FOE, FRIEND6, FOE, FRIEND]:
            client.first = header(source)
            reply = wire.parse(client.exchange(wire.query("name.test")))
            refused = source == FOE
            assert reply.rcode() == (dns.rcode.REFUSED if refused else dns.rcode.NOERROR)
    assert_dropped(sotto, "udp", b"")


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_connection_has_one_client(start, transport, authority):
    sotto = start()
    with Client(sotto, transport, header(FRIEND), authority=authority) as client:
        for n in range(20):
            name = f"name-{n}.test"
            assert_own_raw(client.exchange(wire.query(name)), name)
        # A second header is a message: its first octets are its length.
        client.client.send_octets(as_message(header(FOE)))
        assert_malformed(client.client.receive())
    assert sotto.count("PROXY headers") == 1
    assert sotto.count("queries not allowed") == 0


def test_the_rate_limit_is_about_the_client_that_the_header_names(start):
    """One client's flood is not that of its neighbours behind the same balancer."""
    clients = {"allow": ["192.0.2.0/24"], "rate-limit": 1, "rate-limit-slip": 0}
    sotto = start(clients=clients)
    with Client(sotto, "udp") as client:
        for _ in range(50):
            client.client.send(header(FOE) + wire.query("localhost"))
        client.first = header(FRIEND)
        sotto.wait_count("limited and dropped", 40)
        while client.client.receive(1)[0:2] != b"\xab\xcd":
            client.client.send(client.first + wire.query("localhost", ident=0xABCD))


def test_cookies_are_for_the_client_that_the_header_names(start):
    sotto = start(clients={"allow": ["192.0.2.0/24"]})

    def exchange(source, cookie):
        query = wire.query("localhost", options=[(wire.OPTION_COOKIE, cookie)])
        with Client(sotto, "udp", header(source)) as client:
            reply = wire.parse(client.exchange(query))
        return next(o.to_wire() for o in reply.options if o.otype == wire.OPTION_COOKIE)

    cookie = exchange(FRIEND, b"12345678")
    exchange(FRIEND, cookie)
    assert sotto.count("valid cookies") == 1 and sotto.count("bad cookies") == 0
    exchange(FOE, cookie)
    assert sotto.count("valid cookies") == 1 and sotto.count("bad cookies") == 1


def test_the_share_is_of_the_client_that_the_header_names(start, server):
    """One client that takes all it can get leaves room to others behind the same balancer."""
    server.on_query = by_name(answer, flood=hold)
    one_worker, clients = {"workers": 1}, {"allow": ["192.0.2.0/24"]}
    sotto = start(clients=clients, timeout=5.0, process=one_worker, **{"max-in-flight": 100})
    with Client(sotto, "udp") as client:
        for number in range(200):
            client.client.send(header(FOE) + wire.query(f"flood-{number}.test", ident=number))
        sotto.wait_count("overload", 112)
    server.wait_for(lambda: len(server.queries_starting("flood")) == 88, "all that it may")
    with Client(sotto, "udp", header(FRIEND)) as client:
        assert_own_raw(client.exchange(wire.query("name.test")), "name.test")
    with Client(sotto, "udp", header(FOE)) as client:
        reply = wire.parse(client.exchange(wire.query("name.test")))
        assert_failed(reply, dns.rcode.SERVFAIL, "too many queries")


def test_negative_answers_are_kept_for_the_client_that_the_header_names(start, server):
    """What one client made up does not use up what is kept for the other."""
    server.on_query = answering(**negative(wire.NXDOMAIN))
    clients = {"allow": ["192.0.2.0/24"]}
    one_worker = {"workers": 1}
    cache = {"size": "1MiB", "negative-per-client": 1}
    sotto = start(clients=clients, cache=cache, process=one_worker)
    with Client(sotto, "udp", header(FOE)) as client:
        for number in range(50):
            client.exchange(wire.query(f"no-{number}.test"))
    limited = sotto.count("negative answers not kept")
    assert limited >= 30
    with Client(sotto, "udp", header(FRIEND)) as client:
        for _ in range(2):
            client.exchange(wire.query("no-typo.test"))
    assert sotto.count("negative answers not kept") == limited
    assert len(server.queries_for("no-typo.test.")) == 1


# What is no header, from whom one must come

WRONG = {
    "missing": b"",
    "version 1": b"PROXY TCP4 192.0.2.7 192.0.2.53 4660 53\r\n",
    "garbage": bytes(range(200, 256)),
    "another version": raw_header(0x11, TCP4, addresses(FRIEND)),
    "unknown command": raw_header(0x22, TCP4, addresses(FRIEND)),
    "nobody named": raw_header(PROXY, UNSPEC, b""),
    "unknown family": raw_header(PROXY, 0x41, addresses(FRIEND)),
    "unknown transport": raw_header(PROXY, 0x13, addresses(FRIEND)),
    "a path": raw_header(PROXY, UNIX, b"x" * 216),
    "IPv4 as IPv6": raw_header(PROXY, TCP6, addresses(FRIEND)),
    "length too small": raw_header(PROXY, TCP4, addresses(FRIEND), 11),
    "length of nothing": raw_header(PROXY, TCP4, addresses(FRIEND), 0),
    "length into the query": raw_header(PROXY, TCP4, addresses(FRIEND), 12 + 20),
    "length over the bound": raw_header(PROXY, TCP4, addresses(FRIEND) + bytes(525)),
    "length of 64 KiB": raw_header(PROXY, TCP4, addresses(FRIEND), 0xFFFF),
    "local, over the bound": raw_header(LOCAL, UNSPEC, bytes(537)),
    "TLV too long": header(FRIEND, b"\x04\0\x05abcd"),
    "cut TLV": header(FRIEND, b"\x04\0"),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_header_is_refused(start, ask, server, transport, what):
    sotto = start(clients={"allow": ["any"]})
    assert_dropped(sotto, transport, WRONG[what])
    assert not server.queries and sotto.count("PROXY headers") == 0
    assert sotto.log_lines("no right PROXY header .* from 127.0.0.2")
    assert_own_raw(ask(sotto, transport, header(FRIEND)), "name.test")


def test_a_handshake_without_a_header_is_refused(start, authority):
    sotto = start(clients={"allow": ["any"]})
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Client(sotto, "tls", authority=authority)
    assert sotto.count("PROXY headers refused") == 1 and sotto.count("handshakes failed") == 0


@pytest.mark.parametrize("size", [0, 1, 11, 12, 13, 15, 16, 27])
def test_a_cut_header_and_the_end(start, size):
    """Over UDP a datagram ends by itself."""
    sotto = start(clients={"allow": ["any"]})
    first = header(FRIEND)[:size]
    assert_dropped(sotto, "udp", first, send_query=False)
    for transport in ["tcp", "tls"]:
        client = TcpClient(
            sotto.listener("tls" if transport == "tls" else "dns"), make_socket=bound_to(BALANCER)
        )
        with client:
            client.send_octets(first)
            client.sock.shutdown(socket.SHUT_WR)
            try:
                assert client.sock.recv(4096) == b""
            except ConnectionError:
                pass
    assert sotto.count("PROXY headers refused") == 3


@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize("size", [0, 5, 27])
def test_a_cut_header_and_silence(start, transport, size):
    """The time for a message, or for a handshake, is over."""
    sotto = start(tcp={"message-timeout": "400ms"}, tls={"handshake-timeout": "400ms"})
    place = sotto.listener("tls" if transport == "tls" else "dns")
    started = time.monotonic()
    with TcpClient(place, make_socket=bound_to(BALANCER)) as client:
        client.send_octets(header(FRIEND)[:size])
        try:
            assert client.sock.recv(4096) == b""
        except ConnectionError:
            pass
    assert 0.3 <= time.monotonic() - started < scaled(2)
    assert sotto.count("PROXY headers refused") == 1 and sotto.count("slow clients") == 1
    sotto.assert_not_spinning()


def test_the_handshake_has_no_more_time_for_the_header(start):
    """One octet now and then; the time runs from the connection's beginning."""
    sotto = start(tls={"handshake-timeout": "600ms"})
    started = time.monotonic()
    with TcpClient(sotto.listener("tls"), make_socket=bound_to(BALANCER)) as client:
        try:
            for octet in header(FRIEND):
                client.send_octets(bytes([octet]))
                time.sleep(0.1)
                assert time.monotonic() < started + scaled(3)
        except ConnectionError:
            pass
    assert sotto.count("PROXY headers refused") == 1


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_header_in_pieces(start, transport, authority):
    """Octet by octet; and in one segment with what follows it."""
    sotto = start(tcp={"message-timeout": "10s"}, tls={"handshake-timeout": "10s"})
    place = sotto.listener("tls" if transport == "tls" else "dns")
    first = header(FRIEND, b"\x05\0\x04\1\2\3\4")
    with TcpClient(place, make_socket=bound_to(BALANCER)) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in first:
            client.send_octets(bytes([octet]))
            time.sleep(0.005)
        if transport == "tls":
            client.sock = tls_context(authority).wrap_socket(
                client.sock, server_hostname="dot.test"
            )
        client.send(wire.query("pieces.test"))
        assert_own_raw(client.receive(), "pieces.test")
    assert sotto.count("PROXY headers") == 1


def test_a_header_and_queries_in_one_segment(start):
    sotto = start()
    with TcpClient(sotto.listener("dns"), make_socket=bound_to(BALANCER)) as client:
        queries = [wire.framed(wire.query(f"q{n}.test", ident=n)) for n in range(10)]
        client.send_octets(header(FRIEND) + b"".join(queries))
        for ident, reply in client.receive_all(10).items():
            assert_own_raw(reply, f"q{ident}.test")


def test_a_header_and_the_handshake_in_one_segment(start, authority):
    """And cut in the middle of what is encrypted."""
    sotto = start()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls_context(authority).wrap_bio(incoming, outgoing, server_hostname="dot.test")
    with TcpClient(sotto.listener("tls"), make_socket=bound_to(BALANCER)) as client:
        with pytest.raises(ssl.SSLWantReadError):
            session.do_handshake()
        hello = outgoing.read()
        client.send_octets(header(FRIEND) + hello[:7])
        time.sleep(0.05)
        client.send_octets(hello[7:])
        for _ in range(20):
            incoming.write(client.sock.recv(1 << 16))
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        session.write(wire.framed(wire.query("name.test")))
        client.send_octets(outgoing.read())
        for _ in range(20):
            incoming.write(client.sock.recv(1 << 16))
            try:
                assert_own_raw(session.read(4096)[2:], "name.test")
                break
            except ssl.SSLWantReadError:
                continue
        else:
            raise AssertionError("no answer")
    assert sotto.count("handshakes") == 1


# From all others


def test_a_strangers_header_over_udp_is_a_malformed_query(start, server):
    """The claim of being a friend counts for nothing, and is not even read."""
    sotto = start(clients={"allow": ["any"]})
    with Client(sotto, "udp", header(FRIEND), source=STRANGER) as client:
        assert_malformed(client.exchange(wire.query("name.test")))
    assert sotto.count("PROXY headers") == 0 and not server.queries


def test_a_strangers_claim_does_not_pass_the_rule(start, ask):
    """The incident: the address that is claimed judges whether the claim is believed."""
    sotto = start(clients={"allow": [FRIEND, BALANCER]})
    assert_refused(ask(sotto, "udp", header(FRIEND), source=STRANGER))
    assert_refused(ask(sotto, "udp", header(BALANCER), source=STRANGER))
    assert sotto.count("queries not allowed") == 2


def test_a_header_behind_a_header_is_not_read(start, ask):
    """A client's own, which the balancer passes on as it came: even if it claims to be one."""
    sotto = start(clients={"allow": [FRIEND]}, proxies=[BALANCER, FOE])
    assert_refused(ask(sotto, "udp", header(FOE) + header(FRIEND)))
    with Client(sotto, "tcp", header(FOE) + as_message(header(FRIEND))) as client:
        assert_refused(client.client.receive())
    assert sotto.count("PROXY headers") == 2


def test_a_strangers_header_over_tcp_is_a_malformed_message(start, server):
    """Its first octets are a length of 3338."""
    sotto = start(clients={"allow": ["any"]}, tcp={"message-timeout": "300ms"})
    with Client(sotto, "tcp", header(FRIEND), source=STRANGER) as client:
        assert client.exchange(wire.query("name.test")) == b""
    assert sotto.count("slow clients") == 1
    with Client(sotto, "tcp", as_message(header(FRIEND)), source=STRANGER) as client:
        assert_malformed(client.client.receive())
    assert sotto.count("PROXY headers") == 0 and not server.queries


def test_a_strangers_header_over_tls_is_a_failed_handshake(start, authority):
    sotto = start(clients={"allow": ["any"]})
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Client(sotto, "tls", header(FRIEND), source=STRANGER, authority=authority)
    sotto.wait_count("handshakes failed")
    assert sotto.count("PROXY headers") == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_stranger_without_a_header_is_a_client_like_any_other(start, ask, transport):
    sotto = start(clients={"allow": [STRANGER]})
    assert_own_raw(ask(sotto, transport, source=STRANGER), "name.test")
    assert_refused(ask(sotto, transport, source=OTHER_BALANCER))
    assert sotto.count("PROXY headers") == sotto.count("PROXY headers refused") == 0


# The list


def test_each_listen_entry_has_its_own_list(server, forward, identity, ask):
    tls = {"certificates": [certificate_files(identity)]}
    listen = [
        {"url": "udp://127.0.0.1:0", "proxy-from": [BALANCER]},
        {"url": "tcp://127.0.0.1:0", "proxy-from": [OTHER_BALANCER]},
        {"url": "tls://127.0.0.1:0"},
    ]
    sotto = forward(server, listen=listen, tls=tls, clients={"allow": [FRIEND, "127.0.0.0/8"]})
    theirs = {"udp": [BALANCER], "tcp": [OTHER_BALANCER], "tls": []}
    for transport, proxies in theirs.items():
        at = sotto.listener(transport)
        for source in [BALANCER, OTHER_BALANCER, STRANGER]:
            first = header(FRIEND) if source in proxies else b""
            assert_own_raw(ask(sotto, transport, first, source=source, at=at), "name.test")
    assert sotto.count("PROXY headers") == 2


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_reload_changes_the_list(start, ask, transport):
    sotto = start(clients={"allow": [FRIEND, "127.0.0.0/8"]})

    def reload(*proxies):
        listen = [{**place, "proxy-from": list(proxies)} for place in sotto.config["listen"]]
        sotto.reload(sotto.config | {"listen": listen})

    assert_own_raw(ask(sotto, transport, header(FRIEND)), "name.test")
    assert_own_raw(ask(sotto, transport, source=OTHER_BALANCER), "name.test")
    reload(OTHER_BALANCER)
    assert_own_raw(ask(sotto, transport), "name.test")
    assert_own_raw(ask(sotto, transport, header(FRIEND), source=OTHER_BALANCER), "name.test")
    reload()
    assert_own_raw(ask(sotto, transport, source=OTHER_BALANCER), "name.test")
    reload(f"{BALANCER}/31", "2001:db8::/32")
    assert_own_raw(ask(sotto, transport, header(FRIEND)), "name.test")
    assert sotto.count("PROXY headers") == 3 and sotto.count("PROXY headers refused") == 0


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_connections_end_when_the_list_is_about_their_peer(start, transport, authority):
    """What was claimed under the old list counts no longer. Others stay."""
    sotto = start(clients={"allow": [FRIEND, "127.0.0.0/8"]})
    with (
        Client(sotto, transport, header(FRIEND), authority=authority) as proxied,
        Client(sotto, transport, source=OTHER_BALANCER, authority=authority) as plain,
        Client(sotto, transport, source=STRANGER, authority=authority) as stranger,
    ):
        for client in [proxied, plain, stranger]:
            assert_own_raw(client.exchange(wire.query("name.test")), "name.test")
        listen = [{**place, "proxy-from": [OTHER_BALANCER]} for place in sotto.config["listen"]]
        sotto.reload(sotto.config | {"listen": listen})
        assert_own_raw(stranger.exchange(wire.query("name.test")), "name.test")
        assert proxied.exchange(wire.query("name.test")) == b""
        assert plain.exchange(wire.query("name.test")) == b""


@pytest.mark.parametrize("prefix", ["any", "0.0.0.0/0", "::/0"])
def test_whoever_believes_everybody_is_warned(start, prefix):
    sotto = start(proxies=["192.0.2.0/24", prefix])
    assert len(sotto.log_lines("is believed whom it asks for.*proxy-from")) == 2
    mark = sotto.mark()
    listen = [{**place, "proxy-from": [BALANCER]} for place in sotto.config["listen"]]
    sotto.reload(sotto.config | {"listen": listen})
    assert not sotto.log_lines("is believed whom", after=mark)


def test_private_is_a_prefix_like_others(start, ask):
    sotto = start(proxies=["private"])
    assert_own_raw(ask(sotto, "udp", header(FRIEND), source=STRANGER), "name.test")
    assert not sotto.log_lines("is believed whom")


@needs_namespace
def test_the_reply_goes_to_the_balancer_on_a_socket_for_every_address(
    identity, dot_server, forward
):
    """IPv4 peers have IPv6 addresses there; the reply has no header, and comes from the address
    that was asked."""
    with_namespace = NetNamespace()
    try:
        with_namespace.ip("addr", "add", "192.168.7.1/32", "dev", "lo")
        server = dot_server(make_socket=with_namespace.socket)
        listen = [{"url": "dns://*:0", "proxy-from": ["192.168.7.1", "::1"]}]
        sotto = forward(
            server, listen=listen, clients=CLIENTS, process={"wrap": with_namespace.command}
        )
        for host in ["192.168.7.1", "::1"]:

            def bound(family, kind, host=host):
                sock = with_namespace.socket(family, kind)
                sock.bind((host, 0))
                return sock

            with UdpClient(Address(host, sotto.address.port), bound) as client:
                for source in [FRIEND, FRIEND6]:
                    reply = client.exchange(header(source) + wire.query("name.test"))
                    assert_own_raw(reply, "name.test")
                    assert wire.parse(reply).flags & dns.flags.QR
        assert sotto.count("PROXY headers") == 4
    finally:
        with_namespace.close()
