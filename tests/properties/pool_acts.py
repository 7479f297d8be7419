"""What people, staff and the group's own task may do to a group: each as one call of a service.

An act is made from what is seen and a random number, and is carried out later, perhaps beside
others, by which time it may no longer be possible: then it is refused, which is part of it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from api.budgets import service as budgets
from api.budgets.schemas import Confirmations, NewPurpose, NewPurposes, NewState
from api.core.db import WriteSession
from api.decisions import challenges, sign_offs, stops
from api.decisions.schemas import (
    NewChallenge,
    NewChallengeDecision,
    NewDecision,
    NewStop,
    NewStopAnswer,
)
from api.identity.rules import Actor, Task
from api.pools import (
    advance,
    contract,
    delivery,
    exits,
    offers,
    promises,
    service,
    steps,
    votes,
)
from api.pools.rules import RUNNING
from api.pools.schemas import (
    Leaving,
    NewBallot,
    NewBody,
    NewChoices,
    NewExit,
    NewLine,
    NewMember,
    NewOffer,
    NewPledge,
    NewStageWord,
    NewStep,
    NewVote,
    Pausing,
)
from tests.groups import Town
from tests.make import Account, Budget
from tests.properties.pool_model import Seen

Work = Callable[[WriteSession, datetime], Awaitable[Any]]

_HOME = ZoneInfo("Europe/London")
_WORKERS = {"council": "social_worker", "nhs": "nurse", "charity": "commissioner"}
_OPEN_STATES = ("gathering", "costed", "pledging", "expired")


@dataclass(frozen=True, slots=True, kw_only=True)
class Someone:
    """Somebody with a story of their own and one budget or two."""

    number: int
    id: UUID
    actor: Any
    budgets: tuple[Budget, ...]


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that somebody does. ``sure``: as things stand it is never refused."""

    name: str
    actor: Actor
    work: Work
    sure: bool = False


@dataclass(slots=True)
class Acts:
    """Thinks of what could be done next. ``among``: who may do it, when that is narrowed."""

    town: Town
    more_staff: Account
    people: list[Someone]
    pool_id: UUID
    code: str
    now: datetime
    seen: Seen
    keys: list[tuple[Someone, Budget, int, str]] = field(default_factory=list)
    among: list[Someone] | None = None

    def someone(self, r: Random, *, inside: bool | None = None) -> Someone:
        """Pick a person, of those who are in or not, where there is one like that."""
        there = {one.person_id for one in self.seen.inside}
        among = self.among or self.people
        fit = [one for one in among if inside is None or (one.id in there) == inside]
        return r.choice(fit or among)

    def _of(self, person_id: UUID) -> Someone:
        return next(one for one in self.people if one.id == person_id)

    def staff(self, r: Random, *names: str) -> Any:
        """Pick one of the staff: a second manager is called "other"."""
        name = r.choice(names)
        return (self.more_staff if name == "other" else getattr(self.town, name)).actor

    def act(self, name: str, r: Random) -> Act | None:
        """Think of one act of this name; None where there is nothing to do it to."""
        made: Act | None = getattr(self, name)(r)
        return made

    # People

    def join(self, r: Random) -> Act:
        who = self.someone(r, inside=r.random() < 0.1)
        code = self.code if r.random() < 0.95 else "K7Q2-9FXM-3TBD"
        new = NewMember(called=f"Member {who.number}", code=code)
        return self._by("join", who.actor, service.join, new=new)

    def leave(self, r: Random) -> Act:
        who = self.someone(r, inside=r.random() < 0.95)
        words = "It was too loud." if r.random() < 0.3 else None
        new = Leaving(something_was_wrong=words)
        inside = any(one.person_id == who.id for one in self.seen.inside)
        return self._by("leave", who.actor, exits.leave, sure=inside, new=new)

    def offer(self, r: Random, *, shape: dict[str, Any] | None = None) -> Act:
        """A new offer, or a new price: by the provider, or written down by a member."""
        by_member = shape is None and r.random() < 0.2
        actor = self.someone(r, inside=True).actor if by_member else self.town.provider.actor
        mine = [one for one in self.seen.offers if (one.account_id == actor.id)]
        replaced = {one.replaces_id for one in self.seen.offers}
        current = [one for one in mine if one.id not in replaced]
        replaces = r.choice(current).id if current and r.random() < 0.6 else None
        new = NewOffer(
            called="Kay",
            words="Tuesdays at six.",
            checks_seen="Insurance seen.",
            replaces=replaces,
            code=self.code,
            **(shape or shape_of(r)),
        )
        return self._by("offer", actor, offers.offer, new=new)

    def choose(self, r: Random) -> Act:
        new = NewChoices(
            choices={
                "leaving": r.choice(["notice", "no_notice"]),
                "joining": r.choice(["when_room", "when_room", "closed"]),
            }
        )
        return self._by("choose", self.someone(r, inside=True).actor, steps.choose, new=new)

    def vote(self, r: Random, motion: str | None = None) -> Act:
        fits = {"approved": "confirm", "contracted": "shrink", "delivering": "shrink"}
        motion = motion or fits.get(self.seen.pool.state, "choose_offer")
        if r.random() < 0.05:
            motion = r.choice(["choose_offer", "confirm", "shrink", "close"])
        new = NewVote(
            motion=motion,  # type: ignore[arg-type]
            words="Shall we?",
            easy_words="Yes or no?",
            closes_at=self.now + timedelta(days=r.choice([1, 3, 7])),
            from_stage=r.randint(1, 3) if motion == "shrink" else None,
        )
        return self._by("vote", self.someone(r, inside=True).actor, votes.open_vote, new=new)

    def cast(self, r: Random, *, yes: float = 0.75) -> Act | None:
        """A ballot in the vote that is open (or was the last), by somebody who has not voted."""
        vote = self.seen.open_vote or (self.seen.votes[-1] if self.seen.votes else None)
        if vote is None:
            return None
        voted = {one.person_id for one in self.seen.ballots if one.vote_id == vote.id}
        waiting = [one.person_id for one in self.seen.inside if one.person_id not in voted]
        who = self.someone(r, inside=True)
        if waiting and r.random() < 0.9 and self.among is None:
            who = self._of(r.choice(waiting))
        choice = "yes" if r.random() < yes else r.choice(["no", "abstain"])
        if vote.motion == "choose_offer":
            replaced = {one.replaces_id for one in self.seen.offers}
            current = [one for one in self.seen.offers if one.id not in replaced]
            choice = str(current[-1].id if r.random() < yes else r.choice(current).id)
        return self._by(
            "cast", who.actor, votes.cast, vote_id=vote.id, new=NewBallot(choice=choice)
        )

    def move(self, r: Random, to: str | None = None) -> Act:
        usual = {"costed": "pledging", "expired": "pledging", "pledging": "review"}
        to = to or usual.get(self.seen.pool.state, r.choice(["pledging", "review", "closed"]))
        new = NewStep(
            to=to,  # type: ignore[arg-type]
            promise_by=self.now + timedelta(hours=r.choice([24, 72, 336])),
        )
        return self._by("move", self.someone(r, inside=True).actor, steps.move, new=new)

    def close(self, r: Random) -> Act:
        """Alone in it, at once; else the group votes on it."""
        return self.move(r, "closed") if len(self.seen.inside) < 2 else self.vote(r, "close")

    # Money

    def promise(self, r: Random, *, fair: bool = False) -> Act:
        """A promise: a fair share, more, less; an old key as it was, or with another sum."""
        who = self.someone(r, inside=fair or r.random() < 0.95)
        budget = r.choice(who.budgets)
        if fair:
            who, budget = self._fair(r) or (who, budget)
        total = self.seen.total_pence if self.seen.offer is not None else 1_000
        share = -(-total // max(1, len(self.seen.inside)))
        factor = r.choice([1, 1, 1.5]) if fair else r.choice([0.3, 1, 1, 1.5, 3, 40])
        pence, key = max(1, int(share * factor) + (0 if fair else r.randint(0, 9))), uuid4().hex
        again = r.random()
        if not fair and self.keys and again < 0.2:
            who, budget, pence, key = r.choice(self.keys)
            pence += 1 if again < 0.06 else 0
        elif not fair and again < 0.25:
            budget = r.choice(r.choice(self.people).budgets)
        self.keys.append((who, budget, pence, key))
        new = NewPledge(budget_id=budget.id, amount_pence=pence)
        return self._by("promise", who.actor, promises.promise, new=new, key=key)

    def _fair(self, r: Random) -> tuple[Someone, Budget] | None:
        """Pick open money of somebody who is in, best of all such that promises nothing yet."""
        inside = {one.person_id for one in self.seen.inside}
        open_ = {one.id for one in self.seen.budgets if one.state == "active"}
        found = [
            (one, budget)
            for one in self.people
            for budget in one.budgets
            if one.id in inside and budget.id in open_
        ]
        promised = {one.budget_id for one in self.seen.mine if one.ended_at is None}
        fresh = [pair for pair in found if pair[1].id not in promised]
        return r.choice(fresh or found) if found else None

    def let_go(self, r: Random) -> Act | None:
        mine = [one for one in self.seen.mine if one.state == "held"] or self.seen.mine
        if not mine:
            return None
        pledge = r.choice(mine)
        who = self._of(pledge.person_id)
        if r.random() < 0.05:
            who = r.choice(self.people)
        return self._by("let_go", who.actor, promises.let_go, pledge_id=pledge.id)

    # Staff

    def decide(self, r: Random, *, yes: float = 0.6) -> Act | None:
        waiting = [one for one in self.seen.sign_offs if one.state == "waiting"]
        if not waiting:
            return None
        asked = r.choice(waiting)
        names = ["manager", "other", *[_WORKERS[asked.body]] * 4]
        actor = self.staff(r, *(names if r.random() < 0.97 else ["provider"]))
        new = NewDecision(outcome="approved")
        if r.random() >= yes:
            new = NewDecision(
                outcome="declined",
                ground="plan_fit",
                words="The plan names something else.",
                who_can_change="The team, at the review.",
                rings_by=(self.now + timedelta(days=1)).date(),
            )

        async def work(tx: WriteSession, now: datetime) -> Any:
            return await sign_offs.decide(tx, actor=actor, now=now, sign_off_id=asked.id, new=new)

        return Act(f"decide {new.outcome}", actor, work)

    def challenge(self, r: Random) -> Act | None:
        """Ask for a second look, or give one where it is asked for."""
        if self.seen.challenges:
            return self._look_again(r)
        refused = [one for one in self.seen.sign_offs if one.state == "declined"]
        if not refused:
            return None
        no = r.choice(refused)
        who = self._of(no.person_id)

        async def work(tx: WriteSession, now: datetime) -> Any:
            new = NewChallenge(words="Dancing is in my plan.")
            return await challenges.challenge(
                tx, actor=who.actor, now=now, sign_off_id=no.id, new=new
            )

        return Act("challenge", who.actor, work)

    def _look_again(self, r: Random) -> Act:
        asked = r.choice(self.seen.challenges)
        actor = self.staff(r, "manager", "other", "social_worker")
        new = NewChallengeDecision(outcome=r.choice(["changed", "changed", "stands"]), words="Yes.")

        async def work(tx: WriteSession, now: datetime) -> Any:
            return await challenges.decide_challenge(
                tx, actor=actor, now=now, challenge_id=asked.id, new=new
            )

        return Act(f"look again, {new.outcome}", actor, work)

    def stop(self, r: Random) -> Act:
        who = self.someone(r)
        new = NewStop(
            subject_type="pool",
            subject_id=self.pool_id,
            area=self.town.area.slug,
            ground="pressure",
            words="Somebody is being pushed.",
        )

        async def work(tx: WriteSession, now: datetime) -> Any:
            return await stops.raise_stop(tx, actor=who.actor, now=now, new=new)

        return Act("stop", who.actor, work)

    def answer(self, r: Random, *, lift: float = 0.8) -> Act | None:
        if not self.seen.stops:
            return None
        actor, stop = self.staff(r, "manager", "social_worker"), r.choice(self.seen.stops)
        new = NewStopAnswer(outcome="lifted" if r.random() < lift else "upheld", words="I asked.")

        async def work(tx: WriteSession, now: datetime) -> Any:
            return await stops.answer_stop(tx, actor=actor, now=now, stop_id=stop.id, new=new)

        return Act(f"stop {new.outcome}", actor, work)

    def pause(self, r: Random) -> Act:
        actor = self.staff(r, "manager", "other", "manager", "finance")
        new = Pausing(paused=self.seen.pool.paused_at is None)
        return self._by("pause" if new.paused else "resume", actor, exits.pause, new=new)

    def resume(self, r: Random) -> Act:
        actor = self.staff(r, "manager", "other")
        return self._by("resume", actor, exits.pause, new=Pausing(paused=False))

    def body(self, r: Random) -> Act:
        names = ("commissioner", "commissioner", "commissioner", "finance", "manager")
        actor = self.staff(r, *names)
        if r.random() < 0.2:
            actor = self.someone(r, inside=True).actor
        return self._by("body", actor, contract.name_body, new=NewBody(called="A charity"))

    def approve(self, r: Random) -> Act:
        actor = self.staff(r, "finance", "manager", "commissioner", "other", "provider")
        return self._by("approve", actor, contract.approve)

    def exit(self, r: Random) -> Act | None:
        """A death, an estate that is settled, a funder who withdraws."""
        if not self.seen.members:
            return None
        dead = [one for one in self.seen.members if one.state == "paused"]
        reason = r.choice(["died", "funder_withdrew", "funder_withdrew"])
        member = r.choice(self.seen.members)
        if dead and r.random() < 0.6:
            reason, member = "estate_settled", r.choice(dead)
        elif self.among:
            fit = [m for m in self.seen.members if m.person_id == self.among[0].id]
            member = fit[0] if fit else member
        actor = self.staff(r, "finance", "commissioner", "manager")
        new = NewExit(reason=reason, words="So we were told.")  # type: ignore[arg-type]
        return self._by(f"exit {reason}", actor, exits.exit_by_staff, number=member.number, new=new)

    def settle_estates(self, r: Random) -> Act | None:
        """Settle what waits for an estate."""
        dead = [one for one in self.seen.members if one.state == "paused"]
        if not dead:
            return None
        new = NewExit(reason="estate_settled", words="It is settled.")
        actor, number = self.staff(r, "finance"), dead[0].number
        return self._by("exit estate_settled", actor, exits.exit_by_staff, number=number, new=new)

    def say(self, r: Random, *, what: str | None = None, first: bool = False) -> Act | None:
        """A word on a part: mostly the first that is not paid yet."""
        open_ = [one for one in self.seen.stages if one.state not in ("paid", "cancelled")]
        if not self.seen.stages:
            return None
        stage = r.choice(open_[: 1 if first else 2] or self.seen.stages)
        usual = ["done", *["confirmed"] * 5, "disputed", "settled", "settled", "wages", "wages"]
        what = what or r.choice(usual)
        actor = self.someone(r, inside=True).actor
        if what == "done":
            actor = actor if r.random() < 0.1 else self.town.provider.actor
        elif what == "wages":
            actor = self.staff(r, "finance", "manager", "other")
        words = "The hall was locked." if what == "disputed" else None
        new = NewStageWord(what=what, words=words)  # type: ignore[arg-type]
        return self._by(f"say {what}", actor, delivery.say, number=stage.number, new=new)

    # Budgets

    def purposes(self, r: Random, *, all_of_them: bool = False) -> Act:
        """The plan changes: a purpose ends, or is there again."""
        budget = r.choice([b for one in self.people for b in one.budgets if b.funder is not None])
        codes = ["dance", "music"]
        if not all_of_them and r.random() < 0.6:
            codes = r.choice([["dance"], ["music"], []])
        new = NewPurposes(purposes=[NewPurpose(code=one, words=f"For {one}") for one in codes])
        return self._of_budget("purposes", budget, budgets.set_purposes, new=new)

    def freeze(self, r: Random) -> Act:
        """A budget is put on hold, goes on, or, now and then, ends."""
        who = self.someone(r)
        budget = r.choice(who.budgets)
        row = next(one for one in self.seen.budgets if one.id == budget.id)
        to, reason = ("frozen", "review") if row.state == "active" else ("active", "put_right")
        if r.random() < 0.1:
            to, reason = "ended", r.choice(["plan_ended", "death"])
        new = NewState(to=to, reason=reason, notice="So it is.", bridge="Kay goes on.")  # type: ignore[arg-type]
        return self._of_budget(f"budget {to}", budget, budgets.change_state, new=new)

    def thaw(self, r: Random) -> Act | None:
        frozen = {one.id for one in self.seen.budgets if one.state == "frozen"}
        budget = [b for one in self.people for b in one.budgets if b.id in frozen]
        if not budget:
            return None
        new = NewState(to="active", reason="put_right", notice="It goes on.")
        return self._of_budget("budget active", budget[0], budgets.change_state, new=new)

    def confirm(self, r: Random, *, paid: float = 0.8) -> Act | None:
        """The holder's file: some or all of what waits, paid or failed; old lines too."""
        waiting = [one for one in self.seen.payments if one.state == "instructed"]
        if not self.seen.payments:
            return None
        chosen = [one for one in waiting if paid == 1 or r.random() < 0.7]
        chosen = chosen or [r.choice(self.seen.payments)]
        lines = ["reference,amount_pence,paid_on,outcome"]
        for one in chosen:
            outcome = "paid" if r.random() < paid else "failed"
            day = self.now.astimezone(_HOME).date().isoformat() if outcome == "paid" else ""
            lines.append(f"{one.reference},{one.amount_pence},{day},{outcome}")
        actor, new = self.town.finance.actor, Confirmations(csv="\n".join(lines))

        async def work(tx: WriteSession, now: datetime) -> Any:
            return await budgets.confirm_payments_csv(tx, actor=actor, now=now, new=new)

        return Act("holder's file", actor, work)

    # The clock

    def advance(self, r: Random) -> Act:
        """The group's own task. It is never refused: what would be left to start it again?"""
        actor, pool_id = Task("pools.advance", uuid4(), self.pool_id), self.pool_id

        async def work(tx: WriteSession, now: datetime) -> Any:
            return await advance.advance(tx, actor=actor, now=now, pool_id=pool_id)

        return Act("advance", actor, work, sure=True)

    # What leads on

    def forward(self, r: Random) -> Act | None:
        """What the group needs next on the way to its end."""
        seen = self.seen
        if seen.pool.paused_at is not None:
            running = seen.pool.state in RUNNING
            return self.in_pause(r) if running and r.random() < 0.75 else self.resume(r)
        if seen.stops:
            return self.answer(r, lift=1)
        step: Act | None = getattr(self, f"_from_{seen.pool.state}")(r)
        return step or self.advance(r)

    def in_pause(self, r: Random) -> Act | None:
        """People leave, and say what happened; two of the staff pass wages that are due."""
        said = ("confirmed", "confirmed", "confirmed", "done", "wages", "wages", "wages")
        chance = r.random()
        if chance < 0.15:
            return self.leave(r)
        return self.advance(r) if chance < 0.35 else self.say(r, what=r.choice(said), first=True)

    def _from_gathering(self, r: Random) -> Act | None:
        if len(self.seen.inside) < 3:
            return self.join(r)
        failed = [one for one in self.seen.votes if one.outcome == "failed"]
        if len(self.seen.offers) <= len(failed) and self.seen.open_vote is None:
            return self.offer(r, shape=shape_of(r) | {"min_people": 2, "max_people": 12})
        return self._voted(r, "choose_offer")

    def _voted(self, r: Random, motion: str) -> Act | None:
        """Open a vote, vote in it, count it."""
        vote = self.seen.open_vote
        if vote is None:
            return self.vote(r, motion)
        there = {one.id for one in self.seen.inside}
        given = [one for one in self.seen.ballots if one.vote_id == vote.id]
        cast = sum(1 for one in given if one.member_id in there)
        return self.cast(r, yes=1) if cast < len(self.seen.inside) else None

    def _from_costed(self, r: Random) -> Act:
        return self.choose(r) if r.random() < 0.3 else self.move(r)

    def _from_pledging(self, r: Random) -> Act | None:
        if self.now >= self.seen.pool.promise_by:
            return None
        live = [one for one in self.seen.mine if one.state == "held"]
        live = [one for one in live if one.offer_id == self.seen.pool.offer_id]
        people = len({one.member_id for one in live})
        if sum(one.amount_pence for one in live) < self.seen.total_pence:
            return self.promise(r, fair=True) if r.random() < 0.9 else self.thaw(r)
        if people < self.seen.offer.min_people:
            inside = len(self.seen.inside)
            short = inside < self.seen.offer.min_people
            return self.join(r) if short else self.promise(r, fair=True)
        return self.move(r, "review")

    def _from_expired(self, r: Random) -> Act:
        held = any(one.state == "held" for one in self.seen.mine)
        return self.advance(r) if held else self.move(r)

    def _from_review(self, r: Random) -> Act | None:
        return self.decide(r, yes=0.85)

    def _from_approved(self, r: Random) -> Act | None:
        if self.seen.pool.body_called is None:
            return self.body(r)
        since = self.seen.round
        if not any(
            one.motion == "confirm" and one.outcome == "passed" and one.opened_at >= since.at
            for one in self.seen.votes
        ):
            return self._voted(r, "confirm")
        return self.approve(r) if r.random() < 0.7 else None

    def _from_contracted(self, r: Random) -> Act | None:
        open_ = [one for one in self.seen.stages if one.state not in ("paid", "cancelled")]
        for stage in open_:
            if stage.state == "short":
                return self._when_short(r)
            if stage.state == "confirmed" and r.random() < 0.7:
                return self.advance(r)
            if stage.state != "confirmed":
                last = {w.member_id: w.what for w in self.seen.words if w.stage_id == stage.id}
                disputing = [key for key, what in last.items() if what == "disputed"]
                if not last:
                    return self.say(r, what="done", first=stage is open_[0])
                return self._word(r, stage, last, disputing)
        return None

    _from_delivering = _from_contracted

    def _when_short(self, r: Random) -> Act | None:
        """Money that may be used is missing: plans change, holds end, people join or do less."""
        chances = (
            lambda: self.purposes(r, all_of_them=True),
            lambda: self.thaw(r),
            lambda: self.advance(r),
            lambda: self._voted(r, "shrink"),
        )
        return r.choice(chances)()

    def _word(
        self, r: Random, stage: Any, last: dict[UUID, str], disputing: list[UUID]
    ) -> Act | None:
        """Somebody who has not spoken says that it happened; who disputes, that it is settled."""
        inside = self.seen.inside
        who = [one for one in inside if one.id in disputing]
        what = "settled" if who else "confirmed"
        who = who or [one for one in inside if one.id not in last] or inside
        if not who:
            return None
        person = self._of(r.choice(who).person_id)
        new = NewStageWord(what=what)  # type: ignore[arg-type]
        return self._by(f"say {what}", person.actor, delivery.say, number=stage.number, new=new)

    def _from_reviewed(self, r: Random) -> Act | None:
        if any(one.state == "instructed" for one in self.seen.payments):
            return self.confirm(r, paid=1)
        return self.settle_estates(r)

    def _from_closed(self, r: Random) -> Act | None:
        return None

    def _by(
        self,
        name: str,
        actor: Any,
        service_: Callable[..., Awaitable[Any]],
        *,
        sure: bool = False,
        **said: Any,
    ) -> Act:
        pool_id = self.pool_id

        async def work(tx: WriteSession, now: datetime) -> Any:
            return await service_(tx, actor=actor, now=now, pool_id=pool_id, **said)

        return Act(name, actor, work, sure)

    def _of_budget(
        self, name: str, budget: Budget, service_: Callable[..., Awaitable[Any]], **said: Any
    ) -> Act:
        owner = next(one.actor for one in self.people if budget in one.budgets)
        actor = owner if budget.funder is None else self.town.finance.actor

        async def work(tx: WriteSession, now: datetime) -> Any:
            return await service_(tx, actor=actor, now=now, budget_id=budget.id, **said)

        return Act(name, actor, work)


def shape_of(r: Random) -> dict[str, Any]:
    """Return the figures of an offer: two lines or one, odd sums, a few sessions and parts."""
    sessions = r.randint(2, 7)
    lines = [NewLine(words="Kay leads", purpose="dance", pence=r.randint(101, 999))]
    if r.random() < 0.4:
        lines.append(NewLine(words="A piano", purpose="music", pence=r.randint(11, 299)))
    return {
        "lines": lines,
        "sessions": sessions,
        "stages": r.randint(1, min(3, sessions)),
        "min_people": r.choice([2, 2, 3]),
        "max_people": r.choice([4, 5, 12, 12]),
        "split": r.choice(["equal", "by_promise"]),
        "notice_sessions": r.randint(0, min(2, sessions)),
    }
