"""Reads of people. Row-level policies decide which rows come back."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.areas.models import Area
from api.core.models import ReadReceipt
from api.people.models import Person, Practicalities, Statement, StatementFact


class PersonRow(NamedTuple):
    """A person with their practicalities; the latter empty where the reader may not see them."""

    id: UUID
    area_id: UUID
    area: str
    called: str
    town: str | None
    not_asked_until: datetime | None
    version: int
    free_times: int | None
    travel_limit_metres: int | None
    spend_limit_pence: int | None
    matching_wanted: bool | None
    homes_wanted: bool | None


async def person(tx: AsyncSession, *, person_id: UUID) -> PersonRow | None:
    """Return one person, or None when there is none that the actor may see."""
    row = (
        await tx.execute(
            select(
                Person.id,
                Person.area_id,
                Area.slug,
                Person.called,
                Person.town,
                Person.not_asked_until,
                Person.version,
                Practicalities.free_times,
                Practicalities.travel_limit_metres,
                Practicalities.spend_limit_pence,
                Practicalities.matching_wanted,
                Practicalities.homes_wanted,
            )
            .join(Area, Area.id == Person.area_id)
            .outerjoin(Practicalities, Practicalities.person_id == Person.id)
            .where(Person.id == person_id)
        )
    ).one_or_none()
    return PersonRow._make(row) if row is not None else None


async def statements(tx: AsyncSession, *, person_id: UUID) -> list[Statement]:
    """Return what a person says now, in the order in which it was said."""
    found = await tx.scalars(
        select(Statement)
        .where(Statement.person_id == person_id, Statement.ended_at.is_(None))
        .order_by(Statement.id)
    )
    return list(found)


async def words_of(tx: AsyncSession, *, statement_ids: list[UUID]) -> dict[UUID, str]:
    """Return the words of statements that the actor may see, ended ones too."""
    if not statement_ids:
        return {}
    rows = await tx.execute(
        select(Statement.id, Statement.words).where(Statement.id.in_(statement_ids))
    )
    return {row[0]: row[1] for row in rows}


async def facts(tx: AsyncSession, *, person_id: UUID) -> dict[UUID, list[tuple[str, str]]]:
    """Return the confirmed facts of a person by statement."""
    rows = await tx.execute(
        select(StatementFact.statement_id, StatementFact.fact, StatementFact.wanted)
        .where(StatementFact.person_id == person_id)
        .order_by(StatementFact.fact)
    )
    by_statement: dict[UUID, list[tuple[str, str]]] = {}
    for statement_id, fact, wanted in rows:
        by_statement.setdefault(statement_id, []).append((fact, wanted))
    return by_statement


async def live_statement(
    tx: AsyncSession, *, person_id: UUID, statement_id: UUID
) -> Statement | None:
    """Return one statement that stands, locked against a second change, or None."""
    return (
        await tx.execute(
            select(Statement)
            .where(
                and_(
                    Statement.id == statement_id,
                    Statement.person_id == person_id,
                    Statement.ended_at.is_(None),
                )
            )
            .with_for_update()
        )
    ).scalar_one_or_none()


async def receipts(
    tx: AsyncSession, *, person_id: UUID, before: UUID | None, limit: int
) -> list[ReadReceipt]:
    """Return who looked at a person's story, newest first, older than ``before``."""
    conditions: list[ColumnElement[bool]] = [ReadReceipt.about_id == person_id]
    if before is not None:
        conditions.append(ReadReceipt.id < before)
    found = await tx.scalars(
        select(ReadReceipt).where(*conditions).order_by(ReadReceipt.id.desc()).limit(limit)
    )
    return list(found)


class PlaceRow(NamedTuple):
    """Where a person is, to a postcode sector."""

    outward: str | None
    sector: str | None
    town: str | None
    easting: int | None
    northing: int | None


async def place(tx: AsyncSession, *, person_id: UUID) -> PlaceRow | None:
    """Return where a person is, or None when there is none that the actor may see."""
    row = (
        await tx.execute(
            select(
                Person.outward, Person.sector, Person.town, Person.easting, Person.northing
            ).where(Person.id == person_id)
        )
    ).one_or_none()
    return PlaceRow._make(row) if row is not None else None
