"""A private network that can be unreachable and come back.

A network namespace of its own, with nothing but `lo` in it: no route leads anywhere until the
test adds an address. Sockets of the test are made inside it through `socket()`; programs run
inside it through `command()`. Needs root or unprivileged user namespaces; `available()` tells.
"""

import ctypes
import os
import socket
import subprocess
import threading

CLONE_NEWNET = 0x40000000


def available() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "-n", "true"]).returncode == 0


class NetNamespace:
    def __init__(self):
        self._holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout.readline() == b"up\n"
        self._path = f"/proc/{self._holder.pid}/ns/net"

    def command(self, argv) -> list[str]:
        """The command line that runs `argv` inside the namespace."""
        return ["nsenter", f"--net={self._path}", "--", *map(str, argv)]

    def ip(self, *arguments: str) -> None:
        """Run ip(8) inside, for example `ip("addr", "add", "10.0.0.1/32", "dev", "lo")`."""
        subprocess.run(self.command(["ip", *arguments]), check=True)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM) -> socket.socket:
        """A socket that lives inside, usable from any thread."""
        made = []

        def make():
            with open(self._path, "rb") as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    made.append(OSError(ctypes.get_errno(), "setns"))
                    return
            made.append(socket.socket(family, kind))

        # setns() moves only the calling thread, so the thread is thrown away afterwards.
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    def close(self) -> None:
        self._holder.stdin.close()
        self._holder.wait()
        self._holder.stdout.close()
