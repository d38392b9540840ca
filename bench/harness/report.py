"""latest.json as Markdown and plots."""

from dataclasses import dataclass
from pathlib import Path

from . import svg
from .svg import number

START, END = "<!-- bench -->", "<!-- /bench -->"
FLOORS = ("echo", "relay")
LOSSY = 0.01  # from this share of lost queries on, a figure is no longer comparable
DAGGER = "†"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# --- the main table


@dataclass(frozen=True)
class Row:
    """One figure of all subjects."""

    title: str
    values: dict  # by subject: number
    lossy: frozenset = frozenset()
    more_is_better: bool = False
    floor: str = "echo"


def _of_matrix(data, scenario: str, key: str, title: str, **options) -> Row:
    found = data.get("matrix", {}).get(scenario, {})
    floor = "relay" if scenario.startswith(("miss", "mix")) else "echo"
    return Row(
        title,
        {subject: summary[key]["median"] for subject, summary in found.items()},
        frozenset(s for s, summary in found.items() if summary["lost_share"]["median"] >= LOSSY),
        floor=floor,
        **options,
    )


def _of_memory(data, key: str, title: str) -> Row:
    found = data.get("memory", {})
    return Row(
        title, {s: rows[key] / 2**20 for s, rows in found.items() if key in rows}, floor="relay"
    )


def _of_calls(data, metric: str, title: str) -> Row:
    found = data.get("system_calls", {})
    floor = "relay" if metric == "miss" else "echo"
    return Row(
        title,
        {s: rows[metric]["total"] for s, rows in found.items() if metric in rows},
        floor=floor,
    )


def _rows(data) -> list[Row]:
    rows = [
        _of_matrix(data, "hit-full", "cpu_us", "**hit, UDP**, 100 in flight: CPU a query, µs"),
        _of_matrix(data, "hit-full", "qps", "… answered a second", more_is_better=True),
        _of_matrix(data, "hit-20k", "cpu_us", "… 20,000 a second: CPU a query, µs"),
        _of_matrix(data, "hit-20k", "p99", "… latency p99, µs"),
        _of_matrix(data, "hit-2k", "cpu_us", "… 2,000 a second: CPU a query, µs"),
        _of_matrix(data, "tcp-full", "cpu_us", "**hit, TCP**, 10 × 10 in flight: CPU a query, µs"),
        _of_matrix(data, "tcp-full", "qps", "… answered a second", more_is_better=True),
        _of_matrix(data, "miss-full", "cpu_us", "**miss**, 100 in flight: CPU a query, µs"),
        _of_matrix(data, "miss-full", "qps", "… answered a second", more_is_better=True),
        _of_matrix(data, "miss-20k", "cpu_us", "… 20,000 a second: CPU a query, µs"),
        _of_matrix(data, "miss-2k", "cpu_us", "… 2,000 a second: CPU a query, µs"),
        _of_matrix(data, "miss-2k", "p99", "… latency p99, µs"),
        _of_matrix(data, "mix90", "p99", "**90 % hits**, 20,000 a second: latency p99, µs"),
        _of_calls(data, "hit", "**system calls** a hit, UDP"),
        _of_calls(data, "tcp hit", "… a hit, TCP"),
        _of_calls(data, "miss", "… a miss"),
        _of_memory(data, "idle", "**memory** at rest, MiB"),
        _of_memory(data, "100k", "… with 100,000 answers"),
        _of_memory(data, "1M", "… with 1,000,000 answers"),
    ]
    return [row for row in (*rows, *_encrypted_rows(data)) if row.values]


ENCRYPTED = (
    ("hit", "**hit over TLS** (dnsperf), 10 × 10 in flight: CPU a query, µs", 1),
    ("https", "**hit over HTTPS** (h2load, GET), 10 × 10 in flight: CPU a query, µs", 1),
    ("handshake", "**handshake**, whole: CPU of the server, one query included, µs", 1),
    ("resumed", "… resumed", 1),
    ("idle", "**memory** for an idle client over TLS, kB", 1e-3),
)


def _encrypted_rows(data) -> list[Row]:
    found = data.get("encrypted", {})
    return [
        Row(title, {s: rows[key] * factor for s, rows in found.items() if key in rows})
        for key, title, factor in ENCRYPTED
    ]


def _peers(data) -> list[dict]:
    return [s for s in data["subjects"] if s["key"] not in (*FLOORS, "sotto")]


def best_peer(data, row: Row) -> str | None:
    candidates = [
        s["key"] for s in _peers(data) if s["key"] in row.values and s["key"] not in row.lossy
    ]
    choose = max if row.more_is_better else min
    return choose(candidates, key=row.values.get) if candidates else None


def ratio(row: Row, to: str | None) -> float | None:
    if to is None or "sotto" not in row.values or not row.values.get(to):
        return None
    return row.values["sotto"] / row.values[to]


def _cell(row: Row, key: str) -> str:
    if key not in row.values:
        return "–"
    return number(row.values[key]) + (f" {DAGGER}" if key in row.lossy else "")


def main_table(data) -> str:
    peers = _peers(data)
    lines = []
    for row in _rows(data):
        best = best_peer(data, row)
        to_floor, to_best = ratio(row, row.floor), ratio(row, best)
        lines.append(
            [row.title, _cell(row, row.floor), f"**{_cell(row, 'sotto')}**"]
            + [_cell(row, peer["key"]) for peer in peers]
            + [
                f"{to_floor:.2f}" if to_floor else "–",
                f"{to_best:.2f} ({best})" if to_best else "–",
            ]
        )
    titles = [peer["title"] for peer in peers]
    return _table(["", "floor", "sotto", *titles, "÷ floor", "÷ best peer"], lines)


def _legend(data) -> str:
    about = data["machine"]
    kind = "virtual machine" if about["virtual"] else "machine"
    return (
        f"Medians of {data['options']['rounds']} rounds, each program pinned to one CPU of a {kind} "
        f"({about['cpus']} × {about['cpu']}), over loopback, {data['date']}. The floor is a bare "
        "UDP echo for hits, and a bare relay to TLS for misses and memory. CPU is user and system "
        "time of all threads, for each answered query. "
        f"{DAGGER}: more than {LOSSY:.0%} of the queries were lost, so the figure is not "
        "compared. –: it has no such thing."
    )


# --- the report


def _added(summary, floor) -> str:
    """Latency beyond that of the floor, which has the generator's and the network's in it too."""
    if not floor:
        return "–"
    return " / ".join(
        f"{summary[key]['median'] - floor[key]['median']:+,.0f}" for key in ("p50", "p99", "p99.9")
    )


def _detail(data, scenario: dict) -> str:
    """Latency in the closed window (100 in flight) is how long the queue is, not more."""
    found = data["matrix"][scenario["key"]]
    floor = found.get("relay" if scenario["metric"] == "miss" else "echo")
    lines = []
    for subject in data["subjects"]:
        summary = found.get(subject["key"])
        if not summary:
            continue

        def median(key, summary=summary):
            return number(summary[key]["median"])

        cpu = summary["cpu_us"]
        lines.append(
            [
                subject["title"],
                f"{number(cpu['median'])} ({number(cpu['min'])}–{number(cpu['max'])})",
                f"{summary['qps']['median']:,.0f}",
                f"{summary['lost_share']['median']:.2%}",
                f"{median('p50')} / {median('p99')} / {median('p99.9')}",
                _added(summary, floor),
                f"{summary['lag_p99']['median']:,.0f}",
                f"{summary['upstream_per_query']['median']:.2f}",
                f"{summary['subject_busy']['median']:.0%} / {summary['other_busy']['median']:.0%}",
            ]
        )
    head = ["", "CPU a query, µs (least–most)", "answered a second", "lost"]
    head += [
        "latency p50 / p99 / p99.9, µs",
        "… added to the floor's",
        "sent late (p99), µs",
        "upstream queries a query",
    ]
    head += ["CPU in use: program / generator and upstream"]
    return f"### {scenario['title'][0].upper()}{scenario['title'][1:]}\n\n{_table(head, lines)}\n"


def _row(data, scenario: str, key: str) -> Row:
    return _of_matrix(data, scenario, key, "")


def _aims(data) -> str:
    """What sotto should reach, and does."""
    lines = []

    def aim(title, value, limit, digits=2):
        if value is not None:
            verdict = "reached" if value <= limit else "**not reached**"
            lines.append([title, f"≤ {limit:g}", f"{value:.{digits}f}", verdict])

    def calls(metric):
        return data.get("system_calls", {}).get("sotto", {}).get(metric, {}).get("total")

    def allocations(metric):
        counts = data.get("instructions", {}).get("sotto", {}).get(metric)
        return counts and counts["allocations"]

    hit, miss = _row(data, "hit-full", "cpu_us"), _row(data, "miss-full", "cpu_us")
    tcp, late = _row(data, "tcp-full", "cpu_us"), data.get("matrix", {}).get("hit-20k", {})
    memory = data.get("memory", {}).get("sotto", {})
    aim("hit, UDP, CPU ÷ bare echo", ratio(hit, "echo"), 1.10)
    aim("miss, 100 in flight, CPU ÷ bare relay", ratio(miss, "relay"), 1.5)
    aim("miss, CPU ÷ best peer", ratio(miss, best_peer(data, miss)), 0.45)
    aim("hit, TCP, CPU ÷ best peer", ratio(tcp, best_peer(data, tcp)), 0.6)
    aim("system calls a hit, full batches", calls("hit"), 0.15, 3)
    aim("system calls a miss, 100 in flight", calls("miss"), 0.4, 3)
    aim("heap allocations a hit", allocations("hit"), 0, 3)
    aim("heap allocations a miss", allocations("miss"), 0, 3)
    each = memory.get("1M for each", memory.get("100k for each"))
    aim("memory for a cached answer, octets", each, 160, 0)
    aim("memory at rest, MB", memory["idle"] / 1e6 if "idle" in memory else None, 12, 1)
    if "sotto" in late and "echo" in late:
        # Within the echo's own noise: not above the worst of its rounds.
        noise = late["echo"]["p99"]["max"]
        aim(
            "hit at 20,000 a second, p99 ÷ the echo's worst",
            late["sotto"]["p99"]["median"] / noise,
            1,
        )
    for row, title, limit in zip(
        _encrypted_rows(data),
        (
            "hit over TLS, CPU ÷ best peer",
            "hit over HTTPS, CPU ÷ best peer",
            "handshake, CPU ÷ best peer",
        ),
        (0.4, 0.4, 0.7),
    ):
        aim(title, ratio(row, best_peer(data, row)), limit)
    if tls := data.get("encrypted", {}).get("sotto", {}):
        if "resumed" in tls:
            aim("handshake resumed ÷ whole", tls["resumed"] / tls["handshake"], 0.6)
        if "idle" in tls:
            aim("memory for an idle client over TLS, kB", tls["idle"] / 1000, 13, 1)
        if "UDP hit beside" in tls:
            beside = tls["UDP hit beside"] / tls["UDP hit without"]
            aim("hit, UDP, CPU with 5,000 idle over TLS ÷ without", beside, 1.05)
    names = data.get("growth", {}).get("names", {}).get("hit", [])
    if len(names) > 1:
        aim(
            f"CPU a hit at {names[-1]['x']:,} names ÷ at {names[0]['x']:,}",
            names[-1]["cpu_us"] / names[0]["cpu_us"],
            1.25,
        )
    return _table(["", "aim", "measured", ""], lines) + "\n" if lines else ""


def _counts(data) -> str:
    lines = []
    for subject in data["subjects"]:
        calls = data.get("system_calls", {}).get(subject["key"], {})
        counts = data.get("instructions", {}).get(subject["key"], {})
        for metric in dict.fromkeys([*calls, *counts]):
            most = calls.get(metric, {}).get("most", {})
            lines.append(
                [
                    subject["title"],
                    metric,
                    f"{calls[metric]['total']:.3f}" if metric in calls else "–",
                    ", ".join(f"{n} {v:.3f}" for n, v in list(most.items())[:5]),
                    f"{counts[metric]['instructions']:,.0f}" if metric in counts else "–",
                    f"{counts[metric]['allocations']:.3f}" if metric in counts else "–",
                ]
            )
    head = ["", "", "system calls", "most of them", "instructions, user", "heap allocations"]
    return _table(head, lines) + "\n"


def _growth(data) -> str:
    parts = []
    titles = {
        "workers": "workers (20,000 a second)",
        "idle": "idle TCP clients (20,000 hits a second over UDP)",
        "names": "cached names, all equally popular (100 in flight)",
        "upstreams": "upstreams, strategy `balance` (100 in flight)",
    }
    for key, series in data.get("growth", {}).items():
        lines = [
            [
                f"{point['x']:,}",
                name,
                f"{number(point['cpu_us'])} ({number(point['cpu_us_min'])}–"
                f"{number(point['cpu_us_max'])})",
                f"{point['qps']:,.0f}",
                f"{point['lost_share']:.2%}",
                number(point["p99"]),
                f"{point['resident'] / 2**20:.1f}",
            ]
            for name, points in series.items()
            for point in points
        ]
        head = [titles[key], "", "CPU a query, µs (least–most)", "answered a second", "lost"]
        parts.append(_table(head + ["latency p99, µs", "memory, MiB"], lines))
    return "\n\n".join(parts) + "\n"


def _memory(data) -> str:
    lines = []
    for subject in data["subjects"]:
        rows = data["memory"].get(subject["key"])
        if rows:
            mib = [f"{rows[k] / 2**20:.1f}" if k in rows else "–" for k in ("idle", "100k", "1M")]
            each = rows.get("1M for each", rows.get("100k for each"))
            lines.append([subject["title"], *mib, f"{each:.0f}" if each else "–"])
    head = ["MiB resident", "at rest", "100,000 answers", "1,000,000 answers", "octets an answer"]
    return _table(head, lines) + "\n"


def _dnsperf(data) -> str:
    lines = [
        [s["title"], f"{f['qps']:,.0f}", number(f["cpu_us"]), f"{f['lost']:,}"]
        for s in data["subjects"]
        if (f := data["dnsperf"].get(s["key"]))
    ]
    return _table(["", "answered a second", "CPU a query, µs", "lost"], lines) + "\n"


def _what_with(data) -> str:
    about = data["machine"]
    disturbed = data.get("interference")
    lines = [
        f"- {about['cpus']} CPUs, {about['cpu']}, {about['memory_gib']} GiB"
        + (", virtual" if about["virtual"] else ""),
        f"- {about['system']}, Linux {about['kernel']}, gcc {about['compiler']}, "
        f"GnuTLS {about['gnutls']}",
        f"- sotto at {data['commit']}, release build; measured program on CPU "
        f"{data['cpus']['subject']}, generator and upstream on CPU "
        f"{data['cpus']['generator and upstream']}",
        f"- {data['options']['rounds']} rounds of {data['options']['seconds']} s each, "
        f"{data['minutes']} minutes in all",
    ]
    if disturbed:
        lines.append(
            f"- Programs with one busy thread waited for their CPU in {disturbed['waited_median']:.1%} "
            f"of the time (median; at most {disturbed['waited_max']:.0%}), since others used it; the "
            f"hypervisor withheld {disturbed['stolen_seconds']:.1f} s"
        )
    lines += [
        f"- {subject['title']} {subject['version']}: {subject['note']}".replace(" : ", ": ")
        for subject in data["subjects"]
    ]
    return "\n".join(lines) + "\n"


def _cannot(data) -> str:
    lines = [
        f"- {subject['title']}, {metric}: {why}"
        for subject in data["subjects"]
        for metric, why in subject["cannot"].items()
    ]
    lines += [f"- {p['subject']}, {p['what']}: {p['why']}" for p in data["problems"]]
    return "\n".join(lines) + "\n"


def _plots(data, out: Path) -> list[str]:
    """Writes the SVG files; returns their names."""
    written = []

    def write(name, content):
        (out / name).write_text(content)
        written.append(name)

    titles = {s["key"]: s["title"].replace("*", "") for s in data["subjects"]}

    def kind_of(key):
        return "ours" if key == "sotto" else "floor" if key in FLOORS else "bar"

    panels = []
    for scenario, title in (
        ("hit-full", "hit over UDP: CPU a query, µs"),
        ("tcp-full", "hit over TCP: CPU a query, µs"),
        ("miss-full", "miss over TLS: CPU a query, µs"),
    ):
        found = data.get("matrix", {}).get(scenario, {})
        rows = [
            (titles[key], kind_of(key), *(s["cpu_us"][k] for k in ("median", "min", "max")))
            for key, s in found.items()
        ]
        if rows:
            panels.append((title, rows))
    if panels:
        write("cpu.svg", svg.bars(panels))
    memory = data.get("memory", {})
    panels = [
        (f"memory {title}, MiB", rows)
        for key, title in (
            ("idle", "at rest"),
            ("100k", "with 100,000 answers"),
            ("1M", "with a million"),
        )
        if (
            rows := [
                (titles[s], kind_of(s), *[found[key] / 2**20] * 3)
                for s, found in memory.items()
                if key in found
            ]
        )
    ]
    if panels:
        write("memory.svg", svg.bars(panels))
    panels = [
        (
            f"CPU a query, µs, by {name}",
            {metric: [(p["x"], p["cpu_us"]) for p in points] for metric, points in series.items()},
        )
        for key, name in (
            ("workers", "workers"),
            ("idle", "idle TCP clients"),
            ("names", "cached names"),
            ("upstreams", "upstreams"),
        )
        if (series := data.get("growth", {}).get(key))
    ]
    if panels:
        write("growth.svg", svg.lines(panels))
    return written


def write(data, out: Path) -> None:
    plots = _plots(data, out)
    parts = ["# Benchmark\n", _what_with(data), main_table(data) + "\n", _legend(data) + "\n"]
    if aims := _aims(data):
        parts += ["## Aims\n", aims]
    if "cpu.svg" in plots:
        parts.append("![CPU a query](cpu.svg)\n")
    if "system_calls" in data:
        parts += ["## Counted, not timed\n", _counts(data)]
    if "memory" in data:
        parts += ["## Memory\n", _memory(data), "![Memory](memory.svg)\n"]
    if data.get("growth"):
        parts += ["## How cost grows\n", _growth(data), "![Growth](growth.svg)\n"]
    if "dnsperf" in data:
        parts += ["## dnsperf: hits over UDP, 100 in flight\n", _dnsperf(data)]
    if "cache_table" in data:
        parts += ["## The cache's table by itself\n", "```\n" + data["cache_table"] + "```\n"]
    if "matrix" in data:
        parts.append("## Everything that was measured\n")
        parts += [_detail(data, scenario) for scenario in data["scenarios"]]
    parts += ["## What is missing, and why\n", _cannot(data)]
    (out / "latest.md").write_text("\n".join(parts))


def put_into_readme(data, readme: Path) -> None:
    text = readme.read_text()
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise SystemExit(f"{readme.name} has no place for the table: {START} … {END}")
    table = f"\n\n{main_table(data)}\n\n{_legend(data)}\n\n"
    readme.write_text(before + START + table + END + after)
