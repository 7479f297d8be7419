"""Reads of areas."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from api.areas.models import Area

Reader = AsyncSession | AsyncConnection

_COLUMNS = (Area.id, Area.slug, Area.name, Area.version, Area.settings)


async def all_areas(reader: Reader) -> list[tuple[UUID, str, str, int, dict[str, object]]]:
    """Return every area as (id, slug, name, version, settings), by slug."""
    rows = await reader.execute(select(*_COLUMNS).order_by(Area.slug))
    return [tuple(row) for row in rows]


async def one(
    reader: Reader, *, slug: str | None = None, area_id: UUID | None = None
) -> tuple[UUID, str, str, int, dict[str, object]] | None:
    """Return one area by slug or by id, or None."""
    condition = Area.slug == slug if slug is not None else Area.id == area_id
    row = (await reader.execute(select(*_COLUMNS).where(condition))).one_or_none()
    return tuple(row) if row is not None else None
