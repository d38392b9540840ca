"""More TCP clients than there is room for: the longest idle makes room, and all recovers."""

import contextlib

import pytest

from lib import dns_wire as wire
from lib.clients import Bystanders, TcpClient, ask, assert_own_answer, assert_own_raw
from lib.faulty_dot import answer, by_name, hold
from lib.limits import allow_open_files, set_open_files, with_limits
from lib.timing import variant, wait_until

# An idle connection holds no buffers: DESIGN sets a goal of some kB.
IDLE_CONNECTION_KIB = {"": 2, "asan": 8, "tsan": 8}


@pytest.fixture
def forward(forward):
    """With one worker: the limits are those of each."""

    def start(*servers, process=None, **options):
        return forward(*servers, process={**(process or {}), "workers": 1}, **options)

    return start


@pytest.fixture
def connect():
    """Open connections that are closed at the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda sotto: stack.enter_context(TcpClient(sotto.address))


def is_served(client: TcpClient, name: str) -> bool:
    try:
        client.send(wire.query(name))
        reply = client.receive()
    except ConnectionError:
        return False
    if reply:
        assert_own_raw(reply, name)
    return bool(reply)


def test_the_longest_idle_makes_room_for_a_new_one(dot_server, forward, connect):
    """C3: oldest first, and one that was used lately is not old."""
    sotto = forward(dot_server(), tcp={"max-connections": 10})
    clients = []
    for number in range(10):
        clients.append(connect(sotto))
        sotto.wait_count("connections accepted", number + 1)
    assert is_served(clients[0], "used-lately.test")
    newcomers = [connect(sotto) for _ in range(4)]
    for number, client in enumerate(newcomers):
        assert is_served(client, f"new-{number}.test")
    assert sotto.count("evicted clients") == 4 and sotto.count("refused clients") == 0
    closed = [not is_served(client, f"old-{n}.test") for n, client in enumerate(clients)]
    assert closed == [False, True, True, True, True, False, False, False, False, False]


def test_busy_connections_are_not_closed_for_newcomers(dot_server, forward, connect):
    """C3: at the limit and none idle, the newcomer is refused; later there is room again."""
    server = dot_server(on_query=by_name(answer, held=hold))
    sotto = forward(server, timeout=5.0, tcp={"max-connections": 5})
    clients = [connect(sotto) for _ in range(5)]
    for number, client in enumerate(clients):
        client.send(wire.query(f"held-{number}.test"))
    server.wait_queries(5)
    assert not is_served(connect(sotto), "refused.test")
    assert sotto.count("refused clients") == 1
    assert_own_answer(ask(sotto.address, "over-udp.test"), "over-udp.test")
    for query in server.queries_starting("held"):
        query.connection.answer(query)
    for number, client in enumerate(clients):
        assert_own_raw(client.receive(), f"held-{number}.test")
    assert is_served(connect(sotto), "room-again.test")


@pytest.mark.parametrize("count", [2000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_thousands_of_idle_connections(dot_server, forward, connect, count):
    """C3: cheap, and in nobody's way; beyond the limit they replace each other."""
    if not allow_open_files(count + 2000):
        pytest.skip("cannot raise the limit of open files")
    room = count - count // 10
    sotto = forward(
        dot_server(),
        tcp={"max-connections": room, "idle-timeout": "60s"},
        process={"wrap": with_limits(nofile=count + 1000)},
    )
    assert_own_answer(ask(sotto.address, "warm-up.test"), "warm-up.test")
    before = sotto.resident_kib()
    with Bystanders(sotto.address):
        clients = [connect(sotto) for _ in range(count)]
        sotto.wait_count("connections accepted", count, 20)
    assert sotto.count("evicted clients") == count - room
    assert (sotto.resident_kib() - before) / room < IDLE_CONNECTION_KIB[variant()]
    assert is_served(clients[-1], "last.test") and not is_served(clients[0], "first.test")
    assert is_served(clients[-room], "oldest-left.test")
    sotto.assert_not_spinning(0.2)


def test_the_descriptor_limit_leaves_a_reserve(dot_server, forward, connect):
    """C3: a small limit at the start lowers the number of clients, and it says so."""
    sotto = forward(dot_server(), process={"wrap": with_limits(nofile=180)})
    sotto.wait_log(r"warning.* limit of open files .* \d+ TCP connections")
    clients = [connect(sotto) for _ in range(200)]
    with Bystanders(sotto.address):
        assert is_served(clients[-1], "newest.test")
        assert is_served(connect(sotto), "newer.test")
    assert sotto.count("evicted clients") >= 130 and sotto.count("accept pauses") == 0
    # What is in reserve still takes a connection to the upstream.
    sotto.reload()
    assert_own_answer(ask(sotto.address, "later.test"), "later.test")


def test_no_descriptors_left_closes_the_oldest_idle_one(dot_server, forward, connect):
    """C3: the limit is reached by others than TCP clients; it must not spin, and recovers."""
    sotto = forward(dot_server(), tcp={"idle-timeout": "60s"})
    assert_own_answer(ask(sotto.address, "warm-up.test"), "warm-up.test")
    clients = [connect(sotto) for _ in range(5)]
    sotto.wait_count("connections accepted", 5)
    set_open_files(sotto.pid, sotto.open_files())
    with Bystanders(sotto.address):
        newcomer = connect(sotto)
        assert is_served(newcomer, "newcomer.test")
        assert not is_served(clients[0], "oldest.test")
    assert sotto.count("evicted clients") == 1
    set_open_files(sotto.pid)
    assert is_served(connect(sotto), "recovered.test") and is_served(clients[1], "second.test")


def test_the_newcomer_is_not_the_next_to_be_closed(dot_server, forward, connect):
    """C3: with nobody else idle, and before it has asked anything."""
    sotto = forward(dot_server(), tcp={"idle-timeout": "60s"})
    assert_own_answer(ask(sotto.address, "warm-up.test"), "warm-up.test")
    only = connect(sotto)
    sotto.wait_count("connections accepted", 1)
    set_open_files(sotto.pid, sotto.open_files())
    newcomer = connect(sotto)
    sotto.wait_count("connections accepted", 2)
    assert_own_answer(ask(sotto.address, "meanwhile.test"), "meanwhile.test")
    assert is_served(newcomer, "newcomer.test") and not is_served(only, "only.test")


def test_no_descriptors_and_nobody_idle_pauses_accepting(dot_server, forward, connect):
    """C3: the newcomer waits in the kernel's queue, and is served when there is room."""
    server = dot_server(on_query=by_name(answer, held=hold))
    sotto = forward(server, timeout=10.0)
    assert_own_answer(ask(sotto.address, "warm-up.test"), "warm-up.test")
    busy = connect(sotto)
    busy.send(wire.query("held.test"))
    (held,) = server.wait_for(lambda: server.queries_for("held.test."), "the held query")
    set_open_files(sotto.pid, sotto.open_files())
    with Bystanders(sotto.address, interval=0.05):
        newcomer = connect(sotto)
        newcomer.send(wire.query("patient.test"))
        sotto.wait_log("cannot accept TCP connections")
        assert sotto.count("accept pauses") >= 1
        sotto.assert_not_spinning()
        set_open_files(sotto.pid)
        assert_own_raw(newcomer.receive(), "patient.test")
        held.connection.answer(held)
        assert_own_raw(busy.receive(), "held.test")
    wait_until(lambda: is_served(connect(sotto), "another.test"), 5, "a third is served")
