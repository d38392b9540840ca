"""The configuration file: what is printed, what is published and what is documented agree."""

import json
import os
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from lib.sotto_process import sanitizer_environment
from lib.timing import scaled

pytestmark = pytest.mark.single_threaded

DOCS = Path(__file__).resolve().parents[2] / "docs"


class Yaml12Loader(yaml.SafeLoader):
    """Reads words as YAML 1.2 does, like editors: `off` is a word, not a boolean."""

    yaml_implicit_resolvers = {}


for tag, pattern, first in [
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
]:
    Yaml12Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first
    )


def load(text: str):
    return yaml.load(text, Loader=Yaml12Loader)


@pytest.fixture
def run(request):
    """Run the program to its end: `run("-t", "-c", path)`."""
    binary = Path(request.config.getoption("--sotto")).resolve()

    def start(*arguments, environment=None, code=0) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [binary, *map(str, arguments)],
            env={**os.environ, **sanitizer_environment(), **(environment or {})},
            capture_output=True,
            text=True,
            timeout=scaled(20),
            check=False,
        )
        assert done.returncode == code, f"ended with {done.returncode}\n{done.stderr}"
        return done

    return start


@pytest.fixture(scope="module")
def validator():
    schema = json.loads((DOCS / "sotto.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def uncommented(text: str) -> str:
    """The example with every default in it: `#key:` and `#  - entry` lose their #."""
    return re.sub(r"^( *)#(?=(?:  )*(?:- |[a-z0-9-]+:))", r"\1", text, flags=re.MULTILINE)


def keys_of(schema: dict, path: str = "") -> set[str]:
    found = set()
    for key, inner in schema.get("properties", {}).items():
        found |= {f"{path}{key}"} | keys_of(inner, f"{path}{key}.")
    for inner in [*schema.get("anyOf", []), *filter(None, [schema.get("items")])]:
        found |= keys_of(inner, path)
    return found


def keys_in(value, path: str = "") -> set[str]:
    found = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            found |= {f"{path}{key}"} | keys_in(inner, f"{path}{key}.")
    elif isinstance(value, list):
        for inner in value:
            found |= keys_in(inner, path)
    return found


# A bootstrap server is written like any other, and shown once; so are certificates.
SHOWN_ELSEWHERE = (
    "upstream.bootstrap.",
    "query-log.sinks.",
    "listen.certificates.",
    "tls.certificates.",
)


def test_the_published_schema_is_the_programs_own(run):
    assert run("--schema").stdout == (DOCS / "sotto.schema.json").read_text()


def test_the_example_is_the_default_configuration(run, tmp_path):
    defaults = run("-t").stdout
    assert run("-t", "-c", DOCS / "sotto.yaml").stdout == defaults
    path = tmp_path / "everything.yaml"
    path.write_text(uncommented((DOCS / "sotto.yaml").read_text()))
    assert run("-t", "-c", path).stdout == defaults


def test_the_example_is_valid_and_shows_every_key(validator):
    text = (DOCS / "sotto.yaml").read_text()
    validator.validate(load(text))
    everything = load(uncommented(text))
    validator.validate(everything)
    known = keys_of(validator.schema)
    assert len(known) > 20
    shown = keys_in(everything)
    assert {key for key in known - shown if not key.startswith(SHOWN_ELSEWHERE)} == set()


CONFIGURATIONS = {
    "defaults": "",
    "server options": """
        upstream:
          strategy: fastest
          timeout: 1500ms
          servers:
            - quad9
            - url: tls://127.0.0.1:8853#dot.test
              pin-sha256: [AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=]
              profile: opportunistic
              max-connections: 64
              idle-timeout: 10ms
            - url: "[2001:db8::1]:8853#dns.example"
              ca-file: /dev/null
          bootstrap: [{url: quad9}]
        """,
    "words that are booleans to some": """
        padding: off
        user: "no"
        identity: {id: "on", version: "1.0"}
        """,
    "odd text": r"""
        identity: {id: "a \"b\" \\ # c: d", version: "bücher 😀"}
        """,
    "listeners": "listen: ['*:5300', 'udp://[::1]:54', 'tcp://127.0.0.1']\nworkers: 2",
    "control socket": "control: {socket: /run/a b.sock, group: '1000'}",
    "empty sections": "upstream:\nlog:\ntcp: {}\n",
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_is_printed_loads_to_the_same(run, validator, tmp_path, name):
    path = tmp_path / "sotto.yaml"
    path.write_text(CONFIGURATIONS[name])
    first = run("-t", "-c", path).stdout
    path.write_text(first)
    assert run("-t", "-c", path).stdout == first
    validator.validate(load(CONFIGURATIONS[name]))
    validator.validate(load(first))
    validator.validate(yaml.safe_load(first))  # also as a reader of YAML 1.1 has it
    hidden = keys_of(validator.schema) - keys_in(load(first))
    assert {key for key in hidden if not key.startswith((*SHOWN_ELSEWHERE, "listen."))} == set()


# Each is refused by the program, there at this line and column, and by the schema.
BAD = [
    ("frob: 1", "1:1: unknown key"),
    ("upstream:\n  stratgy: fastest", '2:3: unknown key "stratgy" in upstream; did you mean'),
    ("log:\n  level: loud", "2:10: log.level: found"),
    ("log: info", "1:6: log: found"),
    ("just words", "1:1: the file: found"),
    ("[]", "1:1: the file: found an empty list"),
    ("listen: 127.0.0.1", "1:9: listen: found"),
    ("listen: []", "1:9: listen: found an empty list"),
    ("listen: [53]", "1:10: listen: found the number 53"),
    ("listen: [{url: 53}]", "1:16: listen.url: found the number 53"),
    ("listen: [{url: '::1', idle-timeout: never}]", '1:37: listen.idle-timeout: found "never"'),
    ("listen: [{url: '::1', rate-limit: -1}]", "1:35: listen.rate-limit: found the number -1"),
    ("listen: [{url: '::1', refuse: no}]", '1:31: listen.refuse: found "no"'),
    ("listen: [{certificates: []}]", '1:10: listen: no "url" in this listen address'),
    (
        "listen: [{url: tls://::1, certificates: [{key: a}]}]",
        '1:42: listen.certificates: no "cert"',
    ),
    ("tls: {certificates: [{cert: ''}]}", "1:29: tls.certificates.cert: found"),
    ("tls: {handshake-timeout: 5}", "1:26: tls.handshake-timeout: found"),
    ("listen: ['tls:///']", "1:10: listen: "),
    ("listen:", "1:8: listen: found nothing"),
    ("workers: 0", "1:10: workers: found"),
    ("workers: 257", "1:10: workers: found"),
    ("workers: many", "1:10: workers: found"),
    ("workers: '4'", "1:10: workers: found"),
    ("workers: 1.5", "1:10: workers: found"),
    ("user: ''", "1:7: user: found"),
    ("user: 65532", "1:7: user: found the number 65532"),
    (f"user: {'a' * 64}", "1:7: user: found"),
    ("upstream: {timeout: 5}", "1:21: upstream.timeout: found"),
    ("upstream: {timeout: 5 s}", "1:21: upstream.timeout: found"),
    ("upstream: {timeout: 1.5s}", "1:21: upstream.timeout: found"),
    ("upstream: {strategy: random}", "1:22: upstream.strategy: found"),
    ("upstream: {servers: []}", "1:21: upstream.servers: found"),
    (f"upstream: {{servers: [{'quad9, ' * 33}]}}", "upstream.servers: too many entries"),
    ("upstream: {servers: quad9}", "1:21: upstream.servers: found"),
    ("upstream: {servers: [{}]}", '1:22: upstream.servers: no "url"'),
    ("upstream: {servers: [{ca-file: a.pem}]}", '1:22: upstream.servers: no "url"'),
    ("upstream: {servers: ['https://a.b/c']}", "1:22: upstream.servers: "),
    ("upstream: {servers: [{url: quad9, ca: a}]}", '1:35: unknown key "ca" in upstream.servers'),
    ("upstream: {servers: [{url: quad9, ca-file: 1}]}", "1:44: upstream.servers.ca-file: found"),
    ("upstream: {servers: [{url: quad9, pin-sha256: [abc]}]}", "1:48: "),
    ("upstream: {servers: [{url: quad9, pin-sha256: abc}]}", "1:47: "),
    ("upstream: {servers: [{url: quad9, profile: none}]}", "1:44: "),
    ("upstream: {servers: [{url: quad9, max-connections: 65}]}", "1:52: "),
    ("upstream: {servers: [{url: quad9, idle-timeout: 60}]}", "1:49: "),
    ("control: {socket: control.sock}", "1:19: control.socket: found"),
    ("control: {socket: ''}", "1:19: control.socket: found"),
    ("control: {socket: true}", "1:19: control.socket: found"),
    (f"control: {{socket: /{'a' * 107}}}", "1:19: control.socket: "),
    ("control: {group: 1}", "1:18: control.group: found"),
    ("padding: on", "1:10: padding: found"),
    ("padding: false", "1:10: padding: found"),
    ("private-reverse: true", "1:18: private-reverse: found"),
    ("tcp: {max-connections: 0}", "1:24: tcp.max-connections: found"),
    ("tcp: {max-in-flight: 10001}", "1:22: tcp.max-in-flight: found"),
    ("tcp: {idle-timeout: soon}", "1:21: tcp.idle-timeout: found"),
    ("udp: {max-size: 511}", "1:17: udp.max-size: found"),
    ("udp: {max-size: 4097}", "1:17: udp.max-size: found"),
    ("max-in-flight: 0", "1:16: max-in-flight: found"),
    ("identity: {id: 7}", "1:16: identity.id: found the number 7"),
    ("identity: {version: ~}", "1:21: identity.version: found nothing"),
]


@pytest.mark.parametrize("text, error", BAD)
def test_program_and_schema_refuse_the_same(run, validator, tmp_path, text, error):
    path = tmp_path / "sotto.yaml"
    path.write_text(text)
    done = run("-t", "-c", path, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith(f"sotto: {path}:") and error in done.stderr
    assert done.stderr.count("\n") == 1
    assert not validator.is_valid(load(text))


def test_a_wrong_file_does_not_start(run, tmp_path):
    path = tmp_path / "sotto.yaml"
    path.write_text("listen: [127.0.0.1:0]\nworkers: x\n")
    assert f"{path}:2:10: workers: " in run("-c", path, code=2).stderr
    assert "cannot read the configuration" in run("-c", tmp_path / "none.yaml", code=2).stderr


def test_options_override_the_file(run, tmp_path):
    path = tmp_path / "sotto.yaml"
    path.write_text("listen: [127.0.0.1:1]\nupstream: {servers: [google]}\nworkers: 2\n")
    arguments = ["-t", "-c", path, "-l", "127.0.0.1:2", "-u", "quad9", "--workers", "3", "-v"]
    effective = load(run(*arguments).stdout)
    assert effective["listen"] == ["dns://127.0.0.1:2"]
    assert [server["url"] for server in effective["upstream"]["servers"]] == ["quad9"]
    assert effective["workers"] == 3
    assert effective["log"]["level"] == "debug"


def test_the_environment_names_the_file(run, tmp_path):
    path = tmp_path / "sotto.yaml"
    path.write_text("workers: 7\n")
    environment = {"SOTTO_CONFIG": str(path)}
    assert load(run("-t", environment=environment).stdout)["workers"] == 7
    assert load(run("-t", "-c", "/dev/null", environment=environment).stdout)["workers"] == "auto"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--frob"], "unknown option --frob"),
        (["-c"], "an argument is missing after -c"),
        (["now"], "unexpected argument: now"),
    ],
)
def test_bad_usage(run, arguments, message):
    assert run(*arguments, code=2).stderr == f"sotto: {message}\nTry 'sotto --help'.\n"


def test_help_and_version(run):
    assert run("--help").stdout.startswith("Usage: sotto ")
    assert re.fullmatch(r"sotto \d+\.\d+\.\d+\n", run("--version").stdout)
