"""Plots as SVG, without a library: grouped bars, and lines. Legible on light and dark pages."""

from html import escape
from math import ceil, floor, log10

WIDTH = 760
COLORS = {"hit": 0, "miss": 1}
STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #333 }
.title { font-size: 14px; font-weight: 600 }
.small { font-size: 11px; fill: #666 }
.grid { stroke: #ddd; stroke-width: 1 }
.spread { stroke: #333; stroke-width: 1 }
.bar { fill: #9aa7b4 } .floor { fill: #cfd6dd } .ours { fill: #2f7d5b }
.line0 { stroke: #2f7d5b } .line1 { stroke: #b3622b } .line2 { stroke: #3b6ea8 }
.dot0 { fill: #2f7d5b } .dot1 { fill: #b3622b } .dot2 { fill: #3b6ea8 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .small { fill: #999 } .grid { stroke: #444 } .spread { stroke: #ddd }
  .floor { fill: #4a535c } .bar { fill: #7b8793 } .ours { fill: #4fb286 }
}
</style>"""


def _document(height: float, parts) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" role="img">\n{STYLE}\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _text(x, y, text, kind="", anchor="start") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind} text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1, y1, x2, y2, kind) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def number(value: float) -> str:
    """Three digits that count."""
    if value == 0:
        return "0"
    digits = max(0, 2 - floor(log10(abs(value))))
    return f"{value:,.{digits}f}"


def bars(panels) -> str:
    """`panels`: (title, [(label, kind, median, least, most)]); horizontal, each its own scale."""
    parts, y = [], 8
    left, right, step = 150, WIDTH - 90, 22
    for title, rows in panels:
        y += 18
        parts.append(_text(8, y, title, "title"))
        y += 10
        scale = (right - left) / (max((row[4] for row in rows), default=0) or 1)
        for label, kind, median, least, most in rows:
            parts.append(_text(left - 8, y + 14, label, anchor="end"))
            parts.append(
                f'<rect x="{left}" y="{y + 2}" width="{max(1, median * scale):.1f}" '
                f'height="{step - 6}" class="{kind}"/>'
            )
            middle = y + step / 2 - 1
            if most > least:
                parts.append(
                    _line(left + least * scale, middle, left + most * scale, middle, "spread")
                )
            parts.append(_text(left + most * scale + 6, y + 14, number(median), "small"))
            y += step
        y += 10
    return _document(y + 4, parts)


def _ticks(most: float) -> list[float]:
    step = 10 ** floor(log10(most)) if most > 0 else 1
    for part in (0.1, 0.2, 0.5, 1, 2, 5):
        if most / (step * part) <= 6:
            step *= part
            break
    return [step * i for i in range(ceil(most / step) + 1)]


def lines(panels) -> str:
    """`panels`: (title, {name: [(x, y)]}); two side by side, x evenly spaced, y from 0."""
    parts = []
    columns, panel_height = 2, 230
    width = WIDTH / columns
    for index, (title, series) in enumerate(panels):
        x0, y0 = (index % columns) * width + 52, (index // columns) * panel_height + 34
        w, h = width - 72, panel_height - 84
        places = sorted({x for points in series.values() for x, _ in points})
        most = max((y for points in series.values() for _, y in points), default=1)
        ticks = _ticks(most)
        parts.append(_text(x0 - 44, y0 - 16, title, "title"))

        def at(x, y, x0=x0, y0=y0, w=w, h=h, places=places, top=ticks[-1]):
            share = places.index(x) / max(1, len(places) - 1)
            return x0 + 12 + share * (w - 24), y0 + h - y / top * h

        for tick in ticks:
            _, y = at(places[0], tick)
            parts.append(_line(x0, y, x0 + w, y, "grid"))
            parts.append(_text(x0 - 6, y + 4, f"{tick:g}", "small", "end"))
        for x in places:
            parts.append(_text(at(x, 0)[0], y0 + h + 16, f"{x:,}", "small", "middle"))
        for place, (name, points) in enumerate(series.items()):
            color = COLORS.get(name, 2)
            path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in points)
            parts.append(
                f'<polyline points="{path}" fill="none" stroke-width="2" class="line{color}"/>'
            )
            for x, y in points:
                px, py = at(x, y)
                parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" class="dot{color}"/>')
            key_x = x0 + 12 + 90 * place
            parts.append(_line(key_x, y0 + h + 32, key_x + 16, y0 + h + 32, f"line{color}"))
            parts.append(_text(key_x + 22, y0 + h + 36, name, "small"))
    return _document(ceil(len(panels) / columns) * panel_height, parts)
