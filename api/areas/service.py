"""Areas: what they are called and how they want things done."""

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import insert, update

from api.areas import queries
from api.areas.models import Area, AreaChange
from api.areas.rules import AreaSettings
from api.areas.schemas import AreaList, AreaOut, NewArea, NewSettings
from api.core import audit
from api.core.db import ActorContext, WriteSession
from api.core.errors import Conflict, invalid, not_found
from api.core.ids import new_id


async def list_areas(reader: queries.Reader) -> AreaList:
    """Return every area."""
    return AreaList(items=[_out(row) for row in await queries.all_areas(reader)])


async def get_area(
    reader: queries.Reader, *, slug: str | None = None, area_id: UUID | None = None
) -> AreaOut:
    """Return one area; NotFound when there is none."""
    row = await queries.one(reader, slug=slug, area_id=area_id)
    if row is None:
        raise not_found("area")
    return _out(row)


async def area_named(reader: queries.Reader, *, slug: str) -> AreaOut:
    """Return the area that a request's body names; Invalid, naming the known ones, otherwise."""
    row = await queries.one(reader, slug=slug)
    if row is None:
        known = ", ".join(found[1] for found in await queries.all_areas(reader))
        raise invalid("area-known", "area", f"There is no such area. There is: {known}.")
    return _out(row)


async def create_area(
    tx: WriteSession, *, actor: ActorContext, now: datetime, new: NewArea
) -> AreaOut:
    """Make an area. Conflict when the slug is taken."""
    check_settings(new.settings)
    if await queries.one(tx, slug=new.slug) is not None:
        raise Conflict(
            rule="area-slug-taken",
            detail="There is an area of that name already.",
            who_can_change_it="You can, by choosing another slug.",
        )
    area_id = new_id()
    settings = msgspec.to_builtins(new.settings)
    await tx.execute(
        insert(Area).values(
            id=area_id, slug=new.slug, name=new.name, settings=settings, version=1, created_at=now
        )
    )
    await _keep(tx, actor=actor, now=now, area_id=area_id, version=1, new=new.settings, why="made")
    return AreaOut(id=area_id, slug=new.slug, name=new.name, version=1, settings=new.settings)


async def change_settings(
    tx: WriteSession, *, actor: ActorContext, now: datetime, slug: str, new: NewSettings
) -> AreaOut:
    """Replace an area's settings, keeping the old ones and the reason.

    Conflict when somebody else changed them since ``new.version``.
    """
    check_settings(new.settings)
    area = await get_area(tx, slug=slug)
    changed = await tx.execute(
        update(Area)
        .where(Area.id == area.id, Area.version == new.version)
        .values(settings=msgspec.to_builtins(new.settings), version=Area.version + 1)
        .returning(Area.version)
    )
    version = changed.scalar_one_or_none()
    if version is None:
        raise Conflict(
            rule="version-moved-on",
            detail=f"The settings were changed meanwhile: they are at version {area.version}.",
            who_can_change_it="You can, by reading them again and sending your change once more.",
        )
    await _keep(
        tx,
        actor=actor,
        now=now,
        area_id=area.id,
        version=version,
        new=new.settings,
        why=new.reason,
    )
    return msgspec.structs.replace(area, version=version, settings=new.settings)


def check_settings(settings: AreaSettings) -> None:
    """Raise Invalid for what a type cannot say: an unknown time zone, two tiers of one name."""
    try:
        ZoneInfo(settings.time_zone)
    except (KeyError, ValueError, OSError):
        raise invalid(
            "time-zone-known", "settings.time_zone", "This time zone is not known."
        ) from None
    codes = [tier.code for tier in settings.check_tiers]
    if len(codes) != len(set(codes)):
        raise invalid("tier-once", "settings.check_tiers", "Each tier has a code of its own.")


async def _keep(
    tx: WriteSession,
    *,
    actor: ActorContext,
    now: datetime,
    area_id: UUID,
    version: int,
    new: AreaSettings,
    why: str,
) -> None:
    await tx.execute(
        insert(AreaChange).values(
            area_id=area_id,
            version=version,
            settings=msgspec.to_builtins(new),
            reason=why,
            changed_by=actor.id if actor.kind == "person" else None,
            at=now,
        )
    )
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action="area.settings",
        subject_type="area",
        subject_id=area_id,
        version=version,
    )


def _out(row: tuple[UUID, str, str, int, dict[str, object]]) -> AreaOut:
    area_id, slug, name, version, settings = row
    return AreaOut(
        id=area_id,
        slug=slug,
        name=name,
        version=version,
        settings=msgspec.convert(settings, AreaSettings),
    )
