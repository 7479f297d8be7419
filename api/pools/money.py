"""My own screen, and the books: what I put in, what was used, what would come back."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from api.budgets import service as budgets
from api.budgets.rules import KIND_WORDS
from api.core import audit
from api.core.db import WriteSession
from api.core.money import in_words
from api.decisions import service as decisions
from api.decisions.rules import Subject
from api.identity.rules import Actor
from api.ledger import service as ledger
from api.pools import group as groups
from api.pools import payment, queries
from api.pools.group import Group
from api.pools.models import PoolMember, PoolPledge
from api.pools.rules import RUNNING
from api.pools.schemas import (
    Books,
    Mine,
    MyEvent,
    MyMoney,
    ShareOut,
)

Flows = dict[UUID, dict[str, int]]


async def mine(tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID) -> Mine:
    """Return my one screen: what I put in, what for, what was spent, what I would get back."""
    group = await groups.looked(tx, pool_id=pool_id)
    me = await groups.member(tx, pool_id=pool_id, still_in=False)
    pledges = await queries.pledges(tx, member_id=me.id)
    flows = await ledger.flows(tx, ids=[one.share_id for one in pledges if one.share_id])
    notice: dict[UUID, int] = {}
    if me.state != "paused" and group.state in RUNNING:
        notice = await payment.notice_of(tx, group, me)
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


async def _purposes(
    tx: WriteSession, group: Group, pledges: Sequence[PoolPledge], *, now: datetime
) -> dict[UUID, list[str]]:
    """Return by budget which lines of the offer its money may pay, as its rules are today."""
    if group.pool.offer_id is None or not pledges:
        return {}
    offer = await groups.chosen_offer(tx, group)
    known = await budgets.facts_of(tx, budget_ids=[one.budget_id for one in pledges])
    may = {key: payment.may_pay(facts, offer, now=now) for key, facts in known.items()}
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
