"""Part 8: three pages about the same weeks, for Nadia, for Trevor and for Sam.

What is said on them is what the API told each of them as themselves.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.demo import pictures
from deploy.demo.company import Company
from deploy.demo.money import Money
from deploy.demo.page import Html, element, join, listed, page, pairs, table
from deploy.demo.telling import day, pounds
from deploy.demo.together import LONDON, GoAheads, Voted

SIGNER = "sam"
_GO_AHEAD = {"approved": "yes", "declined": "not yet", "waiting": "waiting"}


def write(
    folder: Path,
    company: Company,
    *,
    asked: GoAheads,
    voted: Voted,
    spent: Money,
    refusal: dict[str, Any],
) -> list[Path]:
    """Write the three pages into a folder; return their paths."""
    first, refused = company.members[0], company.script["not_yet"]["person"]
    signer = company.seats[SIGNER]
    seen = {
        company.called(key): signer.get(f"/v1/sign-offs/{one['id']}")
        for key, one in asked.decided.items()
        if one["decisions"][-1]["decided_by"] == company.called(SIGNER)
    }
    waiting = [one for one in signer.get("/v1/sign-offs")["items"] if one["state"] == "waiting"]
    pages = {
        first: easy(
            company.called(first),
            mine=spent.mine[first],
            group=spent.group,
            vote=voted.vote,
            go_ahead=asked.decided[first],
            refusal=refusal,
        ),
        refused: not_yet(
            company.called(refused),
            told=asked.told,
            mine=company.mine(refused),
            budget=company.budget(refused),
            group=asked.group,
        ),
        SIGNER: signed(company.called(SIGNER), seen=seen, waiting=waiting),
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for who, html in pages.items():
        path = folder / f"{who}.html"
        path.write_text(html, encoding="utf-8")
        written.append(path)
    return written


def _idea(picture: Html, *words: str) -> Html:
    return element(
        "div", picture, element("div", *(element("p", one) for one in words)), class_="idea"
    )


def _sentences(words: str) -> list[str]:
    """Return a text sentence by sentence: one idea a line."""
    return re.split(r"(?<=[.!?])\s+", words.strip())


def _sum(pence: int) -> Html:
    return element("span", pounds(pence), class_="sum")


def easy(
    name: str,
    *,
    mine: dict[str, Any],
    group: dict[str, Any],
    vote: dict[str, Any],
    go_ahead: dict[str, Any],
    refusal: dict[str, Any],
) -> str:
    """Nadia's page, easy to read: one idea a line, each with a picture."""
    offer = next(one for one in group["offers"] if one["chosen"])
    money, counts = mine["money"][0], vote["counts"]
    decided, said = go_ahead["decisions"][-1], group["messages"][-1]
    return page(
        f"{name}: {group['name']}",
        element("h2", "The group"),
        _idea(pictures.DANCER, f"You started {group['name']}."),
        _idea(
            pictures.PEOPLE, f"{group['people']} people danced to the end.", "You are one of them."
        ),
        _idea(pictures.CLOCK, *_sentences(group["summary"])),
        _idea(pictures.TALK, f"{offer['called']} led the dancing."),
        element("h2", "What was agreed"),
        _idea(pictures.JAR, join("You promised ", _sum(money["promised_pence"]), ".")),
        _idea(
            pictures.YES,
            f"{decided['decided_by']} gave the go-ahead:",
            *_sentences(decided["words"]),
        ),
        _idea(
            pictures.BOX,
            "The group had a vote.",
            f"{counts.get('yes', 0)} said yes. {counts.get('no', 0)} said no.",
        ),
        _idea(pictures.PEN, f"{group['body_called']}, signed for the group."),
        element("h2", "Your money"),
        _idea(pictures.JAR, join("You put in ", _sum(money["put_in_pence"]), ".")),
        _idea(pictures.SPENT, join(_sum(money["used_pence"]), " was used.")),
        _idea(
            pictures.BACK,
            join(_sum(money["returned_pence"]), " came back."),
            f"It is in your {str(money['kind']).lower()} again.",
        ),
        element("h2", "What comes next"),
        _idea(pictures.STAR, f"{said['called']} says:", *_sentences(said["words"])),
        _idea(
            pictures.NO_COINS,
            f"Your own {str(money['kind']).lower()} cannot pay you.",
            refusal["detail"],
        ),
        element("h2", "You can"),
        _idea(pictures.TALK, *refusal["what_else"]),
        _idea(
            pictures.STOP,
            "Are you worried? Say: Stop, I'm worried.",
            "Then nothing changes until somebody has checked.",
            "In danger now? Ring 999.",
        ),
        easy=True,
    )


def not_yet(
    name: str,
    *,
    told: dict[str, Any],
    mine: dict[str, Any],
    budget: dict[str, Any],
    group: dict[str, Any],
) -> str:
    """Trevor's page: what he was told, his ways on, his money, what others know."""
    no, wish = told["decisions"][-1], told["wish"]
    promised = sum(one["promised_pence"] for one in mine["money"])
    kept = budget["promised_pence"] + budget["together_pence"]
    return page(
        f"{name}: no go-ahead yet",
        element(
            "p",
            f"You wanted to join {mine['name']} with money from your "
            f"{str(budget['called']).lower()}.",
        ),
        element("h2", "What you were told"),
        element(
            "div",
            element("blockquote", join("\u201c", no["words"], "\u201d")),
            element("p", f"{no['decided_by']}, {day(no['at'])}. {no['ground_means']}"),
            class_="card",
        ),
        element("h2", "What you said"),
        element("blockquote", join("\u201c", wish["words"], "\u201d")),
        element("p", "Your words stand beside the decision. You can change them."),
        element("h2", "What happens next"),
        element(
            "div",
            pairs(
                ("Who can change it", no["who_can_change"]),
                ("Who rings you", f"{no['who_rings']}, by {day(no['rings_by'])}."),
            ),
            class_="card warm",
        ),
        element("h2", "What you can do"),
        listed(*told["ways_on"]),
        element("h2", "Your money"),
        element(
            "p",
            join(
                "You had promised ",
                _sum(promised),
                ". It is yours: it was never put together with other people's money.",
            )
            if kept == 0
            else join("You have promised ", _sum(kept), "."),
        ),
        table(
            f"Your {str(budget['called']).lower()} today",
            [
                ("Free to use", pounds(budget["free_pence"])),
                ("Kept for promises", pounds(budget["promised_pence"])),
                ("Put together with others", pounds(budget["together_pence"])),
                ("Paid", pounds(budget["waiting_pence"] + budget["paid_pence"])),
            ],
        ),
        element("p", "Your plan says that this money is for:"),
        listed(*(one["words"] for one in budget["purposes"])),
        element("h2", "What the others know"),
        element(
            "p",
            f"They see that {group['people']} people are in. Nobody was told why.",
        ),
    )


def signed(name: str, *, seen: dict[str, dict[str, Any]], waiting: list[dict[str, Any]]) -> str:
    """Sam's page: each go-ahead with both views side by side, and its clock."""
    yes = sum(1 for one in seen.values() if one["state"] == "approved")
    left = (
        "Nothing waits for you."
        if not waiting
        else f"{len(waiting)} wait for you. The soonest is due {day(waiting[0]['due_at'])}."
    )
    return page(
        f"{name}: your go-aheads",
        element("p", f"You were asked {len(seen)} times and said yes {yes} times. {left}"),
        element(
            "p",
            "A no has one of three reasons: the law, safety, or the plan. If nobody decides in "
            "time, a manager is asked. Silence is never a no.",
        ),
        *(_one(who, one) for who, one in seen.items()),
    )


def _one(who: str, one: dict[str, Any]) -> Html:
    """Return one go-ahead: the person's words and the signer's side by side, and its clock."""
    decided, about = one["decisions"][-1], one["about"]
    took = datetime.fromisoformat(decided["at"]) - datetime.fromisoformat(one["asked_at"])
    return element(
        "section",
        element("h2", f"{who}: {_GO_AHEAD[decided['outcome']]}"),
        element("p", f"{about['what']}, {about['promised']}, offered by {about['offered_by']}."),
        element(
            "div",
            _view(f"What {who} wants", one["wish"]["words"]),
            _view("What you said", decided["words"]),
            class_="card two",
        ),
        element(
            "p",
            f"Asked on {_moment(one['asked_at'])}. Due by {_moment(one['due_at'])}. "
            f"Decided {_took(took.days)}.",
        ),
    )


def _view(whose: str, words: str) -> Html:
    said = element("blockquote", f"\u201c{words}\u201d")
    return element("div", element("h3", whose), said)


def _moment(at: str) -> str:
    return f"{day(at)} at {datetime.fromisoformat(at).astimezone(LONDON):%H:%M}"


def _took(days: int) -> str:
    if days == 0:
        return "on the same day"
    return "a day later" if days == 1 else f"{days} days later"
