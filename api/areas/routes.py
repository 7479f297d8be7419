"""Areas over HTTP."""

from litestar import Router, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.areas import service
from api.areas.schemas import AreaList, AreaOut, NewSettings
from api.core.db import Database
from api.core.errors import NotAllowed
from api.core.http import ANSWERS, Work, allow


@get("/", guards=[allow("anyone")], responses=ANSWERS)
async def list_areas(database: NamedDependency[Database]) -> AreaList:
    """All areas, with their settings as data."""
    async with database.public() as reader:
        return await service.list_areas(reader)


@get("/{slug:str}", guards=[allow("anyone")], responses=ANSWERS)
async def get_area(slug: FromPath[str], database: NamedDependency[Database]) -> AreaOut:
    """One area."""
    async with database.public() as reader:
        return await service.get_area(reader, slug=slug)


@put("/{slug:str}/settings", guards=[allow("role:area_admin")], responses=ANSWERS)
async def change_settings(
    slug: FromPath[str], data: JSONBody[NewSettings], work: NamedDependency[Work]
) -> AreaOut:
    """New settings, with a reason that stays on record."""
    if not work.actor.has_role("area_admin", area=slug):
        raise NotAllowed(
            rule="own-area",
            detail="You are the admin of another area.",
            who_can_change_it="The admin of this area.",
        )
    return await work.write(
        service.change_settings, actor=work.actor, now=work.now, slug=slug, new=data
    )


router = Router("/v1/areas", route_handlers=[list_areas, get_area, change_settings], tags=["areas"])
