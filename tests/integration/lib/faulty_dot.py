"""A scriptable DNS-over-TLS server that can do everything wrong.

One thread a connection runs a *script*: a function of a `Connection` that calls blocking verbs
one after the other, so that a fault reads like a story:

    def closes_after_half_a_message(conn):
        conn.handshake()
        query = conn.read_query()
        conn.send_plain(framed(reply_to(query))[:10])
        conn.reset()

    server = FaultyDot(identity, on_connection=closes_after_half_a_message)

Two places take scripts, and both can be replaced at any time while the server runs:

`on_connection(conn)`  the whole connection; the default, `serve`, shakes hands and then calls
`on_query(conn, query)`  for every query; the default, `answer`, gives the answer derived from the
                       name (see dns_wire). `hold` never answers; a test may then do it itself
                       with `query.connection.answer(query)`. `by_name` chooses a script by the
                       name's first label.

When a script returns, the connection is closed properly (close_notify, FIN), unless the script
has ended it in another way. TLS runs over memory buffers, so the ciphertext passes through our
hands: `conn.output` may cut, delay or drop it, and `send_cipher` puts any bytes on the wire. All
sending verbs may be called from any thread. A script that raises fails the test at teardown.

The server records `connections` and `queries`, and its `wait_…` methods block until what they
name has happened.
"""

import ipaddress
import os
import select
import socket
import ssl
import struct
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import dns.message

from . import dns_wire as wire
from . import packet_filter
from .certs import Identity
from .ports import ReservedPort
from .scheduler import Scheduler
from .timing import Deadline, scaled

READ_SIZE = 1 << 16
POLL_PEER_CLOSED = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class ConnectionGone(Exception):
    """The connection can carry no more; ends a script quietly."""


@dataclass
class TlsSettings:
    """How the server speaks TLS."""

    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ciphers: str | None = None
    alpn: tuple = ("dot",)
    tickets: int = 2  # sent after a TLS 1.3 handshake
    session_tickets: bool = True  # False: TLS 1.2 resumes by session id only
    keylog: Path | None = None

    def context(self, identity: Identity) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self.ciphers:
            context.set_ciphers(self.ciphers)
        context.minimum_version, context.maximum_version = self.minimum, self.maximum
        context.load_cert_chain(identity.chain_path, identity.key_path)
        if self.alpn:
            context.set_alpn_protocols(list(self.alpn))
        context.num_tickets = self.tickets
        if not self.session_tickets:
            context.options |= ssl.OP_NO_TICKET
        if self.keylog:
            context.keylog_filename = str(self.keylog)
        context.sni_callback = lambda tls, name, _: setattr(tls, "client_sent_name", name)
        return context


@dataclass
class Query:
    """One query as it arrived; `message` is its parsed form."""

    wire: bytes
    connection: "Connection"
    at: float
    ident: int = 0
    flags: int = 0
    qname: bytes = b""
    rdtype: int = 0
    rdclass: int = 0
    name: str = ""  # lower case, with the final dot

    def __post_init__(self):
        self.ident, self.flags = struct.unpack_from("!HH", self.wire)
        end = wire.skip_name(self.wire, 12)
        self.qname = self.wire[12:end]
        self.rdtype, self.rdclass = struct.unpack_from("!HH", self.wire, end)
        self.name = wire.name_text(self.qname.lower())

    @property
    def message(self) -> dns.message.Message:
        return dns.message.from_wire(self.wire)

    @property
    def options(self) -> dict[int, bytes]:
        """EDNS options by code, as octets."""
        return {option.otype: option.to_wire() for option in self.message.options}

    @property
    def question(self) -> bytes:
        return wire.question(self.qname, self.rdtype, self.rdclass)

    @property
    def has_edns(self) -> bool:
        return self.wire[10:12] != b"\0\0"


def reply_to(
    query: Query,
    *,
    ident: int | None = None,
    flags: int | None = None,
    rcode: int = 0,
    questions=None,
    answer=None,
    authority=(),
    additional=(),
    edns: bool | None = None,
    options=(),
    counts=None,
    ttl: int = wire.DEFAULT_TTL,
) -> bytes:
    """The right reply to a query; every argument replaces one part of it."""
    if flags is None:
        flags = wire.QR | wire.RA | (query.flags & (wire.RD | wire.CD))
    if answer is None:
        rdata = wire.derived_rdata(query.qname, query.rdtype)
        owner = wire.QUESTION_POINTER
        answer = [wire.record(owner, query.rdtype, rdata, ttl, query.rdclass)] if not rcode else []
    if edns is None:
        edns = query.has_edns
    additional = list(additional)
    if edns:
        additional.append(wire.opt_record(options, extended_rcode=rcode >> 4))
    return wire.message(
        query.ident if ident is None else ident,
        flags | (rcode & 15),
        [query.question] if questions is None else questions,
        answer,
        authority,
        additional,
        counts,
    )


# Scripts for queries


def answer(conn: "Connection", query: Query) -> None:
    conn.answer(query)


def hold(conn: "Connection", query: Query) -> None:
    """Never answer; the test may do it later."""


def answering(**changes):
    """Answer with a reply changed as `reply_to` takes it."""
    return lambda conn, query: conn.answer(query, **changes)


def by_name(otherwise=answer, **scripts):
    """Choose the script by the start of the name: `by_name(bad=hold)` holds bad-1.test."""

    def choose(conn, query):
        for prefix, script in scripts.items():
            if query.name.startswith(prefix):
                return script(conn, query)
        return otherwise(conn, query)

    return choose


def answering_from(table: dict[str, list[str]]):
    """Answer with the addresses that the table has for the name; it may change meanwhile."""

    def look_up(conn, query):
        texts = table.get(query.name.rstrip("."))
        if texts is None:
            return conn.answer(query, rcode=wire.NXDOMAIN, authority=[wire.soa_record()])
        version = {wire.A: 4, wire.AAAA: 6}.get(query.rdtype)
        records = [
            wire.record(wire.QUESTION_POINTER, query.rdtype, address.packed)
            for address in map(ipaddress.ip_address, texts)
            if address.version == version
        ]
        conn.answer(query, answer=records, authority=[] if records else [wire.soa_record()])

    return look_up


# Scripts for connections


def serve(conn: "Connection", idle: float | None = None, max_queries: int | None = None) -> None:
    """Shake hands and serve queries until the peer closes or a limit is reached."""
    conn.handshake()
    while max_queries is None or len(conn.queries) < max_queries:
        query = conn.read_query(idle)
        if query is None:
            return
        conn.server.on_query(conn, query)


def serving(**limits):
    return lambda conn: serve(conn, **limits)


def accept_and_freeze(conn: "Connection") -> None:
    """Take the TCP connection and never say anything."""
    conn.wait_peer_closed()


class Connection:
    """One accepted connection: its record, and the verbs of its script."""

    def __init__(self, server: "FaultyDot", sock: socket.socket, number: int):
        self.server = server
        self.sock = sock
        self.number = number
        self.opened_at = time.monotonic()
        self.first_octets = b""  # the first thing the client sent
        self.first_sent = b""  # and the first thing it got
        self.handshaken_at: float | None = None
        self.handshake_error: Exception | None = None
        self.tls_version: str | None = None
        self.cipher: str | None = None
        self.alpn: str | None = None
        self.sni: str | None = None
        self.resumed: bool | None = None
        self.thread: threading.Thread | None = None
        self.queries: list[Query] = []
        self.peer_closed: str | None = None  # close_notify, fin or rst
        self.ended_at: float | None = None
        self.tls: ssl.SSLObject | None = None
        # What becomes of ciphertext: `output(conn, octets)`.
        self.output = lambda conn, octets: conn.send_cipher(octets)
        # Replaces TLS for what we send (see tls_records).
        self.record_writer = None
        # Slow readers: at most so many octets a read, with such a pause before each.
        self.read_size = READ_SIZE
        self.read_pause = 0.0
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._stream = bytearray()
        self._closed = False
        self._lock = threading.RLock()
        self._wakeup = os.eventfd(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # verbs: the beginning

    def handshake(self, identity: Identity | None = None) -> None:
        """Do the TLS handshake as the server's settings say."""
        self.start_tls(identity)
        while True:
            try:
                with self._lock:
                    self.tls.do_handshake()
                    break
            except ssl.SSLWantReadError:
                self._flush()
                if not self._receive():
                    raise ConnectionGone
            except ssl.SSLError as error:
                self.handshake_error = error
                self.server.note_change()
                self._flush()
                raise ConnectionGone from error
        self.tls_version, self.cipher = self.tls.version(), self.tls.cipher()[0]
        self.alpn = self.tls.selected_alpn_protocol()
        self.sni = getattr(self.tls, "client_sent_name", None)
        self.resumed = self.tls.session_reused
        self._flush()
        self.handshaken_at = time.monotonic()
        self.server.note_change()

    def start_tls(self, identity: Identity | None = None) -> None:
        context = self.server.tls_context(identity)
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def first_flight(self) -> bytes:
        """Read the ClientHello and return our whole answer to it, unsent."""
        self.start_tls()
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                if flight := self._outgoing.read():
                    return flight
            if not self._receive():
                raise ConnectionGone

    # verbs: reading

    def read_cipher(self, timeout: float | None = None) -> bytes:
        """Raw octets off the TCP stream; empty at its end."""
        return self._receive_raw(timeout)

    def read_query(self, idle: float | None = None) -> Query | None:
        """The next query; None once the peer has closed or was idle for so long."""
        deadline = Deadline(idle) if idle is not None else None
        while len(self._stream) < 2 or len(self._stream) < 2 + self._frame_length():
            if not self._read_stream(deadline.left() if deadline else None):
                return None
        length = self._frame_length()
        query = Query(bytes(self._stream[2 : 2 + length]), self, time.monotonic())
        del self._stream[: 2 + length]
        self.server.record_query(query)
        return query

    def wait_peer_closed(self, seconds: float | None = None) -> bool:
        """Wait, without reading, until the peer has closed; False when time is up."""
        closed = self._wait(POLL_PEER_CLOSED, seconds)
        if closed:
            self._note_peer_closed("fin or rst")
        return closed

    # verbs: sending, in order of depth

    def answer(self, query: Query, **changes) -> None:
        self.send_message(reply_to(query, **changes))

    def answer_if_open(self, query: Query, **changes) -> None:
        """For tests that answer late, when the client may have given up the connection."""
        try:
            self.answer(query, **changes)
        except ConnectionGone:
            pass

    def send_message(self, message: bytes) -> None:
        self.send_plain(wire.framed(message))

    def send_together(self, messages) -> None:
        """Several messages in as few records as they fit."""
        self.send_plain(b"".join(wire.framed(message) for message in messages))

    def send_plain(self, octets: bytes) -> None:
        """Any octets on the stream inside TLS."""
        with self._lock:
            if self._closed:
                raise ConnectionGone
            if self.record_writer:
                self.record_writer.write(octets)
                return
            self.tls.write(octets)
            self._flush()

    def send_cipher(self, octets: bytes) -> None:
        """Any octets on the TCP stream."""
        with self._lock:
            if self._closed:
                raise ConnectionGone
            self.first_sent = self.first_sent or octets
            try:
                self.sock.sendall(octets)
            except OSError as error:
                self._note_peer_closed("rst")
                raise ConnectionGone from error

    def later(self, seconds: float, action, *arguments, **named) -> None:
        """Do it after a while, unless the connection has gone by then."""

        def act():
            try:
                action(*arguments, **named)
            except ConnectionGone:
                pass

        self.server.scheduler.call_later(seconds, act)

    # verbs: the end

    def close_notify(self) -> None:
        """Say in TLS that nothing more will come."""
        with self._lock:
            try:
                self.tls.unwrap()
            except ssl.SSLError:
                pass
            self._flush()

    def fin(self) -> None:
        """Close the TCP stream; octets the client still sends are read away first."""
        with self._lock:
            if self._closed:
                return
            try:
                self.sock.shutdown(socket.SHUT_WR)
                # Unread octets would turn the close into a reset.
                self.sock.setblocking(False)
                while self.sock.recv(READ_SIZE):
                    pass
            except OSError:
                pass
            self._close_socket()

    def close(self) -> None:
        """The proper end: close_notify, then FIN."""
        if self._closed:
            return
        if self.tls and self.handshaken_at and not self.record_writer:
            try:
                self.close_notify()
            except ConnectionGone:
                pass
        self.fin()

    def reset(self) -> None:
        """End with a TCP RST."""
        with self._lock:
            if not self._closed:
                linger = struct.pack("ii", 1, 0)
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self._close_socket()

    def black_hole(self) -> None:
        """From now on the path is dead: what the client sends is never even acknowledged."""
        packet_filter.drop_everything(self.sock)

    # machinery

    def run(self, script) -> None:
        try:
            script(self)
        except (ConnectionGone, OSError, ssl.SSLError):
            pass
        except Exception:
            self.server.script_errors.append(traceback.format_exc())
        finally:
            self.close()

    def wake(self) -> None:
        """Make blocking verbs return, for the server's stop."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        os.eventfd_write(self._wakeup, 1)

    def release(self) -> None:
        self.thread.join()
        os.close(self._wakeup)

    def _close_socket(self) -> None:
        self._closed = True
        # A thread in poll() keeps the file open: only once it is awake does the close go out.
        os.eventfd_write(self._wakeup, 1)
        self.sock.close()
        self.ended_at = time.monotonic()
        self.server.note_change()

    def _wait(self, events: int, seconds: float | None) -> bool:
        """Wait for the socket; False when time is up or the connection was ended by us."""
        poll = select.poll()
        try:
            poll.register(self.sock, events)
        except (OSError, ValueError):
            return False
        poll.register(self._wakeup, select.POLLIN)
        ready = dict(poll.poll(None if seconds is None else seconds * 1000))
        return bool(ready) and self._wakeup not in ready

    def _frame_length(self) -> int:
        return int.from_bytes(self._stream[:2], "big")

    def _read_stream(self, timeout: float | None) -> bool:
        """More of the stream inside TLS; False at its end or when time is up."""
        while True:
            try:
                with self._lock:
                    octets = self.tls.read(READ_SIZE)
                if not octets:
                    self._note_peer_closed("close_notify")
                self._stream += octets
                return bool(octets)
            except ssl.SSLWantReadError:
                self._flush()
                if not self._receive(timeout):
                    return False

    def _receive(self, timeout: float | None = None) -> bool:
        """Move octets from the socket to TLS; False at the end of the stream."""
        octets = self._receive_raw(timeout)
        if octets:
            with self._lock:
                self._incoming.write(octets)
        return bool(octets)

    def _receive_raw(self, timeout: float | None) -> bytes:
        if self.read_pause and self.server.stopping.wait(self.read_pause):
            return b""
        if not self._wait(select.POLLIN, timeout):
            return b""
        try:
            octets = self.sock.recv(self.read_size)
        except ConnectionResetError:
            self._note_peer_closed("rst")
            return b""
        except OSError:
            return b""
        if not octets:
            self._note_peer_closed("fin")
        if not self.first_octets:
            self.first_octets = octets
        return octets

    def _note_peer_closed(self, how: str) -> None:
        if not self._closed and not self.peer_closed:
            self.peer_closed = how
            self.server.note_change()

    def _flush(self) -> None:
        with self._lock:
            if octets := self._outgoing.read():
                self.output(self, octets)


def in_pieces(size: int, pause: float = 0.0):
    """An `output` that sends ciphertext `size` octets at a time, each its own segment."""

    def send(conn, octets):
        for start in range(0, len(octets), size):
            if pause and conn.server.stopping.wait(pause):
                raise ConnectionGone
            conn.send_cipher(octets[start : start + size])

    return send


class FaultyDot:
    """The server; see the head of this module."""

    def __init__(
        self,
        identity: Identity,
        *,
        on_query=answer,
        on_connection=serve,
        address: str = "127.0.0.1",
        name: str | None = "dot.test",
        tls: TlsSettings | None = None,
        fresh_keys: bool = False,
        receive_buffer: int | None = None,
        make_socket=socket.socket,
        listening: bool = True,
        port: int = 0,
    ):
        """`name` is what the URL asks to verify; `fresh_keys` refuses every old ticket.

        `port` is left to the kernel, but in a network namespace of one's own.
        """
        self.identity = identity
        self.on_query = on_query
        self.on_connection = on_connection
        self.address = address
        self.name = name
        self.tls = tls or TlsSettings()
        self.fresh_keys = fresh_keys
        self.receive_buffer = receive_buffer
        self.connections: list[Connection] = []
        self.queries: list[Query] = []
        self.script_errors: list[str] = []
        self.stopping = threading.Event()
        self.scheduler = Scheduler()
        self.max_open = 0
        self._contexts: dict[Identity, ssl.SSLContext] = {}
        self._changed = threading.Condition()
        self._port = ReservedPort(address, make_socket, port)
        self.listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        if listening:
            self.come_back()

    # address

    @property
    def port(self) -> int:
        return self._port.number

    @property
    def host_port(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"tls://{self.host_port}" + (f"#{self.name}" if self.name else "")

    # life

    def come_back(self) -> None:
        """Listen (again, on the same port)."""
        self.listener = self._port.listening_socket()
        if self.receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        self._acceptor = threading.Thread(target=self._accept, args=(self.listener,), daemon=True)
        self._acceptor.start()

    def go_down(self, end=Connection.reset) -> None:
        """Refuse new connections and end all that exist."""
        if self.listener:
            # shutdown() wakes accept(); close() alone would leave it listening.
            self.listener.shutdown(socket.SHUT_RDWR)
            self._acceptor.join()
            self.listener.close()
            self.listener = None
        for conn in self.open_connections():
            end(conn)

    def stop(self) -> None:
        self.stopping.set()
        self.go_down(Connection.wake)
        self.scheduler.stop()
        for conn in self.connections:
            conn.release()
        self._port.release()

    def new_identity(self, identity: Identity) -> None:
        """Show another certificate from the next connection on."""
        self.identity = identity

    def rotate_ticket_keys(self) -> None:
        """Tickets given out so far become worthless."""
        self._contexts.clear()

    def tls_context(self, identity: Identity | None = None) -> ssl.SSLContext:
        identity = identity or self.identity
        if self.fresh_keys or identity not in self._contexts:
            self._contexts[identity] = self.tls.context(identity)
        return self._contexts[identity]

    # what happened

    def open_connections(self) -> list[Connection]:
        return [conn for conn in list(self.connections) if conn.ended_at is None]

    def handshaken(self) -> list[Connection]:
        return [conn for conn in list(self.connections) if conn.handshaken_at]

    def queries_for(self, name: str) -> list[Query]:
        return [query for query in list(self.queries) if query.name == name.lower()]

    def queries_starting(self, prefix: str) -> list[Query]:
        return [query for query in list(self.queries) if query.name.startswith(prefix)]

    def wait_for(self, condition, what: str, seconds: float = 5.0):
        """Block until `condition()` is true and return what it gave."""
        with self._changed:
            assert self._changed.wait_for(condition, scaled(seconds)), (
                f"not within {seconds} s: {what}; the server saw {len(self.connections)} "
                f"connections and {len(self.queries)} queries"
            )
            return condition()

    def wait_connections(self, count: int, seconds: float = 5.0) -> list[Connection]:
        self.wait_for(lambda: len(self.connections) >= count, f"{count} connections", seconds)
        return self.connections

    def wait_handshakes(self, count: int, seconds: float = 5.0) -> list[Connection]:
        return self.wait_for(
            lambda: len(self.handshaken()) >= count and self.handshaken(),
            f"{count} handshakes",
            seconds,
        )

    def wait_queries(self, count: int, seconds: float = 5.0) -> list[Query]:
        self.wait_for(lambda: len(self.queries) >= count, f"{count} queries", seconds)
        return self.queries

    def wait_closed(self, conn: Connection, seconds: float = 5.0) -> str | None:
        """Block until either side has closed; return how the peer did, if it did."""
        self.wait_for(lambda: conn.ended_at or conn.peer_closed, "connection closed", seconds)
        return conn.peer_closed

    def wait_any_closed(self, seconds: float = 5.0) -> None:
        """Block until some connection that carried queries has ended."""
        self.wait_for(
            lambda: any(
                conn.queries and (conn.ended_at or conn.peer_closed) for conn in self.connections
            ),
            "a connection closed",
            seconds,
        )

    def note_change(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def record_query(self, query: Query) -> None:
        with self._changed:
            query.connection.queries.append(query)
            self.queries.append(query)
            self._changed.notify_all()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            conn = Connection(self, sock, len(self.connections))
            # The script is looked up now: replacing it counts from the next connection.
            conn.thread = threading.Thread(target=conn.run, args=(self.on_connection,), daemon=True)
            with self._changed:
                self.connections.append(conn)
                self.max_open = max(self.max_open, len(self.open_connections()))
                self._changed.notify_all()
            conn.thread.start()
