"""Votes: one person one vote, a majority of citizens, more than half taking part (J3.7)."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from api.core import audit
from api.core.db import WriteSession, constraint
from api.core.errors import Conflict, invalid, not_found
from api.core.ids import new_id
from api.identity.rules import Actor
from api.pools import group as groups
from api.pools import queries, rules, views
from api.pools.group import Group
from api.pools.models import PoolBallot, PoolOffer, PoolStage, PoolVote
from api.pools.rules import BEFORE_CONTRACT, DEFAULT_VOTE_DAYS, NOT_CITIZENS, Motion, State
from api.pools.schemas import NewBallot, NewVote, PoolOut

# When each kind of question can be put.
_WHEN: dict[Motion, frozenset[State]] = {
    "choose_offer": frozenset({"gathering", "costed", "pledging", "expired"}),
    "confirm": frozenset({"approved"}),
    "shrink": frozenset({"contracted", "delivering"}),
    "close": BEFORE_CONTRACT,
}
LONGEST_VOTE = timedelta(days=60)


async def open_vote(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, new: NewVote
) -> PoolOut:
    """Put a question to the group, in plain and in easy words. One at a time."""
    group = await groups.locked(tx, pool_id=pool_id)
    await groups.member(tx, pool_id=pool_id)
    await groups.guard(tx, group)
    closes_at = new.closes_at or now + timedelta(days=DEFAULT_VOTE_DAYS)
    await _check(tx, group, new=new, now=now, closes_at=closes_at)
    vote_id = new_id()
    try:
        async with tx.begin_nested():
            await tx.execute(
                insert(PoolVote).values(
                    id=vote_id,
                    pool_id=pool_id,
                    motion=new.motion,
                    words=new.words,
                    easy_words=new.easy_words,
                    from_stage=new.from_stage,
                    opened_at=now,
                    closes_at=closes_at,
                )
            )
    except IntegrityError as error:
        if constraint(error) != "uq_pool_votes_open":
            raise
        raise Conflict(
            rule="one-vote-at-a-time",
            detail="There is a vote already. It ends first.",
            who_can_change_it="The people of the group, by voting.",
            what_else=["Vote in the one that is open.", "Wait for its last day."],
        ) from None
    await groups.step(tx, group, actor=actor, now=now, what="vote_opened", reason=new.motion)
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def _check(
    tx: WriteSession, group: Group, *, new: NewVote, now: datetime, closes_at: datetime
) -> None:
    if group.state not in _WHEN[new.motion]:
        raise Conflict(
            rule="vote-at-its-time",
            detail=f"This cannot be voted on now: {rules.SHOWN[group.state]}.",
            who_can_change_it="The group, by the step that comes first.",
            what_else=["See what comes next in the group's page."],
        )
    if not now < closes_at <= now + LONGEST_VOTE:
        raise invalid("vote-ends", "closes_at", "A vote ends on a day to come, within 60 days.")
    if (new.motion == "shrink") != (new.from_stage is not None):
        raise invalid("part-named", "from_stage", "Name the first part to leave out.")
    if new.motion == "choose_offer" and not await current_offers(tx, group.id):
        raise invalid("offer-first", "motion", "There is no offer yet to choose.")
    if new.motion == "confirm" and group.pool.body_called is None:
        raise invalid(
            "body-named", "motion", "Name the legal body that signs before you vote on it."
        )


async def cast(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, vote_id: UUID, new: NewBallot
) -> PoolOut:
    """Vote, once. Somebody may help by reading or explaining; nobody votes for another."""
    # Kept, so that a vote which is just being counted is not given to: it would count for nothing.
    await groups.kept(tx, pool_id=pool_id)
    me = await groups.member(tx, pool_id=pool_id)
    found = next(
        (one for one in await queries.votes(tx, pool_id=pool_id) if one.id == vote_id), None
    )
    if found is None:
        raise not_found("vote")
    if found.ended_at is not None or found.closes_at <= now:
        raise Conflict(
            rule="vote-open",
            detail="This vote has ended.",
            who_can_change_it="The group, by voting anew.",
            what_else=["Read what came of it.", "Put the question again."],
        )
    await _check_choice(tx, found, new)
    try:
        async with tx.begin_nested():
            await tx.execute(
                insert(PoolBallot).values(
                    id=new_id(),
                    vote_id=vote_id,
                    pool_id=pool_id,
                    member_id=me.id,
                    person_id=me.person_id,
                    choice=new.choice,
                    citizen=not actor.has_role(*NOT_CITIZENS),
                    helped=new.helped,
                    at=now,
                )
            )
    except IntegrityError as error:
        if constraint(error) != "uq_pool_ballots_vote_id_member_id":
            raise
        raise Conflict(
            rule="one-person-one-vote",
            detail="You have voted already. Each person votes once.",
            who_can_change_it="Nobody: a vote stays as it was given.",
            what_else=[
                "Say what you think now to the group.",
                "Ask for the question to be put again.",
            ],
        ) from None
    await audit.record(
        tx, actor=actor, now=now, action="pool.voted", subject_type="pool", subject_id=pool_id
    )
    await groups.advance_later(tx, pool_id=pool_id, now=now)
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def _check_choice(tx: WriteSession, vote: PoolVote, new: NewBallot) -> None:
    if vote.motion != "choose_offer":
        if new.choice not in ("yes", "no", "abstain"):
            raise invalid("choice-of-vote", "choice", "Answer yes, no or abstain.")
        return
    known = {str(one.id) for one in await current_offers(tx, vote.pool_id)}
    if new.choice not in known | {"abstain"}:
        raise invalid("choice-of-vote", "choice", "Choose an offer by its id, or abstain.")


async def current_offers(tx: WriteSession, pool_id: UUID) -> list[PoolOffer]:
    """Return the offers that no newer version has taken the place of, the first made first."""
    offers = await queries.offers(tx, pool_id=pool_id)
    replaced = {one.replaces_id for one in offers}
    return [one for one in offers if one.id not in replaced]


async def longer(tx: WriteSession, group: Group, *, by: timedelta) -> None:
    """Let an open vote end later, by as long as the group was paused."""
    await tx.execute(
        update(PoolVote)
        .where(PoolVote.pool_id == group.id, PoolVote.ended_at.is_(None))
        .values(closes_at=PoolVote.closes_at + by)
        .execution_options(synchronize_session=False)
    )


async def close_due(tx: WriteSession, group: Group, *, actor: Actor, now: datetime) -> Group:
    """End the open vote when its time is over or everybody has voted, and do what follows."""
    vote = next(
        (one for one in await queries.votes(tx, pool_id=group.id) if one.ended_at is None), None
    )
    if vote is None:
        return group
    rows = await queries.ballots(tx, vote_id=vote.id)
    cast_by = sum(row.ballots for row in rows)
    members = await queries.members(tx, pool_id=group.id)
    people = sum(1 for one in members if one.state == "in")
    if vote.closes_at > now and cast_by < people:
        return group
    citizens = sum(row.ballots for row in rows if row.citizen)
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.choice] = counts.get(row.choice, 0) + row.ballots
    if vote.motion == "choose_offer":
        return await _chosen(
            tx, group, vote, counts, (cast_by, citizens, people), actor=actor, now=now
        )
    came_to = rules.outcome(
        yes=counts.get("yes", 0),
        no=counts.get("no", 0),
        citizens=citizens,
        ballots=cast_by,
        people=people,
    )
    await _end(tx, vote, outcome=came_to, counts=counts, now=now)
    group = await groups.step(tx, group, actor=actor, now=now, what="vote_ended", reason=came_to)
    if vote.motion == "shrink" and came_to == "passed" and group.state in rules.RUNNING:
        await _shrink(tx, group, vote, actor=actor, now=now)
        group = await groups.locked(tx, pool_id=group.id)
    if vote.motion == "close" and came_to == "passed" and group.state in BEFORE_CONTRACT:
        group = await groups.step(
            tx, group, actor=actor, now=now, what="closed", to="closed", reason="vote"
        )
    return group


async def _chosen(
    tx: WriteSession,
    group: Group,
    vote: PoolVote,
    counts: dict[str, int],
    figures: tuple[int, int, int],
    *,
    actor: Actor,
    now: datetime,
) -> Group:
    """End a vote on offers. Another price than before means: everybody is asked again."""
    cast_by, citizens, people = figures
    order = [one.id for one in await current_offers(tx, group.id)]
    # Votes for an offer that a newer version has replaced meanwhile are for no offer any more.
    for_offers = {one: counts[str(one)] for one in order if str(one) in counts}
    counted = cast_by >= rules.votes_needed(people) and citizens * 2 > cast_by
    won = rules.winner(for_offers, order) if counted and for_offers else None
    chosen = next(
        (one for one in await queries.offers(tx, pool_id=group.id) if one.id == won), None
    )
    passed = chosen is not None and people <= chosen.max_people
    came_to = "passed" if passed else "failed" if counted else "not_counted"
    await _end(tx, vote, outcome=came_to, counts=counts, now=now)
    group = await groups.step(tx, group, actor=actor, now=now, what="vote_ended", reason=came_to)
    if not passed or group.state not in _WHEN["choose_offer"]:
        return group
    same = group.pool.offer_id == won
    to: State | None = None
    if group.state in ("gathering", "pledging") and not same:
        to = "costed"
    return await groups.step(
        tx,
        group,
        actor=actor,
        now=now,
        what="offer_chosen",
        to=to,
        reason="same_offer" if same else "vote",
        offer_id=won,
    )


async def _shrink(
    tx: WriteSession, group: Group, vote: PoolVote, *, actor: Actor, now: datetime
) -> None:
    """Leave out what was agreed to be left out: only what has not been done."""
    assert vote.from_stage is not None, "ck_pool_votes_from_stage"
    await tx.execute(
        update(PoolStage)
        .where(
            PoolStage.pool_id == group.id,
            PoolStage.number >= vote.from_stage,
            PoolStage.state == "planned",
        )
        .values(state="cancelled")
        .execution_options(synchronize_session=False)
    )
    await groups.step(tx, group, actor=actor, now=now, what="shrunk", reason="vote")


async def _end(
    tx: WriteSession, vote: PoolVote, *, outcome: str, counts: dict[str, int], now: datetime
) -> None:
    await tx.execute(
        update(PoolVote)
        .where(PoolVote.id == vote.id, PoolVote.ended_at.is_(None))
        .values(outcome=outcome, counts=counts, ended_at=now)
        .execution_options(synchronize_session=False)
    )
