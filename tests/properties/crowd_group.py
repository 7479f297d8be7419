"""The person's part in a group: what they said, promised and voted there, and who else is in it."""

from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from api.core.db import Database
from tests.groups import OFFER, Member, found_town
from tests.make import Maker, Story, good
from tests.properties.crowd_money import Money
from tests.properties.readers import WORDS, Reader, signed_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A group that the person is in, and its people as readers."""

    ids: dict[str, UUID]
    readers: dict[str, Reader]
    old_code: str


async def join_a_group(maker: Maker, database: Database, story: Story, money: Money) -> Joined:
    """Let the person start a group, and let it go on until its first part is done.

    They promise of their own money, and their deputy promises of the money that a deputy keeps.
    One more is in it; one has left.
    """
    town = await found_town(maker, database, area=story.area)
    other = await town.person(kind="own_money", pence=500)
    left = await town.person(kind="own_money", pence=500)
    me = Member(story, money.own)
    kept = replace(me, budget=money.budget)
    said = {"words": WORDS, "easy_words": WORDS}
    own = {"name": WORDS, "summary": WORDS, "called": WORDS, "access_needs": WORDS}
    await town.start([me, other, left], **own)
    line = {"words": WORDS, "purpose": "dance", "pence": 100}
    offer = await town.offer(called=WORDS, words=WORDS, lines=[line], sessions=2)
    for who in (me, town.provider):
        await town.post("/messages", who, {"offer_id": str(offer), "words": WORDS})
    await town.post("/offers", me, OFFER | {"called": WORDS, "words": WORDS})
    await town.vote("choose_offer", str(offer), **said)
    await town.pledging()
    promised = good(await town.promise(me, 60))
    good(await town.promise(kept, 60, by=money.deputy))
    good(await town.promise(other, 80))
    good(await town.promise(left, 50))
    await town.post("/leave", left, {"something_was_wrong": WORDS})
    await town.review()
    await town.decide(town.manager, kept)
    await town.advance()
    await town.sign()
    await town.post("/stages/1/words", town.provider, {"what": "done", "words": WORDS})
    seen = await town.post("/stages/1/words", me, {"what": "confirmed", "words": WORDS})
    assert (seen["state"], seen["people"]) == ("delivering", 2)
    assert town.pool_id is not None
    old_code = await town.code()
    await town.post("/invitations", me)  # which ends it
    ids = {
        "pool_id": town.pool_id,
        "vote_id": UUID(seen["votes"][0]["id"]),
        "pledge_id": UUID(promised["id"]),
    }
    readers = {
        "another member": _holder(other.story, due="group"),
        "a member who left": _holder(left.story, due="left"),
        "whoever offers to the group": signed_in(town.provider, due="group"),
        "whoever passed its contract": signed_in(town.finance, due="finance"),
        "the group's task": Reader("task", uuid4(), town.pool_id, due="task"),
    }
    return Joined(ids=ids, readers=readers, old_code=old_code)


def _holder(story: Story, *, due: str) -> Reader:
    return Reader("code_holder", story.id, headers=story.headers, due=due)
