"""Behind HTTP proxies, which say by Forwarded (RFC 7239) or X-Forwarded-For who really asks.

On loopback every address of 127.0.0.0/8 is ours: PROXY is named in forwarded-from, INNER is a second
one, and nobody else is.
"""

import dns.rcode
import pytest

from lib import dns_wire as wire
from lib.clients import assert_failed, bound_to
from lib.http_clients import (
    WAYS,
    Request,
    assert_answer,
    assert_own_response,
    assert_refusal,
    connect,
    get,
    post,
)
from lib.run_once import binary_of, run_to_end

pytestmark = pytest.mark.single_threaded

PROXY, INNER, STRANGER = "127.0.0.2", "127.0.0.5", "127.0.0.3"
FRIEND, FRIEND6 = "192.0.2.7", "2001:db8::7"
FOE, FOE6 = "192.0.2.8", "2001:db8::8"
CLIENTS = {"allow": [f"{FRIEND}/32", f"{FRIEND6}/128"]}
NAME = "www.example.test"
QUERY = wire.query(NAME)

every_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def start(server, forward, encrypted_http):
    """The program behind PROXY and INNER, on an http:// and an https:// address."""

    def start(clients=CLIENTS, proxies=(PROXY, INNER), **options):
        plain, *urls = encrypted_http["listen"]
        listen = [plain, *({"url": url, "forwarded-from": list(proxies)} for url in urls)]
        return forward(server, listen=listen, tls=encrypted_http["tls"], clients=clients, **options)

    return start


@pytest.fixture
def ask(authority):
    """Ask through PROXY with these fields."""

    def ask(sotto, way, *fields, source=PROXY, request=get, **options):
        try:
            with connect(sotto, way, authority, make_socket=bound_to(source), **options) as client:
                return client.exchange(request(QUERY, *fields))
        except ConnectionError:
            return None

    return ask


def forwarded(value: str) -> tuple[str, str]:
    return ("forwarded", value)


def x(value: str) -> tuple[str, str]:
    return ("x-forwarded-for", value)


def assert_turned_away(response) -> None:
    """DNS says so."""
    reply = wire.parse(assert_answer(response, max_age=0))
    assert_failed(reply, dns.rcode.REFUSED)


# Who asks

FRIENDS = {
    "X": [x(FRIEND)],
    "X with a port": [x(f"{FRIEND}:4711")],
    "X of IPv6": [x(FRIEND6)],
    "X of IPv6 in brackets": [x(f"[{FRIEND6}]")],
    "X of IPv6 with a port": [x(f"[{FRIEND6}]:4711")],
    "X of IPv6 written at length": [x("2001:0DB8:0:0:0:0:0:7")],
    "X of IPv4 in IPv6": [x(f"::ffff:{FRIEND}")],
    "X behind others": [x(f"{FOE}, {FOE6} ,unknown,{FRIEND}")],
    "X behind nonsense": [x(f"<script>, 1.2.3, {FRIEND}")],
    "X before proxies": [x(f"{FOE}, {FRIEND}, {INNER}, {PROXY}")],
    "X in lines": [x(FOE), x(FRIEND), x(f"{INNER}")],
    "X with empty elements": [x(f",, {FRIEND} , ,,")],
    "for": [forwarded(f"for={FRIEND}")],
    "for in quotes": [forwarded(f'for="{FRIEND}"')],
    "for with a port": [forwarded(f'for="{FRIEND}:4711"')],
    "for of IPv6": [forwarded(f'for="[{FRIEND6}]"')],
    "for of IPv6 with a port": [forwarded(f'for="[{FRIEND6}]:4711"')],
    "for with a hidden port": [forwarded(f'for="{FRIEND}:_p"')],
    "for among others": [forwarded(f'proto=https;FOR="{FRIEND}";by=203.0.113.43;host=x')],
    "for behind blanks": [forwarded(f"by=_x ; for={FRIEND} ;")],
    "for with a backslash": [forwarded(f'for="{FRIEND[:-1]}\\{FRIEND[-1]}"')],
    "for with a comma elsewhere": [forwarded(f'host="a,b;for={FOE}";for={FRIEND}')],
    "for behind others": [forwarded(f'for={FOE}, for=unknown, for=_x, for="{FRIEND}"')],
    "for before proxies": [forwarded(f"for={FOE}, for={FRIEND}, for={INNER};by={PROXY}")],
    "for in lines": [forwarded(f"for={FOE}"), forwarded(f"for={FRIEND}")],
    "both": [x(f"{FOE}, {FRIEND}"), forwarded(f"for={FRIEND}")],
    "both, of other ports": [x(f"{FRIEND}:1"), forwarded(f'for="{FRIEND}:2"')],
}


@pytest.mark.parametrize("what", FRIENDS)
def test_the_client_that_is_named(start, ask, what):
    """The last that is no proxy: what stands before it could be anybody's invention."""
    sotto = start()
    for way in WAYS:
        assert_own_response(ask(sotto, way, *FRIENDS[what]), NAME)
    assert sotto.count("queries not allowed") == 0


def swapped(fields):
    """With friends and foes in each other's place."""
    table = {FRIEND: "F4", FRIEND6: "F6", FOE: FRIEND, FOE6: FRIEND6, "F4": FOE, "F6": FOE6}
    for old in list(table):
        fields = [(name, value.replace(old, table[old])) for name, value in fields]
    return fields


@pytest.mark.parametrize(
    "what", [what for what in FRIENDS if "\\" not in str(FRIENDS[what]) and "length" not in what]
)
def test_a_client_that_is_not_allowed(start, ask, what, server):
    """The same with a foe in the place that counts: friends elsewhere are of no use."""
    sotto = start()
    fields = swapped(FRIENDS[what])
    assert_turned_away(ask(sotto, "http h2", *fields))
    assert_turned_away(ask(sotto, "https 1.1", *fields, request=post))
    assert not server.queries and sotto.count("queries not allowed") == 2


def test_if_all_are_proxies_it_is_the_first(start, ask):
    """They ask for themselves, such as for a health check."""
    sotto = start(clients={"allow": [INNER]})
    for fields in [
        [x(f"{INNER}, {PROXY}")],
        [forwarded(f"for={INNER}"), forwarded(f"for={PROXY}")],
    ]:
        assert_own_response(ask(sotto, "http h2", *fields), NAME)
    assert_turned_away(ask(sotto, "http h2", x(f"{PROXY}, {INNER}")))


def test_each_request_has_its_own_client(start, authority):
    """Proxies send requests of many on one connection."""
    sotto = start()
    for way in WAYS:
        with connect(sotto, way, authority, make_socket=bound_to(PROXY)) as client:
            for source in [FRIEND, FOE, FRIEND6, FOE, FRIEND]:
                response = client.exchange(get(QUERY, x(source)))
                if source == FOE:
                    assert_turned_away(response)
                else:
                    assert_own_response(response, NAME)
            assert_refusal(client.exchange(get(QUERY)), 400)
            assert_own_response(client.exchange(post(QUERY, x(FRIEND))), NAME)


# Who cannot be told

WRONG = {
    "none": [],
    "X of nothing": [x("")],
    "X of commas": [x(", ,,")],
    "X unknown": [x("unknown")],
    "X unknown at the end": [x(f"{FRIEND}, unknown")],
    "X unknown behind proxies": [x(f"{FRIEND}, unknown, {PROXY}")],
    "X of a name": [x("friend.test")],
    "X of an octet too large": [x("192.0.2.256")],
    "X of three octets": [x("192.0.2")],
    "X of a number": [x("3221225991")],
    "X with zeros": [x("192.000.002.007")],
    "X of hexadecimals": [x("0xc0.0.2.7")],
    "X of a prefix": [x(f"{FRIEND}/32")],
    "X with a blank": [x(f"{FRIEND} {FOE}")],
    "X with a port of nothing": [x(f"{FRIEND}:")],
    "X with a port too large": [x(f"{FRIEND}:65536")],
    "X with a port in words": [x(f"{FRIEND}:http")],
    "X in quotes": [x(f'"{FRIEND}"')],
    "X half in brackets": [x(f"[{FRIEND6}")],
    "X of IPv4 in brackets": [x(f"[{FRIEND}]")],
    "X with a scope": [x("fe80::1%lo")],
    "X as Forwarded": [x(f"for={FRIEND}")],
    "X of more than ASCII": [x("192.0.2.\xb7")],
    "X very long": [x("1" * 5000)],
    "for of nothing": [forwarded("")],
    "for unknown": [forwarded("for=unknown")],
    "for hidden": [forwarded("for=_hidden")],
    "for hidden at the end": [forwarded(f"for={FRIEND}, for=_hidden")],
    "by only": [forwarded(f"by={FRIEND}")],
    "by only at the end": [forwarded(f"for={FRIEND}, by={PROXY}")],
    "for without a value": [forwarded("for=")],
    "for empty": [forwarded('for=""')],
    "for twice": [forwarded(f"for={FRIEND};for={FRIEND}")],
    "for of IPv6 without brackets": [forwarded(f'for="{FRIEND6}"')],
    "for without an end": [forwarded(f'for="{FRIEND}')],
    "for with a blank": [forwarded(f"for = {FRIEND}")],
    "for alone": [forwarded("for")],
    "an address only": [forwarded(FRIEND)],
    "both of different clients": [x(FRIEND), forwarded(f"for={FOE}")],
    "both of allowed clients": [x(FRIEND), forwarded(f'for="[{FRIEND6}]"')],
    "both, one unknown": [x(FRIEND), forwarded("for=unknown")],
    "both, one of nothing": [x(""), forwarded(f"for={FRIEND}")],
}


@pytest.mark.parametrize("what", WRONG)
def test_a_client_that_cannot_be_told(start, ask, server, what):
    """C14: the proxy is told what it does wrong; nobody is taken for another."""
    sotto = start(clients={"allow": ["any"]})
    for way in ["http h2", "http 1.1", "https h2"]:
        assert_refusal(ask(sotto, way, *WRONG[what]), 400)
    assert not server.queries and sotto.count("HTTP requests refused") == 3


# From all others these fields are not read


@every_way
def test_a_strangers_claim_counts_for_nothing(start, ask, server, way):
    """C14: neither to get in, nor to be somebody else."""
    sotto = start()
    for fields in [[x(FRIEND)], [forwarded(f"for={FRIEND}")], [x(PROXY)], [], [x("nonsense")]]:
        assert_turned_away(ask(sotto, way, *fields, source=STRANGER))
    assert not server.queries
    sotto.reload(sotto.config | {"clients": {"allow": [STRANGER]}})
    for fields in [[x(FOE)], [forwarded("for=unknown")], [x(FRIEND), forwarded(f"for={FOE}")], []]:
        assert_own_response(ask(sotto, way, *fields, source=STRANGER), NAME)


@every_way
def test_without_a_list_nobody_is_believed(server, forward, encrypted_http, ask, way):
    sotto = forward(server, **encrypted_http, clients={"allow": [FRIEND]})
    for fields in [[x(FRIEND)], [forwarded(f"for={FRIEND}")]]:
        assert_turned_away(ask(sotto, way, *fields))
    assert not server.queries


# With the PROXY header of a balancer in front of the proxies

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def header(source: str) -> bytes:
    octets = bytes(map(int, source.split("."))) + bytes([192, 0, 2, 53])
    ports = (4660).to_bytes(2, "big") + (443).to_bytes(2, "big")
    return SIGNATURE + b"\x21\x11" + (12).to_bytes(2, "big") + octets + ports


@every_way
def test_behind_a_balancer(server, forward, encrypted_http, ask, way):
    """C12: its header comes before all else, and names the client."""
    listen = [{"url": url, "proxy-from": [PROXY]} for url in encrypted_http["listen"]]
    sotto = forward(server, listen=listen, tls=encrypted_http["tls"], clients=CLIENTS)
    assert_own_response(ask(sotto, way, first=header(FRIEND)), NAME)
    assert_turned_away(ask(sotto, way, x(FRIEND), first=header(FOE)))
    assert sotto.count("PROXY headers") == 2
    if WAYS[way][0] == "http":
        response = ask(sotto, way)
        assert response is None
        assert sotto.wait_count("PROXY headers refused") == 1
        if way == "http 1.1":
            assert_refusal(ask(sotto, way, first=header(FRIEND), source=STRANGER), 400)


@every_way
def test_a_proxy_that_a_balancer_names(server, forward, encrypted_http, ask, way):
    """Whom the header names may be one of the proxies; and not the balancer itself."""
    proxy = "198.51.100.1"
    listen = [
        {"url": url, "proxy-from": [PROXY], "forwarded-from": [proxy]}
        for url in encrypted_http["listen"][1:]
    ]
    sotto = forward(server, listen=listen, tls=encrypted_http["tls"], clients=CLIENTS)
    assert_own_response(ask(sotto, way, x(FRIEND), first=header(proxy)), NAME)
    assert_turned_away(ask(sotto, way, x(f"{FRIEND}, {FOE}, {proxy}"), first=header(proxy)))
    assert_refusal(ask(sotto, way, first=header(proxy)), 400)
    assert_turned_away(ask(sotto, way, x(FRIEND), first=header("198.51.100.2")))


# The list


def test_each_listener_has_its_own_list(server, forward, encrypted_http, ask):
    listen = [
        {"url": "https://127.0.0.1:0", "forwarded-from": [PROXY]},
        {"url": "http://127.0.0.1:0", "forwarded-from": [f"{INNER}/32", "2001:db8::/32"]},
    ]
    sotto = forward(server, listen=listen, tls=encrypted_http["tls"], clients=CLIENTS)
    assert_own_response(ask(sotto, "https h2", x(FRIEND)), NAME)
    assert_turned_away(ask(sotto, "https h2", x(FRIEND), source=INNER))
    assert_turned_away(ask(sotto, "http 1.1", x(FRIEND)))
    assert_own_response(ask(sotto, "http 1.1", x(FRIEND), source=INNER), NAME)


@every_way
def test_a_reload_changes_the_list(start, ask, authority, way):
    """Connections by the old list end."""
    sotto = start(clients={"allow": [FRIEND, "127.0.0.0/8"]})
    with connect(sotto, way, authority, make_socket=bound_to(PROXY)) as client:
        assert_own_response(client.exchange(get(QUERY, x(FRIEND))), NAME)
        listen = [
            {**place, "forwarded-from": [INNER]} if isinstance(place, dict) else place
            for place in sotto.config["listen"]
        ]
        sotto.reload(sotto.config | {"listen": listen})
        assert client.is_closed()
    assert_own_response(ask(sotto, way), NAME)
    assert_refusal(ask(sotto, way, source=INNER), 400)
    assert_own_response(ask(sotto, way, x(FRIEND), source=INNER), NAME)


@pytest.mark.parametrize("url", ["dns://127.0.0.1:0", "tls://127.0.0.1:0"])
def test_only_http_knows_such_fields(request, tmp_path, url):
    config = tmp_path / "sotto.yaml"
    config.write_text(f"listen: [{{url: '{url}', forwarded-from: [192.0.2.1]}}]\n")
    done = run_to_end([binary_of(request), "-c", config, "--check-config"])
    assert done.returncode == 2 and "forwarded-from" in done.stderr, done.stderr


@pytest.mark.parametrize("way", ["http h2", "https 1.1"])
def test_the_rule_counts_for_wrong_requests_too(start, ask, way):
    """What is wrong about the request itself is said first; and nobody is asked for anything."""
    sotto = start()
    options = {"source": PROXY, "request": lambda _, *fields: Request("GET", "/", list(fields))}
    assert_refusal(ask(sotto, way, x(FOE), **options), 404)
    assert_refusal(ask(sotto, way, **options), 404)
