"""Tickets: used where they work, forgotten where they don't."""

import ssl

import pytest

from lib.clients import ask, assert_own_answer
from lib.faulty_dot import TlsSettings

pytestmark = pytest.mark.one_worker

TLS12 = ssl.TLSVersion.TLSv1_2

RESUMABLE = {
    "tls13-tickets": TlsSettings(),
    "tls13-one-ticket": TlsSettings(tickets=1),
    "tls12-tickets": TlsSettings(maximum=TLS12),
    "tls12-session-id-only": TlsSettings(maximum=TLS12, session_tickets=False),
}
TICKETLESS = {"tls13-no-tickets": TlsSettings(tickets=0)}


def reconnect(sotto, server, times, prefix="again"):
    """Ask, and close; so many times."""
    for number in range(times):
        name = f"{prefix}-{number}.test"
        assert_own_answer(ask(sotto.address, name), name)
        conn = server.open_connections()[-1]
        conn.close()
        server.wait_closed(conn)
    return server.handshaken()[-times:]


def resumed(connections):
    return [conn.resumed for conn in connections]


@pytest.mark.parametrize("tls", RESUMABLE.values(), ids=RESUMABLE.keys())
def test_reconnections_resume(dot_server, forward, tls):
    """T9"""
    server = dot_server(tls=tls)
    sotto = forward(server)
    assert resumed(reconnect(sotto, server, 5)) == [False, True, True, True, True]
    assert sotto.count("connections resumed") == 4


@pytest.mark.parametrize("tls", TICKETLESS.values(), ids=TICKETLESS.keys())
def test_servers_without_tickets_get_full_handshakes(dot_server, forward, tls):
    """T9"""
    server = dot_server(tls=tls)
    assert not any(resumed(reconnect(forward(server), server, 4)))


@pytest.mark.parametrize("maximum", [TLS12, ssl.TLSVersion.TLSv1_3])
def test_refused_tickets_fall_back_to_a_full_handshake(dot_server, forward, maximum):
    """T9: the server forgets its keys after every connection."""
    server = dot_server(tls=TlsSettings(maximum=maximum), fresh_keys=True)
    sotto = forward(server)
    assert not any(resumed(reconnect(sotto, server, 5)))
    assert len(server.connections) == 5, "no connection attempt was lost to the ticket"
    assert sotto.count("connection failures") == 0


def test_rotated_ticket_keys_cost_one_full_handshake(dot_server, forward):
    """T9"""
    server = dot_server()
    sotto = forward(server)
    assert resumed(reconnect(sotto, server, 2)) == [False, True]
    server.rotate_ticket_keys()
    assert resumed(reconnect(sotto, server, 3, "rotated")) == [False, True, True]


def test_a_ticket_of_another_server_is_only_a_full_handshake(dot_server, forward, authority):
    """T9: behind one address there are several, and each has its own keys."""
    server = dot_server()
    sotto = forward(server)
    reconnect(sotto, server, 1)
    server.new_identity(authority.issue())
    assert resumed(reconnect(sotto, server, 2, "other")) == [False, True]


def test_tls12_after_tls13_and_back(dot_server, forward):
    """T9: the server was changed; the ticket is of the other version."""
    server = dot_server()
    sotto = forward(server)
    reconnect(sotto, server, 2)
    for version in (TLS12, ssl.TLSVersion.TLSv1_3):
        server.tls.maximum = version
        server.rotate_ticket_keys()
        first, second = reconnect(sotto, server, 2, f"version-{version.name.lower()}")
        assert (first.resumed, second.resumed) == (False, True)


def test_a_resumed_session_is_only_used_for_the_same_identity(dot_server, forward, authority):
    """T9 T14: a ticket is no way around verification."""
    server = dot_server()
    sotto = forward(server)
    reconnect(sotto, server, 2)
    server.new_identity(authority.issue(names=["other.test"]))
    ask(sotto.address, "secret.test")
    assert not server.queries_for("secret.test.")
