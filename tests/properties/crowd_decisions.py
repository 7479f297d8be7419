"""The person's part in decisions: a go-ahead refused and looked at again, a stop answered."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from api.decisions import service as decisions
from api.decisions.rules import Subject
from api.decisions.schemas import AskSignOff
from tests.make import Account, Enquiry, Maker, Story, good, now
from tests.properties.readers import WORDS, Reader


async def have_decided(
    maker: Maker,
    account: Account,
    story: Story,
    concern: Enquiry,
    readers: Mapping[str, Reader],
) -> dict[str, UUID]:
    """Let a go-ahead be asked for, refused and looked at again; a stop said, and answered."""
    subject = Subject("pool_use", uuid4())
    ask = AskSignOff(
        subject=subject,
        person_id=story.id,
        area_id=story.area.id,
        settings=story.area.settings,
        body="council",
        about={"what": WORDS},
        amount_pence=100,
        wish=WORDS,
    )
    async with maker.database.write(actor=account.actor, now=now()) as tx:
        asked = await decisions.ask_sign_off(tx, actor=account.actor, now=now(), ask=ask)

    async def sent(path: str, body: dict[str, object], by: str) -> dict[str, Any]:
        headers = account.headers if by == "the person" else readers[by].headers
        answer: dict[str, Any] = good(
            await maker.client.post(f"/v1/{path}", json=body, headers=headers)
        )
        return answer

    no = {
        "outcome": "declined",
        "ground": "plan_fit",
        "words": WORDS,
        "who_can_change": WORDS,
        "rings_by": now().date().isoformat(),
    }
    await sent(f"sign-offs/{asked}/decision", no, "the manager who decided")
    again = await sent(f"sign-offs/{asked}/challenges", {"words": WORDS}, "the person")
    worry = {
        "subject_type": "person",
        "subject_id": str(story.id),
        "area": story.area.slug,
        "words": WORDS,
    }
    stop = await sent("safety-stops", worry, "the person")
    upheld = {"outcome": "upheld", "words": WORDS}
    await sent(f"safety-stops/{stop['id']}/answers", upheld, "a manager")
    told = {"step": "asked_wish", "words": WORDS}
    await sent(f"enquiries/{concern.id}/adult-at-risk", told, "a manager")
    return {
        "sign_off_id": asked,
        "challenge_id": UUID(again["challenges"][0]["id"]),
        "stop_id": UUID(stop["id"]),
    }
