"""What must hold of a group and its money after every step, counted from the tables alone.

Nothing here asks the code that is tried: what is seen are rows, read past all policies, and what
they must add up to is counted again from transfers and holds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

from api.pools.rules import MOVES

LEDGER = (
    "ledger_accounts",
    "ledger_operations",
    "ledger_transfers",
    "ledger_holds",
    "ledger_hold_ends",
)
POOLS = (
    "pools",
    "pool_members",
    "pool_member_events",
    "pool_steps",
    "pool_choices",
    "pool_offers",
    "pool_messages",
    "pool_votes",
    "pool_ballots",
    "pool_pledges",
    "pool_stages",
    "pool_stage_words",
    "pool_approvals",
)
DECISIONS = (
    "sign_offs",
    "sign_off_wishes",
    "sign_off_decisions",
    "challenges",
    "safety_stops",
    "safety_stop_answers",
    "decision_events",
)
BUDGETS = ("budgets", "budget_purposes", "budget_authorities", "budget_events", "payments")
HOUSE = ("audit_entries", "read_receipts", "outbox")
# Whatever a step may write to. What is refused leaves each of them as it was.
TABLES = (*LEDGER, *POOLS, *DECISIONS, *BUDGETS, *HOUSE)

_HASH = "SELECT " + ", ".join(
    f"(SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t)"
    for table in TABLES
)
_OF_POOL = {
    "steps": "SELECT * FROM pool_steps WHERE pool_id = %s ORDER BY version",
    "members": "SELECT m.*, q.account_id FROM pool_members m JOIN people q ON q.id = m.person_id"
    " WHERE m.pool_id = %s ORDER BY m.number",
    "events": "SELECT * FROM pool_member_events WHERE pool_id = %s ORDER BY id",
    "offers": "SELECT * FROM pool_offers WHERE pool_id = %s ORDER BY at, id",
    "votes": "SELECT * FROM pool_votes WHERE pool_id = %s ORDER BY id",
    "ballots": "SELECT * FROM pool_ballots WHERE pool_id = %s",
    "stages": "SELECT * FROM pool_stages WHERE pool_id = %s ORDER BY number",
    "words": "SELECT * FROM pool_stage_words WHERE pool_id = %s ORDER BY id",
    "approvals": "SELECT * FROM pool_approvals WHERE pool_id = %s",
    "stops": "SELECT * FROM safety_stops WHERE subject_id = %s AND lifted_at IS NULL",
    "choices": "SELECT DISTINCT ON (topic) topic, choice FROM pool_choices WHERE pool_id = %s"
    " ORDER BY topic, version DESC",
}
_OF_ALL = {
    "pledges": "SELECT * FROM pool_pledges ORDER BY id",
    "accounts": "SELECT * FROM ledger_accounts",
    "transfers": "SELECT t.*, o.code, o.key FROM ledger_transfers t"
    " JOIN ledger_operations o ON o.id = t.operation_id ORDER BY t.id",
    "holds": "SELECT h.*, e.kind AS end_kind, e.amount_pence AS end_pence FROM ledger_holds h"
    " LEFT JOIN ledger_hold_ends e ON e.hold_id = h.id",
    "codes": "SELECT code, count(*) AS often FROM ledger_operations GROUP BY code",
    "sign_offs": "SELECT * FROM sign_offs ORDER BY asked_at, id",
    "challenges": "SELECT * FROM challenges WHERE outcome IS NULL",
    "budgets": "SELECT * FROM budgets",
    "payments": "SELECT * FROM payments ORDER BY id",
}


@dataclass(slots=True)
class Seen:
    """Every row of one group and all rows of the ledger, at one moment."""

    pool: Any
    rows: dict[str, list[Any]]
    accounts: dict[UUID, Any] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)

    def __getattr__(self, name: str) -> list[Any]:
        try:
            return self.rows[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def offer(self) -> Any:
        """The offer that was chosen, or None."""
        return next((one for one in self.offers if one.id == self.pool.offer_id), None)

    @property
    def total_pence(self) -> int:
        """The whole price of the chosen offer."""
        return int(self.offer.sessions * self.offer.session_pence)

    @property
    def inside(self) -> list[Any]:
        """Who is in now."""
        return [one for one in self.members if one.state == "in"]

    @property
    def mine(self) -> list[Any]:
        """All promises to this group, whatever became of them."""
        return [one for one in self.pledges if one.pool_id == self.pool.id]

    @property
    def open_vote(self) -> Any:
        """The vote that has not ended, or None."""
        return next((one for one in self.votes if one.ended_at is None), None)

    @property
    def round(self) -> Any:
        """The step at which all had their go-ahead, the last time."""
        return next((one for one in reversed(self.steps) if one.what == "approved"), None)

    def member(self, member_id: UUID) -> Any:
        """One member."""
        return next(one for one in self.members if one.id == member_id)

    def choice(self, topic: str) -> str | None:
        """What the group agreed about something."""
        return next((one.choice for one in self.choices if one.topic == topic), None)

    def flow(self, share_id: UUID) -> dict[str, int]:
        """Count what came into a share, was used of it and went back, from transfers alone."""
        sums = {"in": 0, "used": 0, "back": 0}
        for one in self.transfers:
            if share_id not in (one.debit_id, one.credit_id):
                continue
            other = self.accounts[one.credit_id if one.debit_id == share_id else one.debit_id]
            comes = one.credit_id == share_id
            what = {("budget", True): "in", ("budget", False): "back"}.get((other.kind, comes))
            if what is None:
                assert other.kind == "payable", f"a share and a {other.kind}: {one}"
                sums["used"] += -one.amount_pence if comes else one.amount_pence
            else:
                sums[what] += one.amount_pence
        return sums


def look(owner: psycopg.Connection, pool_id: UUID) -> Seen:
    """Read everything. Nobody writes meanwhile."""
    cursor = owner.cursor(row_factory=namedtuple_row)
    pool = cursor.execute("SELECT * FROM pools WHERE id = %s", (pool_id,)).fetchone()
    rows = {name: cursor.execute(sql, (pool_id,)).fetchall() for name, sql in _OF_POOL.items()}
    rows |= {name: cursor.execute(sql).fetchall() for name, sql in _OF_ALL.items()}
    accounts = {one.id: one for one in rows.pop("accounts")}
    codes = Counter({one.code: one.often for one in rows.pop("codes")})
    return Seen(pool, rows, accounts, codes)


def fingerprint(owner: psycopg.Connection) -> Any:
    """Return a hash of each table that a step may write to."""
    return owner.execute(_HASH).fetchone()


class Watch:
    """Compares one look with the next. Any difference that must not be is an AssertionError."""

    def __init__(self, first: Seen) -> None:
        self.seen = first
        # What somebody who left may still pay, at the most, by their promise.
        self.most_used: dict[UUID, int] = {}

    def after(self, seen: Seen, *, ran: bool) -> None:
        """Check all there is to check. ``ran``: the group's own task ran, and was the last."""
        before, self.seen = self.seen, seen
        _sources(seen)
        _holds(seen, ran=ran)
        _shares(seen)
        _steps(before, seen)
        _votes(before, seen)
        _people(before, seen)
        _stages(before, seen)
        _payments(seen)
        _held_back(before, seen)
        for step in seen.steps[len(before.steps) :]:
            if step.what == "signed":
                _signed(seen, step)
        _late(before, seen)
        self._notice(before, seen)

    def _notice(self, before: Seen, seen: Seen) -> None:
        """Whoever left owes their notice and no more; nothing where none was agreed (J3.9)."""
        was = {one.id: one.state for one in before.members}
        for pledge in (one for one in seen.mine if one.share_id is not None):
            state = seen.member(pledge.member_id).state
            if state != "out":
                self.most_used.pop(pledge.id, None)
                continue
            used = seen.flow(pledge.share_id)["used"]
            if was.get(pledge.member_id) != "out" or pledge.id not in self.most_used:
                notice = seen.offer.notice_sessions * seen.offer.session_pence
                owed = 0 if seen.choice("leaving") == "no_notice" else notice
                self.most_used[pledge.id] = used + owed
            assert used <= self.most_used[pledge.id], f"more than the notice is taken: {pledge}"


def _sources(seen: Seen) -> None:
    """What came in is free, kept, put together, on its way, paid or returned; nothing crosses."""
    stands: dict[str, int] = defaultdict(int)
    came: Counter[str] = Counter()
    went: Counter[str] = Counter()
    for one in seen.accounts.values():
        if one.kind != "source":
            stands[one.source_key] += one.balance_pence
    for one in seen.transfers:
        debit, credit = seen.accounts[one.debit_id], seen.accounts[one.credit_id]
        assert debit.source_key == credit.source_key, f"money crosses sources: {one}"
        if debit.kind == "source":
            came[debit.source_key] += one.amount_pence
        if credit.kind == "source":
            went[debit.source_key] += one.amount_pence
    for key, pence in stands.items():
        assert came[key] - went[key] == pence, f"{key} does not add up"
        assert went[key] <= came[key], f"{key} got back more than it gave"


def _holds(seen: Seen, *, ran: bool) -> None:
    """A hold stands if and only if one promise stands on it."""
    standing = {one.id: one for one in seen.holds if one.ended_at is None}
    held = [one for one in seen.pledges if one.state == "held"]
    assert Counter(one.hold_id for one in held) == Counter(dict.fromkeys(standing, 1))
    for one in held:
        hold = standing[one.hold_id]
        assert (hold.amount_pence, hold.account_id) == (one.amount_pence, one.budget_account_id)
    inside = {one.id: one.state for one in seen.members}
    for one in seen.mine:
        if one.state == "held":
            assert inside[one.member_id] == "in", f"money of somebody who is not in: {one}"
    over = [one for one in seen.mine if one.state in ("held", "posted")]
    if ran and seen.pool.state == "closed":
        assert not over, f"closed, and this stands: {over}"
    if ran and seen.pool.state == "expired":
        assert not over, f"run out, and this stands: {over}"


def _shares(seen: Seen) -> None:
    """Shares sum to the group's money; what goes back goes where it came from, and no more."""
    ends = {one.id: one for one in seen.holds}
    owner = f"pool:{seen.pool.id}:"
    accounts = {
        one.id: one
        for one in seen.accounts.values()
        if one.kind == "pool_share" and one.owner_key.startswith(owner)
    }
    posted = [one for one in seen.mine if one.share_id is not None]
    assert {one.share_id for one in posted} == set(accounts), "a share without its promise"
    put_in = used = back = 0
    for one in posted:
        share, hold, flow = accounts[one.share_id], ends[one.hold_id], seen.flow(one.share_id)
        number = seen.member(one.member_id).number
        assert (share.owner_key, share.source_key) == (f"{owner}{number}", one.source_key)
        assert (hold.end_kind, hold.end_pence) == ("posted", one.amount_pence)
        assert flow["in"] == one.amount_pence, f"more or less than was promised: {one}, {flow}"
        assert 0 <= flow["used"] <= one.amount_pence, f"pays more than was promised: {one}, {flow}"
        assert flow["back"] <= flow["in"], f"more goes back than was put in: {one}"
        assert share.balance_pence == flow["in"] - flow["used"] - flow["back"]
        assert (one.state == "returned") == (share.closed_at is not None), f"{one}: {share}"
        put_in, used, back = put_in + flow["in"], used + flow["used"], back + flow["back"]
    for one in seen.transfers:
        if one.debit_id in accounts and seen.accounts[one.credit_id].kind == "budget":
            home = next(p.budget_account_id for p in posted if p.share_id == one.debit_id)
            assert one.credit_id == home, f"goes back to another budget: {one}"
    assert sum(one.balance_pence for one in accounts.values()) == put_in - used - back


def _steps(before: Seen, seen: Seen) -> None:
    """Versions run from 1 without gaps, and a state follows from the one before it."""
    assert [one.version for one in seen.steps] == list(range(1, len(seen.steps) + 1))
    assert seen.steps[: len(before.steps)] == before.steps, "a step was changed"
    assert (seen.pool.version, seen.pool.state) == (seen.steps[-1].version, seen.steps[-1].state)
    for one, following in zip(seen.steps, seen.steps[1:], strict=False):
        moved = one.state != following.state
        assert not moved or following.state in MOVES[one.state], f"{one} > {following}"


def _votes(before: Seen, seen: Seen) -> None:
    """What was counted are the ballots of those who are in, one a person, and none is forgotten."""
    there = {one.id for one in before.inside} & {one.id for one in seen.inside}
    open_before = {one.id for one in before.votes if one.ended_at is None}
    for vote in (one for one in seen.votes if one.ended_at is not None):
        ballots = [one for one in seen.ballots if one.vote_id == vote.id]
        given = Counter(one.choice for one in ballots)
        counted = Counter(vote.counts)
        assert counted <= given, f"counted, and not given: {vote}, {given}"
        if vote.id in open_before or vote not in before.votes:
            stay = Counter(one.choice for one in ballots if one.member_id in there)
            assert stay <= counted, f"given, and not counted: {vote}, {stay}"
        else:
            was = sum(1 for one in before.ballots if one.vote_id == vote.id)
            assert len(ballots) == was, f"given after the count: {vote}"


def _people(before: Seen, seen: Seen) -> None:
    """There is room for whoever is in; who died stays so until the estate is settled."""
    offer = seen.offer
    joined = len(seen.members) > len(before.members)
    if offer is not None and joined and seen.pool.offer_id == before.pool.offer_id:
        assert len(seen.inside) <= offer.max_people, "more people than there is room for"
    waits: dict[UUID, str] = {}
    for one in seen.events:
        if one.what in ("died", "estate_settled"):
            waits[one.member_id] = one.what
    for one in seen.members:
        dead = waits.get(one.id) == "died"
        assert dead == (one.state == "paused"), f"{one} after {waits.get(one.id)}"


def _stages(before: Seen, seen: Seen) -> None:
    """No part is paid twice, or while somebody disputes it, or by another sum than its own."""
    payments: dict[str, dict[UUID, int]] = defaultdict(lambda: defaultdict(int))
    for one in seen.transfers:
        if one.code == "pool.part_paid":
            payments[one.key][one.operation_id] += one.amount_pence
    was = {one.id: one for one in before.stages}
    there = {one.id for one in before.inside} & {one.id for one in seen.inside}
    for stage in seen.stages:
        paid = list(payments[f"pool:{seen.pool.id}:stage:{stage.number}"].values())
        assert paid == ([stage.amount_pence] if stage.state == "paid" else []), (stage, paid)
        old = was.get(stage.id)
        assert old is None or old.state != "paid" or stage == old, f"paid, then changed: {stage}"
        if stage.state == "paid" and (old is None or old.state != "paid"):
            last = {w.member_id: w.what for w in seen.words if w.stage_id == stage.id}
            disputed = [key for key, what in last.items() if what == "disputed" and key in there]
            assert not disputed, f"paid while it is disputed: {stage}"
            assert any(what in ("confirmed", "settled") for what in last.values())


def _payments(seen: Seen) -> None:
    """Each part paid is so many payments; what is on its way and what was paid add up to them.

    What failed is asked for again: once for each failure, out of the same share, the same sum.
    """
    codes = ("pool.part_paid", "pool.paid_again")
    made = {one.id: one for one in seen.transfers if one.code in codes}
    assert {one.transfer_id for one in seen.payments} == set(made)
    failed = {
        f"pool:{one.for_id}:again:{one.id}": one for one in seen.payments if one.state == "failed"
    }
    again = [one for one in made.values() if one.code == "pool.paid_again"]
    assert len({one.key for one in again}) == len(again), "one failure, asked for twice"
    for one in again:
        first = failed[one.key]
        assert (one.debit_id, one.amount_pence) == (first.from_account_id, first.amount_pence)
    sums: Counter[str] = Counter()
    for one in seen.payments:
        assert one.amount_pence == made[one.transfer_id].amount_pence
        pledge = next(p for p in seen.pledges if p.share_id == one.from_account_id)
        assert pledge.budget_id == one.budget_id
        sums[one.state] += one.amount_pence
    stands: Counter[str] = Counter()
    for one in seen.accounts.values():
        stands[one.kind] += one.balance_pence
    assert stands["payable"] == sums["instructed"], (stands, sums)
    assert stands["paid"] == sums["confirmed"], (stands, sums)


def _held_back(before: Seen, seen: Seen) -> None:
    """In a pause nothing is posted but what goes back and wages passed by two; a stop holds too."""
    more = seen.codes - before.codes
    new = seen.steps[len(before.steps) :]
    paused = before.pool.paused_at is not None and seen.pool.paused_at == before.pool.paused_at
    paused = paused and not any(one.what in ("paused", "resumed") for one in new)
    stopped = {one.id for one in before.stops} & {one.id for one in seen.stops}
    if paused or stopped:
        assert not more["pool.promised"], "money was promised meanwhile"
        assert not more["pool.signed"], "shares were made meanwhile"
        forward = {
            "promises_opened",
            "review_asked",
            "approved",
            "signed",
            "passed",
            "share_joined",
        }
        assert not forward & {one.what for one in new}, f"moved on meanwhile: {new}"
    if paused:
        for stage in seen.stages:
            old = next(one for one in before.stages if one.id == stage.id)
            if stage.state == "paid" != old.state:
                passed = {
                    w.actor_id
                    for w in seen.words
                    if w.stage_id == stage.id and w.what == "wages" and w.at >= seen.pool.paused_at
                }
                assert len(passed) >= 2, f"paid in a pause, not passed by two: {stage}"


def _signed(seen: Seen, signed: Any) -> None:
    """Nothing is signed without price, people, go-aheads, a vote of all and two others (J3.8)."""
    offer = seen.offer
    at_signing = {
        one.hold_id: one
        for one in seen.transfers
        if one.key == f"pool:{seen.pool.id}:shares:{signed.version - 1}"
    }
    pledges = [one for one in seen.mine if one.hold_id in at_signing]
    assert sum(one.amount_pence for one in pledges) >= seen.total_pence, "the price is not reached"
    assert len({one.member_id for one in pledges}) >= offer.min_people
    assert {one.offer_id for one in pledges} == {offer.id}
    for one in pledges:
        _has_go_ahead(seen, one)
    earlier = [one for one in seen.steps if one.version < signed.version]
    approved = max(one.version for one in earlier if one.what == "approved")
    named = max((one.version for one in earlier if one.what == "body_named"), default=0)
    since = seen.steps[max(approved, named) - 1]
    assert seen.pool.body_called is not None
    assert any(
        one.motion == "confirm" and one.outcome == "passed" and one.opened_at >= since.at
        for one in seen.votes
    ), "no vote confirmed what is signed"
    never = {offer.account_id, seen.pool.body_named_by, *(one.account_id for one in seen.members)}
    passed = {
        one.actor_id for one in earlier if one.what == "passed" and one.version > since.version
    }
    assert len(passed - never) >= 2, f"passed by {passed}, of whom {never} do not count"


def _has_go_ahead(seen: Seen, pledge: Any) -> None:
    if pledge.body is None:
        return
    assert any(
        one.subject_id == pledge.use_id
        and one.state == "approved"
        and one.amount_pence >= pledge.amount_pence
        and one.decided_by is not None
        and one.decided_by not in one.not_by
        for one in seen.sign_offs
    ), f"no go-ahead for so much: {pledge}"


def _late(before: Seen, seen: Seen) -> None:
    """Whoever joins later has a go-ahead before their money is put in, too."""
    old = {one.id for one in before.mine if one.share_id is not None}
    for one in seen.mine:
        if one.share_id is not None and one.id not in old:
            _has_go_ahead(seen, one)


def phases(before: Seen, seen: Seen) -> Iterator[str]:
    """Name what has newly been reached."""
    for one in seen.steps[len(before.steps) :]:
        yield {"signed": "contracted", "ran_out": "expired"}.get(one.what, one.what)
    for one in seen.events[len(before.events) :]:
        yield one.what
