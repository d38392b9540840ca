"""Real stub resolvers, on port 53, in a network and a mount namespace of their own."""

import socket

import pytest

from lib import dns_wire as wire
from lib.clients import dig, kdig
from lib.net_namespace import NetNamespace
from lib.net_namespace import available as namespaces_available
from lib.run_once import run_to_end

pytestmark = pytest.mark.skipif(
    not namespaces_available(), reason="needs network and mount namespaces (root)"
)

# Puts our own files in place of the machine's, for this one process.
WITH_RESOLV_CONF = (
    'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/nsswitch.conf && shift '
    '&& exec "$@"'
)


class Machine:
    """One with no other way out than the program under test."""

    def __init__(self, namespace, folder):
        self.namespace = namespace
        self.resolv_conf = folder / "resolv.conf"
        self.nsswitch_conf = folder / "nsswitch.conf"
        self.resolv_conf.write_text("nameserver 127.0.0.1\noptions timeout:5 attempts:1\n")
        self.nsswitch_conf.write_text("hosts: dns\n")

    def run(self, *command) -> str:
        inside = ["unshare", "-m", "sh", "-c", WITH_RESOLV_CONF]
        files = [self.resolv_conf, self.nsswitch_conf]
        done = run_to_end(self.namespace.command([*inside, *files, *command]))
        return done.stdout + done.stderr


@pytest.fixture
def machine(dot_server, forward, tmp_path):
    """The machine, with the upstream and the program running on it."""
    namespace = NetNamespace()
    try:
        made = Machine(namespace, tmp_path)
        made.server = dot_server(make_socket=namespace.socket)
        made.sotto = forward(
            made.server,
            listen=["dns://127.0.0.1:53", "dns://[::1]:53"],
            process={"wrap": namespace.command},
        )
        yield made
        made.sotto.stop()
    finally:
        namespace.close()


def own_address(name: str, rdtype: int) -> str:
    family = socket.AF_INET if rdtype == wire.A else socket.AF_INET6
    return socket.inet_ntop(family, wire.derived_rdata(wire.name_wire(name), rdtype))


def test_getaddrinfo(machine):
    """Asks for A and AAAA at once, from one port, and wants both."""
    output = machine.run("getent", "ahosts", "www.example.test")
    for rdtype in (wire.A, wire.AAAA):
        assert own_address("www.example.test", rdtype) in output, output
    assert {query.rdtype for query in machine.server.queries} == {wire.A, wire.AAAA}


@pytest.mark.parametrize("options", ["single-request", "use-vc", "edns0 trust-ad", "rotate"])
def test_getaddrinfo_with_options_of_resolv_conf(machine, options):
    """use-vc: over TCP."""
    machine.resolv_conf.write_text(f"nameserver 127.0.0.1\noptions {options}\n")
    output = machine.run("getent", "ahosts", "www.example.test")
    assert own_address("www.example.test", wire.A) in output, output
    if options == "use-vc":
        assert machine.sotto.count("TCP queries") >= 1


def test_getaddrinfo_over_ipv6(machine):
    machine.resolv_conf.write_text("nameserver ::1\n")
    output = machine.run("getent", "ahosts", "six.example.test")
    assert own_address("six.example.test", wire.A) in output, output


def test_localhost_is_answered_without_the_upstream(machine):
    output = machine.run("getent", "ahosts", "localhost")
    assert "127.0.0.1" in output and not machine.server.connections


def test_dig_with_no_server_named(machine):
    """dig's defaults: EDNS, a cookie, AD."""
    output = machine.run("dig", "www.example.test", "AAAA", "+noall", "+answer", "+comments")
    assert "status: NOERROR" in output and own_address("www.example.test", wire.AAAA) in output
    (query,) = machine.server.queries
    assert wire.OPTION_COOKIE not in query.options


def test_kdig_with_no_server_named(machine):
    output = machine.run("kdig", "+tcp", "www.example.test", "TXT")
    assert "NOERROR" in output and "www.example.test." in output


def test_python_dnspython_with_no_server_named(machine):
    script = "import dns.resolver; print(dns.resolver.resolve('www.example.test', 'A')[0])"
    output = machine.run("/usr/bin/python3", "-c", script)
    assert own_address("www.example.test", wire.A) in output


@pytest.mark.parametrize(
    "arguments",
    [
        ["+noedns"],
        ["+edns=1"],
        ["+bufsize=512", "+dnssec"],
        ["+tcp", "+keepopen"],
        ["+nsid", "+cookie", "+expire"],
        ["+subnet=192.0.2.0/24"],
        ["+norecurse", "+cdflag", "+adflag"],
        ["+header-only"],
        ["+opcode=5"],
    ],
    ids=" ".join,
)
def test_dig_with_odd_options_understands_every_answer(dot_server, forward, arguments):
    """No warning of a malformed or mismatching reply, whatever was asked."""
    sotto = forward(dot_server())
    output = dig(sotto.address, "www.example.test", "A", *arguments)
    assert "status: " in output, output
    for complaint in (";; Warning", "malformed", "mismatch", "extra bytes", "ID mismatch"):
        assert complaint not in output, output


def test_kdig_asks_many_over_one_connection(dot_server, forward):
    sotto = forward(dot_server())
    output = kdig(sotto.address, "+tcp", "+keepopen", "a.test", "A", "b.test", "A", "c.test", "A")
    assert output.count("status: NOERROR") == 3
    assert sotto.count("TCP queries") == 3
