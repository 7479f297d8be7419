"""Tables of groups that put money together. Each change of a group is a row of ``pool_steps``."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from api.core.metadata import PERSONAL, Base, shared

ROW = shared("row")
GROUP = shared("group")
SELF = shared("self")


class Pool(Base):
    """A group, where it stands, and what it chose."""

    __tablename__ = "pools"
    __table_args__ = (
        # The offers of a group point back at it: hence "alter", for whoever sorts the tables.
        ForeignKeyConstraint(
            ["offer_id", "id"], ["pool_offers.id", "pool_offers.pool_id"], use_alter=True
        ),
        Index("ix_pools_area_id", "area_id"),
        Index("ix_pools_promise_by", "promise_by", postgresql_where=sql("state = 'pledging'")),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=ROW)
    area_id: Mapped[UUID] = mapped_column(ForeignKey("areas.id"), info=ROW)
    name: Mapped[str] = mapped_column(Text, info=GROUP)
    summary: Mapped[str] = mapped_column(Text, info=GROUP)
    state: Mapped[str] = mapped_column(Text, info=ROW)
    version: Mapped[int] = mapped_column(server_default=sql("1"), info=ROW)
    started_by: Mapped[UUID] = mapped_column(ForeignKey("people.id"), info=ROW)
    invite_hash: Mapped[bytes | None] = mapped_column(LargeBinary, info=shared("secret"))
    offer_id: Mapped[UUID | None] = mapped_column(info=ROW)
    promise_by: Mapped[datetime | None] = mapped_column(info=ROW)
    body_called: Mapped[str | None] = mapped_column(Text, info=GROUP)
    body_named_by: Mapped[UUID | None] = mapped_column(info=ROW)
    paused_at: Mapped[datetime | None] = mapped_column(info=ROW)
    created_at: Mapped[datetime] = mapped_column(info=ROW)


class PoolMember(Base):
    """Somebody in a group: the name they use there and their number in joining order."""

    __tablename__ = "pool_members"
    __table_args__ = (
        UniqueConstraint("pool_id", "person_id"),
        UniqueConstraint("pool_id", "number"),
        Index("ix_pool_members_person_id", "person_id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=ROW)
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pools.id"), info=ROW)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), info=ROW)
    number: Mapped[int] = mapped_column(info=ROW)
    called: Mapped[str] = mapped_column(Text, info=GROUP)
    access_needs: Mapped[str | None] = mapped_column(Text, info=GROUP)
    state: Mapped[str] = mapped_column(Text, info=ROW)
    joined_at: Mapped[datetime] = mapped_column(info=ROW)


class PoolMemberEvent(Base):
    """What happened to one member, and why: the person's own."""

    __tablename__ = "pool_member_events"
    __table_args__ = (Index("ix_pool_member_events_member_id_id", "member_id", "id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=ROW)
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pools.id"), info=ROW)
    member_id: Mapped[UUID] = mapped_column(ForeignKey("pool_members.id"), info=ROW)
    person_id: Mapped[UUID] = mapped_column(info=ROW)
    what: Mapped[str] = mapped_column(Text, info=ROW)
    amount_pence: Mapped[int | None] = mapped_column(info=ROW)
    words: Mapped[str | None] = mapped_column(Text, info=SELF)
    actor_kind: Mapped[str] = mapped_column(Text, info=ROW)
    actor_id: Mapped[UUID | None] = mapped_column(info=ROW)
    at: Mapped[datetime] = mapped_column(info=ROW)


class PoolStep(Base):
    """One change of a group: who, in which role, why, in which words, to which version."""

    __tablename__ = "pool_steps"
    __table_args__ = (UniqueConstraint("pool_id", "version"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=ROW)
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pools.id"), info=ROW)
    version: Mapped[int] = mapped_column(info=ROW)
    what: Mapped[str] = mapped_column(Text, info=ROW)
    state: Mapped[str] = mapped_column(Text, info=ROW)
    role: Mapped[str] = mapped_column(Text, info=ROW)
    reason: Mapped[str] = mapped_column(Text, info=ROW)
    words: Mapped[str | None] = mapped_column(Text, info=GROUP)
    key: Mapped[str | None] = mapped_column(Text, info=ROW)
    actor_kind: Mapped[str] = mapped_column(Text, info=ROW)
    actor_id: Mapped[UUID | None] = mapped_column(info=ROW)
    at: Mapped[datetime] = mapped_column(info=ROW)


class PoolChoice(Base):
    """What a group agreed for illness, holiday, leaving, joining, unhappiness or closing."""

    __tablename__ = "pool_choices"
    __table_args__ = (PERSONAL,)

    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pools.id"), primary_key=True, info=ROW)
    topic: Mapped[str] = mapped_column(Text, primary_key=True, info=ROW)
    version: Mapped[int] = mapped_column(primary_key=True, info=ROW)
    choice: Mapped[str] = mapped_column(Text, info=ROW)
    at: Mapped[datetime] = mapped_column(info=ROW)


class PoolOffer(Base):
    """What somebody offers to a group, for how much, for how many, and how it is shared."""

    __tablename__ = "pool_offers"
    __table_args__ = (
        UniqueConstraint("replaces_id"),
        UniqueConstraint("id", "pool_id"),
        Index("ix_pool_offers_pool_id", "pool_id"),
        Index("ix_pool_offers_account_id", "account_id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=ROW)
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pools.id"), info=ROW)
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), info=ROW)
    written_by: Mapped[UUID | None] = mapped_column(ForeignKey("pool_members.id"), info=ROW)
    called: Mapped[str] = mapped_column(Text, info=GROUP)
    payee_key: Mapped[str] = mapped_column(Text, info=ROW)
    words: Mapped[str] = mapped_column(Text, info=GROUP)
    sessions: Mapped[int] = mapped_column(info=ROW)
    stages: Mapped[int] = mapped_column(info=ROW)
    lines: Mapped[list[Any]] = mapped_column(info=GROUP)
    session_pence: Mapped[int] = mapped_column(info=ROW)
    min_people: Mapped[int] = mapped_column(info=ROW)
    max_people: Mapped[int] = mapped_column(info=ROW)
    split: Mapped[str] = mapped_column(Text, info=ROW)
    notice_sessions: Mapped[int] = mapped_column(info=ROW)
    checks_seen: Mapped[str] = mapped_column(Text, info=GROUP)
    registered: Mapped[bool] = mapped_column(info=ROW)
    replaces_id: Mapped[UUID | None] = mapped_column(ForeignKey("pool_offers.id"), info=ROW)
    at: Mapped[datetime] = mapped_column(info=ROW)


class PoolMessage(Base):
    """A question about an offer, or an answer to one."""

    __tablename__ = "pool_messages"
    __table_args__ = (Index("ix_pool_messages_offer_id_id", "offer_id", "id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=ROW)
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pools.id"), info=ROW)
    offer_id: Mapped[UUID] = mapped_column(ForeignKey("pool_offers.id"), info=ROW)
    called: Mapped[str] = mapped_column(Text, info=GROUP)
    by: Mapped[str] = mapped_column(Text, info=ROW)
    words: Mapped[str] = mapped_column(Text, info=GROUP)
    at: Mapped[datetime] = mapped_column(info=ROW)


class PoolVote(Base):
    """A question put to the group, and what came of it."""

    __tablename__ = "pool_votes"
    __table_args__ = (
        Index(
            "uq_pool_votes_open", "pool_id", unique=True, postgresql_where=sql("ended_at IS NULL")
        ),
        Index("ix_pool_votes_closes_at", "closes_at", postgresql_where=sql("ended_at IS NULL")),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=ROW)
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pools.id"), info=ROW)
    motion: Mapped[str] = mapped_column(Text, info=ROW)
    words: Mapped[str] = mapped_column(Text, info=GROUP)
    easy_words: Mapped[str] = mapped_column(Text, info=GROUP)
    from_stage: Mapped[int | None] = mapped_column(info=ROW)
    opened_at: Mapped[datetime] = mapped_column(info=ROW)
    closes_at: Mapped[datetime] = mapped_column(info=ROW)
    outcome: Mapped[str | None] = mapped_column(Text, info=ROW)
    counts: Mapped[dict[str, Any] | None] = mapped_column(info=ROW)
    ended_at: Mapped[datetime | None] = mapped_column(info=ROW)


class PoolBallot(Base):
    """One member's vote. Theirs alone; only the counts are shown."""

    __tablename__ = "pool_ballots"
    __table_args__ = (
        UniqueConstraint("vote_id", "member_id"),
        Index("ix_pool_ballots_person_id", "person_id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=ROW)
    vote_id: Mapped[UUID] = mapped_column(ForeignKey("pool_votes.id"), info=ROW)
    pool_id: Mapped[UUID] = mapped_column(info=ROW)
    member_id: Mapped[UUID] = mapped_column(ForeignKey("pool_members.id"), info=ROW)
    person_id: Mapped[UUID] = mapped_column(info=ROW)
    choice: Mapped[str] = mapped_column(Text, info=SELF)
    citizen: Mapped[bool] = mapped_column(info=ROW)
    helped: Mapped[str | None] = mapped_column(Text, info=SELF)
    at: Mapped[datetime] = mapped_column(info=ROW)


class PoolPledge(Base):
    """One budget's promise to a group, held in the ledger; posted into a share at the contract."""

    __tablename__ = "pool_pledges"
    __table_args__ = (
        UniqueConstraint("hold_id"),
        UniqueConstraint("member_id", "key"),
        ForeignKeyConstraint(["offer_id", "pool_id"], ["pool_offers.id", "pool_offers.pool_id"]),
        Index(
            "uq_pool_pledges_live",
            "pool_id",
            "budget_id",
            unique=True,
            postgresql_where=sql("ended_at IS NULL"),
        ),
        Index("ix_pool_pledges_person_id", "person_id"),
        Index("ix_pool_pledges_budget_id", "budget_id"),
        Index("ix_pool_pledges_use_id", "use_id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=ROW)
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pools.id"), info=ROW)
    member_id: Mapped[UUID] = mapped_column(ForeignKey("pool_members.id"), info=ROW)
    person_id: Mapped[UUID] = mapped_column(info=ROW)
    budget_id: Mapped[UUID] = mapped_column(ForeignKey("budgets.id"), info=ROW)
    offer_id: Mapped[UUID] = mapped_column(info=ROW)
    use_id: Mapped[UUID] = mapped_column(info=ROW)
    kind: Mapped[str] = mapped_column(Text, info=SELF)
    body: Mapped[str | None] = mapped_column(Text, info=SELF)
    amount_pence: Mapped[int] = mapped_column(info=SELF)
    hold_id: Mapped[UUID] = mapped_column(info=ROW)
    budget_account_id: Mapped[UUID] = mapped_column(info=ROW)
    source_key: Mapped[str] = mapped_column(Text, info=ROW)
    share_id: Mapped[UUID | None] = mapped_column(info=ROW)
    state: Mapped[str] = mapped_column(Text, info=ROW)
    key: Mapped[str] = mapped_column(Text, info=ROW)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary, info=ROW)
    made_at: Mapped[datetime] = mapped_column(info=ROW)
    ended_at: Mapped[datetime | None] = mapped_column(info=ROW)


class PoolStage(Base):
    """A part of what was agreed, paid when members have said that it happened."""

    __tablename__ = "pool_stages"
    __table_args__ = (UniqueConstraint("pool_id", "number"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=ROW)
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pools.id"), info=ROW)
    number: Mapped[int] = mapped_column(info=ROW)
    first_session: Mapped[int] = mapped_column(info=ROW)
    last_session: Mapped[int] = mapped_column(info=ROW)
    amount_pence: Mapped[int] = mapped_column(info=ROW)
    state: Mapped[str] = mapped_column(Text, info=ROW)
    done_at: Mapped[datetime | None] = mapped_column(info=ROW)
    confirmed_at: Mapped[datetime | None] = mapped_column(info=ROW)
    paid_at: Mapped[datetime | None] = mapped_column(info=ROW)


class PoolStageWord(Base):
    """Somebody says that a stage is done, happened, or did not happen as agreed."""

    __tablename__ = "pool_stage_words"
    __table_args__ = (Index("ix_pool_stage_words_stage_id_id", "stage_id", "id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=ROW)
    pool_id: Mapped[UUID] = mapped_column(info=ROW)
    stage_id: Mapped[UUID] = mapped_column(ForeignKey("pool_stages.id"), info=ROW)
    member_id: Mapped[UUID | None] = mapped_column(ForeignKey("pool_members.id"), info=ROW)
    what: Mapped[str] = mapped_column(Text, info=ROW)
    words: Mapped[str | None] = mapped_column(Text, info=GROUP)
    actor_kind: Mapped[str] = mapped_column(Text, info=ROW)
    actor_id: Mapped[UUID | None] = mapped_column(info=ROW)
    at: Mapped[datetime] = mapped_column(info=ROW)


class PoolApproval(Base):
    """One of two people who pass a contract: neither its author, nor paid by it, nor a member."""

    __tablename__ = "pool_approvals"
    __table_args__ = (UniqueConstraint("pool_id", "round", "account_id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=ROW)
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pools.id"), info=ROW)
    round: Mapped[int] = mapped_column(info=ROW)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), info=ROW)
    at: Mapped[datetime] = mapped_column(info=ROW)
