"""The six real files, read from beside the project, where they are."""

from collections import Counter
from pathlib import Path

import pytest

from api.directories.rules import ImportedRow, Outcome, RowError, SameRow, read_rows, read_table
from api.directories.rules import recognise as recognise_header
from api.directories.rules.mappings import KITH, MAPPINGS

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "directories"
SOURCES = [mapping.source for mapping in MAPPINGS if mapping is not KITH]

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(),
    reason="NOT TESTED: the real directories (../shared/data/directories) are not on this machine",
)


def _outcomes(source: str) -> list[Outcome]:
    table = read_table((DATA / f"{source}.csv").read_bytes())
    mapping = recognise_header(table.header)
    assert mapping.source == source
    return list(read_rows(table, mapping))


def _rows(source: str) -> list[ImportedRow]:
    return [found for found in _outcomes(source) if isinstance(found, ImportedRow)]


@pytest.mark.parametrize(
    ("source", "rows", "errors", "same"),
    [
        ("greater_manchester_food_banks", 171, 0, 0),
        ("greater_manchester_libraries", 141, 0, 0),
        ("trafford_charities", 733, 2, 1),
        ("trafford_mental_health_services", 59, 1, 0),
        ("trafford_sports_clubs", 140, 0, 0),
        ("uk_charities_sample", 4_081, 22, 100),
    ],
)
def test_every_row_comes_in_is_refused_or_is_there_already(
    source: str, rows: int, errors: int, same: int
) -> None:
    counted = Counter(type(found) for found in _outcomes(source))
    assert counted == Counter({ImportedRow: rows, RowError: errors, SameRow: same})


def test_the_wrong_postcodes_are_named_with_their_rows() -> None:
    errors = [
        found
        for source in ("trafford_charities", "trafford_mental_health_services")
        for found in _outcomes(source)
        if isinstance(found, RowError)
    ]
    assert [(error.row, error.field) for error in errors] == [
        (35, "charity_contact_postcode"),
        (585, "charity_contact_postcode"),
        (50, "postcode"),
    ]
    assert "the letter O where the figure 0 belongs" in errors[0].message
    assert "needed" in errors[1].message
    assert "WA154" in errors[2].message


def test_of_the_sample_s_refused_rows_eighteen_have_no_postcode() -> None:
    errors = [found for found in _outcomes("uk_charities_sample") if isinstance(found, RowError)]
    assert {error.field for error in errors} == {"postcode"}
    assert sum("it is empty" in error.message for error in errors) == 18


def test_a_charity_outside_the_table_of_sectors_comes_in_without_a_point() -> None:
    outcomes = _outcomes("uk_charities_sample")
    rows = {found.row: found for found in outcomes if isinstance(found, ImportedRow)}
    again = [rows[found.same_as_row] for found in outcomes if isinstance(found, SameRow)]
    everyone = [*rows.values(), *again]
    assert sum(row.place.point is None for row in everyone) == 152


@pytest.mark.parametrize("source", SOURCES)
def test_reading_again_gives_the_same_keys_and_contents(source: str) -> None:
    first = {row.natural_key: row.content_hash for row in _rows(source)}
    again = {row.natural_key: row.content_hash for row in _rows(source)}
    assert first == again
    assert len(first) == len(_rows(source))


@pytest.mark.parametrize("source", SOURCES)
def test_every_row_is_fit_to_be_shown(source: str) -> None:
    for row in _rows(source):
        assert 1 <= len(row.summary) <= 280
        assert "{" not in row.summary
        assert row.description
        assert row.kind == "community"
        assert row.facts == ()
        assert row.price_pence is None
        assert not row.name.isupper() or len(row.name) <= 12
        assert row.website is None or row.website.startswith(("http://", "https://"))
        assert row.slots is None or row.slots


@pytest.mark.parametrize("source", ["trafford_charities", "uk_charities_sample"])
def test_a_charity_s_address_stays_with_its_register(source: str) -> None:
    for row in _rows(source):
        assert row.address is None
        assert not row.address_shown


def test_no_private_address_gets_out_of_a_web_box() -> None:
    for row in _rows("uk_charities_sample"):
        assert "@" not in (row.website or "")
        assert " " not in (row.website or "")
    assert sum("website" in row.left_out for row in _rows("uk_charities_sample")) == 41


def test_most_food_banks_opening_times_are_understood_and_none_is_guessed() -> None:
    rows = _rows("greater_manchester_food_banks")
    assert sum(row.slots is not None for row in rows) == 112
    # Both say "10 - 4" or the like: the days are sure, the times are not.
    assert sum(row.slots is None and bool(row.sessions) for row in rows) == 2


def test_names_in_capitals_become_readable_and_keep_their_abbreviations() -> None:
    names = {row.name for row in _rows("trafford_charities")}
    for name in (
        "St Ann's Hospice",
        "2nd Brooklands Scout Group",
        "Manchester University NHS Foundation Trust Charity",
        "Body of Christ International Ministries (BCIM)",
        "Navigation Primary School P.T.A., Altrincham",
        "Hale and District U3A",
        "Hidden Treasure Trust CIO",
    ):
        assert name in names
