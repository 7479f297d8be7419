"""Looking for people, one person a task."""

from typing import Any
from uuid import UUID

from api.matches import engine, queries, store
from workers.runtime import Job, task

MATCHER = "kith_match"
DUE_AT_ONCE = 1000


@task("matches.rematch", subject="person_id")
async def rematch(job: Job, *, person_id: UUID, **_later: Any) -> None:
    """Look for one person: embed what is new, read a snapshot, match, store."""
    model_id = engine.text_model().model_id
    async with job.snapshot() as session:
        said = await queries.not_embedded(session, person_id=person_id, model_id=model_id)
    fresh = engine.fresh_vectors(said)
    async with job.snapshot(role=MATCHER) as session:
        found = await queries.snapshot(session, person_id=person_id, model_id=model_id)
        told_of = await queries.told_of(session, person_id=person_id) if found is None else []
    if found is None:
        await _stop(job, person_id=person_id, told_of=told_of)
        return
    look = engine.look(found, fresh, today=job.now.date())
    async with job.last() as tx:
        await store.keep_statement_vectors(
            tx,
            person_id=person_id,
            model_id=model_id,
            vectors={key: vector for key, (_, vector) in fresh.items()},
        )
        await store.keep_run(
            tx,
            actor=job.actor,
            now=job.now,
            outbox_id=job.outbox_id,
            model_id=model_id,
            snapshot_hash=look.snapshot_hash,
            people_looked_at=len(found.owners),
            look_again_days=found.person.look_again_days,
            result=look.result,
        )


async def _stop(job: Job, *, person_id: UUID, told_of: list[UUID]) -> None:
    """Take back what stands for somebody who wants no matching, and their offers from others."""
    async with job.last() as tx:
        await store.stop(tx, actor=job.actor, now=job.now, person_id=person_id)
        await store.enqueue_looks(
            tx, now=job.now, correlation_id=job.correlation_id, people=told_of
        )


@task("matches.listing_changed", subject="person_id")
async def listing_changed(
    job: Job, *, listing_id: UUID, person_id: UUID | None = None, **_later: Any
) -> None:
    """Embed a listing whose words changed, then look again for everybody it concerns."""
    del person_id  # the actor's subject already
    model_id = engine.text_model().model_id
    async with job.snapshot() as session:
        row = await queries.listing_words(session, listing_id=listing_id, model_id=model_id)
    if row is None or (row.confirmed_until is None and row.closed_at is None):
        return
    words_hash = store.hash_of_words(row.name, row.summary, row.description)
    vectors = b""
    if row.closed_at is None and words_hash != row.words_hash:
        text = " ".join(part for part in (row.summary, row.description) if part)
        vectors = engine.offer_vectors(name=row.name, text=text)
    async with job.snapshot(role=MATCHER) as session:
        people = await queries.touched_people(session, listing_id=listing_id)
    async with job.last() as tx:
        if vectors:
            await store.keep_offer_vectors(
                tx,
                listing_id=listing_id,
                model_id=model_id,
                words_hash=words_hash,
                vectors=vectors,
            )
        await store.enqueue_looks(tx, now=job.now, correlation_id=job.correlation_id, people=people)


@task("matches.due_looks")
async def due_looks(job: Job, **_later: Any) -> None:
    """Look again for whom the promised day has come."""
    async with job.snapshot(role=MATCHER) as session:
        people = await queries.due_looks(session, today=job.now.date(), limit=DUE_AT_ONCE)
    async with job.last() as tx:
        await store.enqueue_looks(tx, now=job.now, correlation_id=job.correlation_id, people=people)
