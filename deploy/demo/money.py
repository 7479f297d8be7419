"""Part 7: sessions happen, members say so, it is paid, one leaves, the holders confirm, it closes.

The clock is moved to the evening after the last session of each part.
"""

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any

from api.core import clock
from deploy.demo.company import Company, Progress
from deploy.demo.seed import AREA
from deploy.demo.together import LONDON

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVENING = timedelta(hours=3)


@dataclass(slots=True, kw_only=True)
class Money:
    """What the API said while money moved: each part, who left, the confirmed file, the end."""

    parts: list[dict[str, Any]] = field(default_factory=list)
    paid_each: list[list[int]] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)
    left: dict[str, Any] = field(default_factory=dict)
    confirmed: dict[str, Any] = field(default_factory=dict)
    group: dict[str, Any] = field(default_factory=dict)
    mine: dict[str, dict[str, Any]] = field(default_factory=dict)


def spend(company: Company, progress: Progress) -> Money:
    """Go from signing to the last penny back."""
    money, script = Money(), company.script
    first = first_session(company)
    leaves = script["leaves"]
    stages = company.view()["stages"]
    for done, stage in enumerate(stages, start=1):
        before = _used(company)
        _happen(company, stage, first=first)
        seen = company.view()
        money.parts.append(seen["stages"][stage["number"] - 1])
        after = _used(company)
        money.paid_each.append([now - then for now, then in zip(after, before, strict=True)])
        progress(done)
        if done == 1:
            money.before = company.mine(leaves)
            money.left = company.post(leaves, "/leave", {})
    end = script["at_the_end"]
    offer = next(one["id"] for one in company.view()["offers"] if one["chosen"])
    company.post(end["by"], "/messages", {"offer_id": offer, "words": end["words"]})
    company.wait_state("reviewed")
    money.confirmed = _confirm(company)
    money.group = company.wait_state("closed")
    money.mine = {key: company.mine(key) for key in company.members}
    progress(len(stages) + 1)
    return money


def first_session(company: Company) -> datetime:
    """Return when the first session is: the next day of the group's, at its time."""
    starts = company.script["starts_at"]
    here = clock.now().astimezone(LONDON)
    ahead = (_DAYS.index(starts["day"]) - here.weekday() - 1) % 7 + 1
    day = (here + timedelta(days=ahead)).date()
    return datetime.combine(day, time.fromisoformat(starts["time"]), tzinfo=LONDON)


def weeks_to_come(company: Company) -> int:
    """Return how many weeks the clock is going to be moved on, to the last session."""
    last = max(one["last_session"] for one in company.view()["stages"])
    over = first_session(company) + timedelta(weeks=last - 1) + _EVENING
    return round((over - clock.now()) / timedelta(weeks=1))


def _happen(company: Company, stage: dict[str, Any], *, first: datetime) -> None:
    """Let a part's sessions happen, who leads say so, and as many members as it takes."""
    last = first + timedelta(weeks=stage["last_session"] - 1)
    company.move_to(last + _EVENING)
    path = f"/stages/{stage['number']}/words"
    company.post(company.script["offers"][0]["by"], path, {"what": "done"})
    needed = company.view()["stages"][stage["number"] - 1]["needed"]
    for key in _there(company)[:needed]:
        company.post(key, path, {"what": "confirmed"})

    def paid() -> bool:
        return bool(company.view()["stages"][stage["number"] - 1]["state"] == "paid")

    company.wait(f"part {stage['number']} paid", paid)


def _there(company: Company) -> list[str]:
    """Return who is in the group now, in the order in which they joined."""
    numbers = {one["number"] for one in company.view()["members"]}
    return [key for n, key in enumerate(company.members, start=1) if n in numbers]


def _used(company: Company) -> list[int]:
    """Return what was used of each one's money so far, in joining order, as each sees their own."""
    return [sum(one["used_pence"] for one in company.mine(key)["money"]) for key in company.members]


def _confirm(company: Company) -> dict[str, Any]:
    """Let finance say, as a file, that whoever holds the money has paid."""
    seat = company.seats[company.script["finance"]]
    path = f"/v1/payments?area={AREA}&state=instructed"
    page = seat.get(path)
    items = list(page["items"])
    while page["next"] is not None:
        page = seat.get(f"{path}&cursor={page['next']}")
        items += page["items"]
    day = clock.now().astimezone(LONDON).date().isoformat()
    lines = ["reference,amount_pence,paid_on,outcome"]
    lines += [f"{one['reference']},{one['amount_pence']},{day},paid" for one in items]
    answer: dict[str, Any] = seat.post("/v1/payments/confirmations", {"csv": "\n".join(lines)})
    if answer["bad"]:
        raise RuntimeError(f"the demo's file was not taken: {answer['bad'][0]['why']}")
    return answer


def next_term(company: Company) -> dict[str, Any]:
    """Let somebody offer to lead, and try to pay them with their own public money: the refusal."""
    new = company.script["next_term"]
    starts, leads = new["starts"], new["leads"]
    body = {"area": AREA, "name": new["name"], "summary": new["summary"]}
    made = company.seats[starts].post("/v1/pools", body | {"called": company.called(starts)})
    path = f"/v1/pools/{made['id']}"
    seats = company.seats
    code = seats[starts].post(f"{path}/invitations")["code"]
    fields = ("words", "lines", "sessions", "stages", "min_people", "max_people", "checks_seen")
    offer = {name: new[name] for name in (*fields, "notice_sessions")}
    seats[leads].post(f"{path}/offers", offer | {"called": company.called(leads), "code": code})
    joined = {"called": company.called(leads), "code": code}
    seen = seats[leads].post(f"{path}/members", joined)
    asked = {"motion": "choose_offer", "words": new["easy_words"], "easy_words": new["easy_words"]}
    seen = seats[starts].post(f"{path}/votes", asked)
    vote, choice = seen["votes"][-1]["id"], seen["offers"][0]["id"]
    for key in (starts, leads):
        seats[key].post(f"{path}/votes/{vote}/ballots", {"choice": choice})
    company.wait("next term's offer", lambda: seats[starts].get(path)["state"] == "costed")
    until = (clock.now() + timedelta(weeks=2)).isoformat()
    seats[starts].post(f"{path}/steps", {"to": "pledging", "promise_by": until})
    promise = {
        "budget_id": company.budgets[leads]["id"],
        "amount_pence": new["promise_pence"],
    }
    return seats[leads].refused(f"{path}/pledges", promise)
