"""Real clients of DNS over HTTPS in front of the program: tools, libraries, load generators."""

import http.server
import re
import subprocess
import threading

import dns.message
import dns.query
import pytest

from lib import dns_wire as wire
from lib.clients import assert_own_answer, assert_own_raw, dig, kdig
from lib.faulty_dot import answering, answering_from
from lib.http_clients import MEDIA_TYPE, PATH, base64url
from lib.run_once import run_to_end
from lib.timing import scaled

NAME = "www.example.test"
QUERY = wire.query(NAME)


@pytest.fixture
def sotto(server, forward, encrypted_http):
    return forward(server, **encrypted_http)


@pytest.fixture
def place(sotto):
    return sotto.listener("https")


@pytest.fixture
def plain(sotto):
    return sotto.listener("http")


@pytest.fixture
def own_address() -> str:
    return ".".join(map(str, wire.derived_rdata(wire.name_wire(NAME), wire.A)))


@pytest.fixture
def url(place) -> str:
    return f"https://127.0.0.1:{place.port}{PATH}"


# Tools of DNS


@pytest.mark.parametrize("method", [[], ["+https-get"]], ids=["POST", "GET"])
def test_kdig(sotto, place, authority, other_authority, own_address, method):
    """By name, by authority; and it finds out when the authority is another one."""
    right = [f"+tls-ca={authority.ca_path}", "+tls-hostname=dot.test", *method]
    output = kdig(place, "+https", *right, NAME, "A")
    assert own_address in output and "HTTP/2" in output and "status: NOERROR" in output
    assert own_address in kdig(place, f"+https=dot.test{PATH}", *right, NAME, "A")
    assert "404" in kdig(place, "+https=dot.test/other", *right, NAME, "A")
    wrong = [f"+tls-ca={other_authority.ca_path}", "+tls-hostname=dot.test"]
    assert "handshake failed" in kdig(place, "+https", *wrong, *method, NAME, "A")
    assert sotto.count("HTTPS queries") == 2


def test_kdig_pads(place, sotto):
    """RFC 8467: it does over HTTPS by itself."""
    output = kdig(place, "+https", "+padding", NAME, "A")
    assert "Received 468 B" in output, output


@pytest.mark.parametrize("method", ["+https", "+https-get"])
def test_dig(sotto, place, authority, other_authority, own_address, method):
    right = [method, f"+tls-ca={authority.ca_path}", "+tls-hostname=dot.test"]
    output = dig(place, *right, NAME, "A")
    assert own_address in output and "(HTTPS" in output, output
    assert own_address in dig(place, f"{method}={PATH}", NAME, "A")
    assert own_address not in dig(place, f"{method}=/other", NAME, "A")
    wrong = [method, f"+tls-ca={other_authority.ca_path}", "+tls-hostname=dot.test"]
    assert own_address not in dig(place, *wrong, NAME, "A")
    assert sotto.count("HTTPS queries") == 2


@pytest.mark.parametrize("method", ["+http-plain", "+http-plain-get"])
def test_dig_in_the_clear(sotto, plain, own_address, method):
    """HTTP/2 without TLS."""
    output = dig(plain, method, NAME, "A")
    assert own_address in output and "(HTTP" in output, output
    assert sotto.count("HTTPS queries") == 1


def test_large_answers(dot_server, forward, encrypted_http):
    """Through the windows that each has."""
    record = wire.record(wire.QUESTION_POINTER, wire.TXT, b"\xc8" + b"x" * 200)
    sotto = forward(dot_server(on_query=answering(answer=[record] * 290)), **encrypted_http)
    place, plain = sotto.listener("https"), sotto.listener("http")
    for output in [
        kdig(place, "+https", "big.test", "TXT"),
        dig(place, "+https", "big.test", "TXT"),
        dig(plain, "+http-plain-get", "big.test", "TXT"),
    ]:
        assert output.count("x" * 200) == 290


# Libraries


@pytest.mark.parametrize("post", [True, False], ids=["POST", "GET"])
def test_dnspython(sotto, url, authority, post):
    """By httpx, and h2: libraries that are strict about what a server sends."""
    httpx = pytest.importorskip("httpx")
    # Over the address, since nothing here knows the name.
    with httpx.Client(http1=True, http2=True, verify=str(authority.ca_path)) as session:
        for number in range(20):
            name = f"n{number}.example.test"
            query = dns.message.make_query(name, "A", use_edns=0)
            reply = dns.query.https(query, url, scaled(5), session=session, post=post)
            assert_own_answer(reply, name)
    assert sotto.count("HTTPS queries") == 20 and sotto.count("connections accepted") == 1


# curl


def curl(*arguments, input=b"") -> tuple[bytes, str]:
    """The body, and what was said about it."""
    written = "\n%{http_version} %{http_code} %{content_type}"
    command = ["curl", "-sS", "--noproxy", "*", "-w", written, "--max-time", str(int(scaled(10)))]
    done = subprocess.run(
        [*command, *map(str, arguments)], input=input, capture_output=True, timeout=scaled(30)
    )
    assert done.returncode == 0, done.stderr
    body, _, said = done.stdout.rpartition(b"\n")
    return body, said.decode()


VERSIONS = {
    "https h2": ("https", "--http2", "2"),
    "https 1.1": ("https", "--http1.1", "1.1"),
    "https 1.0": ("https", "--http1.0", "1.1"),
    "http 1.1": ("http", "--http1.1", "1.1"),
    "http by upgrade": ("http", "--http2", "1.1"),
    "http h2": ("http", "--http2-prior-knowledge", "2"),
}


@pytest.mark.parametrize("way", VERSIONS)
def test_curl(sotto, place, plain, authority, way):
    """Messages by GET and POST, also of unknown length, and with what is expected first."""
    scheme, option, version = VERSIONS[way]
    port = (place if scheme == "https" else plain).port
    url = f"{scheme}://127.0.0.1:{port}{PATH}"
    common = [option, "--cacert", authority.ca_path]
    if option == "--http1.0":
        common.append("--no-alpn")  # there is no such protocol here to agree on
    type = ["-H", f"content-type: {MEDIA_TYPE}"]
    right = f"{version} 200 {MEDIA_TYPE}"

    body, said = curl(*common, f"{url}?dns={base64url(QUERY)}")
    assert_own_raw(body, NAME)
    assert said == right
    sent = [["--data-binary", "@-"]]
    if option != "--http1.0":
        sent.append(["-H", "transfer-encoding: chunked", "--data-binary", "@-"])
        sent.append(["-H", "expect: 100-continue", "--data-binary", "@-"])
        sent.append(["-X", "POST", "-T", "-"])
    for arguments in sent:
        body, said = curl(*common, *type, *arguments, url, input=QUERY)
        assert_own_raw(body, NAME)
        assert said == right
    body, said = curl(*common, f"http{url[4:]}?dns=*")
    assert said.startswith(f"{version} 400 text/plain") and b"base64url" in body
    if version != "2":
        # By HTTP/2 this version of curl takes the reset behind the response for an error.
        body, said = curl(*common, *type, "--data-binary", "@-", url, input=bytes(70_000))
        assert said.startswith(f"{version} 413 text/plain")
    assert sotto.count("HTTPS queries") == 1 + len(sent)


def test_curl_by_head(url, plain, authority):
    """It waits for no body that does not come."""
    for version in ["--http2", "--http1.1"]:
        head, said = curl("-I", version, "--cacert", authority.ca_path, url)
        assert " 405 " in said and b"allow: GET, POST" in head


def test_curl_asks_several_at_once(sotto, url, authority):
    """On one connection."""
    urls = [f"{url}?dns={base64url(wire.query(f'n{number}.test'))}" for number in range(30)]
    done = run_to_end(["curl", "-sS", "-Z", "--http2", "--cacert", authority.ca_path, *urls])
    assert done.returncode == 0, done.stderr
    assert sotto.count("HTTPS queries") == 30


class _Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"you are " + self.headers["host"].encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def web_port():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hello)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_curl_finds_a_server(dot_server, forward, encrypted_http, authority, web_port):
    """Its own client, which asks for both families."""
    names = {"web.test": ["127.0.0.1"]}
    sotto = forward(dot_server(on_query=answering_from(names)), **encrypted_http)
    url = f"https://127.0.0.1:{sotto.listener('https').port}{PATH}"
    web = f"http://web.test:{web_port}/"
    body, said = curl("--doh-url", url, "--cacert", authority.ca_path, web)
    assert body == f"you are web.test:{web_port}".encode() and " 200 " in said
    assert sotto.count("HTTPS queries") == 2
    body, _ = curl("--doh-url", url, "--doh-insecure", web)
    assert body.startswith(b"you are")
    # Somebody's certificate is not that of dot.test to it.
    wrong = ["--doh-url", url.replace("127.0.0.1", "127.0.0.2"), "--cacert", authority.ca_path]
    done = run_to_end(["curl", "-sS", "--max-time", "5", *wrong, web])
    assert done.returncode != 0


# Load


@pytest.mark.parametrize("way", ["h2", "http/1.1", "h2c", "http"])
def test_h2load(sotto, place, plain, way):
    """Many at once, over several connections: each gets its 200."""
    options = {
        "h2": ["-m", "50", f"https://127.0.0.1:{place.port}"],
        "http/1.1": ["--h1", "-m", "10", f"https://127.0.0.1:{place.port}"],
        "h2c": ["-m", "50", f"http://127.0.0.1:{plain.port}"],
        "http": ["--h1", "-m", "10", f"http://127.0.0.1:{plain.port}"],
    }[way]
    target = f"{options[-1]}{PATH}?dns={base64url(wire.query('name.localhost'))}"
    done = run_to_end(["h2load", "-n", "4000", "-c", "8", *options[:-1], target], seconds=60)
    assert "4000 total, 4000 started, 4000 done, 4000 succeeded, 0 failed" in done.stdout
    assert "4000 2xx, 0 3xx, 0 4xx, 0 5xx" in done.stdout
    assert sotto.count("HTTPS queries") == 4000


def test_h2load_by_post(sotto, place, tmp_path):
    """Bodies for which windows must be given back."""
    message = tmp_path / "query"
    message.write_bytes(wire.query("name.localhost", options=[(65001, bytes(3000))]))
    target = f"https://127.0.0.1:{place.port}{PATH}"
    type = f"content-type: {MEDIA_TYPE}"
    command = ["h2load", "-n", "2000", "-c", "4", "-m", "20", "-d", message, "-H", type, target]
    done = run_to_end(command, seconds=60)
    assert "2000 succeeded, 0 failed" in done.stdout, done.stdout
    assert "2000 2xx, 0 3xx, 0 4xx, 0 5xx" in done.stdout
    assert sotto.count("HTTPS queries") == 2000


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_dnsperf(sotto, place, tmp_path, method):
    """None is lost, one at a time. This version forgets answers that come together in one record
    (its issue 240)."""
    names = tmp_path / "names"
    names.write_text("".join(f"n{number}.example.test A\n" for number in range(30)))
    done = run_to_end(
        [
            *("dnsperf", "-m", "doh", "-s", "127.0.0.1", "-p", place.port, "-d", names),
            *("-O", f"doh-uri=https://dot.test{PATH}", "-O", f"doh-method={method}"),
            *("-c", "1", "-q", "1", "-n", "1", "-t", "10"),
        ],
        seconds=60,
    )
    assert re.search(r"Queries completed:\s+30 \(100.00%\)", done.stdout), done.stdout
    assert re.search(r"NOERROR 30 ", done.stdout), done.stdout
    assert sotto.count("HTTPS queries") == 30


# TLS


def s_client(place, *arguments, talk=b"") -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{place.port}", *arguments]
    done = subprocess.run(
        list(map(str, command)), input=talk, capture_output=True, timeout=scaled(20), check=False
    )
    return (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
@pytest.mark.parametrize("version, suite", [("-tls1_2", "ECDHE-ECDSA"), ("-tls1_3", "TLS_")])
def test_versions_chain_and_protocol(place, authority, protocol, version, suite):
    output = s_client(
        place,
        *(version, "-alpn", protocol, "-CAfile", authority.ca_path, "-verify_hostname", "dot.test"),
    )
    assert "Verify return code: 0 (ok)" in output
    assert f"ALPN protocol: {protocol}" in output
    assert f"Cipher is {suite}" in output


def test_another_protocol(sotto, place):
    output = s_client(place, "-alpn", "dot,h3")
    assert "no application protocol" in output
    assert sotto.count("handshakes") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0"],
    ],
    ids=["TLS 1.1", "no forward secrecy"],
)
def test_old_versions_and_weak_suites_are_refused(sotto, place, arguments):
    """C9; RFC 9325, RFC 9113 section 9.2."""
    output = s_client(place, *arguments)
    assert re.search(r"Cipher is \(NONE\)|no peer certificate available", output), output
    assert sotto.count("handshakes") == 0


def test_a_page_for_who_looks_with_a_browser(url, authority):
    """Words that say what to do."""
    for target, word in [(url, "RFC 8484"), (url.replace(PATH, "/"), PATH)]:
        body, _ = curl("--cacert", authority.ca_path, target)
        assert word in body.decode()


def test_gnutls_resumes(sotto, place, authority):
    done = run_to_end(
        [
            *("gnutls-cli", "--resume", "--waitresumption", "--alpn=h2", "--port", place.port),
            *("--x509cafile", authority.ca_path, "--verify-hostname=dot.test", "127.0.0.1"),
        ]
    )
    assert "This is a resumed session" in done.stdout, done.stdout + done.stderr
    assert sotto.wait_count("handshakes resumed") == 1
