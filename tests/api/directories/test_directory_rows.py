"""Headers, and rows read whole or refused whole."""

import csv
import io
from collections.abc import Sequence
from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.areas.rules import FACT_WORDS
from api.directories.rules import (
    KITH,
    MAPPINGS,
    FileRefused,
    ImportedRow,
    Mapping,
    Outcome,
    RowError,
    SameRow,
    read_rows,
    read_table,
    recognise,
)
from api.directories.rules.mappings import CHARITIES, FOOD_BANKS, SPORTS_CLUBS

GOOD = {
    "kind": "micro_enterprise",
    "name": "Baking with Bea",
    "summary": "Bake bread together in a warm kitchen.",
    "description": "We bake.\nThen we eat.",
    "provider_name": "Bea's Kitchen",
    "postcode": "m32 8bh",
    "address": "1 Invented Row\nStretford",
    "days": "Wed, mon",
    "starts": "10:00",
    "ends": "12:30",
    "price_pence": "350",
    "price_per": "session",
    "places_total": "8",
    "places_left": "3",
    "website": "example.org",
    "step_free": "Yes",
    "dogs": "no",
    "parking": "unknown",
}


def _file(mapping: Mapping, rows: Sequence[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, mapping.header, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _read(data: bytes) -> list[Outcome]:
    table = read_table(data)
    return list(read_rows(table, recognise(table.header)))


def _one(**changes: str) -> Outcome:
    (found,) = _read(_file(KITH, [GOOD | changes]))
    return found


def _errors(**changes: str) -> dict[str, str]:
    found = _read(_file(KITH, [GOOD | changes]))
    assert all(isinstance(error, RowError) and error.row == 2 for error in found)
    return {error.field: error.message for error in found if isinstance(error, RowError)}


def test_a_row_in_kith_s_own_format_comes_in_whole() -> None:
    row = _one()
    assert isinstance(row, ImportedRow)
    assert row.row == 2
    assert row.natural_key == ("kith", "beas kitchen baking with bea", "M32 8BH")
    assert (row.kind, row.name, row.provider_name) == (
        "micro_enterprise",
        "Baking with Bea",
        "Bea's Kitchen",
    )
    assert row.description == "We bake.\nThen we eat."
    assert row.address == "1 Invented Row, Stretford"
    assert row.place.label == "M32 8"
    assert [(s.day, s.starts, s.ends) for s in row.sessions] == [
        ("mon", time(10), time(12, 30)),
        ("wed", time(10), time(12, 30)),
    ]
    assert row.slots == ("mon_morning", "wed_morning")
    assert (row.price_pence, row.price_per) == (350, "session")
    assert (row.places_total, row.places_left) == (8, 3)
    assert row.website == "http://example.org"
    assert row.facts == (("step_free", "yes"), ("dogs", "no"))


def test_what_a_row_leaves_empty_is_not_known() -> None:
    needed = {"kind", "name", "summary", "provider_name", "postcode"}
    row = _one(**{field: "" for field in GOOD if field not in needed})
    assert isinstance(row, ImportedRow)
    assert row.description == row.summary
    fields = ("address", "website", "price_pence", "slots", "places_total", "places_left")
    assert all(getattr(row, field) is None for field in fields)
    assert row.sessions == ()
    assert row.facts == ()


def test_free_is_nought_and_not_the_same_as_not_known() -> None:
    row = _one(price_pence="0", price_per="")
    assert isinstance(row, ImportedRow)
    assert row.price_pence == 0


@pytest.mark.parametrize("absent", ["", "  ", "NA", "n/a", "None", "NULL", "nan", "Not known", "-"])
def test_what_says_nothing_is_absent(absent: str) -> None:
    row = _one(website=absent)
    assert isinstance(row, ImportedRow)
    assert row.website is None
    assert set(_errors(name=absent)) == {"name"}


def test_every_wrong_field_of_a_row_is_named() -> None:
    wrong = {
        "kind": "own_offer",
        "name": "!!!",
        "summary": "NA",
        "postcode": "M32",
        "days": "Moonday",
        "starts": "10am",
        "ends": "25:00",
        "price_pence": "3.50",
        "price_per": "lesson",
        "places_total": "-1",
        "places_left": "many",
        "website": "javascript:alert(1)",
        "dogs": "sometimes",
    }
    assert set(_errors(**wrong)) == set(wrong)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"days": ""}, "days", "no day"),
        ({"starts": ""}, "starts", "no start"),
        ({"starts": "14:00", "ends": "10:00"}, "ends", "ends before it starts"),
        ({"starts": "10:00", "ends": "10:00"}, "ends", "ends before it starts"),
        ({"price_pence": ""}, "price_pence", "free is 0"),
        ({"places_left": "9"}, "places_left", "more places are left"),
        ({"kind": "shared_lives"}, "address", "never taken in"),
        ({"description": "x" * 10_001}, "description", "10,001 characters"),
        ({"name": "x" * 201}, "name", "201 characters"),
        ({"name": "a\0b"}, "name", "NUL byte"),
        ({"price_pence": "10000001"}, "price_pence", "more than"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(
    changes: dict[str, str], field: str, words: str
) -> None:
    errors = _errors(**changes)
    assert set(errors) == {field}
    assert words in errors[field]


def test_a_night_that_ends_in_the_morning_is_taken_in() -> None:
    row = _one(starts="22:00", ends="07:00", days="mon")
    assert isinstance(row, ImportedRow)
    assert row.slots == ("mon_night",)


def test_a_shared_lives_home_shows_its_area_alone() -> None:
    row = _one(kind="Shared Lives", address="")
    assert isinstance(row, ImportedRow)
    assert (row.kind, row.address, row.address_shown) == ("shared_lives", None, False)


def test_a_charity_s_postcode_is_kept_for_its_key_and_only_its_area_may_be_shown() -> None:
    charity = {
        "charity_name": "THE INVENTED FUND",
        "charity_contact_postcode": "M33 4RG",
        "charity_contact_web": "25 Invented Avenue",
    }
    (row,) = _read(_file(CHARITIES, [charity]))
    assert isinstance(row, ImportedRow)
    assert (row.name, row.postcode, row.place.label) == ("The Invented Fund", "M33 4RG", "M33 4")
    assert not row.address_shown
    assert row.address is None
    assert row.left_out == ("website",)
    assert row.website is None
    assert row.summary == "A registered charity. The register does not say what it does."


def test_the_same_thing_twice_in_a_file_is_told_apart_from_an_error() -> None:
    rows = [
        GOOD,
        GOOD | {"postcode": "M33 4RG"},
        GOOD | {"name": "BAKING, with Bea!", "postcode": "M32 8BH"},
        GOOD,
        GOOD | {"provider_name": "Somebody Else"},
    ]
    found = _read(_file(KITH, rows))
    assert [type(one) for one in found] == [
        ImportedRow,
        ImportedRow,
        SameRow,
        SameRow,
        ImportedRow,
    ]
    assert found[2] == SameRow(row=4, same_as_row=2, identical=False)
    assert found[3] == SameRow(row=5, same_as_row=2, identical=True)


def test_a_refused_row_does_not_keep_a_good_one_like_it_out() -> None:
    found = _read(_file(KITH, [GOOD | {"days": "someday"}, GOOD]))
    assert [type(one) for one in found] == [RowError, ImportedRow]


def test_a_row_s_key_and_contents_do_not_depend_on_where_it_stands() -> None:
    other = GOOD | {"name": "Another"}
    first = {
        r.natural_key: r.content_hash
        for r in _read(_file(KITH, [GOOD, other]))
        if isinstance(r, ImportedRow)
    }
    again = {
        r.natural_key: r.content_hash
        for r in _read(_file(KITH, [other, GOOD]))
        if isinstance(r, ImportedRow)
    }
    assert first == again
    changed = _one(price_pence="400")
    assert isinstance(changed, ImportedRow)
    assert changed.content_hash != first[changed.natural_key]


def test_rows_with_too_few_or_too_many_cells_name_the_column() -> None:
    found = _read(
        b"name,category,address,postcode\nA,Golf\nB,Golf,x,M32 8BH,extra\nC,Golf,,M32 8BH\n"
    )
    assert found[0] == RowError(
        2, "address", "the row has 2 cells and 4 columns: it ends before this one."
    )
    assert isinstance(found[1], RowError)
    assert (found[1].row, found[1].field) == (3, "cell 5")
    assert isinstance(found[2], ImportedRow)


def test_columns_may_stand_in_another_order() -> None:
    (row,) = _read(b"postcode,name,address,category\nM32 8BH,Club,Lane,Golf\n")
    assert isinstance(row, ImportedRow)
    assert (row.name, row.postcode, row.address) == ("Club", "M32 8BH", "Lane")
    assert row.source == SPORTS_CLUBS.source


def test_no_two_formats_have_the_same_columns_and_each_knows_its_own() -> None:
    for mapping in MAPPINGS:
        assert recognise(mapping.header) is mapping
        assert recognise([f" {name} " for name in mapping.header]) is mapping
    assert set(FACT_WORDS) <= set(KITH.header)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["Name", "Referral method", "Postcode"], ["missing: Opening times", FOOD_BANKS.title]),
        ([*SPORTS_CLUBS.header, "phone"], ["unexpected: phone", SPORTS_CLUBS.title]),
        ([*SPORTS_CLUBS.header, "name"], ["twice: name"]),
        (["NAME", "CATEGORY", "ADDRESS", "POSTCODE"], [SPORTS_CLUBS.title, "missing: name"]),
        (["name;category;address;postcode"], ["not separated by commas"]),
        ([*SPORTS_CLUBS.header, ""], ["unexpected: (no name)"]),
        ([f"c{number}" for number in range(99)], ["and 87 more"]),
    ],
)
def test_a_header_that_is_not_known_is_refused_with_what_is_wrong(
    header: list[str], words: list[str]
) -> None:
    with pytest.raises(FileRefused) as refused:
        recognise(header)
    for word in words:
        assert word in refused.value.message
    assert refused.value.errors[0].field == "header"


@given(st.lists(st.text(max_size=8), max_size=12))
def test_any_header_is_recognised_or_refused(header: list[str]) -> None:
    with pytest.raises(FileRefused):
        recognise(header)


@given(data=st.data(), mapping=st.sampled_from(MAPPINGS))
def test_whatever_stands_in_the_cells_a_row_comes_in_or_its_fields_are_named(
    data: st.DataObject, mapping: Mapping
) -> None:
    usual = st.sampled_from(
        ["M32 8BH", "NA", "", "mon", "10:00", "yes", "7", "\u202e", "x.org", "{name}"]
    )
    cell = st.one_of(usual, st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
    row = {name: data.draw(cell, label=name) for name in mapping.header}
    found = _read(_file(mapping, [row]))
    if not any(value.strip() for value in row.values()):
        assert found == []
        return
    assert found
    imported = [one for one in found if isinstance(one, ImportedRow)]
    assert imported == [] or len(found) == 1
    for error in found:
        if isinstance(error, RowError):
            assert error.row == 2
            assert error.field in mapping.header
            assert error.message.endswith(".")
    for one in imported:
        assert one.summary
        assert one.name.strip()
        assert one.natural_key.name
