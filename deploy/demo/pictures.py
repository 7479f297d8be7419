"""Simple pictures of our own for the easy-read page. The words beside each say the same."""

from deploy.demo.page import DEEP, LEAF, SKY, Html

_WARM = "#b45309"


def _picture(shapes: str) -> Html:
    return Html(
        '<svg viewBox="0 0 100 100" aria-hidden="true" focusable="false">'
        f'<rect x="1" y="1" width="98" height="98" rx="14" fill="{SKY}" stroke="{DEEP}"'
        f' stroke-width="2"/>{shapes}</svg>'
    )


def _person(x: int, y: int, size: float, colour: str) -> str:
    return (
        f'<circle cx="{x}" cy="{y}" r="{9 * size}" fill="{colour}"/>'
        f'<path d="M{x - 14 * size} {y + 34 * size} Q{x - 14 * size} {y + 12 * size} {x} '
        f"{y + 12 * size} Q{x + 14 * size} {y + 12 * size} {x + 14 * size} {y + 34 * size} Z"
        f'" fill="{colour}"/>'
    )


def _coin(x: int, y: int) -> str:
    return (
        f'<circle cx="{x}" cy="{y}" r="11" fill="#fcd34d" stroke="{_WARM}" stroke-width="3"/>'
        f'<text x="{x}" y="{y + 5}" font-size="14" text-anchor="middle" fill="{DEEP}">£</text>'
    )


_TICK = (
    f'<path d="M0 12 L10 22 L28 0" fill="none" stroke="{LEAF}" stroke-width="8"'
    ' stroke-linecap="round" stroke-linejoin="round"/>'
)
_STAR = (
    f'<path d="M50 20 L58 42 L81 42 L62 56 L69 79 L50 65 L31 79 L38 56 L19 42 L42 42 Z"'
    f' fill="#fcd34d" stroke="{_WARM}" stroke-width="3" stroke-linejoin="round"/>'
)

DANCER = _picture(
    f'<circle cx="52" cy="24" r="10" fill="{DEEP}"/>'
    f'<path d="M52 36 L50 60 M52 42 L76 30 M52 42 L28 50 M50 60 L70 82 M50 60 L34 70 L30 88"'
    f' fill="none" stroke="{DEEP}" stroke-width="8" stroke-linecap="round"'
    ' stroke-linejoin="round"/>'
    f'<path d="M80 60 v-18 l8 -3 M14 36 v-16 l8 -3" fill="none" stroke="{_WARM}"'
    f' stroke-width="4"/><circle cx="77" cy="61" r="4" fill="{_WARM}"/>'
    f'<circle cx="11" cy="37" r="4" fill="{_WARM}"/>'
)
PEOPLE = _picture(
    _person(26, 36, 1.0, DEEP) + _person(74, 36, 1.0, LEAF) + _person(50, 46, 1.1, _WARM)
)
CLOCK = _picture(
    f'<circle cx="50" cy="50" r="34" fill="#ffffff" stroke="{DEEP}" stroke-width="6"/>'
    f'<path d="M50 50 L50 27 M50 50 L50 68" stroke="{DEEP}" stroke-width="6"'
    ' stroke-linecap="round"/>'
)
JAR = _picture(
    '<path d="M30 34 Q24 40 24 48 V78 Q24 86 32 86 H68 Q76 86 76 78 V48 Q76 40 70 34 Z"'
    f' fill="#ffffff" stroke="{DEEP}" stroke-width="5"/><rect x="28" y="20" width="44"'
    f' height="12" rx="4" fill="{DEEP}"/>' + _coin(42, 70) + _coin(60, 70) + _coin(51, 52)
)
YES = _picture(
    f'<rect x="24" y="14" width="52" height="72" rx="5" fill="#ffffff" stroke="{DEEP}"'
    f' stroke-width="5"/><path d="M34 30 H66 M34 40 H58" stroke="{DEEP}" stroke-width="4"/>'
    f'<g transform="translate(36 54)">{_TICK}</g>'
)
BOX = _picture(
    f'<path d="M34 12 H66 V46 H34 Z" fill="#ffffff" stroke="{DEEP}" stroke-width="4"/>'
    f'<g transform="translate(39 20) scale(.8)">{_TICK}</g>'
    f'<rect x="18" y="46" width="64" height="40" rx="4" fill="{DEEP}"/>'
    '<rect x="30" y="52" width="40" height="6" rx="3" fill="#ffffff"/>'
)
PEN = _picture(
    f'<path d="M20 78 H80" stroke="{DEEP}" stroke-width="4"/><path d="M26 66 Q34 52 40 64 T56 62'
    f' T70 64" fill="none" stroke="{DEEP}" stroke-width="4"/><path d="M60 50 L80 18 L88 24 L68 55'
    f' L58 60 Z" fill="{_WARM}"/>'
)
SPENT = _picture(
    f'<path d="M22 46 V84 H66 V46" fill="#ffffff" stroke="{DEEP}" stroke-width="5"/>'
    f'<path d="M14 50 L44 22 L74 50" fill="none" stroke="{DEEP}" stroke-width="6"'
    f' stroke-linecap="round" stroke-linejoin="round"/><rect x="37" y="60" width="14" height="24"'
    f' fill="{DEEP}"/>' + _coin(78, 74)
)
BACK = _picture(
    _coin(60, 50)
    + f'<path d="M44 24 A30 30 0 1 0 78 70" fill="none" stroke="{LEAF}" stroke-width="6"/>'
    f'<path d="M46 12 L44 26 L58 30" fill="none" stroke="{LEAF}" stroke-width="6"'
    ' stroke-linecap="round" stroke-linejoin="round"/>'
)
STAR = _picture(_STAR)
STOP = _picture(
    '<path d="M36 14 H64 L86 36 V64 L64 86 H36 L14 64 V36 Z" fill="#991b1b"/>'
    '<text x="50" y="58" font-size="24" font-weight="bold" text-anchor="middle"'
    ' font-family="Verdana, sans-serif" fill="#ffffff">STOP</text>'
)
TALK = _picture(
    f'<path d="M16 20 H84 V62 H48 L32 80 V62 H16 Z" fill="#ffffff" stroke="{DEEP}"'
    f' stroke-width="5" stroke-linejoin="round"/><path d="M28 34 H72 M28 47 H60" stroke="{DEEP}"'
    ' stroke-width="5" stroke-linecap="round"/>'
)
NO_COINS = _picture(
    _coin(50, 50) + '<circle cx="50" cy="50" r="34" fill="none" stroke="#991b1b" stroke-width="7"/>'
    '<path d="M26 26 L74 74" stroke="#991b1b" stroke-width="7"/>'
)
