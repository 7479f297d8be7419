"""Areas and the history of their settings."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from api.core.metadata import NOT_PERSONAL, Base


class Area(Base):
    """A locality with its own settings."""

    __tablename__ = "areas"
    __table_args__ = (NOT_PERSONAL,)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    settings: Mapped[dict[str, Any]]
    version: Mapped[int]
    created_at: Mapped[datetime]


class AreaChange(Base):
    """One version of an area's settings: who set it and why. Only grows (S85)."""

    __tablename__ = "area_changes"
    __table_args__ = (NOT_PERSONAL,)

    area_id: Mapped[UUID] = mapped_column(ForeignKey("areas.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    settings: Mapped[dict[str, Any]]
    reason: Mapped[str] = mapped_column(Text)
    changed_by: Mapped[UUID | None]
    at: Mapped[datetime]
