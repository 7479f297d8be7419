"""Listings, and the projection of them that is public."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Computed,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from api.core.metadata import NOT_PERSONAL, PERSONAL, Base, shared

TSV = (
    "setweight(to_tsvector('english'::regconfig, name), 'A')"
    " || setweight(to_tsvector('english'::regconfig, summary), 'B')"
    " || setweight(to_tsvector('english'::regconfig,"
    " coalesce(description, '') || ' ' || coalesce(provider_name, '')), 'C')"
)


class Listing(Base):
    """Something to join. An own offer (``person_id``) is a person's and never public."""

    __tablename__ = "listings"
    __table_args__ = (
        UniqueConstraint("id", "kind"),
        UniqueConstraint("source", "natural_key"),
        Index(
            "ix_listings_matchable",
            "easting",
            "northing",
            postgresql_where=text("closed_at IS NULL AND confirmed_until IS NOT NULL"),
        ),
        Index(
            "ix_listings_matchable_area_id",
            "area_id",
            postgresql_where=text("closed_at IS NULL AND confirmed_until IS NOT NULL"),
        ),
        Index("ix_listings_person_id", "person_id", postgresql_where=text("person_id IS NOT NULL")),
        Index(
            "ix_listings_owner_account_id",
            "owner_account_id",
            postgresql_where=text("owner_account_id IS NOT NULL"),
        ),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    kind: Mapped[str] = mapped_column(Text, info=shared("offered"))
    area_id: Mapped[UUID | None] = mapped_column(ForeignKey("areas.id"), info=shared("row"))
    owner_account_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("accounts.id"), info=shared("row")
    )
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("people.id"), info=shared("row"))
    source: Mapped[str] = mapped_column(Text, info=shared("row"))
    natural_key: Mapped[str] = mapped_column(Text, info=shared("row"))
    content_hash: Mapped[str] = mapped_column(Text, info=shared("row"))
    name: Mapped[str] = mapped_column(Text, info=shared("offered"))
    summary: Mapped[str] = mapped_column(Text, info=shared("offered"))
    description: Mapped[str | None] = mapped_column(Text, info=shared("offered"))
    provider_name: Mapped[str | None] = mapped_column(Text, info=shared("offered"))
    note: Mapped[str | None] = mapped_column(Text, info=shared("offered"))
    outward: Mapped[str | None] = mapped_column(Text, info=shared("offered"))
    sector: Mapped[str | None] = mapped_column(Text, info=shared("offered"))
    town: Mapped[str | None] = mapped_column(Text, info=shared("offered"))
    easting: Mapped[int | None] = mapped_column(info=shared("derived"))
    northing: Mapped[int | None] = mapped_column(info=shared("derived"))
    postcode: Mapped[str | None] = mapped_column(Text, info=shared("self"))
    address: Mapped[str | None] = mapped_column(Text, info=shared("offered"))
    website: Mapped[str | None] = mapped_column(Text, info=shared("offered"))
    sessions: Mapped[list[Any]] = mapped_column(info=shared("offered"))
    times: Mapped[int | None] = mapped_column(info=shared("offered"))
    days: Mapped[int | None] = mapped_column(SmallInteger, info=shared("offered"))
    price_pence: Mapped[int | None] = mapped_column(info=shared("offered"))
    price_per: Mapped[str | None] = mapped_column(Text, info=shared("offered"))
    people_working: Mapped[int | None] = mapped_column(info=shared("row"))
    places_total: Mapped[int | None] = mapped_column(info=shared("offered"))
    places_left: Mapped[int | None] = mapped_column(info=shared("offered"))
    access: Mapped[dict[str, Any]] = mapped_column(info=shared("offered"))
    confirmed_on: Mapped[date | None] = mapped_column(Date, info=shared("row"))
    confirmed_until: Mapped[date | None] = mapped_column(Date, info=shared("row"))
    closed_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    version: Mapped[int] = mapped_column(info=shared("row"))
    created_at: Mapped[datetime] = mapped_column(info=shared("row"))
    updated_at: Mapped[datetime] = mapped_column(info=shared("row"))


class ListingPublic(Base):
    """What anybody may see of a listing. No owner, no postcode, no policy; search reads this."""

    __tablename__ = "listing_public"
    __table_args__ = (
        ForeignKeyConstraint(
            ["listing_id", "kind"], ["listings.id", "listings.kind"], ondelete="CASCADE"
        ),
        Index("ix_listing_public_tsv", "tsv", postgresql_using="gin"),
        Index("ix_listing_public_place", text("point(easting, northing)"), postgresql_using="gist"),
        NOT_PERSONAL,
    )

    listing_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    area: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    summary: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    provider_name: Mapped[str | None] = mapped_column(Text)
    town: Mapped[str | None] = mapped_column(Text)
    near: Mapped[str | None] = mapped_column(Text)
    easting: Mapped[int | None]
    northing: Mapped[int | None]
    address: Mapped[str | None] = mapped_column(Text)
    website: Mapped[str | None] = mapped_column(Text)
    sessions: Mapped[list[Any]]
    days: Mapped[int | None] = mapped_column(SmallInteger)
    price_pence: Mapped[int | None]
    price_per: Mapped[str | None] = mapped_column(Text)
    places_left: Mapped[int | None]
    access: Mapped[dict[str, Any]]
    confirmed_on: Mapped[date | None] = mapped_column(Date)
    confirmed_until: Mapped[date | None] = mapped_column(Date)
    tsv: Mapped[str] = mapped_column(TSVECTOR, Computed(TSV, persisted=True))


class ListingWord(Base):
    """A word of public listings, for spelling. Twice in it does no harm: nobody waits for it."""

    __tablename__ = "listing_words"
    __table_args__ = (
        Index("ix_listing_words_word", "word"),
        Index(
            "ix_listing_words_spelling",
            "word",
            postgresql_using="gin",
            postgresql_ops={"word": "gin_trgm_ops"},
        ),
        NOT_PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    word: Mapped[str] = mapped_column(Text)
