"""Parts 4 to 7 as the demo prints them. Figures and words come from the run itself."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from deploy.demo.company import Company
from deploy.demo.money import Money
from deploy.demo.story import head, line, pair
from deploy.demo.together import LONDON, GoAheads, Made, Voted
from deploy.demo.totals import Totals

_HELPED = {
    "read_out": "read it out",
    "explained": "explained it",
    "pictures": "showed pictures",
    "interpreted": "said it in their language",
}


def pounds(pence: int) -> str:
    """Return pence as pounds with both places: 985 is "£9.85"."""
    return f"£{pence // 100:,}.{pence % 100:02d}"


def day(at: str) -> str:
    """Return a day or a moment of the API's as people say it, where they live."""
    on = date.fromisoformat(at) if len(at) == len("2026-01-01") else _here(at).date()
    return f"{on:%A %-d %B}"


def _here(at: str) -> datetime:
    return datetime.fromisoformat(at).astimezone(LONDON)


def made(out: Console, told: Made) -> None:
    """Part 4: what they made, what it costs, what they agreed, what they promised."""
    group = told.group
    offer = next(one for one in group["offers"] if one["chosen"])
    head(out, 4, "SO THEY MADE IT")
    line(out, f"[bold]{group['name']}.[/bold] {offer['words']} {group['people']} people want it.")
    parts = ", ".join(f"{one['words']} {pounds(one['pence'])}" for one in offer["lines"])
    line(
        out,
        f"{pounds(offer['session_pence'])} a session: {parts}. With {offer['min_people']} people "
        f"that is {pounds(offer['each_pence'])} each for all {offer['sessions']} sessions; with "
        "more people, less.",
    )
    for said in group["messages"]:
        does = "says" if said["by"] == "provider" else "asks"
        pair(out, f"{said['called']} {does}", said["words"])
    counts = told.vote["counts"]
    votes = " · ".join(
        f"{counts.get(one['id'], 0)} for {one['called']} at {pounds(one['session_pence'])}"
        for one in group["offers"]
    )
    line(out, f"They voted on who shall do it: {votes}.")
    agreed = {one["topic"]: one["words"] for one in group["choices"]}
    line(
        out, f"Before any money they agreed {len(agreed)} things: {', '.join(agreed)}. One of them:"
    )
    pair(out, "Leaving", agreed["leaving"])
    line(
        out,
        f"Then each promised {pounds(group['promised_pence'] // group['people'])}: "
        f"{pounds(group['promised_pence'])} in all, kept for this and not spent. "
        f"{pounds(group['target_pence'])} is enough.",
    )


def go_aheads(out: Console, company: Company, told: GoAheads) -> None:
    """Part 5: who said yes to whom; what was said of the no, to whom, and what others see."""
    head(out, 5, "THE GO-AHEAD")
    line(out, "One person at a time, never the group.")
    yes = Counter(
        (company.budgets[key]["kind"], _last(one)["decided_by"])
        for key, one in told.decided.items()
        if one["state"] == "approved"
    )
    for (kind, who), number in yes.items():
        people = [
            company.called(key)
            for key, one in told.decided.items()
            if company.budgets[key]["kind"] == kind and one["state"] == "approved"
        ]
        line(out, f"  {number} yes from {who} ({_kind(told, company, kind)}): {', '.join(people)}.")
    own = ", ".join(company.called(key) for key in told.own_money)
    line(out, f"  {len(told.own_money)} own money: nobody else's yes is needed. {own}.")
    no = _last(told.told)
    name = company.called(company.script["not_yet"]["person"])
    line(out, "")
    line(out, f"[bold]Not yet for {name}[/bold], from {no['decided_by']}. What {name} was told:")
    pair(out, "Why", f"\u201c{no['words']}\u201d")
    pair(
        out,
        "Who can change",
        f"{no['who_can_change']} {no['who_rings']} rings by {day(no['rings_by'])}.",
    )
    pair(out, "You can", " ".join(told.told["ways_on"]))
    _what_others_see(out, told)
    _never_left(out, name, told)


def _kind(told: GoAheads, company: Company, kind: str) -> str:
    """Return what people call a kind of money, as the API does."""
    person = next(key for key in told.decided if company.budgets[key]["kind"] == kind)
    return str(company.budget(person)["called"]).lower()


def _last(sign_off: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = sign_off["decisions"][-1]
    return found


def _what_others_see(out: Console, told: GoAheads) -> None:
    group = told.group
    least = next(one["min_people"] for one in group["offers"] if one["chosen"])
    pair(
        out,
        "Others see",
        f"{group['people']} people are in, {least} are enough; {pounds(group['promised_pence'])} "
        f"is promised, {pounds(group['target_pence'])} is enough. Nobody is told why.",
    )


def _never_left(out: Console, name: str, told: GoAheads) -> None:
    """Say where the money is, and that it never left: the statement shows no line out."""
    went = sum(-one["amount_pence"] for one in told.statement if one["amount_pence"] < 0)
    money = told.budget
    promised = next(one["promised_pence"] for one in told.mine["money"])
    left = "never left" if went == 0 else f"left by {pounds(went)} from"
    kept = pounds(money["promised_pence"]) if money["promised_pence"] else "nothing"
    pair(
        out,
        f"{name}'s money",
        f"The {pounds(promised)} {left} {name}: {pounds(money['free_pence'])} to use, {kept} kept "
        "for promises.",
    )


def voted(out: Console, company: Company, told: Voted) -> None:
    """Part 6: how the vote went, who helped, who signs and who passed it."""
    counts = told.vote["counts"]
    head(out, 6, "THE VOTE")
    line(out, f"\u201c{told.vote['easy_words']}\u201d We moved the clock on to its last day.")
    helped = [f"{who}'s helper {_HELPED[how]}; {who} voted." for who, how, _ in told.helped]
    line(
        out,
        f"{sum(counts.values())} of {told.people} voted: {counts.get('yes', 0)} yes, "
        f"{counts.get('no', 0)} no. " + " ".join(helped),
    )
    passed = " and ".join(company.called(one) for one in company.script["approvers"])
    line(
        out,
        f"{told.group['body_called']}, signs and pays. {passed} passed it: neither wrote it, is "
        "paid by it or takes part.",
    )
    line(out, f"Nobody can owe more than they promised: {pounds(told.most_pence)}.")


def moving(out: Console, *, weeks: int) -> None:
    """Part 7 begins: the clock is moved, and it is said."""
    head(out, 7, "THE MONEY")
    line(
        out,
        f"[bold]We move the clock on {weeks} weeks.[/bold] A part is paid only after members said "
        "that it happened.",
    )


def spent(
    out: Console, company: Company, told: Money, totals: Totals, refusal: dict[str, Any]
) -> None:
    """Part 7: each part, who left, the table, the books counted, and what comes next."""
    notice = _notice(company, told)
    rows = [
        (
            f"Sessions {part['first_session']} to {part['last_session']}",
            pounds(part["amount_pence"]),
            f"{_each(each, notice if number else None)} {part['confirmed_by']} said it happened.",
        )
        for number, (part, each) in enumerate(zip(told.parts, told.paid_each, strict=True))
    ]
    rows.insert(1, _leaving(company, told))
    out.print(Padding(_grid(rows), (0, 0, 0, 3)))
    line(out, "")
    out.print(Padding(_table(totals), (0, 0, 0, 3)))
    line(
        out,
        f"We counted the books: {totals.rules - len(totals.broken)} of {totals.rules} rules hold "
        f"for all {totals.accounts} accounts. {told.confirmed['confirmed']} payments were "
        "confirmed by whoever holds the money.",
    )
    _leads(out, company, told, refusal)


def _notice(company: Company, told: Money) -> tuple[str, int]:
    """Return who left and what was used of their money after that: the notice, as agreed."""
    key = company.script["leaves"]
    after, then = told.mine[key]["money"][0], told.left["money"][0]
    return company.called(key), after["used_pence"] - then["used_pence"]


def _each(paid: Sequence[int], notice: tuple[str, int] | None) -> str:
    """Return how many paid how much, with the notice of who left on its own."""
    counts = Counter(one for one in paid if one > 0)
    said = []
    if notice is not None:
        counts[notice[1]] -= 1
        said.append(f"{notice[0]}'s {pounds(notice[1])}")
    said += [
        f"{number} {'person' if number == 1 else 'people'} {pounds(pence)}"
        for pence, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if number
    ]
    return ", ".join(said) + "."


def _leaving(company: Company, told: Money) -> tuple[str, str, str]:
    """Return the row of who left: put in, used, notice, and what went back."""
    name = company.called(company.script["leaves"])
    money = told.left["money"][0]
    return (
        f"{name} leaves",
        pounds(money["returned_pence"]),
        f"{pounds(money['put_in_pence'])} - {pounds(money['used_pence'])} used - "
        f"{pounds(money['left_pence'])} notice, as agreed = {pounds(money['returned_pence'])} back "
        f"to {name}'s {str(money['kind']).lower()}.",
    )


def _table(totals: Totals) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=24)
    for _ in range(3):
        table.add_column(justify="right", width=11)
    table.add_column()
    table.add_row("", *(f"[dim]{word}[/dim]" for word in ("Put in", "Used", "Went back")), "")
    for one in totals.kinds:
        table.add_row(
            f"{one.called} ({one.sources})",
            pounds(one.put_in_pence),
            pounds(one.used_pence),
            pounds(one.returned_pence),
            "to where it came from" if one.left_pence == 0 else f"{pounds(one.left_pence)} left",
        )
    table.add_row(
        "[bold]All[/bold]",
        *(
            f"[bold]{pounds(sum(getattr(one, name) for one in totals.kinds))}[/bold]"
            for name in ("put_in_pence", "used_pence", "returned_pence")
        ),
        f"[bold]missing: {totals.missing_pence}p[/bold]",
    )
    return table


def _grid(rows: Sequence[tuple[str, str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=18)
    table.add_column(justify="right", width=8)
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return table


def _leads(out: Console, company: Company, told: Money, refusal: dict[str, Any]) -> None:
    """What came of it for whoever started, and why their own public money cannot pay them."""
    first = company.members[0]
    name = company.called(first)
    money = told.mine[first]["money"][0]
    said = told.group["messages"][-1]
    line(out, "")
    line(
        out,
        f"[bold]{name}[/bold] put in {pounds(money['put_in_pence'])}, used "
        f"{pounds(money['used_pence'])}, got {pounds(money['returned_pence'])} back. "
        f"{said['called']} says: \u201c{said['words']}\u201d",
    )
    line(
        out,
        f"Could {name}'s own {str(money['kind']).lower()} pay {name} then? We asked, and no: "
        f"\u201c{refusal['detail']}\u201d",
    )
    pair(out, "Ways on", " ".join(refusal["what_else"]))
