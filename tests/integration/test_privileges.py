"""Started as root, it becomes nobody, and can become nothing else again."""

import os
from pathlib import Path

import pytest

from lib import unprivileged
from lib.clients import ask, assert_own_answer
from lib.net_namespace import NetNamespace
from lib.net_namespace import available as namespaces_available

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

CAPABILITIES = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]


def fields_of(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def statuses(sotto) -> list[dict[str, str]]:
    """/proc/PID/status of every thread."""
    tasks = Path(f"/proc/{sotto.pid}/task")
    return [fields_of((task / "status").read_text()) for task in tasks.iterdir()]


def test_every_thread_is_nobody_and_may_nothing(dot_server, forward):
    server = dot_server()
    sotto = forward(server, user="nobody", process={"workers": 2})
    assert_own_answer(ask(sotto.address, "name.test"), "name.test")
    threads = statuses(sotto)
    assert len(threads) >= 3
    uid, gid = str(unprivileged.NOBODY.pw_uid), str(unprivileged.NOBODY.pw_gid)
    for status in threads:
        assert status["Uid"].split() == [uid] * 4
        assert status["Gid"].split() == [gid] * 4
        assert set(status["Groups"].split()) <= {gid}
        assert {int(status[name], 16) for name in CAPABILITIES} == {0}
        assert status["NoNewPrivs"] == "1"
    assert sotto.log_lines(f"user ID {uid}")


def test_nobody_is_the_default(dot_server, start_sotto):
    server = dot_server()
    sotto = start_sotto(arguments=["-l", "127.0.0.1:0", "-u", server.url])
    assert statuses(sotto)[0]["Uid"].split()[0] == str(unprivileged.NOBODY.pw_uid)


def test_root_by_wish_keeps_no_capability_either(dot_server, forward):
    """And it says that this is not a good wish."""
    sotto = forward(dot_server(), user="root")
    for status in statuses(sotto):
        assert status["Uid"].split() == ["0"] * 4
        assert {int(status[name], 16) for name in CAPABILITIES} == {0}
        assert status["NoNewPrivs"] == "1"
    assert sotto.log_lines("warning .*running as root")


@pytest.mark.skipif(not namespaces_available(), reason="needs a network namespace")
def test_port_53_is_bound_before(dot_server, forward):
    """The right to do so is gone afterwards, the sockets are not."""
    namespace = NetNamespace()
    try:
        server = dot_server(make_socket=namespace.socket)
        sotto = forward(
            server,
            user="nobody",
            listen=["dns://127.0.0.1:53"],
            process={"wrap": namespace.command},
        )
        sock = namespace.socket(kind=2)
        assert_own_answer(ask(sotto.address, "name.test", sock=sock), "name.test")
        sock.close()
    finally:
        namespace.close()
