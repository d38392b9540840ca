"""Real collectors and readers of dnstap: fstrm_capture, dnstap-ldns, and the Go tool `dnstap`."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from .ports import ReservedPort
from .timing import scaled, wait_until

needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("fstrm_capture", "dnstap-ldns", "dnstap"))),
    reason="needs fstrm-bin, dnstap-ldns and golang-github-dnstap-golang-dnstap-cli",
)


class Collector:
    """One that writes what it gets to a file of its own, each time that it is started.

    That of fstrm_capture is for readers, that of the Go tool has its JSON.
    """

    def __init__(self, folder: Path, kind="fstrm_capture", tcp=False):
        self.folder = folder
        self.kind = kind
        self._socket = folder / "tap.sock"
        self._port = ReservedPort() if tcp else None
        self._process = None
        self.files = []

    @property
    def url(self) -> str:
        return (
            f"dnstap://127.0.0.1:{self._port.number}" if self._port else f"dnstap://{self._socket}"
        )

    def _command(self, output: Path):
        if self.kind == "dnstap":
            where = ["-l", f"127.0.0.1:{self._port.number}"] if self._port else ["-u", self._socket]
            # Frames it would keep in a buffer, and not write at its end.
            return ["dnstap", *where, "-j", "-w", output]
        where = ["-u", self._socket]
        if self._port:
            where = ["-a", "127.0.0.1", "-p", self._port.number]
        return ["fstrm_capture", "-t", "protobuf:dnstap.Dnstap", *where, "-w", output]

    def start(self) -> "Collector":
        self._socket.unlink(missing_ok=True)
        self.files.append(self.folder / f"collected-{len(self.files)}.tap")
        self._process = subprocess.Popen(
            list(map(str, self._command(self.files[-1]))), stderr=subprocess.DEVNULL
        )
        wait_until(self._is_there, 10, f"{self.kind} listens")
        return self

    def _is_there(self) -> bool:
        if not self._port:
            return self._socket.exists()
        wanted = f"0100007F:{self._port.number:04X} 00000000:0000 0A"  # LISTEN
        return wanted in Path("/proc/net/tcp").read_text(encoding="ascii")

    def stop(self) -> Path:
        """Returns the file with what it got, all of it."""
        self._process.send_signal(signal.SIGINT if self.kind == "dnstap" else signal.SIGTERM)
        self._process.wait(scaled(10))
        self._process = None
        return self.files[-1]

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = None


def read_by_go(path: Path) -> list[dict]:
    """Its messages, as the Go tool shows them, with those of DNS as text."""
    done = subprocess.run(["dnstap", "-j", "-r", path], capture_output=True, text=True, check=True)
    return parse_go(done.stdout)


def parse_go(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def read_by_ldns(path: Path) -> list[str]:
    """Its messages, a line each, as dnstap-ldns shows them."""
    command = ["dnstap-ldns", "-q", "-r", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
