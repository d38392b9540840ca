"""Certificates of our own: renewed while clients are connected, and what is wrong with them said."""

import datetime
import os
import re
import shutil
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from lib import dns_wire as wire
from lib.certs import DAY, certificate_files
from lib.clients import TlsClient, ask, assert_own_answer, assert_own_raw, tls_context
from lib.run_once import run_to_end

# The program looks every two seconds, and waits until nothing has changed for as long.
NOTICED_WITHIN = 8


class Files:
    """Certificate and key at fixed paths, as whoever renews them leaves them."""

    def __init__(self, folder, identity):
        self.cert = folder / "cert.pem"
        self.key = folder / "key.pem"
        self.replace(identity)

    def replace(self, identity, key_of=None):
        for source, target in (
            (identity.chain_path, self.cert),
            ((key_of or identity).key_path, self.key),
        ):
            fresh = target.with_suffix(".new")
            shutil.copy(source, fresh)
            fresh.rename(target)

    @property
    def config(self) -> dict:
        return {"certificates": [{"cert": str(self.cert), "key": str(self.key)}]}


@pytest.fixture
def files(tmp_path, identity):
    return Files(tmp_path, identity)


@pytest.fixture
def sotto(server, forward, files):
    return forward(server, listen=["dns://127.0.0.1:0", "tls://127.0.0.1:0"], tls=files.config)


def shown_serial(place) -> int:
    with TlsClient(place, context=tls_context()) as client:
        der = client.sock.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der).serial_number


def test_new_files_are_noticed_and_connections_go_on(sotto, files, authority, identity):
    place = sotto.listener("tls")
    renewed = authority.issue()
    assert shown_serial(place) == identity.certificate.serial_number
    with TlsClient(place, authority) as client:
        files.replace(renewed)
        sotto.wait_log("new certificates are in use", NOTICED_WITHIN)
        client.send(wire.query("www.example.test"))
        assert_own_raw(client.receive(), "www.example.test")
    assert shown_serial(place) == renewed.certificate.serial_number


def test_a_link_that_leads_elsewhere_is_noticed(server, forward, authority, identity, tmp_path):
    """How Kubernetes and certbot exchange files: the paths and what they name stay."""
    renewed = authority.issue()
    for name, found in (("old", identity), ("new", renewed)):
        (tmp_path / name).mkdir()
        shutil.copy(found.chain_path, tmp_path / name / "cert.pem")
        shutil.copy(found.key_path, tmp_path / name / "key.pem")
    (tmp_path / "live").symlink_to("old")
    live = {"cert": str(tmp_path / "live/cert.pem"), "key": str(tmp_path / "live/key.pem")}
    sotto = forward(server, listen=["tls://127.0.0.1:0"], tls={"certificates": [live]})
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").rename(tmp_path / "live")
    sotto.wait_log("new certificates are in use", NOTICED_WITHIN)
    assert shown_serial(sotto.listener("tls")) == renewed.certificate.serial_number


def test_a_broken_pair_is_reported_and_the_old_one_stays(sotto, files, authority, identity):
    """Once, not every two seconds; what is mended later is used."""
    place = sotto.listener("tls")
    renewed = authority.issue()
    files.replace(renewed, key_of=identity)
    line = sotto.wait_log("old ones stay in use", NOTICED_WITHIN)
    assert str(files.key) in line and str(files.cert) in line
    assert shown_serial(place) == identity.certificate.serial_number
    files.replace(renewed)
    sotto.wait_log("new certificates are in use", NOTICED_WITHIN)
    assert shown_serial(place) == renewed.certificate.serial_number
    assert len(sotto.log_lines("old ones stay in use")) == 1


def test_a_reload_reads_them_at_once(sotto, files, authority):
    renewed = authority.issue()
    files.replace(renewed)
    sotto.reload()
    assert shown_serial(sotto.listener("tls")) == renewed.certificate.serial_number


def test_a_reload_with_a_broken_pair_changes_nothing(sotto, files, authority, identity):
    """E4"""
    files.key.write_text("nonsense")
    mark = sotto.mark()
    sotto.write_config({**sotto.config, "identity": {"id": "new"}})
    sotto.signal(1)
    line = sotto.wait_log("reload failed", after=mark)
    assert str(files.key) in line and "the old configuration stays" in line
    assert shown_serial(sotto.listener("tls")) == identity.certificate.serial_number
    assert_own_answer(ask(sotto.address, "www.example.test"), "www.example.test")


def test_a_ticket_ends_with_its_certificate(sotto, files, authority):
    """It stands for what was proven when it was made."""
    place = sotto.listener("tls")
    context = tls_context(authority)
    with TlsClient(place, context=context) as client:
        client.send(wire.query("www.example.test"))
        client.receive()
        session = client.sock.session
        client.close()
    for reused in (True, False):
        with TlsClient(place, context=context, session=session) as client:
            assert client.sock.session_reused == reused
        files.replace(authority.issue())
        sotto.reload()


def test_a_reload_names_other_files(sotto, authority):
    other = authority.issue()
    sotto.reload({**sotto.config, "tls": {"certificates": [certificate_files(other)]}})
    assert shown_serial(sotto.listener("tls")) == other.certificate.serial_number


def test_the_end_is_announced(server, forward, authority):
    def started_with(valid_for):
        found = authority.issue(valid_from=-3 * DAY, valid_for=valid_for)
        tls = {"certificates": [certificate_files(found)]}
        return forward(server, listen=["tls://127.0.0.1:0"], tls=tls)

    soon = started_with(8 * DAY + datetime.timedelta(hours=1))
    soon.wait_log("warning listener: tls://.* the certificate ends in 5 days")
    ended = started_with(2 * DAY)
    ended.wait_log("error listener: tls://.* the certificate has ended")
    fine = started_with(60 * DAY)
    assert not fine.log_lines("certificate (ends|has ended)")


def test_the_status_says_when_they_end(sotto, files, authority):
    (shown,) = sotto.status()["certificates"]
    place = sotto.listener("tls")
    assert shown["listener"] == f"tls://127.0.0.1:{place.port}" and shown["name"] == "dot.test"
    assert 27 * 86400 < shown["seconds_left"] < 30 * 86400
    files.replace(authority.issue(names=["other.test"], valid_from=-3 * DAY, valid_for=DAY))
    sotto.reload()
    (shown,) = sotto.status()["certificates"]
    assert shown["name"] == "other.test" and shown["seconds_left"] < 0
    assert re.search(
        rf"tls://127.0.0.1:{place.port} +other.test +it has ended", sotto.control("status")
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give up its privileges")
def test_a_key_that_cannot_be_read_later_is_announced(server, forward, files):
    """Read as root at the start, and then no more: a renewal would be missed."""
    files.key.chmod(stat.S_IRUSR)
    sotto = forward(server, listen=["tls://127.0.0.1:0"], tls=files.config, user="nobody")
    line = sotto.wait_log("cannot be read any more")
    assert str(files.key) in line and "Permission denied" in line
    sotto.signal(1)
    sotto.wait_log("reload failed")
    assert shown_serial(sotto.listener("tls"))


# What is wrong at the start


def encrypted_key(folder, identity):
    path = folder / "encrypted.pem"
    path.write_bytes(
        identity.private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return path


@pytest.fixture
def check(request, tmp_path, identity):
    """`check(cert=…, key=…)`: what --check-config says."""

    def run(*arguments):
        binary = request.config.getoption("--sotto")
        done = run_to_end([binary, "-t", "-l", "tls://127.0.0.1:853", *map(str, arguments)])
        assert done.returncode == (2 if done.stderr else 0)
        return done.stderr

    return run


def test_what_is_wrong_is_said_with_the_file(check, identity, other_authority, tmp_path):
    other = other_authority.issue()
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("nothing of the kind")
    cert, key = identity.chain_path, identity.key_path
    assert check("--cert", cert, "--key", key) == ""
    missing = check()
    assert "tls://127.0.0.1:853 needs a certificate" in missing and "sotto cert" in missing
    for arguments, said in [
        (["--cert", tmp_path / "none.pem"], f"{tmp_path}/none.pem: No such file"),
        (["--cert", tmp_path], f"{tmp_path}: it is not a regular file"),
        (["--cert", garbage, "--key", key], f"{garbage}: no certificate can be read"),
        (["--cert", cert, "--key", tmp_path / "none.pem"], f"{tmp_path}/none.pem: No such file"),
        (["--cert", cert, "--key", garbage], f"no key can be read from {garbage}"),
        (["--cert", cert, "--key", other.key_path], f"the key in {other.key_path} is not that of"),
        (["--cert", cert, "--key", encrypted_key(tmp_path, identity)], "is encrypted"),
        (["--cert", cert], f"no key can be read from {cert}"),
        (["--key", key], "no --cert is given for --key"),
    ]:
        assert said in check(*arguments), arguments
