"""The same promise sent twice at once, and two promises at once, in the place of an older one."""

import asyncio
from typing import Any

import pytest

from tests.groups import Town
from tests.make import good, key, refused

pytestmark = pytest.mark.anyio


async def test_two_taps_in_the_place_of_an_older_promise_are_one_promise(town: Town) -> None:
    one, other = await town.person(), await town.person(kind="own_money")
    await town.start([one, other])
    await town.costed()
    await town.pledging()
    for pence in (100, 200, 300, 400):
        body = {"budget_id": str(one.budget.id), "amount_pence": pence}
        headers = one.headers | key()
        taps = await asyncio.gather(
            *(
                town.maker.client.post(f"{town.path}/pledges", json=body, headers=headers)
                for _ in range(4)
            )
        )
        assert len({good(answer)["id"] for answer in taps}) == 1
    mine = await town.get("/mine", one)
    assert _promised(mine) == 400


async def test_of_two_promises_at_once_the_later_takes_the_place_of_the_earlier(
    town: Town,
) -> None:
    one, other = await town.person(), await town.person(kind="own_money")
    await town.start([one, other])
    await town.costed()
    await town.pledging()
    good(await town.promise(one, 50))
    for _ in range(4):
        answers = await asyncio.gather(*(town.promise(one, pence) for pence in (100, 100, 100)))
        for answer in answers:
            if not answer.is_success:
                refused(answer, 409, "at-the-same-moment")
        mine = await town.get("/mine", one)
        assert _promised(mine) == 100


def _promised(mine: dict[str, Any]) -> int:
    return sum(int(one["promised_pence"]) for one in mine["money"] if one["state"] == "held")
