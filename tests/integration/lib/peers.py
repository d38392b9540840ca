"""Real servers as upstreams: unbound, dnsdist and Knot Resolver.

All serve the same zone over DoT on loopback, from files below a temporary folder, and ask nobody
outside. unbound holds the zone; dnsdist and kresd stand in front of a plain unbound. `start()`
returns once the DoT port takes connections.
"""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from .certs import Identity
from .ports import ReservedPort
from .timing import scaled, wait_until

# Not below .test, which unbound and kresd answer by themselves (RFC 6761).
ZONE = "peer.example."
# For plain DNS: nothing else uses it, so a port whose TCP side is reserved is free for UDP too.
PLAIN_ADDRESS = "127.0.53.53"
BIG_TXT = ["%03d" % part + "x" * 200 for part in range(20)]

ZONE_FILE = f"""\
$ORIGIN {ZONE}
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 198.51.100.1
host A 198.51.100.10
host AAAA 2001:db8::10
text TXT "said softly"
alias CNAME host
big TXT {" ".join(f'"{part}"' for part in BIG_TXT)}
"""


class Peer:
    """One server process; subclasses write its configuration."""

    program: str

    def __init__(self, folder: Path, identity: Identity):
        self.folder = folder
        self.identity = identity
        self._tls_port = ReservedPort()
        self._process: subprocess.Popen | None = None
        self._log_path = folder / f"{self.program}.log"

    @classmethod
    def installed(cls) -> bool:
        return shutil.which(cls.program, path="/usr/sbin:/usr/bin:/sbin:/bin") is not None

    @property
    def port(self) -> int:
        return self._tls_port.number

    @property
    def url(self) -> str:
        return f"tls://127.0.0.1:{self.port}#dot.test"

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> "Peer":
        with open(self._log_path, "wb") as log:
            self._process = subprocess.Popen(
                self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._accepts, 10, f"{self.program} accepts connections")
        return self

    def stop(self) -> None:
        self._tls_port.release()
        if self._process:
            assert self._process.poll() is None, f"{self.program} has died:\n{self.log()}"
            self._process.terminate()
            self._process.wait(scaled(10))

    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    def _accepts(self) -> bool:
        assert self._process.poll() is None, f"{self.program} has died:\n{self.log()}"
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except ConnectionRefusedError:
            return False


class Unbound(Peer):
    program = "unbound"

    def __init__(self, folder: Path, identity: Identity):
        super().__init__(folder, identity)
        self._plain_port = ReservedPort(PLAIN_ADDRESS)

    @property
    def plain_port(self) -> int:
        return self._plain_port.number

    def command(self) -> list[str]:
        (self.folder / "peer.zone").write_text(ZONE_FILE)
        # It hands out no tickets without: name, AES key and HMAC key.
        (self.folder / "ticket.key").write_bytes(os.urandom(80))
        (self.folder / "unbound.conf").write_text(
            f"""\
server:
  interface: 127.0.0.1@{self.port}
  interface: {PLAIN_ADDRESS}@{self.plain_port}
  tls-port: {self.port}
  tls-service-pem: "{self.identity.chain_path}"
  tls-service-key: "{self.identity.key_path}"
  tls-session-ticket-keys: "{self.folder}/ticket.key"
  directory: "{self.folder}"
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  module-config: "iterator"
  pad-responses: yes
  edns-tcp-keepalive: yes
auth-zone:
  name: "{ZONE}"
  zonefile: "{self.folder}/peer.zone"
  for-downstream: yes
  for-upstream: yes
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@9
"""
        )
        return ["/usr/sbin/unbound", "-d", "-c", str(self.folder / "unbound.conf")]

    def stop(self) -> None:
        super().stop()
        self._plain_port.release()


class _InFrontOfUnbound(Peer):
    """A server that speaks DoT and gets its data from a plain unbound."""

    def __init__(self, folder: Path, identity: Identity):
        super().__init__(folder, identity)
        self._origin = Unbound(folder, identity)

    def start(self) -> Peer:
        self._origin.start()
        return super().start()

    def stop(self) -> None:
        super().stop()
        self._origin.stop()


class Dnsdist(_InFrontOfUnbound):
    program = "dnsdist"

    def __init__(self, folder: Path, identity: Identity):
        super().__init__(folder, identity)
        # It insists on a plain listener, and takes port 0 for 53.
        self._unused_port = ReservedPort(PLAIN_ADDRESS)

    def stop(self) -> None:
        super().stop()
        self._unused_port.release()

    def command(self) -> list[str]:
        (self.folder / "dnsdist.conf").write_text(
            f"""\
setSecurityPollSuffix("")
setLocal("{self._unused_port.address}:{self._unused_port.number}")
newServer({{address="{PLAIN_ADDRESS}:{self._origin.plain_port}"}}):setUp()
addTLSLocal("127.0.0.1:{self.port}", "{self.identity.chain_path}", "{self.identity.key_path}")
"""
        )
        return ["/usr/bin/dnsdist", "--supervised", "-C", str(self.folder / "dnsdist.conf")]


class Kresd(_InFrontOfUnbound):
    program = "kresd"

    def command(self) -> list[str]:
        (self.folder / "kresd.conf").write_text(
            f"""\
modules.unload('ta_update')
modules.unload('ta_signal_query')
modules.unload('priming')
modules.unload('detect_time_skew')
modules.unload('detect_time_jump')
trust_anchors.remove('.')
cache.open(10 * MB, 'lmdb://{self.folder}/kresd-cache')
net.tls("{self.identity.chain_path}", "{self.identity.key_path}")
net.listen('127.0.0.1', {self.port}, {{ kind = 'tls' }})
policy.add(policy.all(policy.STUB('{PLAIN_ADDRESS}@{self._origin.plain_port}')))
"""
        )
        return ["/usr/sbin/kresd", "-n", "-c", str(self.folder / "kresd.conf"), str(self.folder)]


class FastDot:
    """The quick DoT server in C (fast_dot.c), for throughput; answers derived addresses."""

    def __init__(self, binary: Path, identity: Identity):
        self._process = subprocess.Popen(
            [binary, identity.chain_path, identity.key_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.port = int(self._process.stdout.readline())
        self.url = f"tls://127.0.0.1:{self.port}#dot.test"

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


ALL = [Unbound, Dnsdist, Kresd]
