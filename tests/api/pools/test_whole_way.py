"""From an idea to the last penny back where it came from."""

import pytest

from tests.groups import Town

pytestmark = pytest.mark.anyio


async def test_three_people_go_the_whole_way_and_every_penny_is_somewhere(town: Town) -> None:
    people = [await town.person(), await town.person(kind="own_money"), await town.person()]
    await town.start(people)
    await town.contracted(
        lines=[{"words": "Hall", "purpose": "dance", "pence": 2_500}], min_people=2
    )
    assert await town.state() == "contracted"
    books = await town.get("/books", people[0])
    assert (books["put_in_pence"], books["missing_pence"]) == (30_000, 0)
    await town.stage(1)
    mine = await town.get("/mine", people[0])
    assert mine["money"][0]["used_pence"] == 4_167
    await town.stage(2)
    assert await town.state() == "reviewed"
    await town.confirm_payments()
    assert await town.state() == "closed"
    books = await town.get("/books", people[1])
    assert books["used_pence"] == 25_000
    assert books["returned_pence"] == 5_000
    assert books["left_pence"] == books["missing_pence"] == 0
