"""The demo's main job, part by part, with what each took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.core import clock
from deploy import directories
from deploy.cli.running import start_parts, start_workers
from deploy.cli.world import World, home, prepare, with_database
from deploy.demo import money, pages, seed, story, telling, together, totals
from deploy.demo.company import Company
from deploy.demo.content import Content, load
from deploy.local import Processes, StackError
from deploy.migrate import plain

MATCHING_SECONDS = 180

_WAITING = (
    "SELECT count(*) FROM outbox WHERE done_at IS NULL AND dead_at IS NULL"
    " AND task LIKE 'matches.%'"
)
_LOOKED_FOR = (
    "SELECT count(DISTINCT payload ->> 'person_id') FROM outbox"
    " WHERE task = 'matches.rematch' AND done_at IS NOT NULL"
)


class Told:
    """Seconds per part, and progress bars on stderr so that stdout stays the story's or JSON's."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.console = Console(stderr=True)

    @contextmanager
    def part(
        self, name: str, words: str, total: int | None = None
    ) -> Iterator[Callable[[int], None]]:
        """Time one part and show how far it is."""
        started = time.monotonic()
        if not self.console.is_terminal:
            self.console.print(f"  {words} …")
        bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        with bar:
            task = bar.add_task(words, total=total)
            yield lambda done: bar.update(task, completed=done)
        self.seconds[name] = round(time.monotonic() - started, 2)


def run(
    world: World,
    processes: Processes,
    *,
    directory: Path | None,
    everybody: bool,
    port: int,
    quiet: bool,
    stays: bool,
) -> dict[str, Any]:
    """Run the main job on a fresh demo database and tell it; return its figures."""
    told, content = Told(), load()
    out = Console(quiet=quiet, highlight=False, width=story.WIDTH)
    story.opening(out)
    with told.part("getting_ready", "getting ready"):
        prepare(world, purpose="demo", say=lambda _: None, afresh=True)
        clock.follow(world.settings.clock_file)
        started = clock.now()
        with_database(
            world.settings, lambda database: seed.found_areas(database, content, now=started)
        )
        address = start_parts(processes, world, port=port, workers=0)
    with httpx2.Client(base_url=address, timeout=30) as client:
        seats = seed.Seats(client)
        result: dict[str, Any] = {"address": address}
        stories = _fill(seats, content, told, result)
        story.who_is_here(out, content)
        story.two_questions(out, seats, content, stories)
        if directory is not None:
            _import(world, directory, told, result)
        _match(world, processes, told, people=len(content.people))
        ideas = _gather(seats, content, stories, told, result)
        story.ideas(out, seats, ideas, everybody=everybody, seconds=told.seconds["matching"])
        if directory is not None:
            story.real_ones(out, client, result)
        company = Company(seats, content, stories, world, processes)
        written = _together(out, company, told, result)
        story.ending(out, address, written, stays=stays)
    result["seconds"] = told.seconds
    return result


def _fill(
    seats: seed.Seats, content: Content, told: Told, result: dict[str, Any]
) -> dict[str, UUID]:
    with told.part("things_to_join", "things to join", len(content.listings)) as progress:
        result["things_to_join"] = seed.list_things(
            seats, content, now=clock.now(), progress=progress
        )
    with told.part("two_questions", "two questions", len(content.people)) as progress:
        stories = seed.start_stories(seats, content, progress=progress)
        seed.bring_together(seats, content, stories)
    result["people"] = len(stories)
    return stories


def _import(world: World, directory: Path, told: Told, result: dict[str, Any]) -> None:
    with told.part("importing", "real organisations"):
        summary = with_database(
            world.settings,
            lambda database: directories.import_path(directory, database=database, now=clock.now()),
        )
    figures = summary.as_dict()
    for name in ("imported", "import_errors", "refused"):
        result[name] = figures[name]


def _match(world: World, processes: Processes, told: Told, *, people: int) -> None:
    """Start the relay and the worker, and wait until the outbox holds no look any more."""
    with told.part("matching", "matching", people) as progress:
        start_workers(processes, world)
        deadline = time.monotonic() + MATCHING_SECONDS
        url = plain(world.settings.worker_url)
        with psycopg.connect(url, autocommit=True) as connection:
            while True:
                waiting = connection.execute(_WAITING).fetchone()
                looked = connection.execute(_LOOKED_FOR).fetchone()
                progress(looked[0] if looked else 0)
                if waiting is not None and waiting[0] == 0:
                    return
                if time.monotonic() > deadline:
                    raise StackError(
                        f"Matching did not end in {MATCHING_SECONDS} seconds. The worker's last "
                        f"words:\n{processes.tail('worker')}"
                    )
                time.sleep(0.1)


def _gather(
    seats: seed.Seats,
    content: Content,
    stories: dict[str, UUID],
    told: Told,
    result: dict[str, Any],
) -> list[story.Ideas]:
    """Read everybody's ideas as themselves, over HTTP."""
    with told.part("reading", "reading ideas", len(stories)) as progress:
        gathered = []
        for number, one in enumerate(content.people, start=1):
            seat = seats[one["key"]]
            person = stories[one["key"]]
            gathered.append(
                story.Ideas(
                    key=one["key"],
                    story=seat.get(f"/v1/people/{person}"),
                    suggestions=seat.get(f"/v1/people/{person}/suggestions")["items"],
                    unmet=seat.get(f"/v1/people/{person}/unmet-wants")["items"],
                )
            )
            progress(number)
    suggestions = [idea for one in gathered for idea in one.suggestions]
    result["matched_people"] = sum(1 for one in gathered if one.suggestions)
    result["suggestions"] = len(suggestions)
    result["suggestions_with_reasons"] = sum(1 for idea in suggestions if idea["why_it_may_fit"])
    result["unmet"] = sum(len(one.unmet) for one in gathered)
    return gathered


def _together(out: Console, company: Company, told: Told, result: dict[str, Any]) -> list[Path]:
    """Parts 4 to 7: they put money together, to the last penny back; and the pages about it."""
    people = len(company.members)
    with told.part("budgets", "budgets", people) as progress:
        together.open_budgets(company, progress)
    with told.part("together", "making it", 2 * people) as progress:
        made = together.make_it(company, progress)
    telling.made(out, made)
    with told.part("go_aheads", "go-aheads", len(company.script["wishes"])) as progress:
        asked = together.ask_go_aheads(company, progress)
    telling.go_aheads(out, company, asked)
    with told.part("vote", "the vote", people) as progress:
        voted = together.confirm(company, progress)
    telling.voted(out, company, voted)
    telling.moving(out, weeks=money.weeks_to_come(company))
    with told.part("money", "the money", len(voted.group["stages"]) + 1) as progress:
        spent = money.spend(company, progress)
        refusal = money.next_term(company)
        books = with_database(
            company.world.settings,
            lambda database: totals.count(
                database, pool_id=company.pool_id, budgets=company.budgets
            ),
        )
    telling.spent(out, company, spent, books, refusal)
    result["pool"] = _figures(spent, books)
    result["ledger"] = books.as_dict()
    with told.part("pages", "pages"):
        written = pages.write(
            home() / "demo", company, asked=asked, voted=voted, spent=spent, refusal=refusal
        )
    result["pages"] = [str(one) for one in written]
    return written


def _figures(spent: money.Money, books: totals.Totals) -> dict[str, Any]:
    """Return what came of the group, for a program."""
    events = [{one["what"] for one in mine["events"]} for mine in spent.mine.values()]
    return {
        "closed": spent.group["state"] == "closed",
        "members": sum(1 for one in events if "joined" in one),
        "declined": sum(1 for one in events if "declined" in one),
        "left": sum(1 for one in events if "left" in one),
        "put_in_pence": books.put_in_pence,
        "used_pence": books.used_pence,
        "returned_pence": books.returned_pence,
        "payments_confirmed": spent.confirmed["confirmed"],
    }
