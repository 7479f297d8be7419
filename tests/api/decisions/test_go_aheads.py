"""Go-aheads: who gives them, on which grounds they may be refused, and the wish beside them."""

from uuid import uuid4

import pytest

from api.core.errors import Conflict
from api.decisions.rules import Subject
from tests.api.decisions.desk import WISH, no, open_desk
from tests.make import Maker

pytestmark = pytest.mark.anyio


async def test_a_social_worker_who_works_with_the_person_gives_the_go_ahead(maker: Maker) -> None:
    desk = await open_desk(maker)
    subject = Subject("pool_use", uuid4())
    assert await desk.state(subject) is None
    asked = await desk.ask(subject=subject)
    assert await desk.state(subject) == "waiting"
    out = await desk.decide(asked)
    assert (out.state, out.decisions[0].outcome) == ("approved", "approved")
    assert out.wish is not None
    assert out.wish.words == WISH
    assert await desk.state(subject) == "approved"


async def test_what_is_decided_is_not_decided_again(maker: Maker) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    await desk.decide(asked, **no())
    for new in ({"outcome": "approved"}, no()):
        with pytest.raises(Conflict) as refusal:
            await desk.decide(asked, by=desk.manager, **new)
        assert refusal.value.rule == "decided-already"
