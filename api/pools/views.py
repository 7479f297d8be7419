"""What people see of a group: its page, the list, the history."""

from datetime import datetime
from typing import Any
from uuid import UUID

from api.areas import service as areas
from api.core import audit
from api.core.db import WriteSession
from api.identity.rules import Actor
from api.pools import group as groups
from api.pools import queries, rules
from api.pools.group import Group
from api.pools.models import PoolMember, PoolOffer
from api.pools.rules import CHOICES, SHOWN, TOPICS
from api.pools.schemas import (
    ChoiceOut,
    History,
    LineOut,
    MemberOut,
    MessageOut,
    OfferOut,
    PoolLine,
    PoolList,
    PoolOut,
    StageOut,
    StepOut,
    VoteOut,
)

# From here on there is something to sign, or it has been.
_TO_BE_SIGNED = frozenset({"approved", "contracted", "delivering", "reviewed", "closed"})


async def read(tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID) -> PoolOut:
    """Return a group. Whoever looks from outside it leaves a receipt with each of its people."""
    seen = await view(tx, actor=actor, pool_id=pool_id)
    if await queries.me(tx, pool_id=pool_id) is None:
        for one in await queries.members(tx, pool_id=pool_id):
            await audit.receipt(
                tx, actor=actor, now=now, about_id=one.person_id, what="pool", object_id=pool_id
            )
    return seen


async def view(tx: WriteSession, *, actor: Actor, pool_id: UUID) -> PoolOut:
    """Return a group as its people, whoever offers to it, and the area's staff see it."""
    group, me = await groups.inside(tx, pool_id=pool_id)
    members = await queries.members(tx, pool_id=pool_id)
    offers = await queries.offers(tx, pool_id=pool_id)
    # What cannot be there yet is not looked for: the page is the answer to most requests.
    shares = await queries.shares(tx, pool_id=pool_id) if group.pool.offer_id is not None else []
    chosen = next((one for one in offers if one.id == group.pool.offer_id), None)
    people = sum(1 for one in members if one.state == "in")
    approvals: list[UUID] = []
    last = None
    if group.state in _TO_BE_SIGNED:
        last = await queries.contract_step(tx, pool_id=pool_id)
    if last is not None:
        approvals = await queries.approvals(tx, pool_id=pool_id, round_=last.version)
    messages = await queries.messages(tx, pool_id=pool_id) if offers else []
    return PoolOut(
        id=group.id,
        area=group.area,
        name=group.pool.name,
        summary=group.pool.summary,
        state=group.state,
        state_words=SHOWN[group.state],
        version=group.pool.version,
        paused=group.pool.paused_at is not None,
        people=people,
        members=[_member(one, me) for one in members if one.state == "in"],
        offers=[_offer(one, group, actor) for one in offers],
        messages=[
            MessageOut(
                offer_id=one.offer_id, called=one.called, by=one.by, words=one.words, at=one.at
            )
            for one in messages
        ],
        choices=await _choices(tx, pool_id),
        votes=await _votes(tx, pool_id),
        stages=await _stages(
            tx,
            pool_id,
            # Whoever wrote the offer down does not confirm what comes of it.
            {one.id for one in members if one.state == "in"}
            - {chosen.written_by if chosen is not None else None},
        )
        if group.state in _TO_BE_SIGNED
        else [],
        promise_by=group.pool.promise_by,
        promised_pence=sum(
            one.amount_pence
            for one in shares
            if one.offer_id == group.pool.offer_id and one.state in ("held", "posted")
        ),
        target_pence=groups.total_pence(chosen) if chosen is not None else None,
        body_called=group.pool.body_called,
        approvals=len(approvals),
        created_at=group.pool.created_at,
    )


async def listed(tx: WriteSession, *, area: str | None) -> PoolList:
    """Return my groups, and those of an area that are open and have five people or more."""
    mine = await queries.my_pools(tx)
    known = {row.id for row in mine}
    items = [_line(row, mine=True) for row in mine]
    if area is not None:
        found = await areas.area_named(tx, slug=area)
        items += [
            _line(row, mine=False)
            for row in await queries.open_pools(tx, area_id=found.id)
            if row.id not in known
        ]
    return PoolList(items=items)


def _line(row: Any, *, mine: bool) -> PoolLine:
    return PoolLine(
        id=row.id,
        name=row.name,
        summary=row.summary,
        state=row.state,
        people=row.people,
        mine=mine,
    )


async def history(tx: WriteSession, *, pool_id: UUID) -> History:
    """Return every change of a group. Members' reasons to go are not among them."""
    await groups.inside(tx, pool_id=pool_id)
    return History(
        items=[
            StepOut(
                version=one.version,
                what=one.what,
                state=one.state,
                # Whoever leaves by their own wish, or by another's word, looks the same.
                role="member" if one.what == "fewer" else one.role,
                reason=one.reason,
                words=one.words,
                at=one.at,
            )
            for one in await queries.steps(tx, pool_id=pool_id)
        ]
    )


def _member(one: PoolMember, me: PoolMember | None) -> MemberOut:
    return MemberOut(
        number=one.number,
        called=one.called,
        access_needs=one.access_needs,
        state=one.state,
        me=me is not None and one.id == me.id,
    )


def _offer(one: PoolOffer, group: Group, actor: Actor) -> OfferOut:
    total = groups.total_pence(one)
    return OfferOut(
        id=one.id,
        called=one.called,
        words=one.words,
        lines=[LineOut(**line) for line in one.lines],
        sessions=one.sessions,
        stages=one.stages,
        session_pence=one.session_pence,
        total_pence=total,
        each_pence=-(-total // one.min_people),
        min_people=one.min_people,
        max_people=one.max_people,
        split=one.split,
        notice_sessions=one.notice_sessions,
        checks_seen=one.checks_seen,
        registered=one.registered,
        replaces=one.replaces_id,
        chosen=one.id == group.pool.offer_id,
        mine=one.account_id is not None and one.account_id == actor.id,
    )


async def _choices(tx: WriteSession, pool_id: UUID) -> list[ChoiceOut]:
    found = await queries.choices(tx, pool_id=pool_id)
    out = []
    for topic in TOPICS:
        choice = found[topic].choice if topic in found else next(iter(CHOICES[topic]))
        version = found[topic].version if topic in found else 0
        words = CHOICES[topic][choice]
        out.append(ChoiceOut(topic=topic, choice=choice, words=words, version=version))
    return out


async def _votes(tx: WriteSession, pool_id: UUID) -> list[VoteOut]:
    votes = await queries.votes(tx, pool_id=pool_id)
    own = await queries.my_ballots(tx, pool_id=pool_id) if votes else {}
    return [
        VoteOut(
            id=one.id,
            motion=one.motion,
            words=one.words,
            easy_words=one.easy_words,
            from_stage=one.from_stage,
            opened_at=one.opened_at,
            closes_at=one.closes_at,
            outcome=one.outcome,
            counts=one.counts,
            ended_at=one.ended_at,
            my_choice=own.get(one.id),
        )
        for one in votes
    ]


async def _stages(tx: WriteSession, pool_id: UUID, there: set[UUID]) -> list[StageOut]:
    words = await queries.stage_words(tx, pool_id=pool_id)
    last: dict[UUID, dict[UUID, str]] = {}
    for one in words:
        if one.member_id is not None and one.member_id in there:
            last.setdefault(one.stage_id, {})[one.member_id] = one.what
    return [
        StageOut(
            number=one.number,
            first_session=one.first_session,
            last_session=one.last_session,
            amount_pence=one.amount_pence,
            state=one.state,
            confirmed_by=sum(
                1 for what in last.get(one.id, {}).values() if what in ("confirmed", "settled")
            ),
            needed=rules.confirmations_needed(len(there)),
            paid_at=one.paid_at,
        )
        for one in await queries.stages(tx, pool_id=pool_id)
    ]
