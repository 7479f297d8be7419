"""The demo's people, things to join, staff and areas, checked as plain data (no database)."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from datetime import time
from pathlib import Path
from typing import Any

import holidays
import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTENT = ROOT / "deploy" / "demo" / "content"
SECTORS = ROOT.parent / "shared" / "data" / "places" / "postcode_sectors.csv"
METRES_PER_MILE = 1609.344


def codes(text: str) -> frozenset[str]:
    """Return the words of a text as codes."""
    return frozenset(text.split())


FACTS = codes(
    """
    step_free accessible_toilet hearing_loop quiet_space sign_language easy_read supporter_welcome
    near_bus parking dogs cats smoking alcohol crowds loud_music online
    """
)
KINDS = {"micro_enterprise": 14, "shared_lives": 5, "peer_group": 8, "community": 14}
ROLES = codes(
    """
    citizen supporter professional manager scheme_worker provider commissioner finance evaluator
    advocate area_admin
    """
)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PARTS = ("early", "morning", "afternoon", "evening", "night")
SLOTS = frozenset(f"{day}_{part}" for day in DAYS for part in PARTS)
DEMO_TOWNS = {"Stretford", "Sale", "Urmston", "Old Trafford"}

# Words that people never see (words.md), and words that make a person out of a lack.
BANNED = re.compile(
    r"\b(patients?|clients?|co-?commission\w*|micro-?enterprises?|pools?|pooled|pledges?|"
    r"milestones?|listings?|receipts?|quorum|trial balance|service users?|suffer\w*|disab\w*|"
    r"handicap\w*|vulnerab\w*|frail\w*|diagnos\w*|dement\w*|bipolar|disorders?|deficits?|"
    r"impair\w*|challenging|wheelchair[- ]bound|special needs|low[- ]functioning|elderly|"
    r"the needy|confused|housebound|ill|illness|sick|symptoms?|problems?)\b",
    re.IGNORECASE,
)
MUSIC = re.compile(
    r"\b(music\w*|choirs?|sing|singing|songs?|guitars?|ukuleles?|drums?|bands?|tunes?|hymns?|"
    r"records?)\b",
    re.IGNORECASE,
)
DANCE = re.compile(
    r"\b(danc\w*|ballroom|ceilidhs?|salsa|waltz|jive|twist|bhangra|reggae tune|zumba)\b|"
    r"on my feet when the music",
    re.IGNORECASE,
)
CONTACT = re.compile(r"@|https?:|www\.|\b0\d[\d ]{8,}")


def load(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((CONTENT / name).read_text(encoding="utf-8"))
    return rows


PEOPLE = load("people.json")
LISTINGS = load("listings.json")
STAFF = load("staff.json")
AREAS = load("areas.json")
OFFERS = [(person, person["own_offer"]) for person in PEOPLE if person["own_offer"]]


def sectors() -> dict[str, tuple[int, int]]:
    """Return sector to (easting, northing); skips where the shared places are absent."""
    if not SECTORS.exists():
        pytest.skip(f"SHARED DATA ABSENT: no {SECTORS.name} beside the project; places unchecked")
    with SECTORS.open(encoding="utf-8", newline="") as lines:
        return {
            f"{row['outward']} {row['sector']}": (int(row["easting"]), int(row["northing"]))
            for row in csv.DictReader(lines)
        }


def town_of(near: str) -> str | None:
    """Return the town a sector belongs to in the first area: sector first, then outward."""
    towns: dict[str, str] = AREAS[0]["settings"]["towns"]
    return towns.get(near) or towns.get(near.split()[0])


def words_in(value: object, *, skip: frozenset[str]) -> list[str]:
    """Return every string below a value, leaving out fields that hold codes."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in words_in(item, skip=skip)]
    if isinstance(value, dict):
        return [
            text
            for key, item in value.items()
            if key not in skip
            for text in words_in(item, skip=skip)
        ]
    return []


CODE_FIELDS = codes(
    """
    key kind near price_per access facts sessions free_times role area works_with calendar
    time_zone operating_mode code slug outwards
    """
)


def shown_words() -> list[str]:
    """Return all demo text that a person could see."""
    texts = words_in([PEOPLE, LISTINGS], skip=CODE_FIELDS)
    texts += [text for row in STAFF for text in (row["called"],)]
    for area in AREAS:
        texts += [
            area["name"],
            area["settings"]["front_door_name"],
            *area["settings"]["towns"].values(),
        ]
        texts += [tier["name"] for tier in area["settings"]["check_tiers"]]
    return texts


def wants_to_dance(person: dict[str, Any]) -> bool:
    return any(DANCE.search(want) for want in person["want_to"])


def part_of_day(start: str) -> str:
    hour = time.fromisoformat(start)
    bounds = ((time(9), "early"), (time(12), "morning"), (time(17), "afternoon"))
    return next((part for end, part in bounds if hour < end), "evening")


def slots_of(sessions: list[dict[str, str]]) -> set[str]:
    return {f"{session['day']}_{part_of_day(session['start'])}" for session in sessions}


# --- counts, keys, codes ---------------------------------------------------------------------


def test_there_are_24_people_and_41_things_to_join() -> None:
    assert len(PEOPLE) == 24
    assert len(LISTINGS) == 41
    assert Counter(row["kind"] for row in LISTINGS) == KINDS


@pytest.mark.parametrize("rows", [PEOPLE + STAFF, LISTINGS], ids=["people and staff", "listings"])
def test_no_key_stands_twice(rows: list[dict[str, Any]]) -> None:
    keys = [row["key"] for row in rows]
    assert len(keys) == len(set(keys))
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key) for key in keys)


def test_no_name_of_a_thing_or_of_a_person_stands_twice() -> None:
    assert len({row["name"] for row in LISTINGS}) == len(LISTINGS)
    assert len({row["called"] for row in PEOPLE + STAFF}) == len(PEOPLE) + len(STAFF)


def test_everyone_is_asked_about_strengths_or_is_not_asked_yet() -> None:
    for person in PEOPLE:
        if person["not_asked_yet"]:
            assert not person["good_at"]
            assert not person["want_to"]
            continue
        assert 1 <= len(person["good_at"]) <= 3, person["key"]
        assert 1 <= len(person["want_to"]) <= 3, person["key"]
        assert len(person["interests"]) <= 2, person["key"]
    assert sum(person["not_asked_yet"] for person in PEOPLE) == 1


def test_requirements_use_known_facts_and_ask_in_the_right_direction() -> None:
    for person in PEOPLE:
        for field, wanted in (("avoid", "no"), ("needs", "yes")):
            for statement in person[field]:
                assert statement["words"].strip()
                for fact in statement["facts"]:
                    assert fact["fact"] in FACTS, person["key"]
                    assert fact["wanted"] == wanted, person["key"]


def test_access_facts_of_every_offer_are_known_codes_with_three_values() -> None:
    for offer in [*LISTINGS, *(own for _, own in OFFERS)]:
        assert offer["access"], offer["name"]
        assert set(offer["access"]) <= FACTS, offer["name"]
        assert set(offer["access"].values()) <= {"yes", "no", "unknown"}, offer["name"]


def test_days_and_times_are_real_and_end_after_they_start() -> None:
    for offer in [*LISTINGS, *(own for _, own in OFFERS)]:
        for session in offer["sessions"]:
            assert session["day"] in DAYS, offer["name"]
            start, end = (time.fromisoformat(session[field]) for field in ("start", "end"))
            assert start < end, offer["name"]
    for person in PEOPLE:
        free = person["free_times"]
        assert free is None or (free and set(free) <= SLOTS and len(free) == len(set(free)))


def test_prices_are_whole_pence_and_say_what_they_buy() -> None:
    for row in LISTINGS:
        price, per = row["price_pence"], row["price_per"]
        assert price is None or (type(price) is int and 0 <= price <= 5000), row["key"]
        assert per in {"session", "day", "week", None}, row["key"]
        assert (per is None) == (price == 0), row["key"]
    limits = [person["spend_limit_pence"] for person in PEOPLE]
    assert all(limit is None or (type(limit) is int and limit >= 0) for limit in limits)


def test_places_left_never_exceed_places() -> None:
    for row in LISTINGS:
        total, left = row["places_total"], row["places_left"]
        assert (total is None) == (left is None), row["key"]
        assert total is None or 0 <= left <= total, row["key"]


def test_exactly_three_things_are_not_confirmed_lately() -> None:
    days = [row["confirmed_days_ago"] for row in LISTINGS]
    limit = AREAS[0]["settings"]["confirm_within_days"]
    assert sum(age >= 40 for age in days) == 3
    assert all(0 <= age <= 25 or age > limit for age in days)


# --- law: what is public, what stays private ---------------------------------------------------


def test_a_shared_lives_home_shows_area_and_summary_only() -> None:
    for row in LISTINGS:
        if row["kind"] == "shared_lives":
            assert row["postcode"] is None, row["key"]
            assert row["address"] is None, row["key"]
            assert row["description"] is None, row["key"]
            assert row["sessions"] == [], row["key"]


def test_a_postcode_never_contradicts_its_sector() -> None:
    for row in LISTINGS:
        assert row["postcode"] is None or row["postcode"].startswith(row["near"]), row["key"]


def test_no_persons_own_offer_is_also_a_public_thing() -> None:
    assert 6 <= len(OFFERS) <= 8
    public = {row["name"] for row in LISTINGS}
    assert not public & {own["name"] for _, own in OFFERS}


def test_people_are_free_when_their_own_offer_happens() -> None:
    for person, own in OFFERS:
        if person["free_times"] is not None:
            assert slots_of(own["sessions"]) <= set(person["free_times"]), person["key"]


# --- places ------------------------------------------------------------------------------------


def test_every_sector_exists_and_lies_in_a_demo_town() -> None:
    known = sectors()
    for row in PEOPLE + LISTINGS:
        assert row["near"] in known, row["key"]
        assert town_of(row["near"]) in DEMO_TOWNS, row["key"]


def test_an_address_names_the_town_of_its_sector() -> None:
    for row in LISTINGS:
        if row["address"]:
            assert row["address"].endswith(f", {town_of(row['near'])}"), row["key"]


def test_one_hall_does_not_stand_in_two_places() -> None:
    places = {(row["address"], row["near"]) for row in LISTINGS if row["address"]}
    assert len({address for address, _ in places}) == len(places)


def test_every_town_of_an_area_names_a_sector_that_exists() -> None:
    known = sectors()
    outwards = {sector.split()[0] for sector in known}
    for area in AREAS:
        settings = area["settings"]
        assert set(settings["outwards"]) <= outwards
        for place in settings["towns"]:
            assert place in (known if " " in place else outwards), place
            assert place.split()[0] in settings["outwards"], place
        assert set(settings["outwards"]) <= set(settings["towns"])


# --- areas and staff -----------------------------------------------------------------------------


def test_two_areas_differ_in_every_setting_but_the_time_zone() -> None:
    first, second = (area["settings"] for area in AREAS)
    assert set(first) == set(second)
    same = {name for name in first if first[name] == second[name]}
    assert same == {"time_zone"}
    assert not set(first["outwards"]) & set(second["outwards"])


def test_the_two_calendars_really_close_on_different_days() -> None:
    closed = [
        set(holidays.country_holidays("GB", subdiv=area["settings"]["calendar"], years=2026))
        for area in AREAS
    ]
    assert closed[0] != closed[1]


def test_operating_modes_and_check_tiers_are_well_formed() -> None:
    assert {area["settings"]["operating_mode"] for area in AREAS} == {"introduce_only", "managed"}
    for area in AREAS:
        tiers = area["settings"]["check_tiers"]
        assert len({tier["code"] for tier in tiers}) == len(tiers)
        assert all(tier["name"] and tier["needs"] for tier in tiers)


def test_staff_hold_known_roles_in_known_areas_and_work_with_known_people() -> None:
    slugs, keys = {area["slug"] for area in AREAS}, {person["key"] for person in PEOPLE}
    for row in STAFF:
        assert row["roles"], row["key"]
        for role in row["roles"]:
            assert role["role"] in ROLES
            assert role["area"] in slugs
            assert ("profession" in role) == (role["role"] == "professional")
        assert set(row["works_with"]) <= keys, row["key"]
    works = {row["key"] for row in STAFF if row["works_with"]}
    assert works == {"sam", "priya"}
    held = {role["role"] for row in STAFF for role in row["roles"]}
    assert held >= ROLES - {"citizen", "supporter"}


def test_every_small_business_is_run_by_a_provider_who_can_sign_in() -> None:
    providers = {row["key"] for row in STAFF if any(r["role"] == "provider" for r in row["roles"])}
    used = {row["provider"] for row in LISTINGS if row["kind"] == "micro_enterprise"}
    assert used == providers
    for row in LISTINGS:
        if row["kind"] != "micro_enterprise":
            assert row["provider"] not in {staff["key"] for staff in STAFF}, row["key"]


# --- words ---------------------------------------------------------------------------------------


def test_no_banned_or_deficit_word_is_shown() -> None:
    found = {text: BANNED.findall(text) for text in shown_words() if BANNED.search(text)}
    assert found == {}


def test_no_phone_number_mail_or_web_address_is_shown() -> None:
    assert [text for text in shown_words() if CONTACT.search(text)] == []


def syllables(word: str) -> int:
    """Return a plain count of vowel groups, a silent final e left out; at least one."""
    letters = re.sub(r"[^a-z]", "", word.lower())
    groups = len(re.findall(r"[aeiouy]+", letters))
    silent = letters.endswith("e") and not letters.endswith(("le", "ee")) and groups > 1
    return max(1, groups - silent)


def reading_grade(text: str) -> float:
    """Return the Flesch-Kincaid grade (Kincaid and others, 1975) of one text."""
    sentences = max(1, len(re.findall(r"[.!?](?:\s|$)", text)))
    words = re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*", text)
    per_sentence = len(words) / sentences
    per_word = sum(syllables(word) for word in words) / len(words)
    return 0.39 * per_sentence + 11.8 * per_word - 15.59


def test_the_reading_grade_tells_plain_words_from_office_words() -> None:
    assert reading_grade("The cat sat on the mat. It was a fat cat.") < 2
    assert reading_grade("Facilitation of individualised participation opportunities.") > 15


def test_summaries_can_be_read_by_a_ten_year_old() -> None:
    grades = {row["key"]: reading_grade(row["summary"]) for row in LISTINGS}
    assert sum(grades.values()) / len(grades) <= 6
    assert max(grades.values()) <= 8, sorted(grades.items(), key=lambda pair: -pair[1])[:3]


def test_a_summary_is_one_or_two_sentences_and_no_two_are_alike() -> None:
    for row in LISTINGS:
        assert 1 <= len(re.findall(r"[.!?](?:\s|$)", row["summary"])) <= 2, row["key"]
        assert len(row["summary"]) <= 200, row["key"]
    assert len({row["summary"] for row in LISTINGS}) == len(LISTINGS)


# --- the story ------------------------------------------------------------------------------------


def public_words(row: dict[str, Any]) -> str:
    return " ".join(filter(None, (row["name"], row["summary"], row["description"])))


def test_music_is_in_four_things_and_all_of_it_is_after_ten() -> None:
    music = [row for row in LISTINGS if MUSIC.search(public_words(row))]
    assert len(music) == 4
    for row in music:
        assert all(time.fromisoformat(s["start"]) > time(10) for s in row["sessions"])
        assert row["sessions"]


def test_nothing_fits_joe_and_time_is_the_only_reason() -> None:
    joe = next(person for person in PEOPLE if person["key"] == "joe")
    assert joe["free_times"] == [f"{day}_early" for day in DAYS]
    assert joe["travel_limit_metres"] is None
    assert joe["avoid"] == joe["needs"] == []
    for offer in [*LISTINGS, *(own for _, own in OFFERS)]:
        assert not slots_of(offer["sessions"]) & set(joe["free_times"]), offer["name"]
        if not offer["sessions"]:
            assert offer["kind"] == "shared_lives"  # Homes keep no timetable.
        elif MUSIC.search(public_words(offer) if "summary" in offer else offer["words"]):
            assert (offer.get("price_pence") or 0) <= joe["spend_limit_pence"]
            assert offer.get("places_left") != 0


def test_there_is_no_dance_group_yet_and_at_least_twelve_people_want_one() -> None:
    assert [row["key"] for row in LISTINGS if DANCE.search(public_words(row))] == []
    dancers = [person for person in PEOPLE if wants_to_dance(person)]
    assert len(dancers) >= 12
    assert {"nadia", "kay", "colette", "marcus", "pat", "trevor"} <= {p["key"] for p in dancers}
    for person in dancers:
        assert person["free_times"] is None or "tue_evening" in person["free_times"]


def test_nadia_can_meet_kay_on_a_tuesday_within_two_miles_and_one_thing_is_not_known() -> None:
    nadia, kay = (next(p for p in PEOPLE if p["key"] == key) for key in ("nadia", "kay"))
    offer = kay["own_offer"]
    assert slots_of(offer["sessions"]) == {"tue_evening"} <= set(nadia["free_times"])
    assert "Easter" in offer["note"]
    asked = [fact["fact"] for need in nadia["needs"] + nadia["avoid"] for fact in need["facts"]]
    assert asked == ["supporter_welcome"]
    assert offer["access"].get("supporter_welcome", "unknown") == "unknown"
    known = sectors()
    metres = math.dist(known[nadia["near"]], known[kay["near"]])
    assert 1.5 <= metres / METRES_PER_MILE <= 2.0
    assert metres <= nadia["travel_limit_metres"]
