"""Areas as they come in and go out."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from api.areas.rules import AreaSettings, Slug, Words


class AreaOut(Struct, kw_only=True):
    """An area with its settings, open to all."""

    id: UUID
    slug: str
    name: str
    version: int
    settings: AreaSettings


class AreaList(Struct, kw_only=True):
    """All areas."""

    items: list[AreaOut]


class NewArea(Struct, kw_only=True, forbid_unknown_fields=True):
    """An area to be."""

    slug: Slug
    name: Words
    settings: AreaSettings


class NewSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """New settings for an area: all of them, the version they replace, and the reason."""

    version: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    reason: Annotated[str, Meta(min_length=3, max_length=500)]
    settings: AreaSettings
