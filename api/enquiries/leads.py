"""What whoever leads on a worry writes down for the adult at risk (law.md 3)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert

from api.core import audit
from api.core.db import WriteSession
from api.core.errors import NotAllowed, invalid
from api.core.ids import new_id
from api.enquiries import service
from api.enquiries.models import EnquiryLeadNote
from api.enquiries.schemas import EnquiryOut, NewLeadNote
from api.identity.rules import Actor


async def note_for_adult_at_risk(
    tx: WriteSession, *, actor: Actor, now: datetime, enquiry_id: UUID, new: NewLeadNote
) -> EnquiryOut:
    """Keep for good that the adult at risk was asked what they want or told, or why not (law.md 3).

    By a social worker or manager of the area, who did not raise it; NotAllowed otherwise. Invalid
    where nobody was told and no reason stands.
    """
    row = await service.visible(tx, enquiry_id=enquiry_id)
    if not row.protects or actor.id == row.account_id:
        raise NotAllowed(
            rule="lead-writes",
            detail="This is written by a social worker or manager of the area, never by whoever "
            "raised the worry.",
            who_can_change_it="The area's admin gives and takes roles.",
            what_else=["Add a word to the worry itself."],
        )
    if new.step == "not_told" and new.words is None:
        raise invalid(
            "why-not-told", "words", "Where they are not told, the reason is written down."
        )
    await tx.execute(
        insert(EnquiryLeadNote).values(
            id=new_id(),
            enquiry_id=enquiry_id,
            step=new.step,
            words=new.words,
            account_id=actor.id,
            at=now,
        )
    )
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action=f"enquiry.{new.step}",
        subject_type="enquiry",
        subject_id=enquiry_id,
    )
    return await service.read(tx, actor=actor, now=now, enquiry_id=enquiry_id)
