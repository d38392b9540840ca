"""HTTP/2 for clients (RFC 9113), and those who use it to do harm: all that they can grow is bounded."""

import socket
import ssl
import time

import pytest

from lib import dns_wire as wire
from lib import http_clients as h2
from lib.clients import Bystanders, TcpClient, ask, assert_own_answer
from lib.faulty_dot import by_name, hold
from lib.http_clients import (
    PATH,
    PREFACE,
    Http2Client,
    Request,
    assert_answer,
    assert_own_response,
    assert_refusal,
    connect,
    frame,
    get,
    post,
    reset_frame,
    settings_frame,
    window_update,
)
from lib.timing import Deadline, scaled, variant, within

NAME = "www.example.test"
QUERY = wire.query(NAME)

# Beside what is bounded for each connection, this is what allocators keep.
RSS_BOUND_KIB = {"": 16 << 10, "asan": 96 << 10, "tsan": 128 << 10}

both = pytest.mark.parametrize("way", ["http h2", "https h2"])


@pytest.fixture
def sotto(server, forward, encrypted_http):
    return forward(server, **encrypted_http)


@pytest.fixture
def impatient(dot_server, forward, encrypted_http):
    return forward(
        dot_server(),
        **encrypted_http,
        tcp={"idle-timeout": "600ms", "message-timeout": "400ms"},
        log={"level": "info"},
    )


IDLE, MESSAGE = 0.6, 0.4


def seconds_until_closed(client: Http2Client, meanwhile=lambda: None, every=0.05) -> float:
    """How long the server keeps the connection, while this is done now and then."""
    started = time.monotonic()
    deadline = Deadline(scaled(5))
    while not deadline.passed():
        try:
            meanwhile()
        except (ConnectionError, ssl.SSLError):
            return time.monotonic() - started
        until = Deadline(every)
        try:
            while client._pump(until):
                pass
            return time.monotonic() - started
        except TimeoutError:
            pass
    raise AssertionError("still open after 5 s")


@pytest.fixture
def client(sotto):
    with connect(sotto, "http h2") as client:
        yield client


def assert_not_much_grown(sotto, before: int) -> None:
    assert sotto.resident_kib() - before < RSS_BOUND_KIB[variant()]


# The beginning


def test_the_settings(dot_server, forward, encrypted_http):
    """So many streams at once as there may be queries of one connection."""
    sotto = forward(dot_server(), **encrypted_http, tcp={"max-in-flight": 7})
    with connect(sotto, "http h2") as client:
        settings = client.wait_settings()
        client.ping()
        assert client.settings_acknowledged == 1
    assert settings[h2.MAX_CONCURRENT_STREAMS] == 7
    assert settings[h2.MAX_HEADER_LIST_SIZE] == 16384
    assert settings.get(h2.ENABLE_PUSH, 0) == 0
    assert settings.get(h2.MAX_FRAME_SIZE, h2.DEFAULT_FRAME) == h2.DEFAULT_FRAME


def test_a_request_octet_by_octet(sotto):
    """From the preface on."""
    with connect(sotto, "http h2", start=False) as client:
        request = post(QUERY)
        stream = client.next_stream
        for octet in PREFACE + settings_frame({}) + client.octets(request):
            client.send_octets(bytes([octet]))
            time.sleep(0.0005)
        assert_own_response(client.receive(stream), NAME)


@both
def test_all_in_one_segment(sotto, way, authority):
    with connect(sotto, way, authority, start=False) as client:
        octets = PREFACE + settings_frame({h2.ENABLE_PUSH: 0})
        for number in range(20):
            octets += client.octets(get(wire.query(f"n{number}.test")))
        client.send_octets(octets)
        for number in range(20):
            assert_own_response(client.receive(1 + 2 * number), f"n{number}.test")


BAD_PREFACES = {
    "another word": b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + settings_frame({}),
    "no settings": PREFACE + frame(h2.PING, payload=bytes(8)),
    "a request first": PREFACE + frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1, b"\x82"),
    "zeros behind it": PREFACE + bytes(100),
    "an acknowledgement first": PREFACE + frame(h2.SETTINGS, h2.ACK),
    "HTTP/1.1 behind it": PREFACE + b"GET /dns-query HTTP/1.1\r\nHost: dot.test\r\n\r\n",
    "twice": PREFACE + PREFACE,
}


@pytest.mark.parametrize("what", BAD_PREFACES)
@both
def test_a_wrong_beginning(sotto, server, way, authority, what):
    """C10"""
    with Bystanders(sotto.address, label="bystander"):
        with connect(sotto, way, authority, start=False) as client:
            client.send_octets(BAD_PREFACES[what])
            deadline = Deadline(scaled(5))
            while client._read(deadline):
                pass
    assert all(query.name.startswith("bystander") for query in server.queries)
    assert sotto.count("HTTPS queries") == 0


@pytest.mark.parametrize("protocol", [b"HTTP/1.1", b"HTTP/3.0"])
def test_nearly_the_preface(client, sotto, protocol):
    """It is HTTP/1.1 then, and wrong there."""
    with connect(sotto, "http 1.1") as other:
        other.send_octets(b"PRI * " + protocol + b"\r\n\r\nSM\r\n\r\n")
        assert other.receive().status in (400, 404, 405, 505)


def test_an_upgrade_is_not_taken(sotto):
    """RFC 9113 section 3.1 has taken it away."""
    with connect(sotto, "http 1.1") as client:
        fields = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")]
        request = get(QUERY, *fields, ("http2-settings", ""))
        assert_own_response(client.exchange(request), NAME)


# Frames that are right, if unusual


def test_a_body_in_many_frames(sotto, client):
    """Padded, empty, of one octet; behind fields in CONTINUATION, with a priority; and trailers."""
    client.wait_settings()
    stream = client.open()
    block = client.head(post(b""), stream)[9:]
    priority = (0).to_bytes(4, "big") + b"\x10"
    client.send_octets(
        frame(
            h2.HEADERS, h2.PADDED | h2.PRIORITIZED, stream, b"\5" + priority + block[:9] + bytes(5)
        )
        + frame(h2.CONTINUATION, 0, stream, block[9:20])
        + frame(h2.CONTINUATION, 0, stream)
        + frame(h2.CONTINUATION, h2.END_HEADERS, stream, block[20:])
        + frame(h2.DATA, h2.PADDED, stream, b"\xff" + QUERY[:1] + bytes(255))
        + frame(h2.DATA, 0, stream)
        + b"".join(frame(h2.DATA, 0, stream, bytes([octet])) for octet in QUERY[1:])
        + frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, client.block([("x", "y")]))
    )
    assert_own_response(client.receive(stream), NAME)


def test_unknown_frames_and_settings_are_ignored(sotto, client):
    """RFC 9113 sections 4.1, 5.5 and 6.5.2."""
    client.send_octets(
        frame(0xBE, 0xFF, 0, bytes(100))
        + frame(0xEF, 0, 77, b"")
        + settings_frame({0xABCD: 1, 0x1A1A: 0xFFFFFFFF})
        + frame(h2.PRIORITY, 0, 99, bytes(4) + b"\0")
        + frame(h2.PING, 0xFE, 0, bytes(8))
    )
    assert_own_response(client.exchange(get(QUERY)), NAME)


def test_fields_by_every_way_of_compression(sotto, client):
    """Indexed, from the dynamic table, with Huffman and without, and a table of another size."""
    for size in [4096, 0, 100, 4096]:
        client.encoder.header_table_size = size
        for huffman in [True, False]:
            client.encoder.huffman_coding = huffman
            for _ in range(3):
                stream = client.open()
                request = get(QUERY, ("x-long", "value" * 30), ("accept", "*/*"))
                client.send_octets(client.head(request, stream, end=True, indexed=True))
                assert_own_response(client.receive(stream), NAME)


def test_streams_may_be_left_out(sotto, client):
    """The highest number too."""
    for stream in [3, 101, 0x7FFFFFFF]:
        client.send_octets(client.octets(get(QUERY), stream))
        assert_own_response(client.receive(stream), NAME)


# Requests that are none (RFC 9113 section 8.1.1): the stream is reset, and others are not

MALFORMED = {
    "no method": [(":scheme", "https"), (":authority", "x"), (":path", PATH)],
    "no path": [(":method", "GET"), (":scheme", "https"), (":authority", "x")],
    "no scheme": [(":method", "GET"), (":authority", "x"), (":path", PATH)],
    "an empty path": [(":method", "GET"), (":scheme", "https"), (":path", "")],
    "two methods": [(":method", "GET"), (":method", "GET"), (":scheme", "https"), (":path", PATH)],
    "two paths": [(":method", "GET"), (":scheme", "https"), (":path", PATH), (":path", PATH)],
    "an unknown pseudo field": [(":method", "GET"), (":scheme", "https"), (":path", PATH), (":x", "y")],
    "a status": [(":method", "GET"), (":scheme", "https"), (":path", PATH), (":status", "200")],
    "a pseudo field behind others": [(":method", "GET"), ("x", "y"), (":scheme", "https"), (":path", PATH)],
    "capitals": [(":method", "GET"), (":scheme", "https"), (":path", PATH), ("X-Y", "z")],
    "a field of the connection": [
        (":method", "GET"), (":scheme", "https"), (":path", PATH), ("connection", "close")
    ],
    "a transfer coding": [
        (":method", "POST"), (":scheme", "https"), (":path", PATH), ("transfer-encoding", "chunked")
    ],
    "te": [(":method", "GET"), (":scheme", "https"), (":path", PATH), ("te", "gzip")],
    "two lengths": [
        (":method", "POST"), (":scheme", "https"), (":path", PATH),
        ("content-length", "5"), ("content-length", "6"),
    ],
    "a length of no number": [
        (":method", "POST"), (":scheme", "https"), (":path", PATH), ("content-length", "+5")
    ],
    "CONNECT with a path": [(":method", "CONNECT"), (":scheme", "https"), (":path", PATH), (":authority", "x")],
    "a method with a blank": [(":method", "GE T"), (":scheme", "https"), (":path", PATH)],
    "a path with a blank": [(":method", "GET"), (":scheme", "https"), (":path", PATH + " x")],
    "a path with CRLF": [(":method", "GET"), (":scheme", "https"), (":path", PATH + "\r\nx: y")],
    "a path of another kind": [(":method", "GET"), (":scheme", "https"), (":path", "dns-query")],
    "an authority with CR": [(":method", "GET"), (":scheme", "https"), (":path", PATH), (":authority", "x\ry")],
}  # fmt: skip


@pytest.mark.parametrize("what", MALFORMED)
def test_requests_that_are_none(sotto, server, client, what):
    """C11; some get a status, the others a reset."""
    stream = client.open()
    client.send_octets(
        frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, client.block(MALFORMED[what]))
    )
    response = client.receive(stream)
    if response:
        assert_refusal(response, 400, 404, 405)
    else:
        assert client.reset_code(stream) == h2.PROTOCOL_ERROR
    assert not server.queries
    assert_own_response(client.exchange(get(QUERY)), NAME)


BAD_VALUES = [b"a\0b", b"a\nb", b"a\rb", b"a\r\nContent-Length: 5"]


@pytest.mark.parametrize("value", BAD_VALUES)
def test_values_that_would_be_lines_in_http1(sotto, server, client, value):
    """C11: they are dropped or the stream is reset; no line of another request comes of them."""
    stream = client.open()
    fields = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", get(QUERY).target.encode()),
        (b"x", value),
    ]
    block = client.block(fields)
    client.send_octets(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, block))
    response = client.receive(stream)
    assert response is None or response.status in (200, 400)
    assert len(server.queries) <= 1
    assert_own_response(client.exchange(get(QUERY)), NAME)


@pytest.mark.parametrize("length", [len(QUERY) - 1, len(QUERY) + 1, 0])
def test_a_length_that_is_not_the_bodys(sotto, server, client, length):
    """C11: RFC 9113 section 8.1.1."""
    request = post(QUERY, ("content-length", str(length)))
    assert client.exchange(request) is None
    assert not server.queries
    assert_own_response(client.exchange(get(QUERY)), NAME)


def test_connect_has_no_path(sotto, server, client):
    stream = client.open()
    block = client.block([(":method", "CONNECT"), (":authority", "example.test:443")])
    with within(2):
        client.send_octets(frame(h2.HEADERS, h2.END_HEADERS, stream, block))
        assert_refusal(client.receive(stream), 400, 404, 405)
    assert not server.queries


# Errors of the connection: GOAWAY with the code, and closed (or just closed)

HEADER_BLOCK = b"\x82\x86\x84"
ERRORS = {
    "DATA on stream 0": frame(h2.DATA, 0, 0, b"x"),
    "HEADERS on stream 0": frame(h2.HEADERS, h2.END_HEADERS, 0, HEADER_BLOCK),
    "DATA on an idle stream": frame(h2.DATA, 0, 1, b"x"),
    "an even stream": frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 2, HEADER_BLOCK),
    "RST_STREAM on an idle stream": reset_frame(1),
    "RST_STREAM on stream 0": reset_frame(0),
    "a short RST_STREAM": frame(h2.RST_STREAM, 0, 1, b"abc"),
    "WINDOW_UPDATE on an idle stream": window_update(5, 1),
    "WINDOW_UPDATE by 0": window_update(0, 0),
    "WINDOW_UPDATE over the bound": window_update(0, h2.WINDOW_MAX),
    "a short WINDOW_UPDATE": frame(h2.WINDOW_UPDATE, 0, 0, b"abc"),
    "a short PING": frame(h2.PING, 0, 0, b"abc"),
    "PING on a stream": frame(h2.PING, 0, 1, bytes(8)),
    "SETTINGS on a stream": frame(h2.SETTINGS, 0, 1, b""),
    "SETTINGS cut": frame(h2.SETTINGS, 0, 0, bytes(5)),
    "SETTINGS acknowledged with more": frame(h2.SETTINGS, h2.ACK, 0, bytes(6)),
    "a window over the bound": settings_frame({h2.INITIAL_WINDOW_SIZE: 1 << 31}),
    "a frame size under the bound": settings_frame({h2.MAX_FRAME_SIZE: 16383}),
    "push of another kind": settings_frame({h2.ENABLE_PUSH: 2}),
    "PUSH_PROMISE": frame(h2.PUSH_PROMISE, h2.END_HEADERS, 1, bytes(4) + HEADER_BLOCK),
    "CONTINUATION of nothing": frame(h2.CONTINUATION, h2.END_HEADERS, 1, HEADER_BLOCK),
    "another frame within fields": frame(h2.HEADERS, 0, 1, HEADER_BLOCK)
    + frame(h2.PING, payload=bytes(8)),
    "CONTINUATION of another stream": frame(h2.HEADERS, 0, 1, HEADER_BLOCK)
    + frame(h2.CONTINUATION, h2.END_HEADERS, 3, b""),
    "too large a frame": frame(h2.DATA, 0, 1, bytes(16385)),
    "a frame of 16 MiB": frame(h2.HEADERS, 0, 1, bytes(1000), length=0xFFFFFF),
    "padding over the end": frame(h2.HEADERS, h2.END_HEADERS | h2.PADDED, 1, b"\xff" + HEADER_BLOCK),
    "an index of nothing": frame(h2.HEADERS, h2.END_HEADERS, 1, b"\xff\xff\xff\x00"),
    "an index of 0": frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x80"),
    "an endless number": frame(h2.HEADERS, h2.END_HEADERS, 1, b"\xff" * 30),
    "a table over the bound": frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x3f\xff\xff\x03" + HEADER_BLOCK),
    "a string cut": frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x40\x7f"),
    "Huffman of nothing": frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x40\x84\xff\xff\xff\xff\x01a"),
    "GOAWAY cut": frame(h2.GOAWAY, 0, 0, bytes(7)),
}  # fmt: skip


@pytest.mark.parametrize("what", ERRORS)
def test_errors_of_the_connection(sotto, server, what):
    """C10"""
    with connect(sotto, "http h2") as client:
        client.send_until_closed(ERRORS[what])
        assert client.is_closed()
        assert client.goaway is None or client.goaway[1] != h2.NO_ERROR
        assert client.goaway, "closed without a word"
    assert not server.queries
    assert sotto.count("invalid clients") == 1
    assert_own_answer(ask(sotto.address, NAME), NAME)


def test_a_client_that_says_goodbye_is_still_answered(dot_server, forward, encrypted_http):
    """RFC 9113 section 6.8."""
    server = dot_server(on_query=by_name(slow=lambda c, query: c.later(0.2, c.answer, query)))
    sotto = forward(server, **encrypted_http)
    with connect(sotto, "http h2") as client:
        stream = client.send(get(wire.query("slow.test")))
        client.send_octets(frame(h2.GOAWAY, 0, 0, bytes(8)))
        assert_own_response(client.receive(stream), "slow.test")
        assert client.is_closed()
    assert sotto.count("invalid clients") == 0


def test_a_client_that_has_said_all_still_gets_its_answers(dot_server, forward, encrypted_http):
    """C4"""
    server = dot_server(on_query=by_name(slow=lambda c, query: c.later(0.2, c.answer, query)))
    sotto = forward(server, **encrypted_http)
    with connect(sotto, "http h2") as client:
        client.wait_settings()
        client.ping()
        names = [f"slow{number}.test" for number in range(5)]
        streams = [client.send(post(wire.query(name))) for name in names]
        client.sock.shutdown(socket.SHUT_WR)
        client.reads = False  # nor can it write
        for name, stream in zip(names, streams):
            assert_own_response(client.receive(stream), name)
        assert client.is_closed()


# Limits


@both
def test_streams_over_the_bound_are_refused(dot_server, forward, encrypted_http, authority, way):
    """The others are answered. Whoever knows the bound and passes it may lose the connection."""
    server = dot_server(on_query=hold)
    sotto = forward(server, **encrypted_http, tcp={"max-in-flight": 10})
    with connect(sotto, way, authority, reads=False) as client:
        streams = [client.open() for _ in range(15)]
        requests = [get(wire.query(f"n{number}.test")) for number in range(15)]
        client.send_octets(b"".join(map(client.octets, requests, streams)))
        for stream in streams[10:]:
            assert client.reset_code(stream) == h2.REFUSED_STREAM
        for query in server.wait_queries(10):
            query.connection.answer(query)
        for number, stream in enumerate(streams[:10]):
            assert_own_response(client.receive(stream), f"n{number}.test")
    assert sotto.count("HTTPS queries") == 10


def test_as_many_streams_as_there_may_be(dot_server, forward, encrypted_http):
    """Again and again."""
    sotto = forward(dot_server(), **encrypted_http, tcp={"max-in-flight": 10})
    with connect(sotto, "http h2") as client:
        client.wait_settings()
        for round in range(20):
            names = [f"r{round}n{number}.test" for number in range(10)]
            streams = [client.send(get(wire.query(name))) for name in names]
            for name, stream in zip(names, streams):
                assert_own_response(client.receive(stream), name)


@both
def test_what_is_cancelled_counts_until_its_answer_comes(
    dot_server, forward, encrypted_http, authority, way
):
    """C10: a stream cancelled while the upstream works; others are answered."""
    server = dot_server(on_query=by_name(held=hold))
    sotto = forward(server, **encrypted_http, tcp={"max-in-flight": 10})
    with Bystanders(sotto.address), connect(sotto, way, authority) as client:
        cancelled = [client.send(get(wire.query(f"held{number}.test"))) for number in range(9)]
        server.wait_for(lambda: len(server.queries_starting("held")) == 9, "9 queries")
        client.send_octets(b"".join(map(reset_frame, cancelled)))
        assert_own_response(client.exchange(get(wire.query("other.test"))), "other.test")
        streams = [client.send(get(wire.query(f"held{number}.test"))) for number in (10, 11)]
        assert client.reset_code(streams[1]) == h2.REFUSED_STREAM
        server.wait_for(lambda: server.queries_for("held10.test."), "the one that has room")
        for query in server.queries_starting("held"):
            query.connection.answer(query)
        assert_own_response(client.receive(streams[0]), "held10.test")
        for number in range(5):
            assert_own_response(
                client.exchange(get(wire.query(f"n{number}.test"))), f"n{number}.test"
            )


@both
def test_a_client_that_goes_away_meanwhile(dot_server, forward, encrypted_http, authority, way):
    """C5"""
    server = dot_server(on_query=by_name(held=hold))
    sotto = forward(server, **encrypted_http)
    for number in range(10):
        client = connect(sotto, way, authority)
        client.wait_settings()
        for query in range(5):
            client.send(post(wire.query(f"held-{number}-{query}.test")))
        stream = client.open()
        client.send_octets(client.octets(post(QUERY), stream)[:-5])
        count = 5 * (number + 1)
        server.wait_for(lambda: len(server.queries_starting("held")) == count, "its queries")
        client.reset() if number % 2 else client.sock.close()
    for query in server.queries_starting("held"):
        query.connection.answer(query)
    with connect(sotto, way, authority) as client:
        assert_own_response(client.exchange(get(QUERY)), NAME)


# Floods


def flood(
    sotto, octets: bytes, times: int, way="http h2", codes=(h2.ENHANCE_YOUR_CALM,), **options
):
    """Send it as often; the connection must be closed, with one of these codes, before the end."""
    before = sotto.resident_kib()
    with Bystanders(sotto.address, within=2.0), connect(sotto, way, **options) as client:
        closed = client.send_until_closed(octets, times)
        assert client.is_closed(5)
        assert closed or client.goaway, "all of it was taken"
        if client.goaway:
            assert client.goaway[1] in codes, client.goaway
    assert sotto.wait_count("invalid clients") == 1
    assert_not_much_grown(sotto, before)
    sotto.assert_not_spinning(0.2)


FLOODS = {
    "PING": frame(h2.PING, payload=bytes(8)),
    "PING acknowledged": frame(h2.PING, h2.ACK, payload=bytes(8)),
    "SETTINGS": settings_frame({}),
    "SETTINGS with values": settings_frame({h2.INITIAL_WINDOW_SIZE: 1000}),
    "SETTINGS of many values": settings_frame({0x1000 + n: n for n in range(200)}),
    "SETTINGS acknowledged": frame(h2.SETTINGS, h2.ACK),
    "WINDOW_UPDATE": window_update(0, 1),
    "GOAWAY": frame(h2.GOAWAY, 0, 0, bytes(8)),
}


@pytest.mark.parametrize("what", FLOODS)
def test_frames_that_ask_for_nothing(sotto, what):
    """C10"""
    flood(
        sotto,
        FLOODS[what] * 1000,
        200,
        codes=(h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR, h2.NO_ERROR),
    )


IGNORED = {
    "PRIORITY": frame(h2.PRIORITY, 0, 99, bytes(4) + b"\0"),
    "unknown frames": frame(0xBE, 0, 0, b"x"),
    "large unknown frames": frame(0xBE, 0xFF, 7, bytes(16000)),
}


@pytest.mark.parametrize("what", IGNORED)
def test_frames_that_are_only_skipped(impatient, what):
    """C10: nobody notices, and they do not keep the connection."""
    before = impatient.resident_kib()
    with Bystanders(impatient.address), connect(impatient, "http h2") as client:
        octets = IGNORED[what] * (500_000 // len(IGNORED[what]))
        deadline = Deadline(scaled(5))
        while not client.send_until_closed(octets):
            assert not deadline.passed(), "still open"
    assert impatient.count("invalid clients") + impatient.count("idle clients") == 1
    assert_not_much_grown(impatient, before)


@pytest.mark.parametrize("what", ["PING", "SETTINGS", "WINDOW_UPDATE"])
def test_they_may_come_now_and_then(sotto, client, what):
    """As real clients send them."""
    for number in range(50):
        client.send_octets(FLOODS[what] * 5)
        assert_own_response(client.exchange(get(wire.query(f"n{number}.test"))), f"n{number}.test")


def request_flood(pieces, count=100_000) -> bytes:
    """For each of many new streams what `pieces` makes of its number."""
    return b"".join(pieces(1 + 2 * number) for number in range(count))


def a_client() -> Http2Client:
    """For its frames only."""
    client = Http2Client.__new__(Http2Client)
    client.encrypted = True
    client.encoder = h2.hpack.Encoder()
    return client


HEAD_OF_POST = a_client().head(post(b""), 0)[9:]
HEAD_OF_GET = a_client().head(get(QUERY), 0)[9:]
LOCAL_GET = a_client().head(get(wire.query("localhost")), 0)[9:]


def begun(stream: int, block: bytes = HEAD_OF_POST, end: bool = False) -> bytes:
    return frame(h2.HEADERS, h2.END_HEADERS | (h2.END_STREAM if end else 0), stream, block)


STREAM_FLOODS = {
    # CVE-2023-44487
    "rapid reset": lambda stream: begun(stream, LOCAL_GET, True) + reset_frame(stream),
    "rapid reset of forwarded ones": lambda stream: begun(stream, HEAD_OF_GET, True)
    + reset_frame(stream),
    "rapid reset of bodies": lambda stream: begun(stream) + reset_frame(stream),
    # CVE-2025-8671: the server is made to reset
    "made by WINDOW_UPDATE": lambda stream: begun(stream, HEAD_OF_GET, True)
    + window_update(stream, h2.WINDOW_MAX),
    "made by WINDOW_UPDATE of 0": lambda stream: begun(stream, HEAD_OF_GET, True)
    + window_update(stream, 0),
    "made by DATA behind the end": lambda stream: begun(stream, HEAD_OF_GET, True)
    + frame(h2.DATA, 0, stream, b"x"),
    "made by HEADERS behind the end": lambda stream: begun(stream, HEAD_OF_GET, True)
    + begun(stream, HEAD_OF_GET, True),
    "made by PRIORITY on itself": lambda stream: begun(stream, HEAD_OF_GET, True)
    + frame(h2.PRIORITY, 0, stream, stream.to_bytes(4, "big") + b"\0"),
    "made by PRIORITY of another length": lambda stream: begun(stream, HEAD_OF_GET, True)
    + frame(h2.PRIORITY, 0, stream, b"x"),
    "made by a wrong length": lambda stream: begun(stream)
    + frame(h2.DATA, h2.END_STREAM, stream, b"x" * 20)
    if stream % 4 == 1
    else begun(stream, a_client().head(post(b"", ("content-length", "5")), 0)[9:], True),
    "malformed requests": lambda stream: begun(stream, b"\x82\x84", True),
}  # fmt: skip


@pytest.mark.parametrize("what", STREAM_FLOODS)
def test_streams_that_are_for_nothing(dot_server, forward, encrypted_http, what):
    """C10"""
    server = dot_server()
    sotto = forward(server, **encrypted_http, log={"level": "info"})
    octets = request_flood(STREAM_FLOODS[what], 20_000)
    codes = (h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR, h2.FLOW_CONTROL_ERROR)
    codes += (h2.STREAM_CLOSED, h2.FRAME_SIZE_ERROR, h2.INTERNAL_ERROR)
    flood(sotto, octets, 1, codes=codes)
    others = [query for query in server.queries if query.name == f"{NAME}."]
    assert len(others) < 2000


@pytest.mark.parametrize("what", ["rapid reset", "made by WINDOW_UPDATE"])
def test_the_same_over_tls(sotto, authority, what):
    octets = request_flood(STREAM_FLOODS[what], 20_000)
    codes = (h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR, h2.FLOW_CONTROL_ERROR)
    flood(sotto, octets, 1, "https h2", codes=codes, authority=authority)


def test_a_client_may_cancel_what_it_asked(sotto, client):
    """A browser does so whenever a page is left; with each answer it may do so again."""
    client.wait_settings()
    for number in range(300):
        stream = client.send(get(wire.query(f"left{number % 7}.test")))
        client.send_octets(reset_frame(stream))
        for again in range(2):
            name = f"n{number}-{again}.localhost"
            assert_answer(client.exchange(get(wire.query(name))))
    assert sotto.count("invalid clients") == 0


def test_empty_data(sotto):
    """C10: a body of nothing, without an end."""
    with connect(sotto, "http h2") as client:
        stream = client.open()
        client.send_octets(client.head(post(b""), stream))
        client.send_until_closed(frame(h2.DATA, 0, stream) * 1000, 200)
        assert client.is_closed(5)
    assert sotto.wait_count("invalid clients") == 1


def test_padding_alone(dot_server, forward, encrypted_http):
    """C10: the same with 255 octets of padding; its time is the bound, if nothing else is."""
    sotto = forward(dot_server(), **encrypted_http, tcp={"message-timeout": "500ms"})
    before = sotto.resident_kib()
    with Bystanders(sotto.address), connect(sotto, "http h2") as client:
        stream = client.open()
        client.send_octets(client.head(post(b""), stream))
        padded = frame(h2.DATA, h2.PADDED, stream, b"\xff" + bytes(255))
        client.send_until_closed(padded * 1000, 100)
        assert client.is_closed(7)
    assert_not_much_grown(sotto, before)


@pytest.mark.parametrize("size", [0, 1, 16000])
def test_continuation_without_end(sotto, size):
    """C10: CVE-2024-27316 and its like."""
    before = sotto.resident_kib()
    with Bystanders(sotto.address), connect(sotto, "http h2") as client:
        client.send_octets(frame(h2.HEADERS, h2.END_STREAM, 1, HEAD_OF_GET))
        block = client.block([("x-y", "z" * 1000)] * (size // 1000)) if size > 1 else b"\x82" * size
        more = frame(h2.CONTINUATION, 0, 1, block)
        assert client.send_until_closed(more * 100, 1000) or client.is_closed(7)
    assert_not_much_grown(sotto, before)
    assert sotto.count("invalid clients") + sotto.count("slow clients") == 1


def test_bombs_of_fields(sotto, server, client):
    """C10: a few octets that stand for a megabyte, by the dynamic table; the memory is flat."""
    before = sotto.resident_kib()
    client.wait_settings()
    big = client.encoder.encode([("x-bomb", "b" * 3900)])
    index = client.encoder.encode([("x-bomb", "b" * 3900)])
    assert len(index) == 1
    with Bystanders(sotto.address, label="bystander"):
        for number in range(20):
            stream = client.open()
            block = (big if number == 0 else b"") + HEAD_OF_GET + index * 10_000
            block = HEAD_OF_GET + (big if number == 0 else b"") + index * 10_000
            flags = h2.END_HEADERS | h2.END_STREAM
            client.send_until_closed(frame(h2.HEADERS, flags, stream, block))
            response = client.receive(stream)
            if response is None and client.ended:
                break
            if response:
                assert_refusal(response, 431)
            else:
                assert client.reset_code(stream) is not None
    assert_not_much_grown(sotto, before)
    assert all(query.name.startswith("bystander") for query in server.queries)


# Windows and time


@both
def test_an_idle_connection_is_told_and_closed(impatient, way, authority):
    """C1"""
    with Bystanders(impatient.address), connect(impatient, way, authority) as client:
        assert_own_response(client.exchange(get(QUERY)), NAME)
        assert IDLE * 0.8 <= seconds_until_closed(client) < scaled(IDLE + 1)
        assert client.goaway[1] == h2.NO_ERROR
    assert impatient.count("idle clients") == 1
    assert impatient.count("slow clients") == impatient.count("invalid clients") == 0


IDLE_SIGNS = {
    "PING": frame(h2.PING, payload=bytes(8)),
    "SETTINGS": settings_frame({}),
    "WINDOW_UPDATE": window_update(0, 1),
    "PRIORITY": frame(h2.PRIORITY, 0, 99, bytes(4) + b"\0"),
    "unknown": frame(0xBE),
    "octet by octet": None,
}


@pytest.mark.parametrize("what", IDLE_SIGNS)
def test_signs_of_life_are_no_queries(impatient, what):
    """C1: they do not keep it, nor does a frame that comes octet by octet."""
    octets = iter(frame(h2.PING, payload=bytes(8)) * 100)
    with connect(impatient, "http h2") as client:
        client.wait_settings()  # no acknowledgement comes in between
        took = seconds_until_closed(
            client, lambda: client.send_octets(IDLE_SIGNS[what] or bytes([next(octets)]))
        )
        assert took < scaled(IDLE + 1)
    assert impatient.count("idle clients") + impatient.count("slow clients") == 1


def test_a_connection_of_nothing(impatient):
    """C1: no preface, half of it, or no more than it."""
    clients = []
    for octets in [b"", PREFACE[:10], PREFACE, PREFACE + settings_frame({})]:
        clients.append(connect(impatient, "http h2", start=False, reads=False))
        clients[-1].send_octets(octets)
    for client in clients:
        assert seconds_until_closed(client) < scaled(IDLE + 1)
        client.sock.close()
    assert impatient.count("idle clients") + impatient.count("slow clients") == 4


SLOW = {
    "fields without an end": frame(h2.HEADERS, 0, 1, HEAD_OF_POST),
    "a body that does not come": begun(1),
    "a body without an end": begun(1) + frame(h2.DATA, 0, 1, QUERY),
}


@pytest.mark.parametrize("what", SLOW)
def test_requests_that_are_never_whole(impatient, what):
    """C1: whatever else is asked meanwhile."""
    with Bystanders(impatient.address), connect(impatient, "http h2") as client:
        client.next_stream = 3
        client.wait_settings()
        client.send_octets(SLOW[what])

        def ask_others():
            if not what.startswith("fields"):
                client.send(get(wire.query("other.localhost")))

        took = seconds_until_closed(client, ask_others)
        assert MESSAGE * 0.8 <= took < scaled(MESSAGE + 1)
    assert impatient.count("slow clients") == 1


@pytest.mark.parametrize("what", ["a body", "fields"])
def test_requests_that_come_octet_by_octet(impatient, what):
    """C1"""
    if what == "a body":
        first = begun(1)
        pieces = [frame(h2.DATA, 0, 1, bytes([octet])) for octet in QUERY * 10]
    else:
        first = frame(h2.HEADERS, 0, 1, HEAD_OF_POST[:1])
        pieces = [frame(h2.CONTINUATION, 0, 1, bytes([octet])) for octet in HEAD_OF_POST[1:]]
        pieces += [frame(h2.CONTINUATION, 0, 1)] * 1000
    pieces = iter(pieces)
    with Bystanders(impatient.address), connect(impatient, "http h2") as client:
        client.wait_settings()
        client.send_octets(first)
        took = seconds_until_closed(client, lambda: client.send_octets(next(pieces)), every=0.02)
        assert took < scaled(MESSAGE + 1)
    # So many CONTINUATIONs are too many already.
    assert impatient.count("slow clients") + impatient.count("invalid clients") == 1


def big_answer(conn, query):
    text = b"\xc8" + b"x" * 200
    conn.answer(query, answer=[wire.record(wire.QUESTION_POINTER, wire.TXT, text * 300)])


def zero_window(sotto, way, authority) -> Http2Client:
    return connect(sotto, way, authority, settings={h2.INITIAL_WINDOW_SIZE: 0}, reads=False)


@both
def test_a_client_that_never_opens_its_window(dot_server, forward, encrypted_http, authority, way):
    """C10: a hundred answers of 60 kB wait for it; then it is closed."""
    server = dot_server(on_query=by_name(big=big_answer))
    sotto = forward(server, **encrypted_http, tcp={"idle-timeout": "600ms"})
    before = sotto.resident_kib()
    with Bystanders(sotto.address, within=2.0), zero_window(sotto, way, authority) as client:
        for number in range(100):
            client.send(get(wire.query(f"big{number}.test", wire.TXT)))
        took = seconds_until_closed(client)
        assert took < scaled(IDLE + 3)
    assert sotto.wait_count("slow clients") == 1
    assert_not_much_grown(sotto, before)


@pytest.mark.parametrize("what", ["the stream's", "the connection's", "by settings"])
def test_windows_that_are_opened_octet_by_octet(dot_server, forward, encrypted_http, what):
    """C10: the answer must be gone in its time, however alive its reader seems."""
    server = dot_server(on_query=by_name(big=big_answer))
    sotto = forward(server, **encrypted_http, tcp={"idle-timeout": "600ms"})
    with Bystanders(sotto.address, within=2.0), zero_window(sotto, "http h2", None) as client:
        if what == "the connection's":
            # 65,535 octets are there at the beginning.
            client.send_octets(settings_frame({h2.INITIAL_WINDOW_SIZE: h2.WINDOW_MAX}))
            for number in range(2):
                client.send(get(wire.query(f"big{number}.test", wire.TXT)))
            sign = lambda: client.send_octets(window_update(0, 1))
        else:
            stream = client.send(get(wire.query("big.test", wire.TXT)))
            if what == "by settings":
                sizes = iter(range(1, 10_000))
                sign = lambda: client.send_octets(
                    settings_frame({h2.INITIAL_WINDOW_SIZE: next(sizes)})
                )
            else:
                sign = lambda: client.send_octets(window_update(stream, 1))
        assert seconds_until_closed(client, sign) < scaled(IDLE + 2)
    assert sotto.wait_count("slow clients") == 1


@both
def test_many_large_answers_at_once_through_a_wide_window(
    dot_server, forward, encrypted_http, authority, way
):
    """As browsers have it: the client says nothing more until all are there."""
    sotto = forward(dot_server(on_query=big_answer), **encrypted_http, cache={"size": "1MiB"})
    request = get(wire.query("big.test", wire.TXT))
    with connect(sotto, way, authority, wide=True) as client:
        assert_answer(client.exchange(request))
        # At first the kernel takes little at once, later all.
        for _ in range(20):
            streams = [client.open() for _ in range(20)]
            client.send_octets(b"".join(client.octets(request, stream) for stream in streams))
            for response in client.receive_all(streams):
                assert len(assert_answer(response)) > 60_000
    assert sotto.count("cache hits") == 400


def test_a_small_window_that_is_opened_in_time(dot_server, forward, encrypted_http):
    """Each answer comes whole, a few octets at a time."""
    sotto = forward(dot_server(on_query=big_answer), **encrypted_http)
    with connect(sotto, "http h2", settings={h2.INITIAL_WINDOW_SIZE: 3000}) as client:
        streams = [client.send(get(wire.query(f"n{n}.test", wire.TXT))) for n in range(3)]
        for response in client.receive_all(streams):
            assert len(assert_answer(response)) > 60_000


def test_a_smaller_frame_table_and_window_while_answers_wait(dot_server, forward, encrypted_http):
    """Settings count for what is under way, even if windows become negative."""
    server = dot_server(on_query=by_name(big=big_answer))
    sotto = forward(server, **encrypted_http)
    with zero_window(sotto, "http h2", None) as client:
        streams = [client.send(get(wire.query(f"big{n}.test", wire.TXT))) for n in range(5)]
        server.wait_queries(5)
        client.send_octets(
            settings_frame({h2.INITIAL_WINDOW_SIZE: 500})
            + settings_frame({h2.INITIAL_WINDOW_SIZE: 10, h2.HEADER_TABLE_SIZE: 0})
            + settings_frame({h2.INITIAL_WINDOW_SIZE: h2.WINDOW_MAX, h2.HEADER_TABLE_SIZE: 4096})
            + window_update(0, 10_000_000)
        )
        for response in client.receive_all(streams):
            assert len(assert_answer(response)) > 60_000


def test_a_client_that_never_reads_is_closed(dot_server, forward, encrypted_http):
    """C2: its windows are wide open, and its socket is full."""
    server = dot_server(on_query=by_name(big=big_answer))
    sotto = forward(server, **encrypted_http, tcp={"idle-timeout": "500ms"}, log={"level": "info"})
    before = sotto.resident_kib()
    options = {"wide": True, "receive_buffer": 4096, "reads": False}
    with Bystanders(sotto.address, within=2.0), connect(sotto, "http h2", **options) as client:
        for number in range(100):
            client.send(get(wire.query(f"big{number % 3}.test", wire.TXT)))
        sotto.wait_count("slow clients")
    assert_not_much_grown(sotto, before)


def test_a_slow_reader_that_does_read_gets_everything(dot_server, forward, encrypted_http):
    """C2: again and again, since it depends on what the kernel takes at once."""
    server = dot_server(on_query=big_answer)
    sotto = forward(server, **encrypted_http, timeout=5.0, tcp={"idle-timeout": "3s"})
    for _ in range(30):
        with connect(sotto, "http h2", receive_buffer=4096) as client:
            client.wait_settings()
            streams = [client.send(get(wire.query(f"n{n}.test", wire.TXT))) for n in range(10)]
            for response in client.receive_all(streams):
                assert len(assert_answer(response)) > 60_000
    assert sotto.count("slow clients") == 0


def test_bodies_hold_the_window_of_all_together(dot_server, forward, encrypted_http):
    """C2: a hundred bodies begun may hold no more than a few."""
    sotto = forward(dot_server(), **encrypted_http, tcp={"message-timeout": "600ms"})
    before = sotto.resident_kib()
    with Bystanders(sotto.address), connect(sotto, "http h2") as client:
        client.wait_settings()
        client.ping()
        sent = 0
        for _ in range(100):
            stream = client.open()
            client.send_octets(client.head(post(b""), stream))
            room = min(client.window, client._stream_of(stream).window) - 1
            for at in range(0, max(room, 0), h2.DEFAULT_FRAME):
                piece = min(h2.DEFAULT_FRAME, room - at)
                client.send_octets(frame(h2.DATA, 0, stream, bytes(piece)))
                client.window -= piece
                sent += piece
        assert sent < 1_000_000
        seconds_until_closed(client)
    assert_not_much_grown(sotto, before)
    assert sotto.count("slow clients") == 1


def test_more_than_the_window(sotto, server):
    """C10: RFC 9113 section 6.9.1."""
    with connect(sotto, "http h2") as client:
        stream = client.open()
        client.send_octets(client.head(post(b""), stream))
        client.send_until_closed(frame(h2.DATA, 0, stream, bytes(h2.DEFAULT_FRAME)), 20)
        response = client.receive(stream)
        if response:
            assert_refusal(response, 413)
        else:
            assert client.goaway or client.reset_code(stream) is not None
    assert not server.queries


# Much, for long


@pytest.mark.parametrize("count", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_streams_one_after_the_other(sotto, count):
    """C10: nothing is left of each."""
    with connect(sotto, "http h2") as client:
        client.wait_settings()
        octets = LOCAL_GET
        for number in range(count):
            stream = client.open()
            client.send_octets(begun(stream, octets, True))
            assert_answer(client.receive(stream))
            del client.streams[stream]
            if number == 1000:
                before = sotto.resident_kib()
        assert client.goaway is None
    sotto.assert_not_grown(before, 4096)
    assert sotto.count("HTTPS queries") == count


def test_one_that_never_stops_asking_leaves_others_their_turn(sotto):
    """C13"""
    with Bystanders(sotto.address, within=1.0), connect(sotto, "http h2") as client:
        client.wait_settings()
        for _ in range(40):
            streams = [client.open() for _ in range(90)]
            client.send_octets(b"".join(begun(stream, LOCAL_GET, True) for stream in streams))
            for response in client.receive_all(streams):
                assert_answer(response)
    assert sotto.count("HTTPS queries") == 3600


def test_what_is_spoken_to_the_other_port(sotto, server):
    """DNS over a stream to http://, and HTTP/2 to dns://."""
    with TcpClient(sotto.listener("http")) as client:
        client.send(QUERY)
        client.sock.settimeout(scaled(5))
        assert client.sock.recv(4096).startswith(b"HTTP/1.1 400 ")
    with TcpClient(sotto.address) as client:
        client.send_octets(PREFACE + settings_frame({}))
        client.sock.shutdown(socket.SHUT_WR)
        assert client.receive() == b""
    assert not server.queries


def test_a_request_of_an_unknown_method_with_a_long_body(sotto, client):
    """The answer comes before the body, which is not waited for."""
    stream = client.open()
    client.send_octets(client.head(Request("PUT", PATH), stream))
    assert_refusal(client.receive(stream), 405)
    client.send_body(stream, bytes(40_000))
    assert_own_response(client.exchange(get(QUERY)), NAME)
