"""Reasons in words. Messages are data: one template per code, filled from rows and numbers.

People never see points; they see why it may fit, why it may not, and what nobody knows.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from api.areas.rules import DAYS, FACT_WORDS, mask_slots
from api.core.money import in_words

_DAY_NAMES = dict(
    zip(
        DAYS,
        ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"),
        strict=True,
    )
)
_PART_NAMES = {
    "early": "early mornings",
    "morning": "mornings",
    "afternoon": "afternoons",
    "evening": "evenings",
    "night": "nights",
}

PLAIN: dict[str, str] = {
    "goal_meets_offer": "You want this: \u201c{words}\u201d",
    "interest_meets_offer": "You like this: \u201c{words}\u201d",
    "strength_meets_offer": "You are good at this: \u201c{words}\u201d",
    "their_goal_meets_your_strength": "{who} would like what you are good at: \u201c{words}\u201d",
    "their_interest_meets_your_strength": "{who} likes what you are good at: \u201c{words}\u201d",
    "their_goal_meets_your_interest": "{who} wants to do something you like: \u201c{words}\u201d",
    "their_interest_meets_your_interest": "You both like this: \u201c{words}\u201d",
    "near": "It is near: {miles}.",
    "within_reach": "It is {miles} away, within what you like to travel.",
    "online": "You can do it from home, online.",
    "shared_time": "{times}, when you are free.",
    "free": "It costs nothing.",
    "within_budget": "{price}, and you can spend {limit}.",
    "need_met": "You need this, and it is there: {fact}.",
    "avoidance_met": "You do not want this, and it is so: {fact}.",
    "far_side": "It is {miles} away: nearly as far as you like to go.",
    "only_some_times": "You are free for some of its times only: {times}.",
    "most_of_budget": "{price} is most of what you can spend.",
    "few_places": "Few places are left: {places}.",
    "loose_fit": "It is not quite what you said. You are the judge of that.",
    "own_place": "How far is it? Tell us roughly where you live.",
    "place": "Where exactly is it? Ask.",
    "times": "When is it? Ask.",
    "own_times": "Are you free then? {times}.",
    "price": "What does it cost? Ask.",
    "own_limit": "It costs {price}. Is that all right for you?",
    "places": "Is there room? Ask.",
    "fact": "{question} Ask.",
}

UNMET: dict[str, str] = {
    "nothing_like_it": "Nothing like this is near you yet.",
    "not_confirmed": "{n} had it, but nobody has said lately that it still runs.",
    "full": "{n} had it, and {are} full.",
    "access": "{n} had it, without something you need.",
    "avoided": "{n} had it, with something you do not want.",
    "too_far": "{n} had it, and {are} too far for you.",
    "not_then": "{n} had it, at times when you are not free.",
    "costs_too_much": "{n} had it, and cost{s} more than you can spend.",
}


def reason(
    code: str, params: Mapping[str, Any], *, words: Mapping[UUID, str], who: str
) -> str | None:
    """Return one reason as a sentence; None when the words it quotes were taken back.

    None too for a code that this version does not know: an idea of an older run still shows.
    """
    template = PLAIN.get(code)
    if template is None:
        return None
    values: dict[str, str] = {"who": who}
    if "{words}" in template:
        said = words.get(UUID(str(params.get("statement_id"))))
        if said is None:
            return None
        values["words"] = said
    if "metres" in params:
        values["miles"] = miles(int(params["metres"]))
    if "mask" in params:
        values["times"] = times(int(params["mask"]))
    if "pence" in params:
        values["price"] = _sentence_start(in_words(int(params["pence"])))
    if "limit_pence" in params:
        values["limit"] = in_words(int(params["limit_pence"]))
    if "places" in params:
        values["places"] = str(params["places"])
    if "fact" in params:
        there, absent, question = FACT_WORDS[str(params["fact"])]
        values["fact"] = absent if code == "avoidance_met" else there
        values["question"] = question
    return template.format(**values)


def unmet(kind: str, counts: Mapping[str, Any]) -> str:
    """Return why nothing was found, with how many came close."""
    n = int(counts.get(kind, 0))
    one = n == 1
    return UNMET[kind].format(
        n="One" if one else str(n), are="is" if one else "are", s="s" if one else ""
    )


def miles(metres: int) -> str:
    """Return a distance as people here say it."""
    tenths = round(metres / 160.9344)
    if tenths < 5:
        return "less than half a mile"
    return "1 mile" if tenths == 10 else f"{tenths / 10:.1f} miles".replace(".0 ", " ")


def times(mask: int) -> str:
    """Return a mask of times in words: "Tuesday evenings, Saturday mornings"."""
    told = [
        f"{_DAY_NAMES[day][:-1]} {_PART_NAMES[part]}"
        for day, part in (slot.split("_") for slot in mask_slots(mask))
    ]
    if len(told) > 3:
        return f"{', '.join(told[:3])} and more"
    return " and ".join(told) if len(told) <= 2 else f"{told[0]}, {told[1]} and {told[2]}"


def next_look(day: date) -> str:
    """Return when we look again."""
    return (
        f"We look again whenever something changes, and by {day.day} {day:%B} in any case. "
        "We will tell you then, even if it is still no."
    )


def _sentence_start(words: str) -> str:
    return words[:1].upper() + words[1:]
