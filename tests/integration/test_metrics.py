"""/metrics: the format, and whether the numbers are those of what was asked."""

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import dns.rcode
import pytest
import yaml

from lib import dns_wire as wire
from lib.admin import LISTEN, Metrics, address_of, get, promtool
from lib.caching import negative
from lib.certs import certificate_files
from lib.clients import TlsClient, UdpClient, ask, ask_many, assert_own_answer
from lib.faulty_dot import accept_and_freeze, answering, by_name, hold
from lib.ports import ReservedPort
from lib.sotto_process import SANITIZER_COMPLAINT
from lib.timing import scaled, wait_until

CACHE = {"size": "1MiB"}


@pytest.fixture
def watched(forward):
    """As `forward`, with the admin's pages."""

    def start(*servers, admin=None, **options):
        return forward(*servers, admin=admin or LISTEN, **options)

    return start


def ask_everything(sotto) -> None:
    for name in ["one.test", "one.test", "two.test", "localhost"]:
        ask(sotto.address, name)
    ask(sotto.address, "one.test", "AAAA", tcp=True)


def labels_in(text: str) -> set[str]:
    return {name for _, labels, _ in Metrics(text).samples for name in labels}


# The format


def test_promtool_has_nothing_to_say(server, watched, encrypted):
    sotto = watched(server, cache=CACHE, **encrypted)
    ask_everything(sotto)
    response = get(sotto, "/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert promtool("check", "metrics", stdin=response.body) == ""


def test_openmetrics_to_those_who_want_it(server, watched):
    sotto = watched(server)
    response = get(sotto, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1")
    assert response.body.endswith("\n# EOF\n")
    assert "\n# TYPE sotto_queries counter\n" in response.body
    assert "\nsotto_queries_total{" in response.body


def test_names_and_labels(server, watched):
    """Ours are called sotto_, and no label holds what a client sent."""
    sotto = watched(server, cache=CACHE)
    ask(sotto.address, "secret-name.test")
    body = get(sotto, "/metrics").body
    assert {name.split("_")[0] for name, _, _ in Metrics(body).samples} == {"sotto", "process"}
    assert "secret-name" not in body
    assert labels_in(body) <= set(
        "upstream reason transport family type outcome rcode cache le version action state to "
        "listener".split()
    )


def test_build_and_process(server, watched):
    sotto = watched(server, cache=CACHE)
    metrics = Metrics.of(sotto)
    assert metrics("sotto_build_info") == 1
    assert abs(metrics("process_start_time_seconds") - time.time()) < scaled(60)
    assert metrics("process_resident_memory_bytes") > 1e6
    assert metrics("process_open_fds") == pytest.approx(sotto.open_files(), abs=4)
    assert metrics("process_max_fds") > metrics("process_open_fds")
    assert metrics("sotto_workers") == metrics("sotto_workers_responding") == sotto.workers
    assert metrics("sotto_cache_size_bytes") == 1 << 20


# Queries and responses


def test_queries_by_transport_family_and_type(server, watched, identity, authority):
    sotto = watched(
        server,
        listen=["dns://127.0.0.1:0", "dns://[::1]:0", "tls://127.0.0.1:0"],
        tls={"certificates": [certificate_files(identity)]},
    )
    (_, ipv4), (_, ipv6) = [found for found in sotto.listeners if found[0] == "dns"]
    for _ in range(3):
        ask(ipv4, "name.test")
    ask(ipv4, "name.test", "AAAA", tcp=True)
    with UdpClient(ipv6) as client:
        client.exchange(wire.query("name.test", rdtype=65))
    with UdpClient(ipv4) as client:
        client.exchange(wire.query("name.test", rdtype=65280))
        client.exchange(wire.query("name.test")[:20])  # no type can be read
    with TlsClient(sotto.listener("tls"), authority) as client:
        client.send(wire.query("name.test"))
        client.receive()
    metrics = Metrics.of(sotto)
    assert metrics.by("sotto_queries_total", "transport", "family", "type") == {
        ("udp", "ipv4", "A"): 3,
        ("udp", "ipv4", "other"): 2,
        ("tcp", "ipv4", "AAAA"): 1,
        ("udp", "ipv6", "HTTPS"): 1,
        ("tls", "ipv4", "A"): 1,
    }


def test_responses_by_outcome_and_rcode(dot_server, watched):
    server = dot_server(on_query=by_name(nowhere=answering(**negative(wire.NXDOMAIN))))
    sotto = watched(server, cache=CACHE, process={"workers": 1})
    for name in ["a.test", "a.test", "nowhere.test", "nowhere.test", "localhost"]:
        ask(sotto.address, name)
    with UdpClient(sotto.address) as client:
        client.exchange(wire.query("name.test")[:20])
        client.exchange(wire.query("name.test", flags=0x2800))
        client.exchange(wire.query("name.test", rdtype=250))
        client.exchange(
            wire.message(1, 0, [wire.question(b"\0")], additional=[wire.opt_record(version=1)])
        )
    server.go_down()
    assert ask(sotto.address, "b.test").rcode() == dns.rcode.SERVFAIL
    metrics = Metrics.of(sotto)
    assert metrics.by("sotto_responses_total", "outcome", "rcode") == {
        ("miss", "NOERROR"): 1,
        ("hit", "NOERROR"): 1,
        ("miss", "NXDOMAIN"): 1,
        ("hit", "NXDOMAIN"): 1,
        ("local", "NOERROR"): 1,
        ("refused", "FORMERR"): 1,
        ("refused", "NOTIMP"): 1,
        ("refused", "REFUSED"): 1,
        ("refused", "BADVERS"): 1,
        ("error", "SERVFAIL"): 1,
    }
    assert metrics("sotto_queries_total") == metrics("sotto_responses_total") == 10
    turned_away = {"malformed", "not_implemented", "refused", "badvers"}
    assert metrics.by("sotto_queries_turned_away_total", "reason") == dict.fromkeys(turned_away, 1)


def test_joined_and_limited(dot_server, watched):
    server = dot_server(on_query=hold)
    sotto = watched(
        server,
        cache=CACHE,
        process={"workers": 1},
        timeout=20.0,
        **{"max-in-flight": 1000},
        clients={"allow": ["any"], "rate-limit": 10},
    )
    with UdpClient(sotto.address) as client:
        for number in range(3):
            client.send(wire.query("same.test", ident=number))
        server.wait_queries(1)
        wait_until(lambda: Metrics.of(sotto)("sotto_queries_in_flight") == 3, 5, "all three wait")
        assert Metrics.of(sotto)("sotto_upstream_queries_in_flight") == 1
        server.queries[0].connection.answer(server.queries[0])
        for _ in range(3):
            client.receive()
        for number in range(400):
            client.send(wire.query("localhost", ident=number))
        wait_until(
            lambda: Metrics.of(sotto)("sotto_queries_limited_total") > 100, 5, "some are limited"
        )
    metrics = Metrics.of(sotto)
    outcomes = metrics.by("sotto_responses_total", "outcome")
    assert (outcomes["miss"], outcomes["joined"]) == (1, 2)
    assert outcomes["limited"] == metrics("sotto_queries_limited_total", action="told")
    assert metrics("sotto_queries_limited_total", action="dropped") > 0
    assert metrics("sotto_queries_in_flight") == 0


def test_how_long_it_took(dot_server, watched):
    """Every query is in one histogram: those that wait with their time, hits well below."""

    def slow(conn, query):
        conn.later(0.3, conn.answer, query)

    sotto = watched(dot_server(on_query=slow), cache=CACHE, process={"workers": 1})
    name = "sotto_query_duration_seconds"
    for _ in range(4):
        assert_own_answer(ask(sotto.address, "slow.test"), "slow.test")
    metrics = Metrics.of(sotto)
    assert metrics(f"{name}_count", cache="miss") == 1
    assert metrics(f"{name}_bucket", cache="miss", le="0.25") == 0
    assert metrics(f"{name}_bucket", cache="miss", le="2.5") == 1
    assert 0.3 <= metrics(f"{name}_sum", cache="miss") < scaled(2)
    assert metrics(f"{name}_count", cache="hit") == 3
    assert 0 < metrics(f"{name}_sum", cache="hit") < scaled(0.3)
    assert metrics("sotto_upstream_latency_seconds_count") == 1
    assert 0.3 <= metrics("sotto_upstream_latency_seconds_sum") < scaled(2)


def test_histograms_are_whole(server, watched):
    """Buckets go up, and the last one is the count."""
    sotto = watched(server, cache=CACHE)
    ask_many(sotto.address, [f"name-{number % 20}.test" for number in range(200)])
    metrics = Metrics.of(sotto)
    for cache in ["hit", "miss"]:
        buckets = metrics.find("sotto_query_duration_seconds_bucket", cache=cache)
        assert buckets == sorted(buckets)
        assert buckets[-1] == metrics("sotto_query_duration_seconds_count", cache=cache)
    assert metrics("sotto_query_duration_seconds_count") == 200


# Upstreams


def test_connections_with_an_upstream(server, watched):
    sotto = watched(server, process={"workers": 1})
    for number in range(5):
        ask(sotto.address, f"name-{number}.test")
    metrics = Metrics.of(sotto)
    url = server.url
    assert metrics("sotto_upstream_connections", upstream=url) == 1
    assert metrics("sotto_upstream_connections_opened_total", upstream=url) == 1
    assert metrics("sotto_upstream_connections_reused_total", upstream=url) == 4
    assert metrics("sotto_upstream_queries_total", upstream=url) == 5
    assert metrics("sotto_upstream_replies_total", upstream=url) == 5
    assert metrics("sotto_upstream_up", upstream=url) == 1
    assert metrics("sotto_upstream_rtt_seconds", upstream=url) > 0
    server.open_connections()[0].close()
    wait_until(
        lambda: Metrics.of(sotto)(
            "sotto_upstream_connections_closed_total", upstream=url, reason="idle_server"
        ),
        5,
        "the close is counted",
    )
    ask(sotto.address, "again.test")
    metrics = Metrics.of(sotto)
    assert metrics("sotto_upstream_connections_opened_total", upstream=url) == 2
    assert metrics("sotto_upstream_connections_resumed_total", upstream=url) == 1


def test_connections_that_are_lost(dot_server, watched):
    def drops(conn):
        conn.handshake()
        conn.read_query()
        conn.reset()

    server = dot_server(on_connection=drops)
    sotto = watched(server, process={"workers": 1})
    ask(sotto.address, "name.test")
    metrics = Metrics.of(sotto)
    lost = metrics("sotto_upstream_connections_closed_total", reason="lost")
    assert lost == metrics("sotto_upstream_connections_opened_total") > 0


def talk_plainly(conn):
    conn.first_flight()
    conn.send_cipher(b"220 mail.test ESMTP\r\n" * 20)
    conn.close()


def close_at_once(conn):
    conn.first_flight()
    conn.close()


@pytest.mark.parametrize(
    "reason, script",
    [("no_tls", talk_plainly), ("closed", close_at_once), ("timeout", accept_and_freeze)],
)
def test_handshakes_with_upstreams_that_fail(dot_server, watched, reason, script):
    sotto = watched(dot_server(on_connection=script), timeout=1.0, process={"workers": 1})
    ask(sotto.address, "name.test")
    failures = Metrics.of(sotto).by("sotto_upstream_connections_failed_total", "reason")
    assert list(failures) == [reason]


def test_an_upstream_with_a_bad_certificate(dot_server, watched, other_authority):
    server = dot_server(identity=other_authority.issue(names=["dot.test"], ips=["127.0.0.1"]))
    sotto = watched(server, process={"workers": 1})
    ask(sotto.address, "name.test")
    failures = Metrics.of(sotto).by("sotto_upstream_connections_failed_total", "reason")
    assert list(failures) == ["certificate"]


def test_an_upstream_that_is_down(server, watched):
    sotto = watched(server, process={"workers": 1})
    server.go_down()
    ask(sotto.address, "name.test")
    metrics = Metrics.of(sotto)
    assert metrics("sotto_upstream_up", upstream=server.url) == 0
    assert metrics("sotto_upstream_workers_down", upstream=server.url) == 1
    assert metrics("sotto_ready") == 0
    assert list(metrics.by("sotto_upstream_connections_failed_total", "reason")) == ["connect"]
    assert metrics("sotto_upstream_state_changes_total", to="down") == 1
    server.come_back()
    wait_until(lambda: Metrics.of(sotto)("sotto_ready"), 5, "it is seen to be back")
    assert Metrics.of(sotto)("sotto_upstream_up") == 1


def test_two_upstreams_of_the_same_url(server, watched, authority):
    """With other settings they are two; no sample may be there twice."""
    sotto = watched(server, {"url": server.url, "max-connections": 1})
    ask(sotto.address, "name.test")
    body = get(sotto, "/metrics").body
    assert promtool("check", "metrics", stdin=body) == ""
    upstreams = {
        labels["upstream"] for _, labels, _ in Metrics(body).samples if "upstream" in labels
    }
    assert upstreams == {server.url, f"{server.url} (2)"}


# Clients over TLS


def test_handshakes_with_clients(server, watched, encrypted, authority, other_authority):
    sotto = watched(server, process={"workers": 1}, **encrypted)
    place = sotto.listener("tls")
    with TlsClient(place, authority) as client:
        client.send(wire.query("name.test"))
        client.receive()
    with pytest.raises(OSError):  # it does not trust us, and says so in an alert
        TlsClient(place, other_authority)
    with socket.create_connection((place.host, place.port)) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        sock.settimeout(scaled(5))
        while sock.recv(1000):
            pass
    with socket.create_connection((place.host, place.port)):
        pass  # closed before it has begun
    name = "sotto_client_tls_handshakes_failed_total"
    wait_until(lambda: Metrics.of(sotto)(name) == 3, 5, "all are counted")
    metrics = Metrics.of(sotto)
    assert metrics("sotto_client_tls_handshakes_total") >= 1
    assert metrics(name, reason="closed") == 1
    assert metrics(name, reason="no_tls") + metrics(name, reason="other") == 1
    assert metrics(name, reason="alert") == 1


def test_when_certificates_end(server, watched, authority):
    soon = authority.issue(names=["dot.test"], ips=["127.0.0.1"])
    sotto = watched(
        server,
        listen=["dns://127.0.0.1:0", "tls://127.0.0.1:0"],
        tls={"certificates": [certificate_files(soon)]},
    )
    ends = Metrics.of(sotto)("sotto_certificate_not_after_timestamp_seconds")
    said = sotto.status()["certificates"][0]["seconds_left"]
    assert ends == pytest.approx(time.time() + said, abs=scaled(10))


# A scrape stops nobody


def test_a_worker_that_is_stuck(server, watched):
    """What the others have is told in bounded time."""
    sotto = watched(server, process={"workers": 2})
    ask(sotto.address, "name.test")
    assert Metrics.of(sotto)("sotto_workers_responding") == 2
    started = time.monotonic()
    for _ in range(20):
        Metrics.of(sotto)
    assert time.monotonic() - started < scaled(5)


def test_scrapes_under_load(server, watched):
    sotto = watched(server, cache=CACHE)
    errors = []

    def scrape():
        try:
            last = 0.0
            for _ in range(15):
                now = Metrics.of(sotto)("sotto_queries_total")
                assert now >= last
                last = now
        except AssertionError as error:
            errors.append(error)

    threads = [threading.Thread(target=scrape) for _ in range(3)]
    for thread in threads:
        thread.start()
    tally = ask_many(sotto.address, [f"name-{number % 50}.test" for number in range(2000)])
    for thread in threads:
        thread.join()
    assert not errors and tally.right == 2000
    assert Metrics.of(sotto)("sotto_queries_total") == 2000


# The query log


def test_what_became_of_records(server, watched, tmp_path):
    """None of its metrics are there without one."""
    assert not [name for name, _, _ in Metrics.of(watched(server)).samples if "querylog" in name]
    url = f"json://{tmp_path / 'log'}"
    sotto = watched(server, **{"query-log": {"sinks": [url]}})
    for number in range(5):
        ask(sotto.address, f"name-{number}.test")
    wait_until(
        lambda: Metrics.of(sotto)("sotto_querylog_written_total", sink=url) == 5, 5, "all are kept"
    )
    metrics = Metrics.of(sotto)
    assert metrics("sotto_querylog_ring_dropped_total") == 0
    assert metrics("sotto_querylog_dropped_total") == metrics("sotto_querylog_failing") == 0


# A real Prometheus


class Prometheus:
    def __init__(self, folder, targets):
        self.port = ReservedPort()
        config = {
            "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms"},
            "scrape_configs": [{"job_name": "sotto", "static_configs": [{"targets": targets}]}],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._log = open(folder / "log", "wb")
        self._process = subprocess.Popen(
            [
                shutil.which("prometheus"),
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{self.number()}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def number(self) -> int:
        self.port.release()  # Go sets no SO_REUSEADDR that would let it in beside us
        return self.port.number

    def query(self, expression) -> dict:
        """Values by labels; none while it is starting."""
        arguments = urllib.parse.urlencode({"query": expression})
        url = f"http://127.0.0.1:{self.port.number}/api/v1/query?{arguments}"
        try:
            with urllib.request.urlopen(url, timeout=scaled(10)) as response:
                result = json.load(response)["data"]["result"]
        except OSError:
            return {}
        return {
            frozenset(one["metric"].items()) - {("job", "sotto")}: float(one["value"][1])
            for one in result
        }

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(scaled(20))
        self._log.close()


@pytest.fixture
def prometheus(tmp_path):
    running = []

    def start(*targets):
        folder = tmp_path / f"prometheus-{len(running)}"
        folder.mkdir()
        running.append(Prometheus(folder, list(targets)))
        return running[-1]

    yield start
    for one in running:
        one.stop()


def test_a_real_prometheus_scrapes_it(server, watched, prometheus):
    sotto = watched(server, cache=CACHE)
    ask_everything(sotto)
    address = address_of(sotto)
    watcher = prometheus(f"{address.host}:{address.port}")
    value = lambda expression: next(iter(watcher.query(expression).values()), None)
    wait_until(lambda: value("up") == 1, 30, "it is scraped")
    assert value("sum(sotto_queries_total)") == 5
    assert value('sum(sotto_responses_total{outcome="hit"})') == 1
    assert value("sotto_ready") == 1
    assert value("sum(sotto_query_duration_seconds_count)") == 4
    assert value("histogram_quantile(0.5, sum by (le) (sotto_upstream_latency_seconds_bucket))") > 0
    assert value("sotto_build_info") == 1
    text = Metrics(get(sotto, "/metrics").body)
    names = watcher.query('count by (__name__) ({job="sotto", __name__!~"up|scrape_.*"})')
    assert {dict(labels)["__name__"] for labels in names} == {name for name, _, _ in text.samples}
    assert not [line for line in sotto.lines if SANITIZER_COMPLAINT.search(line)]
