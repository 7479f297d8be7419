"""The declarative base, and what each table and column declares about itself.

Every table says whether it is personal; every column of a personal table says by which rule it
is shared. A test walks the whole schema and fails on a silence.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, MetaData, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

SHARING_RULES = {
    "row": "Ids, states and times: seen by whoever may see the row, and nobody else.",
    "self": "The person alone, and whoever holds their code.",
    "story": "The person; a worker only after the person has agreed to it.",
    "offered": "The person; and someone to whom this offer has been suggested (law.md 1).",
    "money": "The person, whoever acts for them, the money's holder, and the area's finance.",
    "asked": "Whoever asked, and the front door of that area.",
    "decided": "The person, whoever asked for them, and whoever may decide it (law.md 6).",
    "worry": "Whoever raised it, and the area's managers and social workers (law.md 3).",
    "lead": "The area's managers and social workers alone (law.md 3).",
    "group": "The people of a group, whoever offers to it, and the staff who keep its money.",
    "derived": "Worked out from what the person said; never shown, never leaves the matcher.",
    "secret": "Nobody: only a hash of it is kept.",
}

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all tables: UUID keys, aware times, BIGINT for whole numbers, JSONB for objects."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {
        UUID: Uuid(),
        datetime: DateTime(timezone=True),
        int: BigInteger(),
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
    }


def shared(rule: str) -> dict[str, str]:
    """Return the column info that declares a sharing rule; KeyError for one that is not known."""
    SHARING_RULES[rule]
    return {"sharing": rule}


PERSONAL = {"info": {"personal": True}}
NOT_PERSONAL = {"info": {"personal": False}}
