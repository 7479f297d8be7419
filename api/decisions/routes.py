"""Go-aheads, looking again and stops over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.core.db import WriteSession
from api.core.http import ANSWERS, Work, allow
from api.decisions import service
from api.decisions.rules import Which
from api.decisions.schemas import (
    NewChallenge,
    NewChallengeDecision,
    NewDecision,
    NewStop,
    NewStopAnswer,
    NewWish,
    SignOffList,
    SignOffOut,
    StopAsked,
    StopList,
    StopOut,
)

SIGNERS = "role:professional,manager,commissioner"


@get("/sign-offs", guards=[allow("signed_in")], responses=ANSWERS)
async def listed(
    work: NamedDependency[Work],
    which: Annotated[Which | None, QueryParameter()] = None,
    cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
) -> SignOffList:
    """Go-aheads that you may decide, the soonest due first; or your own, the newest first."""
    return await work.write(
        service.sign_offs, actor=work.actor, now=work.now, cursor=cursor, which=which
    )


@get("/sign-offs/{sign_off_id:uuid}", guards=[allow("signed_in")], responses=ANSWERS)
async def read(sign_off_id: FromPath[UUID], work: NamedDependency[Work]) -> SignOffOut:
    """One go-ahead: what it is for, the person's wish, the decision, and the ways on from a no."""
    return await work.write(service.read, actor=work.actor, now=work.now, sign_off_id=sign_off_id)


@put("/sign-offs/{sign_off_id:uuid}/wish", guards=[allow("signed_in")], responses=ANSWERS)
async def wish(
    sign_off_id: FromPath[UUID], data: JSONBody[NewWish], work: NamedDependency[Work]
) -> SignOffOut:
    """Say in your own words what you want. It stands beside the decision; nothing is deleted."""
    return await work.write(
        service.my_wish, actor=work.actor, now=work.now, sign_off_id=sign_off_id, new=data
    )


@post("/sign-offs/{sign_off_id:uuid}/decision", guards=[allow(SIGNERS)], responses=ANSWERS)
async def decide(
    sign_off_id: FromPath[UUID], data: JSONBody[NewDecision], keyed: NamedDependency[Work]
) -> SignOffOut:
    """Give the go-ahead, or say no: on which ground, why, who can change it, who rings by when."""
    return await keyed.once(
        SignOffOut,
        lambda tx: service.decide(
            tx, actor=keyed.actor, now=keyed.now, sign_off_id=sign_off_id, new=data
        ),
        lambda tx, first: _again(tx, first),
    )


@post("/sign-offs/{sign_off_id:uuid}/challenges", guards=[allow("signed_in")], responses=ANSWERS)
async def challenge(
    sign_off_id: FromPath[UUID], data: JSONBody[NewChallenge], keyed: NamedDependency[Work]
) -> SignOffOut:
    """Look again: somebody new checks a no, and you see by when."""
    return await keyed.once(
        SignOffOut,
        lambda tx: service.challenge(
            tx, actor=keyed.actor, now=keyed.now, sign_off_id=sign_off_id, new=data
        ),
        lambda tx, first: _again(tx, first),
    )


@post("/challenges/{challenge_id:uuid}/decision", guards=[allow(SIGNERS)], responses=ANSWERS)
async def decide_challenge(
    challenge_id: FromPath[UUID],
    data: JSONBody[NewChallengeDecision],
    keyed: NamedDependency[Work],
) -> SignOffOut:
    """Look again, as somebody who did not decide it: it stands, or it is changed. Say why."""
    return await keyed.once(
        SignOffOut,
        lambda tx: service.decide_challenge(
            tx, actor=keyed.actor, now=keyed.now, challenge_id=challenge_id, new=data
        ),
        lambda tx, first: _again(tx, first),
    )


@post("/safety-stops", guards=[allow("signed_in")], responses=ANSWERS)
async def stop(data: JSONBody[StopAsked], keyed: NamedDependency[Work]) -> StopOut:
    """Stop, I'm worried: the change is held now, while somebody checks. In danger? Ring 999."""
    new = NewStop(
        subject_type=data.subject_type,
        subject_id=data.subject_id,
        area=data.area,
        ground=data.ground,
        words=data.words,
    )
    return await keyed.once(
        StopOut,
        lambda tx: service.raise_stop(tx, actor=keyed.actor, now=keyed.now, new=new),
        lambda tx, first: service.stop_again(tx, first),
    )


@get("/safety-stops", guards=[allow("signed_in")], responses=ANSWERS)
async def stops(
    work: NamedDependency[Work],
    cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
) -> StopList:
    """The stops you said, and those that wait for your answer."""
    return await work.write(service.stops, actor=work.actor, now=work.now, cursor=cursor)


@post(
    "/safety-stops/{stop_id:uuid}/answers",
    guards=[allow("role:professional,manager")],
    responses=ANSWERS,
)
async def answer(
    stop_id: FromPath[UUID], data: JSONBody[NewStopAnswer], keyed: NamedDependency[Work]
) -> StopOut:
    """Answer a stop: it stays held, or the change may go on. Whoever said it reads your answer."""
    return await keyed.once(
        StopOut,
        lambda tx: service.answer_stop(
            tx, actor=keyed.actor, now=keyed.now, stop_id=stop_id, new=data
        ),
        lambda tx, first: service.stop_again(tx, first),
    )


async def _again(tx: WriteSession, first: SignOffOut) -> SignOffOut:
    """Give the first answer again, to whoever may still see the go-ahead."""
    await service.visible(tx, sign_off_id=first.id)
    return first


router = Router(
    "/v1",
    route_handlers=[
        listed,
        read,
        wish,
        decide,
        challenge,
        decide_challenge,
        stop,
        stops,
        answer,
    ],
    tags=["go-aheads and stops"],
)
