"""DNS over HTTPS for clients (RFC 8484): the same by HTTP/2 and HTTP/1.1, with TLS and without."""

import socket
import ssl
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import dns.edns
import dns.message
import dns.rcode
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from lib import dns_wire as wire
from lib.caching import negative
from lib.certs import certificate_files
from lib.clients import Address, Bystanders, TcpClient, ask, assert_own_answer, tls_context
from lib.faulty_dot import answering, by_name, hold
from lib.http_clients import (
    CONTENT_TYPE,
    MEDIA_TYPE,
    METHODS,
    PATH,
    WAYS,
    Http1Client,
    Http2Client,
    Request,
    assert_answer,
    assert_own_response,
    assert_refusal,
    base64url,
    connect,
    get,
    post,
)
from lib.run_once import binary_of, run_to_end
from lib.timing import scaled

NAME = "www.example.test"

every_way = pytest.mark.parametrize("way", WAYS)
every_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def sotto(server, forward, encrypted_http):
    return forward(server, **encrypted_http)


@pytest.fixture
def client(sotto, way, authority):
    with connect(sotto, way, authority) as client:
        yield client


@every_way
@every_method
def test_a_query_and_its_answer(sotto, client, way, method):
    for ident in [0, 0xABCD]:
        response = client.exchange(METHODS[method](wire.query(NAME, ident=ident)))
        assert_own_response(response, NAME, ident)
        assert response.field("cache-control") == f"max-age={wire.DEFAULT_TTL}"
        sent = parsedate_to_datetime(response.field("date"))
        assert abs((datetime.now(timezone.utc) - sent).total_seconds()) < 5
        assert len(response.fields) == 4
    if client.encrypted:
        assert client.sock.selected_alpn_protocol() == client.alpn[0]
    assert sotto.count("HTTPS queries") == 2
    assert sotto.count("TCP queries") == sotto.count("TLS queries") == 0
    assert sotto.count("HTTP requests refused") == 0


@every_way
def test_the_oldest_form_of_a_query(client):
    """Without EDNS."""
    assert_own_response(client.exchange(get(wire.query(NAME, edns=False))), NAME)


# Requests that are right, if unusual

UNUSUAL = {
    "other parameters": Request("GET", f"{PATH}?x=1&dns={{}}&y&dnss=2&=3&&Dns=4"),
    "accept": Request("GET", f"{PATH}?dns={{}}", [("accept", MEDIA_TYPE)]),
    "another accept": Request("GET", f"{PATH}?dns={{}}", [("accept", "text/html")]),
    "a type of nothing": Request("GET", f"{PATH}?dns={{}}", [("content-type", "text/plain")]),
    "type in capitals": Request("POST", PATH, [("content-type", MEDIA_TYPE.upper())]),
    "parameters": Request("POST", PATH, [("content-type", f'{MEDIA_TYPE} ; a=b;c="d;e"')]),
    "an empty target query": Request("POST", f"{PATH}?", [CONTENT_TYPE]),
    "a target query": Request("POST", f"{PATH}?dns=AAAA&dns=*", [CONTENT_TYPE]),
    "many fields": Request(
        "POST", PATH, [CONTENT_TYPE, *((f"x-{n}", "v" * 100) for n in range(90))]
    ),
    "one long field": Request("POST", PATH, [CONTENT_TYPE, ("cookie", "c" * 15_000)]),
}


@every_way
def test_unusual_requests_that_are_right(client, way):
    query = wire.query(NAME)
    for request in UNUSUAL.values():
        target = request.target.replace("{}", base64url(query))
        body = query if request.method == "POST" else b""
        response = client.exchange(Request(request.method, target, request.fields, body))
        assert_own_response(response, NAME)


@every_way
def test_the_longest_of_each(dot_server, forward, encrypted_http, authority, way):
    """A target of 8 KiB, and a query of 65,535 octets."""
    server = dot_server()
    sotto = forward(server, **encrypted_http)
    with connect(sotto, way, authority) as client:
        target = get(wire.query(NAME)).target + "&x="
        target += "x" * (8192 - len(target))
        assert_own_response(client.exchange(Request("GET", target)), NAME)
        rest = 65535 - len(wire.query(NAME, options=[(65001, b"")]))
        message = wire.query(NAME, options=[(65001, bytes(rest))])
        assert len(message) == 65535
        assert_own_response(client.exchange(post(message)), NAME)


# Requests that are wrong

QUERY = wire.query(NAME)
ENCODED = base64url(QUERY)


def get_with(query: str) -> Request:
    return Request("GET", f"{PATH}?{query}")


WRONG_QUERIES = {
    "none": Request("GET", PATH),
    "an empty one": get_with(""),
    "other parameters only": get_with("ns=AAAA&dnss=AAAA&Dns=AAAA"),
    "dns alone": get_with("dns"),
    "empty dns": get_with("dns="),
    "twice": get_with(f"dns={ENCODED}&dns={ENCODED}"),
    "twice, once empty": get_with(f"dns={ENCODED}&dns="),
    "twice, once alone": get_with(f"dns&x&dns={ENCODED}"),
    "padded": get_with("dns=" + base64url(wire.query("w.test")) + "="),
    "padded twice": get_with(f"dns={ENCODED}=="),
    "one digit too many": get_with("dns=" + base64url(bytes(12)) + "A"),
    "bits behind the end": get_with("dns=" + base64url(bytes(13))[:-1] + "B"),
    "base64 of another kind": get_with("dns=" + "AAAA" * 10 + "AA+/"),
    "a blank": get_with("dns=" + "AAAA" * 10 + "%20"),
    "per cent": get_with("dns=" + "%41" * 32),
    "eleven octets": get_with("dns=" + base64url(QUERY[:11])),
    "an answer": get_with("dns=" + base64url(wire.query(NAME, flags=wire.QR))),
    "an empty body": post(b""),
    "a body of eleven octets": post(QUERY[:11]),
    "a body with an answer": post(wire.query(NAME, flags=wire.QR)),
    "a fragment": Request("GET", get(QUERY).target + "#x"),
}


@pytest.mark.parametrize("what", WRONG_QUERIES)
def test_requests_without_a_query_are_bad(sotto, server, authority, what):
    """C11"""
    for way in WAYS:
        with connect(sotto, way, authority) as client:
            assert_refusal(client.exchange(WRONG_QUERIES[what]), 400)
    assert not server.queries and sotto.count("HTTPS queries") == 0
    assert sotto.count("HTTP requests refused") == len(WAYS)


WRONG_TYPES = {
    "none": [],
    "an empty one": [("content-type", "")],
    "JSON": [("content-type", "application/dns-json")],
    "a form": [("content-type", "application/x-www-form-urlencoded")],
    "more behind it": [("content-type", f"{MEDIA_TYPE}s")],
    "two in one": [("content-type", f"{MEDIA_TYPE}, {MEDIA_TYPE}")],
    "two": [CONTENT_TYPE, CONTENT_TYPE],
}


@every_way
def test_bodies_of_other_types(sotto, server, authority, way):
    """C11"""
    for fields in WRONG_TYPES.values():
        with connect(sotto, way, authority) as client:
            assert_refusal(client.exchange(Request("POST", PATH, fields, QUERY)), 415)
    assert not server.queries and sotto.count("HTTP requests refused") == len(WRONG_TYPES)


PATHS = [
    "/",
    "/dns-query/",
    "/dns-querys",
    "/dns-quer",
    "/DNS-QUERY",
    "//dns-query",
    "/./dns-query",
    "/x/../dns-query",
    "/../../../etc/passwd",
    "/dns%2dquery",
    "/dns-query%00",
    "/dns-query;x",
    "/" + "x" * 5000,
]


@every_way
def test_other_paths_are_not_found(sotto, server, way, authority):
    """C11"""
    for path in PATHS:
        for method in METHODS.values():
            request = method(QUERY)
            request.target = request.target.replace(PATH, path, 1)
            with connect(sotto, way, authority) as client:
                assert_refusal(client.exchange(request), 404)
    assert not server.queries and sotto.count("HTTP requests refused") == 2 * len(PATHS)


OTHER_METHODS = [
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "get",
    "Post",
    "GETS",
    "G",
]


@every_way
def test_other_methods_are_not_allowed(sotto, server, way, authority):
    """C11; CONNECT has a form of its own in each version."""
    for method in OTHER_METHODS:
        for request in [Request(method, get(QUERY).target), Request(method, PATH, [], QUERY)]:
            with connect(sotto, way, authority) as client:
                assert_refusal(client.exchange(request), 405)
    assert not server.queries
    assert sotto.count("HTTP requests refused") == 2 * len(OTHER_METHODS)


@every_way
def test_a_response_to_head_has_no_body(client):
    """RFC 9110 section 9.3.2: the client takes what follows for the next response."""
    response = client.exchange(Request("HEAD", get(QUERY).target))
    assert_refusal(response, 405, body=False)
    assert response.body == b""
    assert_own_response(client.exchange(get(QUERY)), NAME)


@every_way
@pytest.mark.parametrize("size", [65_536, 200_000])
def test_bodies_over_the_bound(sotto, server, way, authority, size):
    """C11: said beforehand, it is refused before it comes; else when the bound is reached."""
    body = QUERY + bytes(size - len(QUERY))
    length = ("content-length", str(size))
    with connect(sotto, way, authority) as client:
        if isinstance(client, Http2Client):
            stream = client.open()
            client.send_octets(client.head(post(b"", length), stream))
            assert_refusal(client.receive(stream), 413)
            stream = client.open()
            client.send_octets(client.head(post(b""), stream))
            client.send_body(stream, body)
            assert_refusal(client.receive(stream), 413)
            assert_own_response(client.exchange(post(QUERY)), NAME)
        else:
            client.send(post(b"", length))
            assert_refusal(client.receive(), 413)
    if way.endswith("1.1"):
        with connect(sotto, way, authority) as client:
            client.send(post(b"", ("transfer-encoding", "chunked")))
            client.send_until_closed(b"%x\r\n%s\r\n0\r\n\r\n" % (size, body))
            assert_refusal(client.receive(), 413)
    assert sotto.count("HTTP requests refused") == 2
    assert {query.name for query in server.queries} <= {f"{NAME}."}


@every_way
def test_too_many_or_too_long_fields(sotto, server, way, authority):
    """C11"""
    many = [(f"x-{number}", "") for number in range(101)]
    for fields in [many, [("cookie", "c" * 17_000)], [("x", "y" * 400)] * 60]:
        with connect(sotto, way, authority) as client:
            client.send_until_closed(
                client.octets(get(QUERY, *fields))
                if isinstance(client, Http2Client)
                else f"GET {PATH} HTTP/1.1\r\nhost: x\r\n".encode()
                + b"".join(b"%s: %s\r\n" % (n.encode(), v.encode()) for n, v in fields)
            )
            response = client.receive(1) if isinstance(client, Http2Client) else client.receive()
            # Of the fields of HTTP/2 some may be too much for its library already.
            if response or way.endswith("1.1"):
                assert_refusal(response, 431)
    assert not server.queries and sotto.count("HTTPS queries") == 0


@every_way
def test_targets_that_are_too_long(sotto, server, client):
    """C11"""
    target = get(QUERY).target + "&x="
    request = Request("GET", target + "x" * (8193 - len(target)))
    assert_refusal(client.exchange(request), 414)
    assert not server.queries


# What DNS says is in the answer, and the status is 200 whatever it is

DNS_ERRORS = {
    "FORMERR": wire.message(0x1234, wire.RD, counts=(1, 0, 0, 0)),
    "NOTIMP": wire.query(NAME, flags=2 << 11),
    "BADVERS": wire.message(
        0x1234, 0, [wire.question(b"\1a\0")], additional=[wire.opt_record(version=1)]
    ),
}


@every_way
def test_errors_of_dns_are_no_errors_of_http(sotto, server, client, way):
    for what, message in DNS_ERRORS.items():
        for method in METHODS.values():
            response = client.exchange(method(message))
            reply = wire.parse(assert_answer(response, max_age=0))
            assert dns.rcode.to_text(reply.rcode()) == what and reply.id == 0x1234
    assert not server.queries and sotto.count("HTTP requests refused") == 0


@pytest.mark.parametrize("way", ["https h2", "http 1.1"])
def test_errors_of_upstreams(dot_server, forward, encrypted_http, authority, way):
    server = dot_server(on_query=answering(rcode=dns.rcode.SERVFAIL))
    sotto = forward(server, **encrypted_http)
    with connect(sotto, way, authority) as client:
        reply = wire.parse(assert_answer(client.exchange(get(QUERY)), max_age=0))
        assert reply.rcode() == dns.rcode.SERVFAIL
        local = wire.parse(assert_answer(client.exchange(get(wire.query("name.invalid")))))
        assert local.rcode() == dns.rcode.NXDOMAIN


def records(*ttls: int) -> list[bytes]:
    return [
        wire.record(wire.QUESTION_POINTER, wire.A, bytes([192, 0, 2, number]), ttl)
        for number, ttl in enumerate(ttls)
    ]


FRESHNESS = {
    "one": (answering(answer=records(77)), 77),
    "the lowest": (answering(answer=records(300, 20, 100)), 20),
    "zero": (answering(answer=records(300, 0)), 0),
    "a week": (answering(answer=records(604800)), 604800),
    "not of other sections": (
        answering(
            answer=records(300),
            authority=[wire.record(wire.QUESTION_POINTER, wire.NS, b"\xc0\x0c", ttl=5)],
            additional=records(4),
        ),
        300,
    ),
    "an alias to nothing": (
        answering(
            answer=[wire.record(wire.QUESTION_POINTER, wire.CNAME, b"\1x\0", ttl=300)],
            authority=[wire.soa_record(minimum=60)],
        ),
        60,
    ),
    "no such name": (answering(rcode=3, authority=[wire.soa_record(minimum=60)]), 60),
    "its SOA's own": (answering(rcode=3, authority=[wire.soa_record(minimum=60, ttl=30)]), 30),
    "no such type": (answering(answer=[], authority=[wire.soa_record(minimum=45)]), 45),
    "no such name, and no SOA": (answering(rcode=3), 0),
    "nothing at all": (answering(answer=[]), 0),
}


@pytest.mark.parametrize("what", FRESHNESS)
def test_how_long_caches_may_keep_it(dot_server, forward, encrypted_http, authority, what):
    """RFC 8484 section 5.1; never longer than the reply itself says."""
    script, max_age = FRESHNESS[what]
    sotto = forward(dot_server(on_query=script), **encrypted_http)
    for way in ["https h2", "http 1.1"]:
        with connect(sotto, way, authority) as client:
            assert_answer(client.exchange(get(QUERY)), max_age=max_age)


def test_what_was_kept_for_a_while_is_fresh_for_less(server, forward, encrypted_http, authority):
    """max-age follows the TTL as the cache counts it down."""
    sotto = forward(server, **encrypted_http, cache={"size": "1MiB"})
    assert_own_answer(ask(sotto.address, NAME), NAME)
    with connect(sotto, "https h2", authority) as client:
        response = client.exchange(get(QUERY))
        ttl = wire.parse(response.body).answer[0].ttl
        assert_answer(response, max_age=ttl)
    assert sotto.count("cache hits") == 1 and len(server.queries) == 1


def test_a_negative_answer_from_the_cache(dot_server, forward, encrypted_http, authority):
    server = dot_server(on_query=answering(**negative(wire.NXDOMAIN)))
    sotto = forward(server, **encrypted_http, cache={"size": "1MiB"})
    with connect(sotto, "http h2") as client:
        for _ in range(2):
            response = client.exchange(get(wire.query("no.test")))
            (soa,) = wire.parse(response.body).authority
            assert_answer(response, max_age=min(soa.ttl, soa[0].minimum))
    assert len(server.queries) == 1


# EDNS


@every_way
def test_padding_and_keepalive(sotto, client, way):
    """RFC 8467: padded as the query was; what is http:// here was https:// to the client.
    RFC 7828 is for the connections of DNS itself."""
    query = dns.message.make_query(NAME, "A", use_edns=0, pad=128)
    query.use_edns(0, options=[dns.edns.GenericOption(11, b"")], pad=128)
    message = assert_answer(client.exchange(post(query.to_wire())))
    codes = {option.otype for option in wire.parse(message).options}
    assert 11 not in codes
    assert len(message) % 468 == 0 and 12 in codes
    plain = assert_answer(client.exchange(post(QUERY)))
    assert not wire.parse(plain).options


def test_the_size_that_a_client_takes_over_udp_is_no_bound(
    dot_server, forward, encrypted_http, authority
):
    """The answer comes whole, through windows of any size."""
    record = wire.record(wire.QUESTION_POINTER, wire.TXT, b"\xc8" + bytes(200))
    sotto = forward(dot_server(on_query=answering(answer=[record] * 290)), **encrypted_http)
    for way in WAYS:
        with connect(sotto, way, authority) as client:
            for size in [512, 1232]:
                query = wire.query("big.test", wire.TXT, size=size)
                message = assert_answer(client.exchange(get(query)))
                assert len(message) > 60_000 and not message[2] & 2


# Connections


@pytest.mark.parametrize("way", ["https h2", "http h2"])
def test_streams_are_answered_as_the_answers_come(
    dot_server, forward, encrypted_http, authority, way
):
    server = dot_server(on_query=by_name(slow=hold))
    sotto = forward(server, **encrypted_http)
    with connect(sotto, way, authority) as client:
        slow = client.send(get(wire.query("slow.test")))
        streams = [client.send(post(wire.query(f"n{n}.test", ident=n))) for n in range(60)]
        for number, response in enumerate(client.receive_all(streams)):
            assert_own_response(response, f"n{number}.test", number)
        (query,) = server.queries_for("slow.test.")
        query.connection.answer(query)
        assert_own_response(client.receive(slow), "slow.test")
    assert sotto.count("HTTPS queries") == 61


@every_way
def test_after_a_wrong_request_a_right_one(sotto, way, authority):
    """Where the next request begins is known, so the connection lives on."""
    with connect(sotto, way, authority) as client:
        for wrong, status in [(get_with("dns=*"), 400), (Request("GET", "/"), 404)]:
            assert_refusal(client.exchange(wrong), status)
            assert_own_response(client.exchange(get(QUERY)), NAME)


@every_way
def test_many_clients_at_once(sotto, way, authority):
    clients = [connect(sotto, way, authority) for _ in range(10)]
    with Bystanders(sotto.address):
        requests = [get(wire.query(f"n{n}.test")) for n in range(len(clients))]
        sent = [client.send(request) for client, request in zip(clients, requests)]
        for number, (client, stream) in enumerate(zip(clients, sent)):
            response = client.receive(*[stream] if stream else [])
            assert_own_response(response, f"n{number}.test")
            client.sock.close()


def test_a_new_client_takes_the_place_of_the_longest_idle(
    server, forward, encrypted_http, authority
):
    """C3"""
    sotto = forward(server, **encrypted_http, tcp={"max-connections": 3}, process={"workers": 1})
    with TcpClient(sotto.listener("https")) as silent:
        sotto.wait_count("connections accepted")
        clients = [connect(sotto, way, authority) for way in list(WAYS)[:3]]
        assert silent.receive() == b""
        for number, client in enumerate(clients):
            assert_own_response(
                client.exchange(get(wire.query(f"n{number}.test"))), f"n{number}.test"
            )
            client.sock.close()
    assert sotto.count("evicted clients") == 1


# TLS


def alpn_context(authority, *protocols: str) -> ssl.SSLContext:
    if protocols:
        return tls_context(authority, alpn=protocols)
    return ssl.create_default_context(cafile=str(authority.ca_path))


def test_the_version_is_agreed_by_alpn(sotto, authority):
    """RFC 7301; the client's first choice, and whoever names none at all means HTTP/1.1."""
    place = sotto.listener("https")
    for protocols in [("h2", "http/1.1"), ("x", "h2")]:
        with Http2Client(place, alpn_context(authority, *protocols)) as client:
            assert client.sock.selected_alpn_protocol() == "h2"
            assert_own_response(client.exchange(get(QUERY)), NAME)
    for protocols in [("http/1.1",), ("h3", "http/1.1", "http/1.0"), ("http/1.1", "h2"), ()]:
        with Http1Client(place, alpn_context(authority, *protocols)) as client:
            assert client.sock.selected_alpn_protocol() == ("http/1.1" if protocols else None)
            assert_own_response(client.exchange(get(QUERY)), NAME)
    for protocols in [("dot",), ("h3",), ("http/1.0", "h2c")]:
        with pytest.raises(ssl.SSLError, match="(?i)no application protocol"):
            Http1Client(place, alpn_context(authority, *protocols))
    assert sotto.count("handshakes") == 6


def test_http2_without_having_agreed_on_it(sotto, server, authority):
    """RFC 9113 section 3.2: over TLS it is ALPN that says so, and nothing else."""
    with Http2Client(sotto.listener("https"), alpn_context(authority)) as client:
        assert client.sock.recv(4096).startswith(b"HTTP/1.1 ")
    assert not server.queries


@pytest.mark.parametrize("way", ["https h2", "https 1.1"])
def test_a_session_is_resumed(sotto, authority, way):
    """With any worker."""
    context = tls_context(authority, WAYS[way][1].alpn)
    with connect(sotto, way, context=context) as client:
        assert_own_response(client.exchange(get(QUERY)), NAME)
        session = client.sock.session
    assert session.has_ticket
    place = sotto.listener("https")
    with socket.create_connection(tuple(place)) as sock:
        sock.settimeout(scaled(5))
        with context.wrap_socket(sock, server_hostname="dot.test", session=session) as tls:
            assert tls.session_reused and tls.selected_alpn_protocol() == WAYS[way][1].alpn[0]
    assert sotto.wait_count("handshakes resumed") == 1


def test_each_listener_may_have_its_own_certificate_and_authority_of_clients(
    server, forward, authority, other_authority
):
    own = authority.issue(names=["own.test"])
    sotto = forward(
        server,
        listen=[
            {
                "url": "https://127.0.0.1:0",
                "certificates": [certificate_files(own)],
                "client-ca-file": str(authority.ca_path),
            }
        ],
    )

    def ask_with(identity) -> bool:
        context = tls_context(authority, ("h2",))
        if identity:
            context.load_cert_chain(identity.chain_path, identity.key_path)
        try:
            with Http2Client(sotto.address, context, name="own.test") as client:
                response = client.exchange(get(QUERY))
        except (ssl.SSLError, ConnectionError):
            return False
        return response is not None

    def client_of(issuer):
        return issuer.issue(names=["client.test"], purpose=ExtendedKeyUsageOID.CLIENT_AUTH)

    assert ask_with(client_of(authority))
    assert not ask_with(None)
    assert not ask_with(client_of(other_authority))
    assert sotto.count("HTTPS queries") == 1


def test_a_client_that_does_not_trust_us_is_in_the_log(sotto, other_authority):
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(sotto, "https h2", other_authority)
    sotto.wait_log("TLS with 127.0.0.1:.* failed: .*may not trust the certificate")


@pytest.mark.parametrize(
    "octets",
    [
        wire.framed(QUERY),
        b"GET /dns-query HTTP/1.1\r\nHost: dot.test\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + bytes(1000),
    ],
    ids=["plain DNS", "plain HTTP", "an oversized record"],
)
def test_what_is_not_tls_is_refused(sotto, octets):
    """C9"""
    with Bystanders(sotto.address), TcpClient(sotto.listener("https")) as client:
        client.send_octets(octets)
        try:
            while client.sock.recv(4096):
                pass
        except ConnectionError:
            pass
    sotto.wait_count("handshakes failed")
    assert sotto.count("handshakes") == sotto.count("HTTPS queries") == 0


# Paths, ports, and the command line


def test_each_listener_has_its_own_path(server, forward, encrypted_http, authority):
    listen = [
        "https://127.0.0.1:0",
        "https://127.0.0.2:0/dns-query",
        "https://[::1]:0/some/secret.path",
        "http://127.0.0.1:0/",
        "http://[::1]:0/q",
    ]
    sotto = forward(server, listen=listen, tls=encrypted_http["tls"])
    paths = ["/dns-query", "/dns-query", "/some/secret.path", "/", "/q"]
    for (scheme, place), path in zip(sotto.listeners, paths):
        for way in [way for way, (kind, _) in WAYS.items() if kind == scheme]:
            with connect(sotto, way, authority, at=place) as client:
                for asked in sorted({"/", "/dns-query", "/q", path}):
                    response = client.exchange(get(QUERY, path=asked))
                    if asked == path:
                        assert_own_response(response, NAME)
                    else:
                        assert_refusal(response, 404)
                        assert path.encode() in response.body


def test_from_the_command_line(start_sotto, server, authority, identity):
    sotto = start_sotto(
        arguments=[
            *("-l", "dns://127.0.0.1:0", "-l", "https://127.0.0.1:0/x", "-l", "http://127.0.0.1:0"),
            *("--cert", identity.chain_path, "--key", identity.key_path),
            *("-u", server.url, "--ca-file", authority.ca_path),
        ]
    )
    with connect(sotto, "https h2", authority) as client:
        assert_own_response(client.exchange(get(QUERY, path="/x")), NAME)
    with connect(sotto, "http 1.1") as client:
        assert_own_response(client.exchange(get(QUERY)), NAME)


WRONG_URLS = [
    "https://127.0.0.1:0/a?b",
    "https://127.0.0.1:0/a#b",
    "https://127.0.0.1:0/a b",
    "dns://127.0.0.1:0/path",
    "tls://127.0.0.1:0/path",
    "https://127.0.0.1:0/ä",
]


@pytest.mark.parametrize("url", WRONG_URLS)
def test_urls_that_no_client_could_ask(request, identity, url):
    files = ["--cert", identity.chain_path, "--key", identity.key_path]
    done = run_to_end([binary_of(request), "-l", url, *files, "--check-config"])
    assert done.returncode == 2 and url.rpartition("/")[0] in done.stderr, done.stderr


def test_without_a_certificate_there_is_no_https(request):
    done = run_to_end([binary_of(request), "-l", "https://127.0.0.1:0", "--check-config"])
    assert done.returncode == 2 and "certificate" in done.stderr, done.stderr


# The end, and reloads


@every_way
def test_connections_survive_a_reload(sotto, client):
    for number in range(3):
        assert_own_response(client.exchange(get(wire.query(f"n{number}.test"))), f"n{number}.test")
        sotto.reload()


def without(config: dict, scheme: str) -> dict:
    listen = [url for url in config["listen"] if not url.startswith(f"{scheme}:")]
    return {**config, "listen": listen}


@every_way
def test_a_listener_that_goes_answers_what_was_asked_and_closes(
    dot_server, forward, encrypted_http, authority, way
):
    server = dot_server(on_query=by_name(held=hold))
    sotto = forward(server, **encrypted_http)
    scheme = WAYS[way][0]
    place = sotto.listener(scheme)
    with connect(sotto, way, authority) as client, connect(sotto, way, authority) as idle:
        assert_own_response(idle.exchange(get(QUERY)), NAME)
        stream = client.send(get(wire.query("held.test")))
        server.wait_for(lambda: server.queries_for("held.test."), "the query")
        sotto.reload(without(sotto.config, scheme))
        if isinstance(client, Http2Client):
            assert client.wait_goaway() == idle.wait_goaway() == 0
        (query,) = server.queries_for("held.test.")
        query.connection.answer(query)
        assert_own_response(client.receive(*[stream] if stream else []), "held.test")
        assert client.is_closed() and idle.is_closed()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(tuple(place))
    assert_own_answer(ask(sotto.address, NAME), NAME)


@every_way
def test_an_answer_on_its_way_is_still_given_at_the_end(
    dot_server, forward, encrypted_http, authority, way
):
    server = dot_server(on_query=lambda conn, query: conn.later(0.4, conn.answer, query))
    sotto = forward(server, **encrypted_http)
    with connect(sotto, way, authority) as client:
        stream = client.send(post(wire.query("last.test")))
        server.wait_queries(1)
        sotto.signal(15)
        assert_own_response(client.receive(*[stream] if stream else []), "last.test")
        assert client.is_closed()
    sotto.expect_exit(0)


@pytest.mark.parametrize("way", ["http h2", "http 1.1"])
def test_another_path_from_a_reload_on(sotto, way):
    """Connections that know the old one end."""
    place = sotto.listener("http")
    with connect(sotto, way) as client:
        assert_own_response(client.exchange(get(QUERY)), NAME)
        listen = ["dns://127.0.0.1:0", f"http://127.0.0.1:{place.port}/new"]
        # First by its number: a port that the kernel chose is another one each time.
        sotto.reload({**sotto.config, "listen": listen})
    with connect(sotto, way, at=place) as client:
        assert_own_response(client.exchange(get(QUERY, path="/new")), NAME)
        assert_refusal(client.exchange(get(QUERY)), 404)
        listen = ["dns://127.0.0.1:0", f"http://127.0.0.1:{place.port}/newer"]
        sotto.reload({**sotto.config, "listen": listen})
        assert client.is_closed()
    with connect(sotto, way, at=place) as client:
        assert_own_response(client.exchange(get(QUERY, path="/newer")), NAME)


def test_the_same_port_with_tls_instead_of_without(server, forward, encrypted_http, authority):
    sotto = forward(server, listen=["dns://127.0.0.1:0", "http://127.0.0.1:0"])
    place = sotto.listener("http")
    for scheme, way in [("https", "https h2"), ("http", "http h2"), ("tcp", None)]:
        listen = ["dns://127.0.0.1:0", f"{scheme}://127.0.0.1:{place.port}"]
        sotto.reload({**sotto.config, "listen": listen, "tls": encrypted_http["tls"]})
        if way:
            with connect(sotto, way, authority, at=place) as client:
                assert_own_response(client.exchange(get(QUERY)), NAME)
        else:
            assert_own_answer(ask(Address("127.0.0.1", place.port), NAME, tcp=True), NAME)
