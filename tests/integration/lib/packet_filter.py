"""Real packet loss and black holes on one socket.

A classic BPF program attached to a TCP socket sees every incoming segment before TCP does: what
it rejects was never received, so the peer gets no acknowledgement, exactly as on a dead path. On
a listening socket it swallows connection attempts. Needs no privilege.
"""

import ctypes
import socket
import struct

SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27

LOAD_WORD_ABSOLUTE = 0x20
JUMP_IF_GREATER_OR_EQUAL = 0x35
RETURN = 0x06
RANDOM_WORD = 0xFFFFF000 + 56
ACCEPT_ALL = 0xFFFFFFFF


def _attach(sock: socket.socket, program) -> None:
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    descriptor = struct.pack("HL", len(program), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, descriptor)


def drop_everything(sock: socket.socket) -> None:
    _attach(sock, [(RETURN, 0, 0, 0)])


def drop_randomly(sock: socket.socket, share: float) -> None:
    """Lose this share of the incoming segments, data and acknowledgements alike."""
    threshold = int(share * 0x100000000)
    _attach(
        sock,
        [
            (LOAD_WORD_ABSOLUTE, 0, 0, RANDOM_WORD),
            (JUMP_IF_GREATER_OR_EQUAL, 1, 0, threshold),
            (RETURN, 0, 0, 0),
            (RETURN, 0, 0, ACCEPT_ALL),
        ],
    )


def drop_nothing(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
