"""The admin's pages: health, who may ask, and those who abuse it."""

import contextlib
import http.client
import socket
import time

import dns.rcode
import pytest

from lib import dns_wire as wire
from lib import unprivileged
from lib.admin import LISTEN, Metrics, address_of, get, is_ready, request
from lib.clients import Bystanders, UdpClient, ask, assert_own_answer
from lib.faulty_dot import hold
from lib.ports import own_address
from lib.run_once import binary_of, run_to_end
from lib.timing import scaled, wait_until

TOKEN = "a-token-of-some-length"
CLIENTS_MAX = 16  # ADMIN_CLIENTS_MAX
REQUEST_TIMEOUT = 10.0  # ADMIN_REQUEST_TIMEOUT


@pytest.fixture
def watched(forward):
    def start(*servers, admin=None, **options):
        return forward(*servers, admin={**LISTEN, **(admin or {})}, **options)

    return start


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def connect(sotto) -> socket.socket:
    return socket.create_connection(tuple(address_of(sotto)), timeout=scaled(20))


def receive_all(sock) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while octets := sock.recv(1 << 16):
            received += octets
    return received


# Health


def test_alive_and_ready(server, watched):
    sotto = watched(server)
    response = get(sotto, "/healthz")
    assert (response.status, response.body) == (200, "alive\n")
    wait_until(lambda: is_ready(sotto), 5, "the upstream is found, though nobody asks anything")
    assert get(sotto, "/readyz").body == "ready\n"


def test_ready_follows_the_upstream(server, watched):
    sotto = watched(server)
    wait_until(lambda: is_ready(sotto), 5, "ready")
    server.go_down()
    assert ask(sotto.address, "name.test").rcode() == dns.rcode.SERVFAIL
    wait_until(lambda: not is_ready(sotto), 5, "not ready")
    response = get(sotto, "/readyz")
    assert response.status == 503
    assert response.body.startswith(f"not ready: no upstream is usable: {server.url}: connect: ")
    assert get(sotto, "/healthz").status == 200
    server.come_back()
    # Nobody asks anything, as when a load balancer has taken us out.
    wait_until(lambda: is_ready(sotto), 5, "ready again")


def test_ready_while_the_cache_serves(server, watched):
    sotto = watched(server, cache={"size": "1MiB"}, process={"workers": 1})
    ask(sotto.address, "known.test")
    server.go_down()
    ask(sotto.address, "unknown.test")
    for _ in range(5):
        assert_own_answer(ask(sotto.address, "known.test"), "known.test")
    assert is_ready(sotto)
    wait_until(lambda: not is_ready(sotto), 15, "it serves nobody any more", interval=0.5)


def test_not_ready_first_of_all_at_the_end(dot_server, watched):
    server = dot_server(on_query=hold)
    sotto = watched(server, timeout=10.0)
    wait_until(lambda: is_ready(sotto), 5, "ready")
    with UdpClient(sotto.address) as client:
        client.send(wire.query("last.test"))
        server.wait_queries(1)
        sotto.signal(15)
        wait_until(lambda: not is_ready(sotto), 5, "not ready any more")
        assert get(sotto, "/readyz").body == "not ready: it is stopping\n"
        assert get(sotto, "/healthz").status == 200
        metrics = Metrics.of(sotto)  # without asking those who stop
        assert metrics("sotto_ready") == metrics("sotto_workers_responding") == 0
        assert metrics("sotto_queries_total") == 1
        server.queries[0].connection.answer(server.queries[0])
        client.receive()
    sotto.expect_exit(0)


# Where


def test_off_by_default(sotto):
    assert not sotto.log_lines(r"metrics and health")


def test_on_the_command_line(server, start_sotto, authority):
    arguments = ["-l", "127.0.0.1:0", "-u", server.url, "--ca-file", authority.ca_path]
    sotto = start_sotto(arguments=[*arguments, "--admin", "http://[::1]:0"])
    assert address_of(sotto).host == "::1"
    assert get(sotto, "/healthz").status == 200


def test_a_port_that_is_taken(request, server, authority):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = run_to_end([binary_of(request), "-l", "127.0.0.1:0", "--admin", url])
    assert done.returncode == 1
    assert f"cannot listen on {url}: Address already in use: another program" in done.stderr


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "192.0.2.1"])
def test_others_need_a_token(request, address):
    done = run_to_end([binary_of(request), "--admin", f"http://{address}:8053", "-t"])
    assert done.returncode == 2
    assert "takes a token: set admin.token-file" in done.stderr


@pytest.mark.parametrize(
    "text, problem",
    [
        ("short", "at least 16 characters"),
        ("x" * 257, "at most 256 characters"),
        (f"{TOKEN}\n{TOKEN}\n", "more than one line"),
        ("with blanks inside it", "visible ASCII"),
        ("", "at least 16 characters"),
        (None, "No such file"),
    ],
)
def test_token_files_that_are_wrong(request, tmp_path, text, problem):
    path = tmp_path / "token"
    if text is not None:
        path.write_text(text)
    config = tmp_path / "sotto.yaml"
    config.write_text(f"admin: {{listen: 'http://127.0.0.1:0', token-file: {path}}}\n")
    done = run_to_end([binary_of(request), "-c", config, "-t"])
    assert done.returncode == 2 and problem in done.stderr
    assert not text or text not in done.stderr


@pytest.mark.skipif(not unprivileged.available(), reason="needs root and setpriv")
def test_opened_before_privileges_are_given_up(server, start_sotto, authority, token_file):
    host, _ = own_address()
    token_file.chmod(0o600)
    for folder in [token_file, *token_file.parents][1:-2]:
        folder.chmod(0o755)
    sotto = start_sotto(
        {
            "upstream": {"servers": [{"url": server.url}]},
            "admin": {"listen": f"http://{host}:81", "token-file": str(token_file)},
            "user": "nobody",
        }
    )
    assert get(sotto, "/healthz").status == 200


# Who may ask


def test_hosts(server, watched):
    sotto = watched(server, admin={"hosts": ["dns.example"]})
    for host in ["127.0.0.1", "localhost:1", "[::1]:8053", "DNS.example"]:
        assert get(sotto, "/healthz", Host=host).status == 200
    for host in ["evil.test", "localhost.evil.test", "evil.test:8053", ""]:
        for path in ["/healthz", "/metrics", "/nothing"]:
            response = get(sotto, path, Host=host)
            assert response.status in (400, 421), (host, response)
            assert "sotto_" not in response.body
    sotto.wait_log("refused a request for a host that is not ours")


def test_a_token_on_loopback(server, watched, token_file):
    """Metrics and health are free there; what is neither needs it."""
    sotto = watched(server, admin={"token-file": str(token_file)})
    for path in ["/healthz", "/metrics"]:
        assert get(sotto, path).status == 200
    assert get(sotto, "/nothing").status == 401
    assert get(sotto, "/nothing", Authorization=f"Bearer {TOKEN}").status == 404


def test_a_token_elsewhere(server, watched, token_file):
    sotto = watched(server, admin={"listen": "http://0.0.0.0:0", "token-file": str(token_file)})
    assert get(sotto, "/healthz").status == 200
    assert get(sotto, "/readyz").status in (200, 503)
    for wrong in ["", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN]:
        response = get(sotto, "/metrics", Authorization=wrong)
        assert response.status == 401 and "sotto_" not in response.body
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert get(sotto, f"/metrics?token={TOKEN}").status == 401
    assert Metrics.of(sotto, Authorization=f"Bearer {TOKEN}")("sotto_build_info") == 1
    sotto.wait_log("refused a request without the token")


def test_a_reload_takes_another_token(server, watched, token_file):
    admin = {"listen": "http://0.0.0.0:0", "token-file": str(token_file)}
    sotto = watched(server, admin=admin)
    token_file.write_text("another-token-than-before")
    sotto.reload({**sotto.config, "admin": {**admin, "hosts": ["new.example"]}})
    assert get(sotto, "/metrics", Authorization=f"Bearer {TOKEN}").status == 401
    authorization = "Bearer another-token-than-before"
    assert get(sotto, "/metrics", Authorization=authorization).status == 200
    assert get(sotto, "/healthz", Host="new.example").status == 200
    assert not sotto.log_lines("takes a restart")
    token_file.write_text("short")
    sotto.signal(1)
    sotto.wait_log("reload failed: admin.token-file")
    assert get(sotto, "/metrics", Authorization=authorization).status == 200
    token_file.write_text(TOKEN)
    sotto.reload({**sotto.config, "admin": {**admin, "listen": "http://127.0.0.1:1"}})
    sotto.wait_log("admin.listen: another address takes a restart")


# What browsers are told


def test_headers(server, watched):
    sotto = watched(server)
    for path, status in [("/healthz", 200), ("/metrics", 200), ("/nothing", 404)]:
        response = get(sotto, path)
        assert response.status == status
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Access-Control-Allow-Origin"] is None


def test_methods(server, watched):
    sotto = watched(server)
    address = address_of(sotto)
    head = request(address, "HEAD", "/healthz")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, "", "6")
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"]:
        response = request(address, method, "/metrics", body="x=1")
        assert (response.status, response.headers["Allow"]) == (405, "GET")
    for path in ["/", "/metrics/", "//metrics", "/..%2fmetrics", "/metricsx"]:
        assert request(address, "GET", path).status == 404, path


def test_several_requests_on_a_connection(server, watched):
    sotto = watched(server)
    address = address_of(sotto)
    connection = http.client.HTTPConnection(address.host, address.port, timeout=scaled(10))
    for _ in range(3):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"alive\n"
    connection.close()


# Those who abuse it


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"GET\r\n\r\n",
    b"GET /metrics HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"GET http://evil.test/metrics HTTP/1.1\r\nHost: evil.test\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n"[:-2] + bytes(2000),
    b"\0" * 5000,
    b"\r\n" * 5000,
]


def test_garbage(server, watched):
    sotto = watched(server)
    with Bystanders(sotto.address), contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(sotto)) for _ in GARBAGE]
        for sock, octets in zip(socks, GARBAGE):
            with contextlib.suppress(ConnectionError):
                sock.sendall(octets)
                sock.shutdown(socket.SHUT_WR)
        # Of some it waits for the rest, but not for long.
        for sock in socks:
            receive_all(sock)
    assert get(sotto, "/healthz").status == 200


def test_huge_heads(server, watched):
    sotto = watched(server)
    before = sotto.resident_kib()
    with Bystanders(sotto.address):
        for name in [b"A: ", b"Host: ", b"Authorization: Bearer ", b"Accept: "]:
            with connect(sotto) as sock:
                with contextlib.suppress(ConnectionError):
                    sock.sendall(b"GET /metrics HTTP/1.1\r\n" + name)
                    for _ in range(200):
                        sock.sendall(b"x" * 10000)
                response = receive_all(sock)
                assert not response or b" 431 " in response or b" 413 " in response
    assert get(sotto, "/healthz").status == 200
    sotto.assert_not_grown(before, 10_000)


def test_a_client_that_drips(server, watched):
    """A request must be whole in time, however many octets come meanwhile."""
    sotto = watched(server)
    with connect(sotto) as sock, Bystanders(sotto.address):
        sock.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        started = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() < started + scaled(3 * REQUEST_TIMEOUT):
                sock.sendall(b"x")
                time.sleep(0.2)
        assert time.monotonic() - started >= REQUEST_TIMEOUT - 1


def test_idle_clients_make_room(server, watched):
    sotto = watched(server)
    with contextlib.ExitStack() as stack, Bystanders(sotto.address):
        idle = [stack.enter_context(connect(sotto)) for _ in range(4 * CLIENTS_MAX)]
        started = time.monotonic()
        for _ in range(5):
            assert get(sotto, "/healthz").status == 200
        assert time.monotonic() - started < scaled(5)
        assert sotto.open_files() < 4 * CLIENTS_MAX
        idle[0].settimeout(scaled(5))
        assert receive_all(idle[0]) == b""  # the one that had been silent for longest


def test_a_client_that_does_not_read(server, watched):
    sotto = watched(server)
    address = address_of(sotto)
    with socket.socket() as sock, Bystanders(sotto.address):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.connect(tuple(address))
        sock.settimeout(scaled(2))
        one = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with contextlib.suppress(TimeoutError, ConnectionError):
            sock.sendall(one * 2000)
        assert get(sotto, "/healthz").status == 200
