"""Each listener may have its own clients and limits; what it does not say is as for all.

On loopback every address of 127.0.0.0/8 is ours to ask from.
"""

import contextlib
import ssl
import time

import dns.rcode
import pytest

from lib import dns_wire as wire
from lib.certs import certificate_files
from lib.clients import TcpClient, UdpClient, assert_failed, assert_own_raw, bound_to, tls_context
from lib.faulty_dot import answer, by_name, hold
from lib.net_namespace import NetNamespace
from lib.net_namespace import available as namespaces_available
from lib.timing import scaled, wait_until

FRIEND, STRANGER, NEIGHBOUR = "127.0.0.2", "127.0.0.3", "127.0.0.4"
SCHEMES = {"udp": "dns", "tcp": "dns", "tls": "tls", "https": "https", "http": "http"}


class Client:
    """One client of any transport; DNS over HTTPS by HTTP/1.1."""

    def __init__(self, address, transport, source=FRIEND, authority=None):
        self.transport = transport
        kind = UdpClient if transport == "udp" else TcpClient
        self.client = kind(address, make_socket=bound_to(source))
        if transport in ("tls", "https"):
            context = tls_context(authority, ["http/1.1" if transport == "https" else "dot"])
            self.client.sock = context.wrap_socket(self.client.sock, server_hostname="dot.test")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.sock.close()

    def exchange(self, message: bytes) -> bytes:
        """Empty: the connection was closed, or there was no answer for a moment."""
        try:
            if self.transport.startswith("http"):
                return self._post(message)
            self.client.send(message)
            return self.client.receive(0.3 if self.transport == "udp" else 5)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            return b""

    def _post(self, message: bytes) -> bytes:
        head = (
            "POST /dns-query HTTP/1.1\r\nHost: dot.test\r\n"
            f"Content-Type: application/dns-message\r\nContent-Length: {len(message)}\r\n\r\n"
        )
        self.client.send_octets(head.encode() + message)
        reply = b""
        while b"\r\n\r\n" not in reply:
            if not (octets := self.client.sock.recv(4096)):
                return b""
            reply += octets
        head, _, body = reply.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields[b"content-length"]):
            body += self.client.sock.recv(4096)
        return body

    def is_answered(self, name="name.test") -> bool:
        """Else the client is refused."""
        reply = self.exchange(wire.query(name))
        assert reply, "silence"
        if reply[3] & 15 == dns.rcode.REFUSED:
            assert_failed(wire.parse(reply), dns.rcode.REFUSED)
            return False
        assert_own_raw(reply, name)
        return True

    def is_open(self) -> bool:
        try:
            return bool(self.exchange(wire.query("still-open.test")))
        except OSError:
            return False


@pytest.fixture
def start(dot_server, forward, identity):
    """The program with these listen entries at a scheme, with one worker."""

    def start(scheme, *entries, server=None, tls=None, **options):
        listen = [{"url": f"{scheme}://127.0.0.1:0", **entry} for entry in entries]
        tls = {"certificates": [certificate_files(identity)], **(tls or {})}
        process = {"workers": 1}
        return forward(server or dot_server(), listen=listen, tls=tls, process=process, **options)

    return start


@pytest.fixture
def connect(authority):
    """Clients of the listeners by number, closed at the end of the test."""
    with contextlib.ExitStack() as stack:

        def connect(sotto, number, transport="tcp", source=FRIEND):
            address = sotto.listeners[number][1]
            return stack.enter_context(Client(address, transport, source, authority))

        yield connect


def reload_listen(sotto, number, **changes) -> None:
    """With other keys of one entry; None removes one. The ports stay, since the URLs do."""
    listen = [dict(entry) for entry in sotto.config["listen"]]
    listen[number] = {k: v for k, v in {**listen[number], **changes}.items() if v is not None}
    sotto.reload(sotto.config | {"listen": listen})


# Entries at port 0 are told apart by their address alone.
def at(scheme: str, host: str, **keys) -> dict:
    return {"url": f"{scheme}://{host}:0", **keys}


# Who is answered


@pytest.mark.parametrize("transport", SCHEMES)
def test_each_listener_has_its_own_clients(start, connect, transport):
    """One for friends, one for all, and one that says nothing: as under clients."""
    sotto = start(
        scheme := SCHEMES[transport],
        at(scheme, "127.0.0.1", allow=[FRIEND]),
        at(scheme, "127.0.0.5", allow=["any"]),
        at(scheme, "127.0.0.6"),
        clients={"allow": [NEIGHBOUR]},
    )
    answered = [
        [connect(sotto, number, transport, source).is_answered() for number in range(3)]
        for source in (FRIEND, STRANGER, NEIGHBOUR)
    ]
    assert answered == [[True, True, False], [False, True, False], [False, True, True]]
    assert sotto.count("queries not allowed") == 4


@pytest.mark.parametrize("transport", SCHEMES)
def test_each_listener_refuses_in_its_own_way(start, connect, transport):
    """And who is not allowed may be said elsewhere."""
    sotto = start(
        scheme := SCHEMES[transport],
        at(scheme, "127.0.0.1", refuse="drop"),
        at(scheme, "127.0.0.5", refuse="refused", allow=[NEIGHBOUR]),
        clients={"allow": [FRIEND]},
        tcp={"idle-timeout": "500ms"},
    )
    assert connect(sotto, 0, transport).is_answered()
    assert connect(sotto, 0, transport, STRANGER).exchange(wire.query("dropped.test")) == b""
    assert not connect(sotto, 1, transport).is_answered()
    assert sotto.count("queries not allowed") == 2


@pytest.mark.parametrize("transport", SCHEMES)
def test_a_reload_changes_who_is_answered(start, connect, transport):
    """On connections that are open, too."""
    scheme = SCHEMES[transport]
    sotto = start(
        scheme,
        at(scheme, "127.0.0.1", allow=[FRIEND]),
        at(scheme, "127.0.0.5", allow=[STRANGER]),
        clients={"allow": [NEIGHBOUR]},
    )
    clients = [connect(sotto, number, transport) for number in range(2)]
    assert [client.is_answered() for client in clients] == [True, False]
    reload_listen(sotto, 0, allow=[STRANGER])
    assert [client.is_answered() for client in clients] == [False, False]
    reload_listen(sotto, 1, allow=["any"])
    assert [client.is_answered() for client in clients] == [False, True]
    reload_listen(sotto, 1, allow=None)  # as under clients
    assert [client.is_answered() for client in clients] == [False, False]
    sotto.reload(sotto.config | {"clients": {"allow": [FRIEND]}})
    assert [client.is_answered() for client in clients] == [False, True]


def test_what_a_listener_does_not_say_follows_the_general_rules(start, connect):
    """Its own list, and how others are refused as under clients: also after a reload."""
    sotto = start("dns", {"allow": [FRIEND]})
    assert not connect(sotto, 0, "udp", STRANGER).is_answered()
    sotto.reload(sotto.config | {"clients": {"refuse": "drop"}})
    assert connect(sotto, 0, "udp", STRANGER).exchange(wire.query("dropped.test")) == b""
    assert connect(sotto, 0, "udp").is_answered()


def test_a_listener_that_is_removed_answers_by_its_rules_to_the_end(start, connect, dot_server):
    """What a connection asked before is answered; nobody needs the listener for that."""
    server = dot_server(on_query=by_name(answer, held=hold))
    sotto = start("dns", {"allow": ["any"]}, at("dns", "127.0.0.5"), server=server)
    client = connect(sotto, 0).client
    client.send(wire.query("held.test"))
    server.wait_queries(1)
    sotto.reload(sotto.config | {"listen": sotto.config["listen"][1:]})
    (held,) = server.queries_starting("held")
    held.connection.answer(held)
    assert_own_raw(client.receive(), "held.test")
    assert client.receive() == b""


def test_each_listener_has_its_own_rate(start, connect):
    """Of the same client; a reload changes it."""
    sotto = start("udp", {"rate-limit": 2}, at("udp", "127.0.0.5"), clients={"rate-limit-slip": 0})
    names = [f"name-{number}.test" for number in range(30)]
    answered = []
    for number in range(2):
        client = connect(sotto, number, "udp")
        client.client.send_names(names)
        replies = 0
        with contextlib.suppress(TimeoutError):
            for replies in range(1, len(names) + 1):
                client.client.receive(0.5)
                answered.append(number)
        assert replies >= 10
    assert 10 <= answered.count(0) < len(names) == answered.count(1)
    assert sotto.count("limited and dropped") == len(names) - answered.count(0)
    reload_listen(sotto, 0, **{"rate-limit": 0})
    client = connect(sotto, 0, "udp").client
    client.send_names(names)
    client.receive_own(names)


# Limits


@pytest.mark.parametrize("transport", ["tcp", "tls", "https", "http"])
def test_each_listener_has_its_own_idle_timeout(start, connect, transport):
    """A reload changes it for connections that are open."""
    scheme = SCHEMES[transport]
    sotto = start(
        scheme,
        at(scheme, "127.0.0.1", **{"idle-timeout": "60s"}),
        at(scheme, "127.0.0.5"),
        tcp={"idle-timeout": "500ms", "message-timeout": "500ms"},
    )
    patient, hasty = (connect(sotto, number, transport) for number in range(2))
    assert patient.is_answered() and hasty.is_answered()
    sotto.wait_count("idle clients")
    assert patient.is_answered() and not hasty.is_open()
    time.sleep(0.8)
    assert patient.is_answered()
    assert sotto.count("idle clients") == 1
    reload_listen(sotto, 0, **{"idle-timeout": "200ms"})
    sotto.wait_count("idle clients", 2)
    assert not patient.is_open()


def test_each_listener_has_its_own_message_timeout(start, connect):
    half = wire.framed(wire.query("half.test"))[:10]
    sotto = start("tcp", {"message-timeout": "300ms"}, at("tcp", "127.0.0.5"))
    clients = [connect(sotto, number) for number in range(2)]
    for client in clients:
        client.client.send_octets(half)
    sotto.wait_count("slow clients")
    clients[1].client.send_octets(wire.framed(wire.query("half.test"))[10:])
    assert_own_raw(clients[1].client.receive(), "half.test")
    assert not clients[0].is_open() and sotto.count("slow clients") == 1


def test_each_listener_has_its_own_handshake_timeout(start, authority):
    sotto = start(
        "tls",
        {"handshake-timeout": "60s"},
        at("tls", "127.0.0.5"),
        tls={"handshake-timeout": "300ms"},
    )
    patient, hasty = (TcpClient(sotto.listeners[number][1]) for number in range(2))
    with patient, hasty:
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert hasty.sock.recv(1) == b""
        assert 0.2 < time.monotonic() - started < scaled(3)
        patient.sock = tls_context(authority).wrap_socket(patient.sock, server_hostname="dot.test")
        patient.send(wire.query("name.test"))
        assert_own_raw(patient.receive(), "name.test")


@pytest.mark.parametrize("number", [0, 1])
def test_each_listener_has_its_own_queries_in_flight(start, connect, dot_server, number):
    server = dot_server(on_query=by_name(answer, held=hold))
    sotto = start(
        "tcp", {"max-in-flight": 2}, at("tcp", "127.0.0.5"), server=server, tcp={"max-in-flight": 5}
    )
    allowed = [2, 5][number]
    client = connect(sotto, number).client
    client.send(*(wire.query(f"held-{n}.test", ident=n) for n in range(8)))
    server.wait_queries(allowed)
    assert connect(sotto, number).is_answered("meanwhile.test")
    assert len(server.queries_starting("held")) == allowed
    reload_listen(sotto, number, **{"max-in-flight": 8})
    for query in server.queries_starting("held"):
        query.connection.answer(query)
    wait_until(lambda: len(server.queries_starting("held")) == 8, 5, "the rest is asked")
    for query in server.queries_starting("held")[allowed:]:
        query.connection.answer(query)
    assert set(client.receive_all(8)) == set(range(8))


@pytest.mark.parametrize("number", [0, 1])
def test_http2_is_told_how_many_may_be_in_flight(start, connect, number):
    sotto = start("http", {"max-in-flight": 777}, at("http", "127.0.0.5"))
    client = connect(sotto, number, "http").client
    client.send_octets(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    frame = b""
    while len(frame) < 9 or len(frame) < 9 + int.from_bytes(frame[:3], "big"):
        octets = client.sock.recv(4096)
        assert octets
        frame += octets
    assert frame[3] == 4
    settings = frame[9 : 9 + int.from_bytes(frame[:3], "big")]
    values = {
        int.from_bytes(settings[i : i + 2], "big"): int.from_bytes(settings[i + 2 : i + 6], "big")
        for i in range(0, len(settings), 6)
    }
    assert values[3] == [777, 100][number]


def test_a_full_listener_closes_its_own_longest_idle(start, connect):
    """Others' connections stay, though they have been idle for longer."""
    sotto = start("tcp", {"max-connections": 2}, at("tcp", "127.0.0.5"))
    others = [connect(sotto, 1) for _ in range(3)]
    assert all(client.is_answered() for client in others)
    clients = []
    for number in range(3):
        clients.append(connect(sotto, 0))
        assert clients[-1].is_answered()
        if number == 1:
            assert clients[0].is_answered()  # so that it is not the oldest
    assert sotto.count("evicted clients") == 1
    assert [client.is_open() for client in clients] == [True, False, True]
    assert all(client.is_answered() for client in others)


def test_a_full_listener_with_nobody_idle_refuses(start, connect, dot_server):
    """The other listener has room; the overall limit is still one of both."""
    server = dot_server(on_query=by_name(answer, held=hold))
    sotto = start(
        "tcp",
        {"max-connections": 2},
        at("tcp", "127.0.0.5"),
        server=server,
        timeout=8.0,
        tcp={"max-connections": 3},
    )
    for number in range(2):
        connect(sotto, 0).client.send(wire.query(f"held-{number}.test"))
    server.wait_queries(2)
    assert not connect(sotto, 0).is_open()
    assert sotto.count("refused clients") == 1
    other = connect(sotto, 1)
    assert other.is_answered()
    assert connect(sotto, 1).is_answered()
    assert sotto.count("evicted clients") == 1 and not other.is_open()
    reload_listen(sotto, 0, **{"max-connections": 3})
    assert connect(sotto, 0).is_answered()


# The warning at the start

needs_namespace = pytest.mark.skipif(not namespaces_available(), reason="needs a network namespace")


@needs_namespace
def test_each_listener_is_judged_by_its_own_rules(dot_server, forward, identity, authority):
    """Open is who answers everybody, unless they must show a certificate."""
    namespace = NetNamespace()
    try:
        for host in range(1, 6):
            namespace.ip("addr", "add", f"192.0.2.{host}/32", "dev", "lo")
        listen = [
            {"url": "dns://192.0.2.1:0"},
            {"url": "dns://192.0.2.2:0", "allow": ["any"]},
            {
                "url": "tls://192.0.2.3:0",
                "allow": ["any"],
                "client-ca-file": str(authority.ca_path),
            },
            {"url": "tls://192.0.2.4:0", "allow": ["0.0.0.0/0"]},
            {"url": "udp://192.0.2.5:0", "allow": ["any"], "rate-limit": 20},
        ]
        sotto = forward(
            dot_server(make_socket=namespace.socket),
            listen=listen,
            tls={"certificates": [certificate_files(identity)]},
            process={"wrap": namespace.command},
        )
        said = sotto.log_lines("open resolver")
        assert [f"192.0.2.{host}:" in line for host, line in zip((2, 4, 5), said)] == [True] * 3
        assert len(said) == 3 and all("'allow' of this listen entry" in line for line in said)
        assert ["set 'rate-limit'" in line for line in said] == [True, False, False]
        mark = sotto.mark()
        own = [{"allow": ["private"], **entry} for entry in listen[:1]]
        sotto.reload(sotto.config | {"listen": own, "clients": {"allow": ["any"]}})
        assert not sotto.log_lines("open resolver", after=mark)
    finally:
        namespace.close()
