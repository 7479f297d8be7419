"""A person's story: begun with two questions, kept in their own words."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, text, update

from api.areas import service as areas
from api.areas.places import locate
from api.areas.rules import AreaSettings, mask_slots, slots_mask, town_of
from api.core import audit, db, outbox, pagination
from api.core.db import WriteSession
from api.core.errors import Conflict, RefusedRead, not_found
from api.core.ids import new_id
from api.identity import service as identity
from api.identity.rules import Actor, Anonymous, CodeHolder
from api.people import queries
from api.people.models import Person, Practicalities, Statement, StatementFact
from api.people.rules import (
    ALWAYS_OPEN,
    MOST_STATEMENTS,
    STRENGTHS_FIRST,
    first_questions_missing,
    not_asked_until,
    requirement_facts,
    story_full,
)
from api.people.schemas import (
    ChangePerson,
    CodeOut,
    FactWanted,
    NewStatement,
    ReceiptList,
    ReceiptOut,
    StartStory,
    StatementOut,
    StoryOut,
    StoryStarted,
)

RECEIPTS_A_PAGE = 50


async def start(
    tx: WriteSession, *, actor: Actor, now: datetime, story: StartStory
) -> StoryStarted:
    """Begin a story with or without an account (S2, S4, S14).

    Without one, a come-back code is made. Invalid when there is no strength, interest or goal
    and it was not said that nobody has asked yet.
    """
    said = [NewStatement(kind="strength", words=words) for words in story.good_at]
    said += [NewStatement(kind="goal", words=words) for words in story.want_to]
    said += story.also
    if not _asked(said) and not story.not_asked_yet:
        raise first_questions_missing()
    area = await areas.area_named(tx, slug=story.area)
    person_id = new_id()
    ask_by = None if _asked(said) else not_asked_until(now)
    if isinstance(actor, CodeHolder) and actor.subject_type == "enquiry":
        # The code of a question says nothing about whoever holds it: they start as anybody does.
        actor = Anonymous()
        await db.tell(tx, actor=actor, now=now)
    if await _has_story(tx):
        raise Conflict(
            rule="one-story",
            detail="You have a story already.",
            who_can_change_it="You can, by adding to it.",
            what_else=["Add to your story with POST /v1/people/{id}/statements."],
        )
    await tx.execute(
        insert(Person).values(
            id=person_id,
            account_id=actor.id if actor.kind == "person" else None,
            area_id=area.id,
            called=story.called,
            not_asked_until=ask_by,
            version=1,
            created_at=now,
            **_place(story.near, area.settings),
        )
    )
    code: str | None = None
    if actor.kind != "person":
        # From here on this is whoever will hold the code: the policies then let the words in.
        actor = CodeHolder("person", person_id, session_id=person_id)
        await db.tell(tx, actor=actor, now=now)
        code = await identity.issue_code(tx, now=now, subject_type="person", subject_id=person_id)
    await tx.execute(
        insert(Practicalities).values(
            person_id=person_id,
            free_times=slots_mask(story.free_times) if story.free_times is not None else None,
            travel_limit_metres=story.travel_limit_metres,
            spend_limit_pence=story.spend_limit_pence,
            matching_wanted=story.matching_wanted,
            homes_wanted=story.homes_wanted,
        )
    )
    for one in said:
        await _say(tx, now=now, person_id=person_id, one=one, version=1)
    await _changed(tx, actor=actor, now=now, person_id=person_id, action="story.started", version=1)
    return StoryStarted(id=person_id, code=code, ask_by=ask_by, always_open=list(ALWAYS_OPEN))


async def start_again(
    tx: WriteSession, first: StoryStarted, *, actor: Actor, now: datetime
) -> StoryStarted:
    """Answer a repeated start: the same story, and for somebody without account a fresh code."""
    if isinstance(actor, Anonymous):
        holder = CodeHolder("person", first.id, session_id=first.id)
        await db.tell(tx, actor=holder, now=now)
        first.code = (await renew_code(tx, actor=holder, now=now, person_id=first.id)).code
    return first


async def renew_code(tx: WriteSession, *, actor: Actor, now: datetime, person_id: UUID) -> CodeOut:
    """Make a new come-back code; end the earlier ones, and whoever came in with one of them."""
    await require_own(tx, person_id=person_id)
    await identity.end_codes(tx, actor=actor, now=now, subject_type="person", subject_id=person_id)
    code = await identity.issue_code(tx, now=now, subject_type="person", subject_id=person_id)
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action="code.renewed",
        subject_type="person",
        subject_id=person_id,
    )
    return CodeOut(code=code)


async def read(tx: WriteSession, *, actor: Actor, now: datetime, person_id: UUID) -> StoryOut:
    """Return a story, and leave the receipt of this read. NotFound for whoever may not see it."""
    found = await queries.person(tx, person_id=person_id)
    said = await queries.statements(tx, person_id=person_id) if found is not None else []
    if found is None or not await may_read_story(tx, person_id=person_id):
        raise not_found("story", leaves=RefusedRead(about_id=person_id, what="story"))
    facts = await queries.facts(tx, person_id=person_id)
    await audit.receipt(
        tx, actor=actor, now=now, about_id=person_id, what="story", version=found.version
    )
    out = [_statement_out(one, facts.get(one.id, [])) for one in said]
    return StoryOut(
        id=found.id,
        area=found.area,
        called=found.called,
        town=found.town,
        good_at=[one for one in out if one.kind == "strength"],
        want_to=[one for one in out if one.kind == "goal"],
        also=[one for one in out if one.kind not in ("strength", "goal")],
        free_times=mask_slots(found.free_times) if found.free_times is not None else None,
        travel_limit_metres=found.travel_limit_metres,
        spend_limit_pence=found.spend_limit_pence,
        matching_wanted=bool(found.matching_wanted),
        homes_wanted=bool(found.homes_wanted),
        ask_by=None if _asked(said) else found.not_asked_until,
        version=found.version,
    )


async def change(
    tx: WriteSession, *, actor: Actor, now: datetime, person_id: UUID, change: ChangePerson
) -> None:
    """Change one's practicalities: name, place, free times, limits. The person alone may."""
    found = await require_own(tx, person_id=person_id)
    area = await areas.get_area(tx, area_id=found.area_id)
    values: dict[str, object] = {}
    if isinstance(change.called, str):
        values["called"] = change.called
    if change.near is None or isinstance(change.near, str):
        values.update(_place(change.near, area.settings))
    if values:
        await tx.execute(update(Person).where(Person.id == person_id).values(**values))
    limits: dict[str, object] = {}
    if change.free_times is None:
        limits["free_times"] = None
    elif isinstance(change.free_times, list):
        limits["free_times"] = slots_mask(change.free_times)
    if change.travel_limit_metres is None or isinstance(change.travel_limit_metres, int):
        limits["travel_limit_metres"] = change.travel_limit_metres
    if change.spend_limit_pence is None or isinstance(change.spend_limit_pence, int):
        limits["spend_limit_pence"] = change.spend_limit_pence
    if isinstance(change.matching_wanted, bool):
        limits["matching_wanted"] = change.matching_wanted
    if isinstance(change.homes_wanted, bool):
        limits["homes_wanted"] = change.homes_wanted
    if limits:
        await tx.execute(
            update(Practicalities).where(Practicalities.person_id == person_id).values(**limits)
        )
    version = await _next_version(tx, person_id=person_id)
    await _changed(
        tx, actor=actor, now=now, person_id=person_id, action="story.changed", version=version
    )


async def say(
    tx: WriteSession, *, actor: Actor, now: datetime, person_id: UUID, one: NewStatement
) -> StatementOut:
    """Add a statement to one's own story, up to MOST_STATEMENTS.

    Once the 7 days of "not asked yet" are over, a strength, an interest or a goal comes first.
    """
    found = await require_own(tx, person_id=person_id)
    version = await _next_version(tx, person_id=person_id)
    said = await queries.statements(tx, person_id=person_id)
    if len(said) >= MOST_STATEMENTS:
        raise story_full()
    stands = found.not_asked_until is not None and now < found.not_asked_until
    if not stands and not _asked([one, *said]):
        raise first_questions_missing("kind")
    out = await _say(tx, now=now, person_id=person_id, one=one, version=1)
    await _changed(
        tx, actor=actor, now=now, person_id=person_id, action="statement.said", version=version
    )
    return out


async def say_anew(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    person_id: UUID,
    statement_id: UUID,
    one: NewStatement,
) -> StatementOut:
    """Say something differently: a new version; the old one is kept.

    The last strength, interest or goal may become another of these, and nothing else.
    """
    await require_own(tx, person_id=person_id)
    version = await _next_version(tx, person_id=person_id)
    old = await queries.live_statement(tx, person_id=person_id, statement_id=statement_id)
    if old is None:
        raise not_found("statement")
    left = [each for each in await queries.statements(tx, person_id=person_id) if each.id != old.id]
    if _asked([old]) and not _asked([one, *left]):
        raise first_questions_missing("kind")
    out = await _say(
        tx, now=now, person_id=person_id, one=one, version=old.version + 1, replaces=old.id
    )
    await _end(tx, now=now, statement_id=old.id)
    await _changed(
        tx, actor=actor, now=now, person_id=person_id, action="statement.said", version=version
    )
    return out


async def take_back(
    tx: WriteSession, *, actor: Actor, now: datetime, person_id: UUID, statement_id: UUID
) -> None:
    """Take a statement back. Refused for the last strength, interest or goal: say another first."""
    await require_own(tx, person_id=person_id)
    version = await _next_version(tx, person_id=person_id)
    old = await queries.live_statement(tx, person_id=person_id, statement_id=statement_id)
    if old is None:
        raise not_found("statement")
    left = [one for one in await queries.statements(tx, person_id=person_id) if one.id != old.id]
    if _asked([old]) and not _asked(left):
        raise first_questions_missing("statement_id")
    await _end(tx, now=now, statement_id=old.id)
    await _changed(
        tx,
        actor=actor,
        now=now,
        person_id=person_id,
        action="statement.taken_back",
        version=version,
    )


async def receipts(tx: WriteSession, *, person_id: UUID, cursor: str | None) -> ReceiptList:
    """Return who looked at one's own story, newest first."""
    await require_own(tx, person_id=person_id)
    before = pagination.decode(cursor, UUID) if cursor is not None else None
    rows = await queries.receipts(tx, person_id=person_id, before=before, limit=RECEIPTS_A_PAGE + 1)
    page = rows[:RECEIPTS_A_PAGE]
    return ReceiptList(
        items=[
            ReceiptOut(
                at=row.at,
                who=row.actor_kind,
                who_id=row.actor_id,
                what=row.what,
                version=row.version,
                why=row.why,
                outcome=row.outcome,
            )
            for row in page
        ],
        next=pagination.encode(page[-1].id) if len(rows) > RECEIPTS_A_PAGE else None,
    )


async def require_own(tx: WriteSession, *, person_id: UUID) -> queries.PersonRow:
    """Return the person when they are the one who acts; NotFound otherwise."""
    found = await queries.person(tx, person_id=person_id)
    mine = await tx.scalar(
        text("SELECT :person IN (SELECT app_own_people())"), {"person": person_id}
    )
    if found is None or not mine:
        raise not_found("story", leaves=RefusedRead(about_id=person_id, what="story"))
    return found


async def place_of(tx: WriteSession, *, person_id: UUID) -> queries.PlaceRow:
    """Return where a person is, to a postcode sector; NotFound when they cannot be seen."""
    place = await queries.place(tx, person_id=person_id)
    if place is None:
        raise not_found("person")
    return place


async def words_of(tx: WriteSession, *, statement_ids: list[UUID]) -> dict[UUID, str]:
    """Return the words of statements that the actor may see, ended ones too."""
    return await queries.words_of(tx, statement_ids=statement_ids)


async def changed_and_waiting(tx: WriteSession, *, person_id: UUID) -> datetime | None:
    """Return since when a look for a person waits to be done, or None when none does."""
    since: datetime | None = await tx.scalar(
        text("SELECT min(created_at) FROM outbox WHERE done_at IS NULL AND coalesce_key = :key"),
        {"key": look_key(person_id)},
    )
    return since


def look_key(person_id: UUID) -> str:
    """Return the key under which many changes of one person are one look."""
    return f"matches.rematch:{person_id}"


async def may_read_story(tx: WriteSession, *, person_id: UUID) -> bool:
    """Return whether the actor may read this person's story: their own, or agreed to."""
    return bool(
        await tx.scalar(
            text("SELECT :person IN (SELECT app_story_people())"), {"person": person_id}
        )
    )


def _asked(said: Sequence[NewStatement | Statement]) -> bool:
    """Return whether the first two questions have an answer among what is said."""
    return any(one.kind in STRENGTHS_FIRST for one in said)


async def _has_story(tx: WriteSession) -> bool:
    own = await tx.scalar(text("SELECT EXISTS (SELECT FROM app_own_people())"))
    return bool(own)


async def _next_version(tx: WriteSession, *, person_id: UUID) -> int:
    """Count the story's version up. The row's lock lets one change in at a time."""
    version: int = (
        await tx.execute(
            update(Person)
            .where(Person.id == person_id)
            .values(version=Person.version + 1)
            .returning(Person.version)
        )
    ).scalar_one()
    return version


async def _say(
    tx: WriteSession,
    *,
    now: datetime,
    person_id: UUID,
    one: NewStatement,
    version: int,
    replaces: UUID | None = None,
) -> StatementOut:
    requirement_facts(one.kind, [(fact.fact, fact.wanted) for fact in one.facts])
    statement = Statement(
        id=new_id(),
        person_id=person_id,
        kind=one.kind,
        words=one.words,
        version=version,
        replaces_id=replaces,
        created_at=now,
    )
    await tx.execute(
        insert(Statement).values(
            id=statement.id,
            person_id=person_id,
            kind=one.kind,
            words=one.words,
            version=version,
            replaces_id=replaces,
            created_at=now,
        )
    )
    if one.facts:
        await tx.execute(
            insert(StatementFact),
            [
                {
                    "statement_id": statement.id,
                    "fact": fact.fact,
                    "person_id": person_id,
                    "wanted": fact.wanted,
                    "confirmed_at": now,
                }
                for fact in one.facts
            ],
        )
    return _statement_out(statement, [(fact.fact, fact.wanted) for fact in one.facts])


async def _end(tx: WriteSession, *, now: datetime, statement_id: UUID) -> None:
    await tx.execute(update(Statement).where(Statement.id == statement_id).values(ended_at=now))


async def _changed(
    tx: WriteSession, *, actor: Actor, now: datetime, person_id: UUID, action: str, version: int
) -> None:
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action=action,
        subject_type="person",
        subject_id=person_id,
        version=version,
    )
    await outbox.enqueue(
        tx,
        task="matches.rematch",
        payload={"person_id": person_id},
        now=now,
        coalesce_key=look_key(person_id),
    )


def _place(near: str | None, settings: AreaSettings) -> dict[str, object]:
    if near is None:
        return dict.fromkeys(("outward", "sector", "town", "easting", "northing"))
    place = locate(near, field="near")
    return {
        "outward": place.outward,
        "sector": place.sector,
        "town": town_of(settings, outward=place.outward, sector=place.sector),
        "easting": place.point.easting if place.point else None,
        "northing": place.point.northing if place.point else None,
    }


def _statement_out(one: Statement, facts: list[tuple[str, str]]) -> StatementOut:
    return StatementOut(
        id=one.id,
        kind=one.kind,  # type: ignore[arg-type]
        words=one.words,
        version=one.version,
        said_at=one.created_at,
        facts=[FactWanted(fact, wanted) for fact, wanted in facts],  # type: ignore[arg-type]
    )
