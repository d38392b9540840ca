"""systemd without systemd: telling how we are, and taking over sockets (sd_notify, sd_listen_fds)."""

import os
import signal
import socket
import sys
import time

import pytest

from lib import dns_wire as wire
from lib.clients import TcpClient, TlsClient, ask, assert_own_answer, assert_own_raw
from lib.ports import ReservedPort
from lib.run_once import binary_of, run_to_end
from lib.timing import scaled

# Binds sockets as systemd would, from descriptor 3 on, and becomes the program.
LAUNCHER = """
import os, socket, sys
kinds, pid, command = sys.argv[1], sys.argv[2], sys.argv[3:]
sockets, port = [], 0
for kind in kinds:
    if kind == "x":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind("")
    elif kind == "p":
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", int(os.environ["PASSED_PORT"])))
    else:
        family = socket.AF_INET6 if kind in "UT" else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM if kind in "uU" else socket.SOCK_STREAM)
        sock.bind(("::1" if kind in "UT" else "127.0.0.1", 0))
    if sock.type == socket.SOCK_STREAM:
        sock.listen()
    sockets.append(sock)
copies = [os.dup2(os.dup(s.fileno()), 100 + n, inheritable=False) for n, s in enumerate(sockets)]
for number, copy in enumerate(copies):
    os.dup2(copy, 3 + number, inheritable=True)
os.environ["LISTEN_FDS"] = str(len(sockets))
os.environ["LISTEN_PID"] = pid or str(os.getpid())
os.execvp(command[0], command)
"""


def activating(kinds: str, pid: str = ""):
    """A `wrap` that passes sockets: u, t for UDP and TCP over IPv4, U, T over IPv6, x for others; p
    for TCP on the port that PASSED_PORT says."""
    return lambda command: [sys.executable, "-c", LAUNCHER, kinds, pid, *command]


class NotifySocket:
    """Where a service says how it is."""

    def __init__(self, address: str):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(address)
        self.sock.settimeout(scaled(10))

    def next(self) -> dict[str, str]:
        lines = self.sock.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture(params=["path", "abstract"])
def notify_socket(request, tmp_path):
    name = f"sotto-test-{os.getpid()}-{time.monotonic_ns()}"
    if request.param == "path":
        path = str(tmp_path / "notify")
        made, path_for_program = NotifySocket(path), path
    else:
        made, path_for_program = NotifySocket("\0" + name), "@" + name
    made.path = path_for_program
    yield made
    made.sock.close()


def test_ready_reloading_stopping(dot_server, forward, notify_socket):
    """Type=notify and Type=notify-reload."""
    sotto = forward(dot_server(), process={"environment": {"NOTIFY_SOCKET": notify_socket.path}})
    ready = notify_socket.next()
    assert ready["READY"] == "1" and ready["STATUS"]
    assert_own_answer(ask(sotto.address, "name.test"), "name.test")
    before = time.monotonic_ns() // 1000
    sotto.reload()
    reloading = notify_socket.next()
    assert reloading["RELOADING"] == "1"
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert notify_socket.next()["READY"] == "1"
    sotto.config_path.write_text("broken: [\n")
    sotto.signal(signal.SIGHUP)
    assert notify_socket.next()["RELOADING"] == "1"
    assert notify_socket.next()["READY"] == "1", "a reload that failed is over too"
    sotto.stop()
    assert notify_socket.next()["STOPPING"] == "1"


@pytest.mark.parametrize("path", ["/no/such/socket", "relative", "", "@", "/" + "x" * 200])
def test_a_service_manager_that_is_not_there(dot_server, forward, path):
    sotto = forward(dot_server(), process={"environment": {"NOTIFY_SOCKET": path}})
    sotto.reload()
    assert_own_answer(ask(sotto.address, "name.test"), "name.test")


@pytest.mark.parametrize("workers", [1, 3])
def test_passed_sockets_are_used_in_place_of_configured_ones(dot_server, forward, workers):
    """Of both kinds and families; what `listen` says does not matter then."""
    sotto = forward(
        dot_server(),
        listen=["dns://192.0.2.1:53"],
        process={"wrap": activating("utUT"), "workers": workers},
    )
    listeners = {(kind, address.host): address for kind, address in sotto.listeners}
    assert set(listeners) == {
        ("udp", "127.0.0.1"),
        ("tcp", "127.0.0.1"),
        ("udp", "::1"),
        ("tcp", "::1"),
    }
    for (kind, host), address in listeners.items():
        for number in range(5):
            name = f"{kind}-{number}.test"
            assert_own_answer(ask(address, name, tcp=kind == "tcp"), name)
    assert sotto.log_lines("listening .*passed by the service manager")


def test_passed_sockets_stay_over_a_reload(dot_server, forward):
    sotto = forward(dot_server(), process={"wrap": activating("ut")})
    udp, tcp = (address for _, address in sotto.listeners)
    with TcpClient(tcp):
        for number in range(3):
            sotto.reload({**sotto.config, "listen": ["dns://127.0.0.1:0"]})
            assert_own_answer(ask(udp, f"udp-{number}.test"), f"udp-{number}.test")
            assert_own_answer(ask(tcp, f"tcp-{number}.test", tcp=True), f"tcp-{number}.test")
    assert len(sotto.listeners) == 2


def test_a_passed_socket_that_is_listed_with_tls_is_encrypted(
    dot_server, forward, encrypted, authority
):
    """It does not speak in the clear on a port that the configuration has as tls://."""
    port = ReservedPort()
    encrypted["listen"] = [f"tls://127.0.0.1:{port.number}"]
    options = {"wrap": activating("pu"), "environment": {"PASSED_PORT": str(port.number)}}
    sotto = forward(dot_server(), process=options, **encrypted)
    try:
        for _ in range(2):
            with TlsClient(sotto.listener("tls"), authority) as client:
                client.send(wire.query("www.example.test"))
                assert_own_raw(client.receive(), "www.example.test")
            sotto.reload()
        assert sotto.listener("tls").port == port.number
        assert_own_answer(ask(sotto.listener("udp"), "name.test"), "name.test")
    finally:
        port.release()


def test_sockets_for_another_process_are_left_alone(dot_server, forward):
    """LISTEN_PID is not ours: they were inherited by mistake."""
    sotto = forward(dot_server(), process={"wrap": activating("ut", pid="1")})
    assert len(sotto.listeners) == 1 and not sotto.log_lines("service manager")
    assert_own_answer(ask(sotto.address, "name.test"), "name.test")


@pytest.mark.parametrize("kinds", ["x", "ux"])
def test_a_socket_that_is_none_of_ours(request, kinds):
    """A clear error, not a program that listens nowhere."""
    done = run_to_end(activating(kinds)([str(binary_of(request)), "-l", "127.0.0.1:0"]))
    assert done.returncode == 1 and "ListenDatagram" in done.stderr
