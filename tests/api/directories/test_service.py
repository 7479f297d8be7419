"""Directories into a real database: whole rows, once, however often and from however many sides."""

import asyncio
import csv
import io
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
import pytest

from api.areas import service as areas
from api.areas.rules import AreaSettings
from api.areas.schemas import NewArea
from api.core.config import Settings
from api.core.db import Database
from api.directories.rules import FileRefused
from api.directories.rules.mappings import KITH, SPORTS_CLUBS, UK_CHARITIES, Mapping
from api.directories.schemas import FileReport
from api.directories.service import import_file
from api.identity.rules import Anonymous, CodeHolder, Service
from api.listings import service as listings
from api.listings.schemas import ListingPage, NewOffer, Search
from api.people import service as people
from api.people.schemas import StartStory
from deploy import directories as command
from tests.fixtures.servers import API, OWNER, WORKER, Servers

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "directories"
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
LATER = NOW + timedelta(days=1)

pytestmark = pytest.mark.anyio
real_files = pytest.mark.skipif(
    not DATA.is_dir(),
    reason="NOT TESTED: the real directories (../shared/data/directories) are not on this machine",
)


@pytest.fixture(scope="module")
def settings(servers: Servers) -> Settings:
    """Return settings for a database of this module's own: thousands of listings come in."""
    name = servers.clone()
    return Settings(
        database_url=servers.stack.database_url(role=API, database=name),
        worker_url=servers.stack.database_url(role=WORKER, database=name),
        migrate_url=servers.stack.database_url(role=OWNER, database=name),
        broker_url=servers.stack.broker_url(),
    )


@pytest.fixture
async def area(database: Database) -> str:
    """Return the slug of an area that holds M32 and calls its sector 8 by a name."""
    async with database.write(actor=Service("set-up"), now=NOW) as tx:
        known = {one.slug for one in (await areas.list_areas(tx)).items}
        if "stretford" not in known:
            settings = AreaSettings(
                front_door_name="Stretford", outwards=["M32"], towns={"M32 8": "Gorse Hill"}
            )
            new = NewArea(slug="stretford", name="Stretford", settings=settings)
            await areas.create_area(tx, actor=Service("set-up"), now=NOW, new=new)
    return "stretford"


def file(mapping: Mapping, *rows: dict[str, str]) -> bytes:
    """Return a CSV file in one of the known formats."""
    written = io.StringIO()
    writer = csv.DictWriter(written, mapping.header, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue().encode()


def club(name: str, **cells: str) -> dict[str, str]:
    """Return a row of a sports club."""
    place = {"category": "Bowls", "address": "1 Green Lane", "postcode": "M32 8BH"}
    return {"name": name} | place | cells


def own(name: str, **cells: str) -> dict[str, str]:
    """Return a row of Kith's own format."""
    return {
        "kind": "micro_enterprise",
        "name": name,
        "summary": "Tea and bread",
        "provider_name": "Ada's Kitchen",
        "postcode": "M32 8BH",
    } | cells


def fresh(words: str = "Club") -> str:
    """Return a name that no other test has."""
    return f"{words} {uuid4().hex[:12]}"


async def bring(database: Database, data: bytes, *, now: datetime = NOW) -> FileReport:
    """Import one file."""
    return await import_file(database, now=now, name="a.csv", data=data)


def stored(owner: psycopg.Connection, name: str) -> list[dict[str, object]]:
    """Return all there is of the listings of one name."""
    with owner.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        cursor.execute("SELECT *, xmin::text, xmax::text FROM listings WHERE name = %s", [name])
        return cursor.fetchall()


def count(owner: psycopg.Connection, table: str) -> int:
    """Return how many rows a table has."""
    found = owner.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert found is not None
    return int(found[0])


async def find(database: Database, words: str) -> ListingPage:
    """Search by words among what is not confirmed lately."""
    filters = Search(words=words, section="not_confirmed_lately")
    return await listings.browse(database, now=NOW, filters=filters)


async def test_a_row_goes_in_whole_or_not_at_all(
    database: Database, owner_connection: psycopg.Connection, area: str
) -> None:
    good, bad = fresh(), fresh()
    report = await bring(database, file(SPORTS_CLUBS, club(good), club(bad, postcode="M32 OBH")))
    assert (report.read, report.new, report.changed, report.unchanged) == (2, 1, 0, 0)
    assert [(error.row, error.field) for error in report.errors] == [(3, "postcode")]
    assert stored(owner_connection, bad) == []
    (row,) = stored(owner_connection, good)
    assert (row["source"], row["kind"], row["version"]) == (SPORTS_CLUBS.source, "community", 1)
    assert (row["town"], row["outward"], row["sector"]) == ("Gorse Hill", "M32", "8")
    assert row["area_id"] is not None
    assert row["easting"] is not None
    assert row["confirmed_on"] is row["confirmed_until"] is row["owner_account_id"] is None


async def test_a_row_of_our_own_format_keeps_times_prices_and_facts(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    name = fresh("Bread")
    cells = {"days": "tue thu", "starts": "10:00", "ends": "12:00", "price_pence": "0"}
    cells |= {"places_total": "8", "places_left": "3", "step_free": "yes", "dogs": "no"}
    report = await bring(database, file(KITH, own(name, **cells)))
    assert report.errors == []
    (row,) = stored(owner_connection, name)
    assert row["sessions"] == [
        {"day": day, "start": "10:00", "end": "12:00"} for day in ("tue", "thu")
    ]
    assert (row["days"], row["times"]) == (0b1010, 1 << 6 | 1 << 16)
    assert (row["price_pence"], row["places_total"], row["places_left"]) == (0, 8, 3)
    assert row["access"] == {"step_free": "yes", "dogs": "no"}
    (found,) = (await find(database, name)).items
    assert (found.kind, found.provider_name) == ("micro_enterprise", "Ada's Kitchen")


async def test_a_price_that_is_not_given_is_not_known(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    name = fresh()
    await bring(database, file(SPORTS_CLUBS, club(name)))
    (row,) = stored(owner_connection, name)
    assert (row["price_pence"], row["times"], row["days"], row["sessions"]) == (
        None,
        None,
        None,
        [],
    )


async def test_of_a_shared_lives_home_only_the_area_is_kept(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    name = fresh("A home with a garden")
    home = own(name, kind="shared_lives", website="https://home.example.org", postcode="M32 8QT")
    report = await bring(database, file(KITH, home, home | {"postcode": "M32 8BH"}))
    assert report.new == 1
    assert [(left.row, left.field) for left in report.left_out] == [(2, "website")]
    assert [(error.row, error.field) for error in report.errors] == [(3, "name")]
    (row,) = stored(owner_connection, name)
    assert row["postcode"] is row["address"] is row["website"] is None
    assert "8QT" not in str(row)
    (found,) = (await find(database, name)).items
    assert found.near == "M32"


async def test_importing_again_changes_nothing(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    names = [fresh() for _ in range(3)]
    data = file(SPORTS_CLUBS, *(club(name) for name in names))
    await bring(database, data)
    before = [stored(owner_connection, name) for name in names]
    records = count(owner_connection, "audit_entries")
    report = await bring(database, data, now=LATER)
    assert (report.new, report.changed, report.unchanged) == (0, 0, 3)
    # With xmin and xmax: no row was written or even locked.
    assert [stored(owner_connection, name) for name in names] == before
    assert count(owner_connection, "audit_entries") == records


async def test_a_changed_row_changes_one_listing(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    moved, other = fresh(), fresh()
    await bring(database, file(SPORTS_CLUBS, club(moved), club(other)))
    before = stored(owner_connection, other)
    (first,) = stored(owner_connection, moved)
    again = file(SPORTS_CLUBS, club(moved, category="Croquet"), club(other))
    report = await bring(database, again, now=LATER)
    assert (report.new, report.changed, report.unchanged) == (0, 1, 1)
    (row,) = stored(owner_connection, moved)
    assert (row["id"], row["version"]) == (first["id"], 2)
    assert (row["created_at"], row["updated_at"]) == (NOW, LATER)
    assert stored(owner_connection, other) == before
    (found,) = (await find(database, moved)).items
    assert found.summary == "A sports club: Croquet."


async def test_what_its_owner_confirmed_stays_confirmed_when_the_content_changes(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    name = fresh()
    await bring(database, file(KITH, own(name, places_total="8", places_left="6")))
    until = (NOW + timedelta(days=30)).date()
    owner_connection.execute(
        "UPDATE listings SET confirmed_on = %s, confirmed_until = %s, places_left = 2"
        " WHERE name = %s",
        [NOW.date(), until, name],
    )
    report = await bring(database, file(KITH, own(name, summary="Tea and scones")), now=LATER)
    assert report.changed == 1
    (row,) = stored(owner_connection, name)
    assert (row["summary"], row["confirmed_until"]) == ("Tea and scones", until)
    assert row["places_left"] == 2
    told = owner_connection.execute(
        "SELECT count(*) FROM outbox WHERE payload ->> 'listing_id' = %s", [str(row["id"])]
    )
    assert told.fetchone() == (1,)


async def test_a_listing_that_was_closed_stays_closed(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    name = fresh()
    await bring(database, file(SPORTS_CLUBS, club(name)))
    (row,) = stored(owner_connection, name)
    owner_connection.execute("UPDATE listings SET closed_at = %s WHERE name = %s", [NOW, name])
    owner_connection.execute("DELETE FROM listing_public WHERE listing_id = %s", [row["id"]])
    report = await bring(database, file(SPORTS_CLUBS, club(name, category="Darts")))
    assert report.changed == 1
    assert (await find(database, name)).items == []


async def test_a_listing_stays_of_its_kind(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    name = fresh()
    await bring(database, file(KITH, own(name)))
    before = stored(owner_connection, name)
    report = await bring(database, file(KITH, own(name, kind="peer_group")))
    assert (report.new, report.changed, report.unchanged) == (0, 0, 0)
    assert [(error.row, error.field) for error in report.errors] == [(2, "kind")]
    assert stored(owner_connection, name) == before


async def test_a_place_that_joins_an_area_later_is_found_there_on_the_next_import(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    name, slug = fresh(), f"sale-{uuid4().hex[:8]}"
    data = file(SPORTS_CLUBS, club(name, postcode="M33 7WR"))
    await bring(database, data)
    (row,) = stored(owner_connection, name)
    assert (row["area_id"], row["town"]) == (None, "M33")
    async with database.write(actor=Service("set-up"), now=NOW) as tx:
        settings = AreaSettings(front_door_name="Sale", outwards=["M33"], towns={"M33": "Sale"})
        new = NewArea(slug=slug, name="Sale", settings=settings)
        await areas.create_area(tx, actor=Service("set-up"), now=NOW, new=new)
    assert (await bring(database, data)).changed == 1
    (found,) = (await find(database, name)).items
    assert (found.area, found.town) == (slug, "Sale")


async def test_a_bad_header_refuses_the_file_and_nothing_is_stored(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    before = count(owner_connection, "listings")
    charity = {"name": fresh(), "postcode": "M32 8BH"}
    data = file(UK_CHARITIES, charity).replace(b"objects", b"aims", 1)
    with pytest.raises(FileRefused) as refused:
        await bring(database, data)
    assert "missing: objects; unexpected: aims" in refused.value.detail
    assert count(owner_connection, "listings") == before


async def test_a_failure_on_the_way_leaves_nothing_of_the_file(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    def fail(done: int, total: int) -> None:
        raise RuntimeError("the power is gone")

    name = fresh()
    data = file(SPORTS_CLUBS, club(name))
    with pytest.raises(RuntimeError):
        await import_file(database, now=NOW, name="a.csv", data=data, progress=fail)
    assert stored(owner_connection, name) == []


async def test_a_name_longer_than_an_index_can_hold_comes_in(database: Database) -> None:
    # One sign that is eighteen letters when names are compared.
    name = "\ufdfa" * 180 + uuid4().hex[:8]
    data = file(SPORTS_CLUBS, club(name))
    assert (await bring(database, data)).new == 1
    assert (await bring(database, data)).unchanged == 1


async def test_a_charitys_postcode_and_address_are_not_shown(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    name = fresh("Friends of the canal")
    charity = {"name": name, "postcode": "M32 8BH", "activities": "We look after the towpath."}
    await bring(database, file(UK_CHARITIES, charity))
    (row,) = stored(owner_connection, name)
    assert (row["postcode"], row["address"]) == ("M32 8BH", None)
    (found,) = (await find(database, name)).items
    assert (found.address, found.near) == (None, "M32 8")
    assert b"8BH" not in msgspec.json.encode(found)


async def test_an_own_offer_is_not_touched(
    database: Database, owner_connection: psycopg.Connection, area: str
) -> None:
    name = fresh("Bread")
    async with database.write(actor=Anonymous(), now=NOW) as tx:
        story = StartStory(area=area, called="Bea", near="M32 8", good_at=["baking bread"])
        started = await people.start(tx, actor=Anonymous(), now=NOW, story=story)
    holder = CodeHolder("person", started.id, session_id=started.id)
    async with database.write(actor=holder, now=NOW) as tx:
        offer = NewOffer(name=name, words="I can show you")
        await listings.offer(tx, actor=holder, now=NOW, person_id=started.id, new=offer)
    before = stored(owner_connection, name)
    report = await bring(database, file(KITH, own(name)))
    assert report.new == 1
    after = stored(owner_connection, name)
    assert [row for row in after if row["person_id"] is not None] == before
    assert len((await find(database, name)).items) == 1


async def test_two_imports_of_one_file_at_once_store_each_row_once(
    database: Database, owner_connection: psycopg.Connection
) -> None:
    names = [fresh() for _ in range(600)]
    data = file(SPORTS_CLUBS, *(club(name) for name in names))
    reports = await asyncio.gather(*(bring(database, data) for _ in range(4)))
    assert sorted(report.new for report in reports) == [0, 0, 0, 600]
    assert sorted(report.unchanged for report in reports) == [0, 600, 600, 600]
    found = owner_connection.execute(
        "SELECT count(*), max(version) FROM listings WHERE name = ANY(%s)", [names]
    )
    assert found.fetchone() == (600, 1)


async def test_an_import_waits_for_an_earlier_one_longer_than_for_any_other_lock(
    settings: Settings,
) -> None:
    data = file(SPORTS_CLUBS, club(fresh()))
    stored_but_open = threading.Event()

    def slow(done: int, total: int) -> None:
        stored_but_open.set()
        time.sleep(1)

    async def earlier() -> FileReport:
        database = Database(settings.database_url, application_name="kith-test")
        try:
            return await import_file(database, now=NOW, name="a.csv", data=data, progress=slow)
        finally:
            await database.close()

    first = asyncio.create_task(asyncio.to_thread(asyncio.run, earlier()))
    assert await asyncio.to_thread(stored_but_open.wait, 20)
    hasty = Database(settings.database_url, application_name="kith-test", lock_timeout_ms=100)
    try:
        assert (await bring(hasty, data)).unchanged == 1
    finally:
        await hasty.close()
    assert (await first).new == 1


def test_a_refused_file_does_not_stop_the_others(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_bytes(b"what,is,this\n1,2,3\n")
    (tmp_path / "b.CSV").write_bytes(file(SPORTS_CLUBS, club(fresh()), club(fresh(), postcode="?")))
    (tmp_path / "notes.txt").write_text("not a directory")
    summary = command.run(tmp_path, settings=settings, as_json=True)
    printed = msgspec.json.decode(capsys.readouterr().out)
    assert summary.exit_code == 2
    assert [one["file"] for one in printed["refused"]] == ["a.csv"]
    assert (printed["imported"], printed["new"], printed["import_errors"]) == (1, 1, 1)
    assert [(one["file"], one["row"], one["field"]) for one in printed["errors"]] == [
        ("b.CSV", 3, "postcode")
    ]


def test_bad_rows_are_listed_and_the_command_still_ends_well(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [club(fresh(), postcode="") for _ in range(command.PROBLEMS_SHOWN + 2)]
    (tmp_path / "clubs.csv").write_bytes(file(SPORTS_CLUBS, club(fresh()), *bad))
    assert command.run(tmp_path / "clubs.csv", settings=settings).exit_code == 0
    printed = capsys.readouterr()
    assert "clubs.csv row 3, postcode: it is empty, and it is needed." in printed.out
    assert "… and 2 more" in printed.out
    assert printed.err == "reading clubs.csv\n"


@pytest.mark.parametrize("name", ["nothing-here", "."])
def test_where_nothing_is_found_the_command_says_so(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert command.run(tmp_path / name, settings=settings).exit_code == 2
    assert "refused: " in capsys.readouterr().out


@pytest.fixture(scope="module")
def imported(settings: Settings) -> command.ImportSummary:
    """Import the real files, once for this module."""
    return command.run(DATA, settings=settings, as_json=True)


@real_files
def test_the_real_files_come_in(imported: command.ImportSummary) -> None:
    result = imported.as_dict()
    assert imported.exit_code == 0
    assert len(imported.files) == 6
    assert result["imported"] == 5_325
    assert result["import_errors"] == 25


@real_files
def test_the_real_files_again_change_nothing(
    imported: command.ImportSummary, settings: Settings
) -> None:
    again = command.run(DATA, settings=settings, as_json=True).as_dict()
    assert (again["new"], again["changed"], again["unchanged"]) == (0, 0, 5_325)


@real_files
@pytest.mark.parametrize("words", ["Stretford Library", "counselling young people", "badminton"])
async def test_real_organisations_are_found_by_words_among_those_not_confirmed_lately(
    imported: command.ImportSummary, database: Database, words: str
) -> None:
    page = await find(database, words)
    assert page.items
    assert not any(one.confirmed_lately for one in page.items)
    confirmed = await listings.browse(database, now=NOW, filters=Search(words=words))
    assert confirmed.items == []


@real_files
def test_no_real_charity_shows_an_address(
    imported: command.ImportSummary, owner_connection: psycopg.Connection
) -> None:
    shown = owner_connection.execute(
        "SELECT l.source, count(*) FILTER (WHERE p.address IS NOT NULL), count(*)"
        " FROM listing_public p JOIN listings l ON l.id = p.listing_id"
        " WHERE l.source IN ('uk_charities_sample', 'trafford_charities') GROUP BY 1"
    ).fetchall()
    assert {(source, addresses) for source, addresses, _ in shown} == {
        ("uk_charities_sample", 0),
        ("trafford_charities", 0),
    }
    assert sum(total for _, _, total in shown) > 4_000
