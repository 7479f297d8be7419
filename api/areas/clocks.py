"""Working days and hours of an area, so that "within two working days" is one exact moment.

Bank holidays are those of the area's nation (``holidays`` library: Banking and Financial Dealings
Act 1971, Schedule 1, proclaimed extra days and substitute days included). Every result is in UTC;
the area's own time zone decides when its days begin and end, so a clock survives a clock change.
Nothing here reads a clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import holidays

CALENDARS: Final = ("ENG", "SCT", "WLS", "NIR")
MOST_DAYS: Final = 2_000
MOST_HOURS: Final = 20_000
LAST_YEAR: Final = 2100  # the holiday library knows no later one
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """When an area's working day begins and ends, local time. ``opens`` is before ``closes``."""

    opens: time = time(9, 0)
    closes: time = time(17, 0)

    def __post_init__(self) -> None:
        if self.opens >= self.closes:
            raise ValueError("a working day opens before it closes")
        if self.opens.tzinfo is not None or self.closes.tzinfo is not None:
            raise ValueError("working hours are local times, without a time zone of their own")


OFFICE_HOURS: Final = WorkingHours()


def is_working_day(day: date, *, calendar: str) -> bool:
    """Say whether ``day`` is no weekend and no bank holiday of ``calendar`` (one of CALENDARS)."""
    return day.weekday() < _SATURDAY and day not in _bank_holidays(calendar, day.year)


def add_working_days(
    start: datetime,
    days: int,
    *,
    calendar: str,
    time_zone: str,
    hours: WorkingHours = OFFICE_HOURS,
) -> datetime:
    """Return the close (UTC) of the ``days``-th working day after ``start``'s own day.

    The day something happens on does not count, be it a working day or not (the way courts count,
    CPR 2.8). With ``days`` 0: the close of the same working day, or of the next one when that is
    past. The result is never before ``start``. ``start`` must be aware; ``time_zone`` is an IANA
    name. Raises ValueError for a naive start, days out of 0 to 2,000, or an unknown calendar.
    """
    if not 0 <= days <= MOST_DAYS:
        raise ValueError(f"working days must be 0 to {MOST_DAYS}")
    zone = ZoneInfo(time_zone)
    local = _aware(start).astimezone(zone)
    if days == 0:
        today = _at(local.date(), hours.closes, zone)
        if is_working_day(local.date(), calendar=calendar) and start <= today:
            return today
    wanted = max(days, 1)
    coming = _working_days_after(local.date(), calendar)
    for _ in range(wanted - 1):
        next(coming)
    return _at(next(coming), hours.closes, zone)


def add_hours(start: datetime, hours: int) -> datetime:
    """Return the moment (UTC) ``hours`` real hours after ``start``: nights and holidays count.

    24 hours over a clock change are 24 hours, not "the same time tomorrow".
    """
    if not 0 <= hours <= MOST_HOURS:
        raise ValueError(f"hours must be 0 to {MOST_HOURS}")
    return _aware(start).astimezone(UTC) + timedelta(hours=hours)


def add_working_hours(
    start: datetime,
    hours: int,
    *,
    calendar: str,
    time_zone: str,
    open_between: WorkingHours = OFFICE_HOURS,
) -> datetime:
    """Return the moment (UTC) by which ``hours`` hours have passed while the area was at work.

    Begins to count when the area next opens. Falls within opening hours, the close included.
    Raises ValueError as ``add_working_days`` does.
    """
    if not 0 <= hours <= MOST_HOURS:
        raise ValueError(f"hours must be 0 to {MOST_HOURS}")
    zone = ZoneInfo(time_zone)
    begin = _aware(start).astimezone(UTC)
    left = timedelta(hours=hours)
    first = begin.astimezone(zone).date()
    for day in _working_days_after(first - timedelta(days=1), calendar):
        opens = max(begin, _at(day, open_between.opens, zone))
        closes = _at(day, open_between.closes, zone)
        if opens > closes:
            continue
        if left <= closes - opens:
            return opens + left
        left -= closes - opens
    raise AssertionError("the days after a day never end")


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError("a clock starts at an aware moment, not at a naive one")
    return moment


def _at(day: date, clock: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, clock, tzinfo=zone).astimezone(UTC)


def _working_days_after(day: date, calendar: str) -> Iterator[date]:
    while True:
        day += timedelta(days=1)
        if is_working_day(day, calendar=calendar):
            yield day


@lru_cache(maxsize=256)
def _bank_holidays(calendar: str, year: int) -> frozenset[date]:
    # A frozen set per year: the library's own object fills itself while it is asked, which two
    # threads must not do at once.
    if calendar not in CALENDARS:
        raise ValueError(f"no calendar {calendar!r}: one of {', '.join(CALENDARS)}")
    if year > LAST_YEAR:
        raise ValueError(f"bank holidays are known up to {LAST_YEAR}")
    return frozenset(holidays.country_holidays("GB", subdiv=calendar, years=year))
