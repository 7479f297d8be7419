"""Who gives money in an area, and the rules that they set themselves."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import insert, update

from api.areas import service as areas
from api.budgets import queries
from api.budgets.books import has_role_in, not_yours
from api.budgets.models import Funder, FunderRule
from api.budgets.queries import FunderRow
from api.budgets.rules import OPEN_BUDGETS, check_rules
from api.budgets.rules import FunderRule as Rule
from api.budgets.schemas import FunderList, FunderOut, NewFunder, NewRules
from api.core import audit
from api.core.db import WriteSession
from api.core.errors import Conflict, not_found
from api.core.ids import new_id
from api.identity.rules import Actor


async def create_funder(
    tx: WriteSession, *, actor: Actor, now: datetime, new: NewFunder
) -> FunderOut:
    """Add who gives money in an area. Conflict when the name is taken there."""
    area = await areas.area_named(tx, slug=new.area)
    _may_run(actor, area.id)
    if any(row.name == new.name for row in await queries.funders(tx, area_id=area.id)):
        raise Conflict(
            rule="funder-once",
            detail="This area has a funder of that name already.",
            who_can_change_it="You can, by choosing another name.",
            what_else=["Use the one that is there."],
        )
    row = FunderRow(new_id(), area.id, new.body, new.name, 1)
    await tx.execute(insert(Funder).values(row._asdict() | {"created_at": now}))
    await _record(tx, actor=actor, now=now, funder=row, action="funder.made")
    return _out(row, [])


async def list_funders(tx: WriteSession, *, area: str) -> FunderList:
    """Return the funders of an area with their rules, by name: they are open to all."""
    found = await areas.area_named(tx, slug=area)
    rows = await queries.funders(tx, area_id=found.id)
    rules = await queries.rules(tx, funder_ids=[row.id for row in rows])
    return FunderList(items=[_out(row, rules.get(row.id, [])) for row in rows])


async def set_rules(
    tx: WriteSession, *, actor: Actor, now: datetime, funder_id: UUID, new: NewRules
) -> FunderOut:
    """Replace the rules of a funder from now on; those before are kept with their end.

    Conflict when somebody else changed them since ``new.version``.
    """
    row = await queries.funder(tx, funder_id=funder_id, lock=True)
    if row is None:
        raise not_found("funder")
    _may_run(actor, row.area_id)
    if row.version != new.version:
        raise Conflict(
            rule="version-moved-on",
            detail=f"The rules were changed meanwhile: they are at version {row.version}.",
            who_can_change_it="You can, by reading them again and sending your change once more.",
            what_else=["Read them again."],
        )
    rules = [
        Rule(
            code=one.code,
            params=dict(one.params),
            words=one.words,
            who_can_change=one.who_can_change,
        )
        for one in new.rules
    ]
    check_rules(rules)
    version = row.version + 1
    await tx.execute(update(Funder).where(Funder.id == funder_id).values(version=version))
    await tx.execute(
        update(FunderRule)
        .where(FunderRule.funder_id == funder_id, FunderRule.ended_at.is_(None))
        .values(ended_at=now)
    )
    added = [
        msgspec.structs.asdict(rule)
        | {"id": new_id(), "funder_id": funder_id, "version": version, "from_at": now}
        for rule in rules
    ]
    if added:
        await tx.execute(insert(FunderRule).values(added))
    row = row._replace(version=version)
    await _record(tx, actor=actor, now=now, funder=row, action="funder.rules")
    return _out(row, rules)


def _may_run(actor: Actor, area_id: UUID) -> None:
    if not has_role_in(actor, area_id, *OPEN_BUDGETS):
        raise not_yours("Funders and their rules are kept by the finance people of their area.")


async def _record(
    tx: WriteSession, *, actor: Actor, now: datetime, funder: FunderRow, action: str
) -> None:
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action=action,
        subject_type="funder",
        subject_id=funder.id,
        version=funder.version,
    )


def _out(row: FunderRow, rules: Sequence[Rule]) -> FunderOut:
    return FunderOut(**row._asdict(), rules=list(rules))
