"""Changes of a budget: what it is for, who may act, and whether it goes on.

Money never stops in silence: a hold and an end need a reason and a notice, and say how to have
them looked at again (Care Act 2014, s.33; money_rules.md). A safety stop holds every change but
the taking back of a right, and never money that comes in or was asked for (law.md 4).
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from api.budgets import queries
from api.budgets.books import (
    add_purposes,
    bump,
    facts,
    happened,
    looks_after,
    not_yours,
)
from api.budgets.models import BudgetAuthority, BudgetPurpose
from api.budgets.reading import read
from api.budgets.rules import (
    GIVEN_BY_THE_PERSON,
    BudgetFacts,
    State,
    check_authority,
    must_act,
    ways_on,
)
from api.budgets.schemas import BudgetOut, NewAuthority, NewPurposes, NewState, PoolingWord
from api.core.db import WriteSession, constraint
from api.core.errors import Conflict, NotAllowed, invalid, not_found
from api.core.ids import new_id
from api.decisions import service as decisions
from api.decisions.rules import Subject as Held
from api.identity.rules import Actor
from api.ledger import service as ledger
from api.ledger.rules import Subject, Transfer

# With these nobody has to say what goes on meanwhile.
_NO_BRIDGE = ("asked_by_the_person", "death", "estate_settled")
# What the area may do to own money: nothing, until its owner has died.
_OF_AN_ESTATE = ("death", "estate_settled")


async def set_purposes(
    tx: WriteSession, *, actor: Actor, now: datetime, budget_id: UUID, new: NewPurposes
) -> BudgetOut:
    """Say what the money is for from now on; what it was for before is kept with its end."""
    found = await _locked(tx, budget_id=budget_id)
    await _must_run(tx, found, actor=actor)
    standing = await queries.purposes(tx, budget_id=budget_id)
    wanted = {(one.code, one.words, one.until) for one in new.purposes}
    kept = {(one.code, one.words, one.until_at) for one in standing} & wanted
    over = [one.id for one in standing if (one.code, one.words, one.until_at) not in kept]
    if over:
        await tx.execute(
            update(BudgetPurpose).where(BudgetPurpose.id.in_(over)).values(ended_at=now)
        )
    fresh = [one for one in new.purposes if (one.code, one.words, one.until) not in kept]
    if len({one.code for one in new.purposes}) != len(new.purposes):
        raise invalid("purpose-once", "purposes", "Each purpose stands once.")
    await add_purposes(tx, now=now, budget_id=budget_id, new=fresh)
    await bump(tx, budget_id=budget_id)
    await happened(tx, actor=actor, now=now, budget_id=budget_id, what="purposes")
    return await read(tx, actor=actor, now=now, budget_id=budget_id)


async def give_authority(
    tx: WriteSession, *, actor: Actor, now: datetime, budget_id: UUID, new: NewAuthority
) -> BudgetOut:
    """Let somebody act for this money, by a named authority, until its end (law.md 5).

    The person gives their own say-so and names a nominee; what the law gives is recorded by the
    area once papers were seen, and by nobody for themselves. One that stood before ends.
    """
    found = await _locked(tx, budget_id=budget_id)
    check_authority(new.authority, new.may, in_place=new.in_place_of_person)
    if new.until is not None and new.until <= now:
        raise invalid("authority-ends-later", "until", "That time is over.")
    if new.authority in GIVEN_BY_THE_PERSON:
        if not await queries.is_own(tx, budget_id=budget_id):
            raise _the_persons()
    elif not looks_after(actor, found):
        raise not_yours("This authority is recorded by the area, once it has seen the papers.")
    if new.account_id == actor.id:
        raise NotAllowed(
            rule="not-for-oneself",
            detail="Nobody gives a right over somebody's money to themselves.",
            who_can_change_it="Somebody else who may give it.",
            what_else=["Ask a manager of the area to record it."],
        )
    same = [
        one.id
        for one in await queries.authorities(tx, budget_id=budget_id, now=now)
        if one.account_id == new.account_id and one.authority == new.authority
    ]
    await _end(tx, ids=same, now=now)
    row = {
        "id": new_id(),
        "budget_id": budget_id,
        "account_id": new.account_id,
        "authority": new.authority,
        "may": sorted(set(new.may)),
        "in_place_of_person": new.in_place_of_person,
        "from_at": now,
        "until_at": new.until,
        "given_by": actor.id,
    }
    try:
        await tx.execute(insert(BudgetAuthority).values(row))
    except IntegrityError as error:
        if constraint(error) == "fk_budget_authorities_account_id":
            raise invalid("account-known", "account_id", "There is no such account.") from None
        raise
    await bump(tx, budget_id=budget_id)
    await happened(
        tx,
        actor=actor,
        now=now,
        budget_id=budget_id,
        what="authority_given",
        reason=new.authority,
    )
    return await read(tx, actor=actor, now=now, budget_id=budget_id)


async def end_authority(
    tx: WriteSession, *, actor: Actor, now: datetime, budget_id: UUID, authority_id: UUID
) -> None:
    """Take a right back, or lay one's own down. No reason is asked."""
    found = await facts(tx, budget_id=budget_id)
    standing = {one.id: one for one in await queries.authorities(tx, budget_id=budget_id, now=now)}
    one = standing.get(authority_id)
    if one is None:
        raise not_found("right")
    own = one.authority in GIVEN_BY_THE_PERSON and await queries.is_own(tx, budget_id=budget_id)
    laid_down = actor.kind == "person" and one.account_id == actor.id
    if not (own or laid_down or looks_after(actor, found)):
        raise _the_persons()
    await happened(
        tx,
        actor=actor,
        now=now,
        budget_id=budget_id,
        what="authority_ended",
        reason=one.authority,
    )
    await _end(tx, ids=[authority_id], now=now)


async def set_pooling_authority(
    tx: WriteSession, *, actor: Actor, now: datetime, budget_id: UUID, new: PoolingWord
) -> BudgetOut:
    """Say, as the person or whoever decides with or for them, if it may be put together."""
    found = await _locked(tx, budget_id=budget_id)
    must_act(found)
    await bump(tx, budget_id=budget_id, pooling_authority_at=now if new.given else None)
    what = "together_allowed" if new.given else "together_not_allowed"
    await happened(tx, actor=actor, now=now, budget_id=budget_id, what=what)
    return await read(tx, actor=actor, now=now, budget_id=budget_id)


async def change_state(
    tx: WriteSession, *, actor: Actor, now: datetime, budget_id: UUID, new: NewState
) -> BudgetOut:
    """Put a budget on hold, let it go on, or end it, with reason, notice and ways to appeal.

    At an end what is free goes back to its source in one posting. While something is still
    promised, put together or on its way, the budget is on hold instead; ending it again gives
    back what came free. At death own money stays where it is, for the estate (law.md 6).
    """
    found = await _locked(tx, budget_id=budget_id)
    await _must_run(tx, found, actor=actor, reason=new.reason)
    if found.state in ("ended", new.to):
        raise Conflict(
            rule="budget-state",
            detail="This money has ended." if found.state == "ended" else "It is so already.",
            who_can_change_it="Whoever looks after this money can open a new budget.",
            what_else=ways_on(found.body),
        )
    if new.to != "active" and new.bridge is None and new.reason not in _NO_BRIDGE:
        raise invalid(
            "bridge-needed",
            "bridge",
            "Say what goes on meanwhile and who arranges it: support does not stop with money.",
        )
    state: State = new.to
    if new.to == "ended":
        waits_for_estate = found.is_own and new.reason == "death"
        if waits_for_estate or not await _give_back(tx, found, actor=actor, now=now):
            state = "frozen"
    await bump(tx, budget_id=budget_id, state=state)
    await happened(
        tx,
        actor=actor,
        now=now,
        budget_id=budget_id,
        what={"active": "goes_on"}.get(state, state),
        reason=new.reason,
        words=new.notice,
        bridge=new.bridge,
    )
    return await read(tx, actor=actor, now=now, budget_id=budget_id)


async def _give_back(tx: WriteSession, found: BudgetFacts, *, actor: Actor, now: datetime) -> bool:
    """Give what is free back to its source; return whether nothing else is left anywhere."""
    account = await ledger.account(tx, account_id=found.account_id)
    free = account.available_pence
    if free > 0:
        step = Transfer(
            debit_id=found.account_id, credit_id=found.source_account_id, amount_pence=free
        )
        await ledger.post(
            tx,
            actor=actor,
            now=now,
            key=f"budget:{found.budget_id}:returned:{account.version}",
            code="budget.returned",
            steps=[step],
            subject=Subject(type="budget", id=found.budget_id),
        )
        await happened(
            tx,
            actor=actor,
            now=now,
            budget_id=found.budget_id,
            what="returned",
            amount_pence=free,
            audited=False,
        )
    totals = (await ledger.source_totals(tx, source_keys=[found.source_key])).get(found.source_key)
    if totals is None:
        return True
    return all(pence == 0 for kind, pence in totals.by_kind.items() if kind != "paid")


async def _locked(tx: WriteSession, *, budget_id: UUID) -> BudgetFacts:
    """Return a budget's facts, unless a stop holds changes of it, with its row locked.

    Whoever cannot see the budget is told that first, and nothing of a stop.
    """
    await facts(tx, budget_id=budget_id)
    await decisions.guard(tx, subjects=[Held("budget", budget_id)])
    await queries.lock(tx, budget_id=budget_id)
    return await facts(tx, budget_id=budget_id)


async def _must_run(
    tx: WriteSession, found: BudgetFacts, *, actor: Actor, reason: str | None = None
) -> None:
    """Raise NotAllowed unless the actor looks after this money: own money its owner alone."""
    if found.is_own and await queries.is_own(tx, budget_id=found.budget_id):
        return
    if looks_after(actor, found) and (not found.is_own or reason in _OF_AN_ESTATE):
        return
    if found.is_own:
        raise _the_persons()
    raise not_yours("This is done by the finance people or a manager of the area.")


def _the_persons() -> NotAllowed:
    return NotAllowed(
        rule="the-persons-own",
        detail="This is for the person whose money it is to say.",
        who_can_change_it="The person whose money it is.",
        what_else=["Ask the person.", "Ask for an advocate: someone on their side."],
    )


async def _end(tx: WriteSession, *, ids: list[UUID], now: datetime) -> None:
    if ids:
        await tx.execute(
            update(BudgetAuthority).where(BudgetAuthority.id.in_(ids)).values(ended_at=now)
        )
