"""Parts 4 to 6: they make it, each go-ahead is asked, they vote. All over HTTP as themselves."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from api.core import clock
from deploy.demo.company import Company, Progress
from deploy.demo.seed import AREA

LONDON = ZoneInfo("Europe/London")
_PROMISE_DAYS = 14
_RINGS_ON = 3  # a Thursday, as date.weekday() counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the API said while they made it: the group, and the vote that chose."""

    group: dict[str, Any]
    vote: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoAheads:
    """Each go-ahead as whoever decided it left it; and Trevor's own view, money and statement."""

    decided: dict[str, dict[str, Any]]
    told: dict[str, Any]
    mine: dict[str, Any]
    budget: dict[str, Any]
    statement: list[dict[str, Any]]
    group: dict[str, Any]
    own_money: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voted:
    """The vote that confirmed it, the group once it was signed, and who was helped to vote."""

    vote: dict[str, Any]
    group: dict[str, Any]
    people: int
    helped: list[tuple[str, str, str]]
    most_pence: int


def open_budgets(company: Company, progress: Progress) -> None:
    """Let finance open public money, and people their own; each with money in it."""
    seats, script = company.seats, company.script
    finance = seats[script["finance"]]
    funders: dict[str, str] = {}
    for funder in script["funders"]:
        body = {"area": AREA, "body": funder["body"], "name": funder["name"]}
        made = finance.post("/v1/funders", body)
        rules = {"version": made["version"], "rules": funder["rules"]}
        finance.put(f"/v1/funders/{made['id']}/rules", rules)
        funders[funder["key"]] = made["id"]
    today = clock.now().date()
    for number, one in enumerate(company.content.budgets, start=1):
        key = one["person"]
        seat = seats[key] if one["funder"] is None else finance
        new = {
            "person_id": str(company.stories[key]),
            "kind": one["kind"],
            "holder_called": one["holder_called"],
            "starts_on": today.isoformat(),
            "purposes": one["purposes"],
        }
        if one["funder"] is not None:
            new["funder_id"] = funders[one["funder"]]
        made = seat.post("/v1/budgets", new)
        money = {"amount_pence": one["pence"], "reference": f"{today.year}-first"}
        seat.post(f"/v1/budgets/{made['id']}/money-in", money)
        company.budgets[key] = made
        progress(number)


def make_it(company: Company, progress: Progress) -> Made:
    """Part 4: an idea, who joins, offers, a question, the vote that chooses, rules, promises."""
    script = company.script
    first, *others = company.members
    new = {"area": AREA, "name": script["name"], "summary": script["summary"]}
    made = company.seats[first].post("/v1/pools", new | {"called": company.called(first)})
    company.pool_id = made["id"]
    code = company.post(first, "/invitations")["code"]
    for number, key in enumerate(others, start=2):
        company.post(key, "/members", {"called": company.called(key), "code": code})
        progress(number)
    offers = _offers(company, code)
    vote = _choose(company, offers)
    _as_agreed(company, first)
    for number, key in enumerate(company.members, start=1):
        promise = {
            "budget_id": company.budgets[key]["id"],
            "amount_pence": script["promise_pence"],
        }
        company.post(key, "/pledges", promise)
        progress(len(company.members) + number)
    return Made(group=company.view(), vote=vote)


def _offers(company: Company, code: str) -> list[str]:
    """Let two people make an offer, and one question be asked and answered; return the offers."""
    script = company.script
    made = []
    for offer in script["offers"]:
        who = offer["by"]
        body = {name: value for name, value in offer.items() if name != "by"}
        seen = company.post(who, "/offers", body | {"called": company.called(who), "code": code})
        made.append(next(one["id"] for one in seen["offers"] if one["mine"]))
    for said in (script["question"], script["answer"]):
        company.post(said["by"], "/messages", {"offer_id": made[0], "words": said["words"]})
    return made


def _choose(company: Company, offers: list[str]) -> dict[str, Any]:
    choosing = company.script["choosing"]
    new = {"motion": "choose_offer", "words": choosing["words"]}
    seen = company.post(company.members[0], "/votes", new | {"easy_words": choosing["easy_words"]})
    vote = seen["votes"][-1]["id"]
    for key in company.members:
        choice = offers[1] if key in choosing["other"] else offers[0]
        company.post(key, f"/votes/{vote}/ballots", {"choice": choice})
    counted = company.wait_vote()
    company.wait_state("costed")
    return counted


def _as_agreed(company: Company, first: str) -> None:
    """Agree on the six things, then open promises until a day."""
    path = f"/v1/pools/{company.pool_id}/choices"
    company.seats[first].put(path, {"choices": company.script["choices"]})
    until = clock.now() + timedelta(days=_PROMISE_DAYS)
    company.post(first, "/steps", {"to": "pledging", "promise_by": until.isoformat()})


def ask_go_aheads(company: Company, progress: Progress) -> GoAheads:
    """Part 5: each says what they want, and whoever may decide does, one person at a time."""
    script = company.script
    company.post(company.members[0], "/steps", {"to": "review"})
    asked = [key for key in company.members if key in script["wishes"]]
    waiting = {who: _to_decide(company, who) for who in script["go_aheads"]}
    company.wait(
        "each go-ahead asked for",
        lambda: sum(len(_to_decide(company, who)) for who in waiting) == len(asked),
    )
    people = {str(company.stories[key]): key for key in company.members}
    decided: dict[str, dict[str, Any]] = {}
    for who in waiting:
        for one in _to_decide(company, who):
            key = people[one["person_id"]]
            path = f"/v1/sign-offs/{one['id']}"
            company.seats[key].put(f"{path}/wish", {"words": script["wishes"][key]})
            body = _decision(company, who, key)
            decided[key] = company.seats[who].post(f"{path}/decision", body)
            progress(len(decided))
    company.wait_state("approved")
    refused = script["not_yet"]["person"]
    statement = f"/v1/budgets/{company.budgets[refused]['id']}/statement"
    return GoAheads(
        decided=decided,
        told=company.seats[refused].get(f"/v1/sign-offs/{decided[refused]['id']}"),
        mine=company.mine(refused),
        budget=company.budget(refused),
        statement=company.seats[refused].get(statement)["items"],
        group=company.view(),
        own_money=[key for key in company.members if key not in decided],
    )


def _to_decide(company: Company, who: str) -> list[dict[str, Any]]:
    found = company.seats[who].get("/v1/sign-offs")["items"]
    return [one for one in found if one["state"] == "waiting"]


def _decision(company: Company, who: str, key: str) -> dict[str, Any]:
    """Return what somebody decides on somebody's go-ahead, as the content says."""
    no = company.script["not_yet"]
    if (who, key) != (no["by"], no["person"]):
        return {"outcome": "approved", "words": company.script["go_aheads"][who][key]}
    fields = ("ground", "words", "who_can_change", "who_rings")
    day = rings_by(clock.now().astimezone(LONDON).date())
    return {"outcome": "declined", "rings_by": day.isoformat()} | {
        name: no[name] for name in fields
    }


def rings_by(today: date) -> date:
    """Return the next Thursday that is a day off or more."""
    return today + timedelta(days=(_RINGS_ON - today.weekday() - 1) % 7 + 1)


def confirm(company: Company, progress: Progress) -> Voted:
    """Part 6: the body is named, they vote until its last day, two pass it, it is signed."""
    script = company.script
    company.seats[script["body"]["by"]].put(
        f"/v1/pools/{company.pool_id}/body", {"called": script["body"]["called"]}
    )
    asked = script["confirming"]
    new = {"motion": "confirm", "words": asked["words"], "easy_words": asked["easy_words"]}
    seen = company.post(company.members[0], "/votes", new)
    vote, people = seen["votes"][-1], seen["people"]
    there = [key for key in company.members if key != script["not_yet"]["person"]]
    helped = []
    for number, key in enumerate((one for one in there if one not in asked["away"]), start=1):
        body = {"choice": "no" if key in asked["no"] else "yes"}
        if key in asked["helped"]:
            body["helped"] = asked["helped"][key]
        seen = company.post(key, f"/votes/{vote['id']}/ballots", body)
        if "helped" in body:
            helped.append((company.called(key), body["helped"], seen["votes"][-1]["my_choice"]))
        progress(number)
    for who in script["approvers"]:
        company.post(who, "/approvals")
    company.move_to(datetime.fromisoformat(vote["closes_at"]) + timedelta(minutes=1))
    counted = company.wait_vote()
    group = company.wait_state("contracted")
    promised = [one["promised_pence"] for key in there for one in company.mine(key)["money"]]
    return Voted(vote=counted, group=group, people=people, helped=helped, most_pence=max(promised))
