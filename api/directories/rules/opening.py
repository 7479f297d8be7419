"""Days and times out of words like "Tues/Weds 10am - 12pm. Thurs 10am - 2pm".

Careful on purpose: either the whole text is understood or nothing is taken from it. A wrong
opening time sends somebody across town to a closed door; "not known" sends them to ask. So
"1st Saturday of month", "by appointment" and "except Thursdays" all give nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from typing import Final

from api.areas.rules import DAYS, PARTS, mask_slots, session_mask

# The minute each of PARTS begins; the last one ends at midnight.
_BEGINS: Final = (0, 9 * 60, 12 * 60, 17 * 60, 21 * 60 + 30, 24 * 60)
_NOON = 12
_LONGEST = 500

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<day>mon|tues?|wed(?:s|nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:days?)?\b
    | (?P<noon>(?:12\s*)?noon\b|midday\b)
    | (?P<hour>\d{1,2})(?:[:.](?P<minute>\d{2}))?\s*(?P<half>[ap]\.?m\b\.?|noon\b)?
    | (?P<to>[-\u2013\u2014=]|to\b|until\b|till\b)
    | (?P<and>[,;&/.+]|and\b)
    | (?P<start>from\b)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_HARMLESS = re.compile(
    r"^\s*open(?:ing times)?\b:?|please ring\.?\s*$|food parcels\s*$"
    r"|\(except bank holidays\)\s*$|not open on bank holidays\.?\s*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, order=True)
class Session:
    """Something on, every week: ``day`` of DAYS, local times. A missing time is not known.

    ``ends`` at or before ``starts`` is on the next day.
    """

    day: str
    starts: time | None = None
    ends: time | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    day: int = 0
    hour: int = 0
    minute: int = 0
    half: str = ""


def parse_opening(text: str) -> tuple[Session, ...]:
    """Return the weekly sessions that ``text`` tells of, or none where any of it is unclear.

    A time without am or pm ("10 - 12") is unclear: its days are given, its times are not.
    """
    tokens = _tokens(_HARMLESS.sub("", text)) if len(text) <= _LONGEST else None
    if not tokens:
        return ()
    sessions: list[Session] = []
    at = 0
    while at < len(tokens):
        days, at = _days(tokens, at)
        if not days:
            return ()
        spans, at = _spans(tokens, at)
        if not spans:
            return ()
        sessions += [Session(DAYS[day], *span) for day in days for span in spans]
    return tuple(dict.fromkeys(sessions))


def slots_open(sessions: Sequence[Session]) -> tuple[str, ...] | None:
    """Return the slots ("tue_morning") in which a door is open at all, or None: not known.

    One may come at any time while it is open, so every part of the day it is open in counts. An
    open end counts for the part it starts in. One session without a start makes all unknown: a
    slot left out would say "not then".
    """
    touched: set[tuple[int, int]] = set()
    for session in sessions:
        if session.starts is None:
            return None
        begins = _minutes(session.starts)
        ends = begins + 1 if session.ends is None else _minutes(session.ends)
        touched |= {
            (DAYS.index(session.day), part)
            for part in range(len(PARTS))
            if begins < _BEGINS[part + 1] and _BEGINS[part] < ends
        }
    return tuple(f"{DAYS[day]}_{PARTS[part]}" for day, part in sorted(touched)) or None


def slots_begun(sessions: Sequence[Session]) -> tuple[str, ...] | None:
    """Return the slots in which something begins, or None: not known. Latecomers miss it."""
    mask = 0
    for session in sessions:
        if session.starts is None:
            return None
        mask |= session_mask(session.day, session.starts)
    return tuple(mask_slots(mask)) or None


def _minutes(clock: time) -> int:
    return clock.hour * 60 + clock.minute


def _tokens(text: str) -> list[_Token] | None:
    tokens: list[_Token] = []
    text = text.strip()
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return None
        tokens.append(_token(match))
        at = match.end()
    return tokens


def _token(match: re.Match[str]) -> _Token:
    if name := match["day"]:
        return _Token("day", day=DAYS.index(name[:3].lower()))
    if match["noon"]:
        return _Token("time", hour=12, half="p")
    if match["hour"]:
        half = (match["half"] or "")[:1].lower().replace("n", "p")
        return _Token("time", hour=int(match["hour"]), minute=int(match["minute"] or 0), half=half)
    return _Token(str(match.lastgroup))


def _days(tokens: list[_Token], at: int) -> tuple[list[int], int]:
    """Read "Monday - Wednesday, Friday &": the days, and where what follows them begins."""
    days: list[int] = []
    while at < len(tokens):
        kind = tokens[at].kind
        if kind == "to" and days and _kind(tokens, at + 1) == "day":
            last = tokens[at + 1].day
            while days[-1] != last:
                days.append((days[-1] + 1) % len(DAYS))
            at += 2
        elif kind == "day":
            days.append(tokens[at].day)
            at += 1
        elif kind == "and":
            at += 1
        else:
            break
    return days, at


def _spans(tokens: list[_Token], at: int) -> tuple[list[tuple[time | None, time | None]], int]:
    """Read "10am - 12noon and 1 - 3pm": the spans; none where any of them makes no sense."""
    spans: list[tuple[time | None, time | None]] = []
    while at < len(tokens):
        kind = tokens[at].kind
        if kind == "time" and _kind(tokens, at + 1) == "to" and _kind(tokens, at + 2) == "time":
            span = _span(tokens[at], tokens[at + 2])
            at += 3
        elif kind == "time":
            span = _single(tokens[at])
            at += 1
        elif kind == "start" and _kind(tokens, at + 1) == "time":
            span = _single(tokens[at + 1])
            at += 2
        elif kind == "and":
            at += 1
            continue
        else:
            break
        if span is None:
            return [], at
        spans.append(span)
    return spans, at


def _kind(tokens: list[_Token], at: int) -> str:
    return tokens[at].kind if at < len(tokens) else ""


def _single(token: _Token) -> tuple[time | None, time | None] | None:
    starts = _clock(token, token.half)
    return None if starts is None else (starts, None)


def _span(first: _Token, last: _Token) -> tuple[time | None, time | None] | None:
    """Return start and end, None where they make none. "1.30 - 3.30pm": both after noon.

    "11 - 1pm" began before noon: a start without its half of the day takes the one that puts it
    before the end, and of two such the later.
    """
    if not first.half and not last.half:
        plausible = 1 <= first.hour <= _NOON and 1 <= last.hour <= _NOON
        return (None, None) if plausible else None
    ends = _clock(last, last.half)
    if ends is None:
        return None
    starts = [_clock(first, half) for half in ([first.half] if first.half else ["a", "p"])]
    before = [start for start in starts if start is not None and start < ends]
    return (max(before), ends) if before else None


def _clock(token: _Token, half: str) -> time | None:
    if not half or not 1 <= token.hour <= _NOON or token.minute >= 60:
        return None
    return time(token.hour % _NOON + (_NOON if half == "p" else 0), token.minute)
