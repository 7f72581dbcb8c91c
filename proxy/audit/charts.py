"""Charts as inline SVG, without scripts and styles of their own: classes say what is coloured. Pure.

Each has its numbers in its title elements, and is meant to stand beside a table that says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

SERIES: Final = 8  # colours there are: c0 to c7
_WIDTH: Final = 720
_ROW: Final = 26
_LABELS: Final = 210
_HEIGHT: Final = 200


def bars(title: str, values: Sequence[tuple[str, int]]) -> str:
    """One bar for each (label, value), in the order given."""
    largest = max((value for _, value in values), default=0) or 1
    room = _WIDTH - _LABELS - 90
    parts = []
    for number, (label, value) in enumerate(values):
        y = number * _ROW
        width = value / largest * room
        parts.append(
            f'<text class="label" x="{_LABELS - 10}" y="{y + 17}" text-anchor="end">{escape(_short(label))}</text>'
            f'<rect class="c0" x="{_LABELS}" y="{y + 4}" width="{width:.1f}" height="{_ROW - 8}" rx="3">'
            f"<title>{escape(label)}: {value:,}</title></rect>"
            f'<text class="number" x="{_LABELS + width + 8:.1f}" y="{y + 17}">{value:,}</text>'
        )
    return _svg(title, max(len(values), 1) * _ROW, "".join(parts))


def columns(title: str, days: Sequence[str], series: Mapping[str, Mapping[str, int]]) -> str:
    """One column for each day, of the series' values upon each other. `series`: name -> day -> value."""
    totals = {day: sum(values.get(day, 0) for values in series.values()) for day in days}
    largest = max(totals.values(), default=0) or 1
    step = _WIDTH / max(len(days), 1)
    parts = [f'<line class="axis" x1="0" y1="{_HEIGHT}" x2="{_WIDTH}" y2="{_HEIGHT}"/>']
    for number, day in enumerate(days):
        top = float(_HEIGHT)
        for colour, (name, values) in enumerate(series.items()):
            value = values.get(day, 0)
            height = value / largest * (_HEIGHT - 20)
            top -= height
            if value:
                parts.append(
                    f'<rect class="c{colour % SERIES}" x="{number * step + step * 0.08:.1f}" y="{top:.1f}" '
                    f'width="{step * 0.84:.1f}" height="{height:.1f}">'
                    f"<title>{escape(day)}, {escape(name)}: {value:,}</title></rect>"
                )
        if number % max(len(days) // 8, 1) == 0:
            x = number * step + step / 2
            parts.append(f'<text class="label" x="{x:.1f}" y="{_HEIGHT + 16}" text-anchor="middle">{day[5:]}</text>')
    parts.append(f'<text class="label" x="0" y="12">{largest:,}</text>')
    y = _HEIGHT + 28
    for colour, name in enumerate(series):
        x = colour % 4 * (_WIDTH // 4)
        row = y + colour // 4 * 20
        parts.append(
            f'<rect class="c{colour % SERIES}" x="{x}" y="{row}" width="12" height="12" rx="2"/>'
            f'<text class="label" x="{x + 18}" y="{row + 11}">{escape(_short(name))}</text>'
        )
    return _svg(title, y + (len(series) + 3) // 4 * 20, "".join(parts))


def _svg(title: str, height: float, inside: str) -> str:
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {_WIDTH} {height:.0f}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>{inside}</svg>"
    )


def _short(label: str) -> str:
    return label if len(label) <= 28 else label[:27] + "…"
