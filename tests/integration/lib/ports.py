"""Ports that are ours.

A port chosen by the kernel and kept by a bound socket that never listens: connecting to it is
refused, the kernel gives it to nobody else, and a server that sets SO_REUSEADDR (all DNS servers
do) can listen on it at any time.
"""

import itertools
import os
import socket

_numbers = itertools.count()


def own_address() -> tuple[str, int]:
    """A loopback address and port that nobody else uses, free whenever we do not listen there.

    Outside the ports that the kernel hands out, in a network of this process's own. The ports are
    its own as well, among processes of one test run: some listen there on every address.
    """
    process = os.getpid() % 0x10000
    ports = 20000 + 500 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 20)
    return f"127.77.{process >> 8}.{max(1, process & 255)}", ports + next(_numbers) % 500


class ReservedPort:
    def __init__(self, address: str = "127.0.0.1", make_socket=socket.socket, number: int = 0):
        self.address = address
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._make_socket = make_socket
        self._holder = self._bound(number)
        self.number = self._holder.getsockname()[1]

    def listening_socket(self, backlog: int = 512) -> socket.socket:
        listener = self._bound(self.number)
        listener.listen(backlog)
        return listener

    def release(self) -> None:
        self._holder.close()

    def _bound(self, number: int) -> socket.socket:
        sock = self._make_socket(self.family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.address, number))
        return sock
