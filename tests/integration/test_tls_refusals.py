"""Servers on the port that do not speak TLS as it must be: refused, and said."""

import ssl

import pytest

from lib import dns_wire as wire
from lib.clients import Bystanders, ask, assert_failed, assert_own_answer
from lib.faulty_dot import TlsSettings
from lib.sotto_process import HEARD_BY
from lib.timing import within

ANYTHING = "ALL:eNULL:@SECLEVEL=0"


def old_tls(version):
    return dict(tls=TlsSettings(minimum=ssl.TLSVersion.TLSv1, maximum=version, ciphers=ANYTHING))


def tls12_with(ciphers):
    maximum = ssl.TLSVersion.TLSv1_2
    return dict(tls=TlsSettings(maximum=maximum, ciphers=ciphers + ":@SECLEVEL=0"))


def says(octets):
    def speak(conn):
        conn.send_cipher(octets)
        conn.wait_peer_closed(5)

    return dict(on_connection=speak)


def replies(octets):
    def speak(conn):
        conn.read_cipher()
        conn.send_cipher(octets)
        conn.wait_peer_closed(5)

    return dict(on_connection=speak)


HTTP_REPLY = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
PLAIN_DNS_REPLY = wire.framed(wire.message(0, wire.QR, [wire.question(wire.name_wire("a.test"))]))

REFUSED = {
    "tls-1.1-only": old_tls(ssl.TLSVersion.TLSv1_1),
    "tls-1.0-only": old_tls(ssl.TLSVersion.TLSv1),
    "no-encryption": tls12_with("NULL-SHA256:ECDHE-ECDSA-NULL-SHA"),
    "anonymous": tls12_with("AECDH-AES128-SHA:ADH-AES128-SHA256"),
    "http-server": replies(HTTP_REPLY),
    "ssh-greets-first": says(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "plain-dns": replies(PLAIN_DNS_REPLY),
    "garbage": replies(bytes(range(256)) * 100),
    "zeros": replies(bytes(100_000)),
    "fatal-alert": replies(bytes([21, 3, 3, 0, 2, 2, 40])),
    "record-of-wrong-version": replies(bytes([22, 9, 9, 0, 4]) + bytes(4)),
    "echo-of-the-hello": dict(on_connection=lambda conn: conn.send_cipher(conn.read_cipher())),
}
each = pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED.keys())


@each
def test_what_is_no_proper_tls_is_refused_and_said(dot_server, forward, options):
    """T3"""
    server = dot_server(**options)
    sotto = forward(server)
    with within(HEARD_BY):
        assert_failed(ask(sotto.address, "secret.test"), reason="handshake")
    assert not server.queries
    assert sotto.log_lines(r"is down: handshake: ")
    assert sotto.count("connection failures") >= 1
    sotto.assert_not_spinning()


@each
def test_the_next_upstream_is_used_instead(dot_server, forward, options):
    """T3"""
    server = dot_server(**options)
    sotto = forward(server, dot_server())
    with Bystanders(sotto.address), within(HEARD_BY):
        assert_own_answer(ask(sotto.address, "secret.test"), "secret.test")
    assert not server.queries


def test_nothing_of_a_query_is_ever_sent_in_the_clear(dot_server, forward):
    """T3"""
    heard = []

    def listen(conn):
        while octets := conn.read_cipher():
            heard.append(octets)
            conn.send_cipher(HTTP_REPLY)

    sotto = forward(dot_server(on_connection=listen))
    ask(sotto.address, "very-secret-name.test")
    assert heard and b"very-secret-name" not in b"".join(heard)


def test_tls12_is_still_spoken(dot_server, forward):
    """T3: the other side of the rule."""
    server = dot_server(tls=TlsSettings(maximum=ssl.TLSVersion.TLSv1_2))
    assert_own_answer(ask(forward(server).address, "old.test"), "old.test")
    assert server.connections[0].tls_version == "TLSv1.2"
