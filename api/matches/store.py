"""What a run leaves behind, written in the task's last transaction and nowhere else."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from api.core.db import ActorContext, WriteSession
from api.core.ids import new_id
from api.matches.models import (
    MatchRun,
    OfferVectors,
    StatementVector,
    SuggestionEvent,
    SuggestionRow,
    UnmetWant,
)
from matching import RULE_VERSION, MatchResult, Suggestion

TOGETHER = timedelta(seconds=1)

_ENQUEUE_LOOKS = text(
    "INSERT INTO outbox (id, task, payload, coalesce_key, correlation_id, created_at, not_before)"
    " SELECT uuidv7(), 'matches.rematch', jsonb_build_object('person_id', p), "
    " 'matches.rematch:' || p, :correlation, :now, :not_before"
    " FROM unnest(CAST(:people AS uuid[])) AS p"
    " ORDER BY p"
    " ON CONFLICT (coalesce_key) WHERE coalesce_key IS NOT NULL AND lease_until IS NULL"
    " AND sent_at IS NULL AND done_at IS NULL AND dead_at IS NULL"
    " DO UPDATE SET not_before = LEAST(outbox.not_before, excluded.not_before)"
)


async def enqueue_looks(
    tx: WriteSession, *, now: datetime, correlation_id: UUID, people: Sequence[UUID]
) -> None:
    """Enqueue a look for each of many people in one statement, in the order of their ids.

    It waits a moment: forty listings that change together are then one look for each person.
    """
    if people:
        await tx.execute(
            _ENQUEUE_LOOKS,
            {
                "people": list(people),
                "now": now,
                "not_before": now + TOGETHER,
                "correlation": correlation_id,
            },
        )


async def keep_statement_vectors(
    tx: WriteSession, *, person_id: UUID, model_id: str, vectors: Mapping[UUID, bytes]
) -> None:
    """Keep what statements mean; a second run that was as quick changes nothing."""
    if not vectors:
        return
    rows = [
        {"statement_id": key, "person_id": person_id, "model_id": model_id, "vector": vector}
        for key, vector in sorted(vectors.items())
    ]
    await tx.execute(upsert(StatementVector).values(rows).on_conflict_do_nothing())


async def keep_offer_vectors(
    tx: WriteSession, *, listing_id: UUID, model_id: str, words_hash: bytes, vectors: bytes
) -> None:
    """Keep what a listing means, in place of what it meant before."""
    row = upsert(OfferVectors).values(
        listing_id=listing_id, model_id=model_id, words_hash=words_hash, vectors=vectors
    )
    await tx.execute(
        row.on_conflict_do_update(
            index_elements=[OfferVectors.listing_id, OfferVectors.model_id],
            set_={"words_hash": row.excluded.words_hash, "vectors": row.excluded.vectors},
        )
    )


def hash_of_words(*words: str | None) -> bytes:
    """Return the SHA-256 of a listing's words: vectors are made anew only when it changes."""
    return hashlib.sha256("\0".join(one or "" for one in words).encode()).digest()


async def keep_run(
    tx: WriteSession,
    *,
    actor: ActorContext,
    now: datetime,
    outbox_id: UUID,
    model_id: str,
    snapshot_hash: bytes,
    people_looked_at: int,
    look_again_days: int,
    result: MatchResult,
) -> None:
    """Store one run: new ideas once, old ones refreshed, those that no longer fit withdrawn.

    What a person has said about an idea stands: a run never touches "not for me" or a meeting
    that was asked for.
    """
    person_id = UUID(str(result.person_id))
    run_id = new_id()
    await tx.execute(
        insert(MatchRun).values(
            id=run_id,
            person_id=person_id,
            outbox_id=outbox_id,
            model_id=model_id,
            rule_version=RULE_VERSION,
            snapshot_hash=snapshot_hash,
            looked_at=result.looked_at,
            people_looked_at=people_looked_at,
            suggested=len(result.suggestions),
            unmet=len(result.unmet),
            at=now,
        )
    )
    old = await _standing(tx, person_id=person_id)
    ideas = {UUID(str(one.offer_id)): (rank, one) for rank, one in enumerate(result.suggestions)}
    for listing_id, (rank, idea) in ideas.items():
        await _keep_idea(
            tx,
            actor=actor,
            now=now,
            run_id=run_id,
            person_id=person_id,
            listing_id=listing_id,
            rank=rank,
            idea=idea,
            old=old.get(listing_id),
        )
    await _withdraw(tx, actor=actor, now=now, person_id=person_id, old=old, kept=set(ideas))
    await _keep_unmet(
        tx,
        now=now,
        run_id=run_id,
        person_id=person_id,
        look_again_days=look_again_days,
        result=result,
    )


async def stop(tx: WriteSession, *, actor: ActorContext, now: datetime, person_id: UUID) -> None:
    """Take back what stands suggested to somebody who wants no matching; close their wants."""
    old = await _standing(tx, person_id=person_id)
    await _withdraw(tx, actor=actor, now=now, person_id=person_id, old=old, kept=set())
    await tx.execute(_MET, {"now": now, "person_id": person_id, "open": []})


async def add_event(
    tx: WriteSession,
    *,
    actor: ActorContext,
    now: datetime,
    suggestion_id: UUID,
    person_id: UUID,
    state: str,
    why: str | None = None,
) -> None:
    """Note what became of a suggestion."""
    await tx.execute(
        insert(SuggestionEvent).values(
            id=new_id(),
            suggestion_id=suggestion_id,
            person_id=person_id,
            state=state,
            why=why,
            at=now,
            actor_kind=actor.kind,
            actor_id=actor.id,
        )
    )


async def _standing(tx: WriteSession, *, person_id: UUID) -> dict[UUID, Any]:
    """Return all that was ever suggested to a person by listing, locked."""
    rows = await tx.execute(
        select(SuggestionRow.id, SuggestionRow.listing_id, SuggestionRow.state)
        .where(SuggestionRow.person_id == person_id)
        .order_by(SuggestionRow.id)
        .with_for_update()
    )
    return {row.listing_id: row for row in rows}


async def _keep_idea(
    tx: WriteSession,
    *,
    actor: ActorContext,
    now: datetime,
    run_id: UUID,
    person_id: UUID,
    listing_id: UUID,
    rank: int,
    idea: Suggestion,
    old: Any | None,
) -> None:
    values = {
        "run_id": run_id,
        "rank": rank,
        "points": idea.points,
        "components": dict(idea.components),
        "reasons": [
            {"side": one.side, "code": one.code, "params": _plain(one.params)}
            for one in idea.reasons
        ],
    }
    if old is not None:
        if old.state in ("suggested", "seen", "withdrawn"):
            await tx.execute(
                update(SuggestionRow).where(SuggestionRow.id == old.id).values(**values)
            )
        if old.state != "withdrawn":
            return
        suggestion_id = old.id
        await _set_state(tx, now=now, suggestion_id=suggestion_id, state="suggested")
    else:
        suggestion_id = new_id()
        await tx.execute(
            insert(SuggestionRow).values(
                id=suggestion_id,
                person_id=person_id,
                listing_id=listing_id,
                state="suggested",
                created_at=now,
                changed_at=now,
                **values,
            )
        )
    await add_event(
        tx,
        actor=actor,
        now=now,
        suggestion_id=suggestion_id,
        person_id=person_id,
        state="suggested",
    )


async def _withdraw(
    tx: WriteSession,
    *,
    actor: ActorContext,
    now: datetime,
    person_id: UUID,
    old: Mapping[UUID, Any],
    kept: set[UUID],
) -> None:
    """Withdraw ideas that no longer fit and that the person has not taken up."""
    for listing_id, row in old.items():
        if listing_id not in kept and row.state in ("suggested", "seen"):
            await _set_state(tx, now=now, suggestion_id=row.id, state="withdrawn")
            await add_event(
                tx,
                actor=actor,
                now=now,
                suggestion_id=row.id,
                person_id=person_id,
                state="withdrawn",
            )


async def _set_state(tx: WriteSession, *, now: datetime, suggestion_id: UUID, state: str) -> None:
    await tx.execute(
        update(SuggestionRow)
        .where(SuggestionRow.id == suggestion_id)
        .values(state=state, changed_at=now)
    )


_MET = text(
    "UPDATE unmet_wants SET met_at = :now WHERE person_id = :person_id AND met_at IS NULL"
    " AND statement_id <> ALL(CAST(:open AS uuid[]))"
)


async def _keep_unmet(
    tx: WriteSession,
    *,
    now: datetime,
    run_id: UUID,
    person_id: UUID,
    look_again_days: int,
    result: MatchResult,
) -> None:
    for want in result.unmet:
        row = upsert(UnmetWant).values(
            statement_id=UUID(str(want.statement_id)),
            person_id=person_id,
            kind=want.kind,
            counts=dict(want.counts),
            run_id=run_id,
            first_at=now,
            looked_at=now,
            next_look_on=(now + timedelta(days=look_again_days)).date(),
        )
        await tx.execute(
            row.on_conflict_do_update(
                index_elements=[UnmetWant.statement_id],
                set_={
                    "kind": row.excluded.kind,
                    "counts": row.excluded.counts,
                    "run_id": row.excluded.run_id,
                    "looked_at": row.excluded.looked_at,
                    "next_look_on": row.excluded.next_look_on,
                    "met_at": None,
                },
            )
        )
    open_now = [UUID(str(want.statement_id)) for want in result.unmet]
    await tx.execute(_MET, {"now": now, "person_id": person_id, "open": open_now})


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(dict(params))
    return plain
