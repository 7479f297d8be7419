"""What must happen later, above or outside: a row in the same transaction as the change."""

import re
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert

from api.core import trace
from api.core.db import WriteSession
from api.core.ids import new_id
from api.core.models import PENDING, OutboxRow

Scalar = UUID | int | bool | None | str

_TASK = re.compile(r"[a-z_]+\.[a-z_]+")
_CODE = re.compile(r"[A-Za-z0-9_.:\-]{1,64}")


async def enqueue(
    tx: WriteSession,
    *,
    task: str,
    payload: Mapping[str, Scalar],
    now: datetime,
    coalesce_key: str | None = None,
    not_before: datetime | None = None,
) -> UUID:
    """Write one outbox row and return its id.

    ``payload`` holds ids and a few scalars, never words: a string with a space is refused with
    ValueError. Rows with one ``coalesce_key`` that the relay has not yet claimed become one. The
    upsert's row lock keeps the relay's SKIP LOCKED claim away until this transaction commits, so
    a task never reads a snapshot older than a change that was merged into it.
    """
    if not _TASK.fullmatch(task):
        raise ValueError("a task is named slice.task")
    insertion = insert(OutboxRow).values(
        id=new_id(),
        task=task,
        payload={name: _scalar(value) for name, value in payload.items()},
        coalesce_key=coalesce_key,
        correlation_id=trace.current(),
        created_at=now,
        not_before=not_before or now,
    )
    if coalesce_key is not None:
        insertion = insertion.on_conflict_do_update(
            index_elements=[OutboxRow.coalesce_key],
            index_where=text(PENDING),
            set_={"not_before": func.least(OutboxRow.not_before, insertion.excluded.not_before)},
        )
    row_id: UUID = (await tx.execute(insertion.returning(OutboxRow.id))).scalar_one()
    return row_id


def _scalar(value: Scalar) -> str | int | bool | None:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str) and not _CODE.fullmatch(value):
        raise ValueError("an outbox payload carries ids and codes, never words")
    return value
