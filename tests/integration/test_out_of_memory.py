"""Allocations fail: queries get SERVFAIL or silence, the program lives, and all is well again."""

import signal

import pytest

from lib import dns_wire as wire
from lib.clients import TcpClient, ask, ask_many, assert_own_answer
from lib.limits import with_limits
from lib.preload import Shim
from lib.timing import wait_until

# A sanitizer has its own malloc.
pytestmark = pytest.mark.release_only

FAILING_OF_1000, FAILED = 0, 1


@pytest.fixture
def memory(tmp_path_factory):
    return Shim("failing_malloc.c", tmp_path_factory.mktemp("failing-malloc"))


@pytest.fixture
def server(dot_server):
    return dot_server()


@pytest.fixture
def sotto(server, forward, memory):
    return forward(
        server,
        timeout=0.5,
        log={"level": "info"},
        process={"environment": memory.environment},
    )


def assert_all_well(sotto) -> None:
    wait_until(lambda: is_answered(sotto), 10, "it answers again")
    for tcp in (False, True):
        assert_own_answer(ask(sotto.address, "well.test", tcp=tcp), "well.test")


def is_answered(sotto) -> bool:
    try:
        return ask(sotto.address, "again.test", timeout=1).rcode() == 0
    except Exception:
        return False


def ask_over_tcp(sotto, count: int) -> None:
    for number in range(count):
        try:
            with TcpClient(sotto.address) as client:
                client.send(wire.query(f"tcp-{number}.test"), wire.query("localhost"))
                client.receive(0.3)
        except OSError:
            pass


@pytest.mark.parametrize("warm", [True, False])
def test_no_memory_at_all(sotto, memory, warm):
    """E1: with and without a connection to the upstream."""
    if warm:
        assert_own_answer(ask(sotto.address, "warm.test"), "warm.test")
    memory[FAILING_OF_1000] = 1000
    tally = ask_many(sotto.address, (f"none-{n}.test" for n in range(300)), patience=1.0)
    ask_over_tcp(sotto, 10)
    assert tally.wrong == 0
    memory[FAILING_OF_1000] = 0
    assert memory[FAILED] > 0 and sotto.alive()
    assert_all_well(sotto)


@pytest.mark.parametrize("of_1000", [50, 300, 700])
def test_some_allocations_fail(server, sotto, memory, of_1000):
    """E1: here and there, in every path: TLS, connections, queries, reloads."""
    memory[FAILING_OF_1000] = of_1000
    for round_ in range(8):
        names = [f"some-{round_}-{number}.test" for number in range(100)]
        assert ask_many(sotto.address, names, patience=1.0).wrong == 0
        ask_over_tcp(sotto, 20)
        sotto.signal(signal.SIGHUP)
        for conn in server.open_connections():
            conn.close()
    memory[FAILING_OF_1000] = 0
    assert memory[FAILED] > 0 and sotto.alive()
    assert_all_well(sotto)
    sotto.reload()
    assert_all_well(sotto)


def test_a_limit_of_the_address_space(dot_server, forward):
    """E1: thousands of TCP clients with half a message each, where there is no room for them."""
    sotto = forward(
        dot_server(),
        tcp={"max-connections": 5000, "message-timeout": "2s"},
        log={"level": "info"},
        process={"wrap": with_limits(**{"as": 160 << 20})},
    )
    half = wire.framed(bytes(60_000))[:50_000]
    clients = []
    try:
        for _ in range(800):
            clients.append(TcpClient(sotto.address))
            clients[-1].sock.setblocking(False)
            try:
                clients[-1].sock.send(half)
            except OSError:
                pass
        assert_own_answer(ask(sotto.address, "meanwhile.test"), "meanwhile.test")
    finally:
        for client in clients:
            client.sock.close()
    assert_all_well(sotto)
