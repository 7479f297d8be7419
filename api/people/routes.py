"""Stories over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.core.http import ANSWERS, Work, allow
from api.people import service
from api.people.schemas import (
    ChangePerson,
    CodeOut,
    NewStatement,
    ReceiptList,
    StartStory,
    StatementOut,
    StoryOut,
    StoryStarted,
)


@post("/", guards=[allow("anyone")], responses=ANSWERS)
async def start(data: JSONBody[StartStory], keyed: NamedDependency[Work]) -> StoryStarted:
    """What are you good at? What do you want to do? No account, no referral, no diagnosis."""
    return await keyed.once(
        StoryStarted,
        lambda tx: service.start(tx, actor=keyed.actor, now=keyed.now, story=data),
        lambda tx, first: service.start_again(tx, first, actor=keyed.actor, now=keyed.now),
    )


@get("/{person_id:uuid}", guards=[allow("signed_in")], responses=ANSWERS)
async def read(person_id: FromPath[UUID], work: NamedDependency[Work]) -> StoryOut:
    """A story. Each look leaves a receipt that the person can see."""
    return await work.write(service.read, actor=work.actor, now=work.now, person_id=person_id)


@patch("/{person_id:uuid}", guards=[allow("signed_in")], responses=ANSWERS, status_code=204)
async def change(
    person_id: FromPath[UUID], data: JSONBody[ChangePerson], work: NamedDependency[Work]
) -> None:
    """Change where you are, when you are free, how far you go, what you can spend."""
    await work.write(
        service.change, actor=work.actor, now=work.now, person_id=person_id, change=data
    )


@post("/{person_id:uuid}/statements", guards=[allow("signed_in")], responses=ANSWERS)
async def say(
    person_id: FromPath[UUID], data: JSONBody[NewStatement], keyed: NamedDependency[Work]
) -> StatementOut:
    """Add something to your story."""
    return await keyed.once(
        StatementOut,
        lambda tx: service.say(tx, actor=keyed.actor, now=keyed.now, person_id=person_id, one=data),
    )


@put(
    "/{person_id:uuid}/statements/{statement_id:uuid}",
    guards=[allow("signed_in")],
    responses=ANSWERS,
)
async def say_anew(
    person_id: FromPath[UUID],
    statement_id: FromPath[UUID],
    data: JSONBody[NewStatement],
    work: NamedDependency[Work],
) -> StatementOut:
    """Say it differently. The old words are kept as an older version."""
    return await work.write(
        service.say_anew,
        actor=work.actor,
        now=work.now,
        person_id=person_id,
        statement_id=statement_id,
        one=data,
    )


@delete(
    "/{person_id:uuid}/statements/{statement_id:uuid}",
    guards=[allow("signed_in")],
    responses=ANSWERS,
)
async def take_back(
    person_id: FromPath[UUID], statement_id: FromPath[UUID], work: NamedDependency[Work]
) -> None:
    """Take something back."""
    await work.write(
        service.take_back,
        actor=work.actor,
        now=work.now,
        person_id=person_id,
        statement_id=statement_id,
    )


@get("/{person_id:uuid}/receipts", guards=[allow("signed_in")], responses=ANSWERS)
async def receipts(
    person_id: FromPath[UUID],
    work: NamedDependency[Work],
    cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
) -> ReceiptList:
    """Who looked at your story, newest first; refused looks too."""
    return await work.write(service.receipts, person_id=person_id, cursor=cursor)


@post("/{person_id:uuid}/come-back-codes", guards=[allow("signed_in")], responses=ANSWERS)
async def renew_code(person_id: FromPath[UUID], work: NamedDependency[Work]) -> CodeOut:
    """A new come-back code. The old ones end at once."""
    return await work.write(service.renew_code, actor=work.actor, now=work.now, person_id=person_id)


router = Router(
    "/v1/people",
    route_handlers=[start, read, change, say, say_anew, take_back, receipts, renew_code],
    tags=["people"],
)
