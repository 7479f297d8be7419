"""The whole demo, run once on servers of the tests: the story, its figures and its pages."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from api.core import clock
from deploy.cli.world import World, free_port
from deploy.demo import run
from deploy.local import Processes
from tests.architecture.test_words import NEVER_SHOWN
from tests.demo.reading import Page
from tests.fixtures.servers import Servers

pytestmark = pytest.mark.timeout(600)  # the first test waits for the whole of the story
PORT = 20_500 + os.getpid() % 1000
# A kind of money, put in, used, went back.
ROW = re.compile(r"^ +(\w[\w ]*?)(?: \(\d+\))? +£([\d,.]+) +£([\d,.]+) +£([\d,.]+)", re.MULTILINE)
ADDRESS = re.compile(r"\S*/\S+|\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class Told:
    """What a run printed, and what it returned."""

    story: str
    result: dict[str, Any]

    @property
    def words(self) -> str:
        """The story as one line, without addresses."""
        return " ".join(ADDRESS.sub(" ", self.story).split())


@pytest.fixture(scope="module")
def told(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder, name = tmp_path_factory.mktemp("kith"), f"kith_test_story_{os.getpid()}"
    servers.stack.ensure_database(name)
    settings = replace(servers.settings(name), mode="demo", clock_file=folder / "demo" / "clock")
    world = World(settings=settings, stack=None, database="")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KITH_HOME", str(folder))
        try:
            with Processes(home=folder, name="demo") as processes, redirect_stdout(printed):
                result = run.run(
                    world,
                    processes,
                    directory=None,
                    everybody=False,
                    port=free_port(PORT),
                    quiet=False,
                    stays=False,
                )
            yield Told(printed.getvalue(), result)
        finally:
            clock.follow(None)
            servers.stack.drop_database(name)


def test_the_group_went_the_whole_way(told: Told) -> None:
    pool = told.result["pool"]
    assert pool["closed"] is True
    assert pool["members"] == 12
    assert pool["declined"] >= 1
    assert pool["left"] >= 1
    assert pool["put_in_pence"] == pool["used_pence"] + pool["returned_pence"] > 0
    assert pool["payments_confirmed"] > 0


def test_the_books_were_counted_and_nothing_is_missing(told: Told) -> None:
    books = told.result["ledger"]
    assert books["conserved_by_source"] is True
    assert books["derived_equals_stored"] is True
    assert books["missing_pence"] == books["rules_broken"] == 0
    assert books["accounts"] > 12
    assert "missing: 0p" in told.story


def test_what_was_there_before_is_still_told(told: Told) -> None:
    result = told.result
    assert result["people"] == 24
    assert result["things_to_join"] == 41
    assert result["suggestions"] == result["suggestions_with_reasons"] > 0
    assert {"matching", "together", "go_aheads", "vote", "money"} <= set(result["seconds"])


def test_the_table_adds_up_to_the_penny(told: Told) -> None:
    rows = re.findall(
        r"^ +(\w[\w ]*?)(?: \(\d+\))? +£([\d,.]+) +£([\d,.]+) +£([\d,.]+)", told.story, re.M
    )
    table = {name: [_pence(one) for one in sums] for name, *sums in rows}
    every = table.pop("All")
    assert len(table) == 3
    assert [sum(column) for column in zip(*table.values(), strict=True)] == every
    assert all(put_in == used + back for put_in, used, back in (*table.values(), every))
    pool = told.result["pool"]
    assert every == [pool["put_in_pence"], pool["used_pence"], pool["returned_pence"]]


def _pence(pounds: str) -> int:
    return int(pounds.replace(",", "").replace(".", ""))


def test_each_part_adds_up_to_the_penny_over_those_who_paid_it(told: Told) -> None:
    parts = re.findall(r"Sessions \d+ to \d+ £([\d.]+) (.*?)\. \d+ said it happened", told.words)
    assert len(parts) == 2
    for whole, each in parts:
        said = re.findall(r"(?:(-?\d+) (?:people|person)|\w+'s) £([\d.]+)", each)
        paid = [(int(number or 1), round(float(pounds) * 100)) for number, pounds in said]
        assert all(number > 0 for number, _ in paid), each
        assert sum(number * pence for number, pence in paid) == round(float(whole) * 100), each


def test_all_eight_parts_are_told_in_plain_words(told: Told) -> None:
    heads = re.findall(r"^(\d)  [A-Z -]+$", told.story, re.MULTILINE)
    assert heads == list("12345678")
    assert NEVER_SHOWN.findall(told.words) == []


def test_it_is_said_that_the_clock_is_moved(told: Told) -> None:
    moved = re.search(r"We move the clock on (\d+) weeks", told.words)
    assert moved is not None
    assert int(moved[1]) >= 9  # ten sessions, a week apart


def test_the_others_learn_how_many_are_in_and_never_why(told: Told) -> None:
    (others,) = re.findall(r"Others see (.*?) Nobody is told why", told.words)
    assert "Trevor" not in others
    assert "plan" not in others


def test_three_pages_are_written_in_plain_words(told: Told) -> None:
    paths = [Path(one) for one in told.result["pages"]]
    assert [one.name for one in paths] == ["nadia.html", "trevor.html", "sam.html"]
    for path in paths:
        found = Page(path.read_text(encoding="utf-8"))
        assert found.wrong == []
        assert NEVER_SHOWN.findall(found.text) == []
        assert "None" not in found.text
        assert path.name in told.story
