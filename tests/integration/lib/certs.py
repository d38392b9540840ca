"""Certificate authorities and certificates of every kind.

`Authority` is a root or an intermediate; `issue()` gives an `Identity`: a key with its chain, as
PEM files that any TLS server loads, and the SPKI pins of RFC 7858 section 4.2. Everything that
makes a certificate wrong is an argument: names, dates, who signed it, what it may be used for.
"""

import base64
import datetime
import hashlib
import ipaddress
import itertools
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)

_file_numbers = itertools.count()


def _new_key(kind: str):
    if kind == "ecdsa":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    raise ValueError(kind)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def pin_of(certificate: x509.Certificate) -> str:
    """The base64 SHA-256 of the certificate's SubjectPublicKeyInfo."""
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@dataclass(frozen=True)
class Identity:
    """What a server shows: its certificate and chain, and the key to prove it."""

    certificate: x509.Certificate
    chain_path: Path
    key_path: Path

    @property
    def pin(self) -> str:
        return pin_of(self.certificate)

    @property
    def private_key(self):
        return serialization.load_pem_private_key(self.key_path.read_bytes(), password=None)


def certificate_files(identity: Identity) -> dict:
    """As the configuration of a listener wants it."""
    return {"cert": str(identity.chain_path), "key": str(identity.key_path)}


class Authority:
    """A certificate authority that keeps its files in `folder`."""

    def __init__(self, folder: Path, name: str = "sotto test CA", parent: "Authority" = None):
        self.folder = folder
        self.name = name
        self.parent = parent
        self.key = _new_key("ecdsa")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(
            subject,
            self.key.public_key(),
            issuer=parent or self,
            issuer_name=parent.certificate.subject if parent else subject,
            extensions=[(x509.BasicConstraints(ca=True, path_length=None), True)],
        )
        self.ca_path = self._write("ca", _pem(self.certificate))

    @property
    def pin(self) -> str:
        return pin_of(self.certificate)

    def intermediate(self, name: str = "sotto test intermediate") -> "Authority":
        return Authority(self.folder, name, parent=self)

    def issue(
        self,
        names=("dot.test",),
        ips=(),
        common_name: str | None = None,
        key: str = "ecdsa",
        valid_from: datetime.timedelta = -DAY,
        valid_for: datetime.timedelta = 30 * DAY,
        self_signed: bool = False,
        purpose=ExtendedKeyUsageOID.SERVER_AUTH,
        padding_octets: int = 0,
        send_intermediates: bool = True,
        private_key=None,
    ) -> Identity:
        """A new server identity.

        `valid_from` and `valid_for` count from now and from the start. `padding_octets` swells the
        certificate with an unknown extension. `private_key` reuses the key of another identity.
        """
        private_key = private_key or _new_key(key)
        alternatives = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
        extensions = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.ExtendedKeyUsage([purpose]), False),
        ]
        if alternatives:
            extensions.append((x509.SubjectAlternativeName(alternatives), False))
        if padding_octets:
            oid = x509.ObjectIdentifier("1.3.6.1.4.1.55555.1")
            swelling = x509.UnrecognizedExtension(oid, b"\x04\x00" + bytes(padding_octets))
            extensions.append((swelling, False))
        subject = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, common_name or "a server of the tests")]
        )
        certificate = self._sign(
            subject,
            private_key.public_key(),
            issuer=None if self_signed else self,
            issuer_name=subject if self_signed else self.certificate.subject,
            extensions=extensions,
            valid_from=valid_from,
            valid_for=valid_for,
            signing_key=private_key if self_signed else None,
        )
        chain = _pem(certificate)
        authority = self
        while send_intermediates and not self_signed and authority.parent:
            chain += _pem(authority.certificate)
            authority = authority.parent
        key_pem = private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return Identity(certificate, self._write("chain", chain), self._write("key", key_pem))

    def _sign(
        self,
        subject,
        public_key,
        issuer,
        issuer_name,
        extensions,
        valid_from=-DAY,
        valid_for=365 * DAY,
        signing_key=None,
    ) -> x509.Certificate:
        start = datetime.datetime.utcnow() + valid_from
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + valid_for)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signing_key or issuer.key, hashes.SHA256())

    def _write(self, kind: str, content: bytes) -> Path:
        path = self.folder / f"{kind}-{next(_file_numbers)}.pem"
        path.write_bytes(content)
        return path
