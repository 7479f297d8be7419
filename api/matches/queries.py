"""Reads of matching: the matcher's projection by place, and what a person sees."""

from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.matches.models import MatchRun, SuggestionRow, UnmetWant
from api.people.models import Statement

# Offers a little beyond a person's limit are looked at too, so that "too far" can be said.
_BEYOND = 2

_PERSON = text("SELECT * FROM match_people WHERE id = :person_id")
_STATEMENTS = text(
    "SELECT id, person_id, kind, vector FROM match_statements"
    " WHERE person_id = ANY(:people) AND model_id = :model_id ORDER BY id"
)
_REQUIREMENTS = text(
    "SELECT statement_id, fact, wanted FROM match_requirements"
    " WHERE person_id = :person_id ORDER BY statement_id, fact"
)
_DECLINED = text("SELECT listing_id FROM match_declined WHERE person_id = :person_id")
_OFFER = (
    "SELECT id, kind, person_id, easting, northing, times, price_pence, places_left, access,"
    " confirmed_until, vectors FROM match_offers WHERE model_id = :model_id"
)
# Where either place is not known the area is: nobody looks through a whole country's offers.
_OFFERS_NEAR = text(
    f"{_OFFER} AND ((easting BETWEEN :west AND :east AND northing BETWEEN :south AND :north)"
    " OR (easting IS NULL AND area_id = :area_id)) ORDER BY id"
)
_OFFERS_OF_AREA = text(f"{_OFFER} AND area_id = :area_id ORDER BY id")
_OWNERS = text("SELECT * FROM match_people WHERE id = ANY(:people)")
_TOUCHED = text(
    "SELECT p.id FROM match_people p JOIN match_places l ON l.id = :listing_id"
    " WHERE p.id IS DISTINCT FROM l.person_id AND (CASE"
    "  WHEN p.easting IS NULL OR l.easting IS NULL THEN p.area_id = l.area_id"
    "  ELSE (l.easting BETWEEN p.easting - p.travel_limit_metres"
    "   AND p.easting + p.travel_limit_metres"
    "   AND l.northing BETWEEN p.northing - p.travel_limit_metres"
    "   AND p.northing + p.travel_limit_metres) END)"
    " UNION SELECT person_id FROM match_suggested WHERE listing_id = :listing_id"
)
_NOT_EMBEDDED = text(
    "SELECT s.id, s.kind, s.words FROM statements s WHERE s.person_id = :person_id"
    " AND s.ended_at IS NULL AND s.kind IN ('strength', 'goal', 'interest')"
    " AND NOT EXISTS (SELECT FROM statement_vectors v WHERE v.statement_id = s.id"
    "  AND v.model_id = :model_id) ORDER BY s.id"
)
_LISTING_WORDS = text(
    "SELECT l.name, l.summary, l.description, l.note, l.closed_at, l.confirmed_until,"
    " l.person_id, v.words_hash FROM listings l LEFT JOIN offer_vectors v"
    " ON v.listing_id = l.id AND v.model_id = :model_id WHERE l.id = :listing_id"
)


class PersonSnapshot(NamedTuple):
    """Everything that a look for one person is made from, as rows of the projection."""

    person: Any
    statements: list[Any]
    requirements: list[Any]
    declined: set[UUID]
    offers: list[Any]
    owners: dict[UUID, Any]
    owners_statements: dict[UUID, list[Any]]


async def snapshot(
    session: AsyncSession, *, person_id: UUID, model_id: str
) -> PersonSnapshot | None:
    """Read one person's surroundings as kith_match; None when they do not want to be matched."""
    person = (await session.execute(_PERSON, {"person_id": person_id})).one_or_none()
    if person is None:
        return None
    key = {"person_id": person_id}
    requirements = list(await session.execute(_REQUIREMENTS, key))
    declined = set(await session.scalars(_DECLINED, key))
    offers = await _offers_around(session, person, model_id=model_id)
    owner_ids = sorted({row.person_id for row in offers if row.person_id is not None})
    rows = await session.execute(
        _STATEMENTS, {"people": [*owner_ids, person_id], "model_id": model_id}
    )
    by_person: dict[UUID, list[Any]] = {}
    for row in rows:
        by_person.setdefault(row.person_id, []).append(row)
    owners = await session.execute(_OWNERS, {"people": owner_ids})
    return PersonSnapshot(
        person=person,
        statements=by_person.get(person_id, []),
        requirements=requirements,
        declined=declined,
        offers=offers,
        owners={row.id: row for row in owners},
        owners_statements=by_person,
    )


async def _offers_around(session: AsyncSession, person: Any, *, model_id: str) -> list[Any]:
    values = {"model_id": model_id, "area_id": person.area_id}
    if person.easting is None:
        return list(await session.execute(_OFFERS_OF_AREA, values))
    reach = person.travel_limit_metres * _BEYOND
    corners = {
        "west": person.easting - reach,
        "east": person.easting + reach,
        "south": person.northing - reach,
        "north": person.northing + reach,
    }
    return list(await session.execute(_OFFERS_NEAR, values | corners))


async def touched_people(session: AsyncSession, *, listing_id: UUID) -> list[UUID]:
    """Return whom a changed listing concerns: those it is in reach of, or was suggested to."""
    return list(await session.scalars(_TOUCHED, {"listing_id": listing_id}))


async def not_embedded(
    session: AsyncSession, *, person_id: UUID, model_id: str
) -> list[tuple[UUID, str, str]]:
    """Return (id, kind, words) of a person's statements without a vector of this model."""
    rows = await session.execute(_NOT_EMBEDDED, {"person_id": person_id, "model_id": model_id})
    return [(row.id, row.kind, row.words) for row in rows]


async def listing_words(session: AsyncSession, *, listing_id: UUID, model_id: str) -> Any | None:
    """Return the words of a listing, and the hash of those that its vectors were made of."""
    return (
        await session.execute(_LISTING_WORDS, {"listing_id": listing_id, "model_id": model_id})
    ).one_or_none()


async def suggestions(tx: AsyncSession, *, person_id: UUID) -> list[SuggestionRow]:
    """Return a person's suggestions that stand, best first."""
    found = await tx.scalars(
        select(SuggestionRow)
        .where(
            SuggestionRow.person_id == person_id,
            SuggestionRow.state.in_(("suggested", "seen", "introduction_asked")),
        )
        .order_by(SuggestionRow.rank, SuggestionRow.id)
    )
    return list(found)


async def suggestion(tx: AsyncSession, *, suggestion_id: UUID) -> SuggestionRow | None:
    """Return one suggestion of the actor's own, locked, or None."""
    found = await tx.scalars(
        select(SuggestionRow).where(SuggestionRow.id == suggestion_id).with_for_update()
    )
    return found.one_or_none()


async def unmet(tx: AsyncSession, *, person_id: UUID) -> list[tuple[UnmetWant, str, int, int]]:
    """Return open unmet wants with the person's words and how much was looked at."""
    rows = await tx.execute(
        select(UnmetWant, Statement.words, MatchRun.looked_at, MatchRun.people_looked_at)
        .join(Statement, Statement.id == UnmetWant.statement_id)
        .join(MatchRun, MatchRun.id == UnmetWant.run_id)
        .where(
            UnmetWant.person_id == person_id,
            UnmetWant.met_at.is_(None),
            Statement.ended_at.is_(None),
        )
        .order_by(Statement.id)
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def latest_run(tx: AsyncSession, *, person_id: UUID) -> MatchRun | None:
    """Return the latest look for a person, or None when there was none."""
    found = await tx.scalars(
        select(MatchRun)
        .where(MatchRun.person_id == person_id)
        .order_by(MatchRun.id.desc())
        .limit(1)
    )
    return found.one_or_none()


# Due as promised, or because a standing idea has not been confirmed for too long meanwhile.
_DUE_LOOKS = text(
    "SELECT person_id FROM (SELECT person_id, next_look_on FROM match_due"
    "  WHERE next_look_on <= :today UNION ALL SELECT s.person_id, l.confirmed_until"
    "  FROM match_suggested s JOIN match_places l ON l.id = s.listing_id"
    "  WHERE l.confirmed_until < :today) due"
    " GROUP BY person_id ORDER BY min(next_look_on), person_id LIMIT :limit"
)
_TOLD_OF = text(
    "SELECT DISTINCT s.person_id FROM match_suggested s"
    " JOIN match_places l ON l.id = s.listing_id WHERE l.person_id = :person_id"
)


async def told_of(session: AsyncSession, *, person_id: UUID) -> list[UUID]:
    """Return people to whom something that this person offers stands suggested."""
    return list(await session.scalars(_TOLD_OF, {"person_id": person_id}))


async def due_looks(session: AsyncSession, *, today: date, limit: int) -> list[UUID]:
    """Return people for whom the day of the next look has come."""
    return list(await session.scalars(_DUE_LOOKS, {"today": today, "limit": limit}))
