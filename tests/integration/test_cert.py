"""`sotto cert`: a private authority and the certificate of a server, as others see them."""

import datetime
import grp
import ipaddress
import os
import pwd
import re
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lib import unprivileged
from lib.certs import DAY, Authority, Identity
from lib.clients import ask, assert_own_answer
from lib.run_once import binary_of, run_to_end

pytestmark = pytest.mark.single_threaded

NAMES = ["dns.home.arpa", "*.dns.home.arpa", "192.168.1.2", "fd00::2"]
FILES = ["ca-key.pem", "ca.pem", "cert.pem", "key.pem"]
HOUR = datetime.timedelta(hours=1)

needs_root = pytest.mark.skipif(not unprivileged.available(), reason="needs root and setpriv")


@pytest.fixture
def run(request):
    """Run it to its end: exit code, stdout, stderr."""

    def start(*arguments, wrap=list, **environment):
        command = wrap([binary_of(request), "cert", *arguments])
        done = run_to_end(command, environment)
        return done.returncode, done.stdout, done.stderr

    return start


@pytest.fixture
def make(run, tmp_path):
    """Run it well, in a folder that it returns."""

    def start(*arguments, names=NAMES, out=tmp_path / "tls", **options) -> Path:
        code, said, err = run("--out", out, *arguments, *names, **options)
        assert (code, err) == (0, ""), err
        start.said = said
        return out

    return start


def certificate(path: Path) -> x509.Certificate:
    octets = path.read_bytes()
    assert octets.count(b"BEGIN CERTIFICATE") == 1
    return x509.load_pem_x509_certificate(octets)


def key(path: Path):
    return serialization.load_pem_private_key(path.read_bytes(), password=None)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def assert_pair(folder: Path) -> x509.Certificate:
    """The certificate and the key belong together, and the authority issued it."""
    leaf, authority = certificate(folder / "cert.pem"), certificate(folder / "ca.pem")
    for one, name in ((leaf, "key.pem"), (authority, "ca-key.pem")):
        own = key(folder / name).public_key().public_numbers()
        assert one.public_key().public_numbers() == own
    signature = leaf.signature, leaf.tbs_certificate_bytes
    authority.public_key().verify(*signature, ec.ECDSA(leaf.signature_hash_algorithm))
    assert leaf.issuer == authority.subject
    assert contents(folder).keys() == set(FILES), "something was left behind"
    return leaf


def alternative_names(leaf: x509.Certificate) -> list:
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [name.value for name in names]


def critical(certificate: x509.Certificate, kind):
    extension = certificate.extensions.get_extension_for_class(kind)
    assert extension.critical
    return extension.value


def usages(certificate: x509.Certificate) -> set[str]:
    usage = critical(certificate, x509.KeyUsage)
    return {name[1:] for name, on in vars(usage).items() if on is True}


# What is made


def test_the_authority(make):
    folder = make()
    authority = certificate(folder / "ca.pem")
    constraints = critical(authority, x509.BasicConstraints)
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert usages(authority) == {"key_cert_sign", "crl_sign"}
    assert authority.issuer == authority.subject
    name = authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert name == f"sotto private CA ({os.uname().nodename[:45]})"
    assert isinstance(authority.public_key().curve, ec.SECP256R1)
    assert isinstance(authority.signature_hash_algorithm, hashes.SHA256)
    now = datetime.datetime.utcnow()
    assert now - DAY - HOUR < authority.not_valid_before <= now - DAY
    assert now + 3650 * DAY - HOUR < authority.not_valid_after <= now + 3650 * DAY
    with pytest.raises(x509.ExtensionNotFound):
        authority.extensions.get_extension_for_class(x509.NameConstraints)


def test_the_certificate(make):
    folder = make()
    leaf, authority = assert_pair(folder), certificate(folder / "ca.pem")
    assert alternative_names(leaf) == [
        "dns.home.arpa",
        "*.dns.home.arpa",
        ipaddress.ip_address("192.168.1.2"),
        ipaddress.ip_address("fd00::2"),
    ]
    assert critical(leaf, x509.BasicConstraints).ca is False
    assert usages(leaf) == {"digital_signature"}
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    issuer_key = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    ids = [
        one.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        for one in (leaf, authority)
    ]
    assert issuer_key.key_identifier == ids[1] != ids[0]
    now = datetime.datetime.utcnow()
    assert now - DAY - HOUR < leaf.not_valid_before <= now - DAY
    assert now + 397 * DAY - HOUR < leaf.not_valid_after <= now + 397 * DAY
    for one in (leaf, authority):
        assert one.serial_number.bit_length() == 127  # positive, and none shorter
    assert leaf.serial_number != authority.serial_number
    assert isinstance(leaf.public_key().curve, ec.SECP256R1)


def test_days(make):
    leaf = certificate(make("--days", "30", "--ca-days", "60") / "cert.pem")
    now = datetime.datetime.utcnow()
    assert now + 30 * DAY - HOUR < leaf.not_valid_after <= now + 30 * DAY


def test_a_certificate_ends_with_its_authority(make):
    folder = make("--ca-days", "10")
    authority, leaf = certificate(folder / "ca.pem"), certificate(folder / "cert.pem")
    assert leaf.not_valid_after == authority.not_valid_after
    assert "ends with its authority" in make.said


def test_the_last_days_are_beyond_2050(make):
    authority = certificate(make("--ca-days", "36500") / "ca.pem")
    assert authority.not_valid_after.year > 2100


@pytest.mark.parametrize("umask", ["000", "022", "077"])
def test_modes(make, umask):
    """Whatever the umask: the keys are their owner's alone, the certificates for all."""
    folder = make(wrap=lambda command: ["sh", "-c", f'umask {umask}; exec "$@"', "sh", *command])
    assert {path.name: mode(path) for path in folder.iterdir()} == {
        "ca-key.pem": 0o600,
        "ca.pem": 0o644,
        "cert.pem": 0o644,
        "key.pem": 0o600,
    }


def test_names_that_come_twice_stand_once(make):
    leaf = certificate(make(names=["A.example", "a.example.", "fd00::2", "fd00:0::2"]) / "cert.pem")
    assert alternative_names(leaf) == ["a.example", ipaddress.ip_address("fd00::2")]


def test_a_first_name_too_long_for_a_common_name(make):
    name = ".".join(["a" * 60] * 4)
    leaf = assert_pair(make(names=[name]))
    assert alternative_names(leaf) == [name]
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "sotto"


@needs_root
def test_a_long_host_name(make):
    host = "h" * 64
    wrap = ["unshare", "--uts", "sh", "-c", f'hostname {host} && exec "$@"', "sh"]
    authority = certificate(make(wrap=lambda command: [*wrap, *command]) / "ca.pem")
    name = authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert name == f"sotto private CA ({host[:45]})"


# What others make of it


def openssl(folder: Path, *arguments) -> bool:
    command = ["openssl", "verify", "-x509_strict", "-no-CApath", "-CAfile", folder / "ca.pem"]
    command += ["-purpose", "sslserver", *arguments, folder / "cert.pem"]
    return subprocess.run(command, capture_output=True).returncode == 0


def certtool(folder: Path, *arguments) -> bool:
    command = ["certtool", "--verify", "--load-ca-certificate", folder / "ca.pem"]
    command += ["--verify-purpose", "1.3.6.1.5.5.7.3.1", *arguments]
    return subprocess.run([*command, "--infile", folder / "cert.pem"]).returncode == 0


@pytest.mark.parametrize(
    "name, right",
    [
        ("dns.home.arpa", True),
        ("a.dns.home.arpa", True),
        ("home.arpa", False),
        ("b.a.dns.home.arpa", False),
    ],
)
def test_openssl_and_certtool_know_the_names(make, name, right):
    folder = make()
    assert openssl(folder) and certtool(folder)
    assert openssl(folder, "-verify_hostname", name) is right
    assert certtool(folder, "--verify-hostname", name) is right


def test_openssl_knows_the_addresses(make):
    folder = make()
    assert openssl(folder, "-verify_ip", "192.168.1.2")
    assert openssl(folder, "-verify_ip", "fd00::2")
    assert not openssl(folder, "-verify_ip", "192.168.1.3")


def test_another_authority_of_the_same_host_is_not_trusted(make, tmp_path):
    folder, other = make(out=tmp_path / "a"), make(out=tmp_path / "b")
    (folder / "ca.pem").write_bytes((other / "ca.pem").read_bytes())
    assert not openssl(folder) and not certtool(folder)


def test_a_server_uses_it_and_a_client_verifies_it(make, dot_server, start_sotto):
    folder = make(names=["dns.home.arpa", "127.0.0.1"])
    leaf = certificate(folder / "cert.pem")
    server = dot_server(identity=Identity(leaf, folder / "cert.pem", folder / "key.pem"))
    for name in ("#dns.home.arpa", ""):
        upstream = f"tls://127.0.0.1:{server.port}{name}"
        arguments = ["-l", "127.0.0.1:0", "-u", upstream, "--ca-file", folder / "ca.pem", "-v"]
        sotto = start_sotto(arguments=arguments)
        assert_own_answer(ask(sotto.address, "name.test"), "name.test")


# Renewal


def test_renewal_keeps_the_authority(make):
    folder = make()
    old = contents(folder)
    make(names=["other.home.arpa"])  # by the way, with another name
    new = contents(folder)
    assert (new["ca.pem"], new["ca-key.pem"]) == (old["ca.pem"], old["ca-key.pem"])
    assert new["cert.pem"] != old["cert.pem"] and new["key.pem"] != old["key.pem"]
    assert alternative_names(assert_pair(folder)) == ["other.home.arpa"]
    assert openssl(folder)
    assert "the authority that was there" in make.said


def test_renewal_by_an_authority_that_another_tool_made(make, tmp_path):
    """With neither key identifier nor path length, and its key in the traditional form."""
    folder = tmp_path / "tls"
    folder.mkdir()
    authority = Authority(folder)
    authority.ca_path.rename(folder / "ca.pem")
    (folder / "ca-key.pem").write_bytes(pem(authority.key, "TraditionalOpenSSL"))
    old = contents(folder)
    make()
    assert_pair(folder)
    assert old.items() <= contents(folder).items()


@needs_root
def test_renewal_keeps_owner_group_and_what_the_group_may(make):
    """A server that runs as somebody else can go on reading its key; all others cannot."""
    folder = make()
    ids = pwd.getpwnam("nobody").pw_uid, grp.getgrnam("adm").gr_gid
    os.chown(folder / "key.pem", *ids)
    (folder / "key.pem").chmod(0o664)
    (folder / "cert.pem").chmod(0o600)
    make()
    status = (folder / "key.pem").stat()
    assert (status.st_uid, status.st_gid) == ids
    assert (mode(folder / "key.pem"), mode(folder / "cert.pem")) == (0o640, 0o600)


def test_several_at_once(make):
    """One authority, and a pair that fits."""
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: make(), range(8)))
    assert_pair(folders[0])


# What goes wrong


@pytest.mark.parametrize(
    "names, said",
    [
        ([], "a name is missing"),
        ([""], "is empty"),
        (["dns.home.arpa", "dürer.example"], '"dürer.example" has letters other than ASCII'),
        (["a_b.example", "a b"], '"a b" has a space'),
        (["*.arpa"], '"*.arpa" is too wide'),
        (["tls://dns.home.arpa"], "without tls://"),
        (["192.168.1.2:853"], "without port"),
        (["192.168.1.300"], "looks like an IPv4 address"),
        (["0.0.0.0"], "stands for every address"),
        ([f"{number}.example" for number in range(65)], "no room for 64.example"),
        (["--days", "0", "a"], '--days "0": expected a number of days from 1 to 824'),
        (["--days", "825", "a"], "devices of Apple"),
        (["--days", "-1", "a"], '--days "-1"'),
        (["--days", "30d", "a"], '--days "30d"'),
        (["--days", "99999999999999999999", "a"], "from 1 to 824"),
        (
            ["--ca-days", "36501", "a"],
            '--ca-days "36501": expected a number of days from 1 to 36500',
        ),
        (["--frob", "a"], "--frob"),
        (["--out"], "an argument is missing after --out"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(run, tmp_path, names, said):
    folder = tmp_path / "tls"
    code, out, err = run("--out", folder, *names)
    assert (code, out) == (2, "") and err.startswith("sotto cert: ") and said in err, err
    assert len(err.splitlines()) <= 2
    assert not folder.exists()


def pem(private_key, form="PKCS8", encryption=serialization.NoEncryption()) -> bytes:
    return private_key.private_bytes(
        serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), encryption
    )


def refusal(run, folder: Path) -> str:
    """What it says when it will not go on; and nothing has changed."""
    before = contents(folder)
    code, out, err = run("--out", folder, *NAMES)
    assert (code, out) == (1, "") and err.startswith("sotto cert: "), err
    assert len(err.splitlines()) == 1
    assert contents(folder) == before
    return err


@pytest.mark.parametrize("there, missing", [("ca.pem", "ca-key.pem"), ("ca-key.pem", "ca.pem")])
def test_half_an_authority(run, make, there, missing):
    folder = make()
    (folder / missing).unlink()
    err = refusal(run, folder)
    assert f"{folder} has {there}, but not {missing}: put that back" in err


class Broken:
    """Ways in which an authority that is there is not to be used: its certificate and key."""

    @staticmethod
    def another_key(folder):
        return Authority(folder).ca_path.read_bytes(), pem(Authority(folder).key)

    @staticmethod
    def ended(folder):
        return signed(folder, valid_from=-20 * DAY, valid_for=10 * DAY)

    @staticmethod
    def not_yet(folder):
        return signed(folder, valid_from=2 * DAY)

    @staticmethod
    def a_servers(folder):
        return signed(folder, extensions=[(x509.BasicConstraints(False, None), True)])

    @staticmethod
    def without_constraints(folder):
        return signed(folder, extensions=[])

    @staticmethod
    def no_issuer(folder):
        usage = [False] * 9
        usage[6] = True  # CRLs only
        constraints = x509.BasicConstraints(True, None)
        return signed(folder, extensions=[(constraints, True), (x509.KeyUsage(*usage), True)])

    @staticmethod
    def an_intermediate(folder):
        authority = Authority(folder).intermediate()
        return authority.ca_path.read_bytes(), pem(authority.key)

    @staticmethod
    def two(folder):
        authority = Authority(folder)
        return authority.ca_path.read_bytes() * 2, pem(authority.key)

    @staticmethod
    def encrypted(folder):
        authority = Authority(folder)
        encryption = serialization.BestAvailableEncryption(b"secret")
        return authority.ca_path.read_bytes(), pem(authority.key, encryption=encryption)

    @staticmethod
    def no_key(folder):
        return Authority(folder).ca_path.read_bytes(), b""

    @staticmethod
    def empty(folder):
        return b"", b""

    @staticmethod
    def der(folder):
        authority = Authority(folder)
        octets = authority.certificate.public_bytes(serialization.Encoding.DER)
        return octets, pem(authority.key)

    @staticmethod
    def large(folder):
        authority = Authority(folder)
        return b"#" * (1 << 20) + authority.ca_path.read_bytes(), pem(authority.key)


def signed(folder, extensions=((x509.BasicConstraints(True, None), True),), **dates):
    authority = Authority(folder)
    certificate = authority._sign(
        authority.certificate.subject,
        authority.key.public_key(),
        issuer=authority,
        issuer_name=authority.certificate.subject,
        extensions=extensions,
        **dates,
    )
    return certificate.public_bytes(serialization.Encoding.PEM), pem(authority.key)


@pytest.mark.parametrize(
    "broken, said",
    [
        (Broken.another_key, "its key is that of another certificate"),
        (Broken.ended, "the authority ended on 20"),
        (Broken.not_yet, "is the clock right?"),
        (Broken.a_servers, "no authority's"),
        (Broken.without_constraints, "no authority's"),
        (Broken.no_issuer, "may not issue certificates"),
        (Broken.an_intermediate, "no root"),
        (Broken.two, "there are 2 certificates in it"),
        (Broken.encrypted, "its key cannot be read"),
        (Broken.no_key, "its key cannot be read"),
        (Broken.empty, "there is no certificate in PEM form in it"),
        (Broken.der, "convert it to PEM"),
        (Broken.large, "too large"),
    ],
)
def test_an_authority_that_is_not_to_be_used(run, tmp_path, broken, said):
    folder = tmp_path / "tls"
    folder.mkdir()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    authority, authority_key = broken(scratch)
    (folder / "ca.pem").write_bytes(authority)
    (folder / "ca-key.pem").write_bytes(authority_key)
    err = refusal(run, folder)
    assert said in err and f"{folder}/ca.pem" in err, err


@needs_root
def test_a_directory_that_cannot_be_written_to(run, by_nobody):
    with unprivileged.PublicFolder() as folder:
        code, _, err = run("--out", folder, *NAMES, wrap=by_nobody)
        assert code == 1 and f"{folder}/key.pem cannot be written: Permission denied" in err
        assert not list(folder.iterdir())


@needs_root
def test_an_authority_that_cannot_be_read(run, make, by_nobody):
    with unprivileged.PublicFolder() as folder:
        make(out=folder)
        code, _, err = run("--out", folder, *NAMES, wrap=by_nobody)
        assert code == 1 and f"cannot read {folder}/ca-key.pem: Permission denied" in err


def test_a_directory_that_is_missing_or_none(run, tmp_path):
    code, _, err = run("--out", tmp_path / "a" / "b", *NAMES)
    assert code == 1 and f"cannot make the directory {tmp_path}/a/b" in err and "mkdir -p" in err
    (tmp_path / "file").touch()
    code, _, err = run("--out", tmp_path / "file", *NAMES)
    assert code == 1 and f"cannot open the directory {tmp_path}/file: Not a directory" in err


def test_a_directory_where_everybody_may_write(run, tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    folder.chmod(0o1777)
    assert f"everybody may write to {folder}" in refusal(run, folder)


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
@pytest.mark.parametrize("kind", ["directory", "link"])
def test_what_is_no_file_is_not_replaced(run, make, tmp_path, name, kind):
    folder = make()
    (folder / name).rename(tmp_path / "elsewhere")
    if kind == "link":
        (folder / name).symlink_to(tmp_path / "elsewhere")
    else:
        (folder / name).mkdir()
    before = {path.name: path.lstat().st_ino for path in folder.iterdir()}
    code, _, err = run("--out", folder, *NAMES)
    assert code == 1 and f"{folder}/{name} is there, but is no regular file" in err
    assert {path.name: path.lstat().st_ino for path in folder.iterdir()} == before


# Ended in the middle


def test_a_full_disk_leaves_the_old_files(run, make, tmp_path):
    """What stands for it here: no file may grow beyond 100 octets."""
    folder = make()
    before = contents(folder)
    limited = ["sh", "-c", 'trap "" XFSZ; exec prlimit --fsize=100 "$@"', "sh"]
    code, _, err = run("--out", folder, *NAMES, wrap=lambda command: [*limited, *command])
    assert code == 1 and f"{folder}/key.pem cannot be written: File too large" in err
    assert contents(folder) == before


def test_killed_while_writing_leaves_the_old_files(run, make):
    folder = make()
    before = contents(folder)
    limited = ["prlimit", "--fsize=100"]
    code, _, _ = run("--out", folder, *NAMES, wrap=lambda command: [*limited, *command])
    assert code not in (0, 1, 2)
    after = contents(folder)
    assert {name: after[name] for name in FILES} == before
    make()
    assert_pair(folder)


def traced(*options):
    """Run under strace; LeakSanitizer cannot be there as well."""
    return lambda command: ["strace", "-f", "-o", "/dev/null", *options, *command]


NO_LEAKS = {"ASAN_OPTIONS": "log_path=stderr:exitcode=99:detect_leaks=0"}


@pytest.mark.parametrize("when", [1, 2])
def test_a_file_that_cannot_be_renamed_leaves_the_old_ones(run, make, when):
    folder = make()
    before = contents(folder)
    failing = traced("-e", f"inject=renameat2:error=EIO:when={when}")
    code, _, err = run("--out", folder, *NAMES, wrap=failing, **NO_LEAKS)
    assert code == 1 and "cannot be put in its place: Input/output error" in err
    assert contents(folder) == before


@pytest.mark.parametrize("when", [1, 2, 3, 4])
def test_a_file_that_cannot_be_renamed_leaves_none_where_none_was(run, tmp_path, when):
    folder = tmp_path / "tls"
    failing = traced("-e", f"inject=renameat2:error=EIO:when={when}")
    code, _, err = run("--out", folder, *NAMES, wrap=failing, **NO_LEAKS)
    assert code == 1 and "cannot be put in its place: Input/output error" in err
    assert contents(folder) == {}


def test_where_the_file_system_cannot_exchange(make):
    folder = make()
    before = contents(folder)
    make(wrap=traced("-e", "inject=renameat2:error=EINVAL"), **NO_LEAKS)
    assert contents(folder)["key.pem"] != before["key.pem"]
    assert_pair(folder)


@pytest.mark.parametrize("call, when", [("fsync", 1), ("fsync", 2), ("renameat2", 1)])
def test_killed_before_the_first_rename_leaves_the_old_files(run, make, call, when):
    folder = make()
    before = contents(folder)
    killing = traced("-e", f"inject={call}:signal=KILL:when={when}")
    code, _, _ = run("--out", folder, *NAMES, wrap=killing, **NO_LEAKS)
    assert code not in (0, 1, 2)
    after = contents(folder)
    assert {name: after[name] for name in FILES} == before
    assert all(mode(folder / name) & 0o077 == 0 for name in after if "key" in name)
    make()
    assert_pair(folder)


def test_keys_are_secret_from_their_first_moment(make, tmp_path):
    trace = tmp_path / "trace"
    make(
        wrap=lambda command: ["strace", "-o", trace, "-e", "trace=openat,write,fchmod", *command],
        **NO_LEAKS,
    )
    created = re.findall(r'openat\(\d+, "(\.\S+)", (\S+), (\d+)\)', trace.read_text())
    assert {name for name, _, _ in created} == {f".{name}.new" for name in FILES}
    for _, flags, permissions in created:
        assert {"O_EXCL", "O_NOFOLLOW"} <= set(flags.split("|")) and permissions == "0600"


# What is said


def test_what_is_said(make):
    folder = make()
    for part in (
        f"{folder}/ca.pem      a new certificate authority, until 20",
        f"{folder}/cert.pem    the server's certificate, until 20",
        "for dns.home.arpa, *.dns.home.arpa, 192.168.1.2, fd00::2\n",
        "sotto -l tls://0.0.0.0:853 -l https://0.0.0.0:443/dns-query \\\n"
        f"        --cert {folder}/cert.pem --key {folder}/key.pem\n",
        "update-ca-certificates",
        "Fedora",
        "macOS",
        "Windows",
        "iOS",
        "Android",
        "Firefox",
    ):
        assert part in make.said, part
    leaf = certificate(folder / "cert.pem")
    assert f"the server's certificate, until {leaf.not_valid_after:%Y-%m-%d}" in make.said


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet(make, option):
    assert_pair(make(option))
    assert make.said == ""


def test_the_working_directory(run, tmp_path):
    code, out, err = run("dns.home.arpa", wrap=lambda command: ["env", "-C", tmp_path, *command])
    assert (code, err) == (0, "") and "\n./key.pem" in out
    assert_pair(tmp_path)


def test_help(run):
    for option in ("-h", "--help"):
        code, out, err = run(option)
        assert (code, err) == (0, "") and out.startswith("Usage: sotto cert ")
        for word in ("--out DIR", "--days N", "--ca-days N", "--quiet"):
            assert word in out
        assert max(map(len, out.splitlines())) <= 80
