"""The demo's three pages: plain, safe, readable, and about nothing but what they were told."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from deploy.demo import pages
from deploy.demo.page import PAIRS, element, join, page
from tests.architecture.test_words import NEVER_SHOWN
from tests.demo.reading import HEADINGS, Page

ROUGH = '<script>alert(1)</script> & "Ann\'s" <b>'
AT = "2026-11-28T15:00:00+00:00"
DECISION = {
    "outcome": "approved",
    "decided_by": "Sam",
    "words": ROUGH,
    "ground_means": "It does not fit the plan.",
    "who_can_change": ROUGH,
    "who_rings": "Anita",
    "rings_by": "2026-12-03",
    "at": AT,
}
MONEY = {
    "kind": "Direct payment",
    "promised_pence": 10_000,
    "put_in_pence": 10_000,
    "used_pence": 9_224,
    "returned_pence": 776,
}
GROUP = {
    "name": ROUGH,
    "summary": "A dance group. Tuesdays at six.",
    "people": 10,
    "body_called": "Neighbours",
    "offers": [{"called": "Kay", "chosen": True}],
    "messages": [{"called": "Kay", "words": ROUGH}],
}
SIGN_OFF = {
    "state": "approved",
    "decisions": [DECISION],
    "asked_at": AT,
    "due_at": "2026-12-11T17:00:00+00:00",
    "about": {"what": ROUGH, "promised": "£100", "offered_by": "Kay"},
    "wish": {"words": ROUGH},
    "ways_on": ["Look again.", ROUGH],
}
BUDGET = {
    "called": "Health budget",
    "free_pence": 18_000,
    "promised_pence": 0,
    "together_pence": 0,
    "waiting_pence": 0,
    "paid_pence": 0,
    "purposes": [{"words": ROUGH}],
}
REFUSAL = {"detail": ROUGH, "what_else": ["Ask for an advocate.", ROUGH]}


def nadia() -> str:
    return pages.easy(
        "Nadia",
        mine={"money": [MONEY]},
        group=GROUP,
        vote={"counts": {"yes": 9, "no": 1}},
        go_ahead=SIGN_OFF,
        refusal=REFUSAL,
    )


def trevor(**changed: Any) -> str:
    return pages.not_yet(
        "Trevor",
        told=SIGN_OFF,
        mine={"name": ROUGH, "money": [MONEY]},
        budget=BUDGET | changed,
        group=GROUP,
    )


def sam() -> str:
    return pages.signed("Sam", seen={ROUGH: SIGN_OFF}, waiting=[SIGN_OFF])


ALL = pytest.mark.parametrize("made", [nadia, trevor, sam], ids=lambda made: str(made.__name__))


@ALL
def test_a_page_is_well_formed_and_in_english(made: Callable[[], str]) -> None:
    html = made()
    found = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert found.wrong == []
    assert ("html", "lang", "en-GB") in found.attributes
    assert {"title", "main", "footer"} <= set(found.names)


@ALL
def test_headings_start_with_one_title_and_leave_no_level_out(made: Callable[[], str]) -> None:
    levels = [HEADINGS.index(name) for name in Page(made()).headings]
    assert levels[0] == 0
    assert levels.count(0) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@ALL
def test_whatever_people_wrote_is_shown_as_words_and_never_carried_out(
    made: Callable[[], str],
) -> None:
    found = Page(made())
    assert "alert(1)" in found.text
    assert ROUGH in found.text
    assert not {"script", "b", "iframe", "img", "link", "form"} & set(found.names)


@ALL
def test_a_page_fetches_nothing_and_runs_nothing(made: Callable[[], str]) -> None:
    html = made()
    assert "http" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert not [name for _, name, _ in Page(html).attributes if name.startswith(("on", "src"))]


@ALL
def test_no_word_of_the_trade_is_on_a_page(made: Callable[[], str]) -> None:
    assert NEVER_SHOWN.findall(Page(made()).text) == []


@ALL
def test_a_page_is_made_for_small_screens_and_for_paper(made: Callable[[], str]) -> None:
    html = made()
    assert "width=device-width" in html
    assert "@media print" in html
    assert "max-width: 30rem" in html


def test_every_picture_is_beside_words_that_say_the_same() -> None:
    found = Page(nadia())
    pictures = found.names.count("svg")
    assert pictures >= 10
    assert found.attributes.count(("svg", "aria-hidden", "true")) == pictures


def test_each_sentence_of_the_easy_page_is_a_line_of_its_own() -> None:
    found = Page(nadia())
    assert "A dance group." in found.words
    assert "Tuesdays at six." in found.words


@pytest.mark.parametrize("pair", PAIRS, ids=" on ".join)
def test_text_stands_out_from_its_ground_seven_to_one(pair: tuple[str, str]) -> None:
    light, dark = sorted((luminance(colour) for colour in pair), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 7


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_money_that_stands_with_others_is_not_said_to_be_untouched() -> None:
    assert "never put together" in Page(trevor()).text
    assert "never put together" not in Page(trevor(together_pence=500)).text


def test_attributes_are_escaped_too() -> None:
    assert element("p", "x", title='"><script>') == ('<p title="&quot;&gt;&lt;script&gt;">x</p>')
    assert join("<", element("i", "&")) == "&lt;<i>&amp;</i>"
    assert "<title>&lt;b&gt;</title>" in page("<b>")
