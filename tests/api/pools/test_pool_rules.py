"""Splits keep every penny, votes and states keep to their rules: no database here."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core.errors import Refusal
from api.pools import rules
from api.pools.rules import Line, Share

PURPOSES = ("dance", "hall", "care")


@st.composite
def shares(draw: st.DrawFn, *, start: int = 1) -> list[Share]:
    """Draw up to twelve shares with what is left, a weight and what they may pay."""
    count = draw(st.integers(1, 12))
    return [
        Share(
            key=UUID(int=start + number),
            number=start + number,
            left_pence=draw(st.integers(0, 20_000)),
            weight=draw(st.sampled_from([1, 1, 1, 3, 10_000])),
            purposes=frozenset(draw(st.sets(st.sampled_from(PURPOSES), min_size=1))),
        )
        for number in range(count)
    ]


@given(among=shares(), part=st.integers(0, 100))
def test_the_parts_sum_to_the_whole_and_no_share_gives_more_than_it_has(
    among: list[Share], part: int
) -> None:
    amount = sum(one.left_pence for one in among) * part // 100
    parts = rules.split(amount, among)
    assert sum(parts.values()) == amount
    assert all(0 <= parts[one.key] <= one.left_pence for one in among)


@given(among=shares(), part=st.integers(0, 100), seed=st.randoms())
def test_the_order_in_which_shares_are_named_changes_nothing(
    among: list[Share], part: int, seed: object
) -> None:
    amount = sum(one.left_pence for one in among) * part // 100
    mixed = list(among)
    seed.shuffle(mixed)  # type: ignore[attr-defined]
    assert rules.split(amount, mixed) == rules.split(amount, among)


@given(count=st.integers(1, 12), amount=st.integers(0, 10_000))
def test_equal_shares_differ_by_a_penny_at_most_and_the_first_to_join_give_it(
    count: int, amount: int
) -> None:
    among = [
        Share(key=UUID(int=n), number=n, left_pence=10_000, weight=1, purposes=frozenset({"dance"}))
        for n in range(1, count + 1)
    ]
    parts = list(rules.split(amount, among).values())
    assert max(parts) - min(parts) <= 1
    assert parts == sorted(parts, reverse=True)


@given(
    among=shares(),
    lines=st.lists(
        st.builds(Line, purpose=st.sampled_from(PURPOSES), pence=st.integers(1, 5_000)),
        min_size=1,
        max_size=6,
    ),
    leavers=st.lists(st.integers(0, 3_000), max_size=3),
)
def test_each_line_is_paid_whole_by_who_may_pay_it_or_nothing_is(
    among: list[Share], lines: list[Line], leavers: list[int]
) -> None:
    first = [
        Share(
            key=UUID(int=100 + n),
            number=100 + n,
            left_pence=left,
            weight=1,
            purposes=frozenset(PURPOSES),
        )
        for n, left in enumerate(leavers)
    ]
    try:
        parts = rules.split_lines(lines, among, first=first)
    except Refusal as refusal:
        if refusal.rule != "money-for-each-part":
            raise
        return
    everybody = {one.key: one for one in (*first, *among)}
    assert sum(parts.values()) == sum(line.pence for line in lines)
    assert all(0 <= pence <= everybody[key].left_pence for key, pence in parts.items())
    wanted = {line.purpose for line in lines}
    for key, pence in parts.items():
        may = sum(line.pence for line in lines if line.purpose in everybody[key].purposes)
        assert pence <= may
        assert pence == 0 or everybody[key].purposes & wanted


def test_a_hundred_pounds_among_three_leave_no_penny_that_nobody_can_spend() -> None:
    among = [
        Share(key=UUID(int=n), number=n, left_pence=10_000, weight=1, purposes=frozenset({"dance"}))
        for n in (1, 2, 3)
    ]
    assert list(rules.split(10_000, among).values()) == [3_334, 3_333, 3_333]


def test_more_than_the_shares_hold_is_refused_and_not_shrunk() -> None:
    one = Share(key=UUID(int=1), number=1, left_pence=5, weight=1, purposes=frozenset({"dance"}))
    with pytest.raises(ValueError, match="less than this"):
        rules.split(6, [one])


@given(sessions=st.integers(1, 200), parts=st.integers(1, 50))
def test_stages_cover_every_session_once(sessions: int, parts: int) -> None:
    parts = min(parts, sessions)
    found = rules.stages_of(sessions, parts)
    assert [n for first, last in found for n in range(first, last + 1)] == list(
        range(1, sessions + 1)
    )
    assert len(found) == parts


@given(
    yes=st.integers(0, 30),
    no=st.integers(0, 30),
    others=st.integers(0, 30),
    more=st.integers(0, 30),
)
def test_a_vote_counts_only_with_more_than_half_and_a_majority_of_citizens(
    yes: int, no: int, others: int, more: int
) -> None:
    ballots = yes + no
    citizens = max(0, ballots - others)
    people = ballots + more
    found = rules.outcome(yes=yes, no=no, citizens=citizens, ballots=ballots, people=people)
    if ballots * 2 <= people or citizens * 2 <= ballots:
        assert found == "not_counted"
    else:
        assert found == ("passed" if yes > no else "failed")


def test_of_equal_offers_the_one_made_first_wins() -> None:
    order = [UUID(int=n) for n in (3, 1, 2)]
    assert rules.winner({UUID(int=1): 2, UUID(int=3): 2}, order) == UUID(int=3)
    assert rules.winner({UUID(int=2): 1}, order) == UUID(int=2)


def test_every_state_leads_to_closed_and_nothing_leads_out_of_it() -> None:
    reach = {"closed"}
    for _ in rules.MOVES:
        reach |= {state for state, to in rules.MOVES.items() if to & reach}
    assert reach == set(rules.MOVES)
    assert not rules.MOVES["closed"]


@pytest.mark.parametrize("to", ["contracted", "delivering", "approved"])
def test_a_step_out_of_order_names_what_can_come(to: str) -> None:
    with pytest.raises(Refusal) as caught:
        rules.check_move("gathering", to)  # type: ignore[arg-type]
    assert caught.value.rule == "step-in-order"
    assert caught.value.what_else


def test_one_budget_in_one_group_has_one_go_ahead_for_ever() -> None:
    pool, budget, other = UUID(int=1), UUID(int=2), UUID(int=3)
    assert rules.use_id(pool, budget) == rules.use_id(pool, budget)
    assert rules.use_id(pool, budget) != rules.use_id(pool, other)
    assert rules.use_id(pool, budget) != rules.use_id(other, budget)
