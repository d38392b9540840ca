"""A real Chromium, headless, as an administrator sets it up: by managed policy.

It runs in a network namespace, where there is nothing but loopback, so that it can ask nobody else
and reads no page of the real network. Its policies are those of the whole machine, in
/etc/chromium, and its plain resolver that of /etc/resolv.conf: in a mount namespace of its own
other files lie there, and nobody else's browser sees them. Whom it trusts is in the NSS database
of its home. Needs root and both kinds of namespaces; `available()` tells.

`Chromium.open()` loads one page and gives a `Visit`. `PageServer` has such a page.
"""

import contextlib
import http.server
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from . import net_namespace
from .certs import Authority
from .net_namespace import NetNamespace
from .timing import scaled

# How long a page may take to load, and the browser to start, load it and end.
LOAD_SECONDS = 8
RUN_SECONDS = 15

POLICY_FOLDER = "/etc/chromium"
# Mounted over what is there: the policies, and a plain resolver of our own. Without that file
# it is 127.0.0.1 too.
SET_UP = f"""\
mount --bind "$1" {POLICY_FOLDER} || exit
[ ! -e /etc/resolv.conf ] || mount --bind "$2" /etc/resolv.conf || exit
shift 2
exec "$@"
"""

FLAGS = [
    "--headless",
    "--no-sandbox",  # it refuses to run as root with one
    "--disable-gpu",
    "--disable-dev-shm-usage",  # that of a container may be too small
    "--no-first-run",
    "--no-proxy-server",
    "--password-store=basic",
    # What it does by itself would only be refused, but take time.
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
]


def available() -> bool:
    if not net_namespace.available():
        return False
    mounts = ["unshare", "--mount", "mount", "--bind", "/etc", "/etc"]
    return subprocess.run(mounts, capture_output=True, check=False).returncode == 0


@dataclass
class Visit:
    """What came of opening a page."""

    page: str  # as it was in the end; empty: it could not be loaded
    errors: str
    net_log: dict = field(repr=False)

    @property
    def error(self) -> str | None:
        """Why the page could not be loaded, such as ERR_NAME_NOT_RESOLVED."""
        found = self.errors.partition("Page load failed: net::")[2].split()
        return found[0] if found else None

    def http2_requests(self) -> list[dict[str, str]]:
        """The fields of every request over HTTP/2, such as `:method` and `:path`."""
        types = self.net_log["constants"]["logEventTypes"]
        kind = types["HTTP_TRANSACTION_HTTP2_SEND_REQUEST_HEADERS"]
        return [
            dict(line.split(": ", 1) for line in event["params"]["headers"])
            for event in self.net_log["events"]
            if event["type"] == kind
        ]


class Chromium:
    """The browser; it trusts the authority as well as the public ones."""

    def __init__(self, folder: Path, namespace: NetNamespace, authority: Authority):
        self._folder = folder
        self._namespace = namespace
        self._visits = 0
        database = folder / ".pki" / "nssdb"
        database.mkdir(parents=True)
        for command in (
            ["-N", "--empty-password"],
            ["-A", "-n", authority.name, "-t", "C,,", "-i", authority.ca_path],
        ):
            command = ["certutil", "-d", f"sql:{database}", *map(str, command)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def open(self, url: str, **policies) -> Visit:
        """Load the page in a fresh profile, under these policies."""
        self._visits += 1
        folder = self._folder / f"visit-{self._visits}"
        etc = folder / "etc"
        (etc / "policies" / "managed").mkdir(parents=True)
        policies = {"HttpsUpgradesEnabled": False, **policies}
        (etc / "policies" / "managed" / "test.json").write_text(json.dumps(policies))
        resolver = folder / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\n")
        net_log = folder / "net-log.json"
        browser = [
            *("chromium", *FLAGS, f"--user-data-dir={folder}/profile"),
            *(f"--log-net-log={net_log}", f"--timeout={scaled(LOAD_SECONDS) * 1000:.0f}"),
            *("--dump-dom", url),
        ]
        inside = ["unshare", "--mount", "sh", "-c", SET_UP, "sh", etc, resolver, *browser]
        # It has a socket among its temporary files, whose path must be short.
        with tempfile.TemporaryDirectory(prefix="chromium-") as temporary:
            page, errors = self._run(self._namespace.command(inside), temporary)
        print(f"--- {url} in Chromium, with {policies}:\n{page}{errors}")
        return Visit(page, errors, json.loads(net_log.read_text()))

    def _run(self, command, temporary: str) -> tuple[str, str]:
        """Both outputs. It is a group of processes, of which none is left, whatever happens."""
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            # Nothing of a desktop that may be there.
            env={
                "HOME": str(self._folder),
                "TMPDIR": temporary,
                "PATH": os.environ["PATH"],
                "LANG": "C.UTF-8",
            },
            start_new_session=True,
        )
        try:
            page, errors = process.communicate(timeout=scaled(RUN_SECONDS))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"Chromium did not end within {RUN_SECONDS} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, f"Chromium ended with {process.returncode}\n{errors}"
        # It misses the buses of a desktop, many times.
        return page, "".join(line for line in errors.splitlines(True) if "dbus/" not in line)


class PageServer:
    """One page inside the namespace, for whatever path; it knows under which host it was asked."""

    def __init__(self, namespace: NetNamespace, text: str):
        self.hosts: list[str] = []
        hosts = self.hosts
        # With an icon, so that the browser asks for none.
        page = f'<!DOCTYPE html><link rel="icon" href="data:,"><p>{text}</p>\n'.encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                hosts.append(self.headers["Host"])
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, False)
        self._server.socket.close()
        self._server.socket = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._server.server_bind()
        self._server.server_activate()
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
