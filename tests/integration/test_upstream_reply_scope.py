"""Nothing but the question's own answer is taken from a reply."""

from lib import dns_wire as wire
from lib.clients import ask, assert_own_answer
from lib.faulty_dot import by_name, reply_to

FORGED = bytes([192, 0, 2, 66])
VICTIM = "victim.test"


def forged(owner: str) -> bytes:
    return wire.record(wire.name_wire(owner), wire.A, FORGED)


def test_records_of_other_names_do_not_become_answers(dot_server, forward):
    """R6: an alias that ends elsewhere, and extra records in every section."""

    def poison(conn, query):
        alias = wire.record(wire.QUESTION_POINTER, wire.CNAME, wire.name_wire(VICTIM))
        server_of_all = wire.record(b"\0", wire.NS, wire.name_wire(VICTIM))
        conn.answer(
            query,
            answer=[alias, forged(VICTIM)],
            authority=[server_of_all],
            additional=[forged(VICTIM), forged("www.victim.test")],
        )

    server = dot_server(on_query=by_name(poison=poison))
    sotto = forward(server)
    for number in range(5):
        reply = ask(sotto.address, f"poison-{number}.test")
        assert reply.rcode() == wire.NOERROR and len(reply.answer) == 2
    for name in (VICTIM, "www.victim.test"):
        assert_own_answer(ask(sotto.address, name), name)
        assert len(server.queries_for(name + ".")) == 1


def test_an_alias_chain_is_passed_on_as_it_came(dot_server, forward):
    """R6"""
    target = wire.name_wire("target.test")

    def alias(conn, query):
        conn.send_message(
            reply_to(
                query,
                answer=[
                    wire.record(wire.QUESTION_POINTER, wire.CNAME, target),
                    wire.record(target, wire.A, FORGED),
                ],
            )
        )

    sotto = forward(dot_server(on_query=alias))
    reply = ask(sotto.address, "alias.test")
    assert [rrset.name.to_text() for rrset in reply.answer] == ["alias.test.", "target.test."]
    assert reply.answer[1][0].address == "192.0.2.66"
