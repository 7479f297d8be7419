"""Things to join over HTTP. Browsing is open to all."""

from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.areas.rules import Day
from api.core import clock
from api.core.db import Database
from api.core.http import ANSWERS, Work, allow
from api.listings import service
from api.listings.rules import (
    DEFAULT_DISTANCE_METRES,
    MOST_A_PAGE,
    MOST_DISTANCE_METRES,
    PAGE,
    PublicKind,
    Section,
)
from api.listings.schemas import (
    Confirmation,
    Filters,
    ListingMade,
    ListingOut,
    ListingPage,
    NewListing,
    NewOffer,
    OfferList,
    OfferOut,
    Search,
)


@get("/v1/listings", guards=[allow("anyone")], responses=ANSWERS)
async def browse(
    database: NamedDependency[Database],
    near: Annotated[str | None, QueryParameter(min_length=2, max_length=12)] = None,
    within_metres: Annotated[
        int, QueryParameter(ge=100, le=MOST_DISTANCE_METRES)
    ] = DEFAULT_DISTANCE_METRES,
    day: Annotated[Day | None, QueryParameter()] = None,
    kind: Annotated[PublicKind | None, QueryParameter()] = None,
    free: Annotated[bool, QueryParameter()] = False,
    area: Annotated[str | None, QueryParameter(pattern=r"^[a-z][a-z0-9-]{1,39}$")] = None,
    section: Annotated[Section, QueryParameter()] = "confirmed",
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_A_PAGE)] = PAGE,
    cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
) -> ListingPage:
    """Things to join near a place. To look by words, POST /v1/listings/search."""
    filters = Filters(
        near=near,
        within_metres=within_metres,
        day=day,
        kind=kind,
        free=free,
        area=area,
        section=section,
        limit=limit,
        cursor=cursor,
    )
    return await service.browse(database, now=clock.now(), filters=filters)


@post("/v1/listings/search", guards=[allow("anyone")], responses=ANSWERS, status_code=200)
async def search(data: JSONBody[Search], database: NamedDependency[Database]) -> ListingPage:
    """Things to join, by words. The words stay out of addresses and logs."""
    return await service.browse(database, now=clock.now(), filters=data)


@get("/v1/listings/{listing_id:uuid}", guards=[allow("anyone")], responses=ANSWERS)
async def one(listing_id: FromPath[UUID], database: NamedDependency[Database]) -> ListingOut:
    """One thing to join."""
    return await service.public_one(database, now=clock.now(), listing_id=listing_id)


@post("/v1/listings", guards=[allow("signed_in")], responses=ANSWERS)
async def create(data: JSONBody[NewListing], keyed: NamedDependency[Work]) -> ListingMade:
    """List something."""
    return await keyed.once(
        ListingMade, lambda tx: service.create(tx, actor=keyed.actor, now=keyed.now, new=data)
    )


@put("/v1/listings/{listing_id:uuid}", guards=[allow("signed_in")], responses=ANSWERS)
async def replace(
    listing_id: FromPath[UUID], data: JSONBody[NewListing], work: NamedDependency[Work]
) -> ListingMade:
    """Say anew what a listing of yours is."""
    return await work.write(
        service.replace, actor=work.actor, now=work.now, listing_id=listing_id, new=data
    )


@post(
    "/v1/listings/{listing_id:uuid}/confirm",
    guards=[allow("signed_in")],
    responses=ANSWERS,
    status_code=200,
)
async def confirm(
    listing_id: FromPath[UUID], data: JSONBody[Confirmation], work: NamedDependency[Work]
) -> ListingMade:
    """It is still right. What is not confirmed lately is shown apart and never suggested."""
    return await work.write(
        service.confirm, actor=work.actor, now=work.now, listing_id=listing_id, new=data
    )


@delete("/v1/listings/{listing_id:uuid}", guards=[allow("signed_in")], responses=ANSWERS)
async def close(listing_id: FromPath[UUID], work: NamedDependency[Work]) -> None:
    """Close a listing, or take back an offer of yours."""
    await work.write(service.close, actor=work.actor, now=work.now, listing_id=listing_id)


@post("/v1/people/{person_id:uuid}/offers", guards=[allow("signed_in")], responses=ANSWERS)
async def offer(
    person_id: FromPath[UUID], data: JSONBody[NewOffer], keyed: NamedDependency[Work]
) -> OfferOut:
    """Offer something yourself. Only somebody to whom it is suggested will see it."""
    return await keyed.once(
        OfferOut,
        lambda tx: service.offer(
            tx, actor=keyed.actor, now=keyed.now, person_id=person_id, new=data
        ),
    )


@get("/v1/people/{person_id:uuid}/offers", guards=[allow("signed_in")], responses=ANSWERS)
async def own_offers(person_id: FromPath[UUID], work: NamedDependency[Work]) -> OfferList:
    """What you offer."""
    return await work.write(service.own_offers, actor=work.actor, now=work.now, person_id=person_id)


router = Router(
    "/",
    route_handlers=[browse, search, one, create, replace, confirm, close, offer, own_offers],
    tags=["listings"],
)
