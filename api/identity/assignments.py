"""Who works with whom. A worker sees nothing of a story before the person's own yes."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, insert, text, update
from sqlalchemy.exc import IntegrityError

from api.areas import service as areas
from api.core import audit
from api.core.db import WriteSession, constraint
from api.core.errors import Conflict, NotAllowed, invalid, not_found
from api.core.ids import new_id
from api.identity import queries
from api.identity.models import Assignment
from api.identity.rules import WORK_WITH_PEOPLE, Actor
from api.identity.schemas import AssignmentList, AssignmentOut, NewAssignment


async def assign(
    tx: WriteSession, *, actor: Actor, now: datetime, new: NewAssignment
) -> AssignmentOut:
    """Let somebody work with a person. They see the story only after the person's own yes.

    Worker and person both belong to the area; Invalid otherwise, worded the same for a person
    who is not there at all. Conflict when the two already work together.
    """
    area = await areas.area_named(tx, slug=new.area)
    if actor.kind != "service" and not actor.has_role("area_admin", "manager", area=new.area):
        raise NotAllowed(
            rule="own-area",
            detail="Who works with whom is decided by a manager of that area.",
            who_can_change_it="A manager of that area.",
        )
    held = await queries.roles_in(tx, account_id=new.worker_account_id, area_id=area.id)
    if held.isdisjoint(WORK_WITH_PEOPLE):
        raise invalid(
            "worker-of-area",
            "worker_account_id",
            "This account has no role in the area in which one works with people.",
            who="The area's admin gives and takes roles.",
        )
    if await queries.works_with(
        tx, worker_account_id=new.worker_account_id, person_id=new.person_id
    ):
        raise Conflict(
            rule="assigned-once",
            detail="They already work with this person.",
            who_can_change_it="Nobody needs to.",
        )
    assignment_id = new_id()
    row = insert(Assignment).values(
        id=assignment_id,
        worker_account_id=new.worker_account_id,
        person_id=new.person_id,
        area_id=area.id,
        made_by=actor.id,
        started_at=now,
    )
    try:
        await tx.execute(row)
    except IntegrityError as error:
        if constraint(error) == "fk_assignments_person_id_area_id":
            raise invalid("person-of-area", "person_id", "Nobody like that in the area.") from None
        raise
    await _record(tx, actor=actor, now=now, action="made", person_id=new.person_id)
    return _out(await queries.assignment(tx, assignment_id=assignment_id))


async def mine(tx: WriteSession) -> AssignmentList:
    """Return the running assignments that the actor is part of or manages."""
    return AssignmentList(items=[_out(row) for row in await queries.assignments(tx)])


async def agree(tx: WriteSession, *, actor: Actor, now: datetime, assignment_id: UUID) -> None:
    """Say, as the person, that this worker may read one's story. NotFound for anybody else.

    Said twice, the first yes stands.
    """
    agreed = await tx.execute(
        update(Assignment)
        .where(
            Assignment.id == assignment_id,
            Assignment.ended_at.is_(None),
            text("person_id = ANY (ARRAY(SELECT app_speaking_people()))"),
        )
        .values(agreed_at=func.coalesce(Assignment.agreed_at, now))
        .returning(Assignment.person_id)
    )
    person_id = agreed.scalar_one_or_none()
    if person_id is None:
        raise not_found("assignment of yours")
    await _record(tx, actor=actor, now=now, action="agreed", person_id=person_id)


async def end(tx: WriteSession, *, actor: Actor, now: datetime, assignment_id: UUID) -> None:
    """End it: by the person, the worker or a manager. No reason is asked."""
    ended = await tx.execute(
        update(Assignment)
        .where(Assignment.id == assignment_id, Assignment.ended_at.is_(None))
        .values(ended_at=now)
        .returning(Assignment.person_id)
    )
    person_id = ended.scalar_one_or_none()
    if person_id is None:
        raise not_found("assignment")
    await _record(tx, actor=actor, now=now, action="ended", person_id=person_id)


async def _record(
    tx: WriteSession, *, actor: Actor, now: datetime, action: str, person_id: UUID
) -> None:
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action=f"assignment.{action}",
        subject_type="person",
        subject_id=person_id,
    )


def _out(row: queries.AssignmentRow) -> AssignmentOut:
    return AssignmentOut(
        id=row.id,
        worker_account_id=row.worker_account_id,
        worker_called=row.worker_called or "",
        person_id=row.person_id,
        started_at=row.started_at,
        agreed_at=row.agreed_at,
    )
