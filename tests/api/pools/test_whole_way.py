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


async def test_what_money_is_for_is_told_in_words_and_not_in_codes(town: Town) -> None:
    people = [await town.person(kind="own_money"), await town.person()]
    await town.start(people)
    lines = [
        {"words": "The hall", "purpose": "getting_out", "pence": 400},
        {"words": "Kay leads", "purpose": "dance", "pence": 600},
    ]
    await town.costed(lines=lines)
    await town.pledging()
    await town.promise_all()
    mine = await town.get("/mine", people[0])
    assert mine["money"][0]["may_be_used_for"] == ["The hall", "Kay leads"]
    await town.review()
    (asked,) = await town.sign_offs(town.social_worker)
    path = f"/v1/sign-offs/{asked['id']}"
    shown = await town.maker.client.get(path, headers=town.social_worker.headers)
    assert shown.json()["about"]["for"] == ["dance", "getting out"]
