"""Sign-in, accounts and assignments over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Request, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.core.config import Settings
from api.core.http import ANSWERS, Work, allow
from api.core.ratelimit import RateLimiter
from api.identity import assignments, service
from api.identity.rules import Person, Role
from api.identity.schemas import (
    AccountMade,
    AssignmentList,
    AssignmentOut,
    ByCode,
    Credential,
    Me,
    NewAccount,
    NewAssignment,
    RoleOut,
    SessionStarted,
)

SIGN_IN_TRIES = 20
SIGN_IN_WINDOW_SECONDS = 600


@post("/v1/sessions", guards=[allow("anyone")], responses=ANSWERS)
async def sign_in(
    data: JSONBody[Credential],
    request: Request[Any, Any, Any],
    work: NamedDependency[Work],
    limiter: NamedDependency[RateLimiter],
    configuration: NamedDependency[Settings],
) -> SessionStarted:
    """Sign in with a code. Wrong codes are limited by address."""
    tries = f"sign-in:{request.client.host if request.client else 'local'}"
    if isinstance(data, ByCode):
        await limiter.hit(tries, limit=SIGN_IN_TRIES, window_seconds=SIGN_IN_WINDOW_SECONDS)
    started = await work.write(
        service.sign_in, actor=work.actor, now=work.now, credential=data, mode=configuration.mode
    )
    if isinstance(data, ByCode):
        # A day centre or a library has one address for all who sign in there.
        await limiter.give_back(tries)
    return started


@post("/v1/sessions/rotate", guards=[allow("signed_in")], responses=ANSWERS)
async def rotate(work: NamedDependency[Work]) -> SessionStarted:
    """Swap the token in use for a new one. The old one ends at once."""
    return await work.write(service.rotate, actor=work.actor, now=work.now)


@delete("/v1/sessions/current", guards=[allow("signed_in")], responses=ANSWERS)
async def sign_out(work: NamedDependency[Work]) -> None:
    """End the sign-in in use."""
    await work.write(service.revoke, actor=work.actor, now=work.now)


@get("/v1/me", guards=[allow("signed_in")], responses=ANSWERS)
async def me(work: NamedDependency[Work]) -> Me:
    """Who Kith takes you for."""
    roles = work.actor.roles if isinstance(work.actor, Person) else ()
    return Me(
        kind=work.actor.kind,
        id=work.actor.id,
        roles=[RoleOut(area=held.area, role=held.role) for held in roles],
    )


@post("/v1/accounts", guards=[allow("role:area_admin")], responses=ANSWERS)
async def create_account(data: JSONBody[NewAccount], keyed: NamedDependency[Work]) -> AccountMade:
    """A new account, and the code for its first sign-in."""
    return await keyed.once(
        AccountMade,
        lambda tx: service.create_account(tx, actor=keyed.actor, now=keyed.now, new=data),
    )


@delete(
    "/v1/accounts/{account_id:uuid}/roles/{area:str}/{role:str}",
    guards=[allow("role:area_admin")],
    responses=ANSWERS,
)
async def end_role(
    account_id: FromPath[UUID],
    area: FromPath[str],
    role: FromPath[Role],
    work: NamedDependency[Work],
) -> None:
    """End a role, and with the last one the work with people there."""
    await work.write(
        service.end_role,
        actor=work.actor,
        now=work.now,
        account_id=account_id,
        area=area,
        role=role,
    )


@post("/v1/assignments", guards=[allow("role:area_admin,manager")], responses=ANSWERS)
async def assign(data: JSONBody[NewAssignment], keyed: NamedDependency[Work]) -> AssignmentOut:
    """Let somebody work with a person. The story stays closed until the person agrees."""
    return await keyed.once(
        AssignmentOut, lambda tx: assignments.assign(tx, actor=keyed.actor, now=keyed.now, new=data)
    )


@get("/v1/assignments", guards=[allow("signed_in")], responses=ANSWERS)
async def my_assignments(work: NamedDependency[Work]) -> AssignmentList:
    """Who works with you, or whom you work with."""
    return await work.write(assignments.mine)


@post(
    "/v1/assignments/{assignment_id:uuid}/agree",
    guards=[allow("signed_in")],
    responses=ANSWERS,
    status_code=204,
)
async def agree(assignment_id: FromPath[UUID], work: NamedDependency[Work]) -> None:
    """Say, as the person, that this worker may read your story."""
    await work.write(assignments.agree, actor=work.actor, now=work.now, assignment_id=assignment_id)


@delete("/v1/assignments/{assignment_id:uuid}", guards=[allow("signed_in")], responses=ANSWERS)
async def end_assignment(assignment_id: FromPath[UUID], work: NamedDependency[Work]) -> None:
    """End it. No reason is asked."""
    await work.write(assignments.end, actor=work.actor, now=work.now, assignment_id=assignment_id)


router = Router(
    "/",
    route_handlers=[
        sign_in,
        rotate,
        sign_out,
        me,
        create_account,
        end_role,
        assign,
        my_assignments,
        agree,
        end_assignment,
    ],
    tags=["sign-in"],
)
