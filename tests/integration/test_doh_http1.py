"""HTTP/1.1 for clients (RFC 9112): a strict reading, so that nothing is smuggled; and its time."""

import socket
import ssl
import time

import pytest

from lib import dns_wire as wire
from lib.clients import Bystanders, ask, assert_own_answer
from lib.faulty_dot import by_name, hold
from lib.http_clients import (
    MEDIA_TYPE,
    PATH,
    Http1Client,
    Request,
    assert_answer,
    assert_own_response,
    assert_refusal,
    connect,
    get,
    http1_octets,
    post,
)
from lib.timing import Deadline, scaled, variant, wait_until

pytestmark = pytest.mark.single_threaded

NAME = "www.example.test"
QUERY = wire.query(NAME)
TARGET = get(QUERY).target.encode()

both = pytest.mark.parametrize("way", ["http 1.1", "https 1.1"])


@pytest.fixture
def sotto(server, forward, encrypted_http):
    return forward(server, **encrypted_http)


@pytest.fixture
def client(sotto):
    with connect(sotto, "http 1.1") as client:
        yield client


def got(*lines: bytes, line: bytes = b"GET " + TARGET + b" HTTP/1.1") -> bytes:
    """A GET with these lines besides."""
    return b"\r\n".join([line, b"Host: dot.test", *lines, b"", b""])


def posted(*lines: bytes, body: bytes = b"") -> bytes:
    """A POST with these lines besides, and this behind it."""
    type = b"Content-Type: " + MEDIA_TYPE.encode()
    head = [b"POST " + PATH.encode() + b" HTTP/1.1", b"Host: dot.test", type, *lines, b"", b""]
    return b"\r\n".join(head) + body


def chunk(octets: bytes, size: bytes | None = None) -> bytes:
    return (b"%x" % len(octets) if size is None else size) + b"\r\n" + octets + b"\r\n"


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return posted(b"Transfer-Encoding: chunked", body=b"".join(chunks) + end)


# Requests that are right

LENGTH = b"Content-Length: %d" % len(QUERY)
RIGHT = {
    "no blanks": got().replace(b": ", b":"),
    "more blanks": got(b"X: \t y \t ").replace(b": ", b": \t "),
    "names in capitals": posted(LENGTH, body=QUERY).upper().replace(QUERY.upper(), QUERY)
    # method, path and version as they are
    .replace(PATH.upper().encode(), PATH.encode()),
    "an empty value": got(b"X:"),
    "a value with everything": got(b"X: " + bytes([*range(32, 127), *range(128, 256), 9, 33])),
    "the same field again": got(b"X: 1", b"X: 1"),
    "CRLF before": b"\r\n" + got(),
    "absolute form": got(line=b"GET http://dot.test" + TARGET + b" HTTP/1.1"),
    "absolute form of https": got(line=b"GET https://x.test:443" + TARGET + b" HTTP/1.1"),
    "an empty host": got().replace(b"dot.test", b""),
    "host with a port": got().replace(b"dot.test", b"[2001:db8::1]:443"),
    "a body of no length": got(b"Content-Length: 0"),
    "a body that a GET does not need": got(b"Content-Length: 3") + b"abc",
    "zeros before the length": posted(b"Content-Length: 000%d" % len(QUERY), body=QUERY),
    "kept alive": got(b"Connection: keep-alive"),
    "options of the connection": got(b"Connection: TE, x,, keep-alive", b"Connection: y"),
    "one chunk": chunked(chunk(QUERY)),
    "chunks of one": chunked(*(chunk(bytes([octet])) for octet in QUERY)),
    "a size in capitals": chunked(chunk(QUERY, b"%X" % len(QUERY))),
    "zeros before the size": chunked(chunk(QUERY, b"000%x" % len(QUERY)), end=b"000\r\n\r\n"),
    "an extension": chunked(chunk(QUERY, b'%x;a=b;c="d;e"' % len(QUERY)), end=b"0;x\r\n\r\n"),
    "trailers": chunked(chunk(QUERY), end=b"0\r\nX: y\r\nContent-Length: 99\r\nZ:\r\n\r\n"),
    "chunked in capitals": posted(b"Transfer-Encoding: CHUNKED", body=chunk(QUERY) + b"0\r\n\r\n"),
}


def test_forms_that_are_right(server, client):
    """Twice each, so that its end is seen where it is."""
    for what, octets in RIGHT.items():
        for _ in range(2):
            client.send_octets(octets)
            response = client.receive()
            assert response, what
            assert_own_response(response, NAME)
    assert len(server.queries) == 2 * len(RIGHT)


@both
@pytest.mark.parametrize(
    "octets",
    [http1_octets(post(QUERY)), RIGHT["trailers"], RIGHT["absolute form"]],
    ids=["length", "chunks", "absolute form"],
)
def test_a_request_in_two_pieces(sotto, way, authority, octets):
    """C11: cut at each octet."""
    with connect(sotto, way, authority) as client:
        for at in range(1, len(octets)):
            client.send_octets(octets[:at])
            time.sleep(0.001)  # nothing tells when it was read
            client.send_octets(octets[at:])
            assert_own_response(client.receive(), NAME)


@both
def test_a_request_octet_by_octet(sotto, way, authority):
    with connect(sotto, way, authority) as client:
        for octet in RIGHT["CRLF before"] + RIGHT["an extension"]:
            client.send_octets(bytes([octet]))
            time.sleep(0.0005)
        assert_own_response(client.receive(), NAME)
        assert_own_response(client.receive(), NAME)


# How many requests a connection carries


@both
def test_pipelined_requests_are_answered_in_order(
    dot_server, forward, encrypted_http, authority, way
):
    server = dot_server(
        on_query=by_name(slow=lambda conn, query: conn.later(0.2, conn.answer, query))
    )
    sotto = forward(server, **encrypted_http)
    names = ["slow.test", *(f"n{number}.test" for number in range(40)), "slow2.test", "last.test"]
    requests = [
        http1_octets((post if ident % 2 else get)(wire.query(name, ident=ident)))
        for ident, name in enumerate(names)
    ]
    requests.insert(20, http1_octets(Request("GET", "/")))
    with connect(sotto, way, authority) as client:
        client.send_octets(b"".join(requests))
        for ident, name in enumerate(names):
            if ident == 20:
                assert_refusal(client.receive(), 404)
            assert_own_response(client.receive(), name, ident)


@both
def test_many_requests_on_one_connection(sotto, way, authority):
    with connect(sotto, way, authority) as client:
        for number in range(500):
            name = f"n{number}.localhost" if number % 10 else f"n{number}.test"
            assert_answer(client.exchange(get(wire.query(name))))
    assert sotto.count("connections accepted") == 1


@pytest.mark.parametrize(
    "octets", [got(b"Connection: close"), got(b"connection: x , CLOSE")], ids=["alone", "in a list"]
)
def test_a_client_that_wants_it_closed(client, octets):
    """And what it says behind that is not heard."""
    client.send_octets(octets + got())
    response = client.receive()
    assert_own_response(response, NAME)
    assert response.field("connection") == "close"
    assert client.is_closed()


@pytest.mark.parametrize("host", [b"", b"\r\nHost: dot.test"], ids=["no host", "host"])
def test_http_1_0(client, host):
    """It is closed by itself."""
    client.send_octets(b"GET " + TARGET + b" HTTP/1.0" + host + b"\r\n\r\n")
    assert_own_response(client.receive(), NAME)
    assert client.is_closed()


def test_a_client_that_has_said_all_still_gets_its_answers(dot_server, forward, encrypted_http):
    """C4"""
    server = dot_server(on_query=by_name(slow=lambda c, query: c.later(0.1, c.answer, query)))
    sotto = forward(server, **encrypted_http)
    with connect(sotto, "http 1.1") as client:
        names = [f"slow{number}.test" for number in range(3)]
        client.send_octets(b"".join(http1_octets(get(wire.query(name))) for name in names))
        client.sock.shutdown(socket.SHUT_WR)
        for name in names:
            assert_own_response(client.receive(), name)
        assert client.is_closed()
    assert sotto.count("slow clients") == sotto.count("invalid clients") == 0


@both
def test_a_client_that_goes_away_meanwhile(dot_server, forward, encrypted_http, authority, way):
    """C5: it may be seen only when there is an answer for it."""
    server = dot_server(on_query=hold)
    sotto = forward(server, **encrypted_http)
    before = sotto.open_files() + sotto.workers  # each has a connection to the upstream then
    clients = [connect(sotto, way, authority) for _ in range(20)]
    for number, client in enumerate(clients):
        client.send_octets(http1_octets(get(wire.query(f"n{number}.test"))) * 2)
    server.wait_queries(20)
    for number, client in enumerate(clients):
        client.reset() if number % 2 else client.sock.close()
    server.on_query = by_name()
    for query in list(server.queries):
        query.connection.answer_if_open(query)
    wait_until(lambda: sotto.open_files() <= before, 5, "connections closed")
    with connect(sotto, way, authority) as client:
        assert_own_response(client.exchange(get(QUERY)), NAME)


# Expectations


def test_100_continue(sotto, client):
    client.send_octets(posted(LENGTH, b"Expect: 100-Continue"))
    assert client.receive().status == 100
    client.send_octets(QUERY)
    assert_own_response(client.receive(), NAME)
    client.send_octets(posted(LENGTH, b"Expect: 100-continue", body=QUERY))
    if (response := client.receive()).status == 100:
        response = client.receive()
    assert_own_response(response, NAME)


@pytest.mark.parametrize(
    "octets, status",
    [
        (posted(LENGTH, b"Expect: 100-continue").replace(PATH.encode(), b"/other"), 404),
        (posted(LENGTH, b"Expect: 100-continue").replace(b"application/", b"text/"), 415),
        (posted(b"Content-Length: 65536", b"Expect: 100-continue"), 413),
        (posted(LENGTH, b"Expect: 200-maybe"), 417),
        (posted(LENGTH, b"Expect: 100-continue, more"), 417),
    ],
    ids=["path", "type", "length", "another", "more"],
)
def test_what_nobody_wants_to_have_continued(server, client, octets, status):
    """The final status at once, and the connection is closed: the body may come all the same."""
    client.send_octets(octets)
    assert_refusal(client.receive(), status)
    client.send_until_closed(QUERY)
    assert client.is_closed() and not server.queries


# What is wrong: never forwarded, nor what stands behind it

BEHIND = got()  # what somebody wants to smuggle
HEAD = b"GET " + TARGET + b" HTTP/1.1\r\nHost: dot.test\r\n"
ENCODED = b"Transfer-Encoding: chunked"
CHUNKS = chunk(QUERY) + b"0\r\n\r\n"

MALFORMED = {
    # the request line
    "no target": got(line=b"GET HTTP/1.1"),
    "an empty target": got(line=b"GET  HTTP/1.1"),
    "two blanks": got(line=b"GET  " + TARGET + b" HTTP/1.1"),
    "a blank more": got(line=b"GET " + TARGET + b"  HTTP/1.1"),
    "a blank behind": got(line=b"GET " + TARGET + b" HTTP/1.1 "),
    "a blank before": got(line=b" GET " + TARGET + b" HTTP/1.1"),
    "a tabulator": got(line=b"GET\t" + TARGET + b" HTTP/1.1"),
    "four words": got(line=b"GET " + TARGET + b" x HTTP/1.1"),
    "a method of nothing": got(line=b" " + TARGET + b" HTTP/1.1"),
    "a method with marks": got(line=b"G(ET " + TARGET + b" HTTP/1.1"),
    "a target with more than ASCII": got(line=b"GET " + TARGET + b"\xc3\xa4 HTTP/1.1"),
    "a target with NUL": got(line=b"GET " + TARGET + b"\0 HTTP/1.1"),
    "a version in small letters": got(line=b"GET " + TARGET + b" http/1.1"),
    "a version of more digits": got(line=b"GET " + TARGET + b" HTTP/1.10"),
    "half a version": got(line=b"GET " + TARGET + b" HTTP/1"),
    "another protocol": got(line=b"GET " + TARGET + b" ICAP/1.1"),
    "HTTP/0.9": b"GET " + TARGET + b"\r\n",
    "many CRLFs before": b"\r\n" * 9 + got(),
    # the ends of lines
    "bare LF behind the request line": got().replace(b"\r\n", b"\n", 1),
    "bare LF behind a field": HEAD + b"X: y\nZ: w\r\n\r\n",
    "bare LF at the end": HEAD + b"\n",
    "bare CR in the request line": got(line=b"GET " + TARGET + b"\rx HTTP/1.1"),
    "bare CR in a value": got(b"X: y\rContent-Length: 5"),
    "bare CR before the end": HEAD + b"\r\r\n",
    "CR CR LF": HEAD + b"X: y\r\r\n\r\n",
    # fields
    "a blank before the colon": got(b"X : y"),
    "a tabulator before the colon": posted(b"Content-Length\t: %d" % len(QUERY), body=QUERY),
    "a blank before Transfer-Encoding's colon": posted(b"Transfer-Encoding : chunked", body=CHUNKS),
    "a folded line": got(b"X: y", b" z"),
    "a folded line by a tabulator": got(b"X: y", b"\tz"),
    "a folded first line": b"GET " + TARGET + b" HTTP/1.1\r\n Host: dot.test\r\n\r\n",
    "no colon": got(b"X"),
    "no name": got(b": y"),
    "a name with a blank": got(b"X y: z"),
    "a name with NUL": got(b"X\0: y"),
    "a name with more than ASCII": got(b"\xc3\xa4: y"),
    "a value with NUL": got(b"X: y\0z"),
    "a value with DEL": got(b"X: y\x7fz"),
    "a value with a control": got(b"X: y\x0bz"),
    # hosts
    "no host": b"GET " + TARGET + b" HTTP/1.1\r\n\r\n",
    "two hosts": got(b"Host: other.test"),
    "the same host twice": got(b"host: dot.test"),
    "two hosts in one": got().replace(b"dot.test", b"dot.test, other.test"),
    "a host with a path": got().replace(b"dot.test", b"dot.test/x"),
    "a host with a user": got().replace(b"dot.test", b"user@dot.test"),
    "a host with a blank": got().replace(b"dot.test", b"dot test"),
    # lengths
    "a length with a plus": posted(b"Content-Length: +%d" % len(QUERY), body=QUERY),
    "a negative length": posted(b"Content-Length: -1", body=QUERY),
    "two numbers": posted(b"Content-Length: %d %d" % (len(QUERY), len(QUERY)), body=QUERY),
    "a list of the same": posted(b"Content-Length: %d, %d" % (len(QUERY), len(QUERY)), body=QUERY),
    "a hexadecimal length": posted(b"Content-Length: 0x%x" % len(QUERY), body=QUERY),
    "a length with a point": posted(LENGTH + b".0", body=QUERY),
    "an empty length": posted(b"Content-Length:", body=QUERY),
    "a length with a quote": posted(b'Content-Length: "%d"' % len(QUERY), body=QUERY),
    "a length with an underscore": posted(b"Content-Length: 4_0", body=QUERY),
    "two lengths": posted(LENGTH, b"Content-Length: 5", body=QUERY),
    "the same length twice": posted(LENGTH, LENGTH, body=QUERY),
    "two lengths of a GET": got(b"Content-Length: 0", b"Content-Length: %d" % len(BEHIND)),
    "a length over 64 bits": posted(b"Content-Length: 18446744073709551617", body=QUERY),
    "a length of many digits": posted(b"Content-Length: " + b"9" * 300, body=QUERY),
    # lengths and codings
    "both": posted(LENGTH, ENCODED, body=CHUNKS),
    "both, the other way round": posted(ENCODED, LENGTH, body=CHUNKS),
    "both, in a GET": got(b"Content-Length: 5", ENCODED) + b"0\r\n\r\n",
    "chunked twice": posted(ENCODED, ENCODED, body=CHUNKS),
    "chunked of HTTP/1.0": posted(ENCODED, body=CHUNKS).replace(b"HTTP/1.1", b"HTTP/1.0"),
    # chunks
    "a size of nothing": chunked(chunk(QUERY, b"")),
    "a size of something else": chunked(chunk(QUERY, b"xyz")),
    "a size with 0x": chunked(chunk(QUERY, b"0x%x" % len(QUERY))),
    "a size with a plus": chunked(chunk(QUERY, b"+%x" % len(QUERY))),
    "a negative size": chunked(chunk(QUERY, b"-1")),
    "a size behind a blank": chunked(chunk(QUERY, b" %x" % len(QUERY))),
    "junk behind the size": chunked(chunk(QUERY, b"%x x" % len(QUERY))),
    "a blank behind the size": chunked(chunk(QUERY, b"%x " % len(QUERY))),
    "a size over 32 bits": chunked(chunk(QUERY, b"1%08x" % len(QUERY))),
    "a size over 64 bits": chunked(chunk(QUERY, b"1%016x" % len(QUERY))),
    "too many zeros": chunked(chunk(QUERY, b"0" * 5000 + b"%x" % len(QUERY))),
    "an overlong extension": chunked(chunk(QUERY, b"%x;" % len(QUERY) + b"x" * 5000)),
    "many extensions": chunked(*(chunk(bytes([octet]), b"1;" + b"x" * 99) for octet in QUERY)),
    "an extension with LF": chunked(chunk(QUERY, b"%x;\n" % len(QUERY))),
    "an extension with CR": chunked(chunk(QUERY, b"%x;\rx" % len(QUERY))),
    "a size with LF alone": chunked(b"%x\n%s\r\n" % (len(QUERY), QUERY)),
    "no end of a chunk": chunked(b"%x\r\n%s" % (len(QUERY), QUERY)),
    "another end of a chunk": chunked(b"%x\r\n%sxx" % (len(QUERY), QUERY)),
    "LF alone behind a chunk": chunked(b"%x\r\n%s\n" % (len(QUERY), QUERY)),
    "LF alone at the end": chunked(chunk(QUERY), end=b"0\r\n\n"),
    "a trailer that is no field": chunked(chunk(QUERY), end=b"0\r\nGET / HTTP/1.1\r\n\r\n"),
    "a folded trailer": chunked(chunk(QUERY), end=b"0\r\nX: y\r\n z\r\n\r\n"),
    "too many trailers": chunked(chunk(QUERY), end=b"0\r\n" + b"X: y\r\n" * 2000 + b"\r\n"),
    # what is no HTTP
    "DNS": wire.framed(QUERY),
    "zeros": bytes(64),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "PROXY": b"PROXY TCP4 192.0.2.7 192.0.2.53 4660 53\r\n" + got(),
}

OTHER_STATUS = {
    "HTTP/2.0": (505, got(line=b"GET " + TARGET + b" HTTP/2.0")),
    "HTTP/1.2": (505, got(line=b"GET " + TARGET + b" HTTP/1.2")),
    "HTTP/0.9 in words": (505, got(line=b"GET " + TARGET + b" HTTP/0.9")),
    "HTTP/3.1": (505, got(line=b"GET " + TARGET + b" HTTP/3.1")),
    "no length": (411, posted(body=QUERY)),
    "a huge length": (413, posted(b"Content-Length: 9223372036854775807", body=QUERY)),
    "gzip": ((400, 501), posted(b"Transfer-Encoding: gzip", body=QUERY)),
    "gzip, chunked": ((400, 501), posted(b"Transfer-Encoding: gzip, chunked", body=CHUNKS)),
    "chunked, gzip": ((400, 501), posted(b"Transfer-Encoding: chunked, gzip", body=CHUNKS)),
    "chunked, chunked": ((400, 501), posted(b"Transfer-Encoding: chunked, chunked", body=CHUNKS)),
    "identity": ((400, 501), posted(b"Transfer-Encoding: identity", body=CHUNKS)),
    "xchunked": ((400, 501), posted(b"Transfer-Encoding: xchunked", body=CHUNKS)),
    "chunked;": ((400, 501), posted(b"Transfer-Encoding: chunked;a=b", body=CHUNKS)),
    '"chunked"': ((400, 501), posted(b'Transfer-Encoding: "chunked"', body=CHUNKS)),
    "chunked with VT": ((400, 501), posted(b"Transfer-Encoding: \x0bchunked", body=CHUNKS)),
    "no coding": ((400, 501), posted(b"Transfer-Encoding:", body=CHUNKS)),
    "gzip and a length": ((400, 501), posted(b"Transfer-Encoding: gzip", LENGTH, body=QUERY)),
    "a long target": (414, got(line=b"GET " + TARGET + b"&x=" + b"x" * 9000 + b" HTTP/1.1")),
    "a long target of no end": (414, b"GET /" + b"x" * 20_000),
    "a long method": ((400, 405, 501), got(line=b"G" * 9000 + b" / HTTP/1.1")),
    "a long name": (431, got(b"x" * 20_000 + b": y")),
    "a long value": (431, got(b"x: " + b"y" * 20_000)),
    "a long value of no end": (431, HEAD + b"X: " + b"y" * 20_000),
    "blanks of no end": (431, HEAD + b"X: " + b" " * 40_000),
    "many fields": (431, got(*[b"x:"] * 101)),
    "CONNECT": ((400, 404, 405), got(line=b"CONNECT dot.test:443 HTTP/1.1")),
    "OPTIONS *": ((400, 404, 405), got(line=b"OPTIONS * HTTP/1.1")),
}
STATUS = {**{what: (400, octets) for what, octets in MALFORMED.items()}, **OTHER_STATUS}
# These are understood; they just get no answer.
UNDERSTOOD = {"CONNECT", "OPTIONS *"}


def refused_with(client: Http1Client, octets: bytes) -> int:
    """One response, then the end, even of what stands behind."""
    client.send_until_closed(octets + BEHIND)
    response = client.receive()
    assert_refusal(response, response and response.status)
    return response.status


@pytest.mark.parametrize("what", STATUS)
def test_what_is_wrong_is_refused_and_the_connection_closed(sotto, server, client, what):
    """C11: the request that hides behind it is nobody's. Wherever a segment ends, the same is seen."""
    statuses, octets = STATUS[what]
    statuses = statuses if isinstance(statuses, tuple) else (statuses,)
    assert refused_with(client, octets) in statuses
    if what in UNDERSTOOD:
        return
    assert client.is_closed()
    if len(octets) < 1000:
        with connect(sotto, "http 1.1") as other:
            for octet in octets:
                if other.send_until_closed(bytes([octet])):
                    break
            assert_refusal(other.receive(), *statuses)
            assert other.is_closed()
    assert not server.queries and sotto.count("HTTPS queries") == 0
    assert sotto.count("HTTP requests refused") == (2 if len(octets) < 1000 else 1)


def test_none_of_them_over_tls_either(sotto, server, authority):
    """C11"""
    with Bystanders(sotto.address, label="bystander"):
        for what in list(STATUS)[::5]:
            with connect(sotto, "https 1.1", authority) as client:
                statuses, octets = STATUS[what]
                status = refused_with(client, octets)
                assert status in (statuses if isinstance(statuses, tuple) else (statuses,)), what
    assert all(query.name.startswith("bystander") for query in server.queries)


def test_half_of_them_and_the_end(sotto, server, client):
    """A request that ends with the connection is none."""
    for octets in [http1_octets(post(QUERY))[:-1], got()[:-1], chunked(chunk(QUERY))[:-1], b"G"]:
        with connect(sotto, "http 1.1") as other:
            other.send_octets(octets)
            other.sock.shutdown(socket.SHUT_WR)
            assert other.is_closed()
    assert not server.queries
    assert_own_response(client.exchange(get(QUERY)), NAME)


# Time

IDLE, MESSAGE = 0.6, 0.4


@pytest.fixture
def impatient(dot_server, forward, encrypted_http):
    return forward(
        dot_server(), **encrypted_http, tcp={"idle-timeout": "600ms", "message-timeout": "400ms"}
    )


def seconds_until_closed(client: Http1Client, send_meanwhile=b"", every=0.05) -> float:
    """How long the server keeps the connection, while octets come one at a time."""
    started = time.monotonic()
    deadline = Deadline(scaled(5))
    octets = iter(send_meanwhile)
    while not deadline.passed():
        client.sock.settimeout(every)
        try:
            if (octet := next(octets, None)) is not None:
                client.sock.send(bytes([octet]))
            if not client.sock.recv(4096):
                return time.monotonic() - started
        except TimeoutError:
            pass
        except (ConnectionError, ssl.SSLError):
            return time.monotonic() - started
    raise AssertionError("still open after 5 s")


@both
def test_a_silent_connection_is_closed(impatient, way, authority):
    """C1"""
    with Bystanders(impatient.address), connect(impatient, way, authority) as client:
        assert IDLE * 0.8 <= seconds_until_closed(client) < scaled(IDLE + 1)
    assert impatient.count("idle clients") == 1 and impatient.count("slow clients") == 0


def test_a_connection_with_nothing_more_to_say_is_closed(impatient):
    """C1: three idle times long, a query each half."""
    with connect(impatient, "http 1.1") as client:
        for number in range(6):
            name = f"n{number}.test"
            assert_own_response(client.exchange(get(wire.query(name))), name)
            time.sleep(IDLE / 2)
        assert seconds_until_closed(client) < scaled(IDLE + 1)
    assert impatient.count("idle clients") == 1 and impatient.count("slow clients") == 0


LONG = http1_octets(post(QUERY, ("x", "y" * 100)))
CHUNKED = chunked(*(chunk(bytes([octet])) for octet in QUERY))
PARTS = {
    "one octet": LONG[:1],
    "half a request line": LONG[:9],
    "half a field": LONG[:100],
    "a head without its end": got()[:-2],
    "a head alone": LONG[: -len(QUERY)],
    "half a body": LONG[:-3],
    "half a chunk": CHUNKED[:-20],
    "chunks without an end": chunked(chunk(QUERY))[:-5],
    "the preface of another version": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
    "CRLF": b"\r\n",
}


@pytest.mark.parametrize("part", PARTS)
def test_half_a_request_and_then_silence(impatient, part):
    """C1"""
    with connect(impatient, "http 1.1") as client:
        client.send_octets(PARTS[part])
        took = seconds_until_closed(client)
        assert MESSAGE * 0.8 <= took < scaled(MESSAGE + 1)
    assert impatient.count("slow clients") == 1 and impatient.count("idle clients") == 0


@pytest.mark.parametrize(
    "octets", [LONG, CHUNKED, got(b"X: " + b"y" * 400)], ids=["length", "chunks", "a field"]
)
def test_one_octet_now_and_then_does_not_keep_it_open(impatient, octets):
    """C1"""
    with Bystanders(impatient.address), connect(impatient, "http 1.1") as client:
        took = seconds_until_closed(client, octets)
        assert MESSAGE * 0.8 <= took < scaled(MESSAGE + 1)
    assert impatient.count("slow clients") == 1


def test_a_head_and_a_body_have_one_time_together(server, forward, encrypted_http):
    """C1: message-timeout is from the first octet to the last."""
    sotto = forward(server, **encrypted_http, tcp={"message-timeout": "2s"})
    head, body = LONG[: -len(QUERY)], LONG[-len(QUERY) :]
    with connect(sotto, "http 1.1") as client:
        started = time.monotonic()
        client.send_octets(head[:-1])
        time.sleep(1.7)
        client.send_octets(head[-1:] + body[:-1])
        seconds_until_closed(client)
        # Unscaled: with a time for each it would be 3.7 s.
        assert time.monotonic() - started < 3.2
    assert sotto.count("slow clients") == 1


@both
def test_half_a_request_behind_a_whole_one(impatient, way, authority):
    """C1: the whole one is answered; the time counts from when the half one began."""
    with connect(impatient, way, authority) as client:
        client.send_octets(got() + LONG[:50])
        assert_own_response(client.receive(), NAME)
        seconds_until_closed(client)
    assert impatient.count("slow clients") == 1


def test_a_query_in_flight_is_no_idleness(dot_server, forward, encrypted_http):
    """C1: the answer comes after more than either time, and half a request waits behind it."""
    server = dot_server(on_query=hold)
    sotto = forward(
        server, **encrypted_http, tcp={"idle-timeout": "200ms", "message-timeout": "200ms"}
    )
    with connect(sotto, "http 1.1") as client:
        client.send_octets(got() + got()[:30])
        (query,) = server.wait_queries(1)
        with pytest.raises(TimeoutError):
            client.receive(0.6 / scaled(1))
        query.connection.answer(query)
        assert_own_response(client.receive(), NAME)
        assert client.is_closed()
    assert sotto.count("slow clients") + sotto.count("idle clients") == 1


def test_a_client_that_waits_to_be_refused_for_ever(impatient):
    """C1: after a refusal what still comes is read away, for a while."""
    with Bystanders(impatient.address), connect(impatient, "http 1.1") as client:
        client.send_octets(posted(b"Content-Length: 99999999"))
        assert_refusal(client.receive(), 413)
        deadline = Deadline(scaled(5))
        while not client.send_until_closed(bytes(100_000)):
            assert not deadline.passed(), "still read"
    assert_own_answer(ask(impatient.address, NAME), NAME)


def big_answer(conn, query):
    text = b"\xc8" + b"x" * 200
    conn.answer(query, answer=[wire.record(wire.QUESTION_POINTER, wire.TXT, text * 300)])


RSS_BOUND_KIB = {"": 16 << 10, "asan": 96 << 10, "tsan": 128 << 10}


@pytest.mark.parametrize("name", ["big.test", "name.localhost"])
def test_a_client_that_never_reads_is_closed(dot_server, forward, encrypted_http, name):
    """C2: it asks without end; it is not read from once its answers pile up."""
    server = dot_server(on_query=by_name(big=big_answer))
    sotto = forward(server, **encrypted_http, tcp={"idle-timeout": "500ms"}, log={"level": "info"})
    before = sotto.resident_kib()
    with Bystanders(sotto.address, within=2.0):
        with connect(sotto, "http 1.1", receive_buffer=4096) as client:
            requests = http1_octets(get(wire.query(name, wire.TXT))) * 100
            assert client.send_until_closed(requests, 10_000), "it was all read"
    assert sotto.wait_count("slow clients") == 1
    assert sotto.resident_kib() - before < RSS_BOUND_KIB[variant()]


def test_a_slow_reader_that_does_read_gets_everything(dot_server, forward, encrypted_http):
    """C2"""
    server = dot_server(on_query=big_answer)
    sotto = forward(server, **encrypted_http, timeout=5.0, tcp={"idle-timeout": "3s"})
    with connect(sotto, "http 1.1", receive_buffer=4096) as client:
        client.send_octets(http1_octets(get(wire.query("big.test", wire.TXT))) * 50)
        for _ in range(50):
            assert len(assert_answer(client.receive(20))) > 60_000
    assert sotto.count("slow clients") == 0


def test_one_that_never_stops_sending_leaves_others_their_turn(sotto):
    """C13: it asks in one go, and reads what it gets."""
    requests = http1_octets(get(wire.query("greedy.localhost"))) * 2000
    with Bystanders(sotto.address, within=1.0), connect(sotto, "http 1.1") as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(requests) * 2)
        client.send_octets(requests)
        for _ in range(2000):
            assert_answer(client.receive())
    assert sotto.count("HTTPS queries") == 2000
