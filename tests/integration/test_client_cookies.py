"""DNS cookies (RFC 7873, RFC 9018), between a client and us only."""


import dns.rcode
import pytest

from lib import dns_wire as wire
from lib.clients import ask, assert_own_answer, bound_to, dig
from lib.transports import TRANSPORTS, connect

CLIENT = bytes.fromhex("2464c4abcf10c957")
BADCOOKIE = 23


def cookie_of(message) -> bytes | None:
    found = [option for option in message.options if option.otype == wire.OPTION_COOKIE]
    assert len(found) <= 1
    return found[0].to_wire() if found else None


def exchange(sotto, cookie: bytes, transport="udp", source="127.0.0.1", name="name.test"):
    """Ask with a cookie; without a name there is no question either (RFC 7873 section 5.4)."""
    options = [(wire.OPTION_COOKIE, cookie)]
    query = wire.query(name, options=options) if name else question_less(options)
    with connect(sotto.address, transport, make_socket=bound_to(source)) as client:
        return wire.parse(client.exchange(query))


def question_less(options) -> bytes:
    return wire.message(0x1234, wire.RD, additional=[wire.opt_record(options)])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_client_gets_a_cookie_that_is_good_for_its_address(dot_server, forward, transport):
    server = dot_server()
    sotto = forward(server)
    reply = exchange(sotto, CLIENT, transport)
    assert_own_answer(reply, "name.test")
    cookie = cookie_of(reply)
    assert len(cookie) == 24 and cookie[:8] == CLIENT and cookie[8:12] == b"\1\0\0\0"
    assert cookie_of(exchange(sotto, cookie, transport)) == cookie
    assert (sotto.count("valid cookies"), sotto.count("bad cookies")) == (1, 0)
    # Elsewhere it is as good as none.
    reply = exchange(sotto, cookie, transport, source="127.0.0.2")
    assert_own_answer(reply, "name.test")
    assert cookie_of(reply)[:8] == CLIENT and cookie_of(reply) != cookie
    assert (sotto.count("valid cookies"), sotto.count("bad cookies")) == (1, 1)
    assert all(wire.OPTION_COOKIE not in query.options for query in server.queries)


def test_who_sends_none_gets_none(dot_server, forward):
    sotto = forward(dot_server())
    assert cookie_of(ask(sotto.address, "name.test")) is None


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_query_without_a_question_is_about_its_cookie(dot_server, forward, transport):
    """Q2"""
    server = dot_server()
    sotto = forward(server)
    reply = exchange(sotto, CLIENT, transport, name=None)
    assert reply.rcode() == dns.rcode.NOERROR and not reply.question and not reply.answer
    cookie = cookie_of(reply)
    assert cookie[:8] == CLIENT and len(cookie) == 24
    assert exchange(sotto, cookie, transport, name=None).rcode() == dns.rcode.NOERROR
    reply = exchange(sotto, cookie[:-1] + bytes([cookie[-1] ^ 1]), transport, name=None)
    assert reply.rcode() == BADCOOKIE and cookie_of(reply)[:8] == CLIENT
    assert not server.queries


@pytest.mark.parametrize("length", [0, 1, 7, 9, 15, 41, 500])
def test_lengths_that_no_cookie_has(dot_server, forward, length):
    """Q12"""
    reply = exchange(forward(dot_server()), bytes(length))
    assert reply.rcode() == dns.rcode.FORMERR and cookie_of(reply) is None


def test_as_many_as_fit_are_bounded_work(dot_server, forward):
    """Q12: the first counts."""
    sotto = forward(dot_server())
    options = [(wire.OPTION_COOKIE, CLIENT)] + [(wire.OPTION_COOKIE, bytes(8))] * 5000
    with connect(sotto.address, "tcp") as client:
        reply = wire.parse(client.exchange(wire.query("name.test", options=options)))
    assert_own_answer(reply, "name.test")
    assert cookie_of(reply)[:8] == CLIENT


def test_servers_that_share_a_secret_know_each_others_cookies(dot_server, forward, tmp_path):
    """And the secret can be changed without any of them turning bad."""
    path = tmp_path / "secrets"
    server = dot_server()
    config = {"cookies": {"secret-file": str(path)}}
    old, new = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536BCD2513298075A5D379663C962"

    path.write_text(f"{old}\n")
    first, second = forward(server, **config), forward(server, **config)
    cookie = cookie_of(exchange(first, CLIENT))
    assert cookie_of(exchange(second, cookie)) == cookie

    path.write_text(f"{new}\n{old}\n")
    second.reload()
    renewed = cookie_of(exchange(second, cookie))
    assert renewed != cookie
    assert cookie_of(exchange(second, renewed)) == renewed
    assert (second.count("valid cookies"), second.count("bad cookies")) == (3, 0)

    path.write_text(f"{new}\n")
    second.reload()
    exchange(second, cookie)
    assert second.count("bad cookies") == 1
    path.write_text("not a secret\n")
    mark = second.mark()
    second.signal(1)
    line = second.wait_log("reload failed", after=mark)
    assert "cookies.secret-file" in line and "32 hexadecimal digits" in line
    assert cookie_of(exchange(second, renewed)) == renewed


def test_a_reload_keeps_the_secret_that_was_made_at_the_start(dot_server, forward):
    sotto = forward(dot_server())
    cookie = cookie_of(exchange(sotto, CLIENT))
    sotto.reload()
    assert cookie_of(exchange(sotto, cookie)) == cookie


def test_every_worker_knows_them(dot_server, forward):
    """Clients spread over the workers by their port."""
    sotto = forward(dot_server(), process={"workers": 3})
    cookie = cookie_of(exchange(sotto, CLIENT))
    for _ in range(20):
        assert cookie_of(exchange(sotto, cookie)) == cookie


def test_they_can_be_turned_off(dot_server, forward):
    sotto = forward(dot_server(), cookies={"enabled": False})
    assert cookie_of(exchange(sotto, CLIENT)) is None
    assert exchange(sotto, CLIENT, name=None).rcode() == dns.rcode.FORMERR
    sotto.reload(sotto.config | {"cookies": {"enabled": True}})
    assert len(cookie_of(exchange(sotto, CLIENT))) == 24


def test_dig_calls_them_good(dot_server, forward):
    output = dig(forward(dot_server()).address, "name.test", "A", "+cookie")
    assert "COOKIE: " in output and "(good)" in output
