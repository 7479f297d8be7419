"""The person's part in what the matcher makes: vectors, a run, an idea and an unmet want."""

from uuid import UUID, uuid4

from api.core.db import Database
from api.identity.rules import Task
from api.matches import store
from matching.values import MatchResult, Reason, Suggestion, Unmet
from tests.make import Maker, Story, good, now

MODEL = "test-model"


async def get_ideas(maker: Maker, database: Database, story: Story, offer: UUID, goal: str) -> UUID:
    """Store a run with one idea and one unmet want, as the matcher's task does."""
    provider = await maker.account(story.area, "provider")
    listing = await maker.listing(provider)
    neighbour = await maker.story(story.area)
    theirs = await maker.offer(neighbour)
    actor = Task("matches.rematch", uuid4(), story.id)
    vector = bytes(384)
    reason = Reason("for", "free", {})
    result = MatchResult(
        person_id=story.id,
        suggestions=tuple(
            Suggestion(one, 500, {"meaning": 500}, (reason,)) for one in (listing, theirs)
        ),
        unmet=(Unmet(goal, "nothing_like_it", {}),),
        looked_at=1,
    )
    async with database.write(actor=actor, now=now()) as tx:
        await store.keep_statement_vectors(
            tx, person_id=story.id, model_id=MODEL, vectors={UUID(goal): vector}
        )
        await store.keep_offer_vectors(
            tx, listing_id=offer, model_id=MODEL, words_hash=b"0", vectors=vector
        )
        await store.keep_run(
            tx,
            actor=actor,
            now=now(),
            outbox_id=actor.outbox_id,
            model_id=MODEL,
            snapshot_hash=b"0",
            people_looked_at=1,
            look_again_days=14,
            result=result,
        )
    path = f"/v1/people/{story.id}/suggestions"
    ideas = good(await maker.client.get(path, headers=story.headers))["items"]
    step = {"to": "seen"}
    path = f"/v1/suggestions/{ideas[0]['id']}/steps"
    good(await maker.client.post(path, json=step, headers=story.headers))
    return UUID(ideas[0]["id"])
