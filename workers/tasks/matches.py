"""Looking for people, one person a task."""

from functools import cache
from typing import Any
from uuid import UUID

from api.matches import queries, store
from api.matches.rules import SUGGESTIONS_A_PERSON
from api.matches.snapshot import offers_of, seeker_of, snapshot_hash
from matching import RULE_VERSION, match
from matching.text import MiniLM, embed_offer, embed_statements
from workers.runtime import Job, task

MATCHER = "kith_match"
DUE_AT_ONCE = 1000


@cache
def embedder() -> MiniLM:
    """Return this process' text model, loaded at first use, after the fork."""
    return MiniLM()


@task("matches.rematch", subject="person_id")
async def rematch(job: Job, *, person_id: UUID, **_later: Any) -> None:
    """Look for one person: embed what is new, read a snapshot, match, store."""
    model = embedder()
    async with job.snapshot() as session:
        said = await queries.not_embedded(session, person_id=person_id, model_id=model.model_id)
    vectors = embed_statements(model, [words for _, _, words in said])
    fresh = {key: (kind, vector) for (key, kind, _), vector in zip(said, vectors, strict=True)}
    async with job.snapshot(role=MATCHER) as session:
        found = await queries.snapshot(session, person_id=person_id, model_id=model.model_id)
    if found is None:
        return
    seeker = seeker_of(found, fresh)
    offers = offers_of(found, today=job.now.date())
    result = match(seeker, offers, limit=SUGGESTIONS_A_PERSON)
    hashed = snapshot_hash(seeker, offers, rule_version=RULE_VERSION, model_id=model.model_id)
    async with job.last() as tx:
        await store.keep_statement_vectors(
            tx,
            person_id=person_id,
            model_id=model.model_id,
            vectors={key: vector for key, (_, vector) in fresh.items()},
        )
        await store.keep_run(
            tx,
            actor=job.actor,
            now=job.now,
            outbox_id=job.outbox_id,
            model_id=model.model_id,
            snapshot_hash=hashed,
            people_looked_at=len(found.owners),
            look_again_days=found.person.look_again_days,
            result=result,
        )


@task("matches.listing_changed", subject="person_id")
async def listing_changed(
    job: Job, *, listing_id: UUID, person_id: UUID | None = None, **_later: Any
) -> None:
    """Embed a listing whose words changed, then look again for everybody it concerns."""
    del person_id  # the actor's subject already
    model = embedder()
    async with job.snapshot() as session:
        row = await queries.listing_words(session, listing_id=listing_id, model_id=model.model_id)
    if row is None or (row.confirmed_until is None and row.closed_at is None):
        return
    words_hash = store.hash_of_words(row.name, row.summary, row.description)
    vectors = b""
    if row.closed_at is None and words_hash != row.words_hash:
        text = " ".join(part for part in (row.summary, row.description) if part)
        vectors = b"".join(embed_offer(model, name=row.name, text=text))
    async with job.snapshot(role=MATCHER) as session:
        people = await queries.touched_people(session, listing_id=listing_id)
    async with job.last() as tx:
        if vectors:
            await store.keep_offer_vectors(
                tx,
                listing_id=listing_id,
                model_id=model.model_id,
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
        await store.enqueue_looks(
            tx,
            now=job.now,
            correlation_id=job.correlation_id,
            people=people,
        )
