"""The command line: what it prints, what overrides what, and help for those who slip."""

import pytest
import yaml

from lib.clients import ask, assert_own_answer
from lib.run_once import binary_of, run_to_end

pytestmark = pytest.mark.single_threaded


@pytest.fixture
def run(request):
    def start(*arguments, **environment):
        done = run_to_end([binary_of(request), *arguments], environment)
        return done.returncode, done.stdout, done.stderr

    return start


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(run, option):
    """On stdout, with every option, and not wider than a terminal."""
    code, out, err = run(option)
    assert (code, err) == (0, "")
    for word in ("-c, --config FILE", "-l, --listen", "-u, --upstream", "--ca-file", "--workers"):
        assert word in out, word
    for word in ("--control-socket", "sotto status [--json]", "sotto flush [--subtree] [NAME]"):
        assert word in out, word
    for word in ("sotto cert [OPTION]... NAME...", "sotto mobileconfig URL [ADDRESS]..."):
        assert word in out, word
    for word in ("-v, --verbose", "-t, --check-config", "-V, --version", "SOTTO_CONFIG"):
        assert word in out, word
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(run, option):
    assert run(option) == (0, "sotto 0.1.0\n", "")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--lisen", "127.0.0.1:53"], "--lisen"),
        (["-x"], "-x"),
        (["-l"], "-l"),
        (["--upstream"], "--upstream"),
        (["--help=me"], "--help"),
        (["127.0.0.1"], "127.0.0.1"),
        (["-l", "localhost:53"], "localhost:53"),
        (["-l", "127.0.0.1:99999"], "127.0.0.1:99999"),
        (["-l", "quic://127.0.0.1"], "unknown scheme"),
        (["-l", ""], "--listen"),
        (["-u", "clodflare"], "clodflare"),
        (["-u", "http://1.1.1.1"], "http://1.1.1.1"),
        (["-u", "tls://"], "tls://"),
        (["-u", "1.1.1.1:0#name"], "1.1.1.1:0"),
        (["--workers", "0"], "1 to 256"),
        (["--workers", "many"], "many"),
        (["--ca-file", "/no/such.pem"], "/no/such.pem"),
        (["-c", "/no/such.yaml"], "/no/such.yaml"),
        (["-c", "/"], "directory"),
        (["-l", "127.0.0.1:5300", "-l", "127.0.0.1:5300"], "twice"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_mistakes_are_named_and_end_with_2(run, arguments, said, check):
    """Exit code 2, on stderr, in a line or two, whether it was to run or to check."""
    code, out, err = run(*(["-t"] if check else []), *arguments)
    assert (code, out) == (2, ""), err
    assert err.startswith("sotto: ") and said in err, err
    assert len(err.splitlines()) <= 2


def test_check_config_prints_what_is_in_force(run, tmp_path):
    """Defaults and all, and options over the file over defaults; it loads again to the same."""
    path = tmp_path / "sotto.yaml"
    path.write_text("listen: ['127.0.0.1:1']\nworkers: 3\npadding: off\nlog: {level: error}\n")
    code, out, err = run("-t", "-c", path, "-l", "udp://127.0.0.1:2", "-l", "[::1]:3", "-vv")
    assert (code, err) == (0, "")
    printed = yaml.load(out, yaml.BaseLoader)
    assert printed["listen"] == ["udp://127.0.0.1:2", "dns://[::1]:3"]
    assert (printed["workers"], printed["padding"]) == ("3", "off")
    assert printed["log"]["level"] == "info"
    assert printed["upstream"]["servers"][0]["url"] == "cloudflare"
    assert printed["tcp"]["idle-timeout"] == "10s"
    again = tmp_path / "again.yaml"
    again.write_text(out)
    assert run("--check-config", "-c", again) == (0, out, "")


def test_check_config_opens_nothing(run):
    """It may run beside the one it is meant for, and by whoever may not bind to port 53."""
    code, out, _ = run("-t", "-l", "192.0.2.1:53")
    assert code == 0 and "192.0.2.1:53" in out


def test_a_wrong_file_says_where_and_what_instead(run, tmp_path):
    path = tmp_path / "sotto.yaml"
    path.write_text("log:\n  level: info\n  fromat: json\n")
    code, _, err = run("-c", path)
    assert code == 2 and f"{path}:3:3:" in err and '"fromat"' in err and "format" in err


def test_the_environment_names_the_file_and_c_overrides_it(run, tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("workers: 5\n")
    second.write_text("workers: 6\n")
    assert "workers: 5" in run("-t", SOTTO_CONFIG=str(first))[1]
    assert "workers: 6" in run("-t", "-c", second, SOTTO_CONFIG=str(first))[1]
    assert "workers: auto" in run("-t", SOTTO_CONFIG="")[1]
    code, _, err = run("-t", SOTTO_CONFIG="/no/such.yaml")
    assert code == 2 and "/no/such.yaml" in err


def test_options_alone_are_enough(dot_server, start_sotto, authority):
    """`sotto -l … -u … --ca-file …`, as in the README."""
    server = dot_server()
    arguments = ["-l", "127.0.0.1:0", "-u", server.url, "--ca-file", authority.ca_path, "-v"]
    sotto = start_sotto(arguments=arguments)
    assert_own_answer(ask(sotto.address, "name.test"), "name.test")


def test_options_stay_in_force_over_a_reload(dot_server, forward):
    """What the command line says, the file cannot take back."""
    server, other = dot_server(), dot_server()
    sotto = forward(server, process={"arguments": ["-l", "127.0.0.1:0"]})
    address = sotto.address
    sotto.reload({**sotto.config, "listen": ["127.0.0.1:1"]})
    assert_own_answer(ask(address, "name.test"), "name.test")
    assert len(sotto.listeners) == 1 and not other.connections
