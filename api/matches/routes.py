"""Ideas for a person over HTTP."""

from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.core.http import ANSWERS, Work, allow
from api.matches import service
from api.matches.schemas import LookAsked, Step, SuggestionList, UnmetList


@get("/v1/people/{person_id:uuid}/suggestions", guards=[allow("signed_in")], responses=ANSWERS)
async def suggestions(person_id: FromPath[UUID], work: NamedDependency[Work]) -> SuggestionList:
    """Ideas for you: why each may fit, why it may not, and what we do not know."""
    return await work.write(
        service.suggestions, actor=work.actor, now=work.now, person_id=person_id
    )


@get("/v1/people/{person_id:uuid}/unmet-wants", guards=[allow("signed_in")], responses=ANSWERS)
async def unmet(person_id: FromPath[UUID], work: NamedDependency[Work]) -> UnmetList:
    """What we did not find yet, and when we look again."""
    return await work.write(service.unmet, actor=work.actor, now=work.now, person_id=person_id)


@post(
    "/v1/people/{person_id:uuid}/matches",
    guards=[allow("signed_in")],
    responses=ANSWERS,
    status_code=202,
)
async def ask_to_look(person_id: FromPath[UUID], work: NamedDependency[Work]) -> LookAsked:
    """Ask for another look."""
    return await work.write(
        service.ask_to_look, actor=work.actor, now=work.now, person_id=person_id
    )


@post(
    "/v1/suggestions/{suggestion_id:uuid}/steps",
    guards=[allow("signed_in")],
    responses=ANSWERS,
    status_code=204,
)
async def step(
    suggestion_id: FromPath[UUID], data: JSONBody[Step], work: NamedDependency[Work]
) -> None:
    """Seen, not for me (no reason needed), or: I would like a first meeting."""
    await work.write(
        service.step, actor=work.actor, now=work.now, suggestion_id=suggestion_id, step=data
    )


router = Router("/", route_handlers=[suggestions, unmet, ask_to_look, step], tags=["ideas"])
