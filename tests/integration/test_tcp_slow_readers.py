"""Clients that ask over TCP and do not read: bounded memory, and nobody else notices."""

import select
import socket
import threading

import pytest

from lib import dns_wire as wire
from lib.clients import Bystanders, TcpClient, assert_own_raw
from lib.faulty_dot import answer, by_name
from lib.timing import Deadline, scaled, variant

# Beside the output limit of 1 MiB for each connection, this is what allocators keep.
RSS_BOUND_KIB = {"": 16 << 10, "asan": 96 << 10, "tsan": 128 << 10}

SMALL_BUFFER = 4096


def send_until_closed(client: TcpClient, message: bytes, limit: int, seconds: float) -> int:
    """Send the message over and over without ever reading; how often it was taken."""
    block = wire.framed(message) * 100
    client.sock.setblocking(False)
    deadline = Deadline(scaled(seconds))
    octets = 0
    poll = select.poll()
    poll.register(client.sock, select.POLLOUT | select.POLLERR | select.POLLHUP)
    while octets < limit * (len(message) + 2) and not deadline.passed():
        events = dict(poll.poll(100)).get(client.sock.fileno(), 0)
        if events & (select.POLLERR | select.POLLHUP):
            break
        if events & select.POLLOUT:
            try:
                octets += client.sock.send(block)
            except BlockingIOError:
                pass
            except ConnectionError:
                break
    else:
        raise AssertionError(f"still open after {octets} octets")
    return octets // (len(message) + 2)


@pytest.mark.parametrize("name", ["name.localhost", "name.test"], ids=["local", "forwarded"])
def test_a_client_that_never_reads_is_closed(dot_server, forward, fast_dot, name):
    """C2: it would send 10^6 queries; it is not read from once its replies pile up."""
    sotto = forward(fast_dot, dot_server(), tcp={"idle-timeout": "500ms"}, log={"level": "info"})
    with TcpClient(sotto.address) as warm_up:
        warm_up.send(wire.query("warm-up.test"))
        warm_up.receive()
    before = sotto.resident_kib()
    with Bystanders(sotto.address), TcpClient(sotto.address, SMALL_BUFFER) as client:
        taken = send_until_closed(client, wire.query(name), 1_000_000, 10.0)
        assert taken < 1_000_000
    assert sotto.count("slow clients") == 1
    assert sotto.resident_kib() - before < RSS_BOUND_KIB[variant()]


def test_many_that_never_read_at_once(forward, fast_dot):
    """C2: each has its own bound."""
    # Long enough that a busy worker finds what they send before it finds them idle.
    sotto = forward(fast_dot, tcp={"idle-timeout": "2s"}, log={"level": "info"})
    clients = [TcpClient(sotto.address, SMALL_BUFFER) for _ in range(8)]
    before = sotto.resident_kib()
    with Bystanders(sotto.address, within=2.0):
        threads = [
            threading.Thread(
                target=send_until_closed,
                args=(client, wire.query("name.localhost"), 1_000_000, 15.0),
            )
            for client in clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sotto.count("slow clients") == 8
    assert sotto.resident_kib() - before < 8 * (1 << 10) + RSS_BOUND_KIB[variant()]


def big_answer(conn, query):
    text = b"\xc8" + b"x" * 200
    conn.answer(query, answer=[wire.record(wire.QUESTION_POINTER, wire.TXT, text * 300)])


def test_replies_of_sixty_kilobytes_that_nobody_reads(dot_server, forward):
    """C2: what was asked before reading stopped is bounded too, by the queries in flight."""
    server = dot_server(on_query=by_name(answer, big=big_answer))
    sotto = forward(server, tcp={"idle-timeout": "500ms"}, log={"level": "info"})
    before = sotto.resident_kib()
    with Bystanders(sotto.address, within=2.0), TcpClient(sotto.address, SMALL_BUFFER) as client:
        client.send(*(wire.query("big.test", wire.TXT, ident=i) for i in range(300)))
        sotto.wait_count("slow clients", 1)
    assert sotto.resident_kib() - before < RSS_BOUND_KIB[variant()]


def test_a_slow_reader_that_does_read_gets_everything(dot_server, forward):
    """C2: within the time it has; 100 answers of 60 kB through a small window."""
    server = dot_server(on_query=big_answer)
    sotto = forward(server, timeout=5.0, tcp={"idle-timeout": "3s", "max-in-flight": 10})
    with TcpClient(sotto.address, SMALL_BUFFER) as client:
        client.send(*(wire.query("big.test", wire.TXT, ident=i) for i in range(100)))
        replies = client.receive_all(100, timeout=20)
    assert sorted(replies) == list(range(100))
    assert all(len(reply) > 60_000 and reply[3] & 15 == 0 for reply in replies.values())
    assert sotto.count("slow clients") == 0


def test_junk_between_large_answers_stops_nothing(dot_server, forward):
    """C2: messages that get no answer are among the pipelined ones, while output is full."""
    server = dot_server(on_query=big_answer)
    sotto = forward(server, timeout=5.0, tcp={"max-in-flight": 4})
    junk = wire.query("junk.test", flags=wire.QR)
    messages = []
    for number in range(60):
        messages += [wire.query("big.test", wire.TXT, ident=number)] + [junk] * (number % 7)
    with TcpClient(sotto.address) as client:
        client.send(*messages)
        client.sock.shutdown(socket.SHUT_WR)
        replies = client.receive_all(60, timeout=20)
        assert sorted(replies) == list(range(60))
        assert client.receive() == b""


def test_one_that_never_stops_sending_leaves_others_their_turn(forward, fast_dot):
    """C13: it reads its answers, and asks as fast as it can."""
    sotto = forward(fast_dot, log={"level": "info"})
    message = wire.query("greedy.localhost")
    stop = threading.Event()
    client = TcpClient(sotto.address)

    def read():
        while not stop.is_set() and client.sock.recv(1 << 16):
            pass

    def write():
        block = wire.framed(message) * 200
        try:
            while not stop.is_set():
                client.sock.send(block)
        except OSError:
            pass

    threads = [threading.Thread(target=read), threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    with Bystanders(sotto.address, within=1.0) as bystanders:
        while sotto.count("TCP queries") < 50_000 or bystanders.asked < 20:
            stop.wait(0.05)
        with TcpClient(sotto.address) as other:
            for number in range(20):
                other.send(wire.query(f"other-{number}.test"))
                assert_own_raw(other.receive(), f"other-{number}.test")
    stop.set()
    client.sock.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    client.sock.close()
    assert sotto.count("invalid clients") == 0
