"""Real clients of DNS over TLS in front of the program: tools, stub resolvers, other forwarders."""

import re
import subprocess

import pytest

from lib import dns_wire as wire
from lib.clients import Address, ask, assert_own_answer, kdig
from lib.peers import Peer
from lib.run_once import run_to_end
from lib.timing import scaled

NAME = "www.example.test"


@pytest.fixture
def sotto(server, forward, encrypted):
    return forward(server, **encrypted)


@pytest.fixture
def own_address() -> str:
    return ".".join(map(str, wire.derived_rdata(wire.name_wire(NAME), wire.A)))


def test_kdig(place, authority, other_authority, own_address):
    """By name, by authority; and it finds out when the authority is another one."""
    right = [f"+tls-ca={authority.ca_path}", "+tls-hostname=dot.test"]
    assert own_address in kdig(place, *right, NAME, "A")
    assert own_address in kdig(place, "+tls", NAME, "A")
    wrong = kdig(place, f"+tls-ca={other_authority.ca_path}", "+tls-hostname=dot.test", NAME, "A")
    assert "handshake failed (Error in the certificate" in wrong


def s_client(place, *arguments, talk=b"") -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{place.port}", *arguments]
    done = subprocess.run(command, input=talk, capture_output=True, timeout=scaled(20), check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"],
    ],
    ids=["TLS 1.1", "no forward secrecy", "CBC", "nobody"],
)
def test_old_versions_and_weak_suites_are_refused(sotto, place, arguments):
    """C9; RFC 9325."""
    output = s_client(place, *arguments)
    assert re.search(r"Cipher is \(NONE\)|no peer certificate available", output), output
    assert sotto.count("handshakes") == 0
    assert sotto.wait_count("handshakes failed") == 1


@pytest.mark.parametrize("version, suite", [("-tls1_2", "ECDHE-ECDSA"), ("-tls1_3", "TLS_")])
def test_versions_chain_and_protocol(place, authority, version, suite):
    output = s_client(
        place,
        *(version, "-alpn", "dot", "-CAfile", authority.ca_path, "-verify_hostname", "dot.test"),
    )
    assert "Verify return code: 0 (ok)" in output
    assert "ALPN protocol: dot" in output
    assert f"Cipher is {suite}" in output


def test_a_client_may_not_renegotiate(sotto, place):
    """C9"""
    output = s_client(place, "-tls1_2", talk=b"R\n")
    assert re.search(r"no renegotiation|RENEGOTIATING", output)
    assert sotto.count("TLS queries") == 0


def test_gnutls_resumes(sotto, place, authority):
    done = run_to_end(
        [
            *("gnutls-cli", "--resume", "--waitresumption", "--alpn=dot", "--port", place.port),
            *("--x509cafile", authority.ca_path, "--verify-hostname=dot.test", "127.0.0.1"),
        ]
    )
    assert "This is a resumed session" in done.stdout, done.stdout + done.stderr
    assert sotto.wait_count("handshakes resumed") == 1


class _Forwarder(Peer):
    """One that asks the program over TLS, and is asked over plain DNS."""

    def __init__(self, folder, identity, upstream: Address, authority):
        super().__init__(folder, identity)
        self.upstream = upstream
        self.authority = authority

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)


class UnboundInFront(_Forwarder):
    program = "unbound"

    def command(self):
        (self.folder / "unbound.conf").write_text(
            f"""\
server:
  interface: 127.0.0.1@{self.port}
  directory: "{self.folder}"
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
  num-threads: 1
  module-config: "iterator"
  tls-cert-bundle: "{self.authority.ca_path}"
  local-zone: "test." nodefault
forward-zone:
  name: "."
  forward-tls-upstream: yes
  forward-addr: 127.0.0.1@{self.upstream.port}#dot.test
"""
        )
        return ["/usr/sbin/unbound", "-d", "-c", str(self.folder / "unbound.conf")]


class StubbyInFront(_Forwarder):
    program = "stubby"

    def command(self):
        (self.folder / "stubby.yml").write_text(
            f"""\
resolution_type: GETDNS_RESOLUTION_STUB
dns_transport_list: [GETDNS_TRANSPORT_TLS]
tls_authentication: GETDNS_AUTHENTICATION_REQUIRED
tls_query_padding_blocksize: 128
tls_ca_file: "{self.authority.ca_path}"
listen_addresses: [127.0.0.1@{self.port}]
upstream_recursive_servers:
  - address_data: 127.0.0.1
    tls_port: {self.upstream.port}
    tls_auth_name: "dot.test"
"""
        )
        return ["/usr/bin/stubby", "-C", str(self.folder / "stubby.yml")]


@pytest.mark.parametrize("kind", [UnboundInFront, StubbyInFront])
def test_another_forwarder_in_front(sotto, place, authority, identity, tmp_path, kind):
    """Each proves for itself that it speaks TLS with the program, which it verifies."""
    forwarder = kind(tmp_path, identity, place, authority).start()
    try:
        for number in range(5):
            name = f"n{number}.example.test"
            assert_own_answer(ask(forwarder.address, name), name)
    finally:
        forwarder.stop()
    assert sotto.count("TLS queries") >= 5 and sotto.count("UDP queries") == 0


def test_dnsperf(place, sotto, tmp_path):
    """Many at once, over several connections: none is lost."""
    names = tmp_path / "names"
    names.write_text("".join(f"n{number}.example.test A\n" for number in range(2000)))
    done = run_to_end(
        [
            *("dnsperf", "-m", "dot", "-s", "127.0.0.1", "-p", place.port, "-d", names),
            *("-c", "10", "-q", "100", "-n", "1", "-t", "10"),
        ],
        seconds=60,
    )
    assert re.search(r"Queries completed:\s+2000 \(100.00%\)", done.stdout), done.stdout
    assert re.search(r"NOERROR 2000 ", done.stdout), done.stdout
    assert sotto.count("TLS queries") == 2000
