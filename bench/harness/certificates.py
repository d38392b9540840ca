"""A certificate authority made on the spot, with openssl, and a certificate for the upstream."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

NAME = "dot.test"  # what the upstream's certificate is for

_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split()


@dataclass(frozen=True)
class Certificates:
    authority: Path
    other_authority: Path  # did not sign anything: who trusts only it must refuse the upstream
    chain: Path
    key: Path


def _openssl(*arguments) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl failed:\n{done.stderr}")


def _make_authority(folder: Path, name: str) -> Path:
    path = folder / f"{name}.pem"
    files = ["-keyout", f"{folder}/{name}.key", "-out", str(path)]
    _openssl("req", "-x509", *_KEY, "-subj", f"/CN=sotto benchmark, {name}", *files)
    return path


def make(folder: Path) -> Certificates:
    authority = _make_authority(folder, "authority")
    other = _make_authority(folder, "other-authority")
    chain, key = folder / "upstream.pem", folder / "upstream.key"
    signer = ["-CA", str(authority), "-CAkey", f"{folder}/authority.key"]
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    leaf = ["-addext", "basicConstraints=critical,CA:FALSE"]
    _openssl("req", "-x509", *_KEY, *signer, *names, *leaf, "-keyout", str(key), "-out", str(chain))
    return Certificates(authority, other, chain, key)
