"""HUP: what changed is changed, what stayed is untouched, and what is wrong changes nothing."""

import os
import re
import signal
import socket
import threading

import pytest

from lib import dns_wire as wire
from lib.clients import (
    Address,
    Bystanders,
    TcpClient,
    UdpClient,
    ask,
    ask_many,
    assert_own_answer,
    assert_own_raw,
)
from lib.faulty_dot import answer, by_name, hold
from lib.ports import own_address
from lib.timing import variant, wait_until


def failed_reload(sotto, change_file) -> str:
    """Reload after the file was changed, and return what is said about it."""
    mark = sotto.mark()
    change_file()
    sotto.signal(signal.SIGHUP)
    return sotto.wait_log("reload failed: .* the old configuration stays", after=mark)


def assert_serves(sotto, name: str, address=None) -> None:
    for tcp in (False, True):
        assert_own_answer(ask(address or sotto.address, name, tcp=tcp), name)


def wait_refused(address) -> None:
    """`reloaded` is said when the workers have been told, not when they have all done it."""

    def is_refused() -> bool:
        try:
            TcpClient(address).sock.close()
            return False
        except ConnectionRefusedError:
            return True

    wait_until(is_refused, 5, "the listener is closed")


def wait_version(sotto, text: str) -> None:
    def is_there() -> bool:
        version = ask(sotto.address, "version.bind", "TXT", rdclass="CH")
        return text in str(version.answer[0])

    wait_until(is_there, 5, f"version.bind says {text}")


@pytest.fixture
def free_address() -> Address:
    return Address(*own_address())


# What is wrong changes nothing


@pytest.mark.parametrize(
    "text, said",
    [
        ("listen: [dns://127.0.0.1:0\n", r"sotto\.yaml:\d+"),
        ("lisen: [dns://127.0.0.1:0]\n", r"sotto\.yaml:1:1.*\"lisen\".*listen"),
        ("upstream: {timeout: 5}\n", r"sotto\.yaml:1:\d+.*timeout"),
        ("upstream: {servers: [{url: 'tls://127.0.0.1#'}]}\n", r"sotto\.yaml:1:\d+"),
        ("\x00\xff\n", r"sotto\.yaml"),
        (None, "No such file"),
    ],
    ids=["syntax", "unknown key", "unit", "url", "binary", "gone"],
)
def test_a_broken_file_leaves_the_old_configuration(dot_server, forward, text, said):
    """E4: with file, line and column; afterwards a good file is taken as if nothing had been."""
    server, second = dot_server(), dot_server()
    sotto = forward(server)
    good = sotto.config

    def break_file():
        if text is None:
            sotto.config_path.unlink()
        else:
            sotto.config_path.write_bytes(text.encode("latin-1"))

    with Bystanders(sotto.address):
        for number in range(10):
            assert_serves(sotto, f"before-{number}.test")
        warm = len(server.handshaken())
        line = failed_reload(sotto, break_file)
        assert re.search(said, line), line
        assert_serves(sotto, "after.test")
    assert len(server.handshaken()) == warm, "the warm connections are still used"
    servers = [{**good["upstream"]["servers"][0], "url": second.url}]
    sotto.reload({**good, "upstream": {**good["upstream"], "servers": servers}})
    wait_until(
        lambda: assert_serves(sotto, "mended.test") or second.queries_for("mended.test."),
        5,
        "the new upstream is used",
    )


def test_a_ca_file_that_cannot_be_read(dot_server, forward, tmp_path):
    """E4: gone, or a directory."""
    sotto = forward(dot_server())
    for path in (tmp_path / "gone.pem", tmp_path):
        config = {**sotto.config, "upstream": dict(sotto.config["upstream"])}
        server = {**config["upstream"]["servers"][0], "ca-file": str(path)}
        config["upstream"]["servers"] = [server]
        line = failed_reload(sotto, lambda: sotto.write_config(config))
        assert "cannot read the CA file" in line and str(path) in line
        assert_serves(sotto, "after.test")


def test_a_ca_file_without_certificates(dot_server, forward, tmp_path):
    """E4"""
    (tmp_path / "empty.pem").write_text("nothing in here\n")
    sotto = forward(dot_server())
    config = {**sotto.config, "upstream": dict(sotto.config["upstream"])}
    config["upstream"]["servers"] = [
        {**config["upstream"]["servers"][0], "ca-file": str(tmp_path / "empty.pem")}
    ]
    line = failed_reload(sotto, lambda: sotto.write_config(config))
    assert "empty.pem" in line
    assert_serves(sotto, "after.test")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_in_use(dot_server, forward, free_address, kind):
    """E4: the new address cannot be had, so none of the changes is made."""
    server, second = dot_server(), dot_server()
    sotto = forward(server)
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(tuple(free_address))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        url = f"dns://{free_address.host}:{free_address.port}"
        config = {**sotto.config, "listen": ["dns://127.0.0.1:0", url]}
        servers = [{**config["upstream"]["servers"][0], "url": second.url}]
        config["upstream"] = {**config["upstream"], "servers": servers}
        assert_serves(sotto, "before.test")
        files = sotto.open_files() - len(server.open_connections())
        for _ in range(3):
            line = failed_reload(sotto, lambda: sotto.write_config(config))
            assert f"cannot listen on {url}" in line and "in use" in line
        assert_serves(sotto, "after.test")
        assert sotto.open_files() - len(server.open_connections()) <= files + 1
    assert not second.connections
    sotto.reload(config)
    assert_serves(sotto, "now-free.test", free_address)


# What stays is untouched


def test_nothing_changed_keeps_connections_on_both_sides(dot_server, forward):
    """E4: no new handshake, and a client's TCP connection goes on."""
    server = dot_server()
    sotto = forward(server)
    with TcpClient(sotto.address) as client:
        for number in range(10):
            client.send(wire.query(f"round-{number}.test"))
            assert_own_raw(client.receive(), f"round-{number}.test")
            sotto.reload()
        client.send(wire.query("last.test"))
        assert_own_raw(client.receive(), "last.test")
    assert len(server.connections) == 1
    assert sotto.count("connections accepted") == 1


def test_changes_elsewhere_keep_the_upstream_connections(dot_server, forward):
    """E4: of several servers, only the one that is new is connected to."""
    first, second, third = dot_server(), dot_server(), dot_server()
    sotto = forward(first, second, strategy="balance")
    config = sotto.config
    for number in range(20):
        assert_serves(sotto, f"before-{number}.test")
    kept = [len(server.connections) for server in (first, second)]
    ca_file = config["upstream"]["servers"][0]["ca-file"]
    servers = [*config["upstream"]["servers"], {"url": third.url, "ca-file": ca_file}]
    sotto.reload(
        {
            **config,
            "upstream": {**config["upstream"], "servers": servers, "timeout": "1900ms"},
            "padding": "off",
            "log": {"level": "info"},
            "udp": {"max-size": 1400},
            "tcp": {"idle-timeout": "9s"},
        }
    )
    for number in range(20):
        assert_serves(sotto, f"after-{number}.test")
    assert [len(server.connections) for server in (first, second)] == kept


def test_queries_in_flight_at_a_removed_upstream_are_answered(dot_server, forward):
    """E4: by it, or by the one that came instead."""
    server, second = dot_server(on_query=by_name(answer, held=hold)), dot_server()
    sotto = forward(server)
    names = [f"held-{number}.test" for number in range(30)]
    with TcpClient(sotto.address) as client:
        client.send(*(wire.query(name, ident=i) for i, name in enumerate(names)))
        server.wait_queries(30)
        config = {**sotto.config, "upstream": dict(sotto.config["upstream"])}
        config["upstream"]["servers"] = [{**config["upstream"]["servers"][0], "url": second.url}]
        sotto.reload(config)
        for query in list(server.queries):
            query.connection.answer_if_open(query)
        replies = client.receive_all(30)
    for number, name in enumerate(names):
        assert_own_raw(replies[number], name)
    server.wait_closed(server.connections[0])
    assert_serves(sotto, "new.test")
    assert second.queries_for("new.test.") and not server.queries_for("new.test.")


def test_changed_settings_count_at_once(dot_server, forward):
    """E4: identity, private-reverse, TCP limits; the number of workers takes a restart."""
    sotto = forward(dot_server(), identity={"version": "before"})
    config = sotto.config
    wait_version(sotto, "before")
    sotto.reload(
        {**config, "identity": {"version": "after"}, "private-reverse": "forward", "workers": 7}
    )
    wait_version(sotto, "after")
    assert ask(sotto.address, "1.0.0.10.in-addr.arpa", "TXT").answer


# Listeners come and go


def test_listeners_are_added_and_removed(dot_server, forward, free_address):
    """E4: the others do not notice, and a removed one refuses at once."""
    sotto = forward(dot_server())
    config = sotto.config
    added = free_address
    with Bystanders(sotto.address):
        for _ in range(3):
            sotto.reload(
                {**config, "listen": [*config["listen"], f"dns://{added.host}:{added.port}"]}
            )
            assert_serves(sotto, "added.test", added)
            sotto.reload(config)
            wait_refused(added)
    assert_serves(sotto, "still.test")


def test_a_removed_listener_answers_what_it_was_asked(dot_server, forward, free_address):
    """E4: over UDP and TCP; its TCP connections end when they have all their answers."""
    server = dot_server(on_query=by_name(answer, held=hold))
    address = free_address
    url = f"dns://{address.host}:{address.port}"
    sotto = forward(server, listen=["dns://127.0.0.1:0", url])

    with TcpClient(address) as tcp, UdpClient(address) as udp, TcpClient(address) as idle:
        tcp.send(wire.query("held-tcp.test"))
        udp.send(wire.query("held-udp.test"))
        server.wait_queries(2)
        sotto.reload({**sotto.config, "listen": ["dns://127.0.0.1:0"]})
        assert idle.receive() == b""
        for query in server.queries_starting("held"):
            query.connection.answer(query)
        assert_own_raw(tcp.receive(), "held-tcp.test")
        assert_own_raw(udp.receive(), "held-udp.test")
        assert tcp.receive() == b""
    assert_serves(sotto, "still.test")


def test_one_transport_of_an_address_can_be_taken_away(dot_server, forward, free_address):
    """E4: of udp:// and tcp:// at the same address, the one that stays goes on."""
    address = free_address
    both = [f"{scheme}://{address.host}:{address.port}" for scheme in ("udp", "tcp")]
    sotto = forward(dot_server(), listen=both)
    assert_serves(sotto, "both.test", address)
    sotto.reload({**sotto.config, "listen": both[:1]})
    assert_own_answer(ask(address, "udp.test", timeout=2), "udp.test")
    wait_refused(address)


def test_an_address_changes_its_transports(dot_server, forward, free_address):
    """E4: dns:// becomes udp:// and back, though it is ourselves who hold the port."""
    address = free_address
    udp, dns = (f"{scheme}://{address.host}:{address.port}" for scheme in ("udp", "dns"))
    sotto = forward(dot_server(), listen=[dns])
    sotto.reload({**sotto.config, "listen": [udp]})
    assert_own_answer(ask(address, "udp.test", timeout=2), "udp.test")
    wait_refused(address)
    sotto.reload({**sotto.config, "listen": [dns]})
    assert_serves(sotto, "both.test", address)


def test_one_address_becomes_all_addresses(dot_server, forward, free_address):
    """E4: 127.0.0.1 is widened to every address on the same port, and narrowed again."""
    port = free_address.port
    narrow, wide = [f"dns://127.0.0.1:{port}"], [f"dns://0.0.0.0:{port}"]
    sotto = forward(dot_server(), listen=narrow)
    sotto.reload({**sotto.config, "listen": wide})
    assert_serves(sotto, "wide.test", free_address)
    sotto.reload({**sotto.config, "listen": narrow})
    assert_serves(sotto, "narrow.test", Address("127.0.0.1", port))


# Many reloads


@pytest.mark.parametrize("rounds", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_reloads_under_load_lose_nothing_and_leak_nothing(
    dot_server, forward, fast_dot, free_address, rounds
):
    """E4: listeners and upstreams come and go meanwhile."""
    spare = dot_server()
    sotto = forward(fast_dot, log={"level": "info"})
    config = sotto.config
    ca_file = config["upstream"]["servers"][0]["ca-file"]
    variants = [
        config,
        {**config, "listen": [*config["listen"], f"dns://{free_address.host}:{free_address.port}"]},
        {
            **config,
            "upstream": {
                **config["upstream"],
                "servers": [*config["upstream"]["servers"], {"url": spare.url, "ca-file": ca_file}],
            },
        },
        {**config, "tcp": {"max-in-flight": 50}},
    ]
    done = threading.Event()
    tallies = []

    def load():
        number = 0
        while not done.is_set():
            names = [f"load-{number + n}.test" for n in range(500)]
            tallies.append(ask_many(sotto.address, names, window=50))
            number += 500

    for number in range(16):
        sotto.reload(variants[number % len(variants)])
    assert_serves(sotto, "warm.test")
    files, resident = sotto.open_files(), sotto.resident_kib()
    thread = threading.Thread(target=load)
    thread.start()
    try:
        for number in range(rounds):
            sotto.reload(variants[number % len(variants)])
    finally:
        done.set()
        thread.join()
    sotto.reload(config)
    assert sum(tally.right for tally in tallies) >= 500
    assert all((t.failed, t.wrong, t.lost) == (0, 0, 0) for t in tallies), tallies
    wait_until(lambda: sotto.open_files() <= files + 1, 5, "descriptors do not grow")
    if not variant():  # a sanitizer keeps freed memory in quarantine
        assert sotto.resident_kib() <= resident + 4096
    assert_serves(sotto, "after.test")


def test_reloads_faster_than_they_can_be_done(dot_server, forward):
    """E4: signals may merge, but the last state of the file wins."""
    sotto = forward(dot_server())
    config = sotto.config
    with Bystanders(sotto.address):
        for number in range(300):
            os.kill(sotto.pid, signal.SIGHUP)
            if number % 50 == 0:
                sotto.write_config({**config, "identity": {"version": f"number {number}"}})
        sotto.reload({**config, "identity": {"version": "the last"}})
        wait_version(sotto, "the last")
