"""The person's money, who acts for it, and who holds it."""

from dataclasses import dataclass
from uuid import UUID

from api.core.db import Database
from tests.api.budgets.purses import pay
from tests.make import Account, Budget, Maker, Story, good
from tests.properties.readers import WORDS, Reader, signed_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What a person has: money of a funder's and their own, and who decides in their place."""

    budget: Budget
    own: Budget
    deputy: Account
    ids: dict[str, UUID]
    readers: dict[str, Reader]


async def have_money(maker: Maker, database: Database, story: Story) -> Money:
    """Let the person have money, people who act for it, a payment under way, and its holder."""
    friend, deputy = await maker.account(story.area), await maker.account(story.area)
    holder = await maker.account(story.area)
    manager = await maker.account(story.area, "manager")
    held = {"holder_called": WORDS, "holder_account_id": str(holder.id)}
    budget = await maker.budget(story, pence=500, **held)
    own = await maker.budget(story, kind="own_money", pence=500, holder_called=WORDS)
    path = f"/v1/budgets/{budget.id}"
    for to, authority, headers in (
        (friend, "own_say_so", story.headers),
        (deputy, "deputy", manager.headers),
    ):
        given = {"account_id": str(to.id), "authority": authority, "may": ["see", "promise", "pay"]}
        told = good(await maker.client.post(f"{path}/authorities", json=given, headers=headers))
    word = f"{path}/pooling-authority"
    good(await maker.client.put(word, json={"given": True}, headers=story.headers))
    await pay(database, budget, 100, called=WORDS)
    assert budget.funder is not None
    ids = {
        "budget_id": budget.id,
        "authority_id": UUID(told["who_may_act"][0]["id"]),
        "funder_id": budget.funder.id,
    }
    finance = await maker.account(story.area, "finance")
    readers = {
        "whom they let act": signed_in(friend, due="acts"),
        "a deputy": signed_in(deputy, due="acts"),
        "whoever holds the money": signed_in(holder, due="money"),
        "the area's finance": signed_in(finance, due="finance"),
    }
    return Money(budget=budget, own=own, deputy=deputy, ids=ids, readers=readers)
