"""What is compared: the floors, sotto, and its peers from Debian.

Each is started the same way: one thread on one CPU where it can be told so, the same upstream with
a verified certificate, no validation, no query log, and a cache with room for the same number of
answers. The configurations are bench/peers/.
"""

import os
import re
import shutil
import socket
import string
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import certificates, processes
from .processes import Failed, PrintsPort, Program

TEMPLATES = Path(__file__).resolve().parent.parent / "peers"
PROGRAMS_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

HIT, MISS, TCP_HIT = "hit", "miss", "tcp hit"


@dataclass(frozen=True)
class Size:
    """Room for so many answers, in the units of each."""

    entries: int
    mib: int

    @property
    def values(self) -> dict:
        return {
            "cache_entries": self.entries,
            "cache_mib": self.mib,
            "rrset_cache_mib": 2 * self.mib,  # unbound keeps each answer in two caches
            "kresd_cache_mib": 4 * self.mib,  # LMDB's pages are never full
        }


STANDARD = Size(entries=400_000, mib=64)
LARGE = Size(entries=1_100_000, mib=256)


@dataclass(frozen=True)
class Kind:
    """A program that can be compared."""

    key: str
    title: str
    program: str = ""
    template: str = ""
    command: tuple = ()
    version: tuple = ()
    cannot: dict = field(default_factory=dict)  # metric: reason
    note: str = ""

    @property
    def is_floor(self) -> bool:
        return self.key in ("echo", "relay")

    @property
    def checks_address(self) -> bool:
        return self.key != "echo"


ECHO = Kind(
    "echo",
    "bare echo (floor)",
    cannot={MISS: "answers by itself", TCP_HIT: "UDP only"},
    note="answers every query with the same record, in batches",
)
RELAY = Kind(
    "relay",
    "bare relay (floor)",
    cannot={HIT: "has no cache", TCP_HIT: "UDP only"},
    note="passes everything on through one TLS connection, unchecked",
)
SOTTO = Kind("sotto", "**sotto**", template="sotto.yaml", note="release build, one worker")
UNBOUND = Kind(
    "unbound",
    "unbound",
    program="unbound",
    template="unbound.conf",
    command=("-d", "-c", "{config}"),
    version=("unbound", "-V"),
    note="one thread, iterator only",
)
DNSDIST = Kind(
    "dnsdist",
    "dnsdist",
    program="dnsdist",
    template="dnsdist.conf",
    command=("--supervised", "--disable-syslog", "-C", "{config}"),
    version=("dnsdist", "--version"),
    note="one UDP and one TCP thread (over HTTPS two more), packet cache",
)
KRESD = Kind(
    "kresd",
    "knot-resolver",
    program="kresd",
    template="kresd.conf",
    command=("-n", "-c", "{config}", "{folder}"),
    version=("kresd", "--version"),
    note="one process; its cache is a file in memory (/dev/shm), resident as far as it is used",
)
SMARTDNS = Kind(
    "smartdns",
    "smartdns",
    program="smartdns",
    template="smartdns.conf",
    command=("-f", "-x", "-c", "{config}", "-p", "-"),
    version=("smartdns", "-v"),
    note="it cannot be told how many threads to use; all are on the one CPU",
)
STUBBY = Kind(
    "stubby",
    "stubby",
    program="stubby",
    template="stubby.yml",
    command=("-C", "{config}", "-v", "0"),
    version=("stubby", "-V"),
    cannot={HIT: "has no cache", TCP_HIT: "has no cache"},
    note="single-threaded, no cache",
)
# What makes each listen over TLS and HTTPS too, at the end of its configuration or where it says
# `tls`.
ENCRYPTED = {
    "sotto": "tls:\n  certificates: [{{cert: {chain}, key: {key}}}]\n",
    "unbound": "  interface: 127.0.0.1@{tls}\n  tls-port: {tls}\n"
    "  interface: 127.0.0.1@{doh}\n  https-port: {doh}\n"
    '  tls-service-pem: "{chain}"\n  tls-service-key: "{key}"\n',
    "dnsdist": 'addTLSLocal("127.0.0.1:{tls}", "{chain}", "{key}", {{maxInFlight=100}})\n'
    'addDOHLocal("127.0.0.1:{doh}", "{chain}", "{key}", {{"/dns-query"}})',
    "kresd": "net.listen('127.0.0.1', {tls}, {{ kind = 'tls' }})\n"
    "net.listen('127.0.0.1', {doh}, {{ kind = 'doh2' }})\nnet.tls('{chain}', '{key}')",
}

PEERS = [UNBOUND, DNSDIST, KRESD, SMARTDNS, STUBBY]
ALL = [ECHO, RELAY, SOTTO, *PEERS]


def missing(kind: Kind) -> str | None:
    """Why it cannot be started at all."""
    if kind.program and not shutil.which(kind.program, path=PROGRAMS_PATH):
        return "not installed"
    return None


def version_of(kind: Kind) -> str:
    if not kind.version or missing(kind):
        return ""
    command = [shutil.which(kind.version[0], path=PROGRAMS_PATH), *kind.version[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+\S*|\d+\+\S+", done.stdout + done.stderr)
    return found.group().rstrip(",") if found else "?"


@dataclass
class Place:
    """What the programs of one run have in common."""

    sotto: Path
    binaries: Path
    folder: Path
    certificates: certificates.Certificates
    subject_cpu: int


class Subject:
    """One of them, running."""

    def __init__(
        self,
        kind: Kind,
        place: Place,
        upstreams,
        size: Size = STANDARD,
        workers: int = 1,
        authority: Path | None = None,
        prefix=(),
        environment=None,
        affinity=None,
        ready_within: float = 10,
        encrypted: bool = False,
    ):
        self.kind = kind
        self._folder = Path(tempfile.mkdtemp(prefix=f"{kind.key}-", dir=place.folder))
        log = self._folder / "log"
        authority = authority or place.certificates.authority
        affinity = affinity or {place.subject_cpu}
        self.verified = authority == place.certificates.authority
        if kind.is_floor:
            command = [*prefix, place.binaries / kind.key]
            if kind is RELAY:
                command += [upstreams[0].port, authority, certificates.NAME]
            self.program = PrintsPort(command, affinity, log, environment=environment)
            self.port = self.program.port
            return
        self.port = processes.free_port()
        self.tls_port = processes.free_port() if encrypted else None
        self.doh_port = processes.free_port() if encrypted else None
        config = self._configure(upstreams, authority, size, workers, place.certificates)
        if kind is SOTTO:
            command = [place.sotto, "-c", config]
        else:
            command = [shutil.which(kind.program, path=PROGRAMS_PATH)]
            command += [w.format(config=config, folder=self._folder) for w in kind.command]
        self.program = Program([*prefix, *command], affinity, log, environment=environment)
        if self.verified:
            try:
                self._wait_until_it_answers(ready_within)
            except Failed:
                self.stop()
                raise

    @property
    def pid(self) -> int:
        return self.program.pid

    def _configure(self, upstreams, authority, size, workers, made) -> Path:
        servers = "".join(
            f"    - url: tls://127.0.0.1:{upstream.port}#{certificates.NAME}\n"
            f"      ca-file: {authority}\n"
            for upstream in upstreams
        )
        values = size.values | {
            "port": self.port,
            "folder": self._folder,
            "authority": authority,
            "upstream_name": certificates.NAME,
            "upstream_port": upstreams[0].port,
            "workers": workers,
            "sotto_servers": servers,
            "sotto_strategy": "balance" if len(upstreams) > 1 else "failover",
            "sotto_user": "user: root" if os.geteuid() == 0 else "",
            "sotto_encrypted": "",
            "tls": "",
        }
        if self.tls_port:
            values["tls"] = ENCRYPTED[self.kind.key].format(
                tls=self.tls_port, doh=self.doh_port, chain=made.chain, key=made.key
            )
            values["sotto_encrypted"] = (
                f"  - tls://127.0.0.1:{self.tls_port}\n"
                f"  - https://127.0.0.1:{self.doh_port}/dns-query"
            )
        template = string.Template((TEMPLATES / self.kind.template).read_text())
        config = self._folder / self.kind.template
        config.write_text(template.substitute(values))
        return config

    def _wait_until_it_answers(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.answers(0.2):
            self.program.require_alive()
            if time.monotonic() > end:
                raise Failed(f"no answer within {seconds:g} s: {self.program.last_words()}")

    def answers(self, within: float) -> bool:
        """Whether a new name gets a good answer."""
        unique = os.urandom(8).hex().encode()
        name = b"\x10" + unique + b"\x05bench\x07example\x00"
        query = os.urandom(2) + bytes.fromhex("01000001000000000000") + name + b"\0\1\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(within)
            try:
                sock.connect(("127.0.0.1", self.port))
                sock.send(query)
                answer = sock.recv(1500)
            except OSError:
                time.sleep(0.02)
                return False
        rcode, answers = answer[3] & 15, struct.unpack_from("!H", answer, 6)[0]
        return answer[:2] == query[:2] and rcode == 0 and answers > 0

    def stop(self) -> None:
        self.program.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def verifies(kind: Kind, place: Place, upstream) -> None:
    """Raises Failed if it takes the upstream's word without a certificate that it can verify."""
    subject = Subject(kind, place, [upstream], authority=place.certificates.other_authority)
    try:
        for _ in range(4):
            if subject.answers(0.4):
                raise Failed("it does not verify the upstream's certificate as configured here")
    finally:
        subject.stop()
