"""Budgets over HTTP."""

from typing import Annotated, Literal
from uuid import UUID

from litestar import Response, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.budgets import service
from api.budgets.schemas import (
    BudgetList,
    BudgetMade,
    BudgetOut,
    Confirmations,
    ConfirmationsOut,
    FunderList,
    FunderOut,
    MoneyIn,
    MoneyInOut,
    NewAuthority,
    NewBudget,
    NewFunder,
    NewPurposes,
    NewRules,
    NewState,
    PaymentList,
    PoolingWord,
    StatementOut,
)
from api.core.http import ANSWERS, Work, allow

Area = Annotated[str, QueryParameter(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
Cursor = Annotated[str | None, QueryParameter(max_length=200)]


@post("/v1/funders", guards=[allow("role:finance,manager,area_admin")], responses=ANSWERS)
async def create_funder(data: JSONBody[NewFunder], keyed: NamedDependency[Work]) -> FunderOut:
    """Add who gives money in your area."""
    return await keyed.once(
        FunderOut,
        lambda tx: service.create_funder(tx, actor=keyed.actor, now=keyed.now, new=data),
    )


@get("/v1/funders", guards=[allow("anyone")], responses=ANSWERS)
async def list_funders(area: Area, work: NamedDependency[Work]) -> FunderList:
    """Who gives money in an area, and the rules that they set, in their words."""
    return await work.write(service.list_funders, area=area)


@put(
    "/v1/funders/{funder_id:uuid}/rules",
    guards=[allow("role:finance,manager,area_admin")],
    responses=ANSWERS,
)
async def set_rules(
    funder_id: FromPath[UUID], data: JSONBody[NewRules], work: NamedDependency[Work]
) -> FunderOut:
    """Replace the rules of a funder; those before are kept."""
    return await work.write(
        service.set_rules, actor=work.actor, now=work.now, funder_id=funder_id, new=data
    )


@post("/v1/budgets", guards=[allow("signed_in")], responses=ANSWERS)
async def open_budget(data: JSONBody[NewBudget], keyed: NamedDependency[Work]) -> BudgetMade:
    """Open a budget: public money by those who look after it, own money by the person."""
    return await keyed.once(
        BudgetMade,
        lambda tx: service.open_budget(tx, actor=keyed.actor, now=keyed.now, new=data),
    )


@get("/v1/budgets", guards=[allow("signed_in")], responses=ANSWERS)
async def mine(
    work: NamedDependency[Work],
    person_id: Annotated[UUID | None, QueryParameter()] = None,
    cursor: Cursor = None,
) -> BudgetList:
    """Your budgets, and those you act for or hold; or those of one person that you may see."""
    return await work.write(
        service.list_mine, actor=work.actor, now=work.now, person_id=person_id, cursor=cursor
    )


@get("/v1/budgets/{budget_id:uuid}", guards=[allow("signed_in")], responses=ANSWERS)
async def read(budget_id: FromPath[UUID], work: NamedDependency[Work]) -> BudgetOut:
    """One budget: what is free, what it is for, its rules, who may act, what happened."""
    return await work.write(service.read, actor=work.actor, now=work.now, budget_id=budget_id)


@post("/v1/budgets/{budget_id:uuid}/money-in", guards=[allow("signed_in")], responses=ANSWERS)
async def money_in(
    budget_id: FromPath[UUID], data: JSONBody[MoneyIn], keyed: NamedDependency[Work]
) -> MoneyInOut:
    """Put money in. The same reference counts once."""
    return await keyed.once(
        MoneyInOut,
        lambda tx: service.put_money_in(
            tx, actor=keyed.actor, now=keyed.now, budget_id=budget_id, new=data
        ),
    )


@put("/v1/budgets/{budget_id:uuid}/purposes", guards=[allow("signed_in")], responses=ANSWERS)
async def purposes(
    budget_id: FromPath[UUID], data: JSONBody[NewPurposes], work: NamedDependency[Work]
) -> BudgetOut:
    """Say what the money is for from now on, as the plan says it."""
    return await work.write(
        service.set_purposes, actor=work.actor, now=work.now, budget_id=budget_id, new=data
    )


@post("/v1/budgets/{budget_id:uuid}/authorities", guards=[allow("signed_in")], responses=ANSWERS)
async def give_authority(
    budget_id: FromPath[UUID], data: JSONBody[NewAuthority], work: NamedDependency[Work]
) -> BudgetOut:
    """Let somebody act for this money, by a named authority, until its end."""
    return await work.write(
        service.give_authority, actor=work.actor, now=work.now, budget_id=budget_id, new=data
    )


@delete(
    "/v1/budgets/{budget_id:uuid}/authorities/{authority_id:uuid}",
    guards=[allow("signed_in")],
    responses=ANSWERS,
)
async def end_authority(
    budget_id: FromPath[UUID], authority_id: FromPath[UUID], work: NamedDependency[Work]
) -> None:
    """Take a right back, or lay your own down."""
    await work.write(
        service.end_authority,
        actor=work.actor,
        now=work.now,
        budget_id=budget_id,
        authority_id=authority_id,
    )


@put(
    "/v1/budgets/{budget_id:uuid}/pooling-authority",
    guards=[allow("signed_in")],
    responses=ANSWERS,
)
async def pooling_authority(
    budget_id: FromPath[UUID], data: JSONBody[PoolingWord], work: NamedDependency[Work]
) -> BudgetOut:
    """Say whether this money may be put together with others' money."""
    return await work.write(
        service.set_pooling_authority,
        actor=work.actor,
        now=work.now,
        budget_id=budget_id,
        new=data,
    )


@post(
    "/v1/budgets/{budget_id:uuid}/state",
    guards=[allow("signed_in")],
    responses=ANSWERS,
    status_code=200,
)
async def state(
    budget_id: FromPath[UUID], data: JSONBody[NewState], work: NamedDependency[Work]
) -> BudgetOut:
    """Put on hold, let go on, or end: with a reason, a notice, and how to have it looked at."""
    return await work.write(
        service.change_state, actor=work.actor, now=work.now, budget_id=budget_id, new=data
    )


@get("/v1/budgets/{budget_id:uuid}/statement", guards=[allow("signed_in")], responses=ANSWERS)
async def statement(
    budget_id: FromPath[UUID], work: NamedDependency[Work], cursor: Cursor = None
) -> StatementOut:
    """What came in and went out, in the order in which it happened."""
    return await work.write(
        service.statement, actor=work.actor, now=work.now, budget_id=budget_id, cursor=cursor
    )


@get(
    "/v1/budgets/{budget_id:uuid}/statement.csv",
    guards=[allow("signed_in")],
    responses=ANSWERS,
    media_type="text/csv",
)
async def statement_csv(
    budget_id: FromPath[UUID],
    work: NamedDependency[Work],
    after: Annotated[int, QueryParameter(ge=0, le=1_000_000_000)] = 0,
) -> Response[str]:
    """The same as a file for a table program. ``after``: from after the line of that number."""
    body = await work.write(
        service.statement_csv, actor=work.actor, now=work.now, budget_id=budget_id, after=after
    )
    return Response(
        body,
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="statement.csv"'},
    )


@get("/v1/payments", guards=[allow("signed_in")], responses=ANSWERS)
async def list_payments(
    area: Area,
    work: NamedDependency[Work],
    wanted: Annotated[
        Literal["instructed", "confirmed", "failed"] | None, QueryParameter(name="state")
    ] = None,
    cursor: Cursor = None,
) -> PaymentList:
    """Payments that you may see, the oldest first; "instructed" waits for its confirmation."""
    return await work.write(
        service.list_payments,
        actor=work.actor,
        now=work.now,
        area=area,
        state=wanted,
        cursor=cursor,
    )


@post(
    "/v1/payments/confirmations",
    guards=[allow("signed_in")],
    responses=ANSWERS,
    status_code=200,
)
async def confirm(data: JSONBody[Confirmations], work: NamedDependency[Work]) -> ConfirmationsOut:
    """Say, as whoever holds the money, what was paid and what failed: a CSV file as text."""
    return await work.write(service.confirm_payments_csv, actor=work.actor, now=work.now, new=data)


router = Router(
    "/",
    route_handlers=[
        create_funder,
        list_funders,
        set_rules,
        open_budget,
        mine,
        read,
        money_in,
        purposes,
        give_authority,
        end_authority,
        pooling_authority,
        state,
        statement,
        statement_csv,
        list_payments,
        confirm,
    ],
    tags=["money"],
)
