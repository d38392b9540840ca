"""How the tests ask, and how they judge what comes back.

`ask()` is the everyday client (dnspython). `UdpClient`, `TcpClient` and `TlsClient` send and
receive raw bytes, malformed ones too. `ask_many()` keeps many UDP queries in flight. `Bystanders` ask all the
time in the background and insist on being answered. `dig()` and `kdig()` run the real tools.

Judges: `assert_own_answer` (the answer derived from the name, and nothing else) and
`assert_failed` (the code and the reason of RFC 8914).
"""

import select
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from . import dns_wire as wire
from .timing import Deadline, scaled

# What a query may take at most with the program's default settings, and some air.
PATIENCE = 8.0


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    @property
    def family(self) -> int:
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def __iter__(self):
        return iter((self.host, self.port))


def ask(
    server: Address, name: str, rdtype="A", tcp=False, timeout=PATIENCE, sock=None, **options
) -> dns.message.Message:
    """One query, one answer. `options` go to dnspython's make_query; EDNS is on unless said."""
    options = {"use_edns": 0, "payload": 1232, **options}
    query = dns.message.make_query(name, rdtype, **options)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, server.host, scaled(timeout), server.port, sock=sock)


# Judges


def own_rdata(name: str, rdtype: int) -> bytes:
    return wire.derived_rdata(wire.name_wire(name), rdtype)


def assert_own_answer(reply: dns.message.Message, name: str, rdtype="A") -> None:
    """The reply holds exactly the data derived from the name, and answers this question."""
    rdtype = dns.rdatatype.from_text(rdtype)
    assert reply.rcode() == dns.rcode.NOERROR, describe(reply)
    assert len(reply.question) == 1 and reply.question[0].name.to_text() == absolute(name)
    assert len(reply.answer) == 1, describe(reply)
    rrset = reply.answer[0]
    assert rrset.name.to_text() == absolute(name) and rrset.rdtype == rdtype, describe(reply)
    assert [rdata.to_wire() for rdata in rrset] == [own_rdata(name, rdtype)], describe(reply)


def assert_own_raw(reply: bytes, name: str, rdtype: int = wire.A) -> None:
    """The same of a raw message, quickly."""
    qname = wire.name_wire(name)
    end = 12 + len(qname) + 4
    assert reply[3] & 15 == 0 and reply[12:end] == wire.question(qname, rdtype), reply
    rdata = wire.derived_rdata(qname, rdtype)
    assert reply[6:8] == b"\0\1" and reply[end + 12 : end + 12 + len(rdata)] == rdata, reply


def ident_of(message: bytes) -> int:
    return int.from_bytes(message[:2], "big")


def assert_failed(reply: dns.message.Message, rcode=dns.rcode.SERVFAIL, reason=None) -> None:
    """The reply is a failure, and says why (when the query had EDNS)."""
    assert reply.rcode() == rcode, describe(reply)
    assert not reply.answer, describe(reply)
    if reply.edns >= 0:
        errors = extended_errors(reply)
        assert errors, f"no extended error in {describe(reply)}"
        if reason:
            assert reason.lower() in " ".join(text or "" for _, text in errors).lower(), errors


def extended_errors(reply: dns.message.Message) -> list[tuple[int, str]]:
    return [
        (int(option.code), option.text)
        for option in reply.options
        if isinstance(option, dns.edns.EDEOption)
    ]


def absolute(name: str) -> str:
    return name.rstrip(".") + "."


def describe(reply: dns.message.Message) -> str:
    return f"\n{reply}\nextended errors: {extended_errors(reply)}"


# Raw clients


def bound_to(host: str):
    """For `make_socket`: clients of that address, such as one of 127.0.0.0/8 or a namespace's."""

    def make(family, kind):
        sock = socket.socket(family, kind)
        sock.bind((host, 0))
        return sock

    return make


class UdpClient:
    """A UDP socket, connected to the server, for raw datagrams."""

    def __init__(self, server: Address, make_socket=socket.socket):
        self.sock = make_socket(server.family, socket.SOCK_DGRAM)
        # Hundreds of replies may arrive before the test reads the first.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.sock.connect(tuple(server))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, datagram: bytes) -> None:
        self.sock.send(datagram)

    def receive(self, timeout: float = PATIENCE) -> bytes:
        self.sock.settimeout(scaled(timeout))
        return self.sock.recv(65535)

    def exchange(self, datagram: bytes, timeout: float = PATIENCE) -> bytes:
        self.send(datagram)
        return self.receive(timeout)

    def send_names(self, names) -> None:
        """A query for each name, its number as the ID."""
        for ident, name in enumerate(names):
            self.send(wire.query(name, ident=ident))

    def receive_own(self, names) -> None:
        """The replies to `send_names`, in any order, each with the data of its own name."""
        for _ in names:
            reply = self.receive()
            assert_own_raw(reply, names[ident_of(reply)])


class TcpClient:
    """A TCP connection to the server: pipelined messages, or any octets at all."""

    def __init__(
        self, server: Address, receive_buffer: int | None = None, make_socket=socket.socket
    ):
        self.sock = make_socket(server.family, socket.SOCK_STREAM)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(scaled(PATIENCE))
        self.sock.connect(tuple(server))
        self._stream = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send_octets(self, octets: bytes) -> None:
        self.sock.sendall(octets)

    def send(self, *messages: bytes) -> None:
        self.sock.sendall(b"".join(map(wire.framed, messages)))

    def receive(self, timeout: float = PATIENCE) -> bytes:
        """The next message; empty when the server has closed."""
        deadline = Deadline(scaled(timeout))
        while True:
            if len(self._stream) >= 2:
                end = 2 + int.from_bytes(self._stream[:2], "big")
                if len(self._stream) >= end:
                    message = bytes(self._stream[2:end])
                    del self._stream[:end]
                    return message
            self.sock.settimeout(max(deadline.left(), 0.001))
            octets = self.sock.recv(1 << 16)
            if not octets:
                return b""
            self._stream += octets

    def receive_all(self, count: int, timeout: float = PATIENCE) -> dict[int, bytes]:
        """So many messages, by their ID."""
        messages = [self.receive(timeout) for _ in range(count)]
        return {ident_of(message): message for message in messages}


class TlsClient(TcpClient):
    """The same inside TLS. `authority` is whom it trusts; `context` replaces its usual settings."""

    def __init__(
        self,
        server: Address,
        authority=None,
        name: str | None = "dot.test",
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ):
        super().__init__(server)
        context = context or tls_context(authority)
        self.sock = context.wrap_socket(self.sock, server_hostname=name, session=session)

    def close(self) -> None:
        """As TLS wants it: close_notify first."""
        try:
            self.sock.unwrap().close()
        except OSError:
            self.sock.close()


def tls_context(authority=None, alpn=("dot",)) -> ssl.SSLContext:
    """Trusts the authority; without one, everybody."""
    context = ssl.create_default_context(cafile=authority and str(authority.ca_path))
    context.set_alpn_protocols(list(alpn))
    if not authority:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


# Many at once


@dataclass
class Tally:
    """What became of many queries."""

    right: int = 0
    failed: int = 0  # an error code, honestly given
    wrong: int = 0  # data that belongs to another name
    lost: int = 0  # no reply at all
    seconds: float = 0.0
    worst_latency: float = 0.0


def ask_many(
    server: Address, names, rdtype: int = wire.A, window: int = 100, patience: float = PATIENCE
) -> Tally:
    """Resolve all names over UDP with `window` queries in flight; judge each answer by its name.

    Nothing is sent twice: a query without a reply within the patience counts as lost.
    """
    tally = Tally()
    names = iter(names)
    in_flight: dict[int, tuple[str, float]] = {}
    idents = iter(range(1 << 62))
    patience = scaled(patience)
    with UdpClient(server) as client:
        sock = client.sock
        sock.setblocking(False)
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        started = time.monotonic()
        more = True
        while more or in_flight:
            while more and len(in_flight) < window:
                name = next(names, None)
                if name is None:
                    more = False
                    break
                ident = next(idents) & 0xFFFF
                if ident in in_flight:
                    continue
                in_flight[ident] = (name, time.monotonic())
                sock.send(wire.query(name, rdtype, ident))
            if in_flight and not poll.poll(100):
                now = time.monotonic()
                overdue = [i for i, (_, sent) in in_flight.items() if now - sent > patience]
                for ident in overdue:
                    del in_flight[ident]
                tally.lost += len(overdue)
                continue
            try:
                while in_flight:
                    _judge(sock.recv(65535), rdtype, in_flight, tally)
            except BlockingIOError:
                pass
        tally.seconds = time.monotonic() - started
    return tally


def _judge(reply: bytes, rdtype: int, in_flight, tally: Tally) -> None:
    name, sent = in_flight.pop(ident_of(reply), (None, 0.0))
    if name is None:
        tally.wrong += 1
        return
    tally.worst_latency = max(tally.worst_latency, time.monotonic() - sent)
    if reply[3] & 15:
        tally.failed += 1
        return
    try:
        assert_own_raw(reply, name, rdtype)
        tally.right += 1
    except AssertionError:
        tally.wrong += 1


class Bystanders:
    """Other clients, who must not notice what is going on.

    While the `with` block runs, they ask for a new name (`<label>-<n>.test`) every `interval`
    seconds; at its end every one of them must have had its own answer, the slowest within
    `within` seconds.
    """

    def __init__(self, server: Address, label="bystander", interval=0.02, within=1.0):
        self.server = server
        self.label = label
        self.interval = interval
        self.within = within
        self.asked = 0
        self.problems: list[str] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self._done.set()
        self._thread.join()
        if kind is None:
            assert self.asked, "the bystanders had no time to ask"
            assert not self.problems, f"{len(self.problems)} of {self.asked}: {self.problems[:5]}"

    def _work(self) -> None:
        while True:
            self._ask_one(f"{self.label}-{self.asked}.test")
            self.asked += 1
            if self._done.wait(self.interval):
                return

    def _ask_one(self, name: str) -> None:
        started = time.monotonic()
        try:
            assert_own_answer(ask(self.server, name), name)
        except Exception as error:
            self.problems.append(f"{name}: {error!r}")
            return
        took = time.monotonic() - started
        if took > scaled(self.within):
            self.problems.append(f"{name} took {took:.2f} s")


# The real tools


def dig(server: Address, *arguments: str) -> str:
    return _run(["dig", f"@{server.host}", "-p", str(server.port), "+tries=1", *arguments])


def kdig(server: Address, *arguments: str) -> str:
    return _run(["kdig", f"@{server.host}", "-p", str(server.port), "+retry=0", *arguments])


def _run(command) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=scaled(30))
    return done.stdout + done.stderr
