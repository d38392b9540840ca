"""Clients over TLS: what a query, a handshake and an idle connection cost the server.

Everybody listens with the same certificate (ECDSA P-256). Queries come from dnsperf, over 10
connections with 10 in flight each; handshakes and idle connections from here, by OpenSSL.
"""

import contextlib
import os
import re
import socket
import ssl
import statistics
import subprocess

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
    "smartdns": "this version does not listen for DNS over TLS",
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


def _query() -> bytes:
    name = b"\x08h0000000\x03hot\x05bench\x07example\x00"
    message = os.urandom(2) + bytes.fromhex("01000001000000000000") + name + b"\0\1\0\1"
    return len(message).to_bytes(2, "big") + message


def _connect(subject: Subject, context: ssl.SSLContext, session=None) -> ssl.SSLSocket:
    """After a query and its answer: tickets are there, and both sides have done all they do."""
    plain = socket.create_connection(("127.0.0.1", subject.tls_port), 10)
    secure = context.wrap_socket(plain, server_hostname=NAME, session=session)
    secure.sendall(_query())
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


def _dnsperf(session, subject: Subject) -> float:
    """CPU a query, microseconds."""
    names = session.place.folder / "dnsperf-names"
    names.write_text("".join(f"h{i:07d}.hot.bench.example A\n" for i in range(HOT_NAMES)))
    command = ["dnsperf", "-m", "dot", "-s", "127.0.0.1", "-p", str(subject.tls_port), "-d", names]
    command += ["-c", "10", "-q", "100", "-T", "1", "-l", "1" if session.quick else "2"]
    before = subject.program.cpu_time()
    done = subprocess.run(
        ["taskset", "-c", str(cpus()[1]), *command], capture_output=True, text=True, check=False
    )
    spent = subject.program.cpu_time() - before
    if not (found := re.search(r"Queries completed:\s+(\d+)", done.stdout)) or not int(found[1]):
        raise Failed(f"dnsperf: {done.stderr.strip()[-200:]}")
    return spent / int(found[1]) / 1000


def _measures(session) -> dict:
    count = HANDSHAKES // 15 if session.quick else HANDSHAKES
    return {
        "hit": lambda s: _dnsperf(session, s),
        "handshake": lambda s: _handshakes(session, s, False, count),
        "resumed": lambda s: _handshakes(session, s, True, count),
    }


def _start(session, kind: Kind) -> Subject | None:
    if reason := CANNOT.get(kind.key) or subjects.missing(kind):
        session.problem(kind, "clients over TLS", reason)
        return None
    try:
        subject = Subject(kind, session.place, [session.upstream], encrypted=True)
        session.generator.warm(subject.port, HOT_NAMES)
        return subject
    except Failed as failure:
        session.problem(kind, "clients over TLS", failure)
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
