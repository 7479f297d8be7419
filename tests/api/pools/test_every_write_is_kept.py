"""Every address of groups and budgets that writes leaves an entry in the record of who did what."""

import re
from typing import Any

import psycopg
import pytest
from httpx2 import Response
from litestar import Litestar

from tests.groups import MONEY, OFFER, Town
from tests.make import good

pytestmark = pytest.mark.anyio

WRITES = ("POST", "PUT", "PATCH", "DELETE")
NOTICE = "We look at this together on Monday."


def standing(app: Litestar) -> set[tuple[str, str]]:
    """Return every address of money that writes."""
    return {
        (method, route.path_format)
        for route in app.routes
        for method in getattr(route, "methods", ())
        if method in WRITES and route.path_format.startswith(MONEY)
    }


def template_of(response: Response, known: set[tuple[str, str]]) -> tuple[str, str] | None:
    """Return which of the known addresses a request went to."""
    method, path = response.request.method, response.request.url.path
    for one in known:
        if one[0] == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one[1]), path.rstrip("/")):
            return one
    return None


async def test_every_write_about_money_leaves_an_entry(
    town: Town, app: Litestar, owner_connection: psycopg.Connection
) -> None:
    known, traces = standing(app), {}

    async def heard(response: Response) -> None:
        found = template_of(response, known)
        if found is not None and response.is_success:
            traces[found] = response.headers["x-correlation-id"]

    client = town.maker.client
    client.event_hooks["response"].append(heard)
    try:
        await _live(town)
    finally:
        client.event_hooks["response"].remove(heard)
    assert set(traces) == known
    for found, trace in traces.items():
        rows = owner_connection.execute(
            "SELECT FROM audit_entries WHERE correlation_id = %s", [trace]
        ).fetchall()
        assert rows, f"{found} left no entry"


async def _live(town: Town) -> None:
    """Let four people do everything once."""
    people = [await town.person(account=number == 0) for number in range(2)]
    people += [await town.person(kind="own_money") for _ in range(2)]
    await _budgets(town, people[0])
    await town.start(people)
    offer = await town.costed(lines=OFFER["lines"][:1])
    one, _, third, last = people
    await town.post("/messages", one, {"offer_id": str(offer), "words": "Is there a chair?"})
    good(await town.send("PUT", "/choices", one, {"choices": {"leaving": "notice"}}, keyed=False))
    await town.pledging()
    await town.promise_all()
    made = good(await town.promise(third, 9_999))
    good(await town.send("DELETE", f"/pledges/{made['id']}", third, keyed=False))
    good(await town.promise(third))
    await town.review()
    await town.approve_all()
    await town.sign()
    for paused in (True, False):
        good(await town.send("PUT", "/pause", town.manager, {"paused": paused}, keyed=False))
    exits = {"reason": "funder_withdrew", "words": "The letter came."}
    await town.post(f"/members/{last.number}/exits", town.finance, exits)
    await town.post("/leave", third, {})
    await town.stage(1)
    await town.confirm_payments()


async def _budgets(town: Town, one: Any) -> None:
    """Do with one budget what can be done with it."""
    client, path = town.maker.client, f"/v1/budgets/{one.budget.id}"
    friend = await town.maker.account(town.area)
    rule = {
        "code": "plan_purpose",
        "words": "What the plan says.",
        "who_can_change": "The care team.",
    }

    async def done(method: str, path: str, who: Any, body: Any = None) -> Any:
        return good(await client.request(method, path, json=body, headers=who.headers))

    await town.maker.funder(town.area, body="charity", finance=town.finance)
    rules = {"version": 1, "rules": [rule]}
    await done("PUT", f"/v1/funders/{town.council.id}/rules", town.finance, rules)
    purposes = {"purposes": [{"code": "dance", "words": "For dancing"}]}
    await done("PUT", f"{path}/purposes", town.finance, purposes)
    given = {"account_id": str(friend.id), "authority": "own_say_so", "may": ["see"]}
    told = await done("POST", f"{path}/authorities", one, given)
    await done("DELETE", f"{path}/authorities/{told['who_may_act'][0]['id']}", one)
    await done("PUT", f"{path}/pooling-authority", one, {"given": True})
    for to in ("frozen", "active"):
        state = {"to": to, "reason": "review", "notice": NOTICE, "bridge": NOTICE}
        await done("POST", f"{path}/state", town.finance, state)
