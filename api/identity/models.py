"""Accounts, roles, sessions, codes, assignments."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from api.core.metadata import PERSONAL, Base, shared


class Account(Base):
    """Somebody who can sign in. ``demo_key`` stands in the demo only."""

    __tablename__ = "accounts"
    __table_args__ = (PERSONAL,)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    called: Mapped[str] = mapped_column(Text, info=shared("row"))
    demo_key: Mapped[str | None] = mapped_column(Text, unique=True, info=shared("row"))
    created_at: Mapped[datetime] = mapped_column(info=shared("row"))
    closed_at: Mapped[datetime | None] = mapped_column(info=shared("row"))


class AccountRole(Base):
    """A role of an account in an area, until it ends."""

    __tablename__ = "account_roles"
    __table_args__ = (
        Index(
            "uq_account_roles_held",
            "account_id",
            "area_id",
            "role",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    area_id: Mapped[UUID] = mapped_column(ForeignKey("areas.id"), info=shared("row"))
    role: Mapped[str] = mapped_column(Text, info=shared("row"))
    profession: Mapped[str | None] = mapped_column(Text, info=shared("row"))
    granted_at: Mapped[datetime] = mapped_column(info=shared("row"))
    granted_by: Mapped[UUID | None] = mapped_column(info=shared("row"))
    ended_at: Mapped[datetime | None] = mapped_column(info=shared("row"))


class Session(Base):
    """A sign-in under way. The token itself is nowhere; its hash is."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_account_id", "account_id"),
        Index("ix_sessions_subject_id", "subject_id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True, info=shared("secret"))
    actor_kind: Mapped[str] = mapped_column(Text, info=shared("row"))
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    subject_type: Mapped[str | None] = mapped_column(Text, info=shared("row"))
    subject_id: Mapped[UUID | None] = mapped_column(info=shared("row"))
    created_at: Mapped[datetime] = mapped_column(info=shared("row"))
    last_used_at: Mapped[datetime] = mapped_column(info=shared("row"))
    expires_at: Mapped[datetime] = mapped_column(info=shared("row"))
    revoked_at: Mapped[datetime | None] = mapped_column(info=shared("row"))


class ComeBackCode(Base):
    """A code that opens one story, one question or one account. Only its hash is kept."""

    __tablename__ = "come_back_codes"
    __table_args__ = (Index("ix_come_back_codes_subject_id", "subject_id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    code_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True, info=shared("secret"))
    subject_type: Mapped[str] = mapped_column(Text, info=shared("row"))
    subject_id: Mapped[UUID] = mapped_column(info=shared("row"))
    created_at: Mapped[datetime] = mapped_column(info=shared("row"))
    expires_at: Mapped[datetime] = mapped_column(info=shared("row"))
    last_used_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    revoked_at: Mapped[datetime | None] = mapped_column(info=shared("row"))


class Assignment(Base):
    """A worker who works with a person. The story opens only after the person's own yes."""

    __tablename__ = "assignments"
    __table_args__ = (
        Index(
            "uq_assignments_running",
            "worker_account_id",
            "person_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_assignments_person_id", "person_id"),
        # By name: people stand above identity. A person is worked with in their own area.
        ForeignKeyConstraint(["person_id", "area_id"], ["people.id", "people.area_id"]),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    worker_account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    person_id: Mapped[UUID] = mapped_column(info=shared("row"))
    area_id: Mapped[UUID] = mapped_column(ForeignKey("areas.id"), info=shared("row"))
    made_by: Mapped[UUID | None] = mapped_column(info=shared("row"))
    started_at: Mapped[datetime] = mapped_column(info=shared("row"))
    agreed_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    ended_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
