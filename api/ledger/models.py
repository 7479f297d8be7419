"""Tables of the ledger. They are nobody's but its own, and only its posting function writes.

Keys between them are kept by that function and counted by ``invariants``: a foreign key would
look up and lock on every posting what is locked there already.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from api.core.metadata import NOT_PERSONAL, Base


class Account(Base):
    """Where money is: an owner and a source as opaque codes, and what stands there now."""

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        CheckConstraint(
            "held_pence >= 0 AND (may_go_negative OR balance_pence >= held_pence)",
            name="available",
        ),
        Index(
            "uq_ledger_accounts_open",
            "kind",
            "owner_key",
            "source_key",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("ix_ledger_accounts_source_key", "source_key"),
        NOT_PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    owner_key: Mapped[str] = mapped_column(Text)
    source_key: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text, server_default=text("'GBP'"))
    may_go_negative: Mapped[bool]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    balance_pence: Mapped[int] = mapped_column(server_default=text("0"))
    held_pence: Mapped[int] = mapped_column(server_default=text("0"))
    version: Mapped[int] = mapped_column(server_default=text("0"))


class Operation(Base):
    """One posting call: its key, the hash of its lines, who, when, and what came of it."""

    __tablename__ = "ledger_operations"
    __table_args__ = (NOT_PERSONAL,)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    code: Mapped[str] = mapped_column(Text)
    actor_kind: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[UUID | None]
    correlation_id: Mapped[UUID | None]
    at: Mapped[datetime]
    ids: Mapped[list[UUID | None]] = mapped_column(ARRAY(Uuid))
    available_pence: Mapped[list[int | None]] = mapped_column(ARRAY(BigInteger))


class Moved(Base):
    """One transfer, with both its postings: account, its version and what then stood there."""

    __tablename__ = "ledger_transfers"
    __table_args__ = (
        UniqueConstraint("debit_id", "debit_version"),
        UniqueConstraint("credit_id", "credit_version"),
        CheckConstraint("amount_pence BETWEEN 1 AND 100000000000", name="amount_pence"),
        Index(
            "uq_ledger_transfers_reverses_id",
            "reverses_id",
            unique=True,
            postgresql_where=text("reverses_id IS NOT NULL"),
        ),
        NOT_PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    operation_id: Mapped[UUID]
    debit_id: Mapped[UUID]
    debit_version: Mapped[int]
    debit_balance_pence: Mapped[int]
    credit_id: Mapped[UUID]
    credit_version: Mapped[int]
    credit_balance_pence: Mapped[int]
    amount_pence: Mapped[int]
    hold_id: Mapped[UUID | None]
    reverses_id: Mapped[UUID | None]
    at: Mapped[datetime]


class Held(Base):
    """Money kept for something. Only its end is ever added to the row."""

    __tablename__ = "ledger_holds"
    __table_args__ = (
        Index(
            "ix_ledger_holds_account_id_id",
            "account_id",
            "id",
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "ix_ledger_holds_expires_at_id",
            "expires_at",
            "id",
            postgresql_where=text("ended_at IS NULL AND expires_at IS NOT NULL"),
        ),
        NOT_PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    operation_id: Mapped[UUID]
    account_id: Mapped[UUID]
    amount_pence: Mapped[int]
    expires_at: Mapped[datetime | None]
    at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class HoldEnd(Base):
    """How a hold ended: once, by payment of all or a part, release or expiry."""

    __tablename__ = "ledger_hold_ends"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('posted', 'released', 'expired')"
            " AND (kind = 'posted') = (transfer_id IS NOT NULL)",
            name="kind",
        ),
        NOT_PERSONAL,
    )

    hold_id: Mapped[UUID] = mapped_column(primary_key=True)
    operation_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(Text)
    amount_pence: Mapped[int]
    transfer_id: Mapped[UUID | None]
    at: Mapped[datetime]
