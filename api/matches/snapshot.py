"""From rows of the projection to the matcher's frozen values, and a hash to repeat a run by."""

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from api.matches.queries import PersonSnapshot
from matching import Offer, Requirement, Seeker, Statement
from matching.text import DIMENSIONS


def seeker_of(found: PersonSnapshot, fresh: Mapping[UUID, tuple[str, bytes]]) -> Seeker:
    """Return the person to look for. ``fresh``: statements embedded just now, (kind, vector)."""
    stored = {row.id: (row.kind, bytes(row.vector)) for row in found.statements}
    said = stored | dict(fresh)
    return Seeker(
        id=found.person.id,
        statements=tuple(
            Statement(id=statement_id, kind=kind, vector=vector)
            for statement_id, (kind, vector) in sorted(said.items())
        ),
        requirements=tuple(
            Requirement(fact=row.fact, wanted=row.wanted, statement_id=row.statement_id)
            for row in found.requirements
        ),
        blocked=frozenset(found.declined),
        **_limits(found.person),
    )


def offers_of(found: PersonSnapshot, *, today: date) -> list[Offer]:
    """Return the offers around the person, their owners with them."""
    return [
        Offer(
            id=row.id,
            kind=row.kind,
            vectors=tuple(
                bytes(row.vectors[start : start + DIMENSIONS])
                for start in range(0, len(row.vectors), DIMENSIONS)
            ),
            place=_place(row),
            times=row.times,
            price_pence=row.price_pence,
            places_left=row.places_left,
            facts_yes=frozenset(fact for fact, is_so in row.access.items() if is_so == "yes"),
            facts_no=frozenset(fact for fact, is_so in row.access.items() if is_so == "no"),
            owner=_owner(found, row.person_id),
            confirmed=row.confirmed_until is not None and row.confirmed_until >= today,
        )
        for row in found.offers
        if row.person_id != found.person.id and _may_hear_of(found, row.kind)
    ]


def _may_hear_of(found: PersonSnapshot, kind: str) -> bool:
    """A family's home is suggested to those alone who asked to hear of homes."""
    return kind != "shared_lives" or found.person.homes_wanted


def snapshot_hash(
    seeker: Seeker, offers: list[Offer], *, rule_version: str, model_id: str
) -> bytes:
    """Return the SHA-256 of all that a run depends on: the same hash, the same result."""
    digest = hashlib.sha256(f"{rule_version}\n{model_id}\n".encode())
    _feed_seeker(digest, seeker)
    for offer in sorted(offers, key=lambda one: str(one.id)):
        plain = (
            str(offer.id),
            offer.kind,
            offer.place,
            offer.times,
            offer.price_pence,
            offer.places_left,
            sorted(offer.facts_yes),
            sorted(offer.facts_no),
            offer.confirmed,
        )
        digest.update(repr(plain).encode())
        digest.update(b"".join(offer.vectors))
        if offer.owner is not None:
            _feed_seeker(digest, offer.owner)
    return digest.digest()


def _feed_seeker(digest: Any, seeker: Seeker) -> None:
    plain = (
        str(seeker.id),
        [(str(one.id), one.kind) for one in seeker.statements],
        [(one.fact, one.wanted, str(one.statement_id)) for one in seeker.requirements],
        seeker.place,
        seeker.travel_limit_metres,
        seeker.free_times,
        seeker.spend_limit_pence,
        sorted(str(one) for one in seeker.blocked),
    )
    digest.update(repr(plain).encode())
    digest.update(b"".join(one.vector for one in seeker.statements))


def _owner(found: PersonSnapshot, person_id: UUID | None) -> Seeker | None:
    if person_id is None or person_id not in found.owners:
        return None
    return Seeker(
        id=person_id,
        statements=tuple(
            Statement(id=row.id, kind=row.kind, vector=bytes(row.vector))
            for row in found.owners_statements.get(person_id, [])
        ),
        **_limits(found.owners[person_id]),
    )


def _limits(person: Any) -> dict[str, Any]:
    return {
        "place": _place(person),
        "travel_limit_metres": person.travel_limit_metres,
        "free_times": person.free_times,
        "spend_limit_pence": person.spend_limit_pence,
    }


def _place(row: Any) -> tuple[int, int] | None:
    return (row.easting, row.northing) if row.easting is not None else None
