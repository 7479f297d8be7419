"""A CSV file of unknown make, cut into records."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.directories.rules import FileRefused, read_table
from api.directories.rules import records as records_module
from api.directories.rules.records import LONGEST_CELL, Record

CELLS = st.text(
    st.one_of(
        st.sampled_from('",\n\r \u00e9a'),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
)


def _records(text: str) -> list[Record]:
    return list(read_table(f"a,b,c\n{text}".encode()).records())


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8))
def test_what_the_standard_library_writes_is_read_back(rows: list[tuple[str, str, str]]) -> None:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *rows])
    found = {r.row: r.cells for r in read_table(file.getvalue().encode()).records()}
    assert found == {
        number: row for number, row in enumerate(rows, 2) if any(cell.strip() for cell in row)
    }


@given(st.binary(max_size=200))
def test_any_bytes_are_read_to_their_end_or_refused_with_a_sentence(data: bytes) -> None:
    sentence = ""
    try:
        found = list(read_table(data).records())
    except FileRefused as refused:
        sentence = refused.message
        found = []
    assert sentence.endswith(".") or [r.row for r in found] == sorted({r.row for r in found})


@given(st.text(st.sampled_from('",\n\rx'), max_size=60))
def test_any_arrangement_of_quotation_marks_is_read_to_its_end(text: str) -> None:
    for record in _records(text):
        assert record.fault is not None or len(record.cells) >= 1


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_each_kind_of_line_end_is_understood(end: str) -> None:
    table = read_table(end.join(["a,b", "1,2", "", '"x\ny",4', "5,6"]).encode())
    assert [(r.row, r.cells) for r in table.records()] == [
        (2, ("1", "2")),
        (4, ("x\ny", "4")),
        (5, ("5", "6")),
    ]


def test_empty_rows_count_and_are_skipped() -> None:
    assert [record.row for record in _records("1,2,3\n\n,,\n4,5,6\n")] == [2, 5]


def test_a_mark_that_nobody_closes_costs_its_own_row_only() -> None:
    found = _records('1,"2,3\n4,5,6\n7,8,9\n')
    assert [(r.row, r.fault is None) for r in found] == [(2, False), (3, True), (4, True)]
    assert found[0].fault is not None
    assert found[0].fault.column == 1


def test_a_mark_that_nobody_closes_does_not_swallow_the_next_quoted_cell() -> None:
    found = _records('1,"2,3\n4,"five",6\n7,8,9\n')
    assert [(r.row, r.fault is None) for r in found] == [(2, False), (3, True), (4, True)]
    assert found[1].cells == ("4", "five", "6")


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ('1,5" pipe,3', 1, "not in quotation marks"),
        ('1,"two" b,3', 1, "something follows"),
        ("," * 1_000_000, 200, "more than 200 cells"),
        (f"1,{'x' * (LONGEST_CELL + 1)},3", 1, "20,001 characters"),
    ],
)
def test_what_is_wrong_with_a_row_is_named_and_the_next_is_read(
    row: str, column: int, words: str
) -> None:
    found = _records(f"{row}\n4,5,6")
    assert found[0].fault is not None
    assert found[0].fault.column == column
    assert words in found[0].fault.message
    assert found[1].cells == ("4", "5", "6")


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert read_table(b"\xef\xbb\xbfa,b\n").header == ("a", "b")


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
def test_a_file_that_is_not_utf_8_names_the_byte_and_the_line(before: bytes) -> None:
    data = before + b"name,b\r\nx,y\r\ncaf\xe9,z\r\n"
    with pytest.raises(FileRefused) as refused:
        read_table(data)
    assert "0xE9 on line 3" in refused.value.message
    assert f"byte {data.index(0xE9) + 1} of the file" in refused.value.message
    assert refused.value.rule == "file-encoding"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "empty"),
        (b"PK\x03\x04 and more", "workbook"),
        ("a,b\n".encode("utf-16"), "UTF-16"),
        (b'a,"b\n1,2\n', "names the columns"),
        (b",".join([b"a"] * 101), "101 columns"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(data: bytes, words: str) -> None:
    with pytest.raises(FileRefused) as refused:
        read_table(data)
    assert words in refused.value.message
    assert refused.value.what_else


def test_a_file_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "MOST_LINES", 3)
    assert read_table(b"a\n1\n2\n")
    with pytest.raises(FileRefused, match="file-size"):
        read_table(b"a\n1\n2\n3\n")
    monkeypatch.setattr(records_module, "MOST_BYTES", 5)
    with pytest.raises(FileRefused, match="file-size"):
        read_table(b"a\n1\n22\n")
