"""What is read inside a group, and by whom: promises and ballots are one's own, leaving ends it."""

import pytest

from tests.api.pools.neighbours import Neighbours
from tests.groups import OFFER
from tests.make import good, refused

pytestmark = pytest.mark.anyio


async def test_whoever_left_keeps_their_own_part_and_the_books_and_reads_no_further(
    home: Neighbours,
) -> None:
    group = await home.promising("own", "own", "own")
    *_, last = group.members
    good(await group.promise(last, 2_000))
    await group.post("/leave", last, {"something_was_wrong": "I was shouted at."})
    for path in ("", "/history"):
        problem = refused(await group.send("GET", path, last, keyed=False), 403, "members-only")
        assert "/mine" in " ".join(problem["what_else"])
    mine = await group.get("/mine", last)
    assert (mine["my_state"], mine["money"]) == ("out", [])
    assert [one["words"] for one in mine["events"] if one["what"] == "left"] == [
        "I was shouted at."
    ]
    assert (await group.get("/books", last))["missing_pence"] == 0
    again = await group.post("/leave", last, {})
    assert again["my_state"] == "out"


async def test_whoever_left_neither_writes_offers_for_the_group_nor_agrees_its_rules(
    home: Neighbours,
) -> None:
    group = await home.group("own", "own", "own")
    *_, last = group.members
    await group.post("/leave", last, {})
    refused(await group.send("POST", "/offers", last, OFFER), 403, "members-only")
    choices = {"choices": {"leaving": "no_notice"}}
    refused(await group.send("PUT", "/choices", last, choices, keyed=False), 403, "members-only")


async def test_an_offer_from_outside_needs_an_account_to_be_answered_at(home: Neighbours) -> None:
    group = await home.group("own", "own")
    *_, stranger = await home.people("own", "own", "own")
    body = OFFER | {"code": await group.code()}
    refused(await group.send("POST", "/offers", stranger, body), 403, "account-to-be-paid")


async def test_the_books_are_in_no_order_that_tells_whose_share_is_whose(home: Neighbours) -> None:
    group = await home.promising("own", "own", "own")
    for one, pence in zip(group.members, (1_500, 3_000, 2_000), strict=True):
        good(await group.promise(one, pence))
    await group.review()
    await group.sign()
    for one, own in zip(group.members, (1_500, 3_000, 2_000), strict=True):
        shares = (await group.get("/books", one))["shares"]
        assert [share["mine"] for share in shares] == [True, False, False]
        put_in = [share["put_in_pence"] for share in shares]
        assert put_in == [own, *sorted({1_500, 3_000, 2_000} - {own}, reverse=True)]
