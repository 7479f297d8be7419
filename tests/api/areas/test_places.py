"""Places by postcode."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.areas import places
from api.areas.places import Place, PlaceNotUnderstood, Point, Postcode, distance_metres, locate

SECTORS = st.sampled_from(sorted(places.sectors()))


@pytest.mark.parametrize("typed", ["M32 8BH", "m328bh", "  m32   8bh ", "M32\u00a08BH"])
def test_a_postcode_is_read_whatever_its_case_and_spacing(typed: str) -> None:
    assert str(Postcode.parse(typed)) == "M32 8BH"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "There is no postcode."),
        ("WA15 OHF", "WA15 OHF has the letter O where the figure 0 belongs."),
        ("MI 1AE", "MI 1AE has the letter I where the figure 1 belongs."),
        ("BR5", "only the first half"),
        ("E1 7S", "second half, 7S"),
        ("WA154 1HF", "first half, WA154"),
        ("M5V 3A7", "second half, 3A7"),
        ("M32-8BH", "only letters, figures and one space"),
        ("A" * 5_000, "too long"),
    ],
)
def test_what_is_wrong_with_a_postcode_is_named(typed: str, message: str) -> None:
    with pytest.raises(PlaceNotUnderstood) as refused:
        Postcode.parse(typed)
    assert message in refused.value.message
    assert len(refused.value.message) < 200
    assert refused.value.errors[0].field == "postcode"
    assert refused.value.what_else


@given(st.text(max_size=30))
def test_any_text_is_a_place_or_a_refusal_with_a_sentence(typed: str) -> None:
    sentence = ""
    try:
        place = locate(typed)
    except PlaceNotUnderstood as refused:
        sentence = refused.message
    assert sentence.endswith(".") or locate(place.label) == place


@given(SECTORS)
def test_a_postcode_lies_in_its_sector(sector: tuple[str, str]) -> None:
    outward, figure = sector
    row = places.sectors()[sector]
    expected = Place(outward, figure, Point(row.easting, row.northing))
    assert locate(f"{outward} {figure}AA") == expected
    assert locate(f"{outward} {figure}") == expected
    assert Postcode.parse(f"{outward}{figure}ZZ").place == expected


@given(SECTORS)
def test_an_outward_code_lies_among_its_sectors(sector: tuple[str, str]) -> None:
    outward = sector[0]
    rows = [row for row in places.sectors().values() if row.outward == outward]
    point = locate(outward).point
    assert point is not None
    assert min(row.easting for row in rows) <= point.easting <= max(row.easting for row in rows)
    assert min(row.northing for row in rows) <= point.northing <= max(row.northing for row in rows)


def test_an_outward_code_leans_to_where_most_postcodes_are() -> None:
    rows = [row for row in places.sectors().values() if row.outward == "M32"]
    weight = sum(row.postcodes for row in rows)
    point = locate("M32").point
    assert point is not None
    assert point.easting == round(sum(row.easting * row.postcodes for row in rows) / weight)


@pytest.mark.parametrize("typed", ["BT1 1AA", "JE2 3AB", "IM1 1AA", "M98 1ZZ", "BT48", "XX0 1XX"])
def test_a_place_outside_the_table_has_a_label_and_no_point(typed: str) -> None:
    place = locate(typed)
    assert place.point is None
    assert typed.startswith(place.label)
    with pytest.raises(ValueError, match="no point"):
        distance_metres(place, locate("M32"))


def test_without_a_space_an_outward_code_goes_before_a_sector() -> None:
    assert locate("M11") == locate("m11")
    assert locate("M11").sector is None
    assert locate("M1 1").sector == "1"
    assert locate("M328") == locate("M32 8")


def test_stretford_to_sale_is_three_kilometres_and_to_london_two_hundred_and_sixty() -> None:
    assert 2_500 < distance_metres(locate("M32"), locate("M33")) < 4_500
    assert 255_000 < distance_metres(locate("M32 8BH"), locate("SW1A 1AA")) < 270_000


@given(SECTORS, SECTORS, SECTORS)
def test_a_distance_is_one(a: tuple[str, str], b: tuple[str, str], c: tuple[str, str]) -> None:
    one, two, three = (locate(" ".join(sector)) for sector in (a, b, c))
    assert distance_metres(one, one) == 0
    assert distance_metres(one, two) == distance_metres(two, one) >= 0
    there = distance_metres(one, two) + distance_metres(two, three)
    assert distance_metres(one, three) <= there + 2  # each is rounded


def test_the_table_is_read_once_however_many_threads_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    load = places._load

    def counted() -> places._Tables:
        reads.append(1)
        return load()

    monkeypatch.setattr(places, "_load", counted)
    monkeypatch.setattr(places, "_once", places._Once())
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        locate("M32")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reads == [1]


def test_the_table_stands_with_its_attribution() -> None:
    assert len(places.sectors()) == 10_848
    beside = Path(places.__file__).with_name("postcode_sectors.md").read_text(encoding="utf-8")
    for owner in ("OS data", "Royal Mail data", "National Statistics data"):
        assert f"Contains {owner}" in " ".join(beside.split())
