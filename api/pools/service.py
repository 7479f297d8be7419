"""From an idea to a chosen offer: starting, joining, offers, questions, rules, the next step."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import insert

from api.areas import service as areas
from api.core import audit
from api.core.db import WriteSession
from api.core.errors import Conflict, NotAllowed, invalid, not_found
from api.core.ids import new_id
from api.identity import service as identity
from api.identity.rules import Actor, hashed, new_code, normal_code
from api.pools import group as groups
from api.pools import queries, rules, views
from api.pools.group import Group
from api.pools.models import Pool, PoolChoice, PoolMember, PoolMessage, PoolOffer, PoolStep
from api.pools.rules import CHOICES, TOPICS, Topic, payee_key
from api.pools.schemas import (
    Invitation,
    NewChoices,
    NewMember,
    NewMessage,
    NewOffer,
    NewPool,
    NewStep,
    PoolOut,
)

OFFERS_AT_MOST = 30


async def start(tx: WriteSession, *, actor: Actor, now: datetime, new: NewPool) -> PoolOut:
    """Start with an idea. Whoever starts is its first member (gathering)."""
    person_id = await _own_story(tx)
    area = await areas.area_named(tx, slug=new.area)
    pool_id = new_id()
    await queries.let_in(tx, pool_id=pool_id)
    await tx.execute(
        insert(Pool).values(
            id=pool_id,
            area_id=area.id,
            name=new.name,
            summary=new.summary,
            state="gathering",
            version=1,
            started_by=person_id,
            created_at=now,
        )
    )
    await _add_member(
        tx,
        actor=actor,
        now=now,
        pool_id=pool_id,
        person_id=person_id,
        number=1,
        new=NewMember(called=new.called, access_needs=new.access_needs),
    )
    await tx.execute(
        insert(PoolStep).values(
            id=new_id(),
            pool_id=pool_id,
            version=1,
            what="started",
            state="gathering",
            role="member",
            reason="idea",
            actor_kind=actor.kind,
            actor_id=actor.id,
            at=now,
        )
    )
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action="pool.started",
        subject_type="pool",
        subject_id=pool_id,
        version=1,
    )
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def invite(tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID) -> Invitation:
    """Make a code that lets people in, and end the one before."""
    group = await groups.locked(tx, pool_id=pool_id)
    await groups.member(tx, pool_id=pool_id)
    code = new_code()
    secret = hashed(code.replace("-", ""))
    await groups.step(
        tx, group, actor=actor, now=now, what="invited", reason="new_code", invite_hash=secret
    )
    return Invitation(id=pool_id, code=code)


async def invite_again(
    tx: WriteSession, first: Invitation, *, actor: Actor, now: datetime
) -> Invitation:
    """Answer a repeated asking for a code: with a fresh one."""
    return await invite(tx, actor=actor, now=now, pool_id=first.id)


async def join(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, new: NewMember
) -> PoolOut:
    """Join, by one's own wish: with a code, or a group of five and more in one's own area.

    Whoever was in it before gets their old number back. Conflict when it is full, closed to
    newcomers or paused.
    """
    person_id = await _own_story(tx)
    code = normal_code(new.code) if new.code is not None else None
    secret = hashed(code) if code is not None else None
    front = await queries.front(tx, pool_id=pool_id, invite=secret, joining=True)
    # Only now, under the group's lock: meanwhile they may have left, or have died.
    old = await queries.me(tx, pool_id=pool_id)
    if old is not None and old.state == "in":
        return await views.view(tx, actor=actor, pool_id=pool_id)
    if old is not None and old.state == "paused":
        raise rules.paused()
    if front is None:
        raise not_found("group")
    _check_open(front.state, front.joining)
    if front.max_people is not None and front.people >= front.max_people:
        raise rules.full(front.max_people)
    if old is not None:
        await groups.set_member(tx, member_id=old.id, state="in")
        await groups.happened(
            tx,
            actor=actor,
            now=now,
            pool_id=pool_id,
            member_id=old.id,
            person_id=person_id,
            what="rejoined",
        )
    else:
        number = await queries.next_number(tx, pool_id=pool_id)
        if number > rules.MOST_PEOPLE:
            raise rules.full(rules.MOST_PEOPLE)
        await _add_member(
            tx, actor=actor, now=now, pool_id=pool_id, person_id=person_id, number=number, new=new
        )
    group = await groups.locked(tx, pool_id=pool_id)
    if group.pool.paused_at is not None:
        raise rules.paused()
    await groups.step(tx, group, actor=actor, now=now, what="joined", reason="own_wish")
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def offer(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, new: NewOffer
) -> PoolOut:
    """Make an offer to a group, or a new version of one's own: by a provider, or a member who
    writes down what somebody offered. A price never changes under a promise: a new version is
    voted on, and then everybody is asked again.
    """
    offers, written_by = await _offerable(tx, actor=actor, pool_id=pool_id, new=new)
    if len(offers) >= OFFERS_AT_MOST:
        raise invalid("offers-at-most", "offer", f"A group looks at {OFFERS_AT_MOST} offers.")
    offer_id = new_id()
    account_id = actor.id if actor.kind == "person" and written_by is None else None
    key = payee_key(account_id, offer_id)
    if new.replaces is not None:
        before = next((one for one in offers if one.id == new.replaces), None)
        if before is None or before.account_id != account_id:
            raise not_found("offer of yours")
        key = before.payee_key
    await tx.execute(
        insert(PoolOffer).values(
            id=offer_id,
            pool_id=pool_id,
            account_id=account_id,
            written_by=written_by,
            called=new.called,
            payee_key=key,
            words=new.words,
            sessions=new.sessions,
            stages=new.stages,
            lines=msgspec.to_builtins(new.lines),
            session_pence=sum(line.pence for line in new.lines),
            min_people=new.min_people,
            max_people=new.max_people,
            split=new.split,
            notice_sessions=new.notice_sessions,
            checks_seen=new.checks_seen,
            registered=new.registered,
            replaces_id=new.replaces,
            at=now,
        )
    )
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action="pool.offered",
        subject_type="pool",
        subject_id=pool_id,
    )
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def _offerable(
    tx: WriteSession, *, actor: Actor, pool_id: UUID, new: NewOffer
) -> tuple[list[PoolOffer], UUID | None]:
    """Return the offers there are, and whether the actor is a member; check what a type cannot.

    Somebody who is not in the group comes with its code, which a member gave them.
    """
    row = await queries.pool(tx, pool_id=pool_id)
    if row is not None:
        state = row[0].state
    else:
        code = normal_code(new.code) if new.code is not None else None
        secret = hashed(code) if code is not None else None
        front = await queries.front(tx, pool_id=pool_id, invite=secret, joining=False)
        if front is None or secret is None:
            raise not_found("group")
        state = front.state
    if state not in ("gathering", "costed", "pledging", "expired"):
        raise rules.not_promising(state)
    if new.min_people > new.max_people:
        raise invalid("people-range", "max_people", "The most must not be fewer than the least.")
    if new.stages > new.sessions or new.notice_sessions > new.sessions:
        raise invalid("parts-of-sessions", "stages", "There are no more parts than sessions.")
    rules.check_registered({line.purpose for line in new.lines}, registered=new.registered)
    offers = await queries.offers(tx, pool_id=pool_id)
    mine = await queries.me(tx, pool_id=pool_id)
    if mine is not None and mine.state != "in":
        raise rules.members_only()
    if mine is None and actor.kind != "person":
        raise NotAllowed(
            rule="account-to-be-paid",
            detail="Whoever offers something to a group has an account, so that it can be paid.",
            who_can_change_it="You can, by asking for an account.",
            what_else=["Ask a member to write down what you offer."],
        )
    return offers, mine.id if mine is not None else None


async def say(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, new: NewMessage
) -> PoolOut:
    """Ask something about an offer, or answer as whoever made it."""
    await groups.looked(tx, pool_id=pool_id)
    found = await queries.offer(tx, pool_id=pool_id, offer_id=new.offer_id)
    mine = await queries.me(tx, pool_id=pool_id)
    if found is None:
        raise not_found("offer")
    is_provider = found.account_id is not None and found.account_id == actor.id
    if not is_provider and (mine is None or mine.state != "in"):
        raise rules.members_only()
    await tx.execute(
        insert(PoolMessage).values(
            id=new_id(),
            pool_id=pool_id,
            offer_id=found.id,
            called=found.called if is_provider or mine is None else mine.called,
            by="provider" if is_provider else "member",
            words=new.words,
            at=now,
        )
    )
    await audit.record(
        tx, actor=actor, now=now, action="pool.asked", subject_type="pool", subject_id=pool_id
    )
    return await views.view(tx, actor=actor, pool_id=pool_id)


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


def _check_open(state: str, joining: str | None) -> None:
    """Raise Conflict when nobody joins now."""
    if state in ("gathering", "costed", "pledging"):
        return
    if state in rules.RUNNING and joining == "when_room":
        return
    raise Conflict(
        rule="joining-open",
        detail="Nobody can join just now.",
        who_can_change_it="The group, by what it agreed about joining.",
        what_else=["Ask the group when it opens again.", "Start a second group."],
    )


async def _add_member(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    pool_id: UUID,
    person_id: UUID,
    number: int,
    new: NewMember,
) -> None:
    member_id = new_id()
    await tx.execute(
        insert(PoolMember).values(
            id=member_id,
            pool_id=pool_id,
            person_id=person_id,
            number=number,
            called=new.called,
            access_needs=new.access_needs,
            state="in",
            joined_at=now,
        )
    )
    await groups.happened(
        tx,
        actor=actor,
        now=now,
        pool_id=pool_id,
        member_id=member_id,
        person_id=person_id,
        what="joined",
    )


async def _own_story(tx: WriteSession) -> UUID:
    """Return the story that the actor speaks for; Conflict when there is none yet."""
    person_id = await identity.own_story(tx)
    if person_id is None:
        raise Conflict(
            rule="story-first",
            detail="Putting money together starts from your own story.",
            who_can_change_it="You can, by answering two questions.",
            what_else=["Begin with POST /v1/people: what are you good at, what do you want to do?"],
        )
    return person_id
