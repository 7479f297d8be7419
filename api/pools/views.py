"""What people see of a group: the group's page, my own screen, the books, the history."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from api.areas import service as areas
from api.budgets import service as budgets
from api.budgets.rules import KIND_WORDS
from api.core import audit
from api.core.db import WriteSession
from api.core.money import in_words
from api.decisions import service as decisions
from api.decisions.rules import Subject
from api.identity.rules import Actor
from api.ledger import service as ledger
from api.pools import delivery, exits, queries, rules
from api.pools import group as groups
from api.pools.group import Group
from api.pools.models import PoolMember, PoolOffer, PoolPledge
from api.pools.rules import CHOICES, RUNNING, SHOWN, TOPICS
from api.pools.schemas import (
    Books,
    ChoiceOut,
    History,
    LineOut,
    MemberOut,
    MessageOut,
    Mine,
    MyEvent,
    MyMoney,
    OfferOut,
    PoolLine,
    PoolList,
    PoolOut,
    ShareOut,
    StageOut,
    StepOut,
    VoteOut,
)

Flows = dict[UUID, dict[str, int]]


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
    shares = await queries.shares(tx, pool_id=pool_id)
    chosen = next((one for one in offers if one.id == group.pool.offer_id), None)
    people = sum(1 for one in members if one.state == "in")
    approvals: list[UUID] = []
    last = await queries.contract_step(tx, pool_id=pool_id)
    if last is not None:
        approvals = await queries.approvals(tx, pool_id=pool_id, round_=last.version)
    messages = await queries.messages(tx, pool_id=pool_id)
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
        ),
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
    items = [_line(row, people=0, mine=True) for row in mine]
    for item in items:
        members = await queries.members(tx, pool_id=item.id)
        item.people = sum(1 for one in members if one.state == "in")
    if area is not None:
        found = await areas.area_named(tx, slug=area)
        items += [
            _line(row, people=row.people, mine=False)
            for row in await queries.open_pools(tx, area_id=found.id)
            if row.id not in known
        ]
    return PoolList(items=items)


def _line(row: Any, *, people: int, mine: bool) -> PoolLine:
    return PoolLine(
        id=row.id, name=row.name, summary=row.summary, state=row.state, people=people, mine=mine
    )


async def mine(tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID) -> Mine:
    """Return my one screen: what I put in, what for, what was spent, what I would get back."""
    group = await groups.looked(tx, pool_id=pool_id)
    me = await groups.member(tx, pool_id=pool_id, still_in=False)
    pledges = await queries.pledges(tx, member_id=me.id)
    flows = await ledger.flows(tx, ids=[one.share_id for one in pledges if one.share_id])
    notice: dict[UUID, int] = {}
    if me.state != "paused" and group.state in RUNNING:
        notice = await exits.notice_of(tx, group, me)
    states = await decisions.sign_off_states(
        tx, subjects=[Subject("pool_use", one.use_id) for one in pledges]
    )
    purposes = await _purposes(tx, group, pledges, now=now)
    money = []
    for one in pledges:
        if one.ended_at is not None and one.share_id is None and one.state != "declined":
            continue
        go_ahead = "not needed" if one.body is None else "not asked yet"
        if one.body is not None and one.use_id in states:
            go_ahead = states[one.use_id].state
        money.append(
            _money(
                one,
                flows,
                notice.get(one.id, 0),
                go_ahead=go_ahead,
                purposes=purposes.get(one.budget_id, []),
            )
        )
    await audit.receipt(
        tx, actor=actor, now=now, about_id=me.person_id, what="pool_share", object_id=pool_id
    )
    return Mine(
        pool_id=pool_id,
        name=group.pool.name,
        state=group.state,
        number=me.number,
        my_state=me.state,
        money=money,
        events=[
            MyEvent(what=one.what, amount_pence=one.amount_pence, words=one.words, at=one.at)
            for one in await queries.events(tx, member_id=me.id)
        ],
        in_words=_in_words(money, group, me),
    )


async def books(tx: WriteSession, *, pool_id: UUID) -> Books:
    """Return the money of a group share by share, added up from the postings themselves.

    What came in and where it went is counted from the postings, what is left is what the books
    say is there: the two agree to the penny, and any member can see that they do.
    """
    await groups.looked(tx, pool_id=pool_id)
    me = await queries.me(tx, pool_id=pool_id)
    rows = [one for one in await queries.shares(tx, pool_id=pool_id) if one.share_id is not None]
    ids = [one.share_id for one in rows if one.share_id is not None]
    flows = await ledger.flows(tx, ids=ids)
    accounts = await ledger.accounts(tx, ids=ids)
    shares = []
    for one in rows:
        assert one.share_id is not None, "those with a share alone"
        came, used, back = _sums(flows.get(one.share_id, {}))
        shares.append(
            ShareOut(
                put_in_pence=came,
                used_pence=used,
                returned_pence=back,
                left_pence=accounts[one.share_id].balance_pence,
                mine=me is not None and one.member_id == me.id,
            )
        )
    put_in, used = sum(one.put_in_pence for one in shares), sum(one.used_pence for one in shares)
    returned = sum(one.returned_pence for one in shares)
    left = sum(one.left_pence for one in shares)
    # In no order that tells whose is whose.
    shares.sort(key=lambda one: (not one.mine, -one.put_in_pence, one.left_pence))
    return Books(
        shares=shares,
        put_in_pence=put_in,
        used_pence=used,
        returned_pence=returned,
        left_pence=left,
        missing_pence=put_in - used - returned - left,
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
    own = await queries.my_ballots(tx, pool_id=pool_id)
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
        for one in await queries.votes(tx, pool_id=pool_id)
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


async def _purposes(
    tx: WriteSession, group: Group, pledges: Sequence[PoolPledge], *, now: datetime
) -> dict[UUID, list[str]]:
    """Return by budget which lines of the offer its money may pay, as its rules are today."""
    if group.pool.offer_id is None or not pledges:
        return {}
    offer = await groups.chosen_offer(tx, group)
    known = await budgets.facts_of(tx, budget_ids=[one.budget_id for one in pledges])
    may = {key: delivery.may_pay(facts, offer, now=now) for key, facts in known.items()}
    return {
        key: [str(line["words"]) for line in offer.lines if line["purpose"] in codes]
        for key, codes in may.items()
    }


def _sums(flow: dict[str, int]) -> tuple[int, int, int]:
    """Return (came in, used, went back) from a share's postings by kind of the other account."""
    came = flow.get("budget:in", 0)
    back = -flow.get("budget:out", 0)
    used = -(flow.get("payable:out", 0) + flow.get("payable:in", 0))
    return came, used, back


def _money(
    one: PoolPledge, flows: Flows, notice: int, *, go_ahead: str, purposes: list[str]
) -> MyMoney:
    came, used, back = _sums(flows.get(one.share_id, {}) if one.share_id is not None else {})
    left = came - used - back
    return MyMoney(
        budget_id=one.budget_id,
        kind=KIND_WORDS[one.kind],
        state=one.state,
        go_ahead=go_ahead,
        promised_pence=one.amount_pence,
        put_in_pence=came,
        used_pence=used,
        returned_pence=back,
        left_pence=left,
        notice_pence=min(notice, left),
        back_today_pence=_back_today(one, left, notice),
        may_be_used_for=purposes,
    )


def _back_today(one: PoolPledge, left: int, notice: int) -> int:
    if one.state == "held":
        return one.amount_pence
    return max(0, left - notice) if one.state == "posted" else 0


def _in_words(money: Sequence[MyMoney], group: Group, me: PoolMember) -> str:
    put_in, used = sum(one.put_in_pence for one in money), sum(one.used_pence for one in money)
    back = sum(one.back_today_pence for one in money)
    returned = sum(one.returned_pence for one in money)
    held = sum(one.promised_pence for one in money if one.state == "held")
    said = []
    if held:
        said.append(f"You have promised {in_words(held)}. It is kept for this, and not spent.")
    if put_in:
        said.append(f"You put in {in_words(put_in)}. {_pounds(used)} was used.")
    if returned:
        said.append(f"{in_words(returned)} went back to where it came from.")
    left = sum(one.left_pence for one in money)
    if me.state == "in" and back and group.state != "closed":
        said.append(f"If you left today you would get {in_words(back)} back.")
    elif me.state == "out" and left:
        said.append(f"{in_words(left)} is still here for your notice. What is not used comes back.")
    elif me.state == "paused" and left:
        said.append(f"{in_words(left)} is still here, and nothing is taken from it.")
    return " ".join(said) or "You have no money in this."


def _pounds(pence: int) -> str:
    return in_words(pence) if pence else "Nothing"
