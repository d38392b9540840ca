"""Real PostgreSQL servers from Debian, each with files of its own, and the sink driven by hand.

The server refuses to run as root; then it runs as the user that its package made.
"""

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from .ports import ReservedPort
from .run_once import sanitizer_environment
from .sotto_process import SANITIZER_COMPLAINT
from .timing import scaled, wait_until

PASSWORD = "a pass'word\\"

OK, AGAIN, SYSTEM = 0, -12, -8  # src/base/error.h

# What Debian's package makes of them takes longer, and what they spare only a power cut would need.
SETTINGS = {
    "fsync": "off",
    "shared_buffers": "32MB",
    "max_connections": "20",
    "log_checkpoints": "off",
    "autovacuum_naptime": "1h",
}


def programs() -> Path | None:
    """Where initdb and postgres are; not in PATH, as several versions may be there."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4])
    )
    return found[-1].parent if found else None


def owner() -> pwd.struct_passwd:
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def _as_owner(command) -> list[str]:
    if os.geteuid() != 0:
        return list(map(str, command))
    ids = [f"--reuid={owner().pw_uid}", f"--regid={owner().pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, *map(str, command)]


def _run_as_owner(command, folder) -> None:
    done = subprocess.run(
        _as_owner(command), capture_output=True, text=True, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Template:
    """A fresh cluster to be copied, since making one takes some seconds."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="sotto-pg-"))
        os.chown(self.folder, owner().pw_uid, owner().pw_gid)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.data = self.folder / "data"
        command = [programs() / "initdb", "-D", self.data, "-U", "postgres", "-E", "UTF8"]
        command += ["--locale=C", "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256"]
        _run_as_owner([*command, f"--pwfile={secret}"], self.folder)

    def remove(self) -> None:
        shutil.rmtree(self.folder)


class Postgresql:
    """A server on a loopback port and a unix socket of its own; start, stop and kill it at will."""

    def __init__(self, template: Template, **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="sotto-pg-"))
        os.chown(self.folder, owner().pw_uid, owner().pw_gid)
        self.data = self.folder / "data"
        _run_as_owner(["cp", "-r", template.data, self.data], self.folder)
        self.reserved = ReservedPort()
        self.port = self.reserved.number
        self.settings = {**SETTINGS, **settings}
        self.process = None
        self.start()

    def url(self, host="127.0.0.1", user="postgres", database="postgres", **options) -> str:
        query = "&".join(f"{key}={value}" for key, value in options.items())
        return f"postgresql://{user}@{host}:{self.port}/{database}?{query}"

    def start(self) -> None:
        command = [programs() / "postgres", "-D", self.data, "-p", self.port, "-k", self.folder]
        for key, value in {"listen_addresses": "127.0.0.1", **self.settings}.items():
            command += ["-c", f"{key}={value}"]

        def comes_up():
            # After a kill, the last of its processes may still be there, and it refuses to start.
            if self.process is None or self.process.poll() is not None:
                with open(self.folder / "log", "ab") as log:
                    self.process = subprocess.Popen(
                        _as_owner(command), stdout=log, stderr=log, cwd=self.folder
                    )
            return self._psql("SELECT 1").returncode == 0

        wait_until(comes_up, 30, "PostgreSQL starts", interval=0.1)

    def stop(self) -> None:
        """Ends sessions, and itself when they are gone."""
        self._end(subprocess.signal.SIGINT)

    def kill(self) -> None:
        """The server itself; its sessions notice, and end in the middle of what they do."""
        self._end(subprocess.signal.SIGKILL)

    def _end(self, signal) -> None:
        self.process.send_signal(signal)
        self.process.wait(scaled(30))
        self.process = None

    def clean_up(self) -> None:
        if self.process:
            self._end(subprocess.signal.SIGQUIT)
        self.reserved.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _psql(self, sql, database="postgres"):
        command = ["psql", "-h", self.folder, "-p", self.port, "-U", "postgres", "-d", database]
        return subprocess.run(
            [*map(str, command), "-AtqX", "-v", "ON_ERROR_STOP=1"],
            input=sql,
            capture_output=True,
            text=True,
            check=False,
        )

    def ask(self, sql, database="postgres") -> list[list[str]]:
        """Rows of texts."""
        done = self._psql(sql, database)
        assert done.returncode == 0, done.stderr
        return [line.split("|") for line in done.stdout.splitlines()]

    def value(self, sql, **options) -> str:
        [[value]] = self.ask(sql, **options)
        return value

    def in_background(self, sql) -> threading.Thread:
        thread = threading.Thread(target=self._psql, args=[sql])
        thread.start()
        return thread


def tables(server: Postgresql) -> bool:
    """Whether they are there."""
    return server.value("SELECT to_regclass('sotto.writers') IS NOT NULL") == "t"


def kept(server: Postgresql) -> int:
    """How many records; each of them once."""
    [[rows, names]] = server.ask("SELECT count(*), count(DISTINCT name) FROM sotto.queries")
    assert rows == names, "some are doubled"
    return int(rows)


class CommitCutter:
    """Between a client and the server: lets a COMMIT through, and not the word that it is done."""

    def __init__(self, server: Postgresql):
        self._target = ("127.0.0.1", server.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.armed = threading.Event()
        self.cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            deaf = threading.Event()
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=[source, sink, client, deaf]).start()

    def _pass_on(self, source, sink, client, deaf) -> None:
        with contextlib.suppress(OSError):
            while octets := source.recv(65536):
                if source is client and self.armed.is_set() and b"COMMIT\0" in octets:
                    self.armed.clear()
                    deaf.set()
                if source is not client and deaf.is_set():
                    assert b"COMMIT\0" in octets, "the server has not committed"
                    self.cut.set()
                    break
                sink.sendall(octets)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Store:
    """tests/tools/postgresql_store.c: its own process, asked line by line."""

    def __init__(self, tool: Path, url: str, password_file=""):
        environment = {**os.environ, **sanitizer_environment(), "HOME": "/nonexistent"}
        self.process = subprocess.Popen(
            [str(tool), url, str(password_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={key: value for key, value in environment.items() if not key.startswith("PG")},
        )
        self._read()
        self.opened = self.reason  # "", or why not

    def _read(self) -> list[list[str]]:
        rows = []
        while not (line := self.process.stdout.readline()).startswith("= "):
            assert line, self.process.stderr.read()
            rows.append(line[:-1].split("\t"))
        _, code, milliseconds, self.reason = line[:-1].split(" ", 3)
        self.code, self.seconds = int(code), int(milliseconds) / 1000
        return rows

    def ask(self, *words, code=OK) -> list[list[str]]:
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        rows = self._read()
        assert self.code == code, self.reason
        return rows

    def filter(self, **conditions) -> None:
        """These and no others."""
        self.ask("filter")
        for key, value in conditions.items():
            self.ask("filter", key, value)

    def close(self) -> None:
        self.process.stdin.close()
        said = self.process.stderr.read()
        self.process.wait(scaled(10))
        self.process.stdout.close()
        self.process.stderr.close()
        assert not SANITIZER_COMPLAINT.search(said), said
        assert self.process.returncode == 0, said


class Sink:
    """tests/tools/postgresql_sink.c: its own process, told what to do line by line."""

    def __init__(self, tool: Path, folder: Path, url: str, password=None, instance="i", max_age=0):
        self.password_file = folder / "password"
        if password is not None:
            self.password_file.write_text(password + "\n")
        file = self.password_file if password is not None else ""
        self._log = open(folder / "log", "w+", encoding="utf-8", errors="backslashreplace")
        environment = {**os.environ, **sanitizer_environment(), "HOME": "/nonexistent"}
        self.process = subprocess.Popen(
            [str(tool), url, str(file), instance, str(max_age)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={key: value for key, value in environment.items() if not key.startswith("PG")},
        )
        self.last_log = ""
        self.opened = self.process.stdout.readline().strip()  # "open", or the reason

    def send(self, *words) -> None:
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def receive(self) -> tuple[int, float]:
        """The code, and the seconds it took."""
        line = self.process.stdout.readline()
        assert line, f"it died:\n{self.log()}"
        code, milliseconds = line.split()
        return int(code), int(milliseconds) / 1000

    def do(self, *words) -> tuple[int, float]:
        self.send(*words)
        return self.receive()

    def keep(self, *words, seconds=30) -> list[float]:
        """Repeats the write() until it succeeds; what each took."""
        took = []

        def kept():
            code, once = self.do(*words)
            took.append(once)
            assert code in (OK, AGAIN), code
            return code == OK

        wait_until(kept, seconds, "the batch is kept", interval=0.05)
        return took

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def said(self, pattern) -> int:
        """How often, as soon as it was at all: the log is written by a thread of its own."""

        def found():
            return len(re.findall(pattern, self.log()))

        return wait_until(found, 5, f"it says {pattern}:\n{self.log()}")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(scaled(10))
        self.process.stdout.close()
        self.last_log = self.log()
        self._log.close()
        assert not SANITIZER_COMPLAINT.search(self.last_log), self.last_log
        assert self.process.returncode in (0, 1), self.last_log
