"""Tables of the core: outbox, idempotency, audit, receipts, refusals, and the house's own card."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from api.core.metadata import NOT_PERSONAL, PERSONAL, Base, shared

PENDING = (
    "coalesce_key IS NOT NULL AND lease_until IS NULL AND sent_at IS NULL"
    " AND done_at IS NULL AND dead_at IS NULL"
)


class Installation(Base):
    """What this database is for. One row; the demo refuses any database that is not its own."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"), NOT_PERSONAL)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    purpose: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]


class OutboxRow(Base):
    """One thing to do later, written with the change that asks for it."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "uq_outbox_pending_coalesce_key",
            "coalesce_key",
            unique=True,
            postgresql_where=text(PENDING),
        ),
        Index(
            "ix_outbox_due",
            "not_before",
            "id",
            postgresql_where=text("done_at IS NULL AND dead_at IS NULL"),
        ),
        Index("ix_outbox_done_at", "done_at", postgresql_where=text("done_at IS NOT NULL")),
        NOT_PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]]
    coalesce_key: Mapped[str | None] = mapped_column(Text)
    correlation_id: Mapped[UUID]
    created_at: Mapped[datetime]
    not_before: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    done_at: Mapped[datetime | None]
    dead_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)


class ScheduleTick(Base):
    """One period of one scheduled task: the row that makes it happen once."""

    __tablename__ = "schedule_ticks"
    __table_args__ = (NOT_PERSONAL,)

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    period_start: Mapped[datetime] = mapped_column(primary_key=True)
    outbox_id: Mapped[UUID]


class IdempotencyKey(Base):
    """What a request with a key led to. Kept for ever; the body of the answer for 90 days."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        Index("ix_idempotency_keys_made_at", "made_at", postgresql_where=text("body IS NOT NULL")),
        PERSONAL,
    )

    actor_key: Mapped[str] = mapped_column(Text, primary_key=True, info=shared("self"))
    key: Mapped[str] = mapped_column(Text, primary_key=True, info=shared("self"))
    request_hash: Mapped[bytes] = mapped_column(LargeBinary, info=shared("row"))
    status: Mapped[int] = mapped_column(SmallInteger, info=shared("row"))
    resource: Mapped[str | None] = mapped_column(Text, info=shared("row"))
    body: Mapped[bytes | None] = mapped_column(LargeBinary, info=shared("self"))
    made_at: Mapped[datetime] = mapped_column(info=shared("row"))


class AuditEntry(Base):
    """Who changed what, when and why. Append-only; never content."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_subject_id_id", "subject_id", "id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    at: Mapped[datetime] = mapped_column(info=shared("row"))
    actor_kind: Mapped[str] = mapped_column(Text, info=shared("row"))
    actor_id: Mapped[UUID | None] = mapped_column(info=shared("row"))
    action: Mapped[str] = mapped_column(Text, info=shared("row"))
    subject_type: Mapped[str] = mapped_column(Text, info=shared("row"))
    subject_id: Mapped[UUID] = mapped_column(info=shared("row"))
    version: Mapped[int | None] = mapped_column(info=shared("row"))
    why: Mapped[str | None] = mapped_column(Text, info=shared("row"))
    correlation_id: Mapped[UUID | None] = mapped_column(info=shared("row"))


class ReadReceipt(Base):
    """Who looked at what of whom, which version, when and why; refused looks too."""

    __tablename__ = "read_receipts"
    __table_args__ = (
        CheckConstraint("outcome IN ('read', 'refused')", name="outcome"),
        Index("ix_read_receipts_about_id_id", "about_id", "id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    at: Mapped[datetime] = mapped_column(info=shared("row"))
    about_id: Mapped[UUID] = mapped_column(info=shared("row"))
    actor_kind: Mapped[str] = mapped_column(Text, info=shared("row"))
    actor_id: Mapped[UUID | None] = mapped_column(info=shared("row"))
    what: Mapped[str] = mapped_column(Text, info=shared("row"))
    object_id: Mapped[UUID | None] = mapped_column(info=shared("row"))
    version: Mapped[int | None] = mapped_column(info=shared("row"))
    why: Mapped[str | None] = mapped_column(Text, info=shared("row"))
    outcome: Mapped[str] = mapped_column(Text, info=shared("row"))
    correlation_id: Mapped[UUID | None] = mapped_column(info=shared("row"))


class RefusalCount(Base):
    """One refusal that counts, by rule. Append-only, no content."""

    __tablename__ = "refusals"
    __table_args__ = (Index("ix_refusals_rule_at", "rule", "at"), NOT_PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    rule: Mapped[str] = mapped_column(Text)
    actor_kind: Mapped[str] = mapped_column(Text)
    correlation_id: Mapped[UUID | None]
