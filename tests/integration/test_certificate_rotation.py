"""Certificates and authorities that change while sotto runs."""

import time

from lib.clients import Bystanders, ask, assert_failed, assert_own_answer
from lib.timing import scaled

MENDED_WITHIN = 1.0


def seconds_until_answered(sotto, label) -> float:
    """Time from the first query to the first good answer, of an impatient client."""
    started = time.monotonic()
    number = 0
    while ask(sotto.address, f"{label}-{number}.test").rcode() != 0:
        number += 1
        assert time.monotonic() - started < scaled(10), "never"
        time.sleep(0.02)
    return time.monotonic() - started


def test_a_renewed_certificate_is_used_from_the_next_connection(dot_server, forward, authority):
    """T14"""
    server = dot_server()
    sotto = forward(server)
    with Bystanders(sotto.address):
        assert_own_answer(ask(sotto.address, "old.test"), "old.test")
        server.new_identity(authority.issue())
        assert_own_answer(ask(sotto.address, "still-old.test"), "still-old.test")
        for conn in server.open_connections():
            conn.close()
        assert_own_answer(ask(sotto.address, "new.test"), "new.test")
    assert sotto.count("verification failures") == 0


def test_a_bad_certificate_that_was_mended(dot_server, forward, authority, identity):
    """T14: within a second of the next query after the fix."""
    server = dot_server(authority.issue(names=["other.test"]))
    sotto = forward(server)
    for number in range(5):
        assert_failed(ask(sotto.address, f"bad-{number}.test"), reason="verify")
    server.new_identity(identity)
    assert seconds_until_answered(sotto, "mended") < scaled(MENDED_WITHIN)
    assert not server.queries_starting("bad")
    sotto.wait_log(r"is back")


def test_a_certificate_that_goes_bad_while_connected(dot_server, forward, authority, identity):
    """T14: noticed at the next connection, and mended later."""
    server = dot_server()
    sotto = forward(server)
    assert_own_answer(ask(sotto.address, "good.test"), "good.test")
    server.new_identity(authority.issue(names=["other.test"]))
    for conn in server.open_connections():
        conn.close()
    assert_failed(ask(sotto.address, "bad.test"), reason="verify")
    server.new_identity(identity)
    assert seconds_until_answered(sotto, "mended") < scaled(MENDED_WITHIN)


def test_a_replaced_ca_file_counts_after_a_reload(
    dot_server, forward, authority, other_authority, tmp_path
):
    """T14: same path, other content."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(authority.ca_path.read_bytes())
    server = dot_server(other_authority.issue())
    sotto = forward(server, server_options={"ca-file": str(ca_file)})
    assert_failed(ask(sotto.address, "early.test"), reason="verify")
    ca_file.write_bytes(other_authority.ca_path.read_bytes())
    assert_failed(ask(sotto.address, "still.test"), reason="verify")
    sotto.reload()
    assert seconds_until_answered(sotto, "reloaded") < scaled(MENDED_WITHIN)


def test_a_ca_that_was_taken_away_is_no_longer_trusted(
    dot_server, forward, authority, other_authority, tmp_path
):
    """T14: neither open connections nor tickets outlive the trust."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(authority.ca_path.read_bytes())
    server = dot_server()
    sotto = forward(server, server_options={"ca-file": str(ca_file)})
    assert_own_answer(ask(sotto.address, "trusted.test"), "trusted.test")
    ca_file.write_bytes(other_authority.ca_path.read_bytes())
    sotto.reload()
    assert_failed(ask(sotto.address, "distrusted.test"), reason="verify")
    assert not server.queries_for("distrusted.test.")
