"""Clients over TLS and HTTPS: what a query, a handshake and an idle connection cost the server.

Everybody listens with the same certificate (ECDSA P-256). Queries over TLS come from dnsperf, those
over HTTPS from h2load, over 10 connections with 10 in flight each; handshakes and idle connections
from here, by OpenSSL.

dnsperf 2.10 speaks HTTPS too, but of several answers in one TLS record it loses all but the first:
with servers that write so (dnsdist does) it soon waits for what it already has.
"""

import base64
import contextlib
import os
import re
import socket
import ssl
import statistics
import subprocess
from pathlib import Path

from . import subjects
from .certificates import NAME
from .processes import Failed, cpus
from .scenarios import HOT_NAMES
from .setup import say
from .subjects import SOTTO, Kind, Subject

HANDSHAKES = 300
IDLE = 1000
MANY_IDLE = 5000

CANNOT = {
    "smartdns": "this version listens for DNS over neither TLS nor HTTPS",
    "stubby": "it listens for plain DNS only",
}


@contextlib.contextmanager
def _beside_the_generator():
    """What we do ourselves is done on the generator's CPU."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpus()[1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _query(hot: int = 0) -> bytes:
    """For a hot name's address, with the ID 0, as RFC 8484 wants it in a URL."""
    name = b"\x08h%07d\x03hot\x05bench\x07example\x00" % hot
    return bytes.fromhex("000001000001000000000000") + name + b"\0\1\0\1"


ANSWER_SIZE = len(_query()) + 16  # the question, and an address


def _connect(subject: Subject, context: ssl.SSLContext, session=None) -> ssl.SSLSocket:
    """After a query and its answer: tickets are there, and both sides have done all they do."""
    plain = socket.create_connection(("127.0.0.1", subject.tls_port), 10)
    secure = context.wrap_socket(plain, server_hostname=NAME, session=session)
    secure.sendall(len(_query()).to_bytes(2, "big") + _query())
    head = secure.recv(2)
    if len(head) < 2 or not secure.recv(int.from_bytes(head, "big")):
        raise Failed("no answer over TLS")
    return secure


def _context(session) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=session.place.certificates.authority)
    context.set_alpn_protocols(["dot"])
    return context


def _handshakes(session, subject: Subject, resumed: bool, count: int) -> float:
    """Microseconds of the server for a connection with one query, from its start to its end."""
    context = _context(session)
    first = _connect(subject, context)
    ticket = first.session if resumed else None
    first.close()
    before = subject.program.cpu_time()
    with _beside_the_generator():
        for _ in range(count):
            connection = _connect(subject, context, ticket)
            if connection.session_reused != resumed:
                raise Failed("sessions are not resumed")
            connection.close()
    return (subject.program.cpu_time() - before) / count / 1000


def _idle(session, subject: Subject, count: int) -> float:
    """Octets resident for each connection on which one query was answered."""
    context = _context(session)
    connections = [_connect(subject, context) for _ in range(20)]
    before = subject.program.resident()
    try:
        connections += [_connect(subject, context) for _ in range(count)]
        return (subject.program.resident() - before) / count
    finally:
        for connection in connections:
            connection.close()


def _run(command) -> str:
    """What a generator says on its CPU."""
    done = subprocess.run(
        ["taskset", "-c", *map(str, (cpus()[1], *command))],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {done.stderr.strip()[-200:]}")
    return done.stdout


def _dnsperf(session, subject: Subject, *limits) -> int:
    """Queries over TLS that were answered."""
    names = session.place.folder / "dnsperf-names"
    names.write_text("".join(f"h{i:07d}.hot.bench.example A\n" for i in range(HOT_NAMES)))
    command = ["dnsperf", "-m", "dot", "-s", "127.0.0.1", "-p", subject.tls_port, "-d", names]
    said = _run([*command, "-c", "10", "-q", "100", "-T", "1", *limits])
    found = re.search(r"Queries completed:\s+(\d+)", said)
    return int(found[1]) if found else 0


def _urls(session, subject: Subject) -> Path:
    path = session.place.folder / "h2load-urls"
    server = f"https://127.0.0.1:{subject.doh_port}/dns-query?dns="
    queries = (base64.urlsafe_b64encode(_query(i)) for i in range(HOT_NAMES))
    path.write_text("".join(f"{server}{query.decode().rstrip('=')}\n" for query in queries))
    return path


def _h2load(session, subject: Subject, *limits) -> int:
    """Queries over HTTPS (HTTP/2, GET) that were answered."""
    command = ["h2load", "-i", _urls(session, subject), "-m", "10", "-t", "1"]
    said = _run([*command, "-H", "accept: application/dns-message", *limits])
    requests = re.search(r"(\d+) succeeded, (\d+) failed", said)
    octets = re.search(r"\((\d+)\) data", said)
    if not requests or not octets:
        raise Failed(f"h2load: {said[-200:]}")
    succeeded, failed, data = int(requests[1]), int(requests[2]), int(octets[1])
    if failed:
        raise Failed(f"h2load: {failed} of {succeeded + failed} failed")
    # h2load does not look into answers; one without an address is shorter.
    if data < succeeded * ANSWER_SIZE:
        raise Failed("h2load: there are answers without an address")
    return succeeded


def _warm(session, subject: Subject) -> None:
    """All names once: dnsdist keeps what was asked over UDP apart from what was asked otherwise."""
    session.generator.warm(subject.port, HOT_NAMES)
    _dnsperf(session, subject, "-n", "1")
    _h2load(session, subject, "-c", "1", "-n", HOT_NAMES)


def _hits(session, subject: Subject, generate, *limits) -> float:
    """CPU a query, microseconds."""
    before = subject.program.cpu_time()
    answered = generate(session, subject, *limits)
    if not answered:
        raise Failed("nothing was answered")
    return (subject.program.cpu_time() - before) / answered / 1000


def _measures(session) -> dict:
    count = HANDSHAKES // 15 if session.quick else HANDSHAKES
    seconds = "1" if session.quick else "2"
    return {
        "hit": lambda s: _hits(session, s, _dnsperf, "-l", seconds),
        "https": lambda s: _hits(session, s, _h2load, "-c", "10", "-D", seconds),
        "handshake": lambda s: _handshakes(session, s, False, count),
        "resumed": lambda s: _handshakes(session, s, True, count),
    }


def _start(session, kind: Kind) -> Subject | None:
    if reason := CANNOT.get(kind.key) or subjects.missing(kind):
        session.problem(kind, "clients over TLS and HTTPS", reason)
        return None
    try:
        subject = Subject(kind, session.place, [session.upstream], encrypted=True)
    except Failed as failure:
        session.problem(kind, "clients over TLS and HTTPS", failure)
        return None
    try:
        _warm(session, subject)
        return subject
    except Failed as failure:
        subject.stop()
        session.problem(kind, "clients over TLS and HTTPS", failure)
        return None


def _beside_idle(session) -> dict:
    """What a hit over UDP costs while many are connected over TLS and say nothing, and without."""
    from .measure import _sample  # the same measurement as everywhere
    from .scenarios import scenarios

    row = next(row for row in scenarios(session.seconds) if row.key == "hit-full")
    subject = Subject(SOTTO, session.place, [session.upstream], encrypted=True)
    context = _context(session)
    connections = []
    try:
        session.generator.warm(subject.port, HOT_NAMES)
        without = [_sample(session, subject, row.load)["cpu_us"] for _ in range(5)]
        with _beside_the_generator():
            connections = [_connect(subject, context) for _ in range(MANY_IDLE)]
        beside = [_sample(session, subject, row.load)["cpu_us"] for _ in range(5)]
    finally:
        for connection in connections:
            connection.close()
        subject.stop()
    return {"without": statistics.median(without), "beside": statistics.median(beside)}


def measure(session) -> dict:
    """By subject: medians over rounds, alternated; octets for an idle client."""
    running = [s for kind in subjects.ALL if not kind.is_floor and (s := _start(session, kind))]
    found = {subject.kind.key: {} for subject in running}
    rounds = {subject.kind.key: {} for subject in running}
    try:
        for _ in range(1 if session.quick else 3):
            for name, take in _measures(session).items():
                for subject in running:
                    try:
                        rounds[subject.kind.key].setdefault(name, []).append(take(subject))
                    except (Failed, OSError) as failure:
                        session.problem(subject.kind, f"clients over TLS, {name}", failure)
        for subject in running:
            for name, values in rounds[subject.kind.key].items():
                found[subject.kind.key][name] = statistics.median(values)
            try:
                found[subject.kind.key]["idle"] = _idle(
                    session, subject, IDLE // 4 if session.quick else IDLE
                )
            except (Failed, OSError) as failure:
                session.problem(subject.kind, "idle clients over TLS", failure)
            say(f"  {subject.kind.key}: {found[subject.kind.key]}")
    finally:
        for subject in running:
            subject.stop()
    if not session.quick and "sotto" in found:
        found["sotto"] |= {f"UDP hit {k}": v for k, v in _beside_idle(session).items()}
    return found
