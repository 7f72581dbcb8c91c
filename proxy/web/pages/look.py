"""An organisation's colour on the pages, made readable: text and its ground keep WCAG's contrast of 4.5 to 1."""

from __future__ import annotations

import re
from typing import Final

Colour = tuple[float, float, float]  # red, green, blue of sRGB, 0 to 1

LIGHT: Final[Colour] = (0xE7 / 255, 0xF3 / 255, 0xEA / 255)  # --good of consentry.css, the darkest ground of its text
DARK: Final[Colour] = (0x1D / 255, 0x33 / 255, 0x25 / 255)  # --good of its dark half, the lightest ground
ENOUGH: Final = 4.6
_WHITE: Final[Colour] = (1.0, 1.0, 1.0)
_BLACK: Final[Colour] = (0.0, 0.0, 0.0)


def theme(colour: str) -> str:
    """A style sheet that sets the accent. `colour`: #rrggbb. Raises ValueError."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise ValueError(f'"{colour}" is no colour such as #1f5f8b')
    red, green, blue = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    given = (red, green, blue)
    light, dark = _towards(given, _BLACK, LIGHT), _towards(given, _WHITE, DARK)
    day, night = (f":root {{ --accent: {_hex(c)}; --on-accent: {_hex(_on(c))}; }}" for c in (light, dark))
    return f"{day}\n@media (prefers-color-scheme: dark) {{ {night} }}\n"


def contrast(one: Colour, other: Colour) -> float:
    """The contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _towards(colour: Colour, end: Colour, ground: Colour) -> Colour:
    """The colour, mixed with `end` as little as makes it readable on the ground."""
    for step in range(101):
        mixed = tuple(c + (e - c) * step / 100 for c, e in zip(colour, end, strict=True))
        if contrast((mixed[0], mixed[1], mixed[2]), ground) >= ENOUGH:
            return (mixed[0], mixed[1], mixed[2])
    return end


def _on(ground: Colour) -> Colour:
    return max((_WHITE, _BLACK), key=lambda ink: contrast(ink, ground))


def _luminance(colour: Colour) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{round(c * 255):02x}" for c in colour)
