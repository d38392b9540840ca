"""UDP datagrams from a source of our choice, over IPv4. Needs root."""

import os
import socket
import struct

from .clients import Address


def available() -> bool:
    return os.geteuid() == 0


def send(source: Address, destination: Address, payload: bytes) -> None:
    # The checksum of UDP over IPv4 may be 0; the kernel fills in that of IP.
    udp = struct.pack("!HHHH", source.port, destination.port, 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(source.host) + socket.inet_aton(destination.host)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        sock.sendto(ip + addresses + udp, (destination.host, 0))
