"""Real DoT servers as upstreams: unbound, dnsdist, Knot Resolver."""

import itertools

import dns.flags
import pytest

from lib import peers
from lib.clients import ask, ask_many, dig, kdig
from lib.timing import wait_until

# One set of servers for all.
pytestmark = pytest.mark.xdist_group("real-peers")

HOST = "host.peer.example"


@pytest.fixture(scope="module", params=peers.ALL, ids=lambda kind: kind.program)
def peer(request, tmp_path_factory, identity):
    if not request.param.installed():
        pytest.skip(f"{request.param.program} is not installed")
    peer = request.param(tmp_path_factory.mktemp(request.param.program), identity)
    yield peer.start()
    peer.stop()


@pytest.fixture
def sotto(peer, forward):
    return forward(peer, timeout=5)


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(
    "name, rdtype, expected",
    [
        (HOST, "A", "198.51.100.10"),
        (HOST, "AAAA", "2001:db8::10"),
        ("text.peer.example", "TXT", '"said softly"'),
    ],
)
def test_ordinary_answers(sotto, name, rdtype, expected, tcp):
    reply = ask(sotto.address, name, rdtype, tcp=tcp)
    assert [rdata.to_text() for rdata in reply.answer[0]] == [expected]


@pytest.mark.parametrize("tcp", [False, True])
def test_an_alias_comes_with_its_target(sotto, tcp):
    reply = ask(sotto.address, "alias.peer.example", tcp=tcp)
    found = {record for rrset in reply.answer for record in map(str, rrset)}
    assert {"host.peer.example.", "198.51.100.10"} <= {name.lower() for name in found}


def test_a_name_error_comes_with_its_soa(sotto):
    reply = ask(sotto.address, "missing.peer.example")
    assert reply.rcode() == 3 and reply.authority


def test_no_data_comes_with_its_soa(sotto):
    reply = ask(sotto.address, "text.peer.example")
    assert reply.rcode() == 0 and not reply.answer and reply.authority


def test_a_big_answer_is_truncated_over_udp_and_whole_over_tcp(sotto):
    assert ask(sotto.address, "big.peer.example", "TXT").flags & dns.flags.TC
    reply = ask(sotto.address, "big.peer.example", "TXT", tcp=True)
    (rdata,) = reply.answer[0]
    assert sorted(part.decode() for part in rdata.strings) == sorted(peers.BIG_TXT)


def test_dig_and_kdig_agree(sotto):
    assert "198.51.100.10" in dig(sotto.address, HOST, "A", "+short")
    assert "198.51.100.10" in dig(sotto.address, HOST, "A", "+short", "+tcp")
    assert "198.51.100.10" in kdig(sotto.address, HOST, "A", "+short")
    assert "said softly" in kdig(sotto.address, "text.peer.example", "TXT", "+short", "+tcp")
    big = dig(sotto.address, "big.peer.example", "TXT")
    assert "retrying in TCP mode" in big and "status: NOERROR" in big


def test_thousands_of_queries_over_one_verified_connection(sotto):
    names = (f"missing-{number}.peer.example" for number in range(2000))
    tally = ask_many(sotto.address, names, window=50)
    # All of these names are missing, and that is their right answer.
    assert tally.lost == tally.wrong == 0 and tally.failed == 2000
    assert sotto.count("upstream down") == sotto.count("verification failures") == 0
    assert "verified dot.test" in sotto.wait_log("connected to ")


def test_a_new_connection_resumes(sotto, peer, forward):
    again = forward(peer, server_options={"idle-timeout": "200ms"})
    number = itertools.count()

    def resumed():
        ask(again.address, f"missing-{next(number)}.peer.example")
        return again.count("connections resumed")

    wait_until(resumed, 5, "a connection is resumed", interval=0.3)
