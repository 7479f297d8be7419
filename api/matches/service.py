"""Suggestions: stored once, told with reasons, moved on by people alone."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import text

from api.core import audit, outbox
from api.core.db import WriteSession
from api.core.errors import RefusedRead, not_found
from api.identity.rules import Actor
from api.listings import service as listings
from api.listings.models import Listing
from api.matches import messages, queries
from api.matches.models import SuggestionRow
from api.matches.rules import State, check_step
from api.matches.schemas import (
    IdeaOut,
    LookAsked,
    ReasonOut,
    Step,
    SuggestionList,
    SuggestionOut,
    UnmetList,
    UnmetOut,
)
from api.matches.store import add_event
from api.people import service as people

LATE_AFTER = timedelta(minutes=5)

YOU_CAN = [
    "Change the times, the distance or the cost in your story.",
    "Ask somebody to look with you: POST /v1/enquiries.",
    "Leave it: we keep looking.",
]
NEXT_OFFER = [
    "Ask for a first meeting: it happens only when both say yes, in a public place.",
    "Say that it is not for you. You need not say why.",
]


async def suggestions(
    tx: WriteSession, *, actor: Actor, now: datetime, person_id: UUID
) -> SuggestionList:
    """Return the ideas for a person with their reasons, and leave the receipt of this read."""
    await _require_story(tx, person_id=person_id)
    await audit.receipt(tx, actor=actor, now=now, about_id=person_id, what="suggestions")
    rows = await queries.suggestions(tx, person_id=person_id)
    offers = await listings.by_ids(tx, listing_ids=[row.listing_id for row in rows])
    await _receipts_of_offers(tx, actor=actor, now=now, offers=list(offers.values()))
    said = await people.words_of(tx, statement_ids=sorted(_quoted(rows)))
    run = await queries.latest_run(tx, person_id=person_id)
    waiting = await people.changed_and_waiting(tx, person_id=person_id)
    return SuggestionList(
        items=[
            _suggestion_out(row, offers[row.listing_id], said)
            for row in rows
            if row.listing_id in offers
        ],
        looked_on=run.at if run is not None else None,
        looking_is_late=waiting is not None and waiting < now - LATE_AFTER,
    )


async def unmet(tx: WriteSession, *, actor: Actor, now: datetime, person_id: UUID) -> UnmetList:
    """Return a person's wishes that nothing meets yet, and leave the receipt of this read."""
    await _require_story(tx, person_id=person_id)
    await audit.receipt(tx, actor=actor, now=now, about_id=person_id, what="unmet_wants")
    return UnmetList(
        items=[
            UnmetOut(
                statement_id=want.statement_id,
                words=words,
                kind=want.kind,
                why=messages.unmet(want.kind, want.counts),
                looked_at=looked_at,
                people_looked_at=people_looked_at,
                since=want.first_at,
                next_look_on=want.next_look_on,
                next_look=messages.next_look(want.next_look_on),
                you_can=YOU_CAN,
            )
            for want, words, looked_at, people_looked_at in await queries.unmet(
                tx, person_id=person_id
            )
        ]
    )


async def step(
    tx: WriteSession, *, actor: Actor, now: datetime, suggestion_id: UUID, step: Step
) -> None:
    """Take an idea on, or put it away. The person alone does; a second time changes nothing."""
    found = await queries.suggestion(tx, suggestion_id=suggestion_id)
    if found is None:
        raise not_found("idea of yours")
    if not check_step(cast(State, found.state), step.to):
        return
    await tx.execute(
        text("UPDATE suggestions SET state = :state, changed_at = :now WHERE id = :id"),
        {"state": step.to, "now": now, "id": suggestion_id},
    )
    await add_event(
        tx,
        actor=actor,
        now=now,
        suggestion_id=suggestion_id,
        person_id=found.person_id,
        state=step.to,
        why=step.why,
    )
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action=f"suggestion.{step.to}",
        subject_type="suggestion",
        subject_id=suggestion_id,
    )
    if step.to == "not_for_me":
        await look_again(tx, now=now, person_id=found.person_id)


async def ask_to_look(
    tx: WriteSession, *, actor: Actor, now: datetime, person_id: UUID
) -> LookAsked:
    """Ask for another look for a person: by themselves, or by a worker they agreed to."""
    await _require_story(tx, person_id=person_id)
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action="look.asked",
        subject_type="person",
        subject_id=person_id,
    )
    await look_again(tx, now=now, person_id=person_id)
    return LookAsked(asked=True)


async def look_again(tx: WriteSession, *, now: datetime, person_id: UUID) -> None:
    """Enqueue a look for one person. Many changes before it starts are one look."""
    await outbox.enqueue(
        tx,
        task="matches.rematch",
        payload={"person_id": person_id},
        now=now,
        coalesce_key=people.look_key(person_id),
    )


async def _receipts_of_offers(
    tx: WriteSession, *, actor: Actor, now: datetime, offers: list[Listing]
) -> None:
    """Leave whoever offers something themselves the receipt of who was shown it."""
    for offer in sorted(offers, key=lambda one: one.id):
        if offer.person_id is not None:
            await audit.receipt(
                tx,
                actor=actor,
                now=now,
                about_id=offer.person_id,
                what="offer",
                object_id=offer.id,
                version=offer.version,
            )


async def _require_story(tx: WriteSession, *, person_id: UUID) -> None:
    if not await people.may_read_story(tx, person_id=person_id):
        raise not_found("story", leaves=RefusedRead(about_id=person_id, what="suggestions"))


def _quoted(rows: list[SuggestionRow]) -> set[UUID]:
    return {
        UUID(reason["params"]["statement_id"])
        for row in rows
        for reason in row.reasons
        if "statement_id" in reason["params"]
    }


def _suggestion_out(row: SuggestionRow, offer: Listing, said: dict[UUID, str]) -> SuggestionOut:
    who = offer.provider_name or offer.name
    sides: dict[str, list[ReasonOut]] = {"for": [], "against": [], "unknown": []}
    told: Counter[str] = Counter()
    for reason in cast(list[dict[str, Any]], row.reasons):
        words = messages.reason(reason["code"], reason["params"], words=said, who=who)
        if words is not None and not told[words]:
            told[words] += 1
            sides[reason["side"]].append(ReasonOut(code=reason["code"], words=words))
    return SuggestionOut(
        id=row.id,
        state=cast(State, row.state),
        idea=IdeaOut(
            listing_id=offer.id,
            kind=offer.kind,
            name=offer.name,
            words=offer.summary,
            who=offer.provider_name,
            town=offer.town,
            sessions=cast(Any, offer.sessions),
            price_pence=offer.price_pence,
        ),
        why_it_may_fit=sides["for"],
        why_it_may_not=sides["against"],
        we_do_not_know=sides["unknown"],
        good_to_know=offer.note,
        what_next=NEXT_OFFER,
    )
