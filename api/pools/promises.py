"""Promises: money of a budget that is kept for the group and not spent yet.

A promise is five round trips: begin, who and when, one look at all that the rules need (with the
group's row kept from moving), one statement that holds the money and writes the promise, commit.
"""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, bindparam, text, update

from api.budgets import rules as budgets
from api.budgets import service as budget_service
from api.budgets.rules import BudgetFacts, PayeeFacts
from api.core.db import WriteSession
from api.core.errors import Invalid, Refusal, not_found
from api.core.ids import new_id
from api.decisions import service as decisions
from api.decisions.rules import Subject as Held
from api.identity.rules import Actor
from api.ledger import service as ledger
from api.ledger.rules import Also, Hold, Later, ReleaseHold, Step, Subject
from api.pools import group as groups
from api.pools import queries, rules
from api.pools.models import PoolPledge
from api.pools.rules import BEFORE_CONTRACT, RUNNING
from api.pools.schemas import NewPledge, PledgeOut

# The group's row is shared: promises go on side by side, and whoever moves the group waits. The
# look itself comes after the lock, so that it sees whatever the promise had to wait for.
_LOOK = text("SELECT * FROM pools_look(:pool, :budget, :key)").bindparams(
    bindparam("pool", type_=Uuid()), bindparam("budget", type_=Uuid())
)
_KEEP = """
INSERT INTO pool_pledges (id, pool_id, member_id, person_id, budget_id, offer_id, use_id, kind,
    body, amount_pence, hold_id, budget_account_id, source_key, state, key, request_hash, made_at)
SELECT CAST(:id AS uuid), CAST(:pool_id AS uuid), CAST(:member_id AS uuid),
    CAST(:person_id AS uuid), CAST(:budget_id AS uuid), CAST(:offer_id AS uuid),
    CAST(:use_id AS uuid), CAST(:kind AS text), CAST(:body AS text), CAST(:amount AS bigint),
    posted.ids[cardinality(posted.ids)], CAST(:account_id AS uuid), CAST(:source_key AS text),
    'held', CAST(:key AS text), CAST(:hash AS bytea), CAST(:now AS timestamptz)
FROM posted WHERE NOT posted.again
"""


async def promise(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, new: NewPledge, key: str
) -> PledgeOut:
    """Keep pence of a budget for the group, until it is signed, let go or runs out.

    A second promise from the same budget takes the place of the first. The same key with the
    same words gets the first answer; with others it is refused. Raises Conflict, NotAllowed or
    NotFound, naming the rule; then nothing was held.
    """
    found = await _look(tx, pool_id=pool_id, new=new, key=key)
    hashed = hashlib.sha256(f"{new.budget_id} {new.amount_pence}".encode()).digest()
    if found.again_id is not None:
        return await _again(tx, found, hashed=hashed)
    facts = budgets.decode_facts(found.facts)
    budgets.must_act(facts)
    late = _check(found, now=now)
    allowed(facts, found.lines, _payee(found), amount_pence=new.amount_pence, now=now)
    steps: list[Step] = [Hold(account_id=facts.account_id, amount_pence=new.amount_pence)]
    if found.live_id is not None:
        steps.insert(0, ReleaseHold(hold_id=found.live_hold_id))
        if not await end(tx, pledge_id=found.live_id, state="let_go", now=now):
            # Another promise has taken its place since we looked; it may be this very one.
            return await promise(tx, actor=actor, now=now, pool_id=pool_id, new=new, key=key)
    pledge_id = new_id()
    posted = await ledger.post(
        tx,
        actor=actor,
        now=now,
        key=f"pool:{pool_id}:promise:{found.member_id}:{key}",
        code="pool.promised",
        steps=steps,
        subject=Subject(type="pool", id=pool_id),
        later=Later(task="pools.advance", payload={"pool_id": pool_id}) if late else None,
        also=Also(sql=_KEEP, values=_row(found, facts, new, pledge_id, key, hashed, now)),
    )
    if posted.again:
        again = await _look(tx, pool_id=pool_id, new=new, key=key)
        return await _again(tx, again, hashed=hashed)
    return PledgeOut(
        id=pledge_id,
        pool_id=pool_id,
        budget_id=new.budget_id,
        amount_pence=new.amount_pence,
        state="held",
        made_at=now,
        ended_at=None,
        free_pence=posted.available_pence[-1],
    )


async def let_go(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, pledge_id: UUID
) -> PledgeOut:
    """Let a promise go before anything is signed: all of it is free again. Needs no reason."""
    group = await groups.locked(tx, pool_id=pool_id)
    found = await queries.pledge(tx, pledge_id=pledge_id)
    if found is None or found.pool_id != pool_id:
        raise not_found("promise")
    facts = await budget_service.facts(tx, budget_id=found.budget_id)
    budgets.must_act(facts)
    if found.state == "held" and group.state in BEFORE_CONTRACT | RUNNING:
        await release(tx, actor=actor, now=now, pool_id=pool_id, pledges=[found], state="let_go")
        await groups.step(tx, group, actor=actor, now=now, what="let_go", reason="own_wish")
        await groups.advance_later(tx, pool_id=pool_id, now=now)
    elif found.ended_at is None:
        raise rules.not_promising(group.state)
    ended = await queries.pledge(tx, pledge_id=pledge_id)
    assert ended is not None
    return out(ended)


async def release(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    pool_id: UUID,
    pledges: Sequence[Any],
    state: str,
) -> None:
    """Let promises go in one batch and say how they ended. ``pledges`` have id, hold_id, use_id."""
    rows = [(getattr(one, "pledge_id", None) or one.id, one) for one in pledges]
    if not rows:
        return
    await ledger.post(
        tx,
        actor=actor,
        now=now,
        key=f"pool:{pool_id}:{state}:" + _digest(one_id for one_id, _ in rows),
        code=f"pool.{state}",
        steps=[ReleaseHold(hold_id=one.hold_id) for _, one in rows],
        subject=Subject(type="pool", id=pool_id),
    )
    for one_id, one in rows:
        await end(tx, pledge_id=one_id, state=state, now=now)
        if one.body is not None and state != "declined":
            await decisions.withdraw(tx, actor=actor, now=now, subject=Held("pool_use", one.use_id))


async def end(tx: WriteSession, *, pledge_id: UUID, state: str, now: datetime) -> bool:
    """Say how a promise ended; False when somebody else did so before. It ends once."""
    ended = await tx.execute(
        update(PoolPledge)
        .where(PoolPledge.id == pledge_id, PoolPledge.ended_at.is_(None))
        .values(state=state, ended_at=now)
        .returning(PoolPledge.id)
        .execution_options(synchronize_session=False)
    )
    return ended.one_or_none() is not None


def allowed(
    facts: BudgetFacts,
    lines: Sequence[dict[str, Any]],
    payee: PayeeFacts,
    *,
    amount_pence: int,
    now: datetime,
) -> frozenset[str]:
    """Return for which of the lines' purposes this budget may pay; raise when for none.

    The refusal is the first rule's: it names the rule and who can change it.
    """
    able: set[str] = set()
    first: Refusal | None = None
    for purpose in sorted({str(line["purpose"]) for line in lines}):
        try:
            budgets.check(
                facts, purposes=[purpose], amount_pence=amount_pence, payee=payee, now=now
            )
            able.add(purpose)
        except Refusal as refusal:
            first = first or refusal
    if not able and first is not None:
        raise first
    return frozenset(able)


def out(pledge: PoolPledge) -> PledgeOut:
    """Return a promise as its person sees it."""
    return PledgeOut(
        id=pledge.id,
        pool_id=pledge.pool_id,
        budget_id=pledge.budget_id,
        amount_pence=pledge.amount_pence,
        state=pledge.state,
        made_at=pledge.made_at,
        ended_at=pledge.ended_at,
    )


async def _look(tx: WriteSession, *, pool_id: UUID, new: NewPledge, key: str) -> Row[Any]:
    values = {"pool": pool_id, "budget": new.budget_id, "key": key}
    found: Row[Any] | None = (await tx.execute(_LOOK, values)).one_or_none()
    if found is None:
        raise not_found("group")
    if found.facts is None:
        raise not_found("budget")
    if found.member_id is None:
        raise rules.members_only()
    return found


async def _again(tx: WriteSession, found: Row[Any], *, hashed: bytes) -> PledgeOut:
    """Give the first answer again, or say that the key was used for something else."""
    if found.request_hash != hashed:
        raise Invalid(
            rule="idempotency-key-reused",
            detail="This Idempotency-Key was already used for a different promise.",
            who_can_change_it="You can, by using a fresh key.",
            what_else=["Send this request with a new key."],
        )
    pledge = await queries.pledge(tx, pledge_id=found.again_id)
    assert pledge is not None, "it was seen a moment ago"
    return out(pledge)


def _check(found: Row[Any], *, now: datetime) -> bool:
    """Raise for a promise out of its time; return whether it is one of somebody who joins late."""
    if found.member_state != "in":
        raise rules.members_only()
    if found.paused_at is not None:
        raise rules.paused()
    if found.stopped_since is not None:
        raise decisions.stopped(since=found.stopped_since)
    if found.state == "pledging":
        if found.promise_by <= now:
            raise rules.too_late()
        return False
    if found.state in RUNNING and found.joining == "when_room" and found.live_id is None:
        return True
    raise rules.not_promising(found.state)


def _payee(found: Row[Any]) -> PayeeFacts:
    return PayeeFacts(
        key=found.payee_key,
        called=found.called,
        account_id=found.payee_account_id,
        registered=found.registered,
    )


def _row(
    found: Row[Any],
    facts: BudgetFacts,
    new: NewPledge,
    pledge_id: UUID,
    key: str,
    hashed: bytes,
    now: datetime,
) -> dict[str, Any]:
    return {
        "id": pledge_id,
        "pool_id": found.pool_id,
        "member_id": found.member_id,
        "person_id": facts.person_id,
        "budget_id": facts.budget_id,
        "offer_id": found.offer_id,
        "use_id": rules.use_id(found.pool_id, facts.budget_id),
        "kind": facts.kind,
        "body": facts.body,
        "amount": new.amount_pence,
        "account_id": facts.account_id,
        "source_key": facts.source_key,
        "key": key,
        "hash": hashed,
        "now": now,
    }


def _digest(ids: Collection[UUID] | Any) -> str:
    return hashlib.sha256(",".join(sorted(str(one) for one in ids)).encode()).hexdigest()[:32]
