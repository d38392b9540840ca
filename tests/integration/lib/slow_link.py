"""A TCP relay that behaves like a bad line.

Sits between the program and a server: adds half the round-trip time in each direction and
limits the bandwidth.
"""

import queue
import socket
import threading
import time

from .ports import ReservedPort


class SlowLink:
    def __init__(self, target_port: int, rtt: float = 0.0, octets_per_second: float | None = None):
        self.target_port = target_port
        self.delay = rtt / 2
        self.octets_per_second = octets_per_second
        self._port = ReservedPort()
        self._listener = self._port.listening_socket()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._start(self._accept)

    @property
    def port(self) -> int:
        return self._port.number

    def url(self, name: str) -> str:
        return f"tls://127.0.0.1:{self.port}#{name}"

    def stop(self) -> None:
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for sock in self._sockets:
            _shut(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in (self._listener, *self._sockets):
            sock.close()
        self._port.release()

    def _start(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                if self._stopping.is_set():
                    return
                client.close()
                continue
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [client, server]
            for source, sink in ((client, server), (server, client)):
                line = queue.Queue()
                self._start(self._read, source, line)
                self._start(self._write, line, sink)

    def _read(self, source: socket.socket, line: queue.Queue) -> None:
        octets = b"start"
        while octets:
            try:
                octets = source.recv(1 << 16)
            except OSError:
                octets = b""
            line.put((time.monotonic() + self.delay, octets))

    def _write(self, line: queue.Queue, sink: socket.socket) -> None:
        while True:
            due, octets = line.get()
            if self._stopping.wait(max(0.0, due - time.monotonic())) or not octets:
                _shut(sink, socket.SHUT_WR)
                return
            try:
                sink.sendall(octets)
            except OSError:
                return
            if self.octets_per_second:
                self._stopping.wait(len(octets) / self.octets_per_second)


def _shut(sock: socket.socket, how: int) -> None:
    try:
        sock.shutdown(how)
    except OSError:
        pass
