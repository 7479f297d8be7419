"""What the demo prints. Every word about people and things comes from the run itself."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx2
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deploy.demo import seed
from deploy.demo.content import Content

LONDON = ZoneInfo("Europe/London")
TOLD_IN_FULL = "nadia"
NOTHING_YET = "joe"
WIDTH = 100
LABEL = 15


@dataclass(frozen=True, slots=True)
class Ideas:
    """One person's story, ideas and unmet wants, as the API gave them to that person."""

    key: str
    story: dict[str, Any]
    suggestions: list[dict[str, Any]]
    unmet: list[dict[str, Any]]


def opening(out: Console) -> None:
    """Say what is about to happen."""
    line(out, "Some people near Stretford want a dance group. There isn't one yet. Watch.")
    line(
        out,
        "(Everyone is made up, and no real money moves. The database, queue and worker are real, "
        "on this computer. Weeks pass when we say so.)",
    )


def who_is_here(out: Console, content: Content) -> None:
    """Part 1: how many, and where."""
    towns: list[str] = []
    settings = next(one["settings"] for one in content.areas if one["slug"] == seed.AREA)
    for one in content.people:
        town = settings["towns"].get(one["near"]) or settings["towns"][one["near"].split()[0]]
        if town not in towns:
            towns.append(town)
    head(out, 1, "WHO IS HERE")
    line(
        out,
        f"{len(content.people)} people · {len(content.listings)} things to join · "
        + ", ".join(towns),
    )


def two_questions(
    out: Console, seats: seed.Seats, content: Content, stories: dict[str, UUID]
) -> None:
    """Part 2: what some of them said."""
    head(out, 2, "TWO QUESTIONS")
    rows = [("", "[dim]What are you good at?[/dim]", "[dim]What do you want to do?[/dim]")]
    shown = [TOLD_IN_FULL, "mrs-adeyemi", NOTHING_YET]
    for key in shown:
        said = seats[key].get(f"/v1/people/{stories[key]}")
        rows.append(
            (
                f"{said['called']}, {said['town']}",
                _quoted(said["good_at"]),
                _quoted(said["want_to"]),
            )
        )
    out.print(Padding(_columns(*rows), (0, 0, 0, 3)))
    line(out, "Nobody was asked what is wrong with them.")
    line(out, f"({len(content.people) - len(shown)} more, with --people)", style="dim")


def ideas(
    out: Console,
    seats: seed.Seats,
    gathered: list[Ideas],
    *,
    everybody: bool,
    seconds: float,
) -> None:
    """Part 3: one idea in full, and one honest "nothing here yet"."""
    head(out, 3, "IDEAS")
    matched = sum(1 for one in gathered if one.suggestions)
    line(
        out,
        f"We looked for {len(gathered)} people in {seconds:.0f} seconds, and found ideas for "
        f"{matched}.",
    )
    by_key = {one.key: one for one in gathered}
    full = by_key[TOLD_IN_FULL]
    if full.suggestions:
        _idea(out, full, full.suggestions[0])
    _nothing_yet(out, seats, by_key[NOTHING_YET])
    if everybody:
        for one in gathered:
            _briefly(out, one)


def real_ones(out: Console, client: httpx2.Client, result: dict[str, Any]) -> None:
    """The imported organisations, found by search."""
    body = {
        "words": "music",
        "near": "M32 8",
        "within_metres": 10_000,
        "section": "not_confirmed_lately",
        "limit": 3,
    }
    found = client.post("/v1/listings/search", json=body).json()["items"]
    result["found_by_search"] = len(found)
    line(out, "")
    line(
        out,
        f"{result['imported']:,} real organisations came in too ({result['import_errors']} rows "
        "could not be read, and are listed by ./kith import).",
    )
    for one in found:
        line(out, f'  "music" near Stretford: {one["name"]}, {_miles(one["distance_metres"])}')
    line(out, "They have not confirmed lately, so they can be found and are never suggested.")


def ending(out: Console, address: str, pages: list[Path], *, stays: bool) -> None:
    """What to open next, and what nobody has tested."""
    head(out, 8, "YOUR TURN")
    line(out, "Three pages to open in a browser, one for each of three people:")
    for page in pages:
        line(out, f"  {page}")
    if stays:
        line(out, f"Open {address}/docs: every address, and what it takes.")
        line(out, f"Things to join near Stretford: {address}/v1/listings?near=M32")
        line(
            out,
            f"Sign in as any of them: POST {address}/v1/sessions "
            '{"by": "demo", "who": "nadia"}   (or joe, kay; sam, social worker; alan, who bakes)',
        )
        line(
            out,
            "Then GET /v1/me names their story, /v1/people/ID/suggestions its ideas, /v1/budgets "
            "their money.",
        )
        line(out, "Stop: Ctrl-C")
    else:
        line(out, "It has stopped now. ./kith demo stays up, with every address at /docs.")
        line(out, "Everybody's ideas: ./kith demo --people     Next to read: README.md")
    line(
        out,
        "Not here yet: first meetings, blocking and reporting, real sign-in, Shared Lives "
        "approval. No one who uses support has tested this.",
        style="dim",
    )


def _idea(out: Console, one: Ideas, suggestion: dict[str, Any]) -> None:
    idea = suggestion["idea"]
    own = idea["kind"] == "own_offer"
    title = f"{one.story['called']}, meet {idea['who']}?" if own else idea["name"]
    words = f"{idea['who'] or idea['name']}, {idea['town']}: \u201c{idea['words']}\u201d"
    line(out, "")
    line(out, f"[bold]{title}[/bold]  {words}")
    _reasons(out, "Why it may fit", suggestion["why_it_may_fit"])
    _reasons(out, "Why it may not", suggestion["why_it_may_not"])
    if suggestion["good_to_know"]:
        pair(out, "Good to know", suggestion["good_to_know"])
    _reasons(out, "We don't know", suggestion["we_do_not_know"])
    line(
        out,
        "Nothing happens until both say yes. The first meeting is in a public place, with someone "
        "you trust if you like.",
    )


def _nothing_yet(out: Console, seats: seed.Seats, one: Ideas) -> None:
    name = one.story["called"]
    line(out, "")
    if not one.unmet:
        line(out, f"{name} has ideas for everything he wants.")
        return
    want = one.unmet[0]
    asked = seats[one.key].post(
        "/v1/enquiries", {"area": seed.AREA, "words": "Nothing fits yet. Can somebody ring me?"}
    )
    due = datetime.fromisoformat(asked["due_at"]).astimezone(LONDON)
    line(out, f"[bold]{name}, nothing here for you yet.[/bold]  \u201c{want['words']}\u201d")
    line(
        out,
        f"We looked at {want['looked_at']} things and offers, {want['people_looked_at']} of them "
        f"other people's. {want['why']}",
    )
    line(out, want["next_look"])
    line(
        out,
        f"{name} asked the front door too. A person at {asked['front_door']} answers by "
        f"{due:%A %-d %B}, even if it is still no.",
    )
    line(out, "You can: " + " ".join(want["you_can"][1:]))


def _briefly(out: Console, one: Ideas) -> None:
    line(out, "")
    line(out, f"[bold]{one.story['called']}, {one.story['town']}[/bold]")
    if one.story["ask_by"] is not None:
        by = datetime.fromisoformat(one.story["ask_by"]).astimezone(LONDON)
        line(out, f"Not asked yet. Somebody asks by {by:%A %-d %B}.")
        return
    line(out, f"Good at {_quoted(one.story['good_at'])}  Wants {_quoted(one.story['want_to'])}")
    for suggestion in one.suggestions:
        idea, why = suggestion["idea"], suggestion["why_it_may_fit"]
        line(out, f"  · {idea['name']} ({idea['town']}): {why[0]['words']}")
    for want in one.unmet:
        line(
            out, f"  · nothing here yet for \u201c{want['words']}\u201d {want['why']}", style="dim"
        )


def _reasons(out: Console, label: str, reasons: list[dict[str, Any]]) -> None:
    if reasons:
        pair(out, label, " ".join(one["words"] for one in reasons))


def pair(out: Console, label: str, words: str) -> None:
    """Print a label and what belongs to it."""
    row = Table.grid(padding=(0, 1))
    row.add_column(width=LABEL)
    row.add_column()
    row.add_row(Text(label, style="dim"), Text(words))
    out.print(Padding(row, (0, 0, 0, 5)))


def _quoted(statements: list[dict[str, Any]]) -> str:
    return "\u201c" + " ".join(one["words"] for one in statements) + "\u201d" if statements else "-"


def _miles(metres: int) -> str:
    return f"{metres / 1609.344:.1f} miles"


def head(out: Console, number: int, words: str) -> None:
    """Print the head of a part."""
    out.print()
    out.print(f"[bold cyan]{number}  {words}[/bold cyan]")


def _columns(*rows: tuple[str, str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    for width in (24, 30, 36):
        table.add_column(width=width)
    for row in rows:
        table.add_row(*row)
    return table


def line(out: Console, words: str, *, style: str = "") -> None:
    """Print a line of the story, wrapped."""
    out.print(Padding(Text.from_markup(words, style=style), (0, 0, 0, 3)))
