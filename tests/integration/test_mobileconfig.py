"""`sotto mobileconfig`: a configuration profile for devices of Apple, as a property list."""

import plistlib
import subprocess
import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from lib.certs import DAY
from lib.run_once import binary_of, run_to_end

pytestmark = pytest.mark.single_threaded

DNS, ROOT = "com.apple.dnsSettings.managed", "com.apple.security.root"


@pytest.fixture
def run(request):
    """Run it to its end: exit code, stdout, stderr."""

    def start(*arguments):
        done = run_to_end([binary_of(request), "mobileconfig", *arguments])
        return done.returncode, done.stdout, done.stderr

    return start


@pytest.fixture
def profile(run):
    """The profile that it prints."""

    def start(*arguments) -> dict:
        code, out, err = run(*arguments)
        assert (code, err) == (0, ""), err
        return plistlib.loads(out.encode(), fmt=plistlib.FMT_XML)

    return start


def payload(profile: dict, kind: str) -> dict:
    (one,) = [part for part in profile["PayloadContent"] if part["PayloadType"] == kind]
    return one


def uuids(profile: dict) -> list[str]:
    return [part["PayloadUUID"] for part in [profile, *profile["PayloadContent"]]]


def identifiers(profile: dict) -> list[str]:
    return [part["PayloadIdentifier"] for part in [profile, *profile["PayloadContent"]]]


def test_dns_over_tls(profile):
    made = profile("tls://dns.home.arpa", "192.168.1.2", "fd00:0::2")
    assert (made["PayloadType"], made["PayloadVersion"]) == ("Configuration", 1)
    assert made["PayloadDisplayName"] == "sotto (dns.home.arpa)"
    assert made["PayloadIdentifier"] == "sotto.tls.dns.home.arpa"
    assert made["PayloadScope"] == "System"
    assert len(made["PayloadContent"]) == 1
    part = payload(made, DNS)
    assert part["PayloadVersion"] == 1 and part["PayloadDisplayName"]
    assert part["PayloadIdentifier"] == "sotto.tls.dns.home.arpa.dns"
    assert part["DNSSettings"] == {
        "DNSProtocol": "TLS",
        "ServerName": "dns.home.arpa",
        "ServerAddresses": ["192.168.1.2", "fd00::2"],
    }


def test_dns_over_https(profile):
    made = profile("https://dns.home.arpa/dns-query")
    assert made["PayloadIdentifier"] == "sotto.https.dns.home.arpa"
    assert payload(made, DNS)["DNSSettings"] == {
        "DNSProtocol": "HTTPS",
        "ServerURL": "https://dns.home.arpa/dns-query",
    }


@pytest.mark.parametrize(
    "url",
    [
        "https://dns.home.arpa:8443/dns-query",
        "https://192.168.1.2/dns-query",
        "https://[fd00::2]:443/dns-query{?dns}",
        "https://dns.home.arpa/a%20b?c=d&e=f",
        "https://dns.home.arpa/",
    ],
)
def test_urls_stay_as_they_are(profile, url):
    assert payload(profile(url), DNS)["DNSSettings"]["ServerURL"] == url


@pytest.mark.parametrize(
    "url", ["tls://dns.home.arpa:853", "TLS://DNS.home.arpa", "tls://dns.home.arpa."]
)
def test_ways_to_write_a_server(profile, url):
    assert payload(profile(url), DNS)["DNSSettings"]["ServerName"] == "dns.home.arpa"


def test_the_scheme_is_in_lower_case(profile):
    """The documentation of Apple has it so."""
    settings = payload(profile("HTTPS://dns.home.arpa/A"), DNS)["DNSSettings"]
    assert settings["ServerURL"] == "https://dns.home.arpa/A"


def test_the_authority_goes_with_it(profile, authority):
    made = profile("--ca", authority.ca_path, "tls://dns.home.arpa")
    assert len(made["PayloadContent"]) == 2
    part = payload(made, ROOT)
    assert x509.load_der_x509_certificate(part["PayloadContent"]) == authority.certificate
    assert part["PayloadVersion"] == 1 and part["PayloadDisplayName"]
    assert payload(made, DNS)["DNSSettings"]["ServerName"] == "dns.home.arpa"


def test_the_authority_of_sotto_cert(request, profile, tmp_path):
    run_to_end([binary_of(request), "cert", "--out", tmp_path / "tls", "dns.home.arpa"])
    ca = tmp_path / "tls" / "ca.pem"
    part = payload(profile("--ca", ca, "tls://dns.home.arpa"), ROOT)
    made = x509.load_pem_x509_certificate(ca.read_bytes())
    assert x509.load_der_x509_certificate(part["PayloadContent"]) == made


@pytest.mark.parametrize("name", ["Home DNS", "<b>&amp;\"'</b> & ]]>", "Zuhause – für Müller 🏠"])
def test_names(profile, name):
    made = profile("--name", name, "tls://dns.home.arpa")
    assert made["PayloadDisplayName"] == payload(made, DNS)["PayloadDisplayName"] == name


def test_the_same_profile_is_the_same_text(run, authority):
    arguments = ["--ca", authority.ca_path, "tls://dns.home.arpa", "192.168.1.2"]
    assert run(*arguments) == run(*arguments)


def test_identifiers_and_uuids(profile, authority, other_authority):
    """One server, one identifier, so that a new profile replaces the old; but never one UUID."""
    url, seen = "tls://dns.home.arpa", set()
    for arguments in (
        ["--ca", authority.ca_path, url],
        ["--ca", other_authority.ca_path, url],
        ["--ca", authority.ca_path, url, "192.168.1.2"],
        ["--ca", authority.ca_path, url, "192.168.1.2", "192.168.1.3"],
        ["--ca", authority.ca_path, "--name", "Home", url],
    ):
        made = profile(*arguments)
        assert identifiers(made) == [f"sotto.tls.dns.home.arpa{end}" for end in ("", ".ca", ".dns")]
        assert len(set(uuids(made))) == 3
        for text in uuids(made):
            parsed = uuid.UUID(text)
            assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)
            assert str(parsed).upper() == text
        assert made["PayloadUUID"] not in seen
        seen.add(made["PayloadUUID"])
    for url in ("tls://other.home.arpa", "https://dns.home.arpa/dns-query"):
        assert profile(url)["PayloadIdentifier"] != "sotto.tls.dns.home.arpa"


def test_an_authority_that_stays_keeps_its_uuid(profile, authority):
    made = [
        profile("--ca", authority.ca_path, "tls://dns.home.arpa", *addresses)
        for addresses in ([], ["192.168.1.2"])
    ]
    assert payload(made[0], ROOT) == payload(made[1], ROOT)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "a URL is missing"),
        (["dns.home.arpa"], "expected tls://NAME or https://NAME/dns-query"),
        (["udp://dns.home.arpa"], "expected tls://NAME"),
        (["http://dns.home.arpa/dns-query"], "expected tls://NAME"),
        (["tls://"], 'the host "" is empty'),
        (["tls://192.168.1.2"], "write tls://NAME ADDRESS"),
        (["tls://[fd00::2]"], "write tls://NAME ADDRESS"),
        (["tls://192.168.1.2#dns.home.arpa"], "write the name in the URL"),
        (["tls://dns.home.arpa:8853"], "has another port than 853"),
        (["tls://dns.home.arpa/"], "has a path"),
        (["tls://dns.home.arpa:"], "ports from 1 to 65535"),
        (["tls://dns.home.arpa:85x"], "ports from 1 to 65535"),
        (["tls://*.home.arpa"], 'has a "*"'),
        (["tls://d\u00fcrer.example"], "xn--"),
        (["https://dns.home.arpa"], "has no path; sotto answers at /dns-query"),
        (["https://dns.home.arpa?dns"], "has no path"),
        (["https://dns.home.arpa:0/dns-query"], "ports from 1 to 65535"),
        (["https://dns.home.arpa:65536/dns-query"], "ports from 1 to 65535"),
        (["https://fd00::2/dns-query"], "IPv6 addresses in brackets"),
        (["https://[fd00::2/dns-query"], "IPv6 addresses in brackets"),
        (["https://me@dns.home.arpa/dns-query"], 'has "@" in it'),
        (["https://dns.home.arpa/a b"], "write it as %XX"),
        (["https://dns.home.arpa/a#b"], "write it as %XX"),
        (["https://dns.home.arpa/\u00fc"], "write it as %XX"),
        (["https://dns.home.arpa/" + "a" * 1024], "is too long"),
        (["https://" + "a" * 300 + "/dns-query"], "no host or port that can be read"),
        (["tls://dns.home.arpa", "other.home.arpa"], '"other.home.arpa" is no IP address'),
        (["tls://dns.home.arpa", "192.168.1.2:853"], "without port"),
        (["tls://dns.home.arpa", "0.0.0.0"], "stands for every address"),
        (["tls://dns.home.arpa", *["192.168.1.2"] * 17], "more than 16 addresses"),
        (["--name", "", "tls://dns.home.arpa"], "--name is empty"),
        (["--name", "a\nb", "tls://dns.home.arpa"], "no printable character"),
        (["--name", b"\xff", "tls://dns.home.arpa"], "no printable character"),
        (["--frob", "tls://dns.home.arpa"], "--frob"),
        (["--ca"], "an argument is missing after --ca"),
    ],
)
def test_mistakes_are_named_and_end_with_2(request, arguments, said):
    command = [binary_of(request), "mobileconfig", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("sotto mobileconfig: ") and said in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_files_that_are_no_authority(run, authority, tmp_path):
    identity = authority.issue()
    (tmp_path / "ca.der").write_bytes(
        authority.certificate.public_bytes(serialization.Encoding.DER)
    )
    (tmp_path / "empty.pem").touch()
    (tmp_path / "two.pem").write_bytes(authority.ca_path.read_bytes() * 2)
    old = authority._sign(
        authority.certificate.subject,
        authority.key.public_key(),
        authority,
        authority.certificate.subject,
        [(x509.BasicConstraints(True, None), True)],
        valid_from=-20 * DAY,
        valid_for=10 * DAY,
    )
    (tmp_path / "old.pem").write_bytes(old.public_bytes(serialization.Encoding.PEM))
    for path, said in (
        (tmp_path / "none.pem", "No such file or directory; `sotto cert` makes a ca.pem"),
        (tmp_path, "Is a directory"),
        (tmp_path / "ca.der", "convert it to PEM"),
        (tmp_path / "empty.pem", "there is no certificate in PEM form in it"),
        (tmp_path / "two.pem", "there are 2 certificates in it"),
        (tmp_path / "old.pem", "the authority ended on 20"),
        (identity.chain_path, "is no authority's; give the ca.pem"),
        (identity.key_path, "there is no certificate in PEM form in it"),
    ):
        code, out, err = run("--ca", path, "tls://dns.home.arpa")
        assert (code, out) == (1, "") and str(path) in err and said in err, err


def test_output_that_cannot_be_written(request):
    with open("/dev/full", "w") as full:
        command = [binary_of(request), "mobileconfig", "tls://dns.home.arpa"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert "cannot write the profile: No space left on device" in done.stderr


def test_help(run):
    for option in ("-h", "--help"):
        code, out, err = run(option)
        assert (code, err) == (0, "") and out.startswith("Usage: sotto mobileconfig ")
        for word in ("--ca FILE", "--name TEXT", "Certificate Trust Settings"):
            assert word in out
        assert max(map(len, out.splitlines())) <= 80
