"""TLS events in mid-stream, legal and illegal: by the RFC, and never a spin."""

import pytest

from lib import tls_records
from lib.clients import Bystanders, ask, assert_own_answer
from lib.timing import within

TLS13, TLS12 = tls_records.settings, tls_records.settings_tls12


@pytest.fixture
def recording(dot_server, tmp_path):
    """Start a server that puts records of the test's making before the answers to `odd-…`."""

    def start(make_records, settings=TLS13, answer_too=True):
        def script(conn):
            conn.handshake()
            writer = tls_records.take_over(conn)
            while query := conn.read_query():
                odd = query.name.startswith("odd")
                if odd:
                    make_records(writer)
                if not odd or answer_too:
                    conn.answer(query)

        return dot_server(on_connection=script, tls=settings(tmp_path))

    return start


def many(action, count):
    def act(writer):
        for _ in range(count):
            action(writer)

    return act


LEGAL = {
    "key-update": lambda writer: writer.key_update(),
    "key-update-that-asks-for-one": lambda writer: writer.key_update(ask_peer=True),
    "empty-record": lambda writer: writer.record(b""),
    "padded-empty-record": lambda writer: writer.record(b"", padding=1000),
}


@pytest.mark.parametrize("make_records", LEGAL.values(), ids=LEGAL.keys())
def test_legal_records_disturb_nothing(recording, forward, make_records):
    """T11"""
    server = recording(make_records)
    sotto = forward(server)
    with Bystanders(sotto.address):
        # Libraries refuse more than a few key updates a second.
        for number in range(3):
            name = f"odd-{number}.test"
            assert_own_answer(ask(sotto.address, name), name)
    assert len(server.connections) <= sotto.workers
    sotto.assert_not_spinning()


ILLEGAL = {
    "fatal-alert": (lambda writer: writer.alert(tls_records.FATAL, 80), TLS13),
    "wrong-tag": (lambda writer: writer.record(b"x", spoil_tag=True), TLS13),
    "record-over-16-kilobytes": (lambda writer: writer.record(bytes(16384 + 300)), TLS13),
    "unknown-content-type": (lambda writer: writer.record(b"x", kind=99), TLS13),
    "fatal-alert-tls12": (lambda writer: writer.alert(tls_records.FATAL, 80), TLS12),
    "record-over-16-kilobytes-tls12": (lambda writer: writer.record(bytes(16384 + 1100)), TLS12),
}


@pytest.mark.parametrize("case", ILLEGAL.values(), ids=ILLEGAL.keys())
def test_illegal_records_end_the_connection_and_the_query_goes_elsewhere(
    recording, dot_server, forward, case
):
    """T11"""
    make_records, settings = case
    server = recording(make_records, settings, answer_too=False)
    sotto = forward(server, dot_server())
    assert_own_answer(ask(sotto.address, "warm.test"), "warm.test")
    with Bystanders(sotto.address), within(1.0):
        assert_own_answer(ask(sotto.address, "odd.test"), "odd.test")
    server.wait_any_closed(2.0)
    assert sotto.count("broken connections") >= 1
    sotto.assert_not_spinning()


# What the RFCs leave open: the connection may go on or end, but every query is answered.
TOLERABLE = {
    "ten-key-updates": (many(lambda writer: writer.key_update(ask_peer=True), 10), TLS13),
    "user-canceled-warning": (lambda writer: writer.alert(tls_records.WARNING, 90), TLS13),
    "renegotiation": (lambda writer: writer.hello_request(), TLS12),
    "hundred-renegotiations": (many(lambda writer: writer.hello_request(), 100), TLS12),
    "thousand-empty-records": (many(lambda writer: writer.record(b""), 1000), TLS13),
    "thousand-key-updates": (many(lambda writer: writer.key_update(), 1000), TLS13),
}


@pytest.mark.parametrize("case", TOLERABLE.values(), ids=TOLERABLE.keys())
def test_odd_but_not_forbidden_records_lose_no_query(recording, dot_server, forward, case):
    """T11"""
    make_records, settings = case
    server = recording(make_records, settings)
    sotto = forward(server, dot_server())
    with Bystanders(sotto.address):
        for number in range(3):
            name = f"odd-{number}.test"
            assert_own_answer(ask(sotto.address, name), name)
    sotto.assert_not_spinning()
