"""What deploy/ has for Prometheus and Grafana: right by their rules, and about metrics that exist."""

import json
import re
from pathlib import Path

import pytest
import yaml

from lib.admin import LISTEN, Metrics, promtool
from lib.clients import ask

pytestmark = pytest.mark.single_threaded

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "sotto.json"
METRIC = re.compile(r"\b(?:sotto|process)_\w+\b")
# There only when there is a query log.
OPTIONAL = re.compile(r"sotto_querylog_\w+")


def rules() -> list[dict]:
    return [
        rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    ]


def panels() -> list[dict]:
    return json.loads(DASHBOARD.read_text())["panels"]


def expressions() -> list[str]:
    """Of the dashboard, with values for its variables."""
    found = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    return [
        one.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$instance", ".*")
        for one in found
    ]


def test_promtool_takes_the_alerts():
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", ALERTS)


def test_promtool_takes_the_dashboards_expressions(tmp_path):
    """As rules, since that is what it checks."""
    records = [{"record": f"e{number}", "expr": one} for number, one in enumerate(expressions())]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    assert len(records) > 40
    promtool("check", "rules", path)


def test_all_metrics_exist(server, forward, encrypted):
    sotto = forward(server, admin=LISTEN, cache={"size": "1MiB"}, **encrypted)
    ask(sotto.address, "name.test")
    names = {name for name, _, _ in Metrics.of(sotto).samples}
    used = set(METRIC.findall(" ".join(expressions() + [rule["expr"] for rule in rules()])))
    missing = {name for name in used - names if not OPTIONAL.fullmatch(name)}
    assert len(used) > 40 and not missing


def test_the_dashboard_is_whole():
    dashboard = json.loads(DASHBOARD.read_text())
    identifiers = [panel["id"] for panel in panels()]
    assert len(set(identifiers)) == len(identifiers)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource", "job", "instance"}
    for panel in panels():
        if panel["type"] == "row":
            continue
        assert panel["title"] and panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert 'instance=~"$instance"' in target["expr"], target


def test_annotations_are_there():
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]


def series(name: str, values: str, **labels: str) -> dict:
    labels = {"job": "sotto", "instance": "a:8053", **labels}
    text = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    return {"series": f"{name}{{{text}}}", "values": values}


CASES = {
    "SottoDown": [series("up", "0x20")],
    "SottoNotReady": [series("sotto_ready", "0x20")],
    "SottoUpstreamsDown": [
        series("sotto_upstream_up", "0x20", upstream="a"),
        series("sotto_upstream_up", "0x20", upstream="b"),
    ],
    "SottoUpstreamDown": [
        series("sotto_upstream_up", "0x20", upstream="a"),
        series("sotto_upstream_up", "1x20", upstream="b"),
    ],
    "SottoUpstreamCertificateRefused": [
        series(
            "sotto_upstream_connections_failed_total",
            "0x10 1+1x10",
            upstream="a",
            reason="certificate",
        )
    ],
    "SottoErrors": [
        series("sotto_responses_total", "0+10x20", outcome="error", rcode="SERVFAIL"),
        series("sotto_responses_total", "0+90x20", outcome="hit", rcode="NOERROR"),
    ],
    "SottoLimited": [series("sotto_queries_turned_away_total", "0+10x20", reason="overload")],
    "SottoSlow": [
        series("sotto_query_duration_seconds_bucket", "0+50x20", cache="miss", le="1.0"),
        series("sotto_query_duration_seconds_bucket", "0+100x20", cache="miss", le="2.5"),
        series("sotto_query_duration_seconds_bucket", "0+100x20", cache="miss", le="+Inf"),
    ],
    "SottoCertificateEnds": [
        series("sotto_certificate_not_after_timestamp_seconds", "1000000x20", listener="tls://a")
    ],
    "SottoCertificateEnded": [
        series("sotto_certificate_not_after_timestamp_seconds", "80000x20", listener="tls://a")
    ],
    "SottoWorkerStuck": [
        series("sotto_workers", "2x20"),
        series("sotto_workers_responding", "1x20"),
        series("sotto_ready", "0x20"),
    ],
    "SottoQueryLogDrops": [series("sotto_querylog_dropped_total", "0x10 5+5x10", sink="json:-")],
    "SottoDescriptors": [
        series("process_open_fds", "95x20"),
        series("process_max_fds", "100x20"),
        series("sotto_build_info", "1x20", version="1"),
    ],
}

WELL = [
    series("up", "1x20"),
    series("sotto_ready", "1x20"),
    series("sotto_build_info", "1x20", version="1"),
    series("sotto_upstream_up", "1x20", upstream="a"),
    series("sotto_upstream_connections_failed_total", "7x20", upstream="a", reason="certificate"),
    series("sotto_responses_total", "0+1x20", outcome="error", rcode="SERVFAIL"),
    series("sotto_responses_total", "0+99x20", outcome="hit", rcode="NOERROR"),
    series("sotto_queries_turned_away_total", "5x20", reason="overload"),
    series("sotto_query_duration_seconds_bucket", "0+99x20", cache="miss", le="1.0"),
    series("sotto_query_duration_seconds_bucket", "0+100x20", cache="miss", le="+Inf"),
    series("sotto_certificate_not_after_timestamp_seconds", "9000000x20", listener="tls://a"),
    series("sotto_workers", "2x20"),
    series("sotto_workers_responding", "2x20"),
    series("sotto_querylog_dropped_total", "9x20", sink="json:-"),
    series("process_open_fds", "50x20"),
    series("process_max_fds", "100x20"),
]


def fires(tmp_path, alert: str, given: list[dict]) -> bool:
    """Whether it does after a quarter of an hour, a minute a value."""
    test = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": given,
                "alert_rule_test": [{"eval_time": "15m", "alertname": alert}],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(test))
    try:
        promtool("test", "rules", path)
    except AssertionError as failure:  # as none was expected
        assert f'alertname="{alert}"' in str(failure), failure
        return True
    return False


def test_each_alert_has_a_case():
    assert set(CASES) == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("alert", CASES)
def test_alerts(tmp_path, alert):
    assert fires(tmp_path, alert, CASES[alert])
    assert not fires(tmp_path, alert, WELL)
