"""Working days and hours."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.areas.clocks import (
    CALENDARS,
    WorkingHours,
    add_hours,
    add_working_days,
    add_working_hours,
    is_working_day,
)

LONDON = ZoneInfo("Europe/London")
# From 2015 to the end of 2059, in whole seconds.
MOMENTS = st.integers(1_420_070_400, 2_840_140_799).map(lambda at: datetime.fromtimestamp(at, UTC))
CALENDAR = st.sampled_from(CALENDARS)
ZONE = st.sampled_from(["Europe/London", "Europe/Jersey", "Pacific/Auckland", "America/St_Johns"])


def _by(start: datetime, days: int, calendar: str = "ENG") -> datetime:
    found = add_working_days(start, days, calendar=calendar, time_zone="Europe/London")
    return found.astimezone(LONDON)


def _at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=LONDON)  # type: ignore[misc, arg-type]


def test_two_working_days_after_a_monday_is_wednesday_at_five() -> None:
    assert _by(_at(2026, 11, 23, 10), 2) == _at(2026, 11, 25, 17)


def test_a_friday_evening_and_a_sunday_both_run_to_monday() -> None:
    assert _by(_at(2026, 11, 27, 20), 1) == _at(2026, 11, 30, 17)
    assert _by(_at(2026, 11, 29, 3), 1) == _at(2026, 11, 30, 17)


def test_saint_andrews_day_counts_in_england_and_not_in_scotland() -> None:
    assert _by(_at(2026, 11, 27, 9), 1, "SCT") == _at(2026, 12, 1, 17)
    assert _by(_at(2026, 3, 16, 9), 1, "NIR") == _at(2026, 3, 18, 17)


def test_christmas_with_its_substitute_day_is_stepped_over() -> None:
    assert _by(_at(2026, 12, 24, 16), 1) == _at(2026, 12, 29, 17)


def test_no_days_is_the_close_of_today_or_of_the_next_working_day() -> None:
    assert _by(_at(2026, 11, 25, 9), 0) == _at(2026, 11, 25, 17)
    assert _by(_at(2026, 11, 25, 17), 0) == _at(2026, 11, 25, 17)
    assert _by(_at(2026, 11, 25, 17, 1), 0) == _at(2026, 11, 26, 17)
    assert _by(_at(2026, 11, 28, 9), 0) == _at(2026, 11, 30, 17)


def test_the_close_stays_at_five_over_both_clock_changes() -> None:
    spring = add_working_days(_at(2026, 3, 27, 12), 1, calendar="ENG", time_zone="Europe/London")
    autumn = add_working_days(_at(2026, 10, 23, 12), 1, calendar="ENG", time_zone="Europe/London")
    assert spring == datetime(2026, 3, 30, 16, tzinfo=UTC)
    assert autumn == datetime(2026, 10, 26, 17, tzinfo=UTC)


def test_four_hours_are_four_hours_in_the_night_the_clock_changes() -> None:
    begin = _at(2026, 3, 29, 0, 30)
    assert add_hours(begin, 4).astimezone(LONDON) == _at(2026, 3, 29, 5, 30)
    assert add_hours(begin, 4) - begin.astimezone(UTC) == timedelta(hours=4)


def test_working_hours_pause_over_a_weekend() -> None:
    found = add_working_hours(_at(2026, 11, 27, 16), 4, calendar="ENG", time_zone="Europe/London")
    assert found.astimezone(LONDON) == _at(2026, 11, 30, 12)


def test_a_working_day_that_the_clock_change_shortens_counts_an_hour_less() -> None:
    # Egypt changes its clock at midnight before a Friday: 24 April 2026 has 23 hours.
    cairo = ZoneInfo("Africa/Cairo")
    found = add_working_hours(
        datetime(2026, 4, 23, 23, 59, tzinfo=cairo),
        23,
        calendar="ENG",
        time_zone="Africa/Cairo",
        open_between=WorkingHours(time(0), time(23, 59)),
    )
    assert found.astimezone(cairo) == datetime(2026, 4, 27, 0, 1, tzinfo=cairo)


@given(MOMENTS, st.integers(0, 60), CALENDAR, ZONE)
def test_a_clock_ends_on_a_working_day_at_its_close_and_not_before_it_began(
    start: datetime, days: int, calendar: str, zone: str
) -> None:
    found = add_working_days(start, days, calendar=calendar, time_zone=zone)
    local = found.astimezone(ZoneInfo(zone))
    assert found.tzinfo is UTC
    assert found >= start
    assert is_working_day(local.date(), calendar=calendar)
    assert local.time() == time(17)


@given(MOMENTS, st.integers(1, 60), CALENDAR, ZONE)
def test_exactly_so_many_working_days_lie_between(
    start: datetime, days: int, calendar: str, zone: str
) -> None:
    found = add_working_days(start, days, calendar=calendar, time_zone=zone)
    first = start.astimezone(ZoneInfo(zone)).date()
    last = found.astimezone(ZoneInfo(zone)).date()
    between = [first + timedelta(days=step) for step in range(1, (last - first).days + 1)]
    assert sum(is_working_day(day, calendar=calendar) for day in between) == days


@given(MOMENTS, st.integers(0, 30), st.integers(0, 30), st.integers(0, 10**7), CALENDAR)
def test_later_or_longer_never_ends_sooner(
    start: datetime, days: int, more: int, seconds: int, calendar: str
) -> None:
    def end(begin: datetime, count: int) -> datetime:
        return add_working_days(begin, count, calendar=calendar, time_zone="Europe/London")

    assert end(start, days) <= end(start, days + more)
    assert end(start, days) <= end(start + timedelta(seconds=seconds), days)


@given(MOMENTS, st.integers(0, 200), CALENDAR, ZONE)
def test_working_hours_end_while_the_area_is_at_work(
    start: datetime, hours: int, calendar: str, zone: str
) -> None:
    found = add_working_hours(start, hours, calendar=calendar, time_zone=zone)
    local = found.astimezone(ZoneInfo(zone))
    assert found >= start + timedelta(hours=hours)
    assert is_working_day(local.date(), calendar=calendar)
    assert time(9) <= local.time() <= time(17)


@given(MOMENTS, st.integers(0, 100), st.integers(0, 100), CALENDAR)
def test_working_hours_add_up(start: datetime, first: int, then: int, calendar: str) -> None:
    def after(begin: datetime, hours: int) -> datetime:
        return add_working_hours(begin, hours, calendar=calendar, time_zone="Europe/London")

    assert after(after(start, first), then) == after(start, first + then)


@given(st.dates(date(2000, 1, 1), date(2100, 12, 31)), CALENDAR)
def test_no_weekend_is_a_working_day_and_no_fortnight_is_without_one(
    day: date, calendar: str
) -> None:
    if day.weekday() >= 5:
        assert not is_working_day(day, calendar=calendar)
    coming = [day + timedelta(days=step) for step in range(-13, 1)]
    assert any(is_working_day(one, calendar=calendar) for one in coming)


@pytest.mark.parametrize(
    ("start", "days", "calendar"),
    [
        (datetime(2026, 1, 1), 1, "ENG"),  # noqa: DTZ001 - naive on purpose
        (_at(2026, 1, 1), -1, "ENG"),
        (_at(2026, 1, 1), 2_001, "ENG"),
        (_at(2026, 1, 1), 1, "FRA"),
        (_at(2100, 12, 31), 1, "ENG"),
    ],
)
def test_what_has_no_answer_is_refused(start: datetime, days: int, calendar: str) -> None:
    with pytest.raises(ValueError, match=r"naive|working days must|no calendar|known up to"):
        add_working_days(start, days, calendar=calendar, time_zone="Europe/London")


def test_a_day_cannot_close_before_it_opens() -> None:
    with pytest.raises(ValueError, match="opens before"):
        WorkingHours(time(17), time(9))
