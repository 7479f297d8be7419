"""What the ledger answers. All sums are whole pence."""

from datetime import datetime
from uuid import UUID

import msgspec


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a batch, step by step.

    ``ids``: the transfer's id of a transfer, a payment of a hold and a reversal; the hold's id of
    a hold and a release. ``available_pence``: what is free, after the step, in the account that it
    took from. ``again``: the key was used before with the same steps, and this is the first answer.
    """

    again: bool
    ids: list[UUID]
    available_pence: list[int]

    @property
    def id(self) -> UUID:
        """The id of the one step of a batch of one."""
        (only,) = self.ids
        return only


class AccountOut(msgspec.Struct, frozen=True, kw_only=True):
    """How an account stands. Available is the balance without what is held."""

    id: UUID
    kind: str
    owner_key: str
    source_key: str
    balance_pence: int
    held_pence: int
    version: int
    closed_at: datetime | None

    @property
    def available_pence(self) -> int:
        """What can be spent, promised or moved."""
        return self.balance_pence - self.held_pence


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One posting: positive came in, negative went out; ``code`` says what for."""

    version: int
    at: datetime
    code: str
    amount_pence: int
    previous_pence: int
    balance_pence: int
    transfer_id: UUID
    other_id: UUID
    other_kind: str
    other_owner_key: str


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an account's postings by version, and the cursor of the next page."""

    items: list[StatementLine]
    next: str | None


class HoldOut(msgspec.Struct, frozen=True, kw_only=True):
    """Money kept for something; ``ended`` is None while it is: else posted, released or expired.

    ``ended_pence`` is what was paid of it (by the transfer ``transfer_id``), or what was let go.
    """

    id: UUID
    account_id: UUID
    amount_pence: int
    at: datetime
    expires_at: datetime | None
    ended: str | None
    ended_pence: int | None
    transfer_id: UUID | None


class SourceTotals(msgspec.Struct, frozen=True, kw_only=True):
    """One source's money: what came in, and where it is by kind of account. The sum is the same."""

    source_key: str
    in_pence: int
    by_kind: dict[str, int]
    held_pence: int

    @property
    def missing_pence(self) -> int:
        """What came in and is nowhere: always 0."""
        return self.in_pence - sum(self.by_kind.values())
