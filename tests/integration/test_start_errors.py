"""Starts that cannot succeed: a clear word, the right exit code, and no half-started program."""

import os
import socket

import pytest
import yaml

from lib import unprivileged
from lib.clients import ask, assert_own_answer
from lib.run_once import binary_of, run_to_end
from lib.timing import within

needs_root = pytest.mark.skipif(not unprivileged.available(), reason="needs root and setpriv")


@pytest.fixture
def run(request):
    """Run the program to its end: its exit code and what it said."""

    def start(*arguments, wrap=lambda command: command):
        with within(5.0):
            done = run_to_end(wrap([binary_of(request), *arguments]))
        return done.returncode, done.stderr

    return start


@pytest.mark.parametrize("scheme", ["dns", "udp", "tcp"])
def test_started_twice_on_one_port(dot_server, forward, run, scheme):
    """E8: though workers share the port. The first is not disturbed."""
    sotto = forward(dot_server(), listen=["dns://127.0.0.1:0"])
    where = f"{scheme}://127.0.0.1:{sotto.address.port}"
    code, said = run("-l", where)
    assert code == 1
    assert f"cannot listen on {where}: Address already in use" in said and "ss -lntup" in said
    for number in range(20):
        assert_own_answer(ask(sotto.address, f"name-{number}.test"), f"name-{number}.test")


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
@pytest.mark.parametrize("reuse", [0, 1])
def test_another_program_on_the_port(run, kind, reuse):
    """E8: also one that would share it."""
    with socket.socket(socket.AF_INET, kind) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuse)
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        code, said = run("-l", f"127.0.0.1:{other.getsockname()[1]}")
    assert code == 1 and "Address already in use" in said


def test_an_address_that_is_not_ours(run):
    """E8"""
    code, said = run("-l", "192.0.2.1:5300")
    assert code == 1 and "192.0.2.1:5300" in said and "no interface has this address" in said


def test_one_bad_address_among_good_ones(run):
    """E8: all or nothing."""
    code, said = run("-l", "127.0.0.1:0", "-l", "192.0.2.1:5300", "-l", "127.0.0.1:0")
    assert code == 1 and "ready" not in said


@needs_root
def test_a_port_below_1024_without_the_right(run, by_nobody):
    """E8: says which right it takes, and what else can be done."""
    code, said = run("-l", "127.0.0.1:53", wrap=by_nobody)
    assert code == 1
    assert "127.0.0.1:53: Permission denied" in said
    assert "CAP_NET_BIND_SERVICE" in said and "-l" in said


@needs_root
def test_unprivileged_on_a_high_port(dot_server, start_sotto, by_nobody):
    """E8: no root is needed, and none is missed; the user in the file is not looked at."""
    server = dot_server()
    sotto = start_sotto(
        arguments=["-l", "127.0.0.1:0", "-u", server.url],
        wrap=by_nobody,
    )
    assert sotto.log_lines(f"user ID {unprivileged.NOBODY.pw_uid}")
    reply = ask(sotto.address, "localhost")
    assert reply.answer


def test_a_user_that_does_not_exist(run, tmp_path):
    """E8"""
    path = tmp_path / "sotto.yaml"
    path.write_text(yaml.safe_dump({"listen": ["127.0.0.1:0"], "user": "nobody-of-this-name"}))
    code, said = run("-c", path)
    if os.geteuid() == 0:
        assert code == 1 and '"nobody-of-this-name"' in said and "user:" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_root(dot_server, forward):
    """E8: nothing is written anywhere."""
    script = 'mount -o remount,bind,ro / && ! touch /sotto-was-here 2>&- && exec "$0" "$@"'
    server = dot_server()
    sotto = forward(
        server,
        process={"wrap": lambda command: ["unshare", "-m", "sh", "-c", script, *command]},
    )
    assert_own_answer(ask(sotto.address, "name.test"), "name.test")
    sotto.reload()
    assert_own_answer(ask(sotto.address, "again.test", tcp=True), "again.test")
