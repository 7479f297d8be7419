"""Putting money together, over HTTP."""

from typing import Annotated, Any
from uuid import UUID, uuid4

from litestar import Request, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.core import idempotency
from api.core.http import ANSWERS, Work, allow
from api.pools import (
    contract,
    delivery,
    exits,
    money,
    offers,
    promises,
    service,
    steps,
    views,
    votes,
)
from api.pools.schemas import (
    Books,
    History,
    Invitation,
    Leaving,
    Mine,
    NewBallot,
    NewBody,
    NewChoices,
    NewExit,
    NewMember,
    NewMessage,
    NewOffer,
    NewPledge,
    NewPool,
    NewStageWord,
    NewStep,
    NewVote,
    Pausing,
    PledgeOut,
    PoolList,
    PoolOut,
)

SIGNED_IN = [allow("signed_in")]
STAFF = [allow("role:finance,manager,commissioner")]


@post("/", guards=SIGNED_IN, responses=ANSWERS)
async def start(data: JSONBody[NewPool], keyed: NamedDependency[Work]) -> PoolOut:
    """Start with an idea for something that does not exist yet."""
    return await keyed.once(
        PoolOut, lambda tx: service.start(tx, actor=keyed.actor, now=keyed.now, new=data)
    )


@get("/", guards=SIGNED_IN, responses=ANSWERS)
async def listed(
    work: NamedDependency[Work],
    area: Annotated[str | None, QueryParameter(pattern=r"^[a-z][a-z0-9-]{1,39}$")] = None,
) -> PoolList:
    """My groups, and those of an area that are open. No names; small ones are not shown."""
    return await work.write(views.listed, area=area)


@get("/{pool_id:uuid}", guards=SIGNED_IN, responses=ANSWERS)
async def read(pool_id: FromPath[UUID], work: NamedDependency[Work]) -> PoolOut:
    """A group: its people, offers, votes, rules, stages, and how much is promised."""
    return await work.write(views.read, actor=work.actor, now=work.now, pool_id=pool_id)


@get("/{pool_id:uuid}/mine", guards=SIGNED_IN, responses=ANSWERS)
async def mine(pool_id: FromPath[UUID], work: NamedDependency[Work]) -> Mine:
    """What I put in, what it may be used for, what was spent, what I would get back today."""
    return await work.write(money.mine, actor=work.actor, now=work.now, pool_id=pool_id)


@get("/{pool_id:uuid}/books", guards=SIGNED_IN, responses=ANSWERS)
async def books(pool_id: FromPath[UUID], work: NamedDependency[Work]) -> Books:
    """The group's money to the penny, share by share, without names. Missing is always 0."""
    return await work.write(money.books, pool_id=pool_id)


@get("/{pool_id:uuid}/history", guards=SIGNED_IN, responses=ANSWERS)
async def history(pool_id: FromPath[UUID], work: NamedDependency[Work]) -> History:
    """Every change: what, why, by whom in which role. Nothing is ever taken out of it."""
    return await work.write(views.history, pool_id=pool_id)


@post("/{pool_id:uuid}/invitations", guards=SIGNED_IN, responses=ANSWERS)
async def invite(pool_id: FromPath[UUID], keyed: NamedDependency[Work]) -> Invitation:
    """A code for others: who has it can join, or make an offer. A new one ends the old."""
    return await keyed.once(
        Invitation,
        lambda tx: service.invite(tx, actor=keyed.actor, now=keyed.now, pool_id=pool_id),
        lambda tx, first: service.invite_again(tx, first, actor=keyed.actor, now=keyed.now),
    )


@post("/{pool_id:uuid}/members", guards=SIGNED_IN, responses=ANSWERS)
async def join(
    pool_id: FromPath[UUID], data: JSONBody[NewMember], keyed: NamedDependency[Work]
) -> PoolOut:
    """Join, by your own wish. Joining promises nothing."""
    return await keyed.once(
        PoolOut,
        lambda tx: service.join(tx, actor=keyed.actor, now=keyed.now, pool_id=pool_id, new=data),
    )


@post("/{pool_id:uuid}/leave", guards=SIGNED_IN, responses=ANSWERS)
async def leave(
    pool_id: FromPath[UUID], data: JSONBody[Leaving], keyed: NamedDependency[Work]
) -> Mine:
    """Leave. No reason is needed. What is left of your money goes back where it came from."""
    return await keyed.once(
        Mine,
        lambda tx: exits.leave(tx, actor=keyed.actor, now=keyed.now, pool_id=pool_id, new=data),
    )


@post("/{pool_id:uuid}/offers", guards=SIGNED_IN, responses=ANSWERS)
async def offer(
    pool_id: FromPath[UUID], data: JSONBody[NewOffer], keyed: NamedDependency[Work]
) -> PoolOut:
    """Offer something to a group, with its price and for how many. A new version is voted on."""
    return await keyed.once(
        PoolOut,
        lambda tx: offers.offer(tx, actor=keyed.actor, now=keyed.now, pool_id=pool_id, new=data),
    )


@post("/{pool_id:uuid}/messages", guards=SIGNED_IN, responses=ANSWERS)
async def say(
    pool_id: FromPath[UUID], data: JSONBody[NewMessage], keyed: NamedDependency[Work]
) -> PoolOut:
    """Ask something about an offer, or answer. The group and whoever offers read this."""
    return await keyed.once(
        PoolOut,
        lambda tx: offers.say(tx, actor=keyed.actor, now=keyed.now, pool_id=pool_id, new=data),
    )


@put("/{pool_id:uuid}/choices", guards=SIGNED_IN, responses=ANSWERS)
async def choose(
    pool_id: FromPath[UUID], data: JSONBody[NewChoices], work: NamedDependency[Work]
) -> PoolOut:
    """Agree what happens with illness, holiday, leaving, joining, unhappiness and closing."""
    return await work.write(steps.choose, actor=work.actor, now=work.now, pool_id=pool_id, new=data)


@post("/{pool_id:uuid}/votes", guards=SIGNED_IN, responses=ANSWERS)
async def open_vote(
    pool_id: FromPath[UUID], data: JSONBody[NewVote], keyed: NamedDependency[Work]
) -> PoolOut:
    """Put a question to the group, in plain words and in easy words."""
    return await keyed.once(
        PoolOut,
        lambda tx: votes.open_vote(tx, actor=keyed.actor, now=keyed.now, pool_id=pool_id, new=data),
    )


@post("/{pool_id:uuid}/votes/{vote_id:uuid}/ballots", guards=SIGNED_IN, responses=ANSWERS)
async def cast(
    pool_id: FromPath[UUID],
    vote_id: FromPath[UUID],
    data: JSONBody[NewBallot],
    keyed: NamedDependency[Work],
) -> PoolOut:
    """Vote: one person, one vote. Somebody may help you to; nobody votes for you."""
    return await keyed.once(
        PoolOut,
        lambda tx: votes.cast(
            tx, actor=keyed.actor, now=keyed.now, pool_id=pool_id, vote_id=vote_id, new=data
        ),
    )


@post("/{pool_id:uuid}/steps", guards=SIGNED_IN, responses=ANSWERS)
async def move(
    pool_id: FromPath[UUID],
    data: JSONBody[NewStep],
    keyed: NamedDependency[Work],
    request: Request[Any, Any, Any],
) -> PoolOut:
    """The next step: open promises until a day, ask for go-aheads, or (alone in it) close it."""
    key = request.headers.get("idempotency-key")
    return await keyed.once(
        PoolOut,
        lambda tx: steps.move(
            tx, actor=keyed.actor, now=keyed.now, pool_id=pool_id, new=data, key=key
        ),
    )


@post("/{pool_id:uuid}/pledges", guards=SIGNED_IN, responses=ANSWERS)
async def promise(
    pool_id: FromPath[UUID],
    data: JSONBody[NewPledge],
    keyed: NamedDependency[Work],
    request: Request[Any, Any, Any],
) -> PledgeOut:
    """Promise money of a budget: it is kept for this and not spent, and yours until it is signed.

    The key is kept with the promise for ever, so nothing is stored twice.
    """
    sent = request.headers.get("idempotency-key")
    key = idempotency.check_key(sent) if sent is not None else uuid4().hex
    return await keyed.write(
        promises.promise, actor=keyed.actor, now=keyed.now, pool_id=pool_id, new=data, key=key
    )


@delete(
    "/{pool_id:uuid}/pledges/{pledge_id:uuid}",
    guards=SIGNED_IN,
    responses=ANSWERS,
    status_code=200,
)
async def let_go(
    pool_id: FromPath[UUID], pledge_id: FromPath[UUID], work: NamedDependency[Work]
) -> PledgeOut:
    """Take a promise back before anything is signed."""
    return await work.write(
        promises.let_go, actor=work.actor, now=work.now, pool_id=pool_id, pledge_id=pledge_id
    )


@put("/{pool_id:uuid}/body", guards=SIGNED_IN, responses=ANSWERS)
async def name_body(
    pool_id: FromPath[UUID], data: JSONBody[NewBody], work: NamedDependency[Work]
) -> PoolOut:
    """Name the legal body that signs for the group."""
    return await work.write(
        contract.name_body, actor=work.actor, now=work.now, pool_id=pool_id, new=data
    )


@post(
    "/{pool_id:uuid}/approvals",
    guards=STAFF,
    responses=ANSWERS,
)
async def approve(pool_id: FromPath[UUID], keyed: NamedDependency[Work]) -> PoolOut:
    """Pass the contract, as one of two who neither wrote it, nor are paid by it, nor take part."""
    return await keyed.once(
        PoolOut,
        lambda tx: contract.approve(tx, actor=keyed.actor, now=keyed.now, pool_id=pool_id),
    )


@post("/{pool_id:uuid}/stages/{number:int}/words", guards=SIGNED_IN, responses=ANSWERS)
async def say_of_stage(
    pool_id: FromPath[UUID],
    number: FromPath[int],
    data: JSONBody[NewStageWord],
    keyed: NamedDependency[Work],
) -> PoolOut:
    """Say that a part is done, that it happened, or that it was not as agreed."""
    return await keyed.once(
        PoolOut,
        lambda tx: delivery.say(
            tx, actor=keyed.actor, now=keyed.now, pool_id=pool_id, number=number, new=data
        ),
    )


@post(
    "/{pool_id:uuid}/members/{number:int}/exits",
    guards=STAFF,
    responses=ANSWERS,
)
async def exit_by_staff(
    pool_id: FromPath[UUID],
    number: FromPath[int],
    data: JSONBody[NewExit],
    keyed: NamedDependency[Work],
) -> PoolOut:
    """A death, an estate that is settled, a funder who withdraws."""
    return await keyed.once(
        PoolOut,
        lambda tx: exits.exit_by_staff(
            tx, actor=keyed.actor, now=keyed.now, pool_id=pool_id, number=number, new=data
        ),
    )


@put("/{pool_id:uuid}/pause", guards=[allow("role:manager")], responses=ANSWERS)
async def pause(
    pool_id: FromPath[UUID], data: JSONBody[Pausing], work: NamedDependency[Work]
) -> PoolOut:
    """Pause a group to keep somebody safe, or end the pause."""
    return await work.write(exits.pause, actor=work.actor, now=work.now, pool_id=pool_id, new=data)


router = Router(
    "/v1/pools",
    route_handlers=[
        start,
        listed,
        read,
        mine,
        books,
        history,
        invite,
        join,
        leave,
        offer,
        say,
        choose,
        open_vote,
        cast,
        move,
        promise,
        let_go,
        name_body,
        approve,
        say_of_stage,
        exit_by_staff,
        pause,
    ],
    tags=["putting money together"],
)
