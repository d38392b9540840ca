"""`sotto healthcheck`: by whatever way there is, and by what a container starts with."""

import pytest

from lib.admin import LISTEN, address_of
from lib.clients import Address, ask
from lib.ports import own_address
from lib.run_once import binary_of, run_to_end
from lib.timing import wait_until, within


@pytest.fixture
def check(request):
    """Run it: exit code, and what it says."""

    def run(*arguments, **environment):
        done = run_to_end([binary_of(request), "healthcheck", *arguments], environment)
        return done.returncode, (done.stdout + done.stderr).strip()

    return run


def fail(server, sotto) -> None:
    server.go_down()
    ask(sotto.address, "name.test")


def test_by_the_file(server, forward, check):
    """As the server itself, it takes its configuration from SOTTO_CONFIG; there is the admin."""
    host, port = own_address()
    admin = {"listen": f"http://{host}:{port}"}
    sotto = forward(server, admin=admin, control={"socket": "none"})
    assert check(SOTTO_CONFIG=str(sotto.config_path)) == (0, "ready")
    assert check("-c", str(sotto.config_path)) == (0, "ready")
    fail(server, sotto)
    code, words = check("-c", str(sotto.config_path))
    assert code == 1 and "not ready: no upstream is usable" in words
    server.come_back()
    # It is tried again when its back-off is over.
    wait_until(lambda: check("-c", str(sotto.config_path)) == (0, "ready"), 5, "ready again")
    sotto.stop()
    code, words = check("-c", str(sotto.config_path))
    assert code == 1 and f"cannot reach {host}:{port}: Connection refused" in words


def test_by_the_admin(server, forward, check):
    sotto = forward(server, admin=LISTEN)
    assert check("--admin", f"http://127.0.0.1:{address_of(sotto).port}") == (0, "ready")


def test_an_admin_on_every_address(server, forward, check, tmp_path):
    token = tmp_path / "token"
    token.write_text("a-token-of-some-length")
    admin = {"listen": "http://0.0.0.0:0", "token-file": str(token)}
    sotto = forward(server, admin=admin)
    assert check("--admin", f"http://0.0.0.0:{address_of(sotto).port}") == (0, "ready")


def test_by_the_control_socket(server, forward, check):
    """With no setting at all, by the same user in the same environment."""
    sotto = forward(server)
    environment = {"RUNTIME_DIRECTORY": str(sotto.runtime_directory)}
    assert check(**environment) == (0, "ready")
    fail(server, sotto)
    code, words = check(**environment)
    assert code == 1 and f"no upstream is usable: {server.url}" in words
    server.come_back()
    wait_until(lambda: check(**environment) == (0, "ready"), 5, "ready again")


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_by_a_query(server, forward, check, scheme):
    """Where there is neither, as in a container without a place for a socket."""
    # So that the first query is answered before it is repeated: the answer to that one, which came
    # late, would only say that it was not answered in time.
    sotto = forward(server, timeout=1.0)
    url = f"{scheme}://{sotto.address.host}:{sotto.address.port}"
    assert check("-l", url) == (0, f"{sotto.address.host}:{sotto.address.port} answers queries")
    fail(server, sotto)
    code, words = check("-l", url)
    assert code == 1 and "cannot answer: " in words and "Connection refused" in words


def test_by_a_query_to_the_files_listener(server, forward, check):
    host, port = own_address()
    sotto = forward(server, listen=[f"dns://{host}:{port}"], control={"socket": "none"})
    code, words = check("-c", str(sotto.config_path))
    assert (code, words) == (0, f"{host}:{port} answers queries")
    fail(server, sotto)
    assert check("-c", str(sotto.config_path))[0] == 1


def test_who_is_not_allowed_still_sees_that_it_lives(server, forward, check):
    sotto = forward(server, clients={"allow": ["192.0.2.0/24"]})
    code, words = check("-l", f"127.0.0.1:{sotto.address.port}")
    assert code == 0 and "clients.allow" in words


def test_nobody_there(check):
    host, port = own_address()
    with within(10):
        for url in [f"udp://{host}:{port}", f"tcp://{host}:{port}"]:
            code, words = check("-l", url)
            assert code == 1 and "Connection refused" in words
        code, words = check("--admin", f"http://{host}:{port}")
        assert code == 1 and "Connection refused" in words


def test_what_answers_is_something_else(server, check, start_sotto, forward):
    sotto = forward(server)
    place = Address(sotto.address.host, sotto.address.port)
    code, words = check("--admin", f"http://{place.host}:{place.port}")
    assert code == 1 and words


def test_no_way_to_ask(check, tmp_path):
    config = tmp_path / "sotto.yaml"
    config.write_text("listen: ['tls://127.0.0.1:853']\ncontrol: {socket: none}\n")
    code, words = check("-c", str(config))
    assert code == 1 and "set admin.listen to http://127.0.0.1:8053" in words


def test_wrong_use(check, tmp_path):
    assert check("--nonsense")[0] == 2
    assert check("operand")[0] == 2
    assert check("-c", str(tmp_path / "missing"))[0] == 1
    code, words = check("--help")
    assert code == 0 and "HEALTHCHECK CMD" in words
