"""Chromium with "Secure DNS": a browser resolves over DNS over HTTPS, or not at all.

It is on a machine of its own, where the program is asked both in the clear, as the resolver of the
system, and over HTTPS: both know the page. A browser that gave up on HTTPS would get there too,
and be seen.
"""

import pytest

from lib import chromium
from lib.certs import certificate_files
from lib.chromium import Chromium, PageServer
from lib.faulty_dot import answering_from
from lib.net_namespace import NetNamespace

pytestmark = pytest.mark.skipif(
    not chromium.available(), reason="needs root, and network and mount namespaces"
)

HOST = "page.only-upstream.test"
TEXT = "said softly"
# The ports of a machine of its own are free.
DOH = "https://127.0.0.1:443/dns-query"
PLAIN = "dns://127.0.0.1:53"


@pytest.fixture
def namespace():
    namespace = NetNamespace()
    yield namespace
    namespace.close()


@pytest.fixture
def server(dot_server, namespace):
    """The upstream: it alone knows where the page is, and has nothing else."""
    table = {HOST: ["127.0.0.1"]}
    return dot_server(on_query=answering_from(table), make_socket=namespace.socket)


@pytest.fixture
def sotto(forward, server, namespace, identity):
    return forward(
        server,
        listen=[{"url": DOH, "certificates": [certificate_files(identity)]}, PLAIN],
        process={"wrap": namespace.command},
    )


@pytest.fixture
def pages(namespace):
    server = PageServer(namespace, TEXT)
    yield server
    server.stop()


@pytest.fixture
def url(pages) -> str:
    return f"http://{HOST}:{pages.port}/"


@pytest.mark.parametrize(
    "template, method", [(DOH + "{?dns}", "GET"), (DOH, "POST")], ids=["GET", "POST"]
)
def test_a_page_is_found(
    sotto, server, pages, url, tmp_path, namespace, authority, template, method
):
    """By both methods of RFC 8484: the template says which."""
    visit = Chromium(tmp_path / "home", namespace, authority).open(
        url, DnsOverHttpsMode="secure", DnsOverHttpsTemplates=template
    )
    assert TEXT in visit.page
    assert pages.hosts == [f"{HOST}:{pages.port}"]
    assert server.queries_for(HOST + ".")
    requests = visit.http2_requests()
    assert {request[":method"] for request in requests} == {method}
    assert 0 < sotto.count("HTTPS queries") <= len(requests)
    assert sotto.count("UDP queries") + sotto.count("TCP queries") == 0


def test_there_is_no_silent_way_down(
    sotto, server, pages, url, tmp_path, namespace, other_authority
):
    """The browser does not trust our authority: then it would rather not find the page."""
    browser = Chromium(tmp_path / "home", namespace, other_authority)
    visit = browser.open(url, DnsOverHttpsMode="secure", DnsOverHttpsTemplates=DOH)
    assert visit.error == "ERR_NAME_NOT_RESOLVED"
    assert not visit.page and not pages.hosts
    assert sotto.wait_count("handshakes failed") >= 1
    assert sotto.count("UDP queries") + sotto.count("TCP queries") == 0
    assert not server.queries_for(HOST + ".")

    # It could have: the mode that is allowed to asks in the clear.
    visit = browser.open(url, DnsOverHttpsMode="automatic", DnsOverHttpsTemplates=DOH)
    assert TEXT in visit.page
    assert sotto.count("UDP queries") >= 1
    assert sotto.count("HTTPS queries") == 0
