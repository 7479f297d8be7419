"""The file of whoever holds the money: good lines go in, bad ones are named, twice is once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.budgets import confirmations
from api.budgets.payments import reference_of
from api.core.db import Database
from api.core.errors import Refusal
from tests.api.budgets.purses import pay, read, whole
from tests.make import Account, Budget, Maker, good, now, refused

pytestmark = pytest.mark.anyio

HEAD = "reference,amount,paid_on,outcome"
TODAY = now().date().isoformat()


async def send(maker: Maker, who: Account, *lines: str, head: str = HEAD) -> Any:
    """Send a file of these lines; return the answer."""
    csv = "\n".join([head, *lines]) + "\n"
    path = "/v1/payments/confirmations"
    return await maker.client.post(path, json={"csv": csv}, headers=who.headers)


async def opened(maker: Maker, pence: int = 100_000, **how: Any) -> tuple[Budget, Account]:
    """Open a filled budget; return it with whoever looks after it."""
    budget = await maker.budget(await maker.story(), pence=pence, **how)
    assert budget.finance is not None
    return budget, budget.finance


def rules(answer: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Return the bad lines as line, field and rule."""
    return [(one["line"], one["field"], one["rule"]) for one in answer["bad"]]


async def test_good_lines_go_in_bad_ones_are_named_and_the_file_again_changes_nothing(
    maker: Maker, database: Database
) -> None:
    budget, finance = await opened(maker)
    paid, failed, short = [await pay(database, budget, pence) for pence in (1_250, 700, 300)]
    lines = [
        f"{paid},12.50,{TODAY},paid",
        f"{failed},7,,failed",
        f"{short},2.99,{TODAY},paid",
        f"{reference_of(uuid4())},1.00,{TODAY},paid",
        f"{paid},12.50,{TODAY},paid",
        "nonsense,1.00,2026-01-01,paid",
        f"{short},3.00,{TODAY}",
    ]
    first = good(await send(maker, finance, *lines))
    assert (first["confirmed"], first["failed"], first["known_already"]) == (1, 1, 0)
    assert rules(first) == [
        (4, "amount", "amount-differs"),
        (5, "reference", "payment-yours"),
        (6, "reference", "reference-once"),
        (7, "reference", "reference-form"),
        (8, "line", "line-cells"),
    ]
    assert all(one["why"] for one in first["bad"])
    there = {"budget": 98_450, "payable": 300, "paid": 1_250, "in": 100_000}
    assert await whole(database, budget) == there
    again = good(await send(maker, finance, *lines))
    assert (again["confirmed"], again["failed"], again["known_already"]) == (0, 0, 2)
    assert rules(again) == rules(first)
    assert await whole(database, budget) == there
    other = good(await send(maker, finance, f"{paid},12.50,,failed"))
    assert rules(other) == [(2, "outcome", "settled-once")]
    told = await read(maker, budget)
    assert (told["waiting_pence"], told["paid_pence"]) == (300, 1_250)


async def test_the_same_file_many_times_at_once_confirms_each_payment_once(
    maker: Maker, database: Database
) -> None:
    budget, finance = await opened(maker)
    references = [await pay(database, budget, 100) for _ in range(4)]
    lines = [f"{one},1.00,{TODAY},paid" for one in references]
    answers = await asyncio.gather(*(send(maker, finance, *lines) for _ in range(4)))
    told = [good(answer) for answer in answers]
    assert sorted(one["confirmed"] for one in told) == [0, 0, 0, 4]
    assert await whole(database, budget) == {"budget": 99_600, "paid": 400, "in": 100_000}


async def test_who_asked_for_a_payment_or_gets_it_never_confirms_it(
    maker: Maker, database: Database, owner_connection: psycopg.Connection
) -> None:
    budget, finance = await opened(maker)
    colleague = await maker.account(budget.story.area, "finance")
    asked = await pay(database, budget, 100, by=finance)
    gets = await pay(database, budget, 200, payee=finance)
    lines = [f"{asked},1.00,{TODAY},paid", f"{gets},2.00,{TODAY},paid"]
    told = good(await send(maker, finance, *lines))
    assert rules(told) == [(2, "reference", "by-another"), (3, "reference", "by-another")]
    for reference in (asked, gets):
        with pytest.raises(psycopg.errors.CheckViolation, match="ck_payments_by_another"):
            owner_connection.execute(
                "UPDATE payments SET state = 'confirmed', settled_transfer_id = transfer_id,"
                " paid_on = current_date, confirmed_at = now(), confirmed_by = %s"
                " WHERE reference = %s",
                [finance.id, reference],
            )
    assert good(await send(maker, colleague, *lines))["confirmed"] == 2


async def test_a_file_is_taken_from_the_holder_or_the_areas_finance_alone(
    maker: Maker, database: Database
) -> None:
    story = await maker.story()
    holder = await maker.account(story.area, "provider")
    budget = await maker.budget(story, pence=1_000, holder_account_id=str(holder.id))
    reference = await pay(database, budget, 1_000)
    line = f"{reference},10.00,{TODAY},paid"
    for who in (
        await maker.account(story.area, "manager"),
        await maker.account(None, "finance"),
        await maker.account(story.area),
    ):
        told = good(await send(maker, who, line))
        assert rules(told) == [(2, "reference", "payment-yours")]
    assert good(await send(maker, holder, line))["confirmed"] == 1


async def test_a_payment_is_settled_once_and_is_otherwise_what_it_was(
    maker: Maker, database: Database, owner_connection: psycopg.Connection
) -> None:
    budget, finance = await opened(maker)
    reference = await pay(database, budget, 100)
    change = "UPDATE payments SET amount_pence = 99 WHERE reference = %s"
    with pytest.raises(psycopg.errors.RestrictViolation):
        owner_connection.execute(change, [reference])
    good(await send(maker, finance, f"{reference},1.00,{TODAY},paid"))
    undo = (
        "UPDATE payments SET state = 'failed', paid_on = NULL, settled_transfer_id = transfer_id"
        " WHERE reference = %s"
    )
    with pytest.raises(psycopg.errors.RestrictViolation):
        owner_connection.execute(undo, [reference])


async def test_a_day_still_to_come_or_before_it_was_asked_for_is_named(
    maker: Maker, database: Database
) -> None:
    budget, finance = await opened(maker)
    reference = await pay(database, budget, 100)
    late = (now() + timedelta(days=2)).date().isoformat()
    early = (now() - timedelta(days=2)).date().isoformat()
    told = good(await send(maker, finance, f"{reference},1.00,{late},paid"))
    assert rules(told) == [(2, "paid_on", "paid-by-today")]
    told = good(await send(maker, finance, f"{reference},1.00,{early},paid"))
    assert rules(told) == [(2, "paid_on", "paid-after-asked")]


async def test_payments_are_listed_for_those_who_see_the_money(
    maker: Maker, database: Database
) -> None:
    budget, finance = await opened(maker)
    reference = await pay(database, budget, 100, called="The choir")
    area = budget.story.area.slug
    asked = {"area": area, "state": "instructed"}
    for who in (finance, budget.story):
        answer = await maker.client.get("/v1/payments", params=asked, headers=who.headers)
        (one,) = good(answer)["items"]
        assert (one["reference"], one["payee"], one["state"]) == (
            reference,
            "The choir",
            "instructed",
        )
    stranger = await maker.account(budget.story.area)
    answer = await maker.client.get("/v1/payments", params=asked, headers=stranger.headers)
    assert good(answer)["items"] == []
    answer = await maker.client.get(
        "/v1/payments", params=asked | {"state": "x"}, headers=finance.headers
    )
    refused(answer, 400)


# Reading the file, without a database.

REFERENCE = reference_of(uuid4())


@pytest.mark.parametrize(
    ("amount", "pence"),
    [
        ("12.50", 1_250),
        ("12", 1_200),
        ("0.01", 1),
        (" 7.00 ", 700),
        ("123456789.00", 12_345_678_900),
        ("999999999", 99_999_999_900),
    ],
)
def test_a_sum_in_pounds_is_read_to_the_penny(amount: str, pence: int) -> None:
    said, bad = confirmations.read_file(f"{HEAD}\n{REFERENCE},{amount},2026-03-02,paid\n")
    assert bad == []
    assert [one.amount_pence for one in said] == [pence]


@pytest.mark.parametrize(
    ("amount", "rule"),
    [
        *((one, "amount-form") for one in ("NaN", "1e9", "-5", "£1.00", "Infinity", "٣", "+1")),
        *((one, "amount-form") for one in ("1.5", "1.", ".5", "1.000", "0x1", "1_000", "12 50")),
        ("=1+1", "amount-form"),
        ("1,000.00", "amount-form"),
        ("", "amount-needed"),
        ("0", "amount-out-of-bounds"),
        ("0.00", "amount-out-of-bounds"),
        ("1000000000.01", "amount-out-of-bounds"),
        ("99999999999999999999", "amount-form"),
    ],
)
def test_what_is_no_sum_is_named_and_takes_no_other_line_with_it(amount: str, rule: str) -> None:
    other = reference_of(uuid4())
    text = f'{HEAD}\n{REFERENCE},"{amount}",2026-03-02,paid\n{other},1.00,2026-03-02,paid\n'
    said, bad = confirmations.read_file(text)
    assert [(one.line, one.field, one.rule) for one in bad] == [(2, "amount", rule)]
    assert [one.reference for one in said] == [other]


@pytest.mark.parametrize("amount", ["12.50", "NaN", "1e3", "-1", "٣", " ", "1000000000000"])
def test_pence_are_whole_and_in_digits(amount: str) -> None:
    head = "reference,amount_pence,paid_on,outcome"
    said, bad = confirmations.read_file(f"{head}\n{REFERENCE},{amount},2026-03-02,paid\n")
    assert said == []
    assert bad[0].field == "amount_pence"


def test_two_columns_of_the_same_sum_must_agree() -> None:
    head = "reference,amount,amount_pence,paid_on,outcome"
    said, bad = confirmations.read_file(
        f"{head}\n{REFERENCE},1.00,100,2026-03-02,paid\n"
        f"{reference_of(uuid4())},1.00,101,2026-03-02,paid\n"
    )
    assert [one.amount_pence for one in said] == [100]
    assert [one.rule for one in bad] == ["amount-twice"]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("{},1.00,2026-02-30,paid", "paid_on"),
        ("{},1.00,20260302,paid", "paid_on"),
        ("{},1.00,,paid", "paid_on"),
        ("{},1.00,2026-03-02,maybe", "outcome"),
        ("{},1.00,2026-03-02,", "outcome"),
        ("{}X,1.00,2026-03-02,paid", "reference"),
        (",1.00,2026-03-02,paid", "reference"),
        ("{},1.00,2026-03-02,paid,more", "line"),
    ],
)
def test_each_bad_field_is_named(line: str, field: str) -> None:
    _, bad = confirmations.read_file(f"{HEAD}\n{line.format(REFERENCE)}\n")
    assert [(one.line, one.field) for one in bad] == [(2, field)]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("x", "file-columns"),
        ("reference,paid_on,outcome\n", "file-columns"),
        ("reference,amount,amount,paid_on,outcome\n", "file-columns"),
        (f'{HEAD}\n"open', "file-readable"),
        (f"{HEAD}\n" + "a,b,c,d\n" * 901, "file-length"),
        ("\n \n", "file-columns"),
    ],
)
def test_what_is_no_such_file_is_refused_as_a_whole(text: str, rule: str) -> None:
    with pytest.raises(Refusal) as caught:
        confirmations.read_file(text)
    assert caught.value.rule == rule
    assert caught.value.errors[0].field == "csv"


def test_a_mark_at_the_start_capitals_and_further_columns_are_taken() -> None:
    head = "\ufeffReference, Amount ,PAID_ON,Outcome,Note"
    line = f"{REFERENCE.lower()},1.00,2026-03-02,PAID,=1"
    said, bad = confirmations.read_file(f"{head}\r\n{line}\r\n")
    assert bad == []
    assert said[0].reference == REFERENCE


@given(text=st.text(max_size=200))
def test_no_text_brings_the_reader_down(text: str) -> None:
    for whole_text in (text, f"{HEAD}\n{text}"):
        try:
            said, bad = confirmations.read_file(whole_text)
        except Refusal:
            continue
        assert all(1 <= one.amount_pence <= 10**11 for one in said)
        assert all(one.why for one in bad)
