"""Statements: plain words, the order in which it happened, and a file no program carries out."""

import csv
import io
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.budgets import statements
from api.core.db import Database
from api.ledger import service as ledger
from api.ledger.rules import NewAccount, Transfer
from tests.api.budgets.purses import pay
from tests.architecture.test_words import NEVER_SHOWN
from tests.make import TESTS, Budget, Maker, good, now, refused

pytestmark = pytest.mark.anyio


async def share(database: Database, budget: Budget, pence: int) -> None:
    """Put some of a budget together with others, and take a penny of it back."""
    account = NewAccount(
        kind="pool_share", owner_key=f"pool:{uuid4()}:1", source_key=budget.source_key
    )
    async with database.write(actor=TESTS, now=now()) as tx:
        other = await ledger.open_account(tx, actor=TESTS, now=now(), new=account)
        there = Transfer(debit_id=budget.account_id, credit_id=other, amount_pence=pence)
        back = Transfer(debit_id=other, credit_id=budget.account_id, amount_pence=1)
        await ledger.post(
            tx,
            actor=TESTS,
            now=now(),
            key=uuid4().hex,
            code="test.shared",
            steps=[there, back],
        )


async def lines(maker: Maker, budget: Budget) -> list[dict[str, Any]]:
    """Return a budget's statement."""
    path = f"/v1/budgets/{budget.id}/statement"
    answer = good(await maker.client.get(path, headers=budget.story.headers))
    items: list[dict[str, Any]] = answer["items"]
    return items


async def cells(maker: Maker, budget: Budget, **params: Any) -> list[dict[str, str]]:
    """Return the rows of a budget's statement as a file."""
    path = f"/v1/budgets/{budget.id}/statement.csv"
    answer = await maker.client.get(path, headers=budget.story.headers, params=params)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


async def test_a_statement_says_in_plain_words_what_happened_in_its_order(
    maker: Maker, database: Database
) -> None:
    budget = await maker.budget(await maker.story(), pence=10_000)
    assert budget.funder is not None
    await pay(database, budget, 1_250, called="Tuesday choir")
    await share(database, budget, 500)
    told = await lines(maker, budget)
    assert [one["words"] for one in told] == [
        f"Money came in from {budget.funder.name}",
        "Tuesday choir: paid",
        "Put together with others",
        "Money back from what you put together",
    ]
    assert [one["amount_pence"] for one in told] == [10_000, -1_250, -500, 1]
    assert [one["balance_pence"] for one in told] == [10_000, 8_750, 8_250, 8_251]
    assert [one["number"] for one in told] == [1, 2, 3, 4]
    assert not any(NEVER_SHOWN.search(one["words"]) for one in told)


async def test_the_file_holds_the_same_lines_with_sums_that_stay_numbers(
    maker: Maker, database: Database
) -> None:
    budget = await maker.budget(await maker.story(), pence=10_000)
    await pay(database, budget, 1_205)
    told = await cells(maker, budget)
    assert [one["number"] for one in told] == ["1", "2"]
    assert [float(one["amount"]) for one in told] == [100.0, -12.05]
    assert [one["balance"] for one in told] == ["100.00", "87.95"]
    assert [one["day"] for one in told] == [one["day"][:10] for one in told]
    assert [one["number"] for one in await cells(maker, budget, after=1)] == ["2"]


@pytest.mark.parametrize("called", ["=1+1", "+44", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1"])
async def test_a_name_that_a_table_program_would_carry_out_is_quoted(
    maker: Maker, database: Database, called: str
) -> None:
    budget = await maker.budget(await maker.story(), pence=10_000)
    await pay(database, budget, 100, called=called)
    (_, paid) = await cells(maker, budget)
    assert paid["what"] == f"'{called}: paid"
    assert paid["amount"] == "-1.00"


async def test_own_money_comes_from_the_person(maker: Maker) -> None:
    budget = await maker.budget(await maker.story(), kind="own_money", pence=100)
    assert [one["words"] for one in await lines(maker, budget)] == ["Money came in from you"]


async def test_a_statement_is_read_by_those_who_see_the_money_and_leaves_a_receipt(
    maker: Maker,
) -> None:
    person = await maker.account()
    story = await maker.story(account=person)
    budget = await maker.budget(story, pence=100)
    manager = await maker.account(story.area, "manager")
    stranger = await maker.account(story.area)
    for path in (f"/v1/budgets/{budget.id}/statement", f"/v1/budgets/{budget.id}/statement.csv"):
        assert (await maker.client.get(path, headers=manager.headers)).status_code == 200
        refused(await maker.client.get(path, headers=stranger.headers), 404)
        refused(await maker.client.get(path), 401)
    path = f"/v1/people/{story.id}/receipts"
    receipts = good(await maker.client.get(path, headers=story.headers))["items"]
    assert [one["what"] for one in receipts].count("budget_statement") == 2


@given(st.integers(-(10**15), 10**15))
def test_pounds_say_every_penny_and_can_be_read_back(pence: int) -> None:
    said = statements.pounds(pence)
    assert round(float(said) * 100) == pence or abs(pence) > 10**13
    whole, rest = said.lstrip("-").split(".")
    assert (int(whole) * 100 + int(rest)) * (-1 if said.startswith("-") else 1) == pence


@given(st.text(max_size=40))
def test_no_text_starts_like_something_to_carry_out(words: str) -> None:
    assert not statements.cell(words).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert statements.cell(words).removeprefix("'") == words.removeprefix("'")
