"""Names, opening times, web addresses: what single cells are read as."""

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.areas.rules import DAYS, PARTS, mask_slots, session_mask
from api.directories.rules import readers
from api.directories.rules.names import name_to_compare, readable_name
from api.directories.rules.opening import Session, parse_opening, slots_begun, slots_open
from api.directories.rules.readers import CellRefused
from api.directories.rules.rows import shorten


@pytest.mark.parametrize(
    ("register", "readable"),
    [
        ("THE ST ANN'S PTA (UK) LTD", "The St Ann's PTA (UK) Ltd"),
        ("FRIENDS OF THE RSPB IN BURTON-ON-TRENT", "Friends of the RSPB in Burton-on-Trent"),
        ("SEXUAL HEALTH MATTERS (SHM)", "Sexual Health Matters (SHM)"),
        ("EMMANUEL (ASSEMBLIES OF GOD) (AOG)", "Emmanuel (Assemblies of God) (AOG)"),
        ("O'BRIEN AND MCDONALD'S FUND", "O'Brien and McDonald's Fund"),
        ("2ND BROOKLANDS SCOUTS", "2nd Brooklands Scouts"),
        ("OVER 60'S CLUB", "Over 60's Club"),
        ("HEADSTART4BABIES", "Headstart4Babies"),
        ("HALE U3A", "Hale U3A"),
        ("MANCHESTER CITY F.C.", "Manchester City F.C."),
        ("KING EDWARD VI SCHOOL", "King Edward VI School"),
        ("DIAS - THE CENTRE", "Dias - The Centre"),
        ("A CHANCE FOR A CHILD", "A Chance for a Child"),
        ("dressCode", "dressCode"),
        ("1St Magherally Rainbows", "1st Magherally Rainbows"),
    ],
)
def test_a_register_s_capitals_become_readable(register: str, readable: str) -> None:
    assert readable_name(register) == readable


@given(st.text(max_size=60))
def test_a_readable_name_is_still_the_same_name(name: str) -> None:
    assert name_to_compare(readable_name(name)) == name_to_compare(name)


@given(st.text(max_size=60))
def test_a_name_to_compare_is_its_own(name: str) -> None:
    assert name_to_compare(name_to_compare(name)) == name_to_compare(name)


def test_spellings_of_one_name_are_one() -> None:
    spellings = [
        "Café & Friends, St. Anne\u2019s",
        "CAFE AND  FRIENDS ST ANNE'S",
        "cafe\u0301 and friends st annes",
    ]
    assert {name_to_compare(name) for name in spellings} == {"cafe and friends st annes"}


@pytest.mark.parametrize(
    ("text", "sessions"),
    [
        ("Wednesday 10am - 4pm", [("wed", 10, 0, 16, 0)]),
        ("Thursday 1.30 - 3.30pm", [("thu", 13, 30, 15, 30)]),
        ("Friday 11 - 1pm", [("fri", 11, 0, 13, 0)]),
        ("Friday 10 - 11.30am", [("fri", 10, 0, 11, 30)]),
        ("Weds 12-2pm", [("wed", 12, 0, 14, 0)]),
        ("Saturday 10am - 12 noon.", [("sat", 10, 0, 12, 0)]),
        (
            "Tues/Weds 10am - 12pm. Thurs 10am - 2pm",
            [("tue", 10, 0, 12, 0), ("wed", 10, 0, 12, 0), ("thu", 10, 0, 14, 0)],
        ),
        (
            "Mon - Wed 9:30am \u2013 12:30pm and 1pm to 2pm",
            [
                (day, *span)
                for day in ("mon", "tue", "wed")
                for span in ((9, 30, 12, 30), (13, 0, 14, 0))
            ],
        ),
        ("Sat - Mon 7pm - 9pm", [(day, 19, 0, 21, 0) for day in ("sat", "sun", "mon")]),
        ("Open Monday 1-3pm\nNot open on Bank Holidays", [("mon", 13, 0, 15, 0)]),
    ],
)
def test_plain_opening_times_are_understood(
    text: str, sessions: list[tuple[str, int, int, int, int]]
) -> None:
    assert list(parse_opening(text)) == [
        Session(day, time(hour, minute), time(until, past))
        for day, hour, minute, until, past in sessions
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Tuesdays 12pm - 3pm; 1st Saturday of month 10am - 12noon",
        "Weekdays 10am-4pm, except Thursdays 10am-12.30pm",
        "Mon - Fri by appointment",
        "24/7 upon request",
        "Local school term time only, Monday 2pm",
        "Thursday morning",
        "Monday 3pm - 1pm",
        "Monday 13pm - 14pm",
        "Monday 10.75am - 12pm",
        "10am - 4pm",
        "Monday",
        "One morning per week",
        "",
        "Monday 10am - 4pm " * 100,
    ],
)
def test_what_is_not_wholly_understood_is_not_known(text: str) -> None:
    assert parse_opening(text) == ()


def test_without_am_or_pm_the_days_are_known_and_the_times_are_not() -> None:
    sessions = parse_opening("Mon - Tue 10.00 - 4.00")
    assert sessions == (Session("mon"), Session("tue"))
    assert slots_open(sessions) is None
    assert slots_begun(sessions) is None


@given(st.text(st.sampled_from("MonTue dayFri 0123:.-&,apm noon"), max_size=60))
def test_any_opening_words_give_sessions_that_end_after_they_start(text: str) -> None:
    for session in parse_opening(text):
        assert session.day in DAYS
        assert session.ends is None or session.starts is None or session.starts < session.ends


@given(st.sampled_from(DAYS), st.times())
def test_open_for_a_moment_is_the_slot_that_begins_then(day: str, starts: time) -> None:
    only = [Session(day, starts)]
    begun = tuple(mask_slots(session_mask(day, starts)))
    assert slots_open(only) == slots_begun(only) == begun


def test_a_door_open_all_day_is_open_in_every_part_it_touches() -> None:
    day = [Session("tue", time(8, 59), time(17, 1))]
    assert slots_open(day) == tuple(f"tue_{part}" for part in PARTS[:4])
    assert slots_begun(day) == ("tue_early",)
    assert slots_open([Session("tue", time(9), time(17))]) == ("tue_morning", "tue_afternoon")
    assert slots_open([]) is None


@pytest.mark.parametrize(
    ("cell", "link"),
    [
        ("www.example.org", "http://www.example.org"),
        ("HTTPS://Example.org/a?b=c", "https://Example.org/a?b=c"),
        ("example.co.uk/page", "http://example.co.uk/page"),
        ("http://example.org.", "http://example.org"),
        ("example.org:8080/x", "http://example.org:8080/x"),
        ("http://example.org/~a@b", "http://example.org/~a@b"),
    ],
)
def test_a_web_address_is_read_and_given_a_scheme(cell: str, link: str) -> None:
    assert readers.website(cell) == link


@pytest.mark.parametrize(
    "cell",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://example.org",
        "http://someone@example.org",
        "someone@example.org",
        "http://25 Example Avenue",
        "http://The,Guildhall",
        "http://none",
        "http://localhost/x",
        "http://127.0.0.1/x",
        "http.//www.example.org",
        "http://farm12road.DoncasterDN91QA",
        "http://example.org/" + "x" * 400,
    ],
)
def test_what_is_no_public_web_address_is_refused_without_repeating_it(cell: str) -> None:
    with pytest.raises(CellRefused) as refused:
        readers.website(cell)
    assert cell not in str(refused.value)


@given(st.text(max_size=40))
def test_a_link_that_is_read_can_only_be_a_web_link(cell: str) -> None:
    try:
        link = readers.website(cell)
    except CellRefused:
        return
    assert link.startswith(("http://", "https://"))
    assert "@" not in link.split("/")[2]
    assert not any(character.isspace() for character in link)


def test_signs_that_hide_or_turn_text_round_are_dropped() -> None:
    assert readers.line("a\u202eb\x07c\tend") == "a b c end"
    assert readers.text("one\r\ntwo \x00\n\n\n\nthree") == "one\ntwo\n\nthree"
    assert readers.address("Old Hall,\nHigh Lane , \n\n") == "Old Hall, High Lane"


@given(st.text(max_size=700), st.integers(10, 300))
def test_a_shortened_text_is_a_beginning_and_short_enough(words: str, longest: int) -> None:
    short = shorten(words, longest=longest)
    line = " ".join(words.split())
    assert len(short) <= longest
    assert short == line or (short.endswith("…") and line.startswith(short[:-1]))
