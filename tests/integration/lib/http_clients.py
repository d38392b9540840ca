"""Clients of DNS over HTTPS (RFC 8484), raw enough to do everything wrong.

`post()` and `get()` make the requests that carry a DNS message, `Request` any other. `Http1Client`
and `Http2Client` send them, or any octets or frames at all, over TLS or in the clear;
`connect(sotto, way)` chooses by one of WAYS. What comes back is a `Response`, or None where there
is none: the stream was reset, or the connection was closed.

Judges: `assert_answer` (a response with a DNS message, as RFC 8484 wants it) and `assert_refusal`
(a status, and some words for who tries it out).

HTTP/2 is written by hand but for the compression of fields, since libraries refuse to send what
most tests are about.
"""

import base64
import socket
import ssl
from dataclasses import dataclass, field

import hpack

from .clients import PATIENCE, Address, assert_own_raw, tls_context
from .timing import Deadline, scaled

PATH = "/dns-query"
MEDIA_TYPE = "application/dns-message"
CONTENT_TYPE = ("content-type", MEDIA_TYPE)
HOST = "dot.test"


# Requests and responses


@dataclass
class Request:
    method: str = "POST"
    target: str = PATH
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


@dataclass
class Response:
    status: int
    fields: list[tuple[str, str]]
    body: bytes = b""

    def field(self, name: str) -> str | None:
        values = [value for found, value in self.fields if found == name]
        assert len(values) <= 1, f"{name} more than once: {self}"
        return values[0] if values else None


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def post(message: bytes, *fields: tuple[str, str], target: str = PATH) -> Request:
    return Request("POST", target, [CONTENT_TYPE, *fields], message)


def get(message: bytes, *fields: tuple[str, str], path: str = PATH) -> Request:
    return Request("GET", f"{path}?dns={base64url(message)}", list(fields))


METHODS = {"GET": get, "POST": post}


# Judges


def assert_answer(response: Response | None, max_age: int | None = None) -> bytes:
    """A response with a DNS message, which is returned."""
    assert response is not None, "no response"
    assert response.status == 200, response
    assert response.field("content-type") == MEDIA_TYPE, response
    assert response.field("content-length") == str(len(response.body)), response
    cache_control = response.field("cache-control")
    assert cache_control and cache_control.startswith("max-age="), response
    if max_age is not None:
        assert cache_control == f"max-age={max_age}", response
    return response.body


def assert_own_response(response: Response | None, name: str, ident: int = 0x1234) -> None:
    """The answer that is derived from the name, to the query of this ID."""
    message = assert_answer(response)
    assert int.from_bytes(message[:2], "big") == ident
    assert_own_raw(message, name)


def assert_refusal(response: Response | None, *statuses: int, body: bool = True) -> None:
    """One of these, with words."""
    assert response is not None, "no response"
    assert response.status in statuses, response
    assert response.field("content-type").startswith("text/plain"), response
    assert response.field("cache-control") is None, response
    if body:
        assert response.field("content-length") == str(len(response.body)), response
        assert 10 < len(response.body) < 512 and response.body.endswith(b"\n"), response
    if response.status == 405:
        assert response.field("allow") == "GET, POST"


# Connections


class _Connection:
    """A TCP connection, perhaps with a PROXY header first, perhaps with TLS inside."""

    alpn: tuple[str, ...] = ()

    def __init__(
        self,
        server: Address,
        context: ssl.SSLContext | None = None,
        *,
        name: str | None = HOST,
        first: bytes = b"",
        receive_buffer: int | None = None,
        make_socket=socket.socket,
    ):
        """`context`: over TLS. `first`: octets in the clear before all else."""
        self.server = server
        self.encrypted = context is not None
        self.sock = make_socket(server.family, socket.SOCK_STREAM)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(scaled(PATIENCE))
        self.sock.connect(tuple(server))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if first:
            self.sock.sendall(first)
        if context:
            self.sock = context.wrap_socket(self.sock, server_hostname=name)
        self.ended = False
        self._stream = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send_octets(self, octets: bytes) -> None:
        self.sock.settimeout(scaled(PATIENCE))
        self.sock.sendall(octets)

    def send_until_closed(self, octets: bytes, times: int = 1) -> bool:
        """Send as often, or until the server has had enough, which is said by True."""
        try:
            for _ in range(times):
                self.send_octets(octets)
        except (ConnectionError, ssl.SSLError):
            return True
        return False

    def reset(self) -> None:
        """End with a TCP RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def _read(self, deadline: Deadline) -> bool:
        """More of the stream; False at its end."""
        if self.ended:
            return False
        self.sock.settimeout(max(deadline.left(), 0.001))
        try:
            octets = self.sock.recv(1 << 16)
        except TimeoutError:
            raise
        except (ConnectionError, ssl.SSLError):
            octets = b""
        self.ended = not octets
        self._stream += octets
        return not self.ended


# HTTP/1.1


class Http1Client(_Connection):
    alpn = ("http/1.1",)

    def send(self, request: Request) -> None:
        self.send_octets(http1_octets(request))

    def exchange(self, request: Request, timeout: float = PATIENCE) -> Response | None:
        self.send(request)
        return self.receive(timeout, has_body=request.method != "HEAD")

    def receive(self, timeout: float = PATIENCE, has_body: bool = True) -> Response | None:
        """The next response; None once the server has closed."""
        deadline = Deadline(scaled(timeout))
        while (end := self._stream.find(b"\r\n\r\n")) < 0:
            if not self._read(deadline):
                assert not self._stream, f"half a response: {bytes(self._stream)}"
                return None
        version, status, *_ = self._stream[:end].split(b"\r\n")[0].split(b" ")
        assert version == b"HTTP/1.1" and len(status) == 3, bytes(self._stream)
        fields = []
        for line in self._stream[:end].decode("ascii").split("\r\n")[1:]:
            name, colon, value = line.partition(": ")
            assert colon, line
            fields.append((name.lower(), value))
        del self._stream[: end + 4]
        response = Response(int(status), fields)
        size = int(response.field("content-length") or 0)
        if has_body and response.status >= 200:
            assert response.field("transfer-encoding") is None
            while len(self._stream) < size:
                assert self._read(deadline), f"half a body: {response} {bytes(self._stream)}"
            response.body = bytes(self._stream[:size])
            del self._stream[:size]
        return response

    def is_closed(self, timeout: float = PATIENCE) -> bool:
        """Wait for the end; nothing may come before it."""
        return self.receive(timeout) is None


def http1_octets(request: Request, version: str = "HTTP/1.1") -> bytes:
    lines = [f"{request.method} {request.target} {version}"]
    names = {name.lower() for name, _ in request.fields}
    if "host" not in names:
        lines.append(f"Host: {HOST}")
    lines += [f"{name}: {value}" for name, value in request.fields]
    if not names & {"content-length", "transfer-encoding"}:
        if request.body or request.method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body


# HTTP/2 (RFC 9113)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITIZED = 0x4, 0x8, 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 1, 2, 3, 4
MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 5, 6

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM = 4, 5, 6, 7
CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = 8, 9, 10, 11

DEFAULT_WINDOW, DEFAULT_FRAME = 65535, 16384
WINDOW_MAX = (1 << 31) - 1


def frame(
    kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None
) -> bytes:
    """Any frame at all; `length` may lie."""
    length = len(payload) if length is None else length
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def settings_frame(settings: dict[int, int]) -> bytes:
    pairs = [key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in settings.items()]
    return frame(SETTINGS, payload=b"".join(pairs))


def window_update(stream: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def reset_frame(stream: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


class _Stream:
    def __init__(self, window: int):
        self.block = b""
        self.fields: list[tuple[str, str]] | None = None
        self.body = bytearray()
        self.ended = False
        self.reset: int | None = None  # the code
        self.window = window  # what we may still send


class Http2Client(_Connection):
    """`reads=False`: it never opens a window again, nor answers PING and SETTINGS.

    `wide`: its windows are open as wide as can be from the beginning, and never opened again.
    """

    alpn = ("h2",)

    def __init__(
        self,
        server: Address,
        context: ssl.SSLContext | None = None,
        *,
        settings: dict[int, int] | None = None,
        start: bool = True,
        reads: bool = True,
        wide: bool = False,
        **options,
    ):
        super().__init__(server, context, **options)
        self.reads = reads
        self.wide = wide
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.streams: dict[int, _Stream] = {}
        self.settings: dict[int, int] | None = None  # the server's
        self.settings_acknowledged = 0
        self.pongs: list[bytes] = []
        self.goaway: tuple[int, int] | None = None  # last stream, code
        self.window = DEFAULT_WINDOW
        self.next_stream = 1
        if start:
            settings = {INITIAL_WINDOW_SIZE: WINDOW_MAX} if wide else settings or {}
            self.send_octets(PREFACE + settings_frame(settings))
        if wide:
            self.send_octets(window_update(0, WINDOW_MAX - DEFAULT_WINDOW))

    # sending

    def head(
        self, request: Request, stream: int, end: bool = False, indexed: bool = False
    ) -> bytes:
        """The frame with the fields of a request. They can be repeated, unless `indexed`."""
        scheme = "https" if self.encrypted else "http"
        fields = [
            (":method", request.method),
            (":scheme", scheme),
            (":authority", HOST),
            (":path", request.target),
            *request.fields,
        ]
        flags = END_HEADERS | (END_STREAM if end else 0)
        return frame(HEADERS, flags, stream, self.block(fields, indexed))

    def block(self, fields, indexed: bool = False) -> bytes:
        return self.encoder.encode([(name, value, not indexed) for name, value in fields])

    def open(self, count: int = 1) -> int:
        """A number for a new stream."""
        stream = self.next_stream
        self.next_stream += 2 * count
        return stream

    def octets(self, request: Request, stream: int | None = None, end: bool = True) -> bytes:
        """A request that fits into the windows, as octets."""
        stream = stream or self.open()
        octets = self.head(request, stream, end and not request.body)
        pieces = range(0, len(request.body), DEFAULT_FRAME)
        for at in pieces:
            piece = request.body[at : at + DEFAULT_FRAME]
            last = end and at == pieces[-1]
            octets += frame(DATA, END_STREAM if last else 0, stream, piece)
        return octets

    def send(self, request: Request) -> int:
        """A request as the server's windows allow; return its stream."""
        stream = self.open()
        self.send_octets(self.head(request, stream, not request.body))
        self.send_body(stream, request.body)
        return stream

    def send_body(self, stream: int, body: bytes, end: bool = True) -> None:
        """Until all is sent, or the response is there before."""
        deadline = Deadline(scaled(PATIENCE))
        at = 0
        while at < len(body):
            state = self._stream_of(stream)
            room = min(self.window, state.window, DEFAULT_FRAME, len(body) - at)
            if room <= 0:
                if state.ended or state.reset is not None or not self._pump(deadline):
                    return
                continue
            last = end and at + room == len(body)
            try:
                self.send_octets(
                    frame(DATA, END_STREAM if last else 0, stream, body[at : at + room])
                )
            except (ConnectionError, ssl.SSLError):
                return
            self.window -= room
            state.window -= room
            at += room

    # receiving

    def exchange(self, request: Request, timeout: float = PATIENCE) -> Response | None:
        return self.receive(self.send(request), timeout)

    def receive(self, stream: int, timeout: float = PATIENCE) -> Response | None:
        """The response on this stream; None if it was reset, or the connection closed."""
        deadline = Deadline(scaled(timeout))
        state = self._stream_of(stream)
        while not state.ended and state.reset is None:
            if not self._pump(deadline):
                return None
        if not state.ended:
            return None
        status, *fields = state.fields
        assert status[0] == ":status" and not any(name.startswith(":") for name, _ in fields)
        return Response(int(status[1]), fields, bytes(state.body))

    def receive_all(self, streams, timeout: float = PATIENCE) -> list[Response | None]:
        return [self.receive(stream, timeout) for stream in streams]

    def reset_code(self, stream: int, timeout: float = PATIENCE) -> int | None:
        """Why the stream was reset; None if it was not."""
        self.receive(stream, timeout)
        return self._stream_of(stream).reset

    def ping(self, payload: bytes = b"are you?") -> None:
        """Wait until the server has read all that was sent before."""
        deadline = Deadline(scaled(PATIENCE))
        self.send_octets(frame(PING, payload=payload))
        while payload not in self.pongs:
            assert self._pump(deadline), f"closed, with {self.goaway}"
        self.pongs.remove(payload)

    def wait_settings(self) -> dict[int, int]:
        deadline = Deadline(scaled(PATIENCE))
        while self.settings is None:
            assert self._pump(deadline), "closed before its settings came"
        return self.settings

    def wait_goaway(self, timeout: float = PATIENCE) -> int:
        """Its code."""
        deadline = Deadline(scaled(timeout))
        while self.goaway is None:
            assert self._pump(deadline), "closed without GOAWAY"
        return self.goaway[1]

    def is_closed(self, timeout: float = PATIENCE) -> bool:
        """Wait for the end, whatever comes before it."""
        deadline = Deadline(scaled(timeout))
        while self._pump(deadline):
            pass
        return True

    def _stream_of(self, stream: int) -> _Stream:
        if stream not in self.streams:
            settings = self.settings or {}
            window = settings.get(INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)
            self.streams[stream] = _Stream(window)
        return self.streams[stream]

    def _pump(self, deadline: Deadline) -> bool:
        """Take in one frame; False once the server has closed."""
        while True:
            if len(self._stream) >= 9:
                size = int.from_bytes(self._stream[:3], "big")
                assert size <= DEFAULT_FRAME, f"a frame of {size} octets"
                if len(self._stream) >= 9 + size:
                    break
            if not self._read(deadline):
                return False
        kind, flags = self._stream[3:5]
        stream = int.from_bytes(self._stream[5:9], "big")
        payload = bytes(self._stream[9 : 9 + size])
        del self._stream[: 9 + size]
        self._take(kind, flags, stream, payload)
        return True

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            assert not flags & PADDED
            state = self._stream_of(stream)
            assert state.fields and not state.ended, f"DATA on stream {stream}"
            state.body += payload
            state.ended = bool(flags & END_STREAM)
            if self.reads and not self.wide and payload:
                updates = window_update(0, len(payload))
                if not state.ended:
                    updates += window_update(stream, len(payload))
                self._reply(updates)
        elif kind in (HEADERS, CONTINUATION):
            assert not flags & (PADDED | PRIORITIZED) or kind == CONTINUATION
            state = self._stream_of(stream)
            state.block += payload
            if kind == HEADERS:
                state.ended = bool(flags & END_STREAM)
            if flags & END_HEADERS:
                state.fields = self.decoder.decode(state.block)
                state.block = b""
        elif kind == RST_STREAM:
            self._stream_of(stream).reset = int.from_bytes(payload, "big")
        elif kind == SETTINGS:
            if flags & ACK:
                self.settings_acknowledged += 1
                return
            assert self.settings is None, "settings come once"
            self.settings = {
                int.from_bytes(payload[at : at + 2], "big"): int.from_bytes(
                    payload[at + 2 : at + 6], "big"
                )
                for at in range(0, len(payload), 6)
            }
            more = self.settings.get(INITIAL_WINDOW_SIZE, DEFAULT_WINDOW) - DEFAULT_WINDOW
            for state in self.streams.values():
                state.window += more
            if self.reads:
                self._reply(frame(SETTINGS, ACK))
        elif kind == PING:
            if flags & ACK:
                self.pongs.append(payload)
            elif self.reads:
                self._reply(frame(PING, ACK, payload=payload))
        elif kind == GOAWAY:
            code = int.from_bytes(payload[4:8], "big")
            last = int.from_bytes(payload[:4], "big")
            # A notice with the highest number may come first (RFC 9113 section 6.8).
            self.goaway = (last, code)
        elif kind == WINDOW_UPDATE:
            size = int.from_bytes(payload, "big")
            if stream:
                self._stream_of(stream).window += size
            else:
                self.window += size

    def _reply(self, octets: bytes) -> None:
        try:
            self.send_octets(octets)
        except (ConnectionError, ssl.SSLError):
            pass  # what it sent before it closed is still to be read


# The ways to ask

WAYS = {
    "https h2": ("https", Http2Client),
    "https 1.1": ("https", Http1Client),
    "http 1.1": ("http", Http1Client),
    "http h2": ("http", Http2Client),
}


def connect(sotto, way: str, authority=None, at: Address | None = None, **options):
    """A client of the program's listener for this way."""
    scheme, kind = WAYS[way]
    if scheme == "https":
        options.setdefault("context", tls_context(authority, kind.alpn))
    return kind(at or sotto.listener(scheme), **options)
