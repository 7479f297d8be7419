"""The six rules, and the group's own next step."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert

from api.core.db import WriteSession
from api.core.errors import Conflict, invalid
from api.identity.rules import Actor
from api.pools import group as groups
from api.pools import queries, rules, views
from api.pools.group import Group
from api.pools.models import PoolChoice, PoolMember, PoolOffer
from api.pools.rules import CHOICES, TOPICS, Topic
from api.pools.schemas import (
    NewChoices,
    NewStep,
    PoolOut,
)


async def choose(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, new: NewChoices
) -> PoolOut:
    """Agree what happens with illness, holiday, leaving, joining, unhappiness, closing.

    Until the first promise; what is not chosen stands at its plain default.
    """
    group = await groups.locked(tx, pool_id=pool_id)
    await groups.member(tx, pool_id=pool_id)
    rules.check_choices(new.choices)
    if group.state not in ("gathering", "costed"):
        raise Conflict(
            rule="rules-before-money",
            detail="What you agreed stands once promises are made.",
            who_can_change_it="The group, before the next time promises are made.",
            what_else=["Write down what you would like to change, for the next time."],
        )
    await _keep_choices(tx, now=now, pool_id=pool_id, chosen=new.choices)
    await groups.step(tx, group, actor=actor, now=now, what="agreed", reason="rules")
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def move(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    pool_id: UUID,
    new: NewStep,
    key: str | None = None,
) -> PoolOut:
    """Take the group's next step: open promises until a day, ask for go-aheads, or close it.

    Nobody closes for others what they have promised to: only who is alone in a group closes it.
    """
    group = await groups.locked(tx, pool_id=pool_id)
    await groups.member(tx, pool_id=pool_id)
    rules.check_move(group.state, new.to)
    if new.to == "closed":
        if group.state == "reviewed":
            raise rules.not_promising(group.state)
        if len(await _inside(tx, group)) > 1:
            raise rules.close_by_vote()
        await groups.step(
            tx,
            group,
            actor=actor,
            now=now,
            what="closed",
            to="closed",
            reason="members",
            words=new.words,
            key=key,
        )
        await groups.advance_later(tx, pool_id=pool_id, now=now)
        return await views.view(tx, actor=actor, pool_id=pool_id)
    await groups.guard(tx, group)
    if new.to == "pledging":
        await _open_promises(tx, group, actor=actor, now=now, new=new, key=key)
    else:
        await ask_review(tx, group, actor=actor, now=now, words=new.words, key=key)
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def _open_promises(
    tx: WriteSession, group: Group, *, actor: Actor, now: datetime, new: NewStep, key: str | None
) -> None:
    """Open promises. Whatever was not agreed by now stands at its default."""
    if new.promise_by is None or new.promise_by <= now:
        raise invalid("day-to-come", "promise_by", "Name a day to come, with its time.")
    chosen = await queries.choices(tx, pool_id=group.id)
    open_topics = {topic: next(iter(CHOICES[topic])) for topic in TOPICS if topic not in chosen}
    await _keep_choices(tx, now=now, pool_id=group.id, chosen=open_topics)
    if len(await _inside(tx, group)) < rules.FEWEST:
        raise Conflict(
            rule="two-or-more",
            detail="Putting money together takes two people or more.",
            who_can_change_it="You can, by asking others to join.",
            what_else=["Make a code for others: POST /v1/pools/{id}/invitations."],
        )
    await groups.step(
        tx,
        group,
        actor=actor,
        now=now,
        what="promises_opened",
        to="pledging",
        reason="members",
        words=new.words,
        key=key,
        promise_by=new.promise_by,
    )


async def _inside(tx: WriteSession, group: Group) -> list[PoolMember]:
    """Return who is in."""
    return [one for one in await queries.members(tx, pool_id=group.id) if one.state == "in"]


async def ask_review(
    tx: WriteSession,
    group: Group,
    *,
    actor: Actor,
    now: datetime,
    words: str | None = None,
    key: str | None = None,
) -> Group:
    """Go on to the go-aheads when price and fewest people are reached; Conflict otherwise."""
    offer = await groups.chosen_offer(tx, group)
    missing, people = await reached(tx, group, offer)
    if missing > 0:
        raise rules.too_small(missing)
    if people < offer.min_people:
        raise Conflict(
            rule="fewest-people",
            detail=f"The offer is for {offer.min_people} people or more; {people} have promised.",
            who_can_change_it="More people, by joining and promising.",
            what_else=["Ask others to join.", "Choose another offer."],
        )
    group = await groups.step(
        tx,
        group,
        actor=actor,
        now=now,
        what="review_asked",
        to="review",
        reason="target_met",
        words=words,
        key=key,
    )
    await groups.advance_later(tx, pool_id=group.id, now=now)
    return group


async def reached(tx: WriteSession, group: Group, offer: PoolOffer) -> tuple[int, int]:
    """Return (pence that are missing, people who have promised) for the chosen offer."""
    live = [
        one
        for one in await queries.shares(tx, pool_id=group.id)
        if one.state in ("held", "posted") and one.offer_id == offer.id
    ]
    promised = sum(one.amount_pence for one in live)
    return groups.total_pence(offer) - promised, len({one.member_id for one in live})


async def _keep_choices(
    tx: WriteSession, *, now: datetime, pool_id: UUID, chosen: Mapping[Topic, str]
) -> None:
    before = await queries.choices(tx, pool_id=pool_id)
    for topic, choice in chosen.items():
        version = before[topic].version + 1 if topic in before else 1
        await tx.execute(
            insert(PoolChoice).values(
                pool_id=pool_id, topic=topic, version=version, choice=choice, at=now
            )
        )
