"""Hand-made TLS records.

After a normal handshake, `take_over(conn)` replaces the TLS library for everything the server
sends on that connection: the keys come from the library's key log, so records can be made that no
library would: key updates, empty records, records over the size limit, alerts in mid-stream,
renegotiation requests, wrong tags. `conn.send_plain` and all verbs above it go on working.

The server must be set up with `settings(folder)` (TLS 1.3) or `settings_tls12(folder)`.
"""

import hmac
import ssl
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from .faulty_dot import Connection, TlsSettings

ALERT, HANDSHAKE, APPLICATION_DATA = 21, 22, 23
WARNING, FATAL = 1, 2
CLOSE_NOTIFY, UNEXPECTED_MESSAGE, INTERNAL_ERROR, USER_CANCELED = 0, 10, 80, 90
MAX_PLAINTEXT = 1 << 14

HELLO_REQUEST = bytes([0, 0, 0, 0])


def settings(folder: Path) -> TlsSettings:
    # No tickets: the first record after the handshake is ours, with sequence number 0.
    return TlsSettings(minimum=ssl.TLSVersion.TLSv1_3, tickets=0, keylog=folder / "server-keys.log")


def settings_tls12(folder: Path) -> TlsSettings:
    return TlsSettings(
        maximum=ssl.TLSVersion.TLSv1_2,
        ciphers="ECDHE-ECDSA-AES128-GCM-SHA256",
        session_tickets=False,
        keylog=folder / "server-keys.log",
    )


def take_over(conn: Connection) -> "RecordWriter | RecordWriterTls12":
    kind = RecordWriter if conn.tls_version == "TLSv1.3" else RecordWriterTls12
    conn.record_writer = kind(conn)
    return conn.record_writer


def _logged_secret(conn: Connection, label: str) -> bytes:
    client_random = conn.first_octets[11:43].hex()
    for line in conn.server.tls.keylog.read_text().splitlines():
        if line.startswith(f"{label} {client_random} "):
            return bytes.fromhex(line.split()[2])
    raise AssertionError(f"no {label} in the key log")


def _record_header(kind: int, length: int) -> bytes:
    return bytes([kind, 3, 3]) + length.to_bytes(2, "big")


class RecordWriter:
    """The server's sending side of TLS 1.3 (RFC 8446 sections 5 and 7)."""

    def __init__(self, conn: Connection):
        self._conn = conn
        self._hash = hashes.SHA384() if conn.cipher.endswith("SHA384") else hashes.SHA256()
        self._cipher = ChaCha20Poly1305 if "CHACHA20" in conn.cipher else AESGCM
        self._key_length = 16 if "AES_128" in conn.cipher else 32
        self._use(_logged_secret(conn, "SERVER_TRAFFIC_SECRET_0"))

    def write(self, octets: bytes) -> None:
        for start in range(0, len(octets), MAX_PLAINTEXT):
            self.record(octets[start : start + MAX_PLAINTEXT])

    def record(
        self, octets: bytes, kind: int = APPLICATION_DATA, padding: int = 0, spoil_tag=False
    ) -> None:
        """One record of any content, length and type."""
        inner = octets + bytes([kind]) + bytes(padding)
        header = _record_header(APPLICATION_DATA, len(inner) + 16)
        nonce = (int.from_bytes(self._iv, "big") ^ self._sequence).to_bytes(12, "big")
        sealed = self._cipher(self._key).encrypt(nonce, inner, header)
        if spoil_tag:
            sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
        self._sequence += 1
        self._conn.send_cipher(header + sealed)

    def alert(self, level: int, description: int) -> None:
        self.record(bytes([level, description]), ALERT)

    def key_update(self, ask_peer: bool = False) -> None:
        self.record(bytes([24, 0, 0, 1, int(ask_peer)]), HANDSHAKE)
        self._use(self._expand(self._secret, "traffic upd", self._hash.digest_size))

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._key = self._expand(secret, "key", self._key_length)
        self._iv = self._expand(secret, "iv", 12)
        self._sequence = 0

    def _expand(self, secret: bytes, label: str, length: int) -> bytes:
        full = b"tls13 " + label.encode()
        info = length.to_bytes(2, "big") + bytes([len(full)]) + full + b"\0"
        return HKDFExpand(self._hash, length, info).derive(secret)


class RecordWriterTls12:
    """The server's sending side of TLS 1.2 with AES-128-GCM (RFC 5246, RFC 5288)."""

    def __init__(self, conn: Connection):
        self._conn = conn
        client_random, server_random = conn.first_octets[11:43], conn.first_sent[11:43]
        master = _logged_secret(conn, "CLIENT_RANDOM")
        seed = b"key expansion" + server_random + client_random
        block = self._prf(master, seed, 2 * 16 + 2 * 4)
        self._key, self._salt = block[16:32], block[36:40]
        self._sequence = 1  # the Finished message was 0

    def write(self, octets: bytes) -> None:
        for start in range(0, len(octets), MAX_PLAINTEXT):
            self.record(octets[start : start + MAX_PLAINTEXT])

    def record(self, octets: bytes, kind: int = APPLICATION_DATA) -> None:
        sequence = self._sequence.to_bytes(8, "big")
        covered = sequence + _record_header(kind, len(octets))
        sealed = AESGCM(self._key).encrypt(self._salt + sequence, octets, covered)
        self._sequence += 1
        self._conn.send_cipher(_record_header(kind, 8 + len(sealed)) + sequence + sealed)

    def alert(self, level: int, description: int) -> None:
        self.record(bytes([level, description]), ALERT)

    def hello_request(self) -> None:
        """Ask the client to renegotiate."""
        self.record(HELLO_REQUEST, HANDSHAKE)

    @staticmethod
    def _prf(secret: bytes, seed: bytes, length: int) -> bytes:
        output, chained = b"", seed
        while len(output) < length:
            chained = hmac.digest(secret, chained, "sha256")
            output += hmac.digest(secret, chained + seed, "sha256")
        return output[:length]
