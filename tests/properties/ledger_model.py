"""The ledger as plain Python would have it: what a batch leads to, or which rule refuses it."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from api.ledger.rules import Hold, PostHold, ReleaseHold, Reverse, Step, Transfer


@dataclass(slots=True)
class ModelAccount:
    """What stands in an account."""

    source: str
    negative: bool
    balance: int = 0
    held: int = 0
    version: int = 0
    closed: bool = False


@dataclass(slots=True)
class ModelHold:
    """A hold, and whether it ended."""

    account: UUID
    pence: int
    until: datetime | None
    ended: bool = False


@dataclass(slots=True)
class ModelTransfer:
    """A transfer, and whether it was reversed or is itself a reversal."""

    debit: UUID
    credit: UUID
    pence: int
    done: bool = False


class Refused(Exception):
    """A rule says no."""


@dataclass(slots=True)
class Model:
    """The books. ``apply`` changes them, or raises Refused and leaves them as they were."""

    accounts: dict[UUID, ModelAccount] = field(default_factory=dict)
    holds: dict[UUID, ModelHold] = field(default_factory=dict)
    transfers: dict[UUID, ModelTransfer] = field(default_factory=dict)
    keys: dict[str, tuple[tuple[Step, ...], list[UUID]]] = field(default_factory=dict)

    def copy(self) -> "Model":
        """Return books that can be changed without changing these."""
        return copy.deepcopy(self)

    def apply(
        self, key: str, steps: Sequence[Step], ids: Sequence[UUID], *, now: datetime
    ) -> list[UUID]:
        """Carry out a batch whose results have these ids; return the ids of the answer."""
        if key in self.keys:
            first, answer = self.keys[key]
            if first != tuple(steps):
                raise Refused("key-reused")
            return answer
        draft = self.copy()
        for number, step in enumerate(steps):
            draft._step(step, ids[number] if number < len(ids) else UUID(int=number), now)
        draft.keys[key] = (tuple(steps), list(ids))
        self.accounts, self.holds = draft.accounts, draft.holds
        self.transfers, self.keys = draft.transfers, draft.keys
        return list(ids)

    def expire(self, *, now: datetime, limit: int) -> int:
        """Free the holds that are due, the oldest first; of the same moment, by id."""
        due = sorted(
            (hold.until, hold_id, hold)
            for hold_id, hold in self.holds.items()
            if not hold.ended and hold.until is not None and hold.until <= now
        )
        for _, _, hold in due[:limit]:
            hold.ended = True
            self.accounts[hold.account].held -= hold.pence
        return len(due[:limit])

    def _step(self, step: Step, new_id: UUID, now: datetime) -> None:
        match step:
            case Transfer():
                self._move(step.debit_id, step.credit_id, step.amount_pence, new_id)
            case Hold():
                account = self._open(step.account_id)
                self._enough(account, step.amount_pence)
                if step.expires_at is not None and step.expires_at <= now:
                    raise Refused("hold-expired")
                account.held += step.amount_pence
                self.holds[new_id] = ModelHold(step.account_id, step.amount_pence, step.expires_at)
            case PostHold():
                hold = self._end(step.hold_id)
                if hold.until is not None and hold.until <= now:
                    raise Refused("hold-expired")
                pence = hold.pence if step.amount_pence is None else step.amount_pence
                if pence > hold.pence:
                    raise Refused("more-than-held")
                self._move(hold.account, step.credit_id, pence, new_id)
            case ReleaseHold():
                self._end(step.hold_id)
            case Reverse():
                if step.transfer_id not in self.transfers:
                    raise Refused("visible-to-you")
                first = self.transfers[step.transfer_id]
                if first.done:
                    raise Refused("reversed-already")
                first.done = True
                self._move(first.credit, first.debit, first.pence, new_id, done=True)

    def _end(self, hold_id: UUID) -> ModelHold:
        if hold_id not in self.holds:
            raise Refused("visible-to-you")
        hold = self.holds[hold_id]
        if hold.ended:
            raise Refused("hold-ended")
        hold.ended = True
        self.accounts[hold.account].held -= hold.pence
        return hold

    def _open(self, account_id: UUID) -> ModelAccount:
        if account_id not in self.accounts:
            raise Refused("visible-to-you")
        if self.accounts[account_id].closed:
            raise Refused("account-closed")
        return self.accounts[account_id]

    @staticmethod
    def _enough(account: ModelAccount, pence: int) -> None:
        if account.balance - account.held < pence and not account.negative:
            raise Refused("not-enough")

    def _move(
        self, debit_id: UUID, credit_id: UUID, pence: int, new_id: UUID, *, done: bool = False
    ) -> None:
        if debit_id not in self.accounts or credit_id not in self.accounts:
            raise Refused("visible-to-you")
        debit, credit = self._open(debit_id), self._open(credit_id)
        if debit is credit or debit.source != credit.source:
            raise Refused("between-sources")
        self._enough(debit, pence)
        debit.balance -= pence
        credit.balance += pence
        debit.version += 1
        credit.version += 1
        self.transfers[new_id] = ModelTransfer(debit_id, credit_id, pence, done)
